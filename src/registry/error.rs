//! Why an image's facts could not be read, and what is said about it.

use std::time::Duration;

/// A variant exists where the person sees something different.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The registry knows no image of this name and tag.
    #[error("there is no such image")]
    NotFound,
    /// The configuration does not name this registry.
    #[error("images of {host} are not allowed")]
    NotAllowed { host: String, allowed: Vec<String> },
    /// Nobody without a login may read it. Docker Hub says the same of images that don't exist.
    #[error("there is no such image, or it is private")]
    Private,
    /// Too many requests from this address.
    #[error("the registry's rate limit is reached")]
    RateLimited {
        /// None: the registry did not say.
        retry_after: Option<Duration>,
    },
    /// The image is not made for any machine of the cluster.
    #[error("the image is for {offers:?}, the cluster has {cluster:?}")]
    WrongArchitecture { offers: Vec<String>, cluster: Vec<String> },
    /// Nobody answered, or not in time, or somebody who is no registry; with the reason, for the log.
    #[error("the registry can't be read: {0}")]
    Unavailable(String),
    /// The registry's answer makes no sense, or not to us; with the reason, for the log.
    #[error("the registry's answer can't be read: {0}")]
    Unreadable(String),
}

impl RegistryError {
    /// Whether the image would not run as things are. The others only mean that it could not be looked at: deploying
    /// may still go well, for the cluster's nodes pull by themselves.
    pub fn forbids_deploying(&self) -> bool {
        match self {
            Self::NotFound | Self::NotAllowed { .. } | Self::Private | Self::WrongArchitecture { .. } => true,
            Self::RateLimited { .. } | Self::Unavailable(_) | Self::Unreadable(_) => false,
        }
    }

    /// Its class in one word, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Private => "private",
            Self::RateLimited { .. } => "rate_limited",
            Self::WrongArchitecture { .. } => "wrong_architecture",
            Self::Unavailable(_) => "unavailable",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// The sentence for the person: its key and its values.
    pub fn sentence(&self) -> (&'static str, Vec<(&'static str, String)>) {
        match self {
            Self::NotFound => ("registry.not_found", vec![]),
            Self::NotAllowed { host, allowed } => {
                ("registry.not_allowed", vec![("host", host.clone()), ("allowed", allowed.join(", "))])
            }
            Self::Private => ("registry.private", vec![]),
            Self::RateLimited { retry_after } => rate_limited(*retry_after),
            Self::WrongArchitecture { offers, cluster } => {
                ("registry.wrong_architecture", vec![("offers", offers.join(", ")), ("cluster", cluster.join(", "))])
            }
            Self::Unavailable(_) => ("registry.unavailable", vec![]),
            Self::Unreadable(_) => ("registry.unreadable", vec![]),
        }
    }
}

/// Rounded up: who comes when the sentence says so is not turned away again.
fn rate_limited(retry_after: Option<Duration>) -> (&'static str, Vec<(&'static str, String)>) {
    let Some(minutes) = retry_after.map(|pause| pause.as_secs().div_ceil(60).max(1)) else {
        return ("registry.rate_limited", vec![]);
    };
    if minutes < 120 {
        return ("registry.rate_limited_minutes", vec![("n", minutes.to_string())]);
    }
    ("registry.rate_limited_hours", vec![("n", minutes.div_ceil(60).to_string())])
}

/// A foreign text as one line of bounded length, for logs.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    crate::text::shorten(&words.collect::<Vec<_>>().join(" "), 300)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Lang;

    fn said(error: &RegistryError, lang: Lang) -> String {
        let (key, values) = error.sentence();
        assert!(crate::i18n::exists(key), "{key}");
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        lang.tv(key, &values).into_owned()
    }

    #[test]
    fn every_error_has_its_sentence() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let limited = |seconds| RegistryError::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
        for (error, ko, en) in [
            (RegistryError::NotFound, "컨테이너 이미지를 찾을 수 없습니다. 이미지 주소를 확인해주세요.", "check"),
            (
                RegistryError::NotAllowed { host: "evil.example".into(), allowed: list("docker.io ghcr.io") },
                "docker.io, ghcr.io",
                "evil.example",
            ),
            (RegistryError::Private, "공개", "private"),
            (RegistryError::RateLimited { retry_after: None }, "나중에", "later"),
            (limited(0), "1분", "1 min"),
            (limited(61), "2분", "2 min"),
            (limited(7141), "2시간", "2 h"),
            (limited(21_600), "6시간", "6 h"),
            (
                RegistryError::WrongArchitecture { offers: list("arm64/v8 arm/v7"), cluster: list("amd64") },
                "arm64/v8, arm/v7",
                "amd64",
            ),
            (RegistryError::Unavailable("secret".into()), "배포할 수 있어요", "still deploy"),
            (RegistryError::Unreadable("secret".into()), "배포할 수 있어요", "still deploy"),
        ] {
            let (korean, english) = (said(&error, Lang::Ko), said(&error, Lang::En));
            assert!(korean.contains(ko), "{error:?}: {korean}");
            assert!(english.contains(en), "{error:?}: {english}");
            for sentence in [korean, english] {
                assert!(!sentence.contains("%{") && !sentence.contains("secret"), "{sentence}");
            }
        }
    }

    #[test]
    fn a_foreign_text_is_one_bounded_line() {
        assert_eq!(one_line("a\r\n\u{1b}[31mb\0  c"), "a [31mb c");
        assert_eq!(one_line(&"x".repeat(1000)).len(), 300);
    }
}
