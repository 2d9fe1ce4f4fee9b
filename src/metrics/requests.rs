//! Counting requests.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web;

use crate::app::App;

/// The label of every path that is no route of ours: anybody can ask for anything.
const UNMATCHED: &str = "unmatched";

/// The middleware.
///
/// # Errors
/// Those of what is inside.
pub async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else { return next.call(request).await };
    let (route, method) = (request.match_pattern(), method(request.method()));
    let began = Instant::now();
    let answer = next.call(request).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let took = began.elapsed();
    let route = route.as_deref().unwrap_or(UNMATCHED);
    app.metrics.requests.with_label_values(&[route, method, class(status)]).inc();
    app.metrics.request_seconds.with_label_values(&[route, method]).observe(took.as_secs_f64());
    tracing::debug!(status = status.as_u16(), took_ms = took.as_millis(), "answered");
    answer
}

/// One of the few that there are; a method may be any word.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
