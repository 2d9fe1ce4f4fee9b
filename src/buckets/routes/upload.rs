//! Files in a form: read as they come and handed on at once.

use std::time::Duration;

use actix_multipart::{Field as Part, Multipart};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use futures::future::{Either, select};
use futures::stream::Fuse;
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;

use super::{back_to, load_usable};
use crate::buckets::forms::{self, FIELD_BYTES, form_file_name};
use crate::buckets::kinds;
use crate::buckets::model::Bucket;
use crate::buckets::upload::{self, Announced, Existing, Failure, Order, Piece, Stored};
use crate::buckets::views::{Outcome, UploadedPage};
use crate::cloud::CloudError;
use crate::cloud::objects::ObjectKey;
use crate::error::{Error, Result};
use crate::web::csrf;
use crate::web::format;
use crate::web::page::{Lang, Menu};
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{notice, see_other, with_status};

/// What is still read of a refused request, so that its sender gets to read why.
const DRAINED: usize = 8 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// Files of one request.
const MOST_FILES: usize = 10_000;

#[derive(Debug, Deserialize)]
pub struct UploadQuery {
    #[serde(default)]
    prefix: String,
    /// The name of the one file that comes, if a script says it: forms can't write every name as it is.
    #[serde(default)]
    name: String,
    #[serde(default)]
    existing: String,
    /// What a script calls this upload: its next try takes the place of this one.
    #[serde(default)]
    attempt: String,
}

fn existing(text: &str) -> Existing {
    if text == "replace" { Existing::Replace } else { Existing::Keep }
}

/// Why a file was not stored: a sentence, a status, and whether others may go on.
struct Refused {
    sentence: &'static str,
    status: StatusCode,
    go_on: bool,
}

impl Refused {
    fn of(failure: &Failure) -> Self {
        let refused = |sentence, status: u16, go_on| Self {
            sentence,
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            go_on,
        };
        match failure {
            Failure::OverQuota => refused("upload_errors.over_quota", 413, false),
            Failure::TooLarge => refused("upload_errors.too_large", 413, true),
            Failure::Busy => refused("upload_errors.busy", 409, true),
            Failure::NotNow => refused("upload_errors.not_now", 409, false),
            Failure::Left => refused("upload_errors.left", 400, false),
            Failure::Store(CloudError::QuotaExceeded(_)) => refused("upload_errors.store_full", 507, false),
            Failure::Store(_) => refused("upload_errors.store", 503, false),
            Failure::Database(_) => refused("upload_errors.database", 503, false),
        }
    }
}

/// What became of each file.
struct Received {
    name: String,
    result: std::result::Result<Stored, Refused>,
}

/// `POST /buckets/{name}/objects?prefix=`: multipart; `csrf_token` before the files unless it comes as a header,
/// `existing` (`keep`, `replace`) before them if at all, and `file`, repeated.
pub async fn create(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    path: web::Path<String>,
    query: web::Query<UploadQuery>,
    payload: web::Payload,
) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path).await?;
    let prefix = forms::prefix(&query.prefix).ok_or(Error::NotFound)?;
    let mut form = Form {
        parts: Multipart::new(request.headers(), payload),
        announced: announced(&request),
        checked: !csrf::is_unchecked(&request),
        existing: existing(&query.existing),
        name: query.name.clone(),
        attempt: query.attempt.clone(),
        prefix: prefix.clone(),
    };
    let received = form.receive(&reader, &request, &account, &bucket).await?;
    answer(&reader, &request, &bucket, &prefix, received)
}

fn announced(request: &HttpRequest) -> Announced {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.map_or(Announced::Nothing, Announced::AtMost)
}

struct Form {
    parts: Multipart,
    announced: Announced,
    checked: bool,
    existing: Existing,
    name: String,
    attempt: String,
    prefix: String,
}

impl Form {
    async fn receive(
        &mut self,
        reader: &Reader,
        request: &HttpRequest,
        account: &CurrentAccount,
        bucket: &Bucket,
    ) -> Result<Vec<Received>> {
        let mut received = Vec::new();
        while let Some(part) = self.parts.next().await {
            // Without a token, what came is nobody's form.
            let checked = self.checked;
            let odd = |error: actix_multipart::MultipartError| {
                if checked { Error::BadRequest(error.to_string()) } else { Error::Csrf("no token") }
            };
            let mut part = part.map_err(odd)?;
            match part.name().unwrap_or_default() {
                "csrf_token" => {
                    let token = text(&mut part).await?;
                    if !self.checked {
                        csrf::check(request, &reader.app, account.id, &token)?;
                        self.checked = true;
                    }
                }
                "existing" => self.existing = existing(&text(&mut part).await?),
                "file" if !self.checked => return Err(Error::Csrf("the token has to come before the files")),
                "file" => {
                    let Some(name) = file_name(&part, &self.name) else { continue };
                    // After its end it may be asked again.
                    let mut part = part.fuse();
                    let result = self.file(reader, bucket, &name, &mut part).await;
                    let go_on = match &result {
                        Ok(_) => true,
                        Err(refused) => refused.go_on,
                    };
                    received.push(Received { name, result });
                    if !go_on || received.len() >= MOST_FILES {
                        drain(part).await;
                        return Ok(received);
                    }
                }
                _ => {}
            }
        }
        if self.checked { Ok(received) } else { Err(Error::Csrf("no token")) }
    }

    async fn file(
        &self,
        reader: &Reader,
        bucket: &Bucket,
        name: &str,
        part: &mut Fuse<Part>,
    ) -> std::result::Result<Stored, Refused> {
        let key = ObjectKey::parse(format!("{}{name}", self.prefix)).map_err(|problem| Refused {
            sentence: forms::key_sentence(problem),
            status: StatusCode::UNPROCESSABLE_ENTITY,
            go_on: true,
        })?;
        let order = Order {
            bucket: bucket.clone(),
            content_type: kinds::content_type(key.as_str()),
            key,
            existing: self.existing,
            announced: self.announced,
            attempt: self.attempt.clone(),
        };
        let upload = upload::start(reader.app.clone().into_inner(), order);
        hand_over(part, upload).await.map_err(|failure| Refused::of(&failure))
    }
}

/// A short field.
async fn text(part: &mut Part) -> Result<String> {
    let bytes = part.bytes(FIELD_BYTES).await.map_err(|_| Error::TooLarge)?;
    let bytes = bytes.map_err(|error| Error::BadRequest(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The file's name: what the script said, else what the form says. None: an empty field, nothing was chosen.
fn file_name(part: &Part, said: &str) -> Option<String> {
    if !said.is_empty() {
        return Some(said.to_owned());
    }
    let disposition = part.content_disposition()?;
    if let Some(extended) = disposition.get_filename_ext() {
        return Some(String::from_utf8_lossy(&extended.value).into_owned());
    }
    let name = disposition.get_filename().map(form_file_name)?;
    if name.is_empty() { None } else { Some(name) }
}

/// Hands the bytes over as they come. Ends early when the upload has failed.
async fn hand_over(part: &mut Fuse<Part>, upload: upload::Upload) -> std::result::Result<Stored, Failure> {
    let upload::Upload { mut pieces, mut outcome } = upload;
    loop {
        match select(part.next(), &mut outcome).await {
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
            Either::Left((Some(Err(error)), _)) => {
                tracing::debug!(%error, "a form broke off");
                drop(pieces);
                break;
            }
            Either::Right((outcome, _)) => return outcome.unwrap_or(Err(Failure::Left)),
        }
    }
    outcome.await.unwrap_or(Err(Failure::Left))
}

/// Reads on for a moment.
async fn drain(mut part: Fuse<Part>) {
    let rest = async {
        let mut read = 0;
        while let Some(Ok(bytes)) = part.next().await {
            read += bytes.len();
            if read > DRAINED {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
}

fn outcome(lang: Lang, received: &Received) -> Outcome {
    match &received.result {
        Ok(stored) => {
            Outcome { name: stored.key.as_str().to_owned(), size: format::bytes(stored.bytes), error: String::new() }
        }
        Err(refused) => {
            Outcome { name: received.name.clone(), size: String::new(), error: lang.t(refused.sentence).into_owned() }
        }
    }
}

fn answer(
    reader: &Reader,
    request: &HttpRequest,
    bucket: &Bucket,
    prefix: &str,
    received: Vec<Received>,
) -> Result<HttpResponse> {
    let worst = received.iter().filter_map(|file| file.result.as_ref().err()).map(|refused| refused.status).max();
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") {
        let files: Vec<_> = received
            .iter()
            .map(|file| match &file.result {
                Ok(stored) => json!({
                    "name": file.name, "key": stored.key.as_str(), "bytes": stored.bytes, "md5": stored.md5,
                }),
                Err(refused) => json!({"name": file.name, "error": reader.lang.t(refused.sentence)}),
            })
            .collect();
        let status = match worst {
            Some(status) => status,
            None if files.is_empty() => StatusCode::UNPROCESSABLE_ENTITY,
            None => StatusCode::CREATED,
        };
        return Ok(HttpResponse::build(status).json(json!({ "files": files })));
    }
    let back = back_to(&bucket.name, prefix);
    if worst.is_none() && !received.is_empty() {
        let mut response = see_other(&back);
        notice(&mut response, reader, "notice.uploaded", &received.len().to_string())?;
        return Ok(response);
    }
    let page = UploadedPage {
        bucket: bucket.name.clone(),
        back,
        outcomes: received.iter().map(|file| outcome(reader.lang, file)).collect(),
        page: reader.page(Menu::Buckets),
    };
    with_status(worst.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY), &page)
}
