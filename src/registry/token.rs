//! The anonymous token that registries hand out before they answer.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::HashMap;

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::Url;

use super::answer;
use super::error::RegistryError;
use super::settings::Source;
use super::web::{Ask, Web};

const MAX_ANSWER_BYTES: usize = 64 * 1024;
const MAX_TOKEN_BYTES: usize = 16 * 1024;
const MAX_CHALLENGE_BYTES: usize = 4 * 1024;

/// What a registry asks for when it answers with 401: a token from `realm`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    /// None: no token helps (a login by name and password is asked for, or nothing).
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .filter(|text| text.len() <= MAX_CHALLENGE_BYTES)
            .find_map(bearer)
    }
}

/// An `Authorization` for one repository. The realm is an answer's link: it is contacted only if it may be.
pub(super) async fn anonymous(
    web: &Web,
    source: &Source,
    challenge: &Challenge,
    repository: &str,
) -> Result<HeaderValue, RegistryError> {
    let mut url = Url::parse(&challenge.realm)
        .map_err(|_| RegistryError::Unreadable("the address of the registry's tokens is none".to_owned()))?;
    let own_scope = format!("repository:{repository}:pull");
    let scope = challenge.scope.as_deref().unwrap_or(&own_scope);
    if let Some(service) = &challenge.service {
        url.query_pairs_mut().append_pair("service", service);
    }
    url.query_pairs_mut().append_pair("scope", scope);
    url.set_fragment(None);
    let ask = Ask { url, accept: "application/json", max_bytes: MAX_ANSWER_BYTES, authorization: None };
    let answer = web.get(source, ask).await?;
    if !answer.status.is_success() {
        return Err(match answer::refusal(&answer) {
            // It is the token service that is not found, and not the image.
            RegistryError::NotFound => {
                RegistryError::Unavailable("the registry's token service is not there".to_owned())
            }
            error => error,
        });
    }
    #[derive(Deserialize)]
    struct Tokens {
        token: Option<String>,
        access_token: Option<String>,
    }
    let tokens: Tokens = answer::json(&answer.body, "a token")?;
    tokens
        .token
        .or(tokens.access_token)
        .filter(|token| {
            !token.is_empty() && token.len() <= MAX_TOKEN_BYTES && token.bytes().all(|b| b.is_ascii_graphic())
        })
        .and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok())
        .map(|mut value| {
            value.set_sensitive(true);
            value
        })
        .ok_or_else(|| RegistryError::Unreadable("the registry's token is none".to_owned()))
}

/// The first Bearer challenge of a header, which may hold several (RFC 9110, section 11.6.1).
fn bearer(header: &str) -> Option<Challenge> {
    let mut rest = header;
    let mut parameters: Option<HashMap<String, String>> = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        let Some(value) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            // A scheme. The parameters of the one before are complete.
            if parameters.is_some() {
                break;
            }
            parameters = word.eq_ignore_ascii_case("bearer").then(HashMap::new);
            rest = after;
            continue;
        };
        let (value, after) = parameter(value.trim_start_matches([' ', '\t']))?;
        if let Some(parameters) = &mut parameters {
            parameters.entry(word.to_ascii_lowercase()).or_insert(value);
        }
        rest = after;
    }
    let mut parameters = parameters?;
    Some(Challenge {
        realm: parameters.remove("realm")?,
        service: parameters.remove("service"),
        scope: parameters.remove("scope"),
    })
}

/// A value, quoted or not, and what comes after it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Challenge { realm: realm.to_owned(), service: owned(service), scope: owned(scope) })
    }

    #[test]
    fn challenges_are_read() {
        let realm = "https://auth.example/token";
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push""#,
                challenge(realm, Some("registry"), Some("repository:a/b:pull,push")),
            ),
            (r#"bearer  Realm = "https://auth.example/token" "#, challenge(realm, None, None)),
            (r#"Bearer realm=https://auth.example/token,service=x"#, challenge(realm, Some("x"), None)),
            (
                r#"Basic realm="no", Bearer realm="https://auth.example/token", Digest realm="neither", service="x""#,
                challenge(realm, None, None),
            ),
            (r#"Negotiate abc==, Bearer realm="https://auth.example/token""#, challenge(realm, None, None)),
            (r#"Bearer realm="a\"b", service="\\""#, challenge("a\"b", Some("\\"), None)),
            (r#"Basic realm="no""#, None),
            (r#"Bearer service="x""#, None),
            (r#"Bearer realm="https://auth.example/token"#, None),
            (r#"Bearer realm="a\"#, None),
            ("Bearer", None),
            ("=", None),
            ("", None),
            ("\"\"\"", None),
            (",,, ,", None),
        ] {
            assert_eq!(bearer(header), expected, "{header}");
        }
    }

    #[test]
    fn long_challenges_are_not_read() {
        let mut headers = HeaderMap::new();
        let long = format!("Bearer realm=\"https://a.example/{}\"", "a".repeat(MAX_CHALLENGE_BYTES));
        headers.append(WWW_AUTHENTICATE, long.parse().unwrap());
        assert_eq!(Challenge::of(&headers), None);
        headers.append(WWW_AUTHENTICATE, "Bearer realm=x".parse().unwrap());
        assert_eq!(Challenge::of(&headers), challenge("x", None, None));
    }
}
