//! Headers and cookies that go with every answer.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};

use super::csrf;
use super::reader::{NOTICE_COOKIE, NoticeShown, cookie};
use crate::app::App;

/// Nothing from elsewhere, nothing inline, no frames; forms go to us only.
const CSP: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// For every answer, static files too.
///
/// # Errors
/// Those of what is inside.
pub async fn secure(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let https = request.app_data::<web::Data<App>>().is_some_and(|app| app.config.server.is_https());
    let mut response = next.call(request).await?;
    add(response.headers_mut(), https);
    Ok(response)
}

/// The headers themselves.
pub fn add(headers: &mut HeaderMap, https: bool) {
    // A file that somebody stored has a stricter one.
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    }
    let mut set = |name: &'static str, value: &'static str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    set("x-content-type-options", "nosniff");
    set("referrer-policy", "same-origin");
    set("cross-origin-opener-policy", "same-origin");
    set("cross-origin-resource-policy", "same-origin");
    set("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()");
    if https {
        set("strict-transport-security", "max-age=31536000");
    }
}

/// `Content-Encoding: identity` keeps an answer from being compressed on its way out; nobody else has to see it.
///
/// # Errors
/// Those of what is inside.
pub async fn as_stored(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "identity") {
        headers.remove(header::CONTENT_ENCODING);
    }
    Ok(response)
}

/// For pages: not kept by caches, told apart for htmx, and with the cookies that drawing them asked for.
///
/// # Errors
/// Those of what is inside.
pub async fn page(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let https = request.app_data::<web::Data<App>>().is_some_and(|app| app.config.server.is_https());
    let (app, asks) = (request.app_data::<web::Data<App>>().cloned(), request.method().is_safe());
    let mut response = next.call(request).await?;
    if let Some(app) = app.filter(|_| !asks) {
        app.live.ring();
    }
    let (seed, shown) = {
        let extensions = response.request().extensions();
        (extensions.get::<csrf::Seed>().cloned(), extensions.get::<NoticeShown>().copied())
    };
    if let Some(seed) = seed.filter(|seed| seed.is_new) {
        response.response_mut().add_cookie(&cookie(csrf::cookie_name(https), seed.value, https))?;
    }
    if shown.is_some() {
        let mut gone = cookie(NOTICE_COOKIE, "", https);
        gone.make_removal();
        response.response_mut().add_cookie(&gone)?;
    }
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.append(header::VARY, HeaderValue::from_static("HX-Request"));
    Ok(response)
}
