//! Carrying out what was asked for: each operation step by step, so that it can be done again from any point.
//!
//! - **create, redeploy** ([`deploy`]): namespace, Secret, Deployment, Service, Ingress, each written so that doing it
//!   again changes nothing; then a look whether all are there. A refusal for good puts back what there was before.
//! - **start, stop**: the number of pods; the sync sees it happen.
//! - **delete**: Ingress, Service, Deployment, Secret, until nothing carries the application's id; then the row goes.
//! - **investigate** ([`investigate`]): why a container ended, or does not answer.

mod deploy;
mod investigate;

use std::sync::Arc;
use std::time::Duration;

use fail::fail_point;

use super::model::{Application, Transition, WAITING, progress};
use super::sync;
use crate::app::App;
use crate::cloud::CloudError;
use crate::cloud::cluster::{AppOwner, Part, Presence};
use crate::db;
use crate::error::Error;
use crate::ids::ApplicationId;
use crate::operations::backoff;
use crate::operations::model::{self as operations, Action, Operation, Outcome};

/// After a request of which nobody knows whether it arrived: time for the cluster to show its effect.
const AFTER_SILENCE: Duration = Duration::from_secs(15);
/// Between two looks at one that is being deleted.
const DELETION_LOOK: Duration = Duration::from_secs(1);
/// Between two looks at one that is being deleted for long, and between tries of a deletion in a long outage.
const SELDOM: Duration = Duration::from_secs(300);
/// After this long a deletion is slow, and the page says so. Containers have half a minute to end by themselves.
const SLOW_DELETION_MINUTES: i64 = 2;
/// How long a conflict is taken as passing.
const CONFLICT_MINUTES: i64 = 5;

/// Why a try did not get to its end.
enum Halt {
    Cluster(CloudError),
    Database(Error),
    Broken(String),
}

impl From<CloudError> for Halt {
    fn from(error: CloudError) -> Self {
        Self::Cluster(error)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

/// One try.
pub async fn carry_out(app: &Arc<App>, operation: &Operation, id: ApplicationId) -> Outcome {
    let row = match app.db.run(move |conn| Ok(Application::find_for_work(conn, id)?)).await {
        Ok(Some(row)) => row,
        // Gone meanwhile: nothing is left to do.
        Ok(None) => return Outcome::Done,
        Err(error) => return Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
    };
    let result = match operation.action {
        Action::Create => deploy::put(app, operation, &row, Transition::Deploying).await,
        Action::Redeploy => deploy::put(app, operation, &row, Transition::Redeploying).await,
        Action::Start => scale(app, &row, Transition::Starting, row.replicas).await,
        Action::Stop => scale(app, &row, Transition::Stopping, 0).await,
        Action::Delete => delete(app, operation, &row).await,
        Action::Investigate => investigate::look(app, operation, &row).await,
        Action::Reboot | Action::AttachAddress => Err(Halt::Broken("no action of an application".to_owned())),
    };
    match result {
        Ok(outcome) => outcome,
        Err(Halt::Database(error)) => Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
        Err(Halt::Broken(error)) => give_up(app, operation, &row, false, &error).await,
        Err(Halt::Cluster(error)) => refused(app, operation, &row, error).await,
    }
}

/// Whose an application's objects are, as their labels say.
fn owner(app: &App, row: &Application) -> AppOwner {
    AppOwner { portal: app.shared.portal, account: row.account_id, application: row.id }
}

/// The cluster said no, or nothing.
async fn refused(app: &Arc<App>, operation: &Operation, row: &Application, error: CloudError) -> Outcome {
    let age = db::now() - operation.created_at;
    let longest = chrono::Duration::minutes(i64::try_from(app.config.operations.give_up_minutes).unwrap_or(60));
    let removes = operation.action == Action::Delete;
    if removes && age >= longest && matches!(error, CloudError::Unavailable { .. }) {
        // What was to be removed costs until it is: that is asked for as long as it takes.
        return Outcome::Again(SELDOM, Some(error.to_string()));
    }
    let patience = match error {
        CloudError::Unavailable { .. } => longest,
        CloudError::Conflict(_) => chrono::Duration::minutes(CONFLICT_MINUTES),
        _ => chrono::Duration::zero(),
    };
    if error.is_transient() && age < patience {
        let mut wait = backoff(operation.attempts);
        if let CloudError::Unavailable { retry_after, .. } = &error {
            wait = wait.max(retry_after.unwrap_or_default().min(SELDOM));
            says_that_it_waits(app, operation, row, error.to_string()).await;
        }
        return Outcome::Again(wait, Some(error.to_string()));
    }
    let (over_quota, text) = match &error {
        CloudError::QuotaExceeded(text) => (true, text),
        CloudError::Unavailable { message, .. } => (false, message),
        CloudError::NotFound(text) | CloudError::Conflict(text) | CloudError::Rejected(text) => (false, text),
    };
    give_up(app, operation, row, over_quota, text).await
}

/// Only for the page; the operation's own error is written with the outcome.
async fn says_that_it_waits(app: &Arc<App>, operation: &Operation, row: &Application, text: String) {
    if operation.action == Action::Investigate {
        return;
    }
    let id = row.id;
    if let Err(error) = app.db.run(move |conn| Ok(progress::waits(conn, id, WAITING, &text)?)).await {
        tracing::warn!(%error, "the reason for waiting could not be written");
    }
}

/// Writes the reason where the person sees it; a deployment is turned back.
async fn give_up(app: &Arc<App>, operation: &Operation, row: &Application, over_quota: bool, text: &str) -> Outcome {
    let (id, words) = (row.id, text.to_owned());
    let failed = |transition, reason: &'static str| {
        app.db.run(move |conn| Ok(progress::action_failed(conn, id, transition, reason, &words)?))
    };
    let written = match operation.action {
        Action::Create | Action::Redeploy => return deploy::turn_back(app, operation, row, over_quota, text).await,
        Action::Start => failed(Transition::Starting, "action_failed").await,
        Action::Stop => failed(Transition::Stopping, "action_failed").await,
        Action::Delete => failed(Transition::Deleting, "delete_failed").await,
        Action::Investigate | Action::Reboot | Action::AttachAddress => Ok(()),
    };
    match written {
        Ok(()) => Outcome::Failed(text.to_owned()),
        Err(error) => Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
    }
}

/// The cluster has taken a request: keeps what it says now, and judges that.
async fn accepted(app: &Arc<App>, row: &Application, transition: Transition) -> Result<(), Halt> {
    let seen = app.cluster.show(owner(app, row)).await?;
    let (id, kept) = (row.id, seen.clone());
    app.db.run(move |conn| Ok(progress::accepted(conn, id, transition, &kept)?)).await?;
    // The row is due: should this fail, the loop judges it a moment later.
    if let Err(error) = sync::take(app, vec![seen]).await {
        tracing::warn!(error = format!("{error:#}"), "what the cluster says could not be taken over yet");
    }
    Ok(())
}

/// Start and stop.
async fn scale(app: &Arc<App>, row: &Application, transition: Transition, replicas: u32) -> Result<Outcome, Halt> {
    if row.transition() != Some(transition) || row.transition_accepted {
        // Done by an earlier try, or overtaken by a deletion.
        return Ok(Outcome::Done);
    }
    app.cluster.scale(owner(app, row), replicas).await?;
    fail_point!("app_scaled");
    accepted(app, row, transition).await?;
    Ok(Outcome::Done)
}

async fn delete(app: &Arc<App>, operation: &Operation, row: &Application) -> Result<Outcome, Halt> {
    let id = row.id;
    if row.transition() != Some(Transition::Deleting) {
        return Ok(Outcome::Done);
    }
    let here = remove(app, row).await?;
    if operation.attempts == 1 && may_still_come(app, row).await? {
        // An order may still be on its way in the cluster: a second look, later, decides.
        return Ok(Outcome::Again(AFTER_SILENCE, None));
    }
    if !here.is_gone() {
        let age = db::now() - operation.created_at;
        if age > chrono::Duration::minutes(SLOW_DELETION_MINUTES) && row.reason.as_deref() != Some("delete_slow") {
            app.db.run(move |conn| Ok(progress::waits(conn, id, "delete_slow", "")?)).await?;
        }
        // Seldom and more seldom: what the cluster can't remove must not cost a place in the queue for ever.
        let pause = (age / 10).to_std().unwrap_or_default().clamp(DELETION_LOOK, SELDOM);
        return Ok(Outcome::Again(pause, None));
    }
    fail_point!("app_gone");
    app.db.run(move |conn| Ok(progress::gone(conn, id)?)).await?;
    fail_point!("app_delete_recorded");
    Ok(Outcome::Done)
}

/// Whether a deployment was broken off or not answered, so that the cluster may still carry a part of it out.
async fn may_still_come(app: &Arc<App>, row: &Application) -> Result<bool, Halt> {
    if row.deployed_revision == Some(row.revision) {
        return Ok(false);
    }
    let id = row.id;
    Ok(app.db.run(move |conn| Ok(operations::is_in_doubt(conn, id, &[Action::Create, Action::Redeploy])?)).await?)
}

/// Asks for the removal of every part, from the outside in: no request reaches what is going. Says what is still there.
async fn remove(app: &Arc<App>, row: &Application) -> Result<Presence, CloudError> {
    let owner = owner(app, row);
    app.cluster.delete(owner, Part::Ingress).await?;
    fail_point!("app_delete_ingress");
    app.cluster.delete(owner, Part::Service).await?;
    fail_point!("app_delete_service");
    app.cluster.delete(owner, Part::Deployment).await?;
    fail_point!("app_delete_deployment");
    app.cluster.delete(owner, Part::Secret).await?;
    fail_point!("app_delete_secret");
    app.cluster.presence(owner).await
}
