//! One request to Swift and what its answer means.

use std::time::Instant;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::cause::Cause;
use crate::cloud::CloudError;
use crate::cloud::objects::ObjectKey;
use crate::cloud::openstack::answer::{Answer, no_answer};
use crate::cloud::openstack::keystone::Token;
use crate::cloud::openstack::session::{Service, Session};

const SERVICE: &str = "Swift";
/// What may stand in a path as it is: unreserved characters (RFC 3986, 2.3) and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A name as part of a path.
pub(super) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, PATH).to_string()
}

/// A request to be sent.
#[must_use]
pub(super) struct Request<'a> {
    session: &'a Session,
    pub(super) method: Method,
    /// What follows the account's address, encoded.
    path: String,
    query: Vec<(&'static str, String)>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    patience: u32,
    cause: Cause,
}

impl<'a> Request<'a> {
    pub(super) fn new(session: &'a Session, method: Method) -> Self {
        let (path, query, headers) = (String::new(), Vec::new(), Vec::new());
        Self { session, method, path, query, headers, body: None, patience: 1, cause: Cause::current() }
    }

    pub(super) fn container(mut self, container: &str) -> Self {
        self.path = format!("/{}", encoded(container));
        self
    }

    pub(super) fn object(self, container: &str, key: &ObjectKey) -> Self {
        self.named(container, key.as_str())
    }

    /// An object by a name that was listed, of which others may have made any.
    pub(super) fn named(mut self, container: &str, name: &str) -> Self {
        self.path = format!("/{}/{}", encoded(container), encoded(name));
        self
    }

    pub(super) fn query(mut self, key: &'static str, value: impl ToString) -> Self {
        self.query.push((key, value.to_string()));
        self
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    /// How many times its usual time limit it has.
    pub(super) fn patience(mut self, patience: u32) -> Self {
        self.patience = patience;
        self
    }

    /// Sends it; when its token is refused, once more with a new one. A status other than 2xx is an error.
    pub(super) async fn send(self) -> Result<Answer, CloudError> {
        let token = self.session.token().await?;
        let mut answer = self.once(&token).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            let token = self.session.token_after(&token).await?;
            answer = self.once(&token).await?;
        }
        if answer.status.is_success() { Ok(answer) } else { Err(refusal(&answer, self.is_conditional())) }
    }

    pub(super) fn is_conditional(&self) -> bool {
        self.headers.iter().any(|(name, value)| name == "if-none-match" && value == "*")
    }

    async fn once(&self, token: &Token) -> Result<Answer, CloudError> {
        let _place = self.session.place(Service::Objects).await?;
        let mut limits = self.session.limits().clone();
        limits.request = limits.request.saturating_mul(self.patience);
        let mut request = self.prepared(self.session.http(), token)?;
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let began = Instant::now();
        let exchange = async {
            let response = request.send().await.map_err(|error| no_answer(SERVICE, &error))?;
            Answer::read(response, &limits).await
        };
        let result = limits.bound(SERVICE, exchange).await;
        self.log(&result, began);
        result
    }

    /// Everything but a body.
    pub(super) fn prepared(&self, http: &Client, token: &Token) -> Result<reqwest::RequestBuilder, CloudError> {
        let (name, value) = token.header();
        let mut request = http.request(self.method.clone(), self.url(token)?).header(name, value);
        request = request.header("x-trans-id-extra", self.cause.transaction_suffix());
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        for (name, value) in &self.headers {
            let unfit = || CloudError::Rejected("a text that can't be part of a request".to_owned());
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
            request = request.header(name, HeaderValue::from_str(value).map_err(|_| unfit())?);
        }
        Ok(request)
    }

    fn url(&self, token: &Token) -> Result<Url, CloudError> {
        let mut url = self.session.base(Service::Objects, token)?;
        let path = format!("{}{}", url.path().trim_end_matches('/'), self.path);
        url.set_path(&path);
        // The last guard against a name that would lead elsewhere: what is asked for is what was meant.
        if url.path() == path {
            Ok(url)
        } else {
            Err(CloudError::Rejected("a name that can't be part of an address".to_owned()))
        }
    }

    fn log(&self, result: &Result<Answer, CloudError>, began: Instant) {
        let (took_ms, cause) = (began.elapsed().as_millis(), self.cause);
        // Names of files are nobody's business in a log.
        let container = self.path.split('/').nth(1).unwrap_or_default();
        match result {
            Ok(answer) if answer.status.is_server_error() => tracing::warn!(
                method = %self.method, container, status = answer.status.as_u16(), request_id = answer.request_id(), %cause, took_ms,
                "Swift refused"
            ),
            Ok(answer) => tracing::debug!(
                method = %self.method, container, status = answer.status.as_u16(), request_id = answer.request_id(), %cause, took_ms,
                "Swift answered"
            ),
            Err(error) => {
                tracing::warn!(method = %self.method, container, %error, %cause, took_ms, "no answer from Swift")
            }
        }
    }
}

/// What a status other than 2xx means. Swift gives every answer an id; an answer without one comes from something in
/// front of it, and its 404 is no proof that anything is gone.
pub(super) fn refusal(answer: &Answer, conditional: bool) -> CloudError {
    let status = answer.status.as_u16();
    let words = sentence_of(answer);
    let unavailable = |words: String| CloudError::Unavailable { message: words, retry_after: answer.retry_after() };
    if answer.header("x-trans-id").is_none() {
        return unavailable(format!("{status}, and not from Swift itself: {words}"));
    }
    match status {
        401 => unavailable("Swift refuses the token (401) even after a new login".to_owned()),
        404 | 410 => CloudError::NotFound(words),
        409 => CloudError::Conflict(words),
        412 if conditional => CloudError::Conflict("there is one of this name".to_owned()),
        413 if answer.retry_after().is_none() => CloudError::QuotaExceeded(words),
        507 => CloudError::QuotaExceeded("the storage is full (507)".to_owned()),
        408 | 413 | 422 | 425 | 429 | 498 | 499 | 500..=599 => unavailable(format!("Swift answered {status}: {words}")),
        300..=399 => unavailable(format!("Swift sends us elsewhere ({status}); check its address in the catalogue")),
        _ => CloudError::Rejected(words),
    }
}

/// Its words without their tags: `<html><h1>Conflict</h1><p>There was a conflict …</p></html>`.
fn sentence_of(answer: &Answer) -> String {
    let mut words = String::new();
    let mut tag = false;
    for c in answer.text().chars() {
        match c {
            '<' => tag = true,
            '>' => {
                tag = false;
                words.push(' ');
            }
            c if !tag => words.push(c),
            _ => {}
        }
    }
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { format!("status {}", answer.status.as_u16()) } else { words }
}

#[derive(Deserialize)]
struct BulkAnswer {
    #[serde(rename = "Response Status", default)]
    status: String,
    #[serde(rename = "Response Body", default)]
    body: String,
    #[serde(rename = "Errors", default)]
    errors: Vec<(String, String)>,
}

/// Bulk deletion answers 200 whatever happened; the truth is in its body. What was gone already is no error there.
pub(super) fn bulk_outcome(answer: &Answer) -> Result<(), CloudError> {
    // Spaces come before it while Swift works.
    let text = answer.bytes().trim_ascii_start();
    let said: BulkAnswer = serde_json::from_slice(text).map_err(|_| {
        CloudError::unavailable("Swift's answer to a bulk deletion makes no sense (has it bulk deletion?)")
    })?;
    if let Some((_, status)) = said.errors.first() {
        return Err(CloudError::unavailable(format_args!(
            "{} of the objects could not be deleted: {status}",
            said.errors.len()
        )));
    }
    // "Number Deleted: 0" with everything gone already is 404.
    if said.status.starts_with('2') || said.status.starts_with("404") {
        return Ok(());
    }
    Err(CloudError::unavailable(format_args!("bulk deletion: {} {}", said.status, said.body)))
}
