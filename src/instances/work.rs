//! Carrying out what was asked for: each operation step by step, so that it can be done again from any point.
//!
//! - **create**: import the person's key, ask for the machine, write down its id, remove the key from the cloud again
//!   (the machine keeps it). A second try first looks for a machine that carries the row's id.
//! - **start, stop, reboot**: ask; the sync sees it happen.
//! - **delete**: ask, until no machine carries the row's id; then give back addresses and keys, then the row goes.
//! - **attach_address**: give a running machine an address from outside.

use std::sync::Arc;
use std::time::Duration;

use fail::fail_point;

use super::model::{Instance, Transition, progress};
use crate::app::App;
use crate::cloud::{CloudError, LaunchOrder, OwnerTag, Server, ServerStatus, key_pair_name};
use crate::db;
use crate::error::Error;
use crate::ids::{InstanceId, NovaId};
use crate::operations::backoff;
use crate::operations::model::{Action, Operation, Outcome};

/// After a request of which nobody knows whether it arrived: time for the cloud to show its effect.
const AFTER_SILENCE: Duration = Duration::from_secs(15);
/// Between two looks at a machine that is being deleted.
const DELETION_LOOK: Duration = Duration::from_secs(2);
/// Between two looks at one that is being deleted for long, and between tries of a deletion in a long outage.
const SELDOM: Duration = Duration::from_secs(300);
/// After this long a deletion is slow, and the page says so.
const SLOW_DELETION_MINUTES: i64 = 10;
/// How long a conflict ("while it is in task_state …") is taken as passing.
const CONFLICT_MINUTES: i64 = 5;

/// The reason of a row whose request the cloud has not answered.
const WAITING_FOR_CLOUD: &str = "waiting_for_cloud";

/// Why a try did not get to its end.
enum Halt {
    Cloud(CloudError),
    Database(Error),
    Broken(String),
}

impl From<CloudError> for Halt {
    fn from(error: CloudError) -> Self {
        Self::Cloud(error)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

/// One try.
pub async fn carry_out(app: &Arc<App>, operation: &Operation, id: InstanceId) -> Outcome {
    let row = match app.db.run(move |conn| Ok(Instance::find_for_work(conn, id)?)).await {
        Ok(Some(row)) => row,
        // Gone meanwhile: nothing is left to do.
        Ok(None) => return Outcome::Done,
        Err(error) => return Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
    };
    let result = match operation.action {
        Action::Create => create(app, operation, &row).await,
        Action::Start => act(app, &row, Transition::Starting).await,
        Action::Stop => act(app, &row, Transition::Stopping).await,
        Action::Reboot => act(app, &row, Transition::Rebooting).await,
        Action::Delete => delete(app, operation, &row).await,
        Action::AttachAddress => attach_address(app, &row).await,
        Action::Redeploy | Action::Investigate => Err(Halt::Broken("no action of a mini PC".to_owned())),
    };
    match result {
        Ok(outcome) => outcome,
        Err(Halt::Database(error)) => Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
        Err(Halt::Broken(error)) => give_up(app, operation, id, false, &error).await,
        Err(Halt::Cloud(error)) => refused(app, operation, id, error).await,
    }
}

/// The cloud said no, or nothing.
async fn refused(app: &Arc<App>, operation: &Operation, id: InstanceId, error: CloudError) -> Outcome {
    let age = db::now() - operation.created_at;
    let longest = chrono::Duration::minutes(i64::try_from(app.config.operations.give_up_minutes).unwrap_or(60));
    if operation.action == Action::Delete && age >= longest && matches!(error, CloudError::Unavailable { .. }) {
        // What was to be deleted costs until it is: that is asked for as long as it takes.
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
            wait = wait.max(retry_after.unwrap_or_default().min(Duration::from_secs(300)));
            if operation.action == Action::Create {
                wait = wait.max(AFTER_SILENCE);
            }
            let text = error.to_string();
            // Only for the page; the operation's own error is written with the outcome.
            if let Err(error) = app.db.run(move |conn| Ok(progress::waits(conn, id, WAITING_FOR_CLOUD, &text)?)).await {
                tracing::warn!(%error, "the reason for waiting could not be written");
            }
        }
        return Outcome::Again(wait, Some(error.to_string()));
    }
    let (over_quota, text) = match &error {
        CloudError::QuotaExceeded(text) => (true, text),
        CloudError::Unavailable { message, .. } => (false, message),
        CloudError::NotFound(text) | CloudError::Conflict(text) | CloudError::Rejected(text) => (false, text),
    };
    give_up(app, operation, id, over_quota, text).await
}

/// Writes the reason where the person sees it.
async fn give_up(app: &Arc<App>, operation: &Operation, id: InstanceId, over_quota: bool, text: &str) -> Outcome {
    let reason = match operation.action {
        Action::Create if over_quota => "cloud_quota",
        Action::Create => "launch_failed",
        Action::Delete => "delete_failed",
        Action::AttachAddress => "no_address",
        Action::Start | Action::Stop | Action::Reboot | Action::Redeploy | Action::Investigate => "action_failed",
    };
    let (action, words) = (operation.action, text.to_owned());
    let written = app
        .db
        .run(move |conn| {
            match action {
                Action::Create => progress::launch_failed(conn, id, reason, &words)?,
                Action::AttachAddress => progress::waits(conn, id, reason, &words)?,
                Action::Start => progress::action_failed(conn, id, Transition::Starting, reason, &words)?,
                Action::Stop => progress::action_failed(conn, id, Transition::Stopping, reason, &words)?,
                Action::Reboot => progress::action_failed(conn, id, Transition::Rebooting, reason, &words)?,
                Action::Delete => progress::action_failed(conn, id, Transition::Deleting, reason, &words)?,
                Action::Redeploy | Action::Investigate => {}
            }
            Ok(())
        })
        .await;
    match written {
        Ok(()) => Outcome::Failed(text.to_owned()),
        Err(error) => Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
    }
}

async fn create(app: &Arc<App>, operation: &Operation, row: &Instance) -> Result<Outcome, Halt> {
    let id = row.id;
    if row.nova_id.is_none() {
        let there = if operation.attempts > 1 { app.compute.find(id).await? } else { Vec::new() };
        let made = |server: &&Server| is_ours(app, row, server) && server.status != ServerStatus::Deleted;
        let nova_id = match there.iter().find(made) {
            Some(server) => server.id,
            None if row.transition() == Some(Transition::Deleting) => return Ok(Outcome::Done),
            None => launch(app, row).await?,
        };
        fail_point!("create_launched");
        app.db.run(move |conn| Ok(progress::launched(conn, id, NovaId(nova_id))?)).await?;
    }
    fail_point!("create_recorded");
    // Nova has copied the key to the machine: the pair itself would only count against the project's quota.
    app.compute.delete_key(&key_pair_name(id)).await?;
    fail_point!("create_key_removed");
    Ok(Outcome::Done)
}

async fn launch(app: &Arc<App>, row: &Instance) -> Result<uuid::Uuid, Halt> {
    let spec = row.spec().map_err(|error| Halt::Broken(format!("the order can't be read: {error}")))?;
    let own_pair = key_pair_name(row.id);
    let key_pair = if let Some(key) = spec.public_key.as_deref().filter(|_| spec.key_pair.is_empty()) {
        app.compute.import_key(&own_pair, key).await?;
        Some(own_pair)
    } else {
        Some(spec.key_pair.clone()).filter(|name| !name.is_empty())
    };
    fail_point!("create_key_imported");
    let order = LaunchOrder {
        owner: OwnerTag { portal: app.shared.portal, instance: row.id, account: row.account_id },
        name: row.name.clone(),
        image: spec.image,
        flavor: spec.flavor,
        network: spec.network,
        security_groups: spec.security_groups,
        key_pair,
        user_data: Some(spec.user_data).filter(|text| !text.is_empty()),
    };
    match app.compute.launch(&order).await {
        Ok(id) => Ok(id),
        Err(error) => {
            if !error.is_transient() {
                // Refused for good: nothing of the try shall stay. If this fails too, deleting the row removes it.
                if let Err(error) = app.compute.delete_key(&key_pair_name(row.id)).await {
                    tracing::warn!(%error, "the key pair of a refused order stays for now");
                }
            }
            Err(error.into())
        }
    }
}

/// Start, stop, reboot.
async fn act(app: &Arc<App>, row: &Instance, transition: Transition) -> Result<Outcome, Halt> {
    if row.transition() != Some(transition) || row.transition_accepted {
        // Done by an earlier try, or overtaken by a deletion.
        return Ok(Outcome::Done);
    }
    let Some(NovaId(server)) = row.nova_id else {
        return Err(Halt::Cloud(CloudError::NotFound("the machine was never made".to_owned())));
    };
    let asked = match transition {
        Transition::Starting => app.compute.start(server).await,
        Transition::Stopping => app.compute.stop(server).await,
        Transition::Rebooting => app.compute.reboot(server).await,
        Transition::Deleting => return Ok(Outcome::Done),
    };
    match asked {
        Ok(()) => {}
        // An earlier try, or somebody else, may have got it there already.
        Err(CloudError::Conflict(text)) => {
            let status = app.compute.show(server).await?.status;
            let there = match transition {
                Transition::Starting => matches!(status, ServerStatus::Active | ServerStatus::Starting),
                Transition::Stopping => matches!(status, ServerStatus::Stopped | ServerStatus::Stopping),
                Transition::Rebooting => status == ServerStatus::Rebooting,
                Transition::Deleting => false,
            };
            if !there {
                return Err(CloudError::Conflict(text).into());
            }
        }
        Err(error) => return Err(error.into()),
    }
    fail_point!("action_asked");
    let id = row.id;
    app.db.run(move |conn| Ok(progress::accepted(conn, id, transition)?)).await?;
    Ok(Outcome::Done)
}

/// Whether the mark that a machine carries is whole: made by this portal, for this row and its account. Others in the
/// project can write a tag.
fn is_ours(app: &App, row: &Instance, server: &Server) -> bool {
    let owner = OwnerTag { portal: app.shared.portal, instance: row.id, account: row.account_id };
    server.owner == Some(owner)
}

/// The machines of this row that still exist: by the id that we know, and by the mark that they carry.
async fn remaining(app: &Arc<App>, row: &Instance) -> Result<Vec<Server>, CloudError> {
    let mut servers = app.compute.find(row.id).await?;
    servers.retain(|server| is_ours(app, row, server));
    if let Some(NovaId(known)) = row.nova_id
        && !servers.iter().any(|server| server.id == known)
    {
        match app.compute.show(known).await {
            Ok(server) => servers.push(server),
            Err(CloudError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    servers.retain(|server| server.status != ServerStatus::Deleted);
    Ok(servers)
}

async fn delete(app: &Arc<App>, operation: &Operation, row: &Instance) -> Result<Outcome, Halt> {
    let id = row.id;
    let servers = remaining(app, row).await?;
    let unanswered = row.nova_id.is_none() && row.reason.as_deref() == Some(WAITING_FOR_CLOUD);
    if servers.is_empty() && unanswered && operation.attempts == 1 {
        // The order may still be on its way in the cloud: a second look, later, decides.
        return Ok(Outcome::Again(AFTER_SILENCE, None));
    }
    if !servers.is_empty() {
        for server in servers.iter().filter(|server| server.status != ServerStatus::Deleting) {
            app.compute.delete(server.id).await?;
        }
        fail_point!("delete_asked");
        if !row.transition_accepted {
            app.db.run(move |conn| Ok(progress::accepted(conn, id, Transition::Deleting)?)).await?;
        }
        let age = db::now() - operation.created_at;
        if age > chrono::Duration::minutes(SLOW_DELETION_MINUTES) && row.reason.as_deref() != Some("delete_slow") {
            app.db.run(move |conn| Ok(progress::waits(conn, id, "delete_slow", "")?)).await?;
        }
        // Seldom and more seldom: a machine that Nova can't delete must not cost a place in the queue for ever.
        let pause = (age / 10).to_std().unwrap_or_default().clamp(DELETION_LOOK, SELDOM);
        return Ok(Outcome::Again(pause, None));
    }
    fail_point!("delete_gone");
    app.compute.release_addresses(id).await?;
    fail_point!("delete_addresses_released");
    app.compute.delete_key(&key_pair_name(id)).await?;
    fail_point!("delete_key_removed");
    app.db.run(move |conn| Ok(progress::gone(conn, id)?)).await?;
    fail_point!("delete_recorded");
    Ok(Outcome::Done)
}

async fn attach_address(app: &Arc<App>, row: &Instance) -> Result<Outcome, Halt> {
    let spec = row.spec().map_err(|error| Halt::Broken(format!("the order can't be read: {error}")))?;
    let Some(NovaId(server)) = row.nova_id else { return Ok(Outcome::Done) };
    if row.transition() == Some(Transition::Deleting) || spec.floating_network.is_empty() {
        return Ok(Outcome::Done);
    }
    let address = app.compute.attach_address(server, row.id, &spec.floating_network).await?;
    fail_point!("address_attached");
    let (id, address) = (row.id, address.address.to_string());
    app.db.run(move |conn| Ok(progress::address_attached(conn, id, &address)?)).await?;
    Ok(Outcome::Done)
}
