//! A bucket for tools: as much of Swift's own API as `curl`, `rclone` and the `swift` client need, for one bucket, with a
//! credential of its own in `X-Auth-Token`. Everything goes through the same doors as a person's uploads and downloads,
//! so quota, sizes and names are the same.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures::future::{Either, select};
use futures::{SinkExt, StreamExt};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::json;

use super::objects;
use crate::app::App;
use crate::buckets::kinds;
use crate::buckets::model::Bucket;
use crate::buckets::model::tokens::Token;
use crate::buckets::upload::{self, Announced, Existing, Failure, Order, Piece, Stored};
use crate::cloud::CloudError;
use crate::cloud::objects::{Entry, ListQuery, MAX_LISTING, ObjectKey};
use crate::error::Error;

/// What comes before a bucket's name.
pub const PATH: &str = "/swift/v1";

/// An answer that tools understand: a status and a line.
fn plain(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(format!("{text}\n"))
}

fn refused(error: &Error) -> HttpResponse {
    match error {
        Error::NotFound => plain(StatusCode::NOT_FOUND, "not found"),
        Error::Store(_) | Error::Unavailable(_) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "the storage does not answer, try again")
        }
        other => {
            tracing::error!(error = %other, "a tool's request failed");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong")
        }
    }
}

/// Every request under [`PATH`].
pub async fn handle(app: web::Data<App>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let path = request.uri().path().strip_prefix(PATH).unwrap_or_default();
    let token = request.headers().get("x-auth-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (text, shared) = (token.to_owned(), app.shared.clone());
    let (token, bucket) = match app.db.run(move |conn| Ok(Token::open(conn, &shared, &text)?)).await {
        Ok(opened) => opened,
        Err(Error::NotFound) => {
            return plain(
                StatusCode::UNAUTHORIZED,
                "the credential in X-Auth-Token is none of this portal's, or has expired",
            );
        }
        Err(error) => return refused(&error),
    };
    let (container, key) = match path.trim_start_matches('/').split_once('/') {
        Some((container, "")) => (container, None),
        Some((container, key)) => (container, Some(key)),
        None => (path.trim_start_matches('/'), None),
    };
    if !container.is_empty() && container != bucket.name {
        return plain(StatusCode::NOT_FOUND, "this credential is for another bucket");
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !token.writes {
        return plain(StatusCode::FORBIDDEN, "this credential can only read");
    }
    if !bucket.is_usable() {
        return plain(StatusCode::CONFLICT, "the bucket can't be used now");
    }
    let result = match (request.method().as_str(), container.is_empty(), key) {
        ("GET" | "HEAD", true, _) => Ok(account(&bucket)),
        ("GET" | "HEAD", false, None) => listing(&app, &request, &bucket).await,
        // Tools make the container before they put something in.
        ("PUT", false, None) => Ok(plain(StatusCode::ACCEPTED, "it is there")),
        (method, false, Some(key)) => object(&app, &request, &bucket, method, key, payload).await,
        _ => Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "this can't be done with a bucket's credential")),
    };
    result.unwrap_or_else(|error| refused(&error))
}

fn usage(response: &mut HttpResponseBuilder, kind: &str, bucket: &Bucket) {
    response
        .insert_header((format!("x-{kind}-object-count"), bucket.objects.to_string()))
        .insert_header((format!("x-{kind}-bytes-used"), bucket.bytes.to_string()));
}

/// As far as this credential goes, the account has one container.
fn account(bucket: &Bucket) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    usage(&mut response, "account", bucket);
    response.insert_header(("x-account-container-count", "1"));
    response.json(json!([{"name": bucket.name, "count": bucket.objects, "bytes": bucket.bytes}]))
}

#[derive(Debug, Default, Deserialize)]
struct ListingQuery {
    #[serde(default)]
    format: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    delimiter: String,
    #[serde(default)]
    marker: String,
    #[serde(default)]
    limit: String,
}

async fn listing(app: &App, request: &HttpRequest, bucket: &Bucket) -> Result<HttpResponse, Error> {
    let query =
        web::Query::<ListingQuery>::from_query(request.query_string()).map(web::Query::into_inner).unwrap_or_default();
    let mut response = HttpResponse::Ok();
    usage(&mut response, "container", bucket);
    if request.method() == Method::HEAD {
        return Ok(response.status(StatusCode::NO_CONTENT).finish());
    }
    if !matches!(query.delimiter.as_str(), "" | "/") {
        return Ok(plain(StatusCode::PRECONDITION_FAILED, "the delimiter can only be /"));
    }
    let limit = query.limit.parse().unwrap_or(MAX_LISTING);
    let list = ListQuery {
        prefix: query.prefix,
        by_folder: query.delimiter == "/",
        marker: query.marker,
        limit: if limit == 0 { MAX_LISTING } else { limit },
        reverse: false,
    };
    let entries = app.objects.list(&bucket.name, &list).await?;
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if query.format == "json" || accept.contains("application/json") {
        return Ok(response.json(entries.iter().map(row).collect::<Vec<_>>()));
    }
    let lines: String = entries.iter().map(|entry| format!("{}\n", entry.name())).collect();
    Ok(response.content_type("text/plain; charset=utf-8").body(lines))
}

fn row(entry: &Entry) -> serde_json::Value {
    match entry {
        Entry::Folder(name) => json!({"subdir": name}),
        Entry::Object(object) => json!({
            "name": object.name,
            "bytes": object.bytes,
            "hash": object.hash,
            "content_type": object.content_type,
            "last_modified": object.modified.map(|at| at.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()),
        }),
    }
}

async fn object(
    app: &web::Data<App>,
    request: &HttpRequest,
    bucket: &Bucket,
    method: &str,
    key: &str,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let text = percent_decode_str(key).decode_utf8().ok();
    let key = match text.map(ObjectKey::parse) {
        Some(Ok(key)) => key,
        Some(Err(problem)) => return Ok(plain(StatusCode::PRECONDITION_FAILED, &problem.to_string())),
        None => return Ok(plain(StatusCode::PRECONDITION_FAILED, "the name is no UTF-8")),
    };
    match method {
        "GET" if request.query_string().contains("multipart-manifest=get") => {
            manifest(app, request, bucket, &key).await
        }
        "GET" | "HEAD" => objects::send(app.objects.as_ref(), request, &bucket.name, &key).await,
        "DELETE" => {
            app.objects.head(&bucket.name, &key).await?;
            objects::delete_files(app, bucket, &[key]).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        "PUT" if request.headers().contains_key("x-copy-from") || !request.query_string().is_empty() => Ok(plain(
            StatusCode::NOT_IMPLEMENTED,
            "only plain uploads are taken; large ones are cut into segments here",
        )),
        "PUT" => put(app, request, bucket, key, payload).await,
        _ => Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "this can't be done with a bucket's credential")),
    }
}

/// Which segments a large file has: none that a tool could delete, they are the portal's and go with the file.
async fn manifest(
    app: &web::Data<App>,
    request: &HttpRequest,
    bucket: &Bucket,
    key: &ObjectKey,
) -> Result<HttpResponse, Error> {
    if app.objects.head(&bucket.name, key).await?.large {
        return Ok(HttpResponse::Ok().insert_header(objects::LARGE).json(json!([])));
    }
    objects::send(app.objects.as_ref(), request, &bucket.name, key).await
}

async fn put(
    app: &web::Data<App>,
    request: &HttpRequest,
    bucket: &Bucket,
    key: ObjectKey,
    mut payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let text = |name: header::HeaderName| request.headers().get(name)?.to_str().ok();
    let order = Order {
        bucket: bucket.clone(),
        content_type: kinds::content_type(key.as_str()),
        key: key.clone(),
        existing: Existing::Replace,
        announced: text(header::CONTENT_LENGTH)
            .and_then(|length| length.parse().ok())
            .map_or(Announced::Nothing, Announced::Exactly),
        attempt: String::new(),
    };
    let stored = match hand_over(&mut payload, upload::start(app.clone().into_inner(), order)).await {
        Ok(stored) => stored,
        Err(failure) => return failed(failure),
    };
    // What the tool sent is what arrived; if the tool itself sees it otherwise, that is no file.
    if text(header::ETAG).is_some_and(|sum| sum.trim_matches('"') != stored.md5) {
        objects::delete_files(app, bucket, &[key]).await?;
        return Ok(plain(StatusCode::UNPROCESSABLE_ENTITY, "the file's MD5 is another than said"));
    }
    Ok(HttpResponse::Created().insert_header((header::ETAG, stored.md5)).finish())
}

async fn hand_over(payload: &mut web::Payload, upload: upload::Upload) -> Result<Stored, Failure> {
    let upload::Upload { mut pieces, mut outcome } = upload;
    loop {
        match select(payload.next(), &mut outcome).await {
            Either::Left((Some(Ok(bytes)), _)) => {
                if pieces.send(Piece::Bytes(bytes)).await.is_err() {
                    break;
                }
            }
            Either::Left((None, _)) => {
                // Refused already: the outcome says why.
                let _ = pieces.send(Piece::End).await;
                break;
            }
            Either::Left((Some(Err(_)), _)) => {
                drop(pieces);
                break;
            }
            Either::Right((outcome, _)) => return outcome.unwrap_or(Err(Failure::Left)),
        }
    }
    outcome.await.unwrap_or(Err(Failure::Left))
}

fn failed(failure: Failure) -> Result<HttpResponse, Error> {
    Ok(match failure {
        Failure::OverQuota => plain(StatusCode::PAYLOAD_TOO_LARGE, "the storage quota does not allow this upload"),
        Failure::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "the file is too large"),
        Failure::Busy => plain(StatusCode::CONFLICT, "another upload writes this name"),
        Failure::NotNow => plain(StatusCode::CONFLICT, "the bucket can't be used now"),
        Failure::Left => plain(StatusCode::BAD_REQUEST, "the file did not arrive completely"),
        Failure::Store(CloudError::QuotaExceeded(_)) => plain(StatusCode::INSUFFICIENT_STORAGE, "the storage is full"),
        Failure::Store(error) => return Err(Error::Store(error.to_string())),
        Failure::Database(error) => return Err(error),
    })
}
