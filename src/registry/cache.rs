//! Answers that are kept for a while, so that thirty people who type the same name ask once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::RegistryError;
use super::facts::ImageFacts;

type Answer = Result<ImageFacts, RegistryError>;

/// How long answers are good for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ages {
    pub(super) found: Duration,
    /// Refusals. That nobody answered is not kept.
    pub(super) refused: Duration,
    /// Facts of an image that can't be read just now.
    pub(super) stale: Duration,
    pub(super) entries: usize,
}

impl Default for Ages {
    fn default() -> Self {
        Self {
            found: Duration::from_secs(60),
            refused: Duration::from_secs(15),
            stale: Duration::from_secs(3600),
            entries: 500,
        }
    }
}

/// Bounded; what has not been asked for the longest goes first.
pub(super) struct Cache {
    ages: Ages,
    slots: Mutex<HashMap<String, Slot>>,
}

struct Slot {
    used: Instant,
    kept: Arc<tokio::sync::Mutex<Kept>>,
}

/// What is known of one image. Its lock is held by the one who asks; the others wait for what comes of it.
#[derive(Default)]
struct Kept {
    last: Option<(Instant, Answer)>,
    facts: Option<(Instant, ImageFacts)>,
}

impl Cache {
    pub(super) fn new(ages: Ages) -> Self {
        Self { ages, slots: Mutex::default() }
    }

    /// The kept answer if it is good, else what `fetch` brings. `fetch` must end by itself (have a time limit).
    pub(super) async fn get(&self, key: String, fetch: impl Future<Output = Answer>) -> Answer {
        let asked = Instant::now();
        let slot = self.slot(key, asked);
        let mut kept = slot.lock().await;
        if let Some((at, answer)) = &kept.last
            && (*at >= asked || at.elapsed() < self.age(answer))
        {
            return answer.clone();
        }
        let mut answer = fetch.await;
        let now = Instant::now();
        match &answer {
            Ok(facts) => kept.facts = Some((now, facts.clone())),
            Err(RegistryError::RateLimited { .. } | RegistryError::Unavailable(_)) => {
                if let Some((at, facts)) = &kept.facts
                    && at.elapsed() < self.ages.stale
                {
                    answer = Ok(facts.clone());
                }
            }
            // The image has changed, or is gone: what was known of it is history.
            Err(_) => kept.facts = None,
        }
        kept.last = Some((now, answer.clone()));
        answer
    }

    fn age(&self, answer: &Answer) -> Duration {
        match answer {
            Ok(_) => self.ages.found,
            Err(RegistryError::Unavailable(_)) => Duration::ZERO,
            Err(_) => self.ages.refused,
        }
    }

    fn slot(&self, key: String, now: Instant) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(&key) && slots.len() >= self.ages.entries {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone());
            oldest.map(|key| slots.remove(&key));
        }
        let slot = slots.entry(key).or_insert_with(|| Slot { used: now, kept: Arc::default() });
        slot.used = now;
        slot.kept.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn facts(digest: &str) -> ImageFacts {
        let none = || Vec::new();
        ImageFacts { digest: digest.into(), ports: vec![], architectures: none(), user: None, size_bytes: None }
    }

    fn cache(found: u64, refused: u64) -> Cache {
        let (found, refused) = (Duration::from_secs(found), Duration::from_secs(refused));
        Cache::new(Ages { found, refused, stale: Duration::from_secs(3600), entries: 3 })
    }

    const LIMITED: Answer = Err(RegistryError::RateLimited { retry_after: None });

    fn silent() -> Answer {
        Err(RegistryError::Unavailable("x".to_owned()))
    }

    #[tokio::test]
    async fn answers_are_kept_as_long_as_they_are_good() {
        let never = async || panic!("asked again");
        for (cache, answer) in
            [(cache(60, 0), Ok(facts("1"))), (cache(0, 60), Err(RegistryError::NotFound)), (cache(0, 60), LIMITED)]
        {
            assert_eq!(cache.get("a".into(), async { answer.clone() }).await, answer);
            assert_eq!(cache.get("a".into(), never()).await, answer);
            assert_eq!(cache.get("b".into(), async { Ok(facts("b")) }).await, Ok(facts("b")));
        }
        for (cache, answer) in
            [(cache(0, 60), Ok(facts("1"))), (cache(60, 0), Err(RegistryError::NotFound)), (cache(60, 60), silent())]
        {
            assert_eq!(cache.get("a".into(), async { answer.clone() }).await, answer);
            assert_eq!(cache.get("a".into(), async { Ok(facts("2")) }).await, Ok(facts("2")));
        }
    }

    #[tokio::test]
    async fn what_was_known_stands_in_for_a_registry_that_does_not_answer() {
        for missing in [LIMITED, silent()] {
            let cache = cache(0, 0);
            assert_eq!(cache.get("a".into(), async { missing.clone() }).await, missing);
            assert_eq!(cache.get("a".into(), async { Ok(facts("1")) }).await, Ok(facts("1")));
            assert_eq!(cache.get("a".into(), async { missing.clone() }).await, Ok(facts("1")));
            let gone = Err(RegistryError::NotFound);
            assert_eq!(cache.get("a".into(), async { gone.clone() }).await, gone);
            assert_eq!(cache.get("a".into(), async { missing.clone() }).await, missing);
        }
    }

    #[tokio::test]
    async fn a_class_asks_once() {
        for answer in [Ok(facts("1")), silent()] {
            let (cache, asked) = (cache(0, 0), AtomicUsize::new(0));
            let gate = tokio::sync::Notify::new();
            let one = || {
                cache.get("a".into(), async {
                    asked.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    answer.clone()
                })
            };
            let mut class = Box::pin(futures::future::join_all((0..30).map(|_| one())));
            // All of them have asked before the first is answered.
            assert!(futures::poll!(&mut class).is_pending());
            gate.notify_one();
            let answers = tokio::time::timeout(Duration::from_secs(10), class).await.expect("asked more than once");
            assert!(answers.iter().all(|given| *given == answer));
            assert_eq!(asked.load(Ordering::SeqCst), 1, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn who_gives_up_does_not_hold_up_the_others() {
        let cache = cache(60, 60);
        let mut first = Box::pin(cache.get("a".into(), std::future::pending()));
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        assert_eq!(cache.get("a".into(), async { Ok(facts("2")) }).await, Ok(facts("2")));
    }

    #[tokio::test]
    async fn it_is_bounded() {
        let cache = cache(60, 60);
        for key in 0..10 {
            let _ = cache.get(key.to_string(), async { Ok(facts("1")) }).await;
            let _ = cache.get("0".into(), async { Ok(facts("again")) }).await;
        }
        assert_eq!(cache.slots.lock().unwrap().len(), 3);
        assert_eq!(cache.get("0".into(), async { Ok(facts("lost")) }).await, Ok(facts("1")), "the one in use stays");
    }
}
