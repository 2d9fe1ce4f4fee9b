//! What is asked of the cluster while somebody looks: logs and events. A page never waits for it; a fragment does, for a
//! few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::{self, ContentEncoding};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Found, application_id};
use crate::app::App;
use crate::applications::model::Application;
use crate::applications::present::{Context, LOG_LINES, pods_of};
use crate::applications::views::{ClusterEvents, EventsFragment, EventsPage, Log, LogFragment, LogsPage};
use crate::cloud::CloudError;
use crate::cloud::cluster::{AppOwner, LogLine, LogRequest};
use crate::cloud_services::CloudService;
use crate::error::{Error, Result};
use crate::ids::{AccountId, ApplicationId};
use crate::metrics::OpenStream;
use crate::session;
use crate::web::page::{Lang, Menu};
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{fragment, html};

/// How long somebody waits for the cluster before it is said that it does not answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// Logs that one account follows at the same time, in this process.
const MOST_STREAMS: u32 = 4;
/// How often it is looked whether who follows a log still may.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A sign of life for the browser and for proxies that close what is quiet.
const BEAT_EVERY: Duration = Duration::from_secs(10);
/// Lines that are sent at once, and how long the next ones wait: a log that never stops must not take the browser's
/// whole time.
const BATCH: usize = 200;
const BETWEEN_BATCHES: Duration = Duration::from_millis(60);

fn owner(app: &App, account: AccountId, application: ApplicationId) -> AppOwner {
    AppOwner { portal: app.shared.portal, account, application }
}

/// `GET /applications/{id}/events`: what the cluster tells, newest first.
pub async fn events(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let id = application_id(&path)?;
    let found = Found::of(&reader, account.id, id).await?;
    let context = found.context(&reader);
    let told = timeout(PATIENCE, reader.app.cluster.events(owner(&reader.app, account.id, id))).await;
    let events = match told {
        Ok(Ok(told)) => ClusterEvents {
            id: id.to_string(),
            lines: told.iter().map(|event| context.told(event)).collect(),
            failed: false,
        },
        Ok(Err(CloudError::NotFound(_))) => ClusterEvents { id: id.to_string(), ..ClusterEvents::default() },
        _ => ClusterEvents { id: id.to_string(), failed: true, ..ClusterEvents::default() },
    };
    let page = reader.page(Menu::Applications);
    if reader.htmx {
        return fragment(&EventsFragment { page, events });
    }
    html(&EventsPage { page, row: found.shown(&reader), events })
}

#[derive(Debug, Deserialize)]
pub struct LogQuery {
    #[serde(default)]
    pod: String,
    #[serde(default)]
    previous: String,
}

impl LogQuery {
    /// The pod that is asked for, if there is one of this name among the container's own: a name goes into the
    /// cluster's address, and nobody's but the owner's may be asked for.
    ///
    /// # Errors
    /// Not found.
    fn pod(&self, row: &Application) -> Result<Option<&str>> {
        if self.pod.is_empty() {
            return Ok(None);
        }
        let seen = row.observed();
        let known = pods_of(seen.as_ref()).iter().any(|pod| pod.name == self.pod);
        if known { Ok(Some(&self.pod)) } else { Err(Error::NotFound) }
    }
}

/// `GET /applications/{id}/logs?pod=&previous=`: the last lines.
pub async fn logs(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    query: web::Query<LogQuery>,
) -> Result<HttpResponse> {
    let id = application_id(&path)?;
    let found = Found::of(&reader, account.id, id).await?;
    let context = found.context(&reader);
    let seen = found.row.observed();
    let mut log = context.log(&found.row, seen.as_ref(), query.pod(&found.row)?, query.previous == "true");
    log.is_page = true;
    if !log.pod.is_empty() {
        let request = LogRequest {
            owner: owner(&reader.app, account.id, id),
            pod: log.pod.clone(),
            previous: log.previous,
            follow: false,
            tail: LOG_LINES,
        };
        fill(&reader.app, &context, &mut log, &request).await;
    }
    let page = reader.page(Menu::Applications);
    if reader.htmx {
        return fragment(&LogFragment { page, log });
    }
    html(&LogsPage { page, row: found.shown(&reader), log })
}

async fn fill(app: &App, context: &Context<'_>, log: &mut Log, request: &LogRequest) {
    let read = async {
        let lines = app.cluster.logs(request).await?;
        let lines: Vec<_> = lines.take(LOG_LINES as usize).collect().await;
        lines.into_iter().collect::<std::result::Result<Vec<LogLine>, CloudError>>()
    };
    let sentence = match timeout(PATIENCE, read).await {
        Ok(Ok(lines)) if !lines.is_empty() => {
            log.lines = lines.iter().map(|line| context.log_line(line)).collect();
            return;
        }
        Ok(Ok(_)) => "applications.log.none",
        Ok(Err(CloudError::NotFound(_))) if log.previous => "applications.log.no_previous",
        Ok(Err(CloudError::NotFound(_) | CloudError::Conflict(_) | CloudError::Rejected(_))) => {
            "applications.log.no_pod"
        }
        _ => "applications.log.trouble",
    };
    log.message = context.lang.t(sentence).into_owned();
}

/// One of the logs that an account follows; given back when it is dropped.
struct Seat(AccountId);

static SEATS: Mutex<Option<HashMap<AccountId, u32>>> = Mutex::new(None);

impl Seat {
    /// None when all are taken.
    fn take(account: AccountId) -> Option<Self> {
        let mut seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.get_or_insert_default().entry(account).or_default();
        if *taken >= MOST_STREAMS {
            return None;
        }
        *taken += 1;
        Some(Self(account))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seats) = seats.as_mut() else { return };
        if let Some(taken) = seats.get_mut(&self.0) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                seats.remove(&self.0);
            }
        }
    }
}

/// An event of the stream. Foreign text is within JSON, which has no line breaks.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Milliseconds after which the browser asks again when the stream has ended.
const RETRY: &[u8] = b"retry: 3000\n\n";

/// `GET /applications/{id}/logs/stream?pod=`: the log as it grows, as server-sent events: `start`, `lines` (JSON),
/// `beat`; `pause` and `over` with a sentence, before it ends to be asked for again, or for good.
pub async fn stream(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    path: web::Path<String>,
    query: web::Query<LogQuery>,
) -> Result<HttpResponse> {
    let id = application_id(&path)?;
    let found = Found::of(&reader, account.id, id).await?;
    let seen = found.row.observed();
    let log = found.context(&reader).log(&found.row, seen.as_ref(), query.pod(&found.row)?, false);
    if log.pod.is_empty() {
        return Err(Error::NotFound);
    }
    let session = session::of_request(&request, &reader.app).ok_or(Error::SignIn)?;
    let (send, mut receive) = mpsc::channel::<Bytes>(4);
    match Seat::take(account.id) {
        None => {
            let words = reader.lang.t1("applications.log.too_many", "n", MOST_STREAMS).into_owned();
            // There is room for it: the channel is empty.
            let _ = send.try_send(event("over", &words));
        }
        Some(seat) => {
            let follower = Follower {
                app: reader.app.clone(),
                lang: reader.lang,
                service: found.service,
                session,
                request: LogRequest {
                    owner: owner(&reader.app, account.id, id),
                    pod: log.pod,
                    previous: false,
                    follow: true,
                    tail: LOG_LINES,
                },
                send,
                _seat: seat,
                _counted: reader.app.metrics.stream("log"),
            };
            actix_web::rt::spawn(follower.run());
        }
    }
    let body = futures::stream::once(async { Bytes::from_static(RETRY) })
        .chain(futures::stream::poll_fn(move |context| receive.poll_recv(context)));
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // Lines come one by one: nothing may wait for more of them.
        .insert_header(ContentEncoding::Identity)
        .insert_header((header::HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(body.map(Ok::<_, std::convert::Infallible>)))
}

/// Whoever reads a log, as long as they may.
struct Follower {
    app: web::Data<App>,
    lang: Lang,
    service: CloudService,
    session: Vec<u8>,
    request: LogRequest,
    send: mpsc::Sender<Bytes>,
    _seat: Seat,
    _counted: OpenStream,
}

/// Why a stream ends: with a sentence, to be asked for again or not.
enum End {
    Pause(&'static str),
    Over(&'static str),
    /// Nobody reads any more.
    Left,
}

type Lines = BoxStream<'static, std::result::Result<LogLine, CloudError>>;

impl Follower {
    async fn run(self) {
        let end = tokio::select! {
            // The browser is gone, or the portal stops.
            () = self.send.closed() => End::Left,
            () = self.app.closing() => End::Left,
            end = self.watch() => end,
            end = self.follow() => end,
        };
        let last = match end {
            End::Pause(sentence) => event("pause", &self.lang.t(sentence)),
            End::Over(sentence) => event("over", &self.lang.t(sentence)),
            End::Left => return,
        };
        // Who does not take it is as good as gone.
        let _ = timeout(Duration::from_secs(1), self.send.send(last)).await;
    }

    /// Ends when the session does, or the container is no longer the account's: however slowly somebody reads.
    async fn watch(&self) -> End {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(end) = self.look().await {
                return end;
            }
        }
    }

    async fn open(&self) -> std::result::Result<Lines, End> {
        match timeout(PATIENCE, self.app.cluster.logs(&self.request)).await {
            Ok(Ok(lines)) => Ok(lines),
            Ok(Err(CloudError::NotFound(_) | CloudError::Conflict(_) | CloudError::Rejected(_))) => {
                Err(End::Pause("applications.log.no_pod"))
            }
            _ => Err(End::Pause("applications.log.trouble")),
        }
    }

    async fn follow(&self) -> End {
        let lines = match self.open().await {
            Ok(lines) => lines,
            Err(end) => return end,
        };
        let mut batches = lines.ready_chunks(BATCH);
        let mut beat = interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if self.tell(event("start", &())).await.is_err() {
            return End::Left;
        }
        loop {
            tokio::select! {
                _ = beat.tick() => {
                    if self.tell(event("beat", &())).await.is_err() {
                        return End::Left;
                    }
                }
                batch = batches.next() => {
                    if let Some(end) = self.pass_on(batch).await {
                        return end;
                    }
                    tokio::time::sleep(BETWEEN_BATCHES).await;
                }
            }
        }
    }

    async fn tell(&self, what: Bytes) -> std::result::Result<(), mpsc::error::SendError<Bytes>> {
        self.send.send(what).await
    }

    async fn pass_on(&self, batch: Option<Vec<std::result::Result<LogLine, CloudError>>>) -> Option<End> {
        let Some(batch) = batch else { return Some(End::Pause("applications.log.ended")) };
        let broken = batch.iter().any(std::result::Result::is_err);
        let context = Context::new(self.lang, &self.app, &self.service, "");
        let lines: Vec<_> = batch.iter().flatten().map(|line| context.log_line(line)).collect();
        if !lines.is_empty() && self.tell(event("lines", &lines)).await.is_err() {
            return Some(End::Left);
        }
        broken.then_some(End::Pause("applications.log.trouble"))
    }

    /// Whether it goes on: the session lives, and the container is there and its owner's.
    async fn look(&self) -> Option<End> {
        let (session, AppOwner { account, application, .. }) = (self.session.clone(), self.request.owner);
        let looked = self
            .app
            .db
            .run(move |conn| {
                if !session::is_alive(conn, &session, account)? {
                    return Ok(Some(End::Over("applications.log.signed_out")));
                }
                match Application::find(conn, account, application) {
                    Ok(_) => Ok(None),
                    Err(diesel::result::Error::NotFound) => Ok(Some(End::Over("applications.log.gone"))),
                    Err(error) => Err(error.into()),
                }
            })
            .await;
        // Who can't be checked is not trusted; the browser asks again.
        looked.unwrap_or(Some(End::Pause("applications.log.trouble")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_follows_a_few_logs_at_once() {
        let (one, other) = (AccountId::new(), AccountId::new());
        let mut seats: Vec<Seat> = (0..MOST_STREAMS).filter_map(|_| Seat::take(one)).collect();
        assert_eq!(seats.len(), MOST_STREAMS as usize);
        assert!(Seat::take(one).is_none());
        assert!(Seat::take(other).is_some(), "everybody has seats of their own");
        seats.pop();
        assert!(Seat::take(one).is_some());
        drop(seats);
        let seats = SEATS.lock().unwrap();
        assert!(seats.as_ref().is_none_or(|seats| !seats.contains_key(&one)), "nothing is kept of who has left");
    }

    #[test]
    fn no_line_of_a_log_can_end_an_event() {
        let sent = event("lines", &["a\n\nevent: over\r\ndata: x\u{2028}"]);
        let text = std::str::from_utf8(&sent).unwrap();
        assert_eq!(text.matches('\n').count(), 3, "{text:?}");
        assert!(!text.contains('\r'));
    }
}
