//! The grammar of image references, read by hand. `oci_spec` reads the same with a regular expression that stays in memory
//! once it has been used: 7 MB, a third of what the portal takes at rest.
//!
//! The grammar: <https://github.com/distribution/reference/blob/main/reference.go>. Texts are ASCII: who calls has seen to it.

use oci_spec::distribution::{ParseError, Reference};

use super::reference::DOCKER_HUB;

/// The other name of Docker Hub, in references of old.
const DOCKER_HUB_LEGACY: &str = "index.docker.io";
/// Where images of Docker Hub without an owner are.
const OFFICIAL: &str = "library/";
/// The longest name in a registry, in bytes.
const MAX_NAME: usize = 255;
/// The longest tag, in bytes.
const MAX_TAG: usize = 128;

/// Reads `[host[:port]/]name[:tag][@digest]`. Without tag and digest the tag is `latest`.
///
/// # Errors
/// Those of [`Reference`]'s own parser, of which this is the like.
pub(super) fn read(text: &str) -> Result<Reference, ParseError> {
    if text.is_empty() {
        return Err(ParseError::NameEmpty);
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    // A colon with a slash after it stands before a port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if !is_name(name) || !tag.is_none_or(is_tag) || !digest.is_none_or(is_digest) {
        return Err(ParseError::ReferenceInvalidFormat);
    }
    let (registry, repository) = split(name);
    if repository.len() > MAX_NAME {
        return Err(ParseError::NameTooLong);
    }
    Ok(match (tag.map(str::to_owned), digest.map(str::to_owned)) {
        (None, None) => Reference::with_tag(registry, repository, "latest".to_owned()),
        (Some(tag), None) => Reference::with_tag(registry, repository, tag),
        (None, Some(digest)) => Reference::with_digest(registry, repository, known(digest)?),
        (Some(tag), Some(digest)) => Reference::with_tag_and_digest(registry, repository, tag, known(digest)?),
    })
}

/// The host and the name in its registry; what looks like no host is a part of a name in Docker Hub.
fn split(name: &str) -> (String, String) {
    let (host, rest) = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => (DOCKER_HUB, name),
    };
    if host != DOCKER_HUB && host != DOCKER_HUB_LEGACY {
        return (host.to_owned(), rest.to_owned());
    }
    let official = if rest.contains('/') { "" } else { OFFICIAL };
    (DOCKER_HUB.to_owned(), format!("{official}{rest}"))
}

/// A digest of an algorithm that registries use, as long as its hashes are.
fn known(digest: String) -> Result<String, ParseError> {
    let Some((algorithm, hex)) = digest.split_once(':') else { return Err(ParseError::DigestInvalidFormat) };
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ParseError::DigestUnsupported),
    };
    if hex.len() == digits { Ok(digest) } else { Err(ParseError::DigestInvalidLength) }
}

fn is_name(name: &str) -> bool {
    let is_path = |path: &str| path.split('/').all(is_component);
    is_path(name) || name.split_once('/').is_some_and(|(host, path)| is_host(host) && is_path(path))
}

/// Small letters and digits, between them a dot, one or two underscores, or hyphens.
fn is_component(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let between = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|run| !run.is_empty());
    let is_separator = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    is_end(text.as_bytes().first()) && is_end(text.as_bytes().last()) && between.into_iter().all(is_separator)
}

/// Labels between dots, and a port after a colon.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(is_label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.len() <= MAX_TAG
        && text.as_bytes().first().is_some_and(is_word)
        && text.as_bytes().iter().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let is_part = |part: &str| {
        part.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(is_part)
        && hex.len() >= 32
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use rand::rngs::StdRng;
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Parts that references are made of, and some that they are not.
    const PARTS: [&str; 34] = [
        "a",
        "z9",
        "A",
        "Ab",
        "0",
        "5000",
        "localhost",
        "docker.io",
        "index.docker.io",
        "ghcr.io",
        "library",
        "latest",
        "sha256",
        "sha512",
        "md5",
        "/",
        "/",
        "/",
        ":",
        ":",
        ":",
        "@",
        "@",
        ".",
        ".",
        "_",
        "__",
        "___",
        "-",
        "--",
        "+",
        "0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF",
        "%",
    ];

    #[test]
    fn it_reads_what_the_crate_reads() {
        let mut random = StdRng::seed_from_u64(7);
        let (mut fine, mut wrong) = (0, 0);
        for _ in 0..100_000 {
            let parts = random.random_range(1..10);
            let text: String = (0..parts).filter_map(|_| PARTS.choose(&mut random).copied()).collect();
            let (ours, theirs) = (read(&text), Reference::from_str(&text));
            assert_eq!(ours, theirs, "{text:?}");
            if ours.is_ok() { fine += 1 } else { wrong += 1 }
        }
        assert!(fine > 5_000 && wrong > 5_000, "{fine} fine, {wrong} wrong");
        for text in [
            format!("a/{}", "b".repeat(254)),
            format!("{}/{}", "a".repeat(128), "b".repeat(127)),
            format!("ghcr.io/{}", "b".repeat(255)),
            format!("ghcr.io/{}", "b".repeat(256)),
            "b".repeat(247),
            "b".repeat(248),
            format!("a:{}", "b".repeat(128)),
            format!("a:{}", "b".repeat(129)),
            format!("a@sha256:{}", "0".repeat(64)),
            format!("a:b@sha384:{}", "0".repeat(96)),
            format!("a@sha512:{}", "0".repeat(128)),
            format!("a@sha512:{}", "0".repeat(64)),
            format!("a@sha256+b64u.x:{}", "0".repeat(64)),
            String::new(),
        ] {
            assert_eq!(read(&text), Reference::from_str(&text), "{text:?}");
        }
    }
}
