//! What a registry's answer means.

use std::time::Duration;

use chrono::{DateTime, Utc};
use oci_spec::image::{Digest, DigestAlgorithm, ImageIndex, ImageManifest};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::error::RegistryError;
use super::web::Answer;

/// The longest pause that a registry is believed to ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What a status other than 2xx means. A web page is not the word of a registry, but of something in front of it: its
/// 404 is no proof that there is no such image.
pub(super) fn refusal(answer: &Answer) -> RegistryError {
    let codes = error_codes(&answer.body);
    let says = |code: &str| codes.iter().any(|said| said == code);
    let status = answer.status.as_u16();
    if status == 429 || says("TOOMANYREQUESTS") {
        return RegistryError::RateLimited { retry_after: retry_after(&answer.headers, Utc::now()) };
    }
    if is_web_page(&answer.body) {
        return RegistryError::Unavailable(format!("a web page with status {status} in place of a registry's answer"));
    }
    match status {
        404 => RegistryError::NotFound,
        _ if says("MANIFEST_UNKNOWN") || says("NAME_UNKNOWN") => RegistryError::NotFound,
        401 | 403 => RegistryError::Private,
        408 | 425 | 500..=599 => RegistryError::Unavailable(format!("the registry answers with status {status}")),
        _ => RegistryError::Unreadable(format!("the registry answers with status {status}")),
    }
}

/// Registries answer in JSON, if they say anything.
pub(super) fn is_web_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// `{"errors": [{"code": "MANIFEST_UNKNOWN", …}]}`; the codes are not a closed set.
fn error_codes(body: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        code: String,
    }
    serde_json::from_slice::<Errors>(body)
        .map(|body| body.errors.into_iter().map(|error| error.code).collect())
        .unwrap_or_default()
}

/// `Retry-After` in seconds or as a time; else a reset of a rate limit, in seconds or as a time since 1970.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let until = |time: DateTime<Utc>| (time - now).to_std().unwrap_or_default();
    let by_header = text(RETRY_AFTER.as_str()).and_then(|text| match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => DateTime::parse_from_rfc2822(text).ok().map(|time| until(time.to_utc())),
    });
    let by_reset = || {
        let seconds: u64 = ["ratelimit-reset", "x-ratelimit-reset"].iter().find_map(|name| text(name)?.parse().ok())?;
        // Thirty years: nobody waits for so long, so it is a time.
        if seconds < 1_000_000_000 {
            return Some(Duration::from_secs(seconds));
        }
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0).map(until)
    };
    by_header.or_else(by_reset).map(|pause| pause.min(MAX_RETRY_AFTER))
}

/// A body as what it should be. The parser's own words are left out: they quote what they found.
pub(super) fn json<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, RegistryError> {
    serde_json::from_slice(body).map_err(|err| {
        RegistryError::Unreadable(format!("{what} makes no sense at line {} column {}", err.line(), err.column()))
    })
}

/// What stands under a tag or a digest.
pub(super) enum Document {
    /// One image for several platforms.
    Index(Box<ImageIndex>),
    Manifest(Box<ImageManifest>),
}

impl Document {
    /// Told apart by what is in it: headers and media types are claims. One that could be read as both is refused
    /// (CVE-2021-41190).
    pub(super) fn read(body: &[u8]) -> Result<Self, RegistryError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            schema_version: u32,
            manifests: Option<IgnoredAny>,
            config: Option<IgnoredAny>,
            layers: Option<IgnoredAny>,
        }
        let shape: Shape = json(body, "the manifest")?;
        if shape.schema_version != 2 {
            return Err(RegistryError::Unreadable(format!("a manifest of version {}", shape.schema_version)));
        }
        match (shape.manifests.is_some(), shape.config.is_some() || shape.layers.is_some()) {
            (true, false) => Ok(Self::Index(Box::new(json(body, "the index")?))),
            (false, true) => Ok(Self::Manifest(Box::new(json(body, "the manifest")?))),
            _ => Err(RegistryError::Unreadable("neither an index nor a manifest".to_owned())),
        }
    }
}

/// Whether these bytes are the ones that the digest names.
pub(super) fn check_digest(body: &[u8], digest: &Digest) -> Result<(), RegistryError> {
    let found = match digest.algorithm() {
        DigestAlgorithm::Sha256 => hex::encode(Sha256::digest(body)),
        DigestAlgorithm::Sha384 => hex::encode(Sha384::digest(body)),
        DigestAlgorithm::Sha512 => hex::encode(Sha512::digest(body)),
        _ => return Err(RegistryError::Unreadable("a digest of an unknown kind".to_owned())),
    };
    if found != digest.digest() {
        return Err(RegistryError::Unreadable("something else than its digest says".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn refused(status: u16, body: &str) -> RegistryError {
        refusal(&Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            is_own: true,
        })
    }

    #[test]
    fn refusals_are_understood() {
        let code = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"x","detail":[1]}}]}}"#);
        for (status, body, expected) in [
            (404, code("MANIFEST_UNKNOWN"), RegistryError::NotFound),
            (404, code("SOMETHING_NEW"), RegistryError::NotFound),
            (404, String::new(), RegistryError::NotFound),
            (400, code("NAME_UNKNOWN"), RegistryError::NotFound),
            (401, code("UNAUTHORIZED"), RegistryError::Private),
            (403, code("DENIED"), RegistryError::Private),
            (429, "<html>".to_owned(), RegistryError::RateLimited { retry_after: None }),
            (403, code("TOOMANYREQUESTS"), RegistryError::RateLimited { retry_after: None }),
        ] {
            assert_eq!(refused(status, &body), expected, "{status} {body}");
        }
        for (status, body) in [(404, " <!doctype html>"), (403, "<?xml"), (500, ""), (503, "{}"), (408, "")] {
            assert!(matches!(refused(status, body), RegistryError::Unavailable(_)), "{status} {body}");
        }
        for (status, body) in [(400, "{}"), (418, ""), (204, "")] {
            assert!(matches!(refused(status, body), RegistryError::Unreadable(_)), "{status} {body}");
        }
    }

    #[test]
    fn a_pause_is_said_in_many_ways() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let date = (now + chrono::TimeDelta::seconds(90)).to_rfc2822();
        let past = (now - chrono::TimeDelta::seconds(90)).to_rfc2822();
        for (name, value, seconds) in [
            ("retry-after", "60", Some(60)),
            ("retry-after", date.as_str(), Some(90)),
            ("retry-after", past.as_str(), Some(0)),
            ("retry-after", "99999999999", Some(86_400)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("ratelimit-reset", "120", Some(120)),
            ("x-ratelimit-reset", "1800000300", Some(300)),
            ("x-ratelimit-reset", "18446744073709551615", None),
            ("ratelimit-limit", "100;w=21600", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{name}: {value}");
        }
    }

    #[test]
    fn what_could_be_two_things_is_neither() {
        for body in [
            r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
            r#"{"schemaVersion":2,"manifests":[],"config":{}}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":{}}"#,
            "<!doctype html>",
            "",
            "[]",
            "null",
        ] {
            assert!(matches!(Document::read(body.as_bytes()), Err(RegistryError::Unreadable(_))), "{body}");
        }
        assert!(matches!(Document::read(br#"{"schemaVersion":2,"manifests":[]}"#), Ok(Document::Index(_))));
        let deep = format!(r#"{{"schemaVersion":2,"manifests":{}"#, "[".repeat(100_000));
        assert!(Document::read(deep.as_bytes()).is_err());
    }

    #[test]
    fn digests_are_checked() {
        let digest = |text: &str| text.parse::<Digest>().unwrap();
        let right = format!("sha256:{}", hex::encode(Sha256::digest(b"x")));
        assert!(check_digest(b"x", &digest(&right)).is_ok());
        assert!(check_digest(b"y", &digest(&right)).is_err());
        assert!(check_digest(b"x", &digest(&format!("sha512:{}", hex::encode(Sha512::digest(b"x"))))).is_ok());
        assert!(check_digest(b"x", &digest("md5:9dd4e461268c8034f5c8564e155c67a6")).is_err());
    }
}
