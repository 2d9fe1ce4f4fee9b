//! Language and theme: choices that stick, in cookies of their own, signed in or not.

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration;

use crate::error::{Error, Result};
use crate::web::body::Fields;
use crate::web::reader::{LANG_COOKIE, Reader, THEME_COOKIE, cookie, local_path};
use crate::web::respond::see_other;

fn keep(reader: &Reader, fields: &Fields, name: &'static str, value: &str) -> Result<HttpResponse> {
    let mut choice = cookie(name, value.to_owned(), reader.app.config.server.is_https());
    choice.set_max_age(Duration::days(365));
    let mut response = see_other(local_path(fields.get("next"), "/"));
    response.add_cookie(&choice).map_err(Error::internal)?;
    Ok(response)
}

/// `POST /preferences/language`, fields `lang` and `next`.
pub async fn language(reader: Reader, fields: Fields) -> Result<HttpResponse> {
    match fields.get("lang") {
        lang @ ("ko" | "en") => keep(&reader, &fields, LANG_COOKIE, lang),
        _ => Err(Error::BadRequest("lang is ko or en".to_owned())),
    }
}

/// `POST /preferences/theme`, fields `theme` (empty: the device's) and `next`.
pub async fn theme(reader: Reader, fields: Fields) -> Result<HttpResponse> {
    match fields.get("theme") {
        theme @ ("" | "light" | "dark") => keep(&reader, &fields, THEME_COOKIE, theme),
        _ => Err(Error::BadRequest("theme is light, dark or empty".to_owned())),
    }
}
