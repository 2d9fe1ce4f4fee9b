//! The span of a request: what the log says of it. The path only, never the query, which may hold a one-time token; of a
//! path that holds a secret or a file's name, the pattern of its route.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use tracing::Span;
use tracing_actix_web::{DefaultRootSpanBuilder, RequestId, RootSpanBuilder};

use crate::cause::Cause;

/// Characters of a path that are told: the longest of ours has some 100.
const LONGEST: usize = 200;

/// A span with method, path, request id and, at its end, the status.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
        tracing::info_span!(
            "request",
            http.method = %request.method(),
            http.path = path(request.path(), request.match_pattern()),
            request_id = id,
            http.status_code = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
            exception.message = tracing::field::Empty,
            exception.details = tracing::field::Empty,
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        DefaultRootSpanBuilder::on_request_end(span, outcome);
    }
}

/// What may be told of a path. A link that was copied with a letter too many is still a secret to those who mend it.
fn path(path: &str, pattern: Option<String>) -> String {
    match pattern {
        Some(pattern) if pattern.contains("{token}") || pattern.contains("{key") => pattern,
        None if path.starts_with("/share/") => "/share/…".to_owned(),
        None if path.starts_with("/buckets/") => "/buckets/…".to_owned(),
        _ => crate::text::shorten(path, LONGEST),
    }
}

/// The middleware: what a cloud is asked for while a request is answered carries the request's id.
///
/// # Errors
/// Those of what is inside.
pub async fn in_its_name(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = request.extensions().get::<RequestId>().copied();
    match id {
        Some(id) => Cause::new(id.into()).of(next.call(request)).await,
        None => next.call(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn neither_secrets_nor_files_are_told() {
        for (asked, pattern, told) in [
            ("/instances/7/stop", Some("/instances/{instance_id}/stop"), "/instances/7/stop"),
            ("/share/7/secret", Some("/share/{link_id}/{token}"), "/share/{link_id}/{token}"),
            ("/share/7/secret/", None, "/share/…"),
            (
                "/buckets/b/objects/my%20will.txt",
                Some("/buckets/{bucket}/objects/{key:.*}"),
                "/buckets/{bucket}/objects/{key:.*}",
            ),
            ("/buckets/b/my-will.txt", None, "/buckets/…"),
            ("/no/such", None, "/no/such"),
        ] {
            assert_eq!(path(asked, pattern.map(str::to_owned)), told);
        }
    }
}
