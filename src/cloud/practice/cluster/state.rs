//! What exists in the practice cloud's cluster, and how it goes on by the clock.
//!
//! Everything that happens has a time: [`State::advance`] lets it happen in that order up to now, so that it does not
//! matter how often anybody looks.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::app::App;
use crate::cloud::CloudError;
use crate::cloud::cluster::{
    AppOwner, DeployOrder, NamespaceLimits, NamespaceOrder, Part, SecretOrder, namespace, object_name,
};
use crate::ids::{AccountId, ApplicationId};

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// A rollout.
    pub settle: TimeDelta,
}

impl Pace {
    /// Until the Deployment's controller has seen a change.
    pub(super) fn lag(self) -> TimeDelta {
        self.settle / 8
    }

    /// Until a deleted pod is gone.
    pub(super) fn leave(self) -> TimeDelta {
        self.settle / 2
    }
}

/// An account's namespace.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Namespace {
    pub portal: Uuid,
    pub limits: NamespaceLimits,
    pub apps: BTreeMap<ApplicationId, App>,
}

/// The whole cluster.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub namespaces: BTreeMap<AccountId, Namespace>,
}

/// Counted kinds, as a ResourceQuota names them.
fn counted(part: Part) -> Option<&'static str> {
    match part {
        Part::Secret => None,
        Part::Deployment => Some("count/deployments.apps"),
        Part::Service => Some("count/services"),
        Part::Ingress => Some("count/ingresses.networking.k8s.io"),
    }
}

impl Namespace {
    /// Whether one more object of a kind may be made.
    fn admit(&self, owner: AppOwner, part: Part) -> Result<(), CloudError> {
        let Some(kind) = counted(part) else { return Ok(()) };
        let used = self.apps.values().filter(|app| app.has(part)).count();
        let most = self.limits.applications;
        if used < most as usize {
            return Ok(());
        }
        Err(CloudError::QuotaExceeded(format!(
            "{} \"{}\" is forbidden: exceeded quota: fast-cloud, requested: {kind}=1, used: {kind}={used}, limited: {kind}={most}",
            kind.trim_start_matches("count/"),
            object_name(owner.application)
        )))
    }

    /// Why there may not be one more pod of this size; None: there may.
    fn refusal(&self, name: &str, cpu_millis: u32, memory_mb: u32) -> Option<String> {
        let pods = || self.apps.values().flat_map(|app| &app.pods);
        let (cpu, memory) = pods().fold((0, 0), |(cpu, memory), pod| {
            (cpu + u64::from(pod.template.cpu_millis), memory + u64::from(pod.template.memory_mb))
        });
        let limits = self.limits;
        let over = [
            ("limits.cpu", u64::from(cpu_millis), cpu, u64::from(limits.cpu_millis), "m"),
            ("limits.memory", u64::from(memory_mb), memory, u64::from(limits.memory_mb), "Mi"),
            ("pods", 1, pods().count() as u64, u64::from(limits.pods), ""),
        ]
        .into_iter()
        .filter(|(_, requested, used, limit, _)| used + requested > *limit);
        let (mut requested, mut used, mut limited) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, more, now, most, unit) in over {
            requested.push(format!("{kind}={more}{unit}"));
            used.push(format!("{kind}={now}{unit}"));
            limited.push(format!("{kind}={most}{unit}"));
        }
        (!requested.is_empty()).then(|| {
            format!(
                "pods \"{name}\" is forbidden: exceeded quota: fast-cloud, requested: {}, used: {}, limited: {}",
                requested.join(","),
                used.join(","),
                limited.join(",")
            )
        })
    }

    /// Lets everything happen that happens up to `now`.
    fn advance(&mut self, now: DateTime<Utc>, pace: Pace) {
        while let Some(at) = self.apps.values().filter_map(|app| app.next(pace)).min().filter(|at| *at <= now) {
            for app in self.apps.values_mut() {
                app.happen(at, pace);
            }
            self.control(at, pace);
        }
        self.apps.retain(|_, app| !app.is_gone());
    }

    /// What the Deployments' controllers do at a time: pods that are missing are made, those too many are deleted.
    fn control(&mut self, at: DateTime<Utc>, pace: Pace) {
        let ids: Vec<ApplicationId> = self.apps.keys().copied().collect();
        for id in ids {
            // Deleting makes room for a new one, and a new one that is ready for deleting.
            loop {
                let Some(app) = self.apps.get_mut(&id) else { break };
                let deleted = app.delete_surplus(at);
                let Some(fresh) = app.missing_pod(at, pace) else {
                    app.made_all();
                    if deleted { continue } else { break }
                };
                let refusal = self.refusal(&fresh.name, fresh.template.cpu_millis, fresh.template.memory_mb);
                let Some(app) = self.apps.get_mut(&id) else { break };
                if let Some(message) = refusal {
                    app.refused(&message, at);
                    break;
                }
                app.add(fresh, at);
            }
        }
    }
}

impl State {
    pub(super) fn advance(&mut self, now: DateTime<Utc>, pace: Pace) {
        for namespace in self.namespaces.values_mut() {
            namespace.advance(now, pace);
        }
    }

    pub(super) fn prepare(&mut self, order: &NamespaceOrder, now: DateTime<Utc>, pace: Pace) {
        let fresh = || Namespace { portal: order.portal, limits: order.limits, apps: BTreeMap::new() };
        let namespace = self.namespaces.entry(order.account).or_insert_with(fresh);
        namespace.limits = order.limits;
        // A higher limit lets in what was refused.
        namespace.control(now, pace);
    }

    pub(super) fn app(&self, owner: AppOwner) -> Option<&App> {
        self.namespaces.get(&owner.account)?.apps.get(&owner.application)
    }

    pub(super) fn app_mut(&mut self, owner: AppOwner) -> Option<&mut App> {
        self.namespaces.get_mut(&owner.account)?.apps.get_mut(&owner.application)
    }

    /// All that have a Deployment or pods.
    pub(super) fn running(&self, portal: Uuid) -> impl Iterator<Item = &App> {
        let apps = self.namespaces.values().flat_map(|namespace| namespace.apps.values());
        apps.filter(move |app| app.owner.portal == portal && (app.deployment.is_some() || !app.pods.is_empty()))
    }

    /// The application of an object that is to be made, within what the namespace may have.
    fn admitted(&mut self, owner: AppOwner, part: Part) -> Result<&mut App, CloudError> {
        let name = namespace(owner.account);
        let Some(namespace) = self.namespaces.get_mut(&owner.account) else {
            return Err(CloudError::NotFound(format!("namespaces \"{name}\" not found")));
        };
        if !namespace.apps.get(&owner.application).is_some_and(|app| app.has(part)) {
            namespace.admit(owner, part)?;
        }
        Ok(namespace.apps.entry(owner.application).or_insert_with(|| App::new(owner)))
    }

    pub(super) fn apply_secret(
        &mut self,
        owner: AppOwner,
        order: &SecretOrder,
        now: DateTime<Utc>,
    ) -> Result<(), CloudError> {
        self.admitted(owner, Part::Secret)?.set_secret(order, now);
        Ok(())
    }

    pub(super) fn apply_deployment(&mut self, order: &DeployOrder, now: DateTime<Utc>) -> Result<(), CloudError> {
        self.admitted(order.owner, Part::Deployment)?.deploy(order, now)
    }

    pub(super) fn apply_service(&mut self, order: &DeployOrder) -> Result<(), CloudError> {
        self.admitted(order.owner, Part::Service)?.set_service(order);
        Ok(())
    }

    pub(super) fn apply_ingress(&mut self, order: &DeployOrder, now: DateTime<Utc>) -> Result<(), CloudError> {
        self.admitted(order.owner, Part::Ingress)?.set_ingress(order, now);
        Ok(())
    }

    pub(super) fn scale(&mut self, owner: AppOwner, replicas: u32, now: DateTime<Utc>) -> Result<(), CloudError> {
        let missing =
            || CloudError::NotFound(format!("deployments.apps \"{}\" not found", object_name(owner.application)));
        self.app_mut(owner).ok_or_else(missing)?.scale(replicas, now)
    }

    pub(super) fn delete(&mut self, owner: AppOwner, part: Part, now: DateTime<Utc>) {
        if let Some(app) = self.app_mut(owner) {
            app.delete(part, now);
        }
    }

    /// The application that a host leads to: the one that took it first.
    pub(super) fn by_host(&self, host: &str) -> Option<&App> {
        let apps = self.namespaces.values().flat_map(|namespace| namespace.apps.values());
        let taken = apps.filter_map(|app| app.ingress.as_ref().map(|ingress| (app, ingress)));
        let takers = taken.filter(|(_, ingress)| ingress.host.eq_ignore_ascii_case(host));
        takers.min_by_key(|(_, ingress)| ingress.made_at).map(|(app, _)| app)
    }
}
