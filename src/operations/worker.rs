//! The loop that carries operations out, in every portal process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::model::{self, Operation, Outcome, Resource};
use crate::app::App;
use crate::cause::Cause;
use crate::{applications, buckets, instances};

/// How often the queue is looked at when nobody has said that something was put into it: another process may have.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the loop on the current actix arbiter. It ends when `stop` is notified, after the operations that it works
/// on have ended or `grace` is over; what is left is taken over when its lease has run out.
pub fn spawn(app: Arc<App>, stop: Arc<Notify>, grace: Duration) -> JoinHandle<()> {
    rt::spawn(async move {
        let worker = Uuid::new_v4();
        let slots = Arc::new(Semaphore::new(app.config.operations.concurrency));
        let mut stopping = std::pin::pin!(stop.notified());
        loop {
            app.pulse.worker.beat();
            match take(&app, worker, slots.available_permits()).await {
                Ok(taken) => {
                    for operation in taken {
                        let Ok(slot) = slots.clone().acquire_owned().await else { return };
                        let app = app.clone();
                        rt::spawn(async move {
                            // In the operation's name at the clouds, whichever try it is.
                            Cause::new(operation.id.0).of(run(&app, worker, operation)).await;
                            app.live.ring();
                            drop(slot);
                            app.work.notify_one();
                        });
                    }
                }
                Err(error) => tracing::warn!(%error, "the queue could not be read; trying again"),
            }
            tokio::select! {
                () = &mut stopping => break,
                () = app.work.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        let all = u32::try_from(app.config.operations.concurrency).unwrap_or(1);
        if tokio::time::timeout(grace, slots.acquire_many(all)).await.is_err() {
            // Not handed back at once: what was asked of the cloud a moment ago would be asked for twice.
            tracing::warn!("operations did not end in time; another process takes them over when their leases run out");
        }
    })
}

async fn take(app: &App, worker: Uuid, free: usize) -> crate::error::Result<Vec<Operation>> {
    if free == 0 {
        return Ok(Vec::new());
    }
    let lease = app.config.operations.lease();
    app.db.run(move |conn| Ok(model::take(conn, worker, free, lease)?)).await
}

/// One try of one operation, its lease renewed meanwhile.
#[tracing::instrument(skip_all, fields(operation.id = %operation.id, kind = operation.resource.kind(), resource.id = %operation.resource.id(), action = operation.action.name()))]
async fn run(app: &Arc<App>, worker: Uuid, operation: Operation) {
    fail::fail_point!("operation_taken");
    let outcome = {
        let work = carry_out(app, &operation);
        let lease = keep_lease(app, worker, &operation);
        tokio::select! {
            outcome = work => outcome,
            () = lease => {
                tracing::warn!("the lease was lost; another process goes on");
                return;
            }
        }
    };
    match &outcome {
        Outcome::Done => tracing::info!("done"),
        Outcome::Again(after, None) => tracing::debug!(?after, "goes on later"),
        Outcome::Again(after, Some(error)) => tracing::warn!(?after, error, "did not work; will be tried again"),
        Outcome::Failed(error) => tracing::warn!(error, "given up"),
    }
    fail::fail_point!("operation_ending");
    let id = operation.id;
    // An outcome that can't be written is no harm: the lease runs out, and the operation is done again.
    if let Err(error) = app.db.run(move |conn| Ok(model::finish(conn, id, worker, &outcome)?)).await {
        tracing::warn!(%error, "the outcome could not be written");
    }
}

async fn carry_out(app: &Arc<App>, operation: &Operation) -> Outcome {
    match operation.resource {
        Resource::Instance(id) => instances::work::carry_out(app, operation, id).await,
        Resource::Application(id) => applications::work::carry_out(app, operation, id).await,
        Resource::Bucket(id) => buckets::work::carry_out(app, operation, id).await,
        Resource::Removal(id) => buckets::work::remove_folder(app, operation, id).await,
    }
}

/// Returns when the lease is no longer ours, or can't be known to be: before anybody else can have taken it.
async fn keep_lease(app: &App, worker: Uuid, operation: &Operation) {
    let lease = app.config.operations.lease();
    let id = operation.id;
    let mut good_until = Instant::now() + lease * 9 / 10;
    loop {
        tokio::time::sleep(lease / 3).await;
        let asked = Instant::now();
        let renewal = app.db.run(move |conn| Ok(model::renew(conn, id, worker, lease)?));
        match tokio::time::timeout_at(good_until.into(), renewal).await {
            Ok(Ok(true)) => good_until = asked + lease * 9 / 10,
            Ok(Ok(false)) | Err(_) => return,
            // The database is away; there is time for another try.
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be renewed yet"),
        }
        if Instant::now() >= good_until {
            return;
        }
    }
}
