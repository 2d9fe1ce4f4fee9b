//! The practice cloud's images: simulated, no registry is asked.
//!
//! Docker Hub's official images that beginners meet are listed here, with the ports that they expose; images of people
//! and groups (`someone/app`) are taken as they come, for nobody can know them all. So a mistyped `ngnix` is not found,
//! as on Docker Hub, and a first try without any internet goes well. Some names play the failures: those that end in
//! `-missing`, `does-not-exist` and `no-such-image` are not there, `limited` meets the rate limit, `foreign` is built for
//! arm64 only.

use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::{ImageFacts, ImageReference, ImageSource, RegistryError, Settings};
use crate::cloud::{CheckLine, CheckOutcome};
use crate::config;

/// What `limited` says.
const LIMITED_FOR: Duration = Duration::from_secs(30 * 60);

/// Official images: name, exposed TCP ports.
const OFFICIAL: &[(&str, &[u16])] = &[
    // The practice cloud's own, as in the lab.
    ("crash", &[]),
    ("env", &[80]),
    ("exit0", &[]),
    ("foreign", &[80]),
    ("hello", &[80]),
    ("hog", &[]),
    ("limited", &[80]),
    ("loopback", &[80]),
    ("loud", &[80]),
    ("mislabelled", &[80]),
    ("multi", &[80]),
    ("noexpose", &[]),
    ("nonroot", &[8080]),
    ("noshell", &[80]),
    ("port8080", &[8080]),
    ("silent", &[80]),
    ("slow", &[80]),
    // Web servers and what runs in a browser.
    ("adminer", &[8080]),
    ("caddy", &[80, 443]),
    ("drupal", &[80]),
    ("ghost", &[2368]),
    ("haproxy", &[]),
    ("hello-world", &[]),
    ("httpd", &[80]),
    ("jetty", &[8080]),
    ("joomla", &[80]),
    ("mediawiki", &[80]),
    ("mongo-express", &[8081]),
    ("nextcloud", &[80]),
    ("nginx", &[80]),
    ("odoo", &[8069, 8071, 8072]),
    ("phpmyadmin", &[80]),
    ("redmine", &[3000]),
    ("registry", &[5000]),
    ("sonarqube", &[9000]),
    ("tomcat", &[8080]),
    ("traefik", &[80]),
    ("wordpress", &[80]),
    // Databases, queues, caches.
    ("cassandra", &[7000, 7001, 7199, 9042, 9160]),
    ("couchdb", &[5984, 4369, 9100]),
    ("elasticsearch", &[9200, 9300]),
    ("influxdb", &[8086]),
    ("kibana", &[5601]),
    ("mariadb", &[3306]),
    ("memcached", &[11211]),
    ("mongo", &[27017]),
    ("mysql", &[3306, 33060]),
    ("nats", &[8222, 4222, 6222]),
    ("neo4j", &[7474, 7473, 7687]),
    ("postgres", &[5432]),
    ("rabbitmq", &[5672, 15692]),
    ("redis", &[6379]),
    ("solr", &[8983]),
    ("valkey", &[6379]),
    ("zookeeper", &[8080, 2181, 2888, 3888]),
    // Languages and systems: they expose nothing, the port is the program's.
    ("alpine", &[]),
    ("amazoncorretto", &[]),
    ("amazonlinux", &[]),
    ("archlinux", &[]),
    ("bash", &[]),
    ("buildpack-deps", &[]),
    ("busybox", &[]),
    ("clojure", &[]),
    ("dart", &[]),
    ("debian", &[]),
    ("docker", &[]),
    ("eclipse-temurin", &[]),
    ("elixir", &[]),
    ("erlang", &[]),
    ("fedora", &[]),
    ("gcc", &[]),
    ("golang", &[]),
    ("gradle", &[]),
    ("groovy", &[]),
    ("haskell", &[]),
    ("julia", &[]),
    ("maven", &[]),
    ("node", &[]),
    ("openjdk", &[]),
    ("oraclelinux", &[]),
    ("perl", &[]),
    ("php", &[]),
    ("pypy", &[]),
    ("python", &[]),
    ("r-base", &[]),
    ("rockylinux", &[]),
    ("ruby", &[]),
    ("rust", &[]),
    ("swift", &[]),
    ("ubuntu", &[]),
];

/// Simulated: a fixed catalogue in place of the registries.
pub struct PracticeImages {
    settings: Settings,
}

impl PracticeImages {
    /// # Errors
    /// Names the key of the configuration that is wrong.
    pub fn new(section: &config::Registries) -> anyhow::Result<Self> {
        Ok(Self { settings: Settings::parse(section)? })
    }
}

#[async_trait]
impl ImageSource for PracticeImages {
    async fn inspect(&self, image: &ImageReference, architectures: &[String]) -> Result<ImageFacts, RegistryError> {
        if !self.settings.allows(image) {
            let allowed = self.settings.allowed().to_vec();
            return Err(RegistryError::NotAllowed { host: image.registry().to_owned(), allowed });
        }
        let name = image.repository().rsplit('/').next().unwrap_or_default();
        if name.ends_with("-missing") || matches!(name, "does-not-exist" | "no-such-image") {
            return Err(RegistryError::NotFound);
        }
        let ports = ports(image).ok_or(RegistryError::NotFound)?;
        let offers: &[&str] = if name == "foreign" { &["arm64"] } else { &["amd64", "arm64"] };
        let fits = |wanted: &String| offers.iter().any(|offer| wanted.split('/').next() == Some(offer));
        let offers = offers.iter().map(|&text| text.to_owned()).collect();
        match name {
            "limited" => return Err(RegistryError::RateLimited { retry_after: Some(LIMITED_FOR) }),
            _ if !architectures.is_empty() && !architectures.iter().any(fits) => {
                return Err(RegistryError::WrongArchitecture { offers, cluster: architectures.to_vec() });
            }
            _ => {}
        }
        Ok(ImageFacts {
            digest: digest(image),
            ports: ports.to_vec(),
            architectures: offers,
            user: None,
            size_bytes: None,
        })
    }

    fn pull_name(&self, image: &ImageReference) -> String {
        self.settings.pull_name(image)
    }

    async fn check(&self) -> Vec<CheckLine> {
        let outcome = CheckOutcome::Skipped("the practice cloud asks no registry".to_owned());
        let line = |registry: &String| CheckLine { what: format!("Registry {registry}"), outcome: outcome.clone() };
        self.settings.allowed().iter().map(line).collect()
    }
}

/// None: there is no such image.
fn ports(image: &ImageReference) -> Option<&'static [u16]> {
    let official = match image.registry() {
        "docker.io" => image.repository().strip_prefix("library/"),
        _ => None,
    };
    match official {
        Some(name) => OFFICIAL.iter().find(|(known, _)| *known == name).map(|(_, ports)| *ports),
        None => Some(&[]),
    }
}

/// The same for the same reference, another one for another tag.
fn digest(image: &ImageReference) -> String {
    image.digest().map_or_else(|| format!("sha256:{}", hex::encode(Sha256::digest(image.canonical()))), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn inspect(text: &str, cluster: &[&str]) -> Result<ImageFacts, RegistryError> {
        let config = crate::config::Config::defaults().unwrap();
        let images = PracticeImages::new(&config.registries).unwrap();
        let cluster: Vec<String> = cluster.iter().map(|&text| text.to_owned()).collect();
        images.inspect(&ImageReference::parse(text).unwrap(), &cluster).await
    }

    #[tokio::test]
    async fn what_beginners_try_first_works() {
        for (text, port) in [
            ("nginx", Some(80)),
            ("nginx:1.27-alpine", Some(80)),
            ("hello:1", Some(80)),
            ("hello:2", Some(80)),
            ("httpd", Some(80)),
            ("docker.io/library/redis:7", Some(6379)),
            ("node:22", None),
            ("python", None),
            ("busybox", None),
            ("crash:1", None),
            ("someone/app:v1", None),
        ] {
            let facts = inspect(text, &["amd64"]).await.unwrap_or_else(|err| panic!("{text}: {err}"));
            assert_eq!(facts.ports.first().copied(), port, "{text}");
            assert_eq!(facts, inspect(text, &["amd64"]).await.unwrap());
        }
        let (one, two) = (inspect("hello:1", &[]).await.unwrap(), inspect("hello:2", &[]).await.unwrap());
        assert_ne!(one.digest, two.digest);
    }

    #[tokio::test]
    async fn failures_can_be_played() {
        for text in ["ngnix", "no-such-image:1", "me/does-not-exist", "class/project-missing", "nginx-missing"] {
            assert_eq!(inspect(text, &["amd64"]).await, Err(RegistryError::NotFound), "{text}");
        }
        assert!(matches!(inspect("ghcr.io/me/app", &[]).await, Err(RegistryError::NotAllowed { .. })));
        assert!(matches!(inspect("limited", &[]).await, Err(RegistryError::RateLimited { retry_after: Some(_) })));
        let wrong = inspect("foreign:1", &["amd64"]).await;
        assert!(matches!(wrong, Err(RegistryError::WrongArchitecture { offers, .. }) if offers == ["arm64"]));
        assert!(inspect("foreign:1", &["amd64", "arm64"]).await.is_ok());
    }

    #[test]
    fn the_catalogue_is_in_order() {
        for (name, ports) in OFFICIAL {
            let image = ImageReference::parse(name).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(image.familiar(), *name);
            assert_eq!(OFFICIAL.iter().filter(|(other, _)| other == name).count(), 1, "{name}");
            let mut sorted = ports.to_vec();
            super::super::facts::sort_ports(&mut sorted);
            assert_eq!(sorted.first(), ports.first(), "{name}: the browser's port comes first");
        }
    }
}
