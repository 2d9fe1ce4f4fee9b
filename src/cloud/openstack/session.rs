//! The portal's one session with the cloud: every request goes through [`Call`], which bounds its time, its answer's
//! size and how many are under way, and repeats it once when its token was refused.
//!
//! Addresses are made from the token's catalogue by rule (`/v2.1`, `/v2.0`, `/v2`), not asked of each service: `osauth`
//! holds one lock for all services while it asks, so one service that hangs would block the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::FutureExt;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Instrument;
use url::Url;

use super::answer::{Answer, Limits};
use super::credentials::Credentials;
use super::keystone::{Keystone, Token};
use crate::cause::Cause;
use crate::cloud::CloudError;

/// How requests to OpenStack are bounded.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds to make a connection in, TLS included. Default 5.
    pub connect_seconds: u64,
    /// Seconds for a request, from sending it to the last byte of its answer; three times that for a launch, which Nova
    /// takes 1 to 4 seconds to accept, but more than 30 when it is busy. Default 30.
    pub request_seconds: u64,
    /// Requests under way at once, for each service: more than a few, and Nova answers none of them. Default 4.
    pub concurrency: usize,
    /// The largest answer that is read, in bytes. A page of 1,000 machines has about 3 MB. Default 32 MiB.
    pub max_response_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connect_seconds: 5, request_seconds: 30, concurrency: 4, max_response_bytes: 32 * 1024 * 1024 }
    }
}

/// How many times its own time limit a request may wait until others are done.
const QUEUE_FACTOR: u32 = 4;

/// How many times the time limit a [`Call::patient`] request has.
const PATIENCE: u32 = 3;

/// In which each request says whose it is (see [`Cause`]); in answers, the service's own id.
pub(super) const REQUEST_ID_HEADER: &str = "x-openstack-request-id";

/// Pages of 1,000; more machines than this are no classroom, but a service that hands out the same page for ever.
pub(super) const MAX_PAGES: usize = 100;

/// The services that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Compute,
    Network,
    Image,
    Objects,
}

impl Service {
    /// Its type in the service catalogue.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Network => "network",
            Self::Image => "image",
            Self::Objects => "object-store",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Compute => "Nova",
            Self::Network => "Neutron",
            Self::Image => "Glance",
            Self::Objects => "Swift",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Compute => "v2.1",
            Self::Network => "v2.0",
            Self::Image => "v2",
            Self::Objects => "v1",
        }
    }

    /// The address that the API's paths are appended to: the catalogue's, with the version unless it names one.
    fn base(self, catalogue: Url) -> Url {
        if catalogue.path().split('/').any(is_version) { catalogue } else { with_segments(catalogue, [self.version()]) }
    }
}

/// The session; made once, used by all.
pub(super) struct Session {
    osauth: osauth::Session,
    /// For bodies of any length: nothing but making a connection has a time limit in it.
    streams: Client,
    keystone: Keystone,
    limits: Limits,
    /// One for each service, so that one that hangs does not use up the others' places.
    compute: Semaphore,
    network: Semaphore,
    image: Semaphore,
    objects: Semaphore,
}

/// Calls to Swift under way at once, bodies not counted: it has a process for each few hundred, not one for all.
const OBJECT_PLACES: usize = 32;

impl Session {
    /// Contacts nobody.
    pub(super) fn new(credentials: Credentials, settings: &Settings) -> anyhow::Result<Self> {
        let seconds = |seconds: u64| Duration::from_secs(seconds.max(1));
        // For those who use the session for streams; our own calls end before that.
        let idle = seconds(settings.request_seconds).saturating_mul(PATIENCE + 1);
        let http = http_client(&credentials, settings)?.read_timeout(idle);
        let http = http.build().context("the HTTP client can't be made")?;
        let streams = http_client(&credentials, settings)?.build().context("the HTTP client can't be made")?;
        let limits = Limits {
            request: Duration::from_secs(settings.request_seconds.max(1)),
            max_bytes: settings.max_response_bytes,
        };
        let keystone = Keystone::new(credentials, limits.clone());
        let osauth = osauth::Session::new_with_client(http, keystone.clone())
            .now_or_never()
            .context("the session waited for something")??;
        let places = || Semaphore::new(settings.concurrency.max(1));
        let objects = Semaphore::new(OBJECT_PLACES);
        Ok(Self { osauth, streams, keystone, limits, compute: places(), network: places(), image: places(), objects })
    }

    /// The same login and connections for other services of the cloud.
    pub(super) fn osauth(&self) -> &osauth::Session {
        &self.osauth
    }

    pub(super) fn credentials(&self) -> &Credentials {
        self.keystone.credentials()
    }

    pub(super) async fn token(&self) -> Result<Arc<Token>, CloudError> {
        self.keystone.token(self.http(), None).await
    }

    /// Logs in anew.
    pub(super) async fn fresh_token(&self) -> Result<Arc<Token>, CloudError> {
        self.keystone.fresh_token(self.http()).await
    }

    pub(super) fn get<'a>(&'a self, service: Service, path: &[&str]) -> Call<'a> {
        self.call(service, Method::GET, path)
    }

    /// A request; `path` is what follows the version, in segments.
    pub(super) fn call<'a>(&'a self, service: Service, method: Method, path: &[&str]) -> Call<'a> {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Call {
            session: self,
            service,
            method,
            path,
            query: Vec::new(),
            body: None,
            microversion: None,
            version_root: false,
            patient: false,
            cause: Cause::current(),
        }
    }

    /// The address that requests to a service are sent to.
    pub(super) async fn address(&self, service: Service) -> Result<Url, CloudError> {
        self.base(service, self.token().await?.as_ref())
    }

    pub(super) fn base(&self, service: Service, token: &Token) -> Result<Url, CloudError> {
        Ok(service.base(token.endpoint(service.kind(), self.credentials())?))
    }

    pub(super) fn http(&self) -> &Client {
        self.osauth.client().inner()
    }

    /// For bodies of any length; whoever uses it sees to it that it ends.
    pub(super) fn streams(&self) -> &Client {
        &self.streams
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A token in place of one that was refused.
    pub(super) async fn token_after(&self, refused: &Token) -> Result<Arc<Token>, CloudError> {
        self.keystone.token(self.http(), Some(refused.generation)).await
    }

    /// A place among the requests to a service that are under way; waiting for one has an end.
    pub(super) async fn place(&self, service: Service) -> Result<SemaphorePermit<'_>, CloudError> {
        let wait = self.limits.request.saturating_mul(QUEUE_FACTOR);
        match tokio::time::timeout(wait, self.places(service).acquire()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(CloudError::unavailable(format_args!("too many requests wait for {}", service.name()))),
        }
    }

    fn places(&self, service: Service) -> &Semaphore {
        match service {
            Service::Compute => &self.compute,
            Service::Network => &self.network,
            Service::Image => &self.image,
            Service::Objects => &self.objects,
        }
    }
}

fn http_client(credentials: &Credentials, settings: &Settings) -> anyhow::Result<ClientBuilder> {
    let mut client = Client::builder()
        .connect_timeout(Duration::from_secs(settings.connect_seconds.max(1)))
        // Shorter than the 5 s for which Apache, in front of most of these services, keeps a connection.
        .pool_idle_timeout(Duration::from_secs(4))
        // A redirect would carry the token to wherever it leads.
        .redirect(Policy::none())
        .no_gzip()
        .user_agent(concat!("fast-cloud/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &credentials.cacert {
        let pem = std::fs::read(path).with_context(|| format!("cacert: {} can't be read", path.display()))?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .with_context(|| format!("cacert: {} holds no PEM certificate", path.display()))?;
        client = certificates.into_iter().fold(client, |client, certificate| client.add_root_certificate(certificate));
    }
    if !credentials.verify {
        tracing::warn!(
            source = credentials.source,
            "certificates of the cloud are not checked: whoever is on the way can read the portal's password; \
             set cacert instead of verify: false"
        );
        client = client.danger_accept_invalid_certs(true);
    }
    Ok(client)
}

/// A request to be sent.
#[must_use]
pub(super) struct Call<'a> {
    session: &'a Session,
    service: Service,
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    microversion: Option<String>,
    /// The service's version document is asked for, which stands above what belongs to a project.
    version_root: bool,
    patient: bool,
    cause: Cause,
}

impl Call<'_> {
    pub(super) fn query(mut self, key: &'static str, value: impl ToString) -> Self {
        self.query.push((key, value.to_string()));
        self
    }

    pub(super) fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Nova's microversion; None for its oldest behaviour.
    pub(super) fn microversion(mut self, version: Option<String>) -> Self {
        self.microversion = version;
        self
    }

    /// For a request whose answer is dear: it has made something whether we wait for it or not.
    pub(super) fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    pub(super) fn at_version_root(mut self) -> Self {
        self.version_root = true;
        self
    }

    /// Sends it and reads the answer.
    pub(super) async fn fetch<T: DeserializeOwned>(self) -> Result<T, CloudError> {
        let service = self.service.name();
        self.answer().await?.json(service)
    }

    /// Sends it; whatever a success says is of no interest.
    pub(super) async fn send(self) -> Result<(), CloudError> {
        self.answer().await.map(drop)
    }

    async fn answer(self) -> Result<Answer, CloudError> {
        self.path.iter().try_for_each(|segment| check_segment(segment))?;
        let span = tracing::debug_span!(
            "openstack", service = self.service.kind(), method = %self.method, path = self.path.join("/")
        );
        self.authenticated().instrument(span).await
    }

    /// Sends it; when its token is refused, once more with a new one that all who were refused share.
    async fn authenticated(self) -> Result<Answer, CloudError> {
        let session = self.session;
        let token = session.token().await?;
        let mut answer = self.once(&token).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            let token = session.keystone.token(session.http(), Some(token.generation)).await?;
            answer = self.once(&token).await?;
        }
        if answer.status.is_success() { Ok(answer) } else { Err(answer.refusal(self.service.name())) }
    }

    async fn once(&self, token: &Token) -> Result<Answer, CloudError> {
        let url = self.url(token)?;
        let service = self.service.name();
        let _place = self.session.place(self.service).await?;
        let began = Instant::now();
        let mut limits = self.session.limits.clone();
        if self.patient {
            limits.request = limits.request.saturating_mul(PATIENCE);
        }
        let result = limits.bound(service, self.exchange(url)).await;
        self.log(&result, began.elapsed());
        result
    }

    async fn exchange(&self, url: Url) -> Result<Answer, CloudError> {
        let origin = url.origin().ascii_serialization();
        let mut request = self.session.osauth.client().request(self.method.clone(), url);
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        if let Some(version) = &self.microversion {
            request = request.header("x-openstack-nova-api-version", version);
        }
        request = request.header(REQUEST_ID_HEADER, self.cause.global_request_id());
        let response = request.header("accept", "application/json").send_unchecked().await.map_err(|err| {
            tracing::warn!(error = %err, cause = %self.cause, "a request failed");
            CloudError::unavailable(format_args!("no answer from {} at {origin}", self.service.name()))
        })?;
        Answer::read(response, &self.session.limits).await
    }

    fn url(&self, token: &Token) -> Result<Url, CloudError> {
        let base = self.session.base(self.service, token)?;
        Ok(if self.version_root { version_root(base) } else { with_segments(base, &self.path) })
    }

    fn log(&self, result: &Result<Answer, CloudError>, took: Duration) {
        let (took_ms, cause) = (took.as_millis(), self.cause);
        match result {
            Ok(answer) if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND => {
                tracing::debug!(status = answer.status.as_u16(), request_id = answer.request_id(), %cause, took_ms, "answered");
            }
            Ok(answer) => tracing::warn!(
                status = answer.status.as_u16(),
                request_id = answer.request_id(),
                %cause,
                sentence = answer.sentence().unwrap_or_default(),
                took_ms,
                service = self.service.kind(),
                "refused"
            ),
            Err(err) => tracing::warn!(error = %err, %cause, took_ms, service = self.service.kind(), "no answer"),
        }
    }
}

/// A segment of a path must arrive as it is: `.` and `..` would vanish with what stands before them, control characters
/// alone.
fn check_segment(segment: &str) -> Result<(), CloudError> {
    if matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control) {
        return Err(CloudError::Rejected("a name that can't be part of an address".to_owned()));
    }
    Ok(())
}

/// `v2`, `v2.1`.
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// The address up to its version, with a slash: `/v2.1/PROJECT` is where servers are, `/v2.1/` where the version is told.
fn version_root(url: Url) -> Url {
    let path = url.path().to_owned();
    let above = path.split('/').take_while(|segment| !is_version(segment));
    let version = path.split('/').find(|segment| is_version(segment));
    let path = above.chain(version).chain([""]).collect::<Vec<_>>().join("/");
    let mut url = url;
    url.set_path(&path);
    url
}

/// The address with more segments, each encoded.
pub(super) fn with_segments<I>(mut url: Url, segments: I) -> Url
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests;
