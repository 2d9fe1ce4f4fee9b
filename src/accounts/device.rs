//! Browsers that have logged in to an account before: a cookie says so, and who guesses at the account elsewhere does not
//! slow them down. It lets nobody in.

use actix_web::cookie::time::Duration;
use actix_web::{HttpRequest, HttpResponse};

use crate::error::{Error, Result};
use crate::web::reader::{Reader, cookie};

const DAYS: i64 = 90;

fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-fast-cloud-device" } else { "fast-cloud-device" }
}

fn mark(reader: &Reader, device: &str, login_id: &str) -> String {
    hex::encode(reader.app.shared.derive("device", &[device.as_bytes(), login_id.as_bytes()]))
}

/// The browser's own name, if it has logged in to this id before.
pub fn known(request: &HttpRequest, reader: &Reader, login_id: &str) -> Option<String> {
    let cookie = request.cookie(cookie_name(reader.app.config.server.is_https()))?;
    let (device, marks) = cookie.value().split_once('.')?;
    let own = mark(reader, device, login_id);
    // Digests of a secret: comparing them in constant time would protect nothing, a wrong one only counts elsewhere.
    marks.split('.').any(|mark| mark == own).then(|| device.to_owned())
}

/// Marks the browser; it keeps the marks of four accounts, for those who share it.
///
/// # Errors
/// When the cookie can't be set.
pub fn remember(response: &mut HttpResponse, request: &HttpRequest, reader: &Reader, login_id: &str) -> Result<()> {
    let https = reader.app.config.server.is_https();
    let before = request.cookie(cookie_name(https));
    let (device, marks) = before
        .as_ref()
        .and_then(|cookie| cookie.value().split_once('.'))
        .filter(|(device, _)| device.len() == 64)
        .map_or_else(|| (crate::random::token(), ""), |(device, marks)| (device.to_owned(), marks));
    let own = mark(reader, &device, login_id);
    let others = marks.split('.').filter(|mark| mark.len() == 64 && *mark != own).take(3);
    let value = [device.as_str(), own.as_str()].into_iter().chain(others).collect::<Vec<_>>().join(".");
    let mut known = cookie(cookie_name(https), value, https);
    known.set_max_age(Duration::days(DAYS));
    response.add_cookie(&known).map_err(Error::internal)
}
