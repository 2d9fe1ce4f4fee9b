//! What the portal answered, and how tests look at it: by element id, `data-status` and text.

use actix_web::cookie::Cookie;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use scraper::{ElementRef, Html, Selector};

#[derive(Debug, Clone)]
pub struct Answer {
    pub what: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

/// Of an answer that goes on for as long as somebody looks: all up to the first event.
async fn beginning(what: &str, mut response: reqwest::Response) -> reqwest::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.windows(7).any(|window| window == b"event: ") {
        match tokio::time::timeout(std::time::Duration::from_secs(20), response.chunk()).await {
            Ok(chunk) => match chunk? {
                Some(chunk) => bytes.extend_from_slice(&chunk),
                None => break,
            },
            Err(_) => panic!("{what}: no event in time"),
        }
    }
    Ok(bytes)
}

fn text_of(element: ElementRef<'_>) -> String {
    element.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Answer {
    pub async fn of(what: String, response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let goes_on = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let bytes = if goes_on { beginning(&what, response).await } else { response.bytes().await.map(|b| b.to_vec()) };
        let bytes = bytes.unwrap_or_else(|error| panic!("{what}: {error}"));
        Self { what, status, headers, bytes }
    }

    /// As text; an archive has none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.body()))
    }

    pub fn body(&self) -> String {
        if self.header("content-type") == "application/zip" {
            return String::new();
        }
        String::from_utf8(self.bytes.clone()).unwrap_or_else(|_| panic!("{}: the body is no UTF-8", self.what))
    }

    /// Fails unless this is the status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.what, self.main());
        self
    }

    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// Where a redirect leads.
    #[track_caller]
    pub fn leads_to(&self, target: &str) {
        assert_eq!(
            (self.status.as_u16(), self.header("location").as_str()),
            (303, target),
            "{}: {}",
            self.what,
            self.main()
        );
    }

    pub fn cookies(&self) -> Vec<Cookie<'static>> {
        let lines = self.headers.get_all("set-cookie").iter();
        lines.map(|line| Cookie::parse(line.to_str().unwrap().to_owned()).unwrap()).collect()
    }

    pub fn cookie(&self, name: &str) -> Option<Cookie<'static>> {
        self.cookies().into_iter().find(|cookie| cookie.name() == name)
    }

    /// The body as a page. A row of a table alone is put into one, as browsers' template elements do.
    pub fn html(&self) -> Html {
        let body = self.body();
        if body.trim_start().starts_with("<tr") {
            Html::parse_document(&format!("<table><tbody>{body}</tbody></table>"))
        } else {
            Html::parse_document(&body)
        }
    }

    /// The text of the first element that fits.
    pub fn text(&self, selector: &str) -> Option<String> {
        self.html().select(&Selector::parse(selector).unwrap()).next().map(text_of)
    }

    pub fn texts(&self, selector: &str) -> Vec<String> {
        self.html().select(&Selector::parse(selector).unwrap()).map(text_of).collect()
    }

    /// An attribute of the first element that fits.
    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        self.html().select(&Selector::parse(selector).unwrap()).next()?.attr(name).map(str::to_owned)
    }

    pub fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let html = self.html();
        html.select(&Selector::parse(selector).unwrap()).filter_map(|e| e.attr(name)).map(str::to_owned).collect()
    }

    pub fn has(&self, selector: &str) -> bool {
        self.html().select(&Selector::parse(selector).unwrap()).next().is_some()
    }

    /// The text of an element that has to be there.
    #[track_caller]
    pub fn said(&self, selector: &str) -> String {
        self.text(selector).unwrap_or_else(|| panic!("{}: no {selector}: {}", self.what, self.main()))
    }

    /// What stands below a field.
    pub fn error_of(&self, field: &str) -> String {
        self.text(&format!("[id='{field}-error']")).unwrap_or_default()
    }

    /// What stands in a field.
    #[track_caller]
    pub fn value_of(&self, field: &str) -> String {
        let found = self.attribute(&format!("input[name='{field}']"), "value");
        found.unwrap_or_else(|| panic!("{}: no value of {field}", self.what))
    }

    /// The text in front of the reader, without icons and menus.
    pub fn main(&self) -> String {
        self.text("main").unwrap_or_else(|| self.body())
    }

    /// Fields that have an error, in order of the page.
    pub fn fields_with_errors(&self) -> Vec<String> {
        let ids = self.attributes("[id$='-error']", "id");
        ids.into_iter().map(|id| id.trim_end_matches("-error").to_owned()).collect()
    }

    /// The body without what differs from request to request: the request's id and the form token.
    pub fn comparable(&self) -> String {
        let mut body = self.body();
        for id in self.texts(".fail__id code").into_iter().chain(self.attributes("input[name=csrf_token]", "value")) {
            body = body.replace(&id, "…");
        }
        body
    }
}
