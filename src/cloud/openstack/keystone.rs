//! The token that all requests share: fetched when it is first needed, renewed before it expires, and renewed once for
//! all who were refused with it.
//!
//! An own [`AuthType`] because those of `osauth` never retry a 401, log in again for every call when tokens live for
//! less than ten minutes, and read answers of any size.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use osauth::{AuthType, EndpointFilters, Error, ErrorKind};
use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use url::Url;

use super::answer::{self, Answer};
use super::credentials::Credentials;
use super::flight::Flight;
use super::lenient::lenient;
use super::session::REQUEST_ID_HEADER;
use crate::cause::Cause;
use crate::cloud::CloudError;

/// How long to go on with a token that still works after a renewal ahead of time has failed.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// A token is renewed when this much of its life, or a fifth of it if that is less, remains.
const RENEWAL_MARGIN: Duration = Duration::from_secs(600);
/// Assumed when Keystone does not say when it issued a token (it always does).
const UNKNOWN_LIFE: Duration = Duration::from_secs(600);
const TOKEN_HEADER: &str = "x-auth-token";

/// Keystone, and what it told us last. Clones share it.
#[derive(Clone)]
pub(super) struct Keystone(Arc<Inner>);

struct Inner {
    credentials: Credentials,
    tokens: Flight<Token>,
    generations: AtomicU64,
    renewal_failed: Mutex<Option<Instant>>,
    limits: answer::Limits,
}

/// A token and the catalogue that came with it.
pub(super) struct Token {
    /// Counts logins: a refusal of an older token is no reason to throw away this one.
    pub(super) generation: u64,
    header: HeaderValue,
    /// By our own clock's passing and the length of life that Keystone gave, so that clocks may differ.
    fresh_until: Instant,
    valid_until: Instant,
    catalogue: Vec<CatalogueEntry>,
    pub(super) project_id: String,
    /// `user in project`, for `check`.
    pub(super) who: String,
    pub(super) life: Duration,
}

#[derive(Debug, Default, Deserialize)]
struct CatalogueEntry {
    #[serde(rename = "type", default, deserialize_with = "lenient")]
    kind: String,
    #[serde(default, deserialize_with = "lenient")]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Default, Deserialize)]
struct Endpoint {
    #[serde(default, deserialize_with = "lenient")]
    interface: String,
    /// `region` was the only one once, and still stands beside it.
    #[serde(default, deserialize_with = "lenient")]
    region_id: String,
    #[serde(default, deserialize_with = "lenient")]
    region: String,
    #[serde(default, deserialize_with = "lenient")]
    url: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: TokenBody,
}

#[derive(Deserialize)]
struct TokenBody {
    expires_at: DateTime<Utc>,
    #[serde(default, deserialize_with = "lenient")]
    issued_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient")]
    catalog: Vec<CatalogueEntry>,
    #[serde(default, deserialize_with = "lenient")]
    project: Entity,
    #[serde(default, deserialize_with = "lenient")]
    user: Entity,
}

#[derive(Default, Deserialize)]
struct Entity {
    #[serde(default, deserialize_with = "lenient")]
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    name: String,
}

impl Keystone {
    pub(super) fn new(credentials: Credentials, limits: answer::Limits) -> Self {
        Self(Arc::new(Inner {
            credentials,
            tokens: Flight::default(),
            generations: AtomicU64::new(0),
            renewal_failed: Mutex::new(None),
            limits,
        }))
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// A token that is good for some time yet, and is not of the `refused` generation. However many ask at once, there
    /// is one login.
    pub(super) async fn token(&self, http: &Client, refused: Option<u64>) -> Result<Arc<Token>, CloudError> {
        self.token_at(Instant::now(), http, refused).await
    }

    async fn token_at(&self, now: Instant, http: &Client, refused: Option<u64>) -> Result<Arc<Token>, CloudError> {
        let good = |token: &Token| Some(token.generation) != refused && now < token.fresh_until;
        let working = self.0.tokens.current().filter(|t| Some(t.generation) != refused && now < t.valid_until);
        if let Some(token) = working.as_ref().filter(|_| self.paused(now)) {
            return Ok(token.clone());
        }
        match (self.0.tokens.get(good, self.login(http)).await, working) {
            (Err(err), Some(token)) => {
                tracing::warn!(error = %err, "the token could not be renewed ahead of time");
                *self.0.renewal_failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
                Ok(token)
            }
            (result, _) => result,
        }
    }

    /// Logs in anew, whatever there is (for `check`).
    pub(super) async fn fresh_token(&self, http: &Client) -> Result<Arc<Token>, CloudError> {
        let now = self.0.tokens.current().map(|token| token.generation);
        self.token(http, now).await
    }

    fn paused(&self, now: Instant) -> bool {
        let failed = *self.0.renewal_failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| now.saturating_duration_since(at) < RENEWAL_PAUSE)
    }

    async fn login(&self, http: &Client) -> Result<Token, CloudError> {
        let url = format!("{}/auth/tokens", self.0.credentials.auth_url);
        let request = async {
            let response = http
                .post(&url)
                .header(REQUEST_ID_HEADER, Cause::current().global_request_id())
                .json(&self.0.credentials.token_request())
                .send()
                .await;
            Answer::read(response.map_err(|err| answer::no_answer("Keystone", &err))?, &self.0.limits).await
        };
        let answer = self.0.limits.bound("Keystone", request).await?;
        let token = self.accept(&answer)?;
        tracing::info!(generation = token.generation, life_seconds = token.life.as_secs(), "logged in to Keystone");
        Ok(token)
    }

    fn accept(&self, answer: &Answer) -> Result<Token, CloudError> {
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(CloudError::unavailable(format_args!(
                "Keystone refuses the login (401: {}); check user, password, project and domains, or the application \
                 credential, in {}",
                answer.sentence().unwrap_or_default(),
                self.0.credentials.source
            )));
        }
        if !answer.status.is_success() {
            return Err(self.refused(answer));
        }
        let header = answer.header("x-subject-token").and_then(|value| HeaderValue::from_str(value).ok());
        let (Some(mut header), Ok(body)) = (header, answer.json::<TokenAnswer>("Keystone")) else {
            return Err(CloudError::unavailable(format_args!(
                "what answers at {} is not Keystone, or its answer makes no sense; check auth_url",
                self.0.credentials.auth_url
            )));
        };
        header.set_sensitive(true);
        Ok(self.token_from(header, body.token))
    }

    /// Any other refusal. None of them says anything about what the caller asked of another service.
    fn refused(&self, answer: &Answer) -> CloudError {
        let refusal = answer.refusal("Keystone");
        let retry_after = match &refusal {
            CloudError::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        };
        let message = format!("no login at {} (status {}): {refusal}", self.0.credentials.auth_url, answer.status);
        CloudError::Unavailable { message, retry_after }
    }

    fn token_from(&self, header: HeaderValue, body: TokenBody) -> Token {
        let life = match body.issued_at {
            Some(issued) => (body.expires_at - issued).to_std().unwrap_or_default(),
            None => UNKNOWN_LIFE,
        };
        let now = Instant::now();
        let valid_until = now.checked_add(life).unwrap_or(now);
        Token {
            generation: self.0.generations.fetch_add(1, Ordering::SeqCst) + 1,
            header,
            fresh_until: valid_until.checked_sub(RENEWAL_MARGIN.min(life / 5)).unwrap_or(now),
            valid_until,
            catalogue: body.catalog,
            project_id: body.project.id,
            who: format!("user {} in project {}", body.user.name, body.project.name),
            life,
        }
    }
}

impl Token {
    /// The header that carries it.
    pub(super) fn header(&self) -> (&'static str, HeaderValue) {
        (TOKEN_HEADER, self.header.clone())
    }

    /// The address of a service (by its type in the catalogue) for the region and interface that we were told to use.
    ///
    /// # Errors
    /// Say what the catalogue has instead.
    pub(super) fn endpoint(&self, kind: &str, credentials: &Credentials) -> Result<Url, CloudError> {
        let offered: Vec<&Endpoint> = self
            .catalogue
            .iter()
            .filter(|entry| entry.kind == kind)
            .flat_map(|entry| &entry.endpoints)
            .filter(|endpoint| endpoint.interface.trim_end_matches("URL") == credentials.interface)
            .collect();
        let mut regions: Vec<&str> = offered.iter().map(|endpoint| endpoint.region()).collect();
        regions.sort_unstable();
        regions.dedup();
        let wanted = match (&credentials.region, regions.as_slice()) {
            (_, []) => return Err(self.no_endpoint(kind, credentials)),
            (Some(region), regions) if regions.contains(&region.as_str()) => region.as_str(),
            (Some(region), regions) => {
                return Err(CloudError::unavailable(format_args!(
                    "the service catalogue has no {kind} service in region {region}; it has: {}. Set region_name in {}",
                    regions.join(", "),
                    credentials.source
                )));
            }
            (None, [only]) => *only,
            (None, regions) => {
                return Err(CloudError::unavailable(format_args!(
                    "the cloud has several regions ({}); set region_name in {}",
                    regions.join(", "),
                    credentials.source
                )));
            }
        };
        let text = offered.iter().find(|endpoint| endpoint.region() == wanted).map_or("", |endpoint| &endpoint.url);
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
            _ => Err(CloudError::unavailable(format_args!("the catalogue's address of the {kind} service is no URL"))),
        }
    }

    fn no_endpoint(&self, kind: &str, credentials: &Credentials) -> CloudError {
        if self.catalogue.is_empty() {
            return CloudError::unavailable(format_args!(
                "the login has no service catalogue: is a project set in {}?",
                credentials.source
            ));
        }
        let kinds: Vec<&str> = self.catalogue.iter().map(|entry| entry.kind.as_str()).collect();
        CloudError::unavailable(format_args!(
            "the service catalogue has no {kind} service with interface {}; it has: {}",
            credentials.interface,
            kinds.join(", ")
        ))
    }
}

impl Endpoint {
    fn region(&self) -> &str {
        if self.region_id.is_empty() { &self.region } else { &self.region_id }
    }
}

impl fmt::Debug for Keystone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystone").field("auth_url", &self.0.credentials.auth_url.as_str()).finish_non_exhaustive()
    }
}

/// For users of the shared [`osauth::Session`]. Our own calls ask [`Keystone::token`] first, so what is done here is to
/// look it up.
#[async_trait]
impl AuthType for Keystone {
    async fn authenticate(&self, client: &Client, request: RequestBuilder) -> Result<RequestBuilder, Error> {
        let token = self.token(client, None).await.map_err(to_osauth)?;
        Ok(request.header(TOKEN_HEADER, token.header.clone()))
    }

    async fn get_endpoint(&self, client: &Client, kind: &str, _: &EndpointFilters) -> Result<Url, Error> {
        let token = self.token(client, None).await.map_err(to_osauth)?;
        token.endpoint(kind, &self.0.credentials).map_err(to_osauth)
    }

    /// Nothing: a session is made without asking Keystone, which may be down when the portal starts. Renewal needs to
    /// know which token was refused ([`Keystone::token`]).
    async fn refresh(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }
}

fn to_osauth(err: CloudError) -> Error {
    Error::new(ErrorKind::OperationFailed, err.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use serde_json::json;

    use super::*;
    use crate::cloud::openstack::testing::{Cloud, Reply};

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_token_is_renewed_before_it_expires_and_serves_on_when_that_fails() {
        let down = Arc::new(AtomicBool::new(false));
        let switch = down.clone();
        let cloud = Cloud::start(move |_| switch.load(Ordering::SeqCst).then(|| Reply::Json(503, json!({})))).await;
        let limits = answer::Limits { request: MINUTE, max_bytes: 65536 };
        let (keystone, http, start) = (Keystone::new(cloud.credentials(), limits), Client::new(), Instant::now());
        let at = async |minutes: u32| keystone.token_at(start + MINUTE * minutes, &http, None).await;

        assert_eq!(at(0).await.unwrap().generation, 1);
        assert_eq!(at(49).await.unwrap().generation, 1);
        down.store(true, Ordering::SeqCst);
        assert_eq!(at(55).await.unwrap().generation, 1, "Keystone is down, the token still works");
        assert_eq!(at(55).await.unwrap().generation, 1);
        assert_eq!(cloud.logins(), 2, "and Keystone is left alone for a while");
        assert!(at(61).await.is_err(), "it has expired");
        down.store(false, Ordering::SeqCst);
        assert_eq!(at(62).await.unwrap().generation, 2);
    }
}
