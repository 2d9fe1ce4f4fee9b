//! Answers: a page, a fragment, the way to another page.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

use super::reader::{NOTICE_COOKIE, Reader, cookie};
use crate::error::{Error, Result};

/// A page, or a fragment, with a status.
///
/// # Errors
/// When the template can't be drawn.
pub fn with_status(status: StatusCode, template: &impl Template) -> Result<HttpResponse> {
    let body = template.render().map_err(Error::internal)?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(body))
}

/// A page.
///
/// # Errors
/// When the template can't be drawn.
pub fn html(template: &impl Template) -> Result<HttpResponse> {
    with_status(StatusCode::OK, template)
}

/// A part of a page, for htmx.
///
/// # Errors
/// When the template can't be drawn.
pub fn fragment(template: &impl Template) -> Result<HttpResponse> {
    with_status(StatusCode::OK, template)
}

/// To another page, after a form.
pub fn see_other(target: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, target)).finish()
}

/// A sentence that the next page shows once, with the name that it is about, if any.
///
/// # Errors
/// When the cookie can't be set.
pub fn notice(response: &mut HttpResponse, reader: &Reader, sentence: &'static str, name: &str) -> Result<()> {
    let https = reader.app.config.server.is_https();
    let value = url::form_urlencoded::Serializer::new(String::new()).append_pair(sentence, name).finish();
    response.add_cookie(&cookie(NOTICE_COOKIE, value, https)).map_err(Error::internal)
}
