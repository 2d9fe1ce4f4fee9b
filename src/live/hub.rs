//! The streams that are open in this process, and the one task that looks for what they are to be told. A stream costs
//! no thread and no connection to the database: it waits for a bell.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::rt;
use actix_web::web::Bytes;
use futures::Stream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::model::{self, Moment, Touch};
use super::{Cursor, Topics, WINDOW};
use crate::app::App;
use crate::ids::AccountId;
use crate::metrics::OpenStream;
use crate::session;

/// How often it is looked what other processes have written, and how soon after one look the next may be.
const LOOK: Duration = Duration::from_millis(250);
const REST: Duration = Duration::from_millis(50);
/// How long a look may take before it is said that nothing is known.
const PATIENCE: Duration = Duration::from_secs(5);
/// A sign of life, for proxies that close what is quiet, and for the page: one that hears nothing for two of them says so,
/// and a portal that hangs must not pass for one that has nothing to tell.
const BEAT: Duration = Duration::from_secs(5);
/// How often it is looked whether the sessions still live.
const CHECK: Duration = Duration::from_secs(3);
/// Streams that one account may have open here. A browser has one a visible tab; those of a page that was just left may
/// not be known to be gone yet.
pub const MOST_OF_ONE: usize = 12;

/// Why a stream ends; its name is the data of the event `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The session is over.
    SignedOut,
    /// The account, or the process, has as many as it may: the page looks by itself.
    Full,
    /// What happens can't be known now: the database does not answer.
    Trouble,
    /// The portal stops.
    Closing,
}

impl End {
    pub fn name(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Full => "full",
            Self::Trouble => "trouble",
            Self::Closing => "closing",
        }
    }
}

/// What a stream has not sent yet.
#[derive(Debug, Default)]
struct Pending {
    /// The first event, or a sign of life: the name, and the clouds' ages.
    sign: Option<(&'static str, Arc<str>)>,
    topics: Topics,
    cursor: Option<Cursor>,
    end: Option<End>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.sign.is_none() && self.topics.is_empty() && self.end.is_none()
    }

    fn known_until(&mut self, cursor: Cursor) {
        if self.cursor.is_none_or(|before| before.at < cursor.at) {
            self.cursor = Some(cursor);
        }
    }

    /// As server-sent events. Nothing foreign is in them.
    fn written(&self) -> Bytes {
        let mut text = String::new();
        let id = self.cursor.map(|cursor| format!("id: {cursor}\n")).unwrap_or_default();
        // What is to be asked for goes before the sign of life: who has read an id knows all up to it.
        if !self.topics.is_empty() {
            text.push_str(&format!("{id}event: change\ndata: {}\n\n", self.topics.names()));
        }
        if let Some((name, ages)) = &self.sign {
            text.push_str(&format!("{id}event: {name}\ndata: {ages}\n\n"));
        }
        if let Some(end) = self.end {
            text.push_str(&format!("event: end\ndata: {}\n\n", end.name()));
        }
        Bytes::from(text)
    }
}

/// An open stream.
struct Seat {
    number: u64,
    session: Vec<u8>,
    pending: Mutex<Pending>,
    /// Which clouds did not answer when it was told last; None: it has not begun.
    failing: Mutex<Option<u8>>,
    bell: Notify,
}

impl Seat {
    fn new(number: u64, session: Vec<u8>) -> Self {
        Self { number, session, pending: Mutex::default(), failing: Mutex::default(), bell: Notify::new() }
    }

    fn tell(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut lock(&self.pending));
        self.bell.notify_one();
    }

    /// Whether other clouds fail than was told last.
    fn has_turned(&self, failing: u8) -> bool {
        let mut told = lock(&self.failing);
        let turned = told.is_some_and(|told| told != failing);
        if turned {
            *told = Some(failing);
        }
        turned
    }

    fn end(&self, end: End) {
        self.tell(|pending| pending.end = pending.end.or(Some(end)));
    }

    /// What there is to send, once there is something; and whether it was the last.
    async fn next(&self) -> (Bytes, bool) {
        loop {
            let pending = std::mem::take(&mut *lock(&self.pending));
            if !pending.is_empty() {
                return (pending.written(), pending.end.is_some());
            }
            self.bell.notified().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Seats {
    of: HashMap<AccountId, Vec<Arc<Seat>>>,
    open: usize,
    number: u64,
    /// Whether the task that looks is there.
    looked_after: bool,
    closed: bool,
}

impl Seats {
    fn all(&self) -> impl Iterator<Item = (&AccountId, &Arc<Seat>)> {
        self.of.iter().flat_map(|(account, seats)| seats.iter().map(move |seat| (account, seat)))
    }
}

/// The streams of this process.
pub struct Hub {
    seats: Mutex<Seats>,
    /// Something was written here.
    bell: Notify,
    /// Streams at most: each is a connection, and those of pages must not run out.
    most: usize,
}

impl Hub {
    pub fn new(most: usize) -> Self {
        Self { seats: Mutex::default(), bell: Notify::new(), most }
    }

    /// Something was written in this process: a look now. Nothing is lost when nobody says so; it is seen a little later.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Whether anybody looks.
    pub fn is_watched(&self) -> bool {
        lock(&self.seats).open > 0
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        lock(&self.seats).open
    }

    /// Ends all streams, and those that come.
    pub fn close(&self) {
        let mut seats = lock(&self.seats);
        seats.closed = true;
        for (_, seat) in seats.all() {
            seat.end(End::Closing);
        }
        drop(seats);
        self.bell.notify_one();
    }

    fn end_all(&self, end: End) {
        for (_, seat) in lock(&self.seats).all() {
            seat.end(end);
        }
    }

    /// Opens a stream, and sees to it that somebody looks for what it is to be told. The account's oldest gives way when
    /// it has too many: the page that was opened last is the one that is looked at.
    pub fn sit_down(app: &Arc<App>, account: AccountId, session: Vec<u8>) -> Taken {
        let hub = &app.live;
        let mut seats = lock(&hub.seats);
        seats.number += 1;
        let number = seats.number;
        let seat = Arc::new(Seat::new(number, session));
        let (closed, full) = (seats.closed, seats.open >= hub.most);
        let mine = seats.of.entry(account).or_default();
        if closed || full {
            seat.end(if closed { End::Closing } else { End::Full });
        } else if mine.len() >= MOST_OF_ONE
            && let Some(oldest) = mine.iter().find(|seat| lock(&seat.pending).end.is_none())
        {
            oldest.end(End::Full);
        }
        mine.push(seat.clone());
        seats.open += 1;
        if !std::mem::replace(&mut seats.looked_after, true) {
            rt::spawn(look_after(app.clone()));
        }
        Taken { app: app.clone(), account, seat, _counted: app.metrics.stream("page") }
    }

    fn stand_up(&self, account: AccountId, number: u64) {
        let mut seats = lock(&self.seats);
        let Some(mine) = seats.of.get_mut(&account) else { return };
        let before = mine.len();
        mine.retain(|seat| seat.number != number);
        let (left, none) = (before - mine.len(), mine.is_empty());
        if none {
            seats.of.remove(&account);
        }
        seats.open -= left;
    }

    /// Whether nobody is left to look for; then nobody does any more.
    fn has_emptied(&self) -> bool {
        let mut seats = lock(&self.seats);
        seats.looked_after = seats.open > 0 && !seats.closed;
        !seats.looked_after
    }

    fn sessions(&self) -> Vec<Vec<u8>> {
        let all: HashSet<Vec<u8>> = lock(&self.seats).all().map(|(_, seat)| seat.session.clone()).collect();
        all.into_iter().collect()
    }

    /// Ends the streams whose session was asked for and is not among those that live.
    fn end_dead(&self, asked: &[Vec<u8>], alive: &HashSet<(Vec<u8>, AccountId)>) {
        let asked: HashSet<&Vec<u8>> = asked.iter().collect();
        for (account, seat) in lock(&self.seats).all() {
            if asked.contains(&seat.session) && !alive.contains(&(seat.session.clone(), *account)) {
                seat.end(End::SignedOut);
            }
        }
    }

    fn tell(&self, news: &News, beat: bool) {
        let ages: Option<Arc<str>> = beat.then(|| news.moment.ages_json().into());
        for (account, seat) in lock(&self.seats).all() {
            let turned = seat.has_turned(news.moment.cursor.failing);
            let mut topics = news.of.get(account).copied().unwrap_or_default();
            if turned {
                topics = topics.and(Topics::CLOUDS);
            }
            if topics.is_empty() && ages.is_none() {
                continue;
            }
            seat.tell(|pending| {
                pending.topics = pending.topics.and(topics);
                pending.known_until(news.moment.cursor);
                if let Some(ages) = &ages {
                    // A stream that has not begun yet begins with its own.
                    pending.sign.get_or_insert(("beat", ages.clone()));
                }
            });
        }
    }
}

/// A place among the open streams, free again when this is dropped.
pub struct Taken {
    app: Arc<App>,
    account: AccountId,
    seat: Arc<Seat>,
    _counted: OpenStream,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.app.live.stand_up(self.account, self.seat.number);
    }
}

impl Taken {
    /// The first event, with what was missed.
    pub fn begin(&self, moment: &Moment, missed: Topics) {
        *lock(&self.seat.failing) = Some(moment.cursor.failing);
        self.seat.tell(|pending| {
            pending.sign = Some(("hello", moment.ages_json().into()));
            pending.topics = pending.topics.and(missed);
            pending.known_until(moment.cursor);
        });
    }

    /// What is sent until it ends.
    pub fn stream(self) -> impl Stream<Item = Bytes> {
        futures::stream::unfold(Some(self), |taken| async move {
            let taken = taken?;
            let (bytes, last) = taken.seat.next().await;
            Some((bytes, (!last).then_some(taken)))
        })
    }
}

/// What a look found.
struct News {
    moment: Moment,
    of: HashMap<AccountId, Topics>,
}

/// What was found before.
#[derive(Default)]
struct Memory {
    touches: HashSet<Touch>,
}

impl Memory {
    /// What is new among what was touched within [`WINDOW`].
    fn news(&mut self, moment: Moment, touches: Vec<Touch>) -> News {
        let mut of: HashMap<AccountId, Topics> = HashMap::new();
        for touch in &touches {
            if !self.touches.contains(touch) {
                let topics = of.entry(touch.account).or_default();
                *topics = topics.and(touch.topics());
            }
        }
        self.touches = touches.into_iter().collect();
        News { moment, of }
    }
}

type Looked = (Moment, Vec<Touch>, Option<HashSet<(Vec<u8>, AccountId)>>);

async fn look(app: &App, sessions: Option<Vec<Vec<u8>>>) -> Option<Looked> {
    let looked = app.db.run(move |conn| {
        let moment = model::moment(conn)?;
        let touches = model::touched(conn, moment.cursor.at - WINDOW)?;
        let alive = sessions.map(|sessions| session::alive(conn, &sessions)).transpose()?;
        Ok((moment, touches, alive))
    });
    match timeout(PATIENCE, looked).await {
        Ok(Ok(looked)) => Some(looked),
        Ok(Err(error)) => {
            tracing::warn!(%error, "what has changed could not be read");
            None
        }
        Err(_) => {
            tracing::warn!("what has changed could not be read in time");
            None
        }
    }
}

/// Looks as long as streams are open.
async fn look_after(app: Arc<App>) {
    let hub = &app.live;
    let mut memory = Memory::default();
    // Not less often than the clouds are compared: it carries their ages.
    let rhythm = BEAT.min(Duration::from_secs(app.config.sync.interval_seconds));
    let (mut beaten, mut checked, mut known) = (Instant::now(), Instant::now(), Instant::now());
    while !hub.has_emptied() {
        let sessions = (checked.elapsed() >= CHECK).then(|| hub.sessions());
        match look(&app, sessions.clone()).await {
            Some((moment, touches, alive)) => {
                known = Instant::now();
                let beat = beaten.elapsed() >= rhythm;
                if beat {
                    beaten = Instant::now();
                }
                hub.tell(&memory.news(moment, touches), beat);
                if let (Some(asked), Some(alive)) = (sessions, alive) {
                    checked = Instant::now();
                    hub.end_dead(&asked, &alive);
                }
            }
            // A page that is told nothing must not look as if nothing had happened.
            None if known.elapsed() >= PATIENCE => hub.end_all(End::Trouble),
            None => {}
        }
        sleep(REST).await;
        tokio::select! {
            () = sleep(LOOK - REST) => {}
            () = hub.bell.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDateTime, TimeDelta};

    use super::*;

    fn at(seconds: i64) -> NaiveDateTime {
        (DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)).naive_utc()
    }

    fn moment(seconds: i64, failing: u8) -> Moment {
        Moment { cursor: Cursor { at: at(seconds), failing }, ages: [Some(3), None, Some(0)] }
    }

    #[test]
    fn the_clouds_health_is_told_when_it_turns() {
        let seat = Seat::new(1, vec![]);
        assert!(!seat.has_turned(2), "it has not begun");
        *lock(&seat.failing) = Some(0);
        assert_eq!([0, 2, 2, 3, 0, 0].map(|failing| seat.has_turned(failing)), [false, true, false, true, true, false]);
    }

    #[test]
    fn what_waits_is_sent_together_and_never_goes_back() {
        let seat = Seat::new(1, vec![]);
        seat.tell(|pending| {
            pending.topics = Topics::BUCKETS;
            pending.known_until(Cursor { at: at(9), failing: 0 });
        });
        seat.tell(|pending| {
            pending.topics = pending.topics.and(Topics::INSTANCES);
            pending.sign = Some(("beat", moment(9, 0).ages_json().into()));
            pending.known_until(Cursor { at: at(8), failing: 0 });
        });
        let (bytes, last) = futures::executor::block_on(seat.next());
        assert_eq!(
            std::str::from_utf8(&bytes).unwrap(),
            "id: 9000000-0\nevent: change\ndata: instances buckets\n\n\
             id: 9000000-0\nevent: beat\ndata: {\"compute\":3,\"objects\":0}\n\n"
        );
        assert!(!last);
        seat.end(End::SignedOut);
        seat.end(End::Closing);
        let (bytes, last) = futures::executor::block_on(seat.next());
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), "event: end\ndata: signed_out\n\n", "the first reason counts");
        assert!(last);
    }
}
