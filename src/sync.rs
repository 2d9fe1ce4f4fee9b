//! The loops beside the server: comparing the database with the clouds, and cleaning up. No business of their own.
//! Machines and containers are looked after beside each other ([`cluster`]): neither waits for the other's cloud.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt;
use chrono::Utc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::Instrument;
use uuid::Uuid;

use crate::app::App;
use crate::cause::Cause;
use crate::instances::model::{progress, seen};
use crate::instances::sync::{Noticed, Scope, look_around, run_once};
use crate::{accounts, cloud_services, db, operations, session};

mod cluster;

/// How far back a list of changes reaches beyond the last one: clocks differ, and Nova's has whole seconds.
const OVERLAP: chrono::TimeDelta = chrono::TimeDelta::seconds(30);

/// Starts the loops on the current actix arbiter; they end when `stop` is notified.
pub fn spawn(app: Arc<App>, stop: Arc<Notify>) -> JoinHandle<()> {
    rt::spawn(async move {
        let stopping = stop.notified();
        tokio::select! {
            () = stopping => {}
            () = machines(&app) => {}
            () = around(&app) => {}
            () = cluster::look_after(&app) => {}
        }
    })
}

/// Compares the machines, for ever.
async fn machines(app: &Arc<App>) {
    let mut ticks = interval(Duration::from_secs(app.config.sync.transition_seconds));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut state = State::default();
    loop {
        ticks.tick().await;
        app.pulse.machines.beat();
        let round = Uuid::new_v4();
        let span = tracing::info_span!("sync", service = cloud_services::COMPUTE, %round);
        Cause::new(round).of(tick(app, &mut state)).instrument(span).await;
    }
}

/// How often it is asked what others have changed, while somebody looks.
const AROUND: Duration = Duration::from_secs(1);
/// While all is well, that is written down so often only.
const NEWS: Duration = Duration::from_secs(15);

/// Looks for what other tools change, for ever; only while pages are open.
async fn around(app: &Arc<App>) {
    let mut ticks = interval(AROUND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut noticed = Noticed::default();
    let (mut failures, mut not_before, mut told) = (0, Instant::now(), None);
    loop {
        ticks.tick().await;
        if !app.live.is_watched() || Instant::now() < not_before {
            continue;
        }
        let asked_at = db::now();
        match look_around(app, asked_at.and_utc() - OVERLAP, &mut noticed).await {
            Ok(_) => {
                let news = failures > 0 || told.is_none_or(|told: Instant| told.elapsed() >= NEWS);
                failures = 0;
                if news && answered(app, asked_at).await {
                    told = Some(Instant::now());
                }
            }
            Err(error) => {
                failures += 1;
                not_before = Instant::now() + pause(failures);
                let error = format!("{error:#}");
                tracing::warn!(error, failures, "it could not be seen what others change in the cloud");
            }
        }
    }
}

async fn answered(app: &App, asked_at: chrono::NaiveDateTime) -> bool {
    let written =
        app.db.run(move |conn| Ok(cloud_services::answered(conn, cloud_services::COMPUTE, asked_at, None)?)).await;
    if let Err(error) = &written {
        tracing::warn!(%error, "that the cloud answers could not be written");
    }
    written.is_ok()
}

/// When what was done last.
#[derive(Default)]
struct State {
    full: Option<Instant>,
    catalogue: Option<Instant>,
    changes_since: Option<chrono::DateTime<Utc>>,
    /// Failures in a row: a failing service is asked again later, not harder.
    failures: u32,
    not_before: Option<Instant>,
}

/// After so many failures in a row, 2, 4, 8, 15, 15 … seconds: an outage that ends is seen soon.
fn pause(failures: u32) -> Duration {
    Duration::from_secs((1_u64 << failures.min(4)).min(15))
}

fn due(last: Option<Instant>, seconds: u64) -> bool {
    last.is_none_or(|last| last.elapsed() >= Duration::from_secs(seconds))
}

async fn tick(app: &Arc<App>, state: &mut State) {
    if state.not_before.is_some_and(|time| Instant::now() < time) {
        return;
    }
    let config = &app.config.sync;
    let full = due(state.full, config.interval_seconds);
    let asked_at = Utc::now();
    let scope = if full {
        Scope::All
    } else {
        match app.db.run(|conn| Ok(seen::any_unsettled(conn)?)).await {
            Ok(false) => return,
            Ok(true) => Scope::ChangedSince(state.changes_since.unwrap_or(asked_at) - OVERLAP),
            Err(error) => {
                tracing::warn!(%error, "the database does not answer the sync");
                return;
            }
        }
    };
    match run_once(app, scope).await {
        Ok(summary) => {
            tracing::debug!(?scope, ?summary, "compared");
            state.changes_since = Some(asked_at);
            if full {
                state.full = Some(Instant::now());
            }
            if state.failures > 0 {
                tracing::info!("the cloud answers again");
            }
            state.failures = 0;
            state.not_before = None;
        }
        Err(error) => {
            state.failures += 1;
            state.not_before = Some(Instant::now() + pause(state.failures));
            tracing::warn!(error = format!("{error:#}"), failures = state.failures, "the cloud could not be compared");
            return;
        }
    }
    if due(state.catalogue, config.catalogue_seconds) {
        match take_catalogue(app).await {
            Ok(()) => state.catalogue = Some(Instant::now()),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "what the cloud offers could not be read"),
        }
    }
    if full {
        sweep(app).await;
    }
}

/// Reads what the cloud offers, and takes the sizes of its flavors over.
///
/// # Errors
/// When the cloud or the database does not answer.
pub async fn take_catalogue(app: &App) -> anyhow::Result<()> {
    let catalogue = app.compute.catalogue().await?;
    app.db
        .run(move |conn| {
            cloud_services::keep_catalogue(conn, cloud_services::COMPUTE, &catalogue)?;
            crate::instance_templates::model::InstanceTemplate::take_sizes(conn, &catalogue)?;
            Ok(())
        })
        .await?;
    Ok(())
}

/// Removes what has expired.
async fn sweep(app: &App) {
    let swept = app
        .db
        .run(|conn| {
            session::sweep(conn)?;
            accounts::throttle::sweep(conn, db::now())?;
            operations::model::sweep(conn)?;
            progress::sweep(conn, db::now())?;
            crate::applications::model::progress::sweep(conn, db::now())?;
            Ok(())
        })
        .await;
    if let Err(error) = swept {
        tracing::warn!(%error, "what has expired could not be removed");
    }
}
