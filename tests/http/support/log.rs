//! All that portals of this process log, as talkative as an admin can make them.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use fast_cloud::start::log_filter;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// What reads pages for tests, and is no part of a portal.
const READERS: &str = "html5ever=off,selectors=off,scraper=off,cookie_store=off";

static TEXT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SECRETS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&TEXT).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to keep what is logged; shows it, too, as far as `RUST_LOG` says.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let kept = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| Kept);
        let shown = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let shows = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).from_env_lossy();
        tracing_subscriber::registry()
            .with(kept.with_filter(log_filter(&format!("debug,fast_cloud=trace,{READERS}")).unwrap()))
            .with(shown.with_filter(shows))
            .init();
    });
}

/// A value that must not be logged from now on, nor have been since the portal began that gave it out.
pub fn is_secret(value: &str) {
    lock(&SECRETS).push(value.to_owned());
}

/// A place in the log, and in the list of secrets.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize, usize);

impl Mark {
    pub fn here() -> Self {
        Self(lock(&TEXT).len(), lock(&SECRETS).len())
    }

    /// What was logged since, by all portals.
    pub fn text(self) -> String {
        String::from_utf8_lossy(&lock(&TEXT)[self.0..]).into_owned()
    }

    /// The secrets that were given out since.
    pub fn secrets(self) -> Vec<String> {
        lock(&SECRETS)[self.1..].to_vec()
    }
}
