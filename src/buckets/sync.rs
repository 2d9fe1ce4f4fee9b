//! Measuring buckets, and sweeping what uploads have left.
//!
//! One listing of the account says how much is in all containers, but seconds or minutes late. A bucket that was changed
//! through us is counted with each change, and measured at its own container until the listing can have caught up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt;
use chrono::TimeDelta;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::model::uploading::{self, Upload};
use super::model::{self, Bucket, Status, links, removals, tokens};
use crate::app::App;
use crate::cloud::CloudError;
use crate::cloud::objects::{ContainerUse, Entry, ListQuery, ObjectKey, segments_container, segments_prefix};
use crate::cloud_services;
use crate::db;
use crate::operations::model::{self as operations, Action};

/// How long the account's listing may lag.
const LAG: TimeDelta = TimeDelta::minutes(10);
/// After a change, before it is measured: others may follow.
const REST: TimeDelta = TimeDelta::seconds(3);
/// Containers that are measured one by one in a run.
const MEASURED: usize = 50;
/// How long a bucket that the store has not answered for waits for the request that asked before an operation asks.
const CREATION: TimeDelta = TimeDelta::seconds(60);

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Containers that the store listed.
    pub seen: usize,
    /// Rows that were written.
    pub written: usize,
}

/// Starts the loop on the current actix arbiter; it ends when `stop` is notified.
pub fn spawn(app: Arc<App>, stop: Arc<Notify>) -> JoinHandle<()> {
    rt::spawn(async move {
        let config = app.config.sync.clone();
        let mut ticks = interval(Duration::from_secs(config.transition_seconds.max(2)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut state = State::default();
        let mut stopping = std::pin::pin!(stop.notified());
        loop {
            tokio::select! {
                () = &mut stopping => return,
                _ = ticks.tick() => {}
            }
            app.pulse.files.beat();
            tokio::select! {
                () = &mut stopping => return,
                () = tick(&app, &mut state) => {}
            }
        }
    })
}

#[derive(Default)]
struct State {
    full: Option<Instant>,
    failures: u32,
    not_before: Option<Instant>,
}

async fn tick(app: &Arc<App>, state: &mut State) {
    if state.not_before.is_some_and(|time| Instant::now() < time) {
        return;
    }
    let every = Duration::from_secs(app.config.sync.interval_seconds);
    let full = state.full.is_none_or(|at| at.elapsed() >= every);
    let result = async {
        sweep(app).await?;
        if full { run_once(app).await.map(drop) } else { measure_changed(app).await.map(drop) }
    };
    match result.await {
        Ok(()) => {
            if full {
                state.full = Some(Instant::now());
            }
            (state.failures, state.not_before) = (0, None);
        }
        Err(error) => {
            state.failures += 1;
            let wait = Duration::from_secs((1_u64 << state.failures.min(4)).min(15));
            state.not_before = Some(Instant::now() + wait);
            tracing::warn!(
                error = format!("{error:#}"),
                failures = state.failures,
                "the buckets could not be measured"
            );
        }
    }
}

/// One comparison with the account's listing.
///
/// # Errors
/// When the store or the database does not answer. That the store does not is written down, so that pages say so.
pub async fn run_once(app: &Arc<App>) -> anyhow::Result<Summary> {
    let (asked_at, started) = (db::now(), Instant::now());
    let rows = app.db.run_job(|conn| Ok(Bucket::all(conn)?)).await?;
    let listed = match app.objects.containers().await {
        Ok(listed) => listed,
        Err(error) => return Err(failed(app, error).await),
    };
    let by_name: HashMap<&str, &ContainerUse> =
        listed.iter().map(|container| (container.name.as_str(), container)).collect();
    let mut summary = Summary { seen: listed.len(), ..Summary::default() };
    for row in &rows {
        summary.written += usize::from(compare(app, row, &by_name).await?);
    }
    let milliseconds = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let seen = u32::try_from(listed.len()).unwrap_or(u32::MAX);
    app.db
        .run_job(move |conn| {
            links::sweep(conn)?;
            removals::sweep(conn)?;
            tokens::sweep(conn)?;
            Ok(cloud_services::answered(conn, cloud_services::OBJECTS, asked_at, Some((seen, milliseconds)))?)
        })
        .await?;
    summary.written += measure_changed(app).await?;
    Ok(summary)
}

async fn failed(app: &App, error: CloudError) -> anyhow::Error {
    let text = error.to_string();
    let written = app.db.run(move |conn| Ok(cloud_services::failed(conn, cloud_services::OBJECTS, &text)?)).await;
    match written {
        Ok(()) => error.into(),
        Err(database) => anyhow::anyhow!("{error}; and {database}"),
    }
}

/// A row against what was listed.
async fn compare(app: &App, row: &Bucket, listed: &HashMap<&str, &ContainerUse>) -> anyhow::Result<bool> {
    let (id, account, now) = (row.id, row.account_id, db::now());
    match row.status() {
        _ if row.is_deleting() => Ok(false),
        Status::Refused => Ok(false),
        // The process that asked the store for it has died.
        Status::Creating => {
            if now - row.created_at < CREATION {
                return Ok(false);
            }
            app.db
                .run_job(move |conn| {
                    if !operations::is_open(conn, id, Action::Create)? {
                        operations::enqueue(conn, account, id, Action::Create)?;
                    }
                    Ok(())
                })
                .await?;
            Ok(false)
        }
        Status::Active | Status::Lost => {
            let Some(main) = listed.get(row.name.as_str()) else { return lost(app, row).await };
            if row.status() == Status::Lost {
                app.db.run_job(move |conn| Ok(model::write(conn, id, Status::Active, None, None)?)).await?;
                return Ok(true);
            }
            if row.changed_at.is_some_and(|at| now - at < LAG) {
                return Ok(false);
            }
            let segments = listed.get(segments_container(id).as_str()).map_or(0, |container| container.bytes);
            let (bytes, objects) = (main.bytes + segments, main.objects);
            if (row.bytes, row.objects) == (bytes, objects) {
                return Ok(false);
            }
            let row = row.clone();
            Ok(app.db.run_job(move |conn| Ok(model::measured(conn, &row, bytes, objects)?)).await?)
        }
    }
}

/// A container that is not listed may be too new to be; only its own 404 is a proof.
async fn lost(app: &App, row: &Bucket) -> anyhow::Result<bool> {
    if row.status() == Status::Lost || db::now() - row.created_at < CREATION {
        return Ok(false);
    }
    match app.objects.container(&row.name).await {
        Err(CloudError::NotFound(_)) => {
            let id = row.id;
            app.db.run_job(move |conn| Ok(model::write(conn, id, Status::Lost, Some("lost"), None)?)).await?;
            tracing::warn!(bucket.id = %id, "a bucket's container is gone");
            Ok(true)
        }
        Ok(_) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Measures the containers of buckets that were changed a moment ago.
///
/// # Errors
/// When the store or the database does not answer.
pub async fn measure_changed(app: &Arc<App>) -> anyhow::Result<usize> {
    let rows = app.db.run_job(|conn| Ok(Bucket::changed_lately(conn, db::now() - LAG, db::now() - REST)?)).await?;
    let mut written = 0;
    for row in rows.into_iter().take(MEASURED) {
        let main = match app.objects.container(&row.name).await {
            Err(CloudError::NotFound(_)) => continue,
            Err(error) => return Err(failed(app, error).await),
            Ok(main) => main,
        };
        let segments = match app.objects.container(&segments_container(row.id)).await {
            Err(CloudError::NotFound(_)) => 0,
            Err(error) => return Err(failed(app, error).await),
            Ok(container) => container.bytes,
        };
        let (bytes, objects) = (main.bytes + segments, main.objects);
        let done = app.db.run_job(move |conn| Ok(model::measured(conn, &row, bytes, objects)?)).await?;
        written += usize::from(done);
    }
    Ok(written)
}

/// Sweeps uploads whose process has died, and segments that belong to nothing.
///
/// # Errors
/// When the store or the database does not answer.
pub async fn sweep(app: &Arc<App>) -> anyhow::Result<usize> {
    let due = app.db.run_job(|conn| Ok(uploading::due(conn, db::now())?)).await?;
    let mut swept = 0;
    for (upload, dead) in due {
        if dead {
            tracing::warn!(upload.id = %upload.id, "an upload's process has died");
        }
        sweep_one(app, upload).await?;
        swept += 1;
    }
    Ok(swept)
}

async fn sweep_one(app: &App, upload: Upload) -> anyhow::Result<()> {
    let (id, bucket_id) = (upload.id, upload.bucket_id);
    let bucket = app.db.run_job(move |conn| Ok(Bucket::find_for_work(conn, bucket_id)?)).await?;
    if let (true, Some(bucket)) = (upload.in_segments, bucket) {
        for key in upload.keys() {
            if !uses(app, &bucket, &key, &upload).await? {
                continue;
            }
            // It got to its end after all, or what was to go is still there.
            app.db
                .run_job(move |conn| {
                    uploading::renamed(conn, id, &key, None)?;
                    uploading::is_large(conn, id)?;
                    Ok(model::changed(conn, bucket_id, 0, 0)?)
                })
                .await?;
            return Ok(());
        }
        delete_segments(app, &bucket, &upload).await?;
    }
    app.db.run_job(move |conn| Ok(uploading::swept(conn, &upload)?)).await?;
    Ok(())
}

/// Whether the object of this name is made of these segments.
async fn uses(app: &App, bucket: &Bucket, key: &ObjectKey, upload: &Upload) -> Result<bool, CloudError> {
    match app.objects.head(&bucket.name, key).await {
        Ok(info) => Ok(info.large && info.upload == Some(upload.id)),
        Err(CloudError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn delete_segments(app: &App, bucket: &Bucket, upload: &Upload) -> Result<(), CloudError> {
    let container = segments_container(bucket.id);
    let query = ListQuery { prefix: segments_prefix(upload.id), limit: 1000, ..ListQuery::default() };
    loop {
        let listed = match app.objects.list(&container, &query).await {
            Err(CloudError::NotFound(_)) => return Ok(()),
            listed => listed?,
        };
        let names: Vec<String> = listed.iter().map(|entry: &Entry| entry.name().to_owned()).collect();
        if names.is_empty() {
            return Ok(());
        }
        app.objects.delete_many(&container, &names).await?;
    }
}
