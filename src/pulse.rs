//! Signs of life of the loops beside the server: one that has stood still for too long makes the process unready, so that
//! whoever watches it starts another.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cloud_services::{APPLICATIONS, COMPUTE, OBJECTS};
use crate::config;

/// The worker looks at the queue each second, and waits for the database only.
const WORKER_LIMIT: Duration = Duration::from_secs(60);
/// A comparison waits for its cloud, page after page: longer than a silent cloud can keep it, whose calls all end.
const SYNC_LIMIT: Duration = Duration::from_secs(600);

/// One loop's.
#[derive(Debug)]
pub struct Beat {
    /// What it is called in metrics and health.
    pub name: &'static str,
    /// How long it may take for one turn.
    pub limit: Duration,
    /// None: it does not run in this process.
    last: Mutex<Option<Instant>>,
}

impl Beat {
    fn new(name: &'static str, limit: Duration) -> Self {
        Self { name, limit, last: Mutex::default() }
    }

    /// A turn begins.
    pub fn beat(&self) {
        self.beat_at(Instant::now());
    }

    pub fn beat_at(&self, time: Instant) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
    }

    /// How long ago its last turn began; None: it has never been started.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| now.saturating_duration_since(last))
    }

    fn is_late(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age > self.limit)
    }
}

/// All loops'.
#[derive(Debug)]
pub struct Pulse {
    /// Carries operations out.
    pub worker: Beat,
    /// Compare machines, containers, files.
    pub machines: Beat,
    pub containers: Beat,
    pub files: Beat,
}

impl Pulse {
    pub fn new(sync: &config::Sync) -> Self {
        let limit = SYNC_LIMIT + 2 * Duration::from_secs(sync.interval_seconds.max(sync.transition_seconds));
        Self {
            worker: Beat::new("worker", WORKER_LIMIT),
            machines: Beat::new(COMPUTE, limit),
            containers: Beat::new(APPLICATIONS, limit),
            files: Beat::new(OBJECTS, limit),
        }
    }

    pub fn all(&self) -> [&Beat; 4] {
        [&self.worker, &self.machines, &self.containers, &self.files]
    }

    /// A loop that stands still.
    pub fn late(&self, now: Instant) -> Option<&Beat> {
        self.all().into_iter().find(|beat| beat.is_late(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_late_and_one_that_was_never_started_is_not() {
        let pulse = Pulse::new(&crate::config::Config::defaults().unwrap().sync);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(pulse.late(after(10_000)).is_none());
        pulse.worker.beat_at(start);
        pulse.machines.beat_at(start);
        assert!(pulse.late(after(60)).is_none());
        assert_eq!(pulse.late(after(61)).map(|beat| beat.name), Some("worker"));
        pulse.worker.beat_at(after(61));
        assert!(pulse.late(after(90)).is_none());
        assert_eq!(pulse.worker.age(after(90)), Some(Duration::from_secs(29)));
        pulse.worker.beat_at(after(721));
        assert_eq!(pulse.late(after(721)).map(|beat| beat.name), Some("compute"));
    }
}
