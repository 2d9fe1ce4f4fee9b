//! The guard of forms: every POST comes from a page of ours, of this session.
//!
//! Two checks, both have to pass: the browser's own word on where the request comes from (`Sec-Fetch-Site`, else
//! `Origin`), and a token in the hidden field `csrf_token` (or the header `X-CSRF-Token`): an HMAC over a random cookie
//! and the account, so that neither a planted cookie nor another account's token is of use. Each answer has the token
//! under another mask: pages are compressed, and what stays the same could be guessed letter by letter from their lengths
//! (BREACH). No row is written for visitors who are not signed in.

use std::time::Duration;

use actix_session::SessionExt;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, web};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::body;
use super::reader::signed_in;
use crate::app::App;
use crate::error::Error;
use crate::ids::AccountId;

/// How long a form may take to arrive: who sends a byte now and then must not hold a connection for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// The value of the cookie that tokens are made from, in the request's extensions: the one that came, or a new one
/// that goes out with the answer.
#[derive(Debug, Clone)]
pub struct Seed {
    pub value: String,
    pub is_new: bool,
}

/// Bytes of a token, and of the mask before it: 128 bits, as RFC 2104 (section 5) allows of HMAC-SHA-256.
const BYTES: usize = 16;

/// A token that goes with a seed and an account, under a new mask: the mask, then the token XORed with it.
pub fn token(secret: &[u8], seed: &str, account: Option<AccountId>) -> String {
    let mask = crate::random::bytes::<BYTES>();
    let token = mac(secret, seed, account).finalize().into_bytes();
    hex::encode([mask, std::array::from_fn(|i| mask[i] ^ token[i])].concat())
}

fn mac(secret: &[u8], seed: &str, account: Option<AccountId>) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(b"csrf:");
    mac.update(seed.as_bytes());
    mac.update(b":");
    if let Some(AccountId(id)) = account {
        mac.update(id.as_bytes());
    }
    mac
}

fn fits(secret: &[u8], seed: &str, account: Option<AccountId>, token: &str) -> bool {
    let Ok(bytes) = hex::decode(token) else { return false };
    let Some((mask, masked)) = bytes.split_at_checked(BYTES) else { return false };
    if masked.len() != BYTES {
        return false;
    }
    let token: Vec<u8> = mask.iter().zip(masked).map(|(mask, byte)| mask ^ byte).collect();
    mac(secret, seed, account).verify_truncated_left(&token).is_ok()
}

/// The cookie's name; `__Host-` where the portal is reached by https.
pub fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-fast-cloud-form" } else { "fast-cloud-form" }
}

/// The middleware. Runs inside the session, so that the account is known.
///
/// # Errors
/// [`Error::Csrf`] and what reading the form gives.
pub async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let app = request.app_data::<web::Data<App>>().ok_or_else(|| Error::internal("no app"))?.clone();
    let seed = match request.cookie(cookie_name(app.config.server.is_https())) {
        Some(cookie) if cookie.value().len() == 64 => Seed { value: cookie.value().to_owned(), is_new: false },
        _ => Seed { value: crate::random::token(), is_new: true },
    };
    request.extensions_mut().insert(seed.clone());
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        same_origin(&request, &app)?;
        let form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        let fields = if form {
            let payload = request.extract::<web::Payload>().await?;
            tokio::time::timeout(PATIENCE, body::read(payload))
                .await
                .map_err(|_| Error::BadRequest("the form came too slowly".to_owned()))??
        } else {
            body::Fields::default()
        };
        let header = request.headers().get("x-csrf-token").and_then(|value| value.to_str().ok());
        if seed.is_new {
            return Err(Error::Csrf("no cookie").into());
        }
        if header.is_none() && is_upload(&request) {
            // Its token stands before the files in the form, which is read by the handler as it comes.
            request.extensions_mut().insert(Unchecked);
            return next.call(request).await;
        }
        let token = header.unwrap_or_else(|| fields.get("csrf_token"));
        let account = signed_in(&request.get_session()).map(|account| account.id);
        if !fits(&app.shared.secret, &seed.value, account, token) {
            return Err(Error::Csrf("another token").into());
        }
        request.extensions_mut().insert(fields);
    }
    next.call(request).await
}

/// In a request's extensions: its token has not been looked at, [`check`] has to.
#[derive(Debug, Clone, Copy)]
struct Unchecked;

/// The one form whose token comes within a stream: files for a bucket.
fn is_upload(request: &ServiceRequest) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let parts: Vec<&str> = request.path().split('/').collect();
    kind.is_some_and(|kind| kind.starts_with("multipart/form-data"))
        && matches!(parts[..], ["", "buckets", _, "objects"])
}

/// Whether the guard has let a form through whose token is still to be checked.
pub fn is_unchecked(request: &HttpRequest) -> bool {
    request.extensions().get::<Unchecked>().is_some()
}

/// Checks the token of such a form.
///
/// # Errors
/// [`Error::Csrf`]
pub fn check(request: &HttpRequest, app: &App, account: AccountId, token: &str) -> Result<(), Error> {
    let seed = request.extensions().get::<Seed>().cloned().ok_or(Error::Csrf("no cookie"))?;
    if fits(&app.shared.secret, &seed.value, Some(account), token) { Ok(()) } else { Err(Error::Csrf("another token")) }
}

/// The browser's word on where the request comes from. Other clients say nothing and need the token only.
fn same_origin(request: &ServiceRequest, app: &App) -> Result<(), Error> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return if site == "same-origin" { Ok(()) } else { Err(Error::Csrf("another site")) };
    }
    let Some(origin) = text("origin") else { return Ok(()) };
    let public = app.config.server.public_url();
    let host = request.connection_info().host().to_owned();
    let own = origin == public || origin.split_once("://").is_some_and(|(_, from)| from == host);
    if own { Ok(()) } else { Err(Error::Csrf("another origin")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_own_seed_and_account_only() {
        let (secret, seed, account) = (b"secret", "seed", Some(AccountId::new()));
        let token = token(secret, seed, account);
        assert!(fits(secret, seed, account, &token));
        for (secret, seed, account, token) in [
            (&b"other!"[..], seed, account, token.as_str()),
            (secret, "other", account, &token),
            (secret, seed, None, &token),
            (secret, seed, Some(AccountId::new()), &token),
            (secret, seed, account, ""),
            (secret, seed, account, "zz"),
            (secret, seed, account, &token[..62]),
            (secret, seed, account, &token[..32]),
            (secret, seed, account, &token[..34]),
            (secret, seed, account, &format!("{token}00")),
            (secret, seed, account, &"0".repeat(64)),
        ] {
            assert!(!fits(secret, seed, account, token), "{token}");
        }
    }

    #[test]
    fn no_two_answers_have_the_same_token() {
        let (secret, seed, account) = (b"secret", "seed", Some(AccountId::new()));
        let tokens: std::collections::HashSet<_> = (0..100).map(|_| token(secret, seed, account)).collect();
        assert_eq!(tokens.len(), 100);
        assert!(tokens.iter().all(|token| fits(secret, seed, account, token)));
        let halves: std::collections::HashSet<_> = tokens.iter().map(|token| &token[32..]).collect();
        assert_eq!(halves.len(), 100, "the masked half changes with the mask");
    }
}
