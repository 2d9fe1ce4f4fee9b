//! One fetch for all who wait for it: a token, a version, a list of names.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cloud::CloudError;

/// A value that is fetched when somebody needs it, by the first who does; the others wait and share the answer, a
/// failure too. So a hundred requests make one login, and a hundred refused logins don't lock the account.
#[derive(Debug)]
pub(super) struct Flight<T> {
    seen: Mutex<Seen<T>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Seen<T> {
    value: Option<Arc<T>>,
    /// How many fetches have failed so far, and how the last one did.
    failures: u64,
    failure: Option<CloudError>,
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self { seen: Mutex::new(Seen { value: None, failures: 0, failure: None }), turn: tokio::sync::Mutex::default() }
    }
}

impl<T> Flight<T> {
    /// What was fetched last.
    pub(super) fn current(&self) -> Option<Arc<T>> {
        self.with(|seen| seen.value.clone())
    }

    /// Forgets the value: the next who needs it fetches it again.
    pub(super) fn forget(&self) {
        self.with(|seen| seen.value = None);
    }

    /// The current value if it is `usable`, else a new one. `fetch` must end by itself (have a time limit).
    pub(super) async fn get<F>(&self, usable: impl Fn(&T) -> bool, fetch: F) -> Result<Arc<T>, CloudError>
    where
        F: Future<Output = Result<T, CloudError>>,
    {
        let (value, failures) = self.with(|seen| (seen.value.clone(), seen.failures));
        if let Some(value) = value.filter(|value| usable(value)) {
            return Ok(value);
        }
        let _turn = self.turn.lock().await;
        if let Some(done) = self.while_waiting(&usable, failures) {
            return done;
        }
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                self.with(|seen| seen.value = Some(value.clone()));
                Ok(value)
            }
            Err(err) => {
                self.with(|seen| (seen.failures, seen.failure) = (seen.failures.wrapping_add(1), Some(err.clone())));
                Err(err)
            }
        }
    }

    /// What another has fetched, or failed to, while we waited for our turn.
    fn while_waiting(&self, usable: &impl Fn(&T) -> bool, failures: u64) -> Option<Result<Arc<T>, CloudError>> {
        self.with(|seen| match (&seen.value, &seen.failure) {
            (Some(value), _) if usable(value) => Some(Ok(value.clone())),
            (_, Some(err)) if seen.failures != failures => Some(Err(err.clone())),
            _ => None,
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Seen<T>) -> R) -> R {
        // A panic can't leave it half written: every change is one assignment.
        act(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_hundred_share_one_failure_and_the_next_tries_again() {
        let flight = Flight::<u32>::default();
        let calls = AtomicU32::new(0);
        let fetch = || async {
            calls.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Err(CloudError::unavailable("down"))
        };
        let answers = join_all((0..100).map(|_| flight.get(|_| true, fetch()))).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(*flight.get(|_| true, async { Ok(7) }).await.unwrap(), 7);
    }
}
