//! Where small files are written down: what begins and what has been stored at about the same moment, together.
//!
//! Each small file takes two transactions, each with the same lock, the same sums and its own write to the disk; eight at
//! once from one person make the database half as busy as the store itself. So a thread of its own takes what comes
//! within [`GATHER`], and writes down what is of one account in one transaction. It also keeps twenty uploads of one
//! account from holding twenty connections that wait for one lock.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use futures::channel::oneshot;

use super::model::uploading::{Begun, Confirmed, NewUpload, write_down};
use crate::config::Quota;
use crate::db::Db;
use crate::error::Error;
use crate::ids::AccountId;

/// How long the first of several waits for others.
const GATHER: Duration = Duration::from_millis(4);
/// Files in one transaction.
const MOST: usize = 64;

/// One per process.
pub struct Desk {
    jobs: Sender<Job>,
    open: Arc<AtomicUsize>,
    db: Db,
}

/// A small file that is on its way: as long as there is only one, nobody is waited for.
pub struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Job {
    account: AccountId,
    what: What,
}

enum What {
    Begin(NewUpload, oneshot::Sender<Result<Begun, Error>>),
    Confirm(Confirmed, oneshot::Sender<Result<bool, Error>>),
}

impl Desk {
    pub fn new(db: &Db, quota: Quota) -> Self {
        let (jobs, incoming) = channel();
        let open = Arc::new(AtomicUsize::new(0));
        let (clerk_db, seen) = (db.clone(), open.clone());
        // It ends when the desk does.
        thread::spawn(move || clerk(&incoming, &clerk_db, quota, &seen));
        Self { jobs, open, db: db.clone() }
    }

    /// Says that a small file is on its way, for as long as what it returns is kept.
    pub fn open(&self) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self.open.clone())
    }

    /// Writes down that an upload begins, and reserves.
    ///
    /// # Errors
    /// The database's, as of [`Db::run`].
    pub async fn begin(&self, account: AccountId, new: NewUpload) -> Result<Begun, Error> {
        let (tell, told) = oneshot::channel();
        self.hand_in(Job { account, what: What::Begin(new, tell) });
        self.db.in_time(told).await?.map_err(|_| unanswered())?
    }

    /// Writes down that the store has a file; false when its lease had run out.
    ///
    /// # Errors
    /// The database's, as of [`Db::run`].
    pub async fn confirm(&self, account: AccountId, confirmed: Confirmed) -> Result<bool, Error> {
        let (tell, told) = oneshot::channel();
        self.hand_in(Job { account, what: What::Confirm(confirmed, tell) });
        self.db.in_time(told).await?.map_err(|_| unanswered())?
    }

    fn hand_in(&self, job: Job) {
        // Whoever waits for it sees that it was dropped.
        if self.jobs.send(job).is_err() {
            tracing::error!("the thread that writes down small files has ended");
        }
    }
}

fn unanswered() -> Error {
    Error::Unavailable("a file could not be written down".to_owned())
}

fn clerk(incoming: &Receiver<Job>, db: &Db, quota: Quota, open: &AtomicUsize) {
    while let Ok(first) = incoming.recv() {
        let until = Instant::now() + GATHER;
        let mut jobs = vec![first];
        // Each file that is open hands in one job at a time.
        while jobs.len() < open.load(Ordering::Relaxed).min(MOST) {
            match incoming.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(job) => jobs.push(job),
                Err(_) => break,
            }
        }
        jobs.sort_by_key(|job| job.account);
        while let Some(account) = jobs.first().map(|job| job.account) {
            let others = jobs.partition_point(|job| job.account <= account);
            let rest = jobs.split_off(others);
            // What panics has told nobody anything, and costs nobody else.
            if panic::catch_unwind(AssertUnwindSafe(|| serve(db, account, jobs, quota))).is_err() {
                tracing::error!(account.id = %account, "writing down small files has panicked");
            }
            jobs = rest;
        }
    }
}

/// All of one account, together: what the database refuses, it refuses to all. What nobody waits for any more, because
/// the database was away for long, does not begin; a file that is stored is written down all the same.
fn serve(db: &Db, account: AccountId, jobs: Vec<Job>, quota: Quota) {
    let (mut begins, mut confirms) = (Vec::new(), Vec::new());
    for job in jobs {
        match job.what {
            What::Begin(_, tell) if tell.is_canceled() => {}
            What::Begin(new, tell) => begins.push((new, tell)),
            What::Confirm(confirmed, tell) => confirms.push((confirmed, tell)),
        }
    }
    let (new, tell_begun): (Vec<_>, Vec<_>) = begins.into_iter().unzip();
    let (confirmed, tell_confirmed): (Vec<_>, Vec<_>) = confirms.into_iter().unzip();
    // Who has gone away meanwhile is told nothing.
    match db.run_here(|conn| Ok(write_down(conn, account, &confirmed, &new, quota)?)) {
        Ok((begun, ours)) => {
            tell_begun.into_iter().zip(begun).for_each(|(tell, begun)| drop(tell.send(Ok(begun))));
            tell_confirmed.into_iter().zip(ours).for_each(|(tell, ours)| drop(tell.send(Ok(ours))));
        }
        Err(error) => {
            tell_begun.into_iter().for_each(|tell| drop(tell.send(Err(error.clone()))));
            tell_confirmed.into_iter().for_each(|tell| drop(tell.send(Err(error.clone()))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::objects::ObjectKey;
    use crate::ids::{BucketId, UploadId};

    fn new(name: &str) -> NewUpload {
        let key = ObjectKey::parse(name).unwrap();
        NewUpload { bucket: BucketId::new(), key, in_segments: false, wanted: 1, attempt: String::new() }
    }

    #[tokio::test]
    async fn without_a_database_everybody_is_told_and_who_comes_later_too() {
        let away = Db::new(&"mysql://127.0.0.1:1/nothing".into(), 1, Duration::from_millis(100));
        let desk = Desk::new(&away, crate::config::Config::defaults().unwrap().quota);
        let _open = [desk.open(), desk.open(), desk.open()];
        let (mine, other) = (AccountId::new(), AccountId::new());
        let confirmed = Confirmed { id: UploadId::new(), bucket: BucketId::new(), bytes: 1, old: None };
        let (begun, stored, others) =
            tokio::join!(desk.begin(mine, new("a")), desk.confirm(mine, confirmed), desk.begin(other, new("b")));
        assert!(matches!(begun, Err(Error::Unavailable(_))), "{begun:?}");
        assert!(matches!(stored, Err(Error::Unavailable(_))), "{stored:?}");
        assert!(matches!(others, Err(Error::Unavailable(_))), "{others:?}");
        let later = desk.begin(mine, new("c")).await;
        assert!(matches!(later, Err(Error::Unavailable(_))), "{later:?}");
    }
}
