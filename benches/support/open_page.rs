//! A page that somebody has open, as far as a benchmark needs it: it refreshes itself as it says in its own attributes.

use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::header::{HeaderName, HeaderValue};
use scraper::{Html, Selector};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::browser::Browser;

/// What stands on the page, and since when.
type Shown = (Instant, String);

pub struct OpenPage {
    shown: watch::Receiver<Shown>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl OpenPage {
    pub async fn open(mut browser: Browser, path: &str) -> anyhow::Result<Self> {
        let page = browser.get(path).await?;
        let (show, shown) = watch::channel((Instant::now(), page));
        let task = tokio::spawn(async move { keep_fresh(&mut browser, &show).await });
        Ok(Self { shown, task })
    }

    /// Waits until the page shows something; when that was.
    pub async fn until(&mut self, shows: impl Fn(&str) -> bool) -> anyhow::Result<Instant> {
        match self.shown.wait_for(|(_, page)| shows(page)).await {
            Ok(shown) => Ok(shown.0),
            Err(_) => Err((&mut self.task).await?.err().context("the page has been closed")?),
        }
    }
}

impl Drop for OpenPage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// As the library on the page does it: the time runs from one question to the next, and a fragment may change it.
async fn keep_fresh(browser: &mut Browser, show: &watch::Sender<Shown>) -> anyhow::Result<()> {
    let mut asked = Instant::now();
    loop {
        let (path, every) = refresh(&show.borrow().1)?;
        tokio::time::sleep_until((asked + every).into()).await;
        asked = Instant::now();
        let headers = [(HeaderName::from_static("hx-request"), HeaderValue::from_static("true"))];
        let fragment = browser.get_with(&path, headers.into_iter().collect()).await?;
        show.send_replace((Instant::now(), fragment));
    }
}

/// What a page asks for, and how often: `hx-get="…" hx-trigger="every 5s, …"`.
fn refresh(page: &str) -> anyhow::Result<(String, Duration)> {
    let selector = Selector::parse("[data-refresh][hx-get]").map_err(|error| anyhow::anyhow!("{error}"))?;
    let html = Html::parse_document(page);
    let element = html.select(&selector).next().context("the page does not refresh itself")?;
    let every = element.attr("hx-trigger").and_then(|trigger| {
        let seconds = trigger.split(',').find_map(|part| part.trim().strip_prefix("every ")?.strip_suffix('s'))?;
        seconds.parse().ok()
    });
    let every = every.context("the page does not say how often it refreshes itself")?;
    Ok((element.attr("hx-get").unwrap_or_default().to_owned(), Duration::from_secs_f64(every)))
}
