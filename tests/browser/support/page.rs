//! A browser's page, and what a person does on it. Everything waits, and no wait is without an end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use fantoccini::actions::{InputSource, KeyAction, KeyActions, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::error::{CmdError, ErrorStatus};
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use fast_cloud::web::page::Lang;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::{Browser, Driver};

/// How long something on a page may take to come; more than what a practice machine needs for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(40);

pub struct Page {
    client: Client,
    address: String,
    pub downloads: PathBuf,
}

/// A command of the driver that fantoccini has no word for.
#[derive(Debug)]
struct Extra {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(self.body.to_string()))
    }
}

/// Whether it was only too early, or the element was replaced in between: another look helps.
fn passing(error: &CmdError) -> bool {
    matches!(error, CmdError::Standard(error) if matches!(
        error.error,
        ErrorStatus::NoSuchElement
            | ErrorStatus::StaleElementReference
            | ErrorStatus::ElementNotInteractable
            | ErrorStatus::ElementClickIntercepted
            | ErrorStatus::DetachedShadowRoot
    )) || matches!(error, CmdError::Standard(error) if error.message.contains("does not belong to the document"))
}

fn locator(place: &str) -> Locator<'_> {
    if place.starts_with("//") { Locator::XPath(place) } else { Locator::Css(place) }
}

impl Page {
    pub async fn open(driver: &Driver, address: String, home: &Path, browser: Browser) -> Self {
        let downloads = home.join("downloads");
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-breakpad".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--accept-lang={}", browser.language),
            format!("--user-data-dir={}", home.join("profile").display()),
        ];
        let scripts = if browser.scripts { 1 } else { 2 };
        let wishes = json!({
            "browserName": "chrome",
            "timeouts": { "implicit": 0, "pageLoad": 30_000, "script": 30_000 },
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "binary": "/usr/bin/chromium",
                "args": arguments,
                "prefs": {
                    "profile.managed_default_content_settings.javascript": scripts,
                    "download.default_directory": downloads,
                    "download.prompt_for_download": false,
                },
            },
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wishes.as_object().unwrap().clone())
            .connect(&driver.url())
            .await
            .expect("Chromium starts");
        Self { client, address, downloads }
    }

    pub async fn close(self) {
        let _ = self.client.close().await;
    }

    /// Where the browser is, for who reads why a test failed.
    pub async fn say_where(&self, log: &str) {
        let url = self.client.current_url().await.map(|url| url.to_string()).unwrap_or_default();
        let text = match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        let picture = std::env::temp_dir().join(format!("fast-cloud-failed-{}.png", uuid::Uuid::new_v4().simple()));
        if let Ok(png) = self.client.screenshot().await {
            let _ = std::fs::write(&picture, png);
        }
        let complaints = self.complaints().await.join("\n");
        eprintln!("the browser was at {url} (picture: {})\n{text}", picture.display());
        eprintln!("--- the browser's console\n{complaints}\n--- the portal's log\n{log}");
    }

    /// What the pages' own scripts and the content security policy complained about. That an answer was a 404 or that
    /// nobody answered (htmx notes it there, too) is not a complaint: tests provoke it.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.extra("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().into_iter().flatten();
        lines
            .filter(|line| line["level"] == "SEVERE" && line["source"] != "network")
            .map(|line| line["message"].to_string())
            .filter(|text| !text.contains("Failed to load resource") && !text.contains("htmx:"))
            .collect()
    }

    async fn extra(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Extra { path, body }).await.unwrap()
    }

    /// A command of Chromium's own protocol.
    pub async fn chromium(&self, name: &str, parameters: Value) -> Value {
        self.extra("goog/cdp/execute", json!({ "cmd": name, "params": parameters })).await
    }

    /// Looks until there is something; `what` is said when there is not.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        self.until_for(PATIENCE, what, &mut look).await
    }

    pub async fn until_for<T>(&self, limit: Duration, what: &str, look: &mut impl AsyncFnMut() -> Option<T>) -> T {
        let end = Instant::now() + limit;
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            assert!(Instant::now() < end, "within {limit:?} did not come: {what}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Does something with an element that may be replaced at any moment.
    async fn with<T>(&self, place: &str, what: &str, mut work: impl AsyncFnMut(Element) -> Result<T, CmdError>) -> T {
        self.until(&format!("{what} {place}"), async || {
            let done = match self.client.find(locator(place)).await {
                Ok(element) => work(element).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(value) => Some(value),
                Err(error) if passing(&error) => None,
                Err(error) => panic!("{what} {place}: {error}"),
            }
        })
        .await
    }

    // Going somewhere.

    pub async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.address)).await.unwrap();
    }

    pub async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// The path and query of where it is.
    pub async fn here(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        }
    }

    pub async fn at(&self, path: &str) {
        self.until(&format!("the address {path}"), async || (self.here().await == path).then_some(())).await;
    }

    // Looking.

    pub async fn count(&self, place: &str) -> usize {
        self.client.find_all(locator(place)).await.unwrap().len()
    }

    /// Waits until it is there and can be seen.
    pub async fn see(&self, place: &str) {
        self.until(&format!("to be seen: {place}"), async || self.is_seen(place).await.then_some(())).await;
    }

    pub async fn is_seen(&self, place: &str) -> bool {
        match self.client.find(locator(place)).await {
            Ok(element) => element.is_displayed().await.unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Waits until it is no longer there, or no longer seen.
    pub async fn gone(&self, place: &str) {
        self.until(&format!("to be gone: {place}"), async || (!self.is_seen(place).await).then_some(())).await;
    }

    pub async fn text(&self, place: &str) -> String {
        self.with(place, "reading", async |element| element.text().await).await
    }

    /// Waits for an element with this text in it.
    pub async fn reads(&self, place: &str, text: &str) {
        self.until(&format!("“{text}” in {place}"), async || {
            let element = self.client.find(locator(place)).await.ok()?;
            element.text().await.ok()?.contains(text).then_some(())
        })
        .await;
    }

    pub async fn attribute(&self, place: &str, name: &str) -> Option<String> {
        self.with(place, "reading an attribute of", async |element| element.attr(name).await).await
    }

    /// Waits until an attribute has this value.
    pub async fn has(&self, place: &str, name: &str, value: &str) {
        self.until(&format!("{name}={value} of {place}"), async || {
            let element = self.client.find(locator(place)).await.ok()?;
            (element.attr(name).await.ok()?.as_deref() == Some(value)).then_some(())
        })
        .await;
    }

    pub async fn value(&self, place: &str) -> String {
        self.with(place, "reading the value of", async |element| element.prop("value").await).await.unwrap_or_default()
    }

    /// The result of a script on the page.
    pub async fn script(&self, code: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(code, arguments).await.unwrap()
    }

    pub async fn later(&self, code: &str, arguments: Vec<Value>) -> Value {
        self.client.execute_async(code, arguments).await.unwrap()
    }

    /// Marks this page, so that it can be told whether it was loaded anew.
    pub async fn mark(&self) {
        self.script("window.marked = true", vec![]).await;
    }

    pub async fn is_marked(&self) -> bool {
        self.script("return window.marked === true", vec![]).await == json!(true)
    }

    /// What is focused, as an answer to whether it is this.
    pub async fn is_focused(&self, place: &str) -> bool {
        self.script("return document.activeElement.matches(arguments[0])", vec![json!(place)]).await == json!(true)
    }

    // Doing.

    pub async fn click(&self, place: &str) {
        self.with(place, "clicking", async |element| {
            let clicked = element.clone().click().await;
            if matches!(&clicked, Err(CmdError::Standard(error)) if error.error == ErrorStatus::ElementClickIntercepted)
            {
                // The driver scrolls no farther than needed, which may be below the tab bar of a phone. A person goes on.
                let element = serde_json::to_value(element)?;
                self.client.execute("arguments[0].scrollIntoView({ block: 'center' })", vec![element]).await?;
            }
            clicked
        })
        .await;
    }

    /// Clicks the button or link that says this.
    pub async fn press(&self, words: &str) {
        self.click(&format!("//*[self::a or self::button or self::summary][normalize-space()='{words}']")).await;
    }

    pub async fn double_click(&self, place: &str) {
        let press = || PointerAction::Down { button: 0 };
        let release = || PointerAction::Up { button: 0 };
        self.with(place, "double-clicking", async |element| {
            let to = PointerAction::MoveToElement { element, duration: None, x: 0.0, y: 0.0 };
            let mouse = MouseActions::new("mouse".to_owned());
            let mouse = mouse.then(to).then(press()).then(release()).then(press()).then(release());
            self.client.perform_actions(mouse).await
        })
        .await;
    }

    /// Empties a field and types into it.
    pub async fn fill(&self, place: &str, text: &str) {
        self.with(place, "typing into", async |element| {
            element.clear().await?;
            element.send_keys(text).await
        })
        .await;
    }

    /// Types into a field that can't be emptied first.
    pub async fn fill_keys(&self, place: &str, keys: &str) {
        self.with(place, "typing into", async |element| element.send_keys(keys).await).await;
    }

    /// Chooses a date, which each language types in another order.
    pub async fn fill_date(&self, place: &str, date: &str) {
        self.script("document.querySelector(arguments[0]).value = arguments[1]", vec![json!(place), json!(date)]).await;
    }

    pub async fn select(&self, place: &str, value: &str) {
        self.with(place, "choosing in", async |element| element.select_by_value(value).await).await;
    }

    pub async fn cookie(&self, name: &str) -> Option<String> {
        Some(self.client.get_named_cookie(name).await.ok()?.value().to_owned())
    }

    pub async fn new_tab(&self) {
        let tab = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(tab.handle).await.unwrap();
    }

    /// Goes to the tab that was opened last.
    pub async fn last_tab(&self) {
        let tabs = self.until("another tab", async || {
            let tabs = self.client.windows().await.ok()?;
            (tabs.len() > 1).then_some(tabs)
        });
        self.client.switch_to_window(tabs.await.pop().unwrap()).await.unwrap();
    }

    /// Closes the tab and goes back to the first.
    pub async fn close_tab(&self) {
        self.client.close_window().await.unwrap();
        let first = self.client.windows().await.unwrap().swap_remove(0);
        self.client.switch_to_window(first).await.unwrap();
    }

    pub async fn key(&self, key: Key) {
        let key = char::from(key);
        let keys = KeyActions::new("keys".to_owned());
        let keys = keys.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        self.client.perform_actions(keys).await.unwrap();
    }

    pub async fn type_keys(&self, text: &str) {
        let mut keys = KeyActions::new("keys".to_owned());
        for value in text.chars() {
            keys = keys.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(keys).await.unwrap();
    }

    /// Goes there by the tab key, and can see that it is there.
    pub async fn tab_to(&self, place: &str) {
        let mut passed = Vec::new();
        for _ in 0..60 {
            self.key(Key::Tab).await;
            if self.is_focused(place).await {
                return;
            }
            let at = "return document.activeElement.id || document.activeElement.outerHTML.slice(0, 90)";
            passed.push(self.script(at, vec![]).await.to_string());
        }
        panic!("no tab leads to {place}; passed:\n{}", passed.join("\n"));
    }

    // What a person does.

    /// An account, and its person logged in: by the same requests as the forms', without typing.
    pub async fn join(&self, login_id: &str, name: &str) {
        self.goto("/login").await;
        self.enroll("/signup", login_id, name, "").await;
        self.goto("/dashboard").await;
    }

    /// The same for the first admin.
    pub async fn become_admin(&self, link: &str, login_id: &str) {
        self.goto(link).await;
        let token = link.split_once("token=").expect("a link with a token").1;
        self.enroll("/setup", login_id, "김선생", token).await;
        self.goto("/dashboard").await;
    }

    async fn enroll(&self, path: &str, login_id: &str, name: &str, token: &str) {
        let code = "
            const [path, login_id, name, token, done] = arguments;
            const csrf_token = document.querySelector('[name=csrf_token]').value;
            const post = (path, fields) =>
              fetch(path, { method: 'POST', body: new URLSearchParams({ csrf_token, ...fields }) });
            (async () => {
              const password = 'correct horse';
              const made = await post(path,
                { login_id, password, password_confirm: password, name, birth_date: '2004-05-17', token });
              const entered = await post('/login', { login_id, password });
              done([made.url, entered.url]);
            })().catch((error) => done(String(error)));";
        let arguments = [path, login_id, name, token].map(Value::from).to_vec();
        let ended = self.later(code, arguments).await;
        let ends = [format!("{}/login", self.address), format!("{}/dashboard", self.address)];
        assert_eq!(ended, json!(ends), "{login_id} could not join");
    }

    pub async fn log_in(&self, login_id: &str, password: &str) {
        self.goto("/login").await;
        self.fill("#login_id", login_id).await;
        self.fill("#password", password).await;
        self.click("form[action='/login'] button.btn--primary").await;
    }

    pub async fn log_out(&self) {
        self.click("details.account summary").await;
        self.click("form[action='/logout'] button").await;
        self.at("/login").await;
    }

    /// Rents a mini PC of this name and lands on the list.
    pub async fn rent(&self, name: &str) {
        self.goto("/instances/new").await;
        self.fill("#name", name).await;
        self.click("#launch-form button.btn--primary").await;
        self.at("/instances").await;
        self.see(&row(name)).await;
    }

    /// The id of a mini PC on the list.
    pub async fn instance(&self, name: &str) -> String {
        let id = self.attribute(&row(name), "id").await.expect("a row has an id");
        id.trim_start_matches("instance-").to_owned()
    }

    /// Starts a container with the two fields that have to be filled in, and lands on the list.
    pub async fn deploy(&self, name: &str, image: &str) {
        self.goto("/applications/new").await;
        self.fill("#name", name).await;
        self.fill("#image", image).await;
        self.click("#deploy-form button.btn--primary").await;
        self.at("/applications").await;
        self.see(&row(name)).await;
    }

    /// The id of a container on the list.
    pub async fn container(&self, name: &str) -> String {
        let id = self.attribute(&row(name), "id").await.expect("a row has an id");
        id.trim_start_matches("application-").to_owned()
    }

    /// Waits until the row says this.
    pub async fn settles(&self, name: &str, status: &str, limit: Duration) {
        let badge = format!("{}//*[@data-status][1]", row(name));
        self.until_for(limit, &format!("{name} to be {status}"), &mut async || {
            let element = self.client.find(Locator::XPath(&badge)).await.ok()?;
            (element.attr("data-status").await.ok()?.as_deref() == Some(status)).then_some(())
        })
        .await;
    }

    /// The same for somebody whose page does not refresh itself.
    pub async fn settles_by_reloading(&self, name: &str, status: &str, limit: Duration) {
        let badge = format!("{}//*[@data-status='{status}']", row(name));
        self.until_for(limit, &format!("{name} to be {status}"), &mut async || {
            if self.count(&badge).await > 0 {
                return Some(());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.reload().await;
            None
        })
        .await;
    }

    // Pictures.

    /// The size of the page in the window.
    pub async fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 768 });
        self.chromium("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// What the person's system prefers: a dark page, nothing that moves.
    pub async fn prefer(&self, theme: &str, motion: &str) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": theme },
            { "name": "prefers-reduced-motion", "value": motion },
        ]);
        self.chromium("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    pub async fn picture(&self) -> Vec<u8> {
        self.chromium("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
        let shot = self.chromium("Page.captureScreenshot", json!({ "format": "png", "optimizeForSpeed": false })).await;
        base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    pub async fn choose_language(&self, lang: Lang) {
        self.click(&format!("button[name=lang][value={}]", lang.code())).await;
        self.has("html", "lang", lang.code()).await;
    }
}

/// The row of a mini PC or a container, on the list and on the dashboard.
pub fn row(name: &str) -> String {
    format!(
        "//*[contains(@class,'resource-row')][.//*[contains(@class,'resource-row__name') and normalize-space()='{name}']]"
    )
}
