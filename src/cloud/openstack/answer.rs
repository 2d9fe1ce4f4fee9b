//! What a service's answer means: the one place where HTTP status and body become a [`CloudError`].

use std::error::Error as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cloud::CloudError;

/// A service's own sentence is cut to this many characters.
const MAX_SENTENCE: usize = 500;
/// As much of a refusal is read; its sentence stands at its beginning.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// The longest pause that a service may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What a single exchange may cost.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// From sending the request to the last byte of the answer.
    pub(super) request: Duration,
    pub(super) max_bytes: usize,
}

impl Limits {
    /// Ends an exchange that takes too long. It is not repeated: the service may still be working at it.
    pub(super) async fn bound<T>(
        &self,
        service: &str,
        exchange: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, CloudError> {
        match tokio::time::timeout(self.request, exchange).await {
            Ok(result) => result,
            Err(_) => Err(CloudError::unavailable(format_args!(
                "{service} did not answer within {} seconds",
                self.request.as_secs_f32()
            ))),
        }
    }
}

/// An answer that was read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// Reads the body, up to the limit. A longer one is an error when the answer was a success; of a refusal only the
    /// beginning is read.
    pub(super) async fn read(mut response: Response, limits: &Limits) -> Result<Self, CloudError> {
        let status = response.status();
        let limit = if status.is_success() { limits.max_bytes } else { MAX_REFUSAL_BYTES.min(limits.max_bytes) };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|err| no_answer("the service", &err))? {
            let room = limit.saturating_sub(body.len());
            if chunk.len() > room && status.is_success() {
                return Err(CloudError::unavailable(format_args!("an answer of more than {limit} bytes")));
            }
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                break;
            }
        }
        Ok(Self { status, headers: response.headers().clone(), body })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The service's name for this exchange, for its own logs.
    pub(super) fn request_id(&self) -> &str {
        self.header("x-openstack-request-id").or_else(|| self.header("x-compute-request-id")).unwrap_or_default()
    }

    /// The body as one line of text, for what has no JSON to say.
    pub(super) fn text(&self) -> String {
        sentence(&String::from_utf8_lossy(&self.body))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as what it should be.
    pub(super) fn json<T: DeserializeOwned>(&self, service: &str) -> Result<T, CloudError> {
        serde_json::from_slice(&self.body).map_err(|err| {
            // Where, not what: the parser quotes what it found, and that may be a secret or 10 MB long.
            tracing::warn!(service, line = err.line(), column = err.column(), "an answer that makes no sense");
            CloudError::unavailable(format_args!("{service}'s answer makes no sense (is it {service} that answers?)"))
        })
    }

    /// What a status other than 2xx means. Only JSON is taken as the word of the service itself: an error page comes
    /// from something in front of it, and its 404 is no proof that a machine is gone.
    pub(super) fn refusal(&self, service: &str) -> CloudError {
        let Some(sentence) = self.sentence() else { return self.unavailable(service, "no reason given") };
        match self.status.as_u16() {
            401 => CloudError::unavailable(format_args!(
                "{service} refuses the token (401) even after a new login: {sentence}. Are the clocks of the cloud's \
                 machines right, and is {service} able to reach Keystone?"
            )),
            403 | 409 | 413 if self.is_quota(&sentence) => CloudError::QuotaExceeded(sentence),
            404 if !self.is_own_not_found() => self.unavailable(service, &sentence),
            404 | 410 => CloudError::NotFound(sentence),
            409 => CloudError::Conflict(sentence),
            413 if self.retry_after().is_some() => self.unavailable(service, &sentence),
            408 | 425 | 429 => self.unavailable(service, &sentence),
            400..=499 => CloudError::Rejected(sentence),
            _ => self.unavailable(service, &sentence),
        }
    }

    fn unavailable(&self, service: &str, sentence: &str) -> CloudError {
        let message = match self.status.as_u16() {
            401 => format!("{service} refuses the token (401) even after a new login"),
            300..=399 => format!("{service} sends us elsewhere ({}); check its address in the catalogue", self.status),
            _ => format!("{service} answered {}: {sentence}", self.status),
        };
        CloudError::Unavailable { message, retry_after: self.retry_after() }
    }

    /// Whether it is Nova or Neutron that does not know the object, and not a gateway that does not know the service.
    fn is_own_not_found(&self) -> bool {
        self.value().is_some_and(|body| body.get("itemNotFound").is_some() || body.get("NeutronError").is_some())
    }

    /// Nova: 403 "Quota exceeded for …", for key pairs "Quota exceeded, too many key pairs."; 413 `overLimit`; Neutron:
    /// 409 of the type OverQuota.
    fn is_quota(&self, sentence: &str) -> bool {
        let overlimit = self.value().is_some_and(|body| body.get("overLimit").is_some());
        let sentence = sentence.to_lowercase();
        sentence.contains("quota")
            || sentence.contains("maximum number of")
            || (overlimit && self.retry_after().is_none())
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let pause = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let until = DateTime::parse_from_rfc2822(text).ok()?;
                (until.with_timezone(&Utc) - self.date()?).to_std().unwrap_or_default()
            }
        };
        Some(pause.min(MAX_RETRY_AFTER))
    }

    /// The service's own clock.
    fn date(&self) -> Option<DateTime<Utc>> {
        Some(DateTime::parse_from_rfc2822(self.header("date")?).ok()?.with_timezone(&Utc))
    }

    fn value(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The service's own sentence about what went wrong, if the body is JSON.
    pub(super) fn sentence(&self) -> Option<String> {
        let body = self.value().filter(Value::is_object)?;
        find_sentence(&body).map(sentence)
    }
}

/// `{"badRequest": {"message": …}}` (Nova), `{"NeutronError": {"message": …}}`, `{"error": {"message": …}}` (Keystone),
/// `{"message": …}`, `{"errors": [{"detail": …}]}`, `{"NeutronError": …}`.
fn find_sentence(body: &Value) -> Option<&str> {
    const KEYS: [&str; 4] = ["message", "detail", "title", "faultstring"];
    let text = |value: &'_ Value| value.is_string();
    let own = KEYS.iter().find_map(|key| body.get(key).filter(|value| text(value)));
    let inner = || match body {
        Value::Object(map) => map.values().find_map(|value| value.as_str().or_else(|| find_sentence(value))),
        Value::Array(list) => list.first().and_then(find_sentence),
        _ => None,
    };
    own.and_then(Value::as_str).or_else(inner).filter(|text| !text.trim().is_empty())
}

/// A text of the cloud as one line of bounded length.
pub(super) fn sentence(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MAX_SENTENCE)
        .collect()
}

/// No answer, or one that broke off; with the causes, for a wrong certificate is at their end.
pub(super) fn no_answer(service: &str, err: &reqwest::Error) -> CloudError {
    let mut message = format!("no answer from {service}");
    let mut cause = err.source();
    while let Some(err) = cause {
        message = format!("{message}: {err}");
        cause = err.source();
    }
    CloudError::unavailable(sentence(&message))
}

#[cfg(test)]
mod tests;
