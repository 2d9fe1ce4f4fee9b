//! `fast-cloud check`: whether each registry answers, asked in the way in which images are read.

use futures::future;
use reqwest::StatusCode;

use super::answer::{is_web_page, refusal};
use super::error::RegistryError;
use super::settings::Source;
use super::token::{self, Challenge};
use super::web::{Ask, place};
use super::{Registries, unavailable};
use crate::cloud::{CheckLine, CheckOutcome};

const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// What a token is asked for where the registry does not say it: Docker Hub has this image, others give one all the same.
const REPOSITORY: &str = "library/hello-world";

impl Registries {
    /// A line for each, all at the same time: one that is silent takes its time alone.
    pub(super) async fn check_all(&self) -> Vec<CheckLine> {
        future::join_all(self.settings.allowed().iter().map(|registry| self.check_registry(registry))).await
    }

    async fn check_registry(&self, registry: &str) -> CheckLine {
        let source = self.settings.source(registry);
        let is_mirror = source.as_ref().is_some_and(Source::is_mirror);
        let place = source.as_ref().map_or_else(|| registry.to_owned(), |source| place(&source.address));
        let asked = async { self.ask(&source.ok_or_else(|| unavailable("the registry has no host"))?).await };
        let outcome = match self.in_time(asked).await {
            Ok(()) => CheckOutcome::Works(format!("{place} answers")),
            Err(err) => trouble(err, is_mirror, &place),
        };
        CheckLine { what: format!("{} {registry}", if is_mirror { "Mirror of" } else { "Registry" }), outcome }
    }

    /// The question that every registry answers (`/v2/`), and if it wants a token, whether that is handed out. No image
    /// is read: that would count against a rate limit.
    pub(super) async fn ask(&self, source: &Source) -> Result<(), RegistryError> {
        let mut url = source.address.clone();
        url.set_path("/v2/");
        let ask = Ask { url, accept: "*/*", max_bytes: MAX_ANSWER_BYTES, authorization: None };
        let answer = self.web.get(source, ask).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && answer.is_own
            && let Some(challenge) = Challenge::of(&answer.headers)
        {
            return match token::anonymous(&self.web, source, &challenge, REPOSITORY).await {
                // It may be this one image that nobody may read there.
                Ok(_) | Err(RegistryError::Private) => Ok(()),
                Err(err) => Err(err),
            };
        }
        if answer.status == StatusCode::OK && !is_web_page(&answer.body) {
            return Ok(());
        }
        Err(match refusal(&answer) {
            RegistryError::NotFound => unavailable("what answers there is no registry"),
            err => err,
        })
    }
}

/// What is wrong, and what to do about it.
fn trouble(err: RegistryError, is_mirror: bool, place: &str) -> CheckOutcome {
    let advice = match (&err, is_mirror) {
        (RegistryError::Private, false) => format!(
            "images are read and pulled without a login: name a mirror in registries.mirrors that logs in to {place} itself"
        ),
        (RegistryError::Private, true) => format!("let {place} be read without a login"),
        (RegistryError::RateLimited { .. }, false) => {
            "wait, or name a mirror in registries.mirrors: it serves a whole class from one pull".to_owned()
        }
        (RegistryError::RateLimited { .. }, true) => format!("let {place} serve this machine without a limit"),
        (_, false) => format!(
            "until {place} answers, images are deployed unread: let the portal reach it; one on a private address or \
             without TLS needs an entry in registries.mirrors, of itself"
        ),
        (_, true) => {
            format!("until {place} answers, images are deployed unread: start it, or correct registries.mirrors")
        }
    };
    let problem = match err {
        RegistryError::Unavailable(why) | RegistryError::Unreadable(why) => why,
        RegistryError::Private => "it wants a login".to_owned(),
        err => err.to_string(),
    };
    CheckOutcome::Fails { problem, advice }
}
