//! Somebody with a browser, as far as it matters: cookies, forms, and reading what stands on a page.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use scraper::{ElementRef, Html, Selector};

use super::lab::remember_row;
use super::until;

const PASSWORD: &str = "correct horse 42";

/// No answer of the portal may take longer, whatever the cloud does.
const PATIENCE: Duration = Duration::from_secs(15);

pub struct Person {
    http: Client,
    base: String,
    pub login: String,
    cookies: Mutex<BTreeMap<String, String>>,
    csrf_token: Mutex<String>,
}

pub struct Page {
    pub status: StatusCode,
    pub location: String,
    pub body: String,
}

/// A row of the list.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub status: String,
    pub why: String,
}

/// The page of one.
#[derive(Debug, Clone)]
pub struct Detail {
    pub status: String,
    pub ip: String,
    pub floating: String,
    /// Nova's id.
    pub cloud_id: String,
    /// The whole page as text.
    pub text: String,
    pub age: String,
}

pub fn select<'a>(scope: ElementRef<'a>, css: &str) -> Vec<ElementRef<'a>> {
    scope.select(&Selector::parse(css).unwrap()).collect()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn first_text(scope: ElementRef<'_>, css: &str) -> String {
    select(scope, css).first().map(|element| text(*element)).unwrap_or_default()
}

pub fn status(scope: ElementRef<'_>) -> String {
    let badge = select(scope, "[data-status]");
    badge.first().and_then(|badge| badge.attr("data-status")).unwrap_or_default().to_owned()
}

impl Page {
    /// All that stands on it.
    pub fn text(&self) -> String {
        text(Html::parse_document(&self.body).root_element())
    }
}

impl Person {
    pub fn new(base: &str, login: &str) -> Self {
        // The portal closes a connection that was idle for 5 s: one that it may be closing right now is not used again.
        let http = Client::builder().pool_idle_timeout(Duration::from_secs(1)).timeout(PATIENCE);
        let http = http.redirect(redirect::Policy::none()).build().unwrap();
        Self {
            http,
            base: base.to_owned(),
            login: login.to_owned(),
            cookies: Mutex::default(),
            csrf_token: Mutex::default(),
        }
    }

    /// The same browser, after the portal was started again at another address.
    pub fn moved(&mut self, base: &str) {
        base.clone_into(&mut self.base);
    }

    /// The same login at another portal process.
    pub fn also_at(&self, base: &str) -> Self {
        let also = Self::new(base, &self.login);
        also.cookies.lock().unwrap().clone_from(&self.cookies.lock().unwrap());
        also.csrf_token.lock().unwrap().clone_from(&self.csrf_token.lock().unwrap());
        also
    }

    /// The cookies as a browser sends them, and the token of its forms, for a tool that does the same.
    pub fn cookie_header(&self) -> String {
        self.cookies
            .lock()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    pub fn token(&self) -> String {
        self.csrf_token.lock().unwrap().clone()
    }

    /// A new credential of a bucket, for tools.
    pub async fn bucket_token(&self, bucket: &str) -> String {
        let path = format!("/buckets/{bucket}/tools");
        let page = self.post(&path, &[("days", "1"), ("writes", "1")]).await;
        assert_eq!((page.status.as_u16(), page.location.as_str()), (303, path.as_str()), "{}", page.text());
        let html = Html::parse_document(&self.get(&path).await.body);
        first_text(html.root_element(), ".links__url code")
    }

    /// The texts of a page's elements, as they are copied.
    pub async fn codes(&self, path: &str, css: &str) -> Vec<String> {
        let html = Html::parse_document(&self.get(path).await.body);
        select(html.root_element(), css).into_iter().map(|code| code.text().collect()).collect()
    }

    async fn send(&self, request: RequestBuilder) -> Result<Page, reqwest::Error> {
        let cookies = self.cookies.lock().unwrap().iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        let answer = request.header(COOKIE, cookies.join("; ")).header("accept-language", "ko").send().await?;
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let gone = value.is_empty() || rest.to_ascii_lowercase().contains("max-age=0");
            let mut jar = self.cookies.lock().unwrap();
            if gone {
                jar.remove(name)
            } else {
                jar.insert(name.to_owned(), value.to_owned())
            };
        }
        let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default().to_owned();
        let (status, body) = (answer.status(), answer.text().await?);
        if let Some((_, rest)) = body.split_once("name=\"csrf_token\" value=\"") {
            rest.split('"').next().unwrap().clone_into(&mut self.csrf_token.lock().unwrap());
        }
        Ok(Page { status, location, body })
    }

    pub async fn get(&self, path: &str) -> Page {
        let page = self.send(self.http.get(format!("{}{path}", self.base))).await;
        page.unwrap_or_else(|error| panic!("GET {path}: {error:?}"))
    }

    /// Sends a form, with the token of the last page that had one.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.try_post(path, fields).await.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    pub async fn try_post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Page, reqwest::Error> {
        let token = self.csrf_token.lock().unwrap().clone();
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf_token", token.as_str())]).collect();
        let request = self.http.post(format!("{}{path}", self.base)).header("origin", &self.base).form(&fields);
        self.send(request).await
    }

    pub async fn sign_up(&self, path: &str, more: &[(&str, &str)]) {
        if path == "/signup" {
            self.get(path).await;
        }
        let mut fields =
            vec![("login_id", self.login.as_str()), ("password", PASSWORD), ("password_confirm", PASSWORD)];
        fields.extend([("name", "이하늘"), ("birth_date", "2004-05-17")]);
        fields.extend(more);
        let page = self.post(path, &fields).await;
        assert_eq!((page.status.as_u16(), page.location.as_str()), (303, "/login"), "{}", page.text());
    }

    pub async fn log_in(&self) {
        self.get("/login").await;
        let page = self.post("/login", &[("login_id", &self.login), ("password", PASSWORD)]).await;
        assert_eq!(page.status, 303, "{}", page.text());
        // Its forms carry the token of this session.
        assert_eq!(self.get("/instances/new").await.status, 200);
    }

    /// The id of a template by the name on its card.
    pub async fn template(&self, name: &str) -> String {
        let page = self.get("/instances/new").await;
        let html = Html::parse_document(&page.body);
        let cards = select(html.root_element(), ".template-card");
        let card = cards.into_iter().find(|card| first_text(*card, ".template-card__name") == name);
        let card = card.unwrap_or_else(|| panic!("no template {name}: {}", page.text()));
        select(card, "input[name=template_id]")[0].attr("value").unwrap().to_owned()
    }

    /// Asks for a mini PC, and returns the answer.
    pub async fn ask(&self, name: &str, template: &str) -> Page {
        self.post("/instances", &[("name", name), ("template_id", template)]).await
    }

    /// Rents a mini PC; returns its id.
    pub async fn rent(&self, name: &str, template: &str) -> String {
        let page = self.ask(name, template).await;
        assert_eq!((page.status.as_u16(), page.location.as_str()), (303, "/instances"), "{}", page.text());
        let rows = self.rows().await;
        let row = rows.iter().find(|row| row.name == name);
        row.unwrap_or_else(|| panic!("{name} is not in the list at once: {rows:?}")).id.clone()
    }

    /// The private key that the portal made with the last mini PC.
    pub async fn pick_up_key(&self) -> String {
        let page = self.post("/keys/pick-up", &[]).await;
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.body.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"), "no private key");
        page.body
    }

    pub async fn rows(&self) -> Vec<Row> {
        let page = self.get("/instances").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let html = Html::parse_document(&page.body);
        let rows = select(html.root_element(), "tr.resource-row").into_iter().map(|row| Row {
            id: row.attr("id").unwrap().trim_start_matches("instance-").to_owned(),
            name: first_text(row, ".resource-row__name"),
            status: status(row),
            why: first_text(row, ".resource-row__why"),
        });
        rows.inspect(|row| remember_row(&row.id)).collect()
    }

    /// The page of one; None when it is gone.
    pub async fn find(&self, id: &str) -> Option<Detail> {
        let page = self.get(&format!("/instances/{id}")).await;
        if page.status == 404 {
            return None;
        }
        assert_eq!(page.status, 200, "{}", page.text());
        let html = Html::parse_document(&page.body);
        let root = html.root_element();
        let fact = |name: &str| {
            let facts = select(root, "dl.facts > div").into_iter();
            let mut named = facts.filter(|fact| first_text(*fact, "dt") == name);
            named.next().map(|fact| first_text(fact, "dd code")).unwrap_or_default()
        };
        let head = select(root, &format!("#instance-{id}"));
        let head = head.first().unwrap_or_else(|| panic!("no #instance-{id}"));
        Some(Detail {
            status: status(*head),
            ip: fact("IP 주소"),
            floating: fact("바깥 주소"),
            cloud_id: fact("클라우드 번호"),
            age: first_text(*head, ".age"),
            text: page.text(),
        })
    }

    pub async fn show(&self, id: &str) -> Detail {
        self.find(id).await.unwrap_or_else(|| panic!("there is no {id}"))
    }

    /// Waits until a mini PC has a status, and says which ones it had on the way.
    pub async fn reaches(&self, id: &str, wanted: &str, seconds: u64) -> (Detail, Vec<String>) {
        let mut way: Vec<String> = Vec::new();
        let detail = until(wanted, seconds, async || {
            let detail = self.show(id).await;
            if way.last() != Some(&detail.status) {
                way.push(detail.status.clone());
            }
            if detail.status == wanted { Ok(detail) } else { Err(detail.text) }
        })
        .await;
        (detail, way)
    }

    pub async fn gone(&self, id: &str, seconds: u64) {
        until("gone", seconds, async || match self.find(id).await {
            None => Ok(()),
            Some(detail) => Err(detail.text),
        })
        .await;
    }

    /// `start`, `stop`, `reboot`, `delete`.
    pub async fn press(&self, id: &str, verb: &str) {
        let page = self.post(&format!("/instances/{id}/{verb}"), &[]).await;
        assert_eq!(page.status, 303, "{verb}: {}", page.text());
    }
}
