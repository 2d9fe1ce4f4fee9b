//! The section `[registries]` of the configuration, checked.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use url::{Host, Origin, Url};

use super::reference::{DOCKER_HUB, ImageReference};
use crate::config;

/// Where Docker Hub's registry really is; `docker.io` itself is a website.
const DOCKER_HUB_ADDRESS: &str = "https://registry-1.docker.io";

/// A registry that answers in place of another. The admin named it, so it may be on a private address and without TLS.
#[derive(Debug, Clone)]
pub(super) struct Mirror {
    /// Scheme, host and port; nothing else is trusted.
    address: Url,
    /// Host and port as they stand in an image reference.
    host: String,
}

/// Which registries may be asked, and where they are.
#[derive(Debug)]
pub struct Settings {
    allowed: Vec<String>,
    mirrors: HashMap<String, Mirror>,
    pull_from_mirror: bool,
    pub(super) limit: Duration,
}

/// Where an image is read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Scheme, host and port.
    pub(super) address: Url,
    /// What need be neither public nor under TLS: a mirror's own origin, and nothing where there is no mirror.
    pub(super) trusted: Vec<Origin>,
}

impl Source {
    pub(super) fn is_mirror(&self) -> bool {
        !self.trusted.is_empty()
    }
}

impl Settings {
    /// # Errors
    /// Names the key that is wrong.
    pub fn parse(section: &config::Registries) -> anyhow::Result<Self> {
        ensure!(!section.allowed.is_empty(), "registries.allowed has to name at least one registry, such as docker.io");
        ensure!((1..=60).contains(&section.timeout_seconds), "registries.timeout_seconds has to be between 1 and 60");
        for host in &section.allowed {
            check_host(host).with_context(|| format!("registries.allowed: {host:?}"))?;
        }
        let mut mirrors = HashMap::new();
        for text in &section.mirrors {
            let (registry, mirror) = parse_mirror(text).with_context(|| format!("registries.mirrors: {text:?}"))?;
            if !section.allowed.contains(&registry) {
                bail!("registries.mirrors: {registry} is not in registries.allowed");
            }
            if section.pull_from_mirror && !is_registry_of_references(&mirror.host) {
                bail!(
                    "registries.mirrors: {} can't stand in an image's name, which registries.pull_from_mirror asks for; \
                     give it a name with a dot, or its port",
                    mirror.host
                );
            }
            if mirrors.insert(registry.clone(), mirror).is_some() {
                bail!("registries.mirrors has two mirrors of {registry}");
            }
        }
        let settings = Self {
            allowed: section.allowed.clone(),
            mirrors,
            pull_from_mirror: section.pull_from_mirror,
            limit: Duration::from_secs(section.timeout_seconds),
        };
        settings.check_reach()?;
        Ok(settings)
    }

    pub(super) fn allowed(&self) -> &[String] {
        &self.allowed
    }

    pub(super) fn allows(&self, image: &ImageReference) -> bool {
        self.allowed.iter().any(|host| host == image.registry())
    }

    /// Where an image of an allowed registry is read; None: its host is no host of the web.
    pub(super) fn source(&self, registry: &str) -> Option<Source> {
        if let Some(mirror) = self.mirrors.get(registry) {
            return Some(Source { address: mirror.address.clone(), trusted: vec![mirror.address.origin()] });
        }
        let address = match registry {
            DOCKER_HUB => Url::parse(DOCKER_HUB_ADDRESS),
            host => Url::parse(&format!("https://{host}")),
        };
        Some(Source { address: address.ok()?, trusted: Vec::new() })
    }

    /// What a pod's `image` says.
    pub(super) fn pull_name(&self, image: &ImageReference) -> String {
        let canonical = image.canonical();
        let mirror = self.mirrors.get(image.registry()).filter(|_| self.pull_from_mirror);
        match (mirror, canonical.strip_prefix(image.registry())) {
            (Some(mirror), Some(rest)) => format!("{}{rest}", mirror.host),
            _ => canonical,
        }
    }

    /// A registry by an address, or on this machine, is only ever asked as its own mirror.
    fn check_reach(&self) -> anyhow::Result<()> {
        for registry in &self.allowed {
            let source = self.source(registry).with_context(|| format!("registries.allowed: {registry:?}"))?;
            let reachable = match source.address.host() {
                Some(Host::Domain(name)) => name != "localhost" && !name.ends_with(".localhost"),
                _ => false,
            };
            if !source.is_mirror() && !reachable {
                bail!(
                    "registries.allowed: {registry} is not a public name; name its address in registries.mirrors, such as \
                     \"{registry}=http://{registry}\""
                );
            }
        }
        Ok(())
    }
}

/// `docker.io=https://mirror.school.example`
fn parse_mirror(text: &str) -> anyhow::Result<(String, Mirror)> {
    let (registry, address) = text.split_once('=').context("a mirror is written as registry=address")?;
    let (registry, address) = (registry.trim(), address.trim());
    check_host(registry)?;
    let url = Url::parse(address).context("the mirror's address is not a URL such as https://mirror.school.example")?;
    ensure!(matches!(url.scheme(), "http" | "https"), "the mirror's address has to start with https:// or http://");
    ensure!(url.username().is_empty() && url.password().is_none(), "the mirror's address can't hold a login");
    ensure!(
        url.path() == "/" && url.query().is_none() && url.fragment().is_none(),
        "the mirror's address has to be https://, a host, and no path"
    );
    let host = url.host_str().context("the mirror's address has no host")?;
    // A name without a port means https where images are pulled.
    let port = url.port().or((url.scheme() == "http").then_some(80));
    let host = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Ok((registry.to_owned(), Mirror { address: url, host }))
}

/// A registry as it stands in a reference: a host in small letters, with a port or without.
fn check_host(host: &str) -> anyhow::Result<()> {
    if matches!(host, "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" | "hub.docker.com") {
        bail!("Docker Hub is called docker.io");
    }
    ensure!(
        is_registry_of_references(host),
        "a registry is a host as it stands in an image's name, such as docker.io or ghcr.io, in small letters and \
         without https://"
    );
    Ok(())
}

fn is_registry_of_references(host: &str) -> bool {
    ImageReference::parse(&format!("{host}/a/b")).is_ok_and(|image| image.registry() == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(allowed: &[&str], mirrors: &[&str], pull_from_mirror: bool) -> config::Registries {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        config::Registries { allowed: owned(allowed), mirrors: owned(mirrors), pull_from_mirror, timeout_seconds: 8 }
    }

    fn image(text: &str) -> ImageReference {
        ImageReference::parse(text).unwrap()
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (allowed, mirrors, pull, key) in [
            (&[][..], &[][..], false, "registries.allowed"),
            (&["https://docker.io"], &[], false, "registries.allowed"),
            (&["Docker.io"], &[], false, "registries.allowed"),
            (&["docker"], &[], false, "registries.allowed"),
            (&["docker.io/library"], &[], false, "registries.allowed"),
            (&["*"], &[], false, "registries.allowed"),
            (&[""], &[], false, "registries.allowed"),
            (&["registry-1.docker.io"], &[], false, "docker.io"),
            (&["localhost:5000"], &[], false, "registries.mirrors"),
            (&["127.0.0.1:5000"], &[], false, "registries.mirrors"),
            (&["0x7f.1:5000"], &[], false, "registries.mirrors"),
            (&["docker.io"], &["docker.io"], false, "registries.mirrors"),
            (&["docker.io"], &["docker.io=mirror"], false, "registries.mirrors"),
            (&["docker.io"], &["docker.io=ftp://mirror"], false, "registries.mirrors"),
            (&["docker.io"], &["docker.io=https://me:pw@mirror"], false, "registries.mirrors"),
            (&["docker.io"], &["docker.io=https://mirror/v2/"], false, "registries.mirrors"),
            (&["docker.io"], &["docker.io=https://mirror/?a"], false, "registries.mirrors"),
            (&["docker.io"], &["ghcr.io=https://mirror"], false, "registries.mirrors"),
            (&["docker.io"], &["docker.io=https://a", "docker.io=https://b"], false, "registries.mirrors"),
            (&["docker.io"], &["docker.io=https://mirror"], true, "registries.pull_from_mirror"),
            (&["docker.io"], &["docker.io=http://[::1]:5050"], true, "registries.pull_from_mirror"),
        ] {
            let message = format!("{:#}", Settings::parse(&section(allowed, mirrors, pull)).unwrap_err());
            assert!(message.contains(key), "{allowed:?} {mirrors:?}: {message}");
        }
        for seconds in [0, 61] {
            let section = config::Registries { timeout_seconds: seconds, ..section(&["docker.io"], &[], false) };
            let message = format!("{:#}", Settings::parse(&section).unwrap_err());
            assert!(message.contains("registries.timeout_seconds"), "{message}");
        }
    }

    #[test]
    fn a_registry_has_an_address() {
        let settings = Settings::parse(&section(
            &["docker.io", "ghcr.io", "quay.io:8443", "localhost:5000"],
            &["localhost:5000=http://localhost:5000", "ghcr.io = https://mirror.school.example"],
            false,
        ))
        .unwrap();
        let at = |registry: &str| settings.source(registry).unwrap();
        assert_eq!(at("docker.io").address.as_str(), "https://registry-1.docker.io/");
        assert_eq!(at("quay.io:8443").address.as_str(), "https://quay.io:8443/");
        assert!(!at("quay.io:8443").is_mirror());
        assert_eq!(at("ghcr.io").address.as_str(), "https://mirror.school.example/");
        assert!(at("ghcr.io").is_mirror() && at("localhost:5000").is_mirror());
        assert!(settings.allows(&image("nginx")) && settings.allows(&image("GHCR.io/me/app")));
        assert!(!settings.allows(&image("localhost/x")) && !settings.allows(&image("docker.io:443/x")));
        assert!(!settings.allows(&image("127.0.0.1:5000/x")));
    }

    #[test]
    fn pods_pull_from_the_registry_or_from_its_mirror() {
        let name = |mirror: &str, pull: bool, text: &str| {
            let mirrors = [format!("docker.io={mirror}")];
            let mirrors: Vec<&str> = mirrors.iter().map(String::as_str).collect();
            Settings::parse(&section(&["docker.io", "ghcr.io"], &mirrors, pull)).unwrap().pull_name(&image(text))
        };
        assert_eq!(name("http://127.0.0.1:5050", false, "nginx"), "docker.io/library/nginx:latest");
        assert_eq!(name("http://127.0.0.1:5050", true, "nginx"), "127.0.0.1:5050/library/nginx:latest");
        assert_eq!(name("https://mirror.example", true, "me/app:1"), "mirror.example/me/app:1");
        assert_eq!(name("http://mirror.example", true, "me/app:1"), "mirror.example:80/me/app:1");
        assert_eq!(name("http://mirror.example", true, "ghcr.io/me/app:1"), "ghcr.io/me/app:1");
    }
}
