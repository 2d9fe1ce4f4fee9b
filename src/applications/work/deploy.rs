//! Creating and changing: forwards, and back again when the cluster refuses.

use super::*;
use crate::applications::model::configs::{self, Pending};
use crate::applications::model::{Deployed, Status};
use crate::cloud::cluster::{DeployOrder, NamespaceLimits, NamespaceOrder, SecretOrder};
use crate::config::Quota;
use crate::quotas;
use crate::registry::ImageReference;

/// What is to be put into the cluster, and what there is.
struct Plan {
    wanted: Deployed,
    pending: Pending,
    /// The revision that the cluster has whole.
    deployed: Option<Deployed>,
    quota: Quota,
}

/// Between two looks at what is being removed again.
const REMOVAL_LOOK: Duration = Duration::from_secs(1);

/// Creates, or puts a changed one in the place of what there is.
pub(super) async fn put(
    app: &Arc<App>,
    operation: &Operation,
    row: &Application,
    transition: Transition,
) -> Result<Outcome, Halt> {
    if row.transition() != Some(transition) || row.transition_accepted {
        // Done by an earlier try, or overtaken by another request.
        return Ok(Outcome::Done);
    }
    if row.is_turning_back() {
        let text = row.reason_text.clone().unwrap_or_default();
        return Ok(go_back(app, operation, row, &text).await);
    }
    let plan = plan(app, row).await?;
    let owner = owner(app, row);
    app.cluster
        .prepare(&NamespaceOrder { portal: owner.portal, account: owner.account, limits: limits(app, &plan) })
        .await?;
    fail_point!("app_namespace");
    if let Some(order) = secret_order(app, &plan)? {
        app.cluster.apply_secret(owner, &order).await?;
    }
    fail_point!("app_secret");
    let order = order(app, row, &plan.wanted);
    app.cluster.apply_deployment(&order).await?;
    fail_point!("app_deployment");
    app.cluster.apply_service(&order).await?;
    fail_point!("app_service");
    app.cluster.apply_ingress(&order).await?;
    fail_point!("app_ingress");
    let here = app.cluster.presence(owner).await?;
    if !here.is_complete() || (!plan.wanted.secret_names.is_empty() && !here.secret) {
        return Err(CloudError::unavailable("not all parts are there yet").into());
    }
    fail_point!("app_verified");
    accepted(app, row, transition).await?;
    fail_point!("app_recorded");
    Ok(Outcome::Done)
}

async fn plan(app: &Arc<App>, row: &Application) -> Result<Plan, Halt> {
    let (id, account, revision, deployed) = (row.id, row.account_id, row.revision, row.deployed_revision);
    let default = app.config.quota;
    let plan = app
        .db
        .run(move |conn| {
            let (wanted, pending) = configs::of_revision(conn, id, revision)?;
            let deployed = match deployed {
                Some(deployed) => Some(configs::of_revision(conn, id, deployed)?.0),
                None => None,
            };
            Ok(Plan { wanted, pending, deployed, quota: quotas::limit(conn, account, default)? })
        })
        .await?;
    Ok(plan)
}

/// What the account may have; how much more its namespace holds, for a change's new pods beside the former ones, is the
/// cluster's to know.
fn limits(app: &App, plan: &Plan) -> NamespaceLimits {
    let quota = plan.quota;
    let applications = quota.applications.max(1);
    NamespaceLimits {
        applications,
        pods: applications.saturating_mul(app.config.applications.max_replicas),
        cpu_millis: quota.app_cpu_millis,
        memory_mb: quota.app_memory_mb,
    }
}

/// What the Secret is to hold; None: nothing about it changes. Variables of the former revision stay beside the new
/// ones, for its pods that are still there; the deployment after this one removes them.
fn secret_order(app: &App, plan: &Plan) -> Result<Option<SecretOrder>, Halt> {
    let set = plan.pending.open(&app.shared).map_err(|error| Halt::Broken(error.to_string()))?;
    let mut keep = plan.wanted.secret_names.clone();
    let former = plan.deployed.iter().flat_map(|deployed| &deployed.secret_names);
    for name in former {
        if !keep.contains(name) {
            keep.push(name.clone());
        }
    }
    // With nothing to keep it goes; in a first deployment there is none.
    let needed = !keep.is_empty() || plan.deployed.is_some();
    Ok(needed.then_some(SecretOrder { set, keep }))
}

fn order(app: &App, row: &Application, config: &Deployed) -> DeployOrder {
    // What was checked when it was typed is a reference; an older version's may be none: as it is, then.
    let image = match ImageReference::parse(&config.image_reference) {
        Ok(reference) => app.images.pull_name(&reference),
        Err(_) => config.image_reference.clone(),
    };
    DeployOrder {
        owner: owner(app, row),
        image,
        pull_always: config.pull_always,
        internal_port: config.internal_port,
        external_port: config.external_port,
        replicas: config.replicas,
        cpu_millis: config.cpu_millis,
        memory_mb: config.memory_mb,
        variables: config.variables.clone(),
        secret_names: config.secret_names.clone(),
        revision: config.revision,
        host: app.config.applications.host(&row.host_label),
    }
}

/// A refusal for good: says why, and begins to put back what there was before.
pub(super) async fn turn_back(
    app: &Arc<App>,
    operation: &Operation,
    row: &Application,
    over_quota: bool,
    text: &str,
) -> Outcome {
    let (id, words) = (row.id, text.to_owned());
    let reason = if over_quota { "quota" } else { "deploy_failed" };
    match app.db.run(move |conn| Ok(progress::turns_back(conn, id, reason, &words)?)).await {
        Ok(true) => go_back(app, operation, row, text).await,
        Ok(false) => Outcome::Failed(text.to_owned()),
        Err(error) => Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
    }
}

/// Puts back what there was before a refused deployment, until it is so.
async fn go_back(app: &Arc<App>, operation: &Operation, row: &Application, text: &str) -> Outcome {
    let back = match row.deployed_revision {
        None => remove(app, row).await.map(Presence::is_gone).map_err(Halt::from),
        Some(_) => restore(app, row).await.map(|()| true),
    };
    match back {
        Ok(true) => finish(app, operation, row, text).await,
        Ok(false) => Outcome::Again(REMOVAL_LOOK, None),
        Err(Halt::Cluster(error)) if error.is_transient() => {
            Outcome::Again(backoff(operation.attempts), Some(error.to_string()))
        }
        Err(Halt::Database(error)) => Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
        Err(Halt::Cluster(error)) => {
            tracing::error!(application.id = %row.id, %error, "a refused deployment could not be taken back");
            finish(app, operation, row, &error.to_string()).await
        }
        Err(Halt::Broken(error)) => finish(app, operation, row, &error).await,
    }
}

/// The revision that the cluster had whole is in force again; one that was stopped stays so.
async fn restore(app: &Arc<App>, row: &Application) -> Result<(), Halt> {
    let plan = plan(app, row).await?;
    let Some(deployed) = plan.deployed else { return Ok(()) };
    let owner = owner(app, row);
    let mut order = order(app, row, &deployed);
    if row.status() == Status::Stopped {
        order.replicas = 0;
    }
    app.cluster.apply_deployment(&order).await?;
    app.cluster.apply_service(&order).await?;
    app.cluster.apply_ingress(&order).await?;
    if !plan.wanted.secret_names.is_empty() || !deployed.secret_names.is_empty() {
        let keep = deployed.secret_names.clone();
        app.cluster.apply_secret(owner, &SecretOrder { set: Vec::new(), keep }).await?;
    }
    Ok(())
}

async fn finish(app: &Arc<App>, operation: &Operation, row: &Application, text: &str) -> Outcome {
    let id = row.id;
    match app.db.run(move |conn| Ok(progress::turned_back(conn, id)?)).await {
        Ok(()) => Outcome::Failed(text.to_owned()),
        Err(error) => Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
    }
}
