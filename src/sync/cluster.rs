//! Looking after the containers: what the watches say, a full comparison each minute, what time alone changes, and
//! whether the cluster answers at all. Each goes on while another waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::pause;
use crate::app::App;
use crate::applications::sync;
use crate::cloud::CloudError;
use crate::cloud_services::{self, APPLICATIONS};
use crate::db;

/// Between two questions whether the cluster answers, and how long the answer may take.
const PING: Duration = Duration::from_secs(3);
const PING_LIMIT: Duration = Duration::from_secs(6);
/// While all is well, that is written down so often only.
const NEWS: Duration = Duration::from_secs(15);

/// What the loops tell each other.
#[derive(Default)]
struct Shared {
    /// The last full comparison failed: an answer to a small question does not say that all is well.
    unlisted: AtomicBool,
    /// Compare everything now.
    compare: Notify,
}

/// Does all of it, for ever.
pub async fn look_after(app: &Arc<App>) {
    let shared = Shared::default();
    futures::join!(watch(app), compare(app, &shared), judge(app), ping(app, &shared));
}

/// Takes over what the watches say. What can't be written yet is kept: a watch says it once.
async fn watch(app: &Arc<App>) {
    loop {
        let seen = app.cluster.changes(app.shared.portal).await;
        let mut failures = 0;
        while let Err(error) = sync::take(app, seen.clone()).await {
            failures += 1;
            tracing::warn!(error = format!("{error:#}"), failures, "what the cluster says could not be taken over");
            sleep(pause(failures)).await;
        }
    }
}

async fn compare(app: &Arc<App>, shared: &Shared) {
    let interval = Duration::from_secs(app.config.sync.interval_seconds);
    let mut failures = 0;
    loop {
        app.pulse.containers.beat();
        let wait = match sync::run_once(app).await {
            Ok(summary) => {
                tracing::debug!(?summary, "compared the containers");
                if failures > 0 {
                    tracing::info!("the cluster can be compared again");
                }
                failures = 0;
                shared.unlisted.store(false, Ordering::Relaxed);
                interval
            }
            Err(error) => {
                failures += 1;
                shared.unlisted.store(true, Ordering::Relaxed);
                let error = format!("{error:#}");
                tracing::warn!(error, failures, "the containers could not be compared");
                pause(failures)
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.compare.notified() => {}
        }
    }
}

async fn judge(app: &Arc<App>) {
    let mut ticks = interval(Duration::from_secs(app.config.sync.transition_seconds));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if let Err(error) = sync::look_again(app).await {
            tracing::warn!(error = format!("{error:#}"), "what is due could not be judged");
        }
    }
}

/// Asks whether the cluster answers, and writes down that it does, or since when it does not.
async fn ping(app: &Arc<App>, shared: &Shared) {
    let mut ticks = interval(PING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut told: Option<Instant> = None;
    let mut failing = false;
    loop {
        ticks.tick().await;
        let asked_at = db::now();
        let answer = timeout(PING_LIMIT, app.cluster.ping())
            .await
            .unwrap_or_else(|_| Err(CloudError::unavailable("no answer in time")));
        match answer {
            Ok(()) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("the cluster answers again");
                    told = None;
                    shared.compare.notify_one();
                }
                let news = told.is_none_or(|told| told.elapsed() >= NEWS);
                if news && !shared.unlisted.load(Ordering::Relaxed) && answered(app, asked_at).await {
                    told = Some(Instant::now());
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "the cluster does not answer");
                }
                let text = error.to_string();
                let written = app.db.run(move |conn| Ok(cloud_services::failed(conn, APPLICATIONS, &text)?)).await;
                if let Err(error) = written {
                    tracing::warn!(%error, "that the cluster does not answer could not be written");
                }
            }
        }
    }
}

async fn answered(app: &Arc<App>, asked_at: chrono::NaiveDateTime) -> bool {
    let written = app.db.run(move |conn| Ok(cloud_services::answered(conn, APPLICATIONS, asked_at, None)?)).await;
    if let Err(error) = &written {
        tracing::warn!(%error, "that the cluster answers could not be written");
    }
    written.is_ok()
}
