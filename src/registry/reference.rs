//! Image references as people type them, checked by the grammar of the distribution project.

use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::{ParseError, Reference};
use oci_spec::image::Digest;

use super::grammar;
use crate::validation::Checked;

/// Longer ones are refused before anything looks at them. The longest that makes sense (host, name of 255, tag of 128,
/// digest) fits.
const MAX_BYTES: usize = 512;
/// Where names without a host come from.
pub(super) const DOCKER_HUB: &str = "docker.io";

/// A checked reference to an image: `nginx`, `nginx:1.27`, `ghcr.io/me/app:v1`, `docker.io/library/nginx@sha256:…`.
///
/// The grammar: <https://github.com/distribution/reference/blob/main/reference.go>. The host is in small letters, a name
/// without one is Docker Hub's, and without tag and digest the tag is `latest`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    inner: Reference,
    familiar: String,
}

impl ImageReference {
    /// Reads what a person typed; blanks around it are no matter.
    ///
    /// # Errors
    /// `validation.image.*`
    pub fn parse(text: &str) -> Checked<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err("validation.image.missing");
        }
        if text.len() > MAX_BYTES {
            return Err("validation.image.too_long");
        }
        if text.contains("://") {
            return Err("validation.image.url");
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '+')) {
            return Err("validation.image.characters");
        }
        let text = with_small_host(text);
        let inner = grammar::read(&text).map_err(|err| explain(&text, &err))?;
        check(&text, &inner)?;
        let familiar = familiar(&text, &inner);
        Ok(Self { inner, familiar })
    }

    /// The registry's host as in the reference, with its port if it has one: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        self.inner.registry()
    }

    /// The name in the registry: `library/nginx`.
    pub fn repository(&self) -> &str {
        self.inner.repository()
    }

    /// `latest` if neither a tag nor a digest was typed.
    pub fn tag(&self) -> Option<&str> {
        self.inner.tag()
    }

    /// `sha256:…`
    pub fn digest(&self) -> Option<&str> {
        self.inner.digest()
    }

    /// The one complete spelling: `docker.io/library/nginx:latest`.
    pub fn canonical(&self) -> String {
        self.inner.whole()
    }

    /// The short spelling that people know: without `docker.io/library/`, and without `:latest` unless it was typed.
    pub fn familiar(&self) -> &str {
        &self.familiar
    }

    /// Whether the image may be another one tomorrow by design: the tag `latest`, and no digest that pins it.
    pub fn is_latest(&self) -> bool {
        self.digest().is_none() && self.tag() == Some("latest")
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Debug for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Hosts may be typed in capitals, names may not.
fn with_small_host(text: &str) -> String {
    match text.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host.eq_ignore_ascii_case("localhost") => {
            format!("{}/{rest}", host.to_ascii_lowercase())
        }
        _ => text.to_owned(),
    }
}

/// What the parser lets through and registries or the container runtime don't.
fn check(text: &str, inner: &Reference) -> Checked<()> {
    // The parser takes a first part in capitals for a host, and then for a name.
    if inner.repository().bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("validation.image.uppercase");
    }
    if let Some(digest) = inner.digest()
        && Digest::from_str(digest).is_err()
    {
        return Err("validation.image.digest");
    }
    if let Some((_, port)) = inner.registry().split_once(':')
        && !port.parse::<u16>().is_ok_and(|port| port > 0)
    {
        return Err("validation.image.form");
    }
    // Docker takes 64 hex digits for an image's id, and the container runtime refuses them as a name.
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("validation.image.form");
    }
    Ok(())
}

/// Which part of a reference is wrong: the parser mostly says only that something is.
fn explain(text: &str, err: &ParseError) -> &'static str {
    if !matches!(err, ParseError::ReferenceInvalidFormat | ParseError::NameTooLong) {
        return "validation.image.digest";
    }
    if *err == ParseError::NameTooLong {
        return "validation.image.too_long";
    }
    let is_reference = |text: &str| grammar::read(text).is_ok();
    if let Some((name, _)) = text.split_once('@') {
        return if is_reference(name) { "validation.image.digest" } else { explain(name, err) };
    }
    if is_reference(&text.to_ascii_lowercase()) {
        return "validation.image.uppercase";
    }
    let name_starts = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[name_starts..].find(':') {
        Some(colon) if is_reference(&text[..name_starts + colon]) => "validation.image.tag",
        _ => "validation.image.form",
    }
}

fn familiar(text: &str, inner: &Reference) -> String {
    let name = match (inner.registry(), inner.repository()) {
        (DOCKER_HUB, repository) => repository.strip_prefix("library/").unwrap_or(repository).to_owned(),
        (host, repository) => format!("{host}/{repository}"),
    };
    let tag = inner.tag().filter(|tag| *tag != "latest" || text.contains(":latest"));
    let short = format!(
        "{name}{}{}",
        tag.map(|tag| format!(":{tag}")).unwrap_or_default(),
        inner.digest().map(|digest| format!("@{digest}")).unwrap_or_default()
    );
    // `docker.io/a.b/c` without its host would be the registry `a.b`.
    if grammar::read(&short).is_ok_and(|again| again == *inner) { short } else { inner.whole() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_read_as_the_container_runtime_reads_them() {
        for (text, registry, repository, tag, familiar) in [
            ("nginx", "docker.io", "library/nginx", "latest", "nginx"),
            (" nginx:1.27\n", "docker.io", "library/nginx", "1.27", "nginx:1.27"),
            ("nginx:latest", "docker.io", "library/nginx", "latest", "nginx:latest"),
            ("me/app", "docker.io", "me/app", "latest", "me/app"),
            ("docker.io/nginx", "docker.io", "library/nginx", "latest", "nginx"),
            ("index.docker.io/library/nginx:1", "docker.io", "library/nginx", "1", "nginx:1"),
            ("DOCKER.io/library/nginx", "docker.io", "library/nginx", "latest", "nginx"),
            ("ghcr.io/me/app:v1", "ghcr.io", "me/app", "v1", "ghcr.io/me/app:v1"),
            ("quay.io/a/b/c_d--e.f", "quay.io", "a/b/c_d--e.f", "latest", "quay.io/a/b/c_d--e.f"),
            ("localhost:5000/x", "localhost:5000", "x", "latest", "localhost:5000/x"),
            ("localhost/x", "localhost", "x", "latest", "localhost/x"),
            ("127.0.0.1:5050/x:V1_b", "127.0.0.1:5050", "x", "V1_b", "127.0.0.1:5050/x:V1_b"),
            ("docker.io/a.b/c", "docker.io", "a.b/c", "latest", "docker.io/a.b/c:latest"),
            ("nginx:5000", "docker.io", "library/nginx", "5000", "nginx:5000"),
        ] {
            let image = ImageReference::parse(text).unwrap_or_else(|why| panic!("{text:?}: {why}"));
            assert_eq!(
                (image.registry(), image.repository(), image.tag()),
                (registry, repository, Some(tag)),
                "{text:?}"
            );
            assert_eq!(image.familiar(), familiar, "{text:?}");
            assert_eq!(image.canonical(), format!("{registry}/{repository}:{tag}"), "{text:?}");
            assert_eq!(ImageReference::parse(image.familiar()).unwrap().canonical(), image.canonical(), "{text:?}");
            assert_eq!(ImageReference::parse(&image.canonical()).unwrap().canonical(), image.canonical(), "{text:?}");
        }
    }

    #[test]
    fn a_digest_pins_the_image() {
        let image = ImageReference::parse(&format!("docker.io/library/nginx@{SHA}")).unwrap();
        assert_eq!((image.tag(), image.digest()), (None, Some(SHA)));
        assert_eq!(image.familiar(), format!("nginx@{SHA}"));
        assert!(!image.is_latest());
        let both = ImageReference::parse(&format!("nginx:latest@{SHA}")).unwrap();
        assert_eq!(both.canonical(), format!("docker.io/library/nginx:latest@{SHA}"));
        assert!(!both.is_latest());
        assert!(ImageReference::parse("nginx").unwrap().is_latest());
        assert!(!ImageReference::parse("nginx:1").unwrap().is_latest());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let long_name = format!("a/{}", "b".repeat(300));
        let long_tag = format!("nginx:{}", "1".repeat(129));
        let digest = |hex: &str| format!("nginx@sha256:{hex}");
        for (text, why) in [
            ("", "missing"),
            (" \t\r\n", "missing"),
            (&"a".repeat(10_000), "too_long"),
            (&"a:".repeat(256), "tag"),
            (&long_name, "too_long"),
            ("http://nginx", "url"),
            ("https://hub.docker.com/_/nginx", "url"),
            ("docker://nginx", "url"),
            ("nginx latest", "characters"),
            ("docker pull nginx", "characters"),
            ("nginx\0", "characters"),
            ("ngi\r\nnx", "characters"),
            ("nginx:1\r\nHost: x", "characters"),
            ("nginx:1%2e", "characters"),
            ("nginx?a", "characters"),
            ("nginx#a", "characters"),
            ("nginx\\a", "characters"),
            ("[::1]:5000/x", "characters"),
            ("엔진엑스", "characters"),
            ("nginx:최신", "characters"),
            ("ｎｇｉｎｘ", "characters"),
            ("ngin\u{0445}", "characters"),
            ("nginx\u{202E}", "characters"),
            ("<b>nginx</b>", "characters"),
            ("${jndi:x}", "characters"),
            ("Nginx", "uppercase"),
            ("MyOrg/app", "uppercase"),
            ("me/App:V1", "uppercase"),
            ("ghcr.io/Me/app", "uppercase"),
            ("nginx:", "tag"),
            ("nginx:-1", "tag"),
            ("nginx:.", "tag"),
            ("nginx:..", "tag"),
            ("nginx:a:b", "tag"),
            (&long_tag, "tag"),
            ("nginx@", "digest"),
            ("nginx@sha256:short", "digest"),
            (&digest(&"a".repeat(63)), "digest"),
            (&digest(&"a".repeat(65)), "digest"),
            (&digest(&"A".repeat(64)), "digest"),
            (&digest(&"g".repeat(64)), "digest"),
            (&format!("nginx@md5:{}", "a".repeat(32)), "digest"),
            (&format!("nginx@{SHA}:1"), "digest"),
            (&format!("@{SHA}"), "form"),
            (&"a".repeat(64), "form"),
            (":1", "form"),
            (".", "form"),
            ("..", "form"),
            ("/", "form"),
            ("/nginx", "form"),
            ("nginx/", "form"),
            ("a//b", "form"),
            ("../nginx", "form"),
            ("nginx/../x", "form"),
            ("a/./b", "form"),
            ("a..b", "form"),
            ("-nginx", "form"),
            ("nginx-", "form"),
            ("localhost:/x", "form"),
            ("localhost:0/x", "form"),
            ("localhost:99999/x", "form"),
            ("ghcr.io:443:1/x", "form"),
            ("user@ghcr.io/x", "digest"),
            ("ghcr.io/", "form"),
            (".io/x", "form"),
        ] {
            let shown = crate::text::shorten(text, 60);
            assert_eq!(ImageReference::parse(text), Err(format!("validation.image.{why}").leak() as &str), "{shown:?}");
        }
    }
}
