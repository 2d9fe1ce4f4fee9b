//! Registries: what an image says of itself, read before it is deployed. A missing image is said at once, the port that
//! it exposes is filled in, and an architecture that the cluster lacks is named.
//!
//! Hosts and links come from strangers here. What keeps the portal from knocking at its own neighbours: only registries
//! that the configuration allows are asked (`[registries] allowed`); only https, to names, whose addresses are checked
//! when they are connected to ([`address`]); redirects and the addresses of token services are held to the same
//! ([`web`]); and every answer is bounded in size and time. The one exception is a mirror that the admin names, and of
//! that exactly its origin.
//!
//! The protocol: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>.

mod address;
mod answer;
mod cache;
mod check;
mod error;
mod facts;
mod grammar;
mod lookup;
mod platform;
pub mod practice;
mod reference;
mod settings;
mod token;
mod web;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use tokio::sync::Semaphore;

pub use self::error::RegistryError;
pub use self::facts::ImageFacts;
pub use self::reference::ImageReference;
pub use self::settings::Settings;
use crate::cloud::CheckLine;
use crate::config;

/// Images that one portal process reads at once.
const MAX_LOOKUPS: usize = 8;

/// Where images' facts come from.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// Reads an image's facts, for a cluster with machines of these architectures (Kubernetes' words: `amd64`, `arm64`).
    /// None: not known, any will do. Ends within the configured time.
    ///
    /// # Errors
    /// See [`RegistryError`]; [`RegistryError::forbids_deploying`] tells what is final.
    async fn inspect(&self, image: &ImageReference, architectures: &[String]) -> Result<ImageFacts, RegistryError>;

    /// What a pod's `image` has to say, so that the cluster's machines find it.
    fn pull_name(&self, image: &ImageReference) -> String;

    /// Tries each registry, for `fast-cloud check`. As with images, a private address is contacted only where the
    /// configuration names a mirror.
    async fn check(&self) -> Vec<CheckLine>;
}

/// The real registries.
pub struct Registries {
    settings: Settings,
    web: web::Web,
    cache: cache::Cache,
    turns: Semaphore,
}

impl Registries {
    /// # Errors
    /// Names the key of the configuration that is wrong; or TLS can't be set up.
    pub fn new(section: &config::Registries) -> anyhow::Result<Self> {
        Ok(Self {
            settings: Settings::parse(section)?,
            web: web::Web::new()?,
            cache: cache::Cache::new(cache::Ages::default()),
            turns: Semaphore::new(MAX_LOOKUPS),
        })
    }

    /// Whether images of this registry may be used at all.
    pub fn allows(&self, image: &ImageReference) -> bool {
        self.settings.allows(image)
    }

    /// One reading, after the others. The time limit holds for the waiting, too.
    async fn look(&self, image: &ImageReference, architectures: &[String]) -> Result<ImageFacts, RegistryError> {
        let looking = async {
            let _turn = self.turns.acquire().await.map_err(|_| unavailable("the portal is stopping"))?;
            let source =
                self.settings.source(image.registry()).ok_or_else(|| unavailable("the registry has no host"))?;
            lookup::Lookup::new(&self.web, source, image, architectures).run().await
        };
        let answer = self.in_time(looking).await;
        if let Err(err) = answer.as_ref()
            && !err.forbids_deploying()
        {
            tracing::warn!(registry = image.registry(), %err, "an image could not be looked at");
        }
        answer
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
        let limit = self.settings.limit;
        let late = |_| Err(unavailable(&format!("no answer within {} seconds", limit.as_secs())));
        tokio::time::timeout(limit, work).await.unwrap_or_else(late)
    }
}

fn unavailable(why: &str) -> RegistryError {
    RegistryError::Unavailable(why.to_owned())
}

#[async_trait]
impl ImageSource for Registries {
    async fn inspect(&self, image: &ImageReference, architectures: &[String]) -> Result<ImageFacts, RegistryError> {
        if !self.allows(image) {
            let allowed = self.settings.allowed().to_vec();
            return Err(RegistryError::NotAllowed { host: image.registry().to_owned(), allowed });
        }
        let key = format!("{image} {}", architectures.join(" "));
        self.cache.get(key, self.look(image, architectures)).await
    }

    fn pull_name(&self, image: &ImageReference) -> String {
        self.settings.pull_name(image)
    }

    async fn check(&self) -> Vec<CheckLine> {
        self.check_all().await
    }
}
