//! 500 open pages and a change every second: what telling them costs the portal. The release binary as it is run, its
//! database beside it. The pages read what they are told and ask for nothing: what their lists cost is `list_page`'s.
//!
//! Promised: below [`PROMISED_KB`] of memory a stream, and every change told to who it belongs to.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/folder.rs"]
mod folder;
#[path = "support/resident.rs"]
mod resident;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use diesel::connection::SimpleConnection;
use fast_cloud::db;
use fast_cloud::embedded::Embedded;
use futures::StreamExt;
use reqwest::header::{COOKIE, HeaderMap};
use secrecy::ExposeSecret;

use self::browser::Browser;
use self::folder::Folder;
use self::resident::resident;

const PAGES: usize = 500;
/// Accounts that they belong to: as many as an account may have open each.
const PEOPLE: usize = 50;
const SECONDS: u64 = 30;
const PROMISED_KB: f64 = 100.0;
const START: Duration = Duration::from_secs(60);

/// Stops the portal, whatever happens.
struct Portal(Child);

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// What the pages have been told.
#[derive(Default)]
struct Told {
    open: AtomicUsize,
    changes: AtomicUsize,
    ended: AtomicUsize,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    if !folder::measures() {
        return Ok(());
    }
    let folder = Folder::new("live-500")?;
    let embedded = Embedded::start(&folder.path().join("database"))?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let portal = start(folder.path(), &address, embedded.url.expose_secret())?;
    let (base, pid) = (format!("http://{address}"), portal.0.id());
    ready(&base).await?;
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        let mut person = Browser::open(&base)?;
        person.sign_up(&format!("live-{n}")).await?;
        person.get("/instances").await?;
        people.push(person.cookies());
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (before, _) = resident(pid)?;
    let idle = cpu(pid, Duration::from_secs(10)).await?;

    let (told, client) = (Arc::new(Told::default()), reqwest::Client::builder().no_proxy().build()?);
    for n in 0..PAGES {
        actix_web::rt::spawn(page(client.clone(), base.clone(), people[n % PEOPLE].clone(), told.clone()));
    }
    let started = Instant::now();
    while told.open.load(Ordering::Relaxed) < PAGES {
        ensure!(started.elapsed() < START, "{} of {PAGES} streams are open", told.open.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{PAGES} streams of {PEOPLE} accounts opened in {:.1} s", started.elapsed().as_secs_f32());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (open, _) = resident(pid)?;
    let quiet = cpu(pid, Duration::from_secs(15)).await?;
    let each = (open - before) * 1e3 / PAGES as f64;
    println!("memory: {before:.1} MB before, {open:.1} MB with them: {each:.1} kB a stream");
    println!("processor: {idle:.1} % of a core without streams, {quiet:.1} % with nothing to tell");

    // Everybody's row each second: the most that one change a second can be.
    let mut conn = db::connect(&embedded.url)?;
    conn.batch_execute("INSERT INTO account_quotas (account_id, instances) SELECT id, 3 FROM accounts")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let first = told.changes.load(Ordering::Relaxed);
    let changing = actix_web::rt::spawn(async move {
        for n in 0..SECONDS {
            let _ = conn.batch_execute(&format!(
                "UPDATE account_quotas SET instances = {} WHERE account_id = (SELECT id FROM accounts WHERE login_id = 'live-{}')",
                4 + n,
                n as usize % PEOPLE
            ));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let one = cpu(pid, Duration::from_secs(SECONDS)).await?;
    changing.await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let changes = told.changes.load(Ordering::Relaxed) - first;
    let due = usize::try_from(SECONDS)? * PAGES / PEOPLE;
    println!(
        "a change a second of one account ({} pages): {one:.1} % of a core; {changes} of {due} told",
        PAGES / PEOPLE
    );
    ensure!(changes >= due, "{changes} of {due} changes were told");

    let mut conn = db::connect(&embedded.url)?;
    let first = told.changes.load(Ordering::Relaxed);
    let changing = actix_web::rt::spawn(async move {
        for n in 0..SECONDS {
            let _ = conn.batch_execute(&format!("UPDATE account_quotas SET instances = {}", 100 + n));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let all = cpu(pid, Duration::from_secs(SECONDS)).await?;
    changing.await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let changes = told.changes.load(Ordering::Relaxed) - first;
    let due = usize::try_from(SECONDS)? * PAGES;
    println!("a change a second of every account: {all:.1} % of a core; {changes} of {due} told");
    let ended = told.ended.load(Ordering::Relaxed);
    drop(portal);
    embedded.stop();
    ensure!(ended == 0, "{ended} streams ended");
    ensure!(each < PROMISED_KB, "a stream takes {each:.1} kB; promised are less than {PROMISED_KB} kB");
    println!("promise kept: less than {PROMISED_KB} kB a stream");
    Ok(())
}

/// Reads a stream and counts what it tells.
async fn page(client: reqwest::Client, base: String, cookies: String, told: Arc<Told>) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = cookies.parse() {
        headers.insert(COOKIE, value);
    }
    let Ok(answer) = client.get(format!("{base}/live?ago=0")).headers(headers).send().await else { return };
    let mut chunks = answer.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        let text = String::from_utf8_lossy(&chunk);
        told.open.fetch_add(text.matches("event: hello").count(), Ordering::Relaxed);
        told.changes.fetch_add(text.matches("event: change").count(), Ordering::Relaxed);
    }
    told.ended.fetch_add(1, Ordering::Relaxed);
}

/// The processor time that a process takes over `time`, in percent of a core.
async fn cpu(pid: u32, time: Duration) -> anyhow::Result<f64> {
    // Fields 14 and 15, user and system, in hundredths of a second; the name before them may hold spaces.
    let ticks = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |n: usize| fields.get(n).and_then(|text| text.parse::<f64>().ok()).context("/proc/…/stat");
        Ok::<_, anyhow::Error>(field(11)? + field(12)?)
    };
    let (before, started) = (ticks()?, Instant::now());
    tokio::time::sleep(time).await;
    Ok((ticks()? - before) / started.elapsed().as_secs_f64())
}

fn start(folder: &Path, address: &str, database: &str) -> anyhow::Result<Portal> {
    // Streams have a quarter of what the process may open.
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 8192; exec \"$0\"", env!("CARGO_BIN_EXE_fast-cloud")])
        .current_dir(folder)
        .env("FASTCLOUD_DATA__DIR", folder)
        .env("FASTCLOUD_DATABASE__URL", database)
        .env("FASTCLOUD_SERVER__LISTEN", address)
        .env("FASTCLOUD_PRACTICE__INGRESS_LISTEN", "")
        .env("FASTCLOUD_LOG__FILTER", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("starting the portal")?;
    Ok(Portal(child))
}

async fn ready(base: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut browser = Browser::open(base)?;
    while let Err(error) = browser.get("/health/ready").await {
        ensure!(started.elapsed() < START, "the portal does not answer: {error:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
