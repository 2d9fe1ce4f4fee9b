//! Bodies to and from Swift. They are sent once: a token that is refused is renewed by the calls before and after them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::{Method, Response};
use serde_json::json;

use super::exchange::refusal;
use super::{COPY_PATIENCE, UPLOAD_HEADER, http_time, stall, unquoted};
use crate::cloud::CloudError;
use crate::cloud::objects::{ByteStream, Download, DownloadKind, GetQuery, ManifestOrder, ObjectKey, PutOrder};
use crate::cloud::openstack::OpenStack;
use crate::cloud::openstack::answer::{Answer, no_answer};

const SERVICE: &str = "Swift";

/// Who is waited for while a body is sent.
#[derive(Debug)]
struct Progress {
    /// When Swift last took something, or became free to.
    at: Instant,
    /// The next piece has not come yet: it is not Swift that is slow.
    waits_for_sender: bool,
}

/// A body that notes its progress.
struct Watched {
    inner: ByteStream,
    progress: Arc<Mutex<Progress>>,
}

impl Stream for Watched {
    type Item = Result<Bytes, CloudError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.inner.poll_next_unpin(cx);
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.at = Instant::now();
        progress.waits_for_sender = next.is_pending();
        next
    }
}

/// Returns when Swift has taken nothing for as long as that.
async fn stands_still(progress: &Mutex<Progress>, limit: Duration) {
    loop {
        let (at, waits) = {
            let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            (progress.at, progress.waits_for_sender)
        };
        let still = if waits { Duration::ZERO } else { at.elapsed() };
        if still >= limit {
            return;
        }
        tokio::time::sleep((limit - still).min(Duration::from_secs(1))).await;
    }
}

impl OpenStack {
    pub(super) async fn upload(
        &self,
        container: &str,
        key: &ObjectKey,
        order: &PutOrder,
        body: ByteStream,
    ) -> Result<String, CloudError> {
        let mut request = self.swift(Method::PUT).object(container, key).header("content-type", &order.content_type);
        if let Some(length) = order.length {
            // Without it the body goes in chunks, of each of which Swift reads the length first.
            request = request.header("content-length", &length.to_string());
        }
        if order.only_if_absent {
            request = request.header("if-none-match", "*");
        }
        let token = self.session.token().await?;
        let progress = Arc::new(Mutex::new(Progress { at: Instant::now(), waits_for_sender: false }));
        let watched = Watched { inner: body, progress: progress.clone() };
        let sent = request.prepared(self.session.streams(), &token)?.body(reqwest::Body::wrap_stream(watched)).send();
        let limits = self.session.limits();
        let response = tokio::select! {
            sent = sent => sent.map_err(|error| no_answer(SERVICE, &error))?,
            () = stands_still(&progress, stall(limits)) => {
                return Err(CloudError::unavailable(format_args!("{SERVICE} takes no more of a file")));
            }
        };
        let answer = limits.bound(SERVICE, Answer::read(response, limits)).await?;
        if !answer.status.is_success() {
            if answer.status.as_u16() == 401 {
                self.session.token_after(&token).await?;
            }
            return Err(refusal(&answer, request.is_conditional()));
        }
        let etag = answer.header("etag").map(unquoted);
        etag.ok_or_else(|| CloudError::unavailable("Swift confirmed a file without its sum"))
    }

    pub(super) async fn manifest(
        &self,
        container: &str,
        key: &ObjectKey,
        order: &ManifestOrder,
    ) -> Result<String, CloudError> {
        let segments: Vec<_> = order
            .segments
            .iter()
            .map(|segment| {
                json!({"path": format!("/{}/{}", order.container, segment.name), "etag": segment.etag, "size_bytes": segment.bytes})
            })
            .collect();
        let mut request = self
            .swift(Method::PUT)
            .object(container, key)
            .query("multipart-manifest", "put")
            .header("content-type", &order.put.content_type)
            .header(UPLOAD_HEADER, &order.upload.to_string())
            .body(json!(segments).to_string().into_bytes())
            .patience(COPY_PATIENCE);
        if order.put.only_if_absent {
            request = request.header("if-none-match", "*");
        }
        let answer = request.send().await?;
        let etag = answer.header("etag").map(unquoted);
        etag.ok_or_else(|| CloudError::unavailable("Swift confirmed a large file without its sum"))
    }

    /// Swift does not know `If-Range`: the part is asked for on condition that the object is still the same, and if it is
    /// not, all of it.
    pub(super) async fn download(
        &self,
        container: &str,
        key: &ObjectKey,
        query: &GetQuery,
    ) -> Result<Download, CloudError> {
        let Some(current) = query.if_range.clone().filter(|_| query.range.is_some()) else {
            return self.fetch(container, key, query).await;
        };
        let mut part = GetQuery { if_range: None, ..query.clone() };
        if http_time(&current).is_some() {
            part.if_unmodified_since.get_or_insert(current);
        } else {
            part.if_match.get_or_insert(current);
        }
        let download = self.fetch(container, key, &part).await?;
        if download.kind != DownloadKind::ConditionFailed {
            return Ok(download);
        }
        let whole = GetQuery { range: None, if_range: None, ..query.clone() };
        self.fetch(container, key, &whole).await
    }

    async fn fetch(&self, container: &str, key: &ObjectKey, query: &GetQuery) -> Result<Download, CloudError> {
        let mut request = self.swift(Method::GET).object(container, key);
        let headers = [
            ("range", &query.range),
            ("if-match", &query.if_match),
            ("if-none-match", &query.if_none_match),
            ("if-modified-since", &query.if_modified_since),
            ("if-unmodified-since", &query.if_unmodified_since),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let mut token = self.session.token().await?;
        let limits = self.session.limits();
        for repeated in [false, true] {
            let sent = request.prepared(self.session.streams(), &token)?.send();
            let sent = async { sent.await.map_err(|error| no_answer(SERVICE, &error)) };
            let response = limits.bound(SERVICE, sent).await?;
            match response.status().as_u16() {
                200 | 206 | 304 | 412 | 416 => return Ok(opened(response, stall(limits))),
                // Nothing of the body has been handed on yet.
                401 if !repeated => token = self.session.token_after(&token).await?,
                _ => {
                    let answer = limits.bound(SERVICE, Answer::read(response, limits)).await?;
                    return Err(refusal(&answer, false));
                }
            }
        }
        Err(CloudError::unavailable("Swift refuses the token (401) even after a new login"))
    }
}

fn opened(response: Response, stall: Duration) -> Download {
    let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let kind = match response.status().as_u16() {
        206 => DownloadKind::Part(text("content-range")),
        304 => DownloadKind::NotModified,
        412 => DownloadKind::ConditionFailed,
        416 => DownloadKind::NotSatisfiable(text("content-range")),
        _ => DownloadKind::Whole,
    };
    Download {
        kind,
        length: text("content-length").and_then(|length| length.parse().ok()),
        etag: text("etag").map(|etag| unquoted(&etag)).unwrap_or_default(),
        content_type: text("content-type").unwrap_or_else(|| "application/octet-stream".to_owned()),
        modified: text("last-modified").and_then(|time| http_time(&time)),
        large: text("x-static-large-object").is_some_and(|large| large.eq_ignore_ascii_case("true")),
        body: received(response, stall),
    }
}

/// The body, each piece within the time limit.
fn received(response: Response, stall: Duration) -> ByteStream {
    futures::stream::unfold(Some(response.bytes_stream().boxed()), move |stream| async move {
        let mut stream = stream?;
        match tokio::time::timeout(stall, stream.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(stream))),
            Ok(Some(Err(error))) => Some((Err(no_answer(SERVICE, &error)), None)),
            Err(_) => Some((Err(CloudError::unavailable("Swift sends no more of a file")), None)),
        }
    })
    .boxed()
}
