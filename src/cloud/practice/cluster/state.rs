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
            while self.control_once(id, at, pace) {}
        }
    }

    /// One step of it; says whether there may be another one.
    fn control_once(&mut self, id: ApplicationId, at: DateTime<Utc>, pace: Pace) -> bool {
        let Some(app) = self.apps.get_mut(&id) else { return false };
        let deleted = app.delete_surplus(at);
        let Some(fresh) = app.missing_pod(at, pace) else {
            app.made_all();
            return deleted;
        };
        let refusal = self.refusal(&fresh.name, fresh.template.cpu_millis, fresh.template.memory_mb);
        let Some(app) = self.apps.get_mut(&id) else { return false };
        match refusal {
            Some(message) => app.refused(&message, at),
            None => {
                app.add(fresh, at);
                return true;
            }
        }
        false
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::cluster::{DeploymentSeen, Observed};

    const PACE: Pace = Pace { settle: TimeDelta::milliseconds(8_000) };
    const LIMITS: NamespaceLimits = NamespaceLimits { applications: 5, pods: 10, cpu_millis: 4_000, memory_mb: 4_096 };

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(milliseconds)
    }

    /// A cluster with a clock.
    struct Lab {
        state: State,
        order: DeployOrder,
    }

    impl Lab {
        fn new() -> Self {
            let owner =
                AppOwner { portal: Uuid::new_v4(), account: AccountId::new(), application: ApplicationId::new() };
            let order = DeployOrder {
                owner,
                image: "hello:1".to_owned(),
                pull_always: false,
                internal_port: 80,
                external_port: 80,
                replicas: 1,
                cpu_millis: 250,
                memory_mb: 128,
                variables: Vec::new(),
                secret_names: Vec::new(),
                revision: 1,
                host: "hello.apps.localhost".to_owned(),
            };
            let mut state = State::default();
            let namespace = NamespaceOrder { portal: owner.portal, account: owner.account, limits: LIMITS };
            state.prepare(&namespace, at(0), PACE);
            Self { state, order }
        }

        fn deploy(&mut self, time: i64) {
            self.state.advance(at(time), PACE);
            self.state.apply_deployment(&self.order, at(time)).unwrap();
            self.state.apply_service(&self.order).unwrap();
            self.state.apply_ingress(&self.order, at(time)).unwrap();
        }

        fn redeploy(&mut self, image: &str, time: i64) {
            (self.order.image, self.order.revision) = (image.to_owned(), self.order.revision + 1);
            self.deploy(time);
        }

        fn seen(&mut self, time: i64) -> Option<Observed> {
            self.state.advance(at(time), PACE);
            self.state.app(self.order.owner).map(|app| app.observed(at(time)))
        }

        fn deployment(&mut self, time: i64) -> DeploymentSeen {
            self.seen(time).and_then(|seen| seen.deployment).unwrap()
        }

        /// Revisions of the pods that are ready and stay, of those that are not ready, and of those on their way out.
        fn pods(&mut self, time: i64) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
            let (mut ready, mut unready, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
            for pod in self.seen(time).map(|seen| seen.pods).unwrap_or_default() {
                let place = match pod {
                    _ if pod.deleting => &mut leaving,
                    _ if pod.ready => &mut ready,
                    _ => &mut unready,
                };
                place.push(pod.revision);
            }
            for revisions in [&mut ready, &mut unready, &mut leaving] {
                revisions.sort_unstable();
            }
            (ready, unready, leaving)
        }

        fn answers(&self, time: i64) -> Option<u32> {
            let app = self.state.by_host("hello.apps.localhost")?;
            app.answering(at(time)).map(|pod| pod.template.revision)
        }
    }

    #[test]
    fn a_rollout_keeps_the_old_one_until_the_new_one_is_ready() {
        let mut lab = Lab::new();
        lab.deploy(0);
        // A second until the controller has seen it, eight until the pod is ready.
        let first = lab.deployment(999);
        assert_eq!((first.generation, first.observed_generation, first.total), (1, 0, 0));
        let seen = lab.deployment(1_000);
        assert_eq!((seen.observed_generation, seen.total, seen.updated, seen.ready), (1, 1, 1, 0));
        assert_eq!(lab.pods(8_999), (vec![], vec![1], vec![]));
        assert_eq!(lab.pods(9_000), (vec![1], vec![], vec![]));

        lab.redeploy("hello:2", 20_000);
        // The counts are the former generation's.
        let lagging = lab.deployment(20_999);
        assert_eq!((lagging.generation, lagging.observed_generation), (2, 1));
        assert_eq!((lagging.revision, lagging.updated, lagging.ready), (2, 1, 1));
        assert_eq!(lab.deployment(21_000).updated, 1);
        assert_eq!(lab.pods(28_999), (vec![1], vec![2], vec![]));
        assert_eq!(lab.answers(28_999), Some(1));
        assert_eq!(lab.pods(29_000), (vec![2], vec![], vec![1]));
        assert_eq!(lab.answers(29_000), Some(2));
        assert_eq!(lab.pods(32_999), (vec![2], vec![], vec![1]));
        assert_eq!(lab.pods(33_000), (vec![2], vec![], vec![]));
        let done = lab.deployment(33_000);
        assert_eq!((done.observed_generation, done.updated, done.available, done.total), (2, 1, 1, 1));
    }

    #[test]
    fn several_are_replaced_one_after_the_other_in_the_time_of_one() {
        let mut lab = Lab::new();
        lab.order.replicas = 4;
        lab.deploy(0);
        assert_eq!(lab.pods(9_000), (vec![1; 4], vec![], vec![]));
        lab.redeploy("hello:2", 20_000);
        let mut time = 20_000;
        while time < 29_000 {
            let (ready, unready, _) = lab.pods(time);
            assert!(ready.len() >= 4 && ready.len() + unready.len() <= 5, "at {time}: {ready:?} {unready:?}");
            time += 250;
        }
        let (ready, unready, _) = lab.pods(29_000);
        assert_eq!((ready, unready), (vec![2; 4], vec![]));
    }

    #[test]
    fn a_rollout_that_fails_is_replaced_by_the_next_one() {
        let mut lab = Lab::new();
        lab.deploy(0);
        lab.redeploy("crash:1", 20_000);
        assert_eq!(lab.pods(60_000), (vec![1], vec![2], vec![]));
        lab.redeploy("hello:1", 60_000);
        assert_eq!(lab.pods(61_000), (vec![1], vec![3], vec![2]));
        assert_eq!(lab.answers(61_000), Some(1));
        assert_eq!(lab.pods(69_000), (vec![3], vec![], vec![1]));
    }

    #[test]
    fn scaling_and_deleting_take_their_time() {
        let mut lab = Lab::new();
        lab.order.replicas = 2;
        lab.deploy(0);
        lab.state.advance(at(20_000), PACE);
        lab.state.scale(lab.order.owner, 0, at(20_000)).unwrap();
        assert_eq!(lab.pods(20_999).0.len(), 2);
        assert_eq!((lab.pods(21_000), lab.answers(21_000)), ((vec![], vec![], vec![1, 1]), None));
        assert_eq!(lab.pods(25_000), (vec![], vec![], vec![]));
        let stopped = lab.deployment(25_000);
        assert_eq!((stopped.wanted, stopped.total, stopped.observed_generation), (0, 0, 2));
        lab.state.scale(lab.order.owner, 1, at(30_000)).unwrap();
        assert_eq!(lab.pods(39_000).0.len(), 1);

        // It stays until its pods are gone, and takes no orders.
        lab.state.delete(lab.order.owner, Part::Deployment, at(40_000));
        assert!(lab.deployment(43_999).deleting);
        assert_eq!((lab.pods(43_999), lab.answers(43_999)), ((vec![], vec![], vec![1]), None));
        for refused in
            [lab.state.scale(lab.order.owner, 2, at(43_999)), lab.state.apply_deployment(&lab.order, at(43_999))]
        {
            assert!(matches!(refused, Err(CloudError::Conflict(_))), "{refused:?}");
        }
        let seen = lab.seen(44_000).unwrap();
        assert_eq!((seen.deployment, seen.pods.len()), (None, 0));
        assert!(matches!(lab.state.scale(lab.order.owner, 2, at(44_000)), Err(CloudError::NotFound(_))));
        lab.state.delete(lab.order.owner, Part::Service, at(44_000));
        assert!(lab.seen(44_000).is_some(), "its Ingress is there still");
        lab.state.delete(lab.order.owner, Part::Ingress, at(44_000));
        assert_eq!(lab.seen(44_000), None);
    }

    #[test]
    fn it_does_not_matter_how_often_anybody_looks() {
        // The same orders at the same times, looked at each 100 ms or at the orders only.
        let run = |first: &Lab, watched: bool| {
            let mut lab = Lab { state: first.state.clone(), order: first.order.clone() };
            let orders = [
                ("hello:1", 0, 2),
                ("crash:1", 9_300, 3),
                ("hello:2", 20_150, 1),
                ("nginx", 22_000, 16),
                ("httpd", 41_000, 4),
            ];
            let mut clock = 0;
            for (image, time, replicas) in orders {
                while watched && clock < time {
                    lab.seen(clock);
                    clock += 100;
                }
                lab.order.replicas = replicas;
                lab.redeploy(image, time);
            }
            while watched && clock < 70_000 {
                lab.seen(clock);
                clock += 100;
            }
            lab.state.advance(at(70_000), PACE);
            serde_json::to_value(&lab.state).unwrap()
        };
        let lab = Lab::new();
        assert_eq!(run(&lab, true), run(&lab, false));
    }

    #[test]
    fn a_full_namespace_goes_on_when_there_is_room() {
        let mut lab = Lab::new();
        lab.order.cpu_millis = 2_000;
        lab.order.replicas = 3;
        lab.deploy(0);
        let full = lab.deployment(1_000);
        assert_eq!(full.total, 2);
        let message = full.replica_failure.unwrap();
        assert!(
            message.ends_with("requested: limits.cpu=2000m, used: limits.cpu=4000m, limited: limits.cpu=4000m"),
            "{message}"
        );
        // Nothing more is ever made, and it does not turn in circles.
        assert_eq!(lab.deployment(3_600_000).ready, 2);
        lab.state.scale(lab.order.owner, 2, at(3_600_000)).unwrap();
        assert_eq!(lab.deployment(3_601_000).replica_failure, None);
        // A rollout has no room beside the old ones either: they stay.
        lab.order.replicas = 2;
        lab.redeploy("hello:2", 3_700_000);
        let stuck = lab.deployment(3_800_000);
        assert_eq!((stuck.updated, stuck.ready, stuck.replica_failure.is_some()), (0, 2, true));
        assert_eq!(lab.answers(3_800_000), Some(1));
    }
}
