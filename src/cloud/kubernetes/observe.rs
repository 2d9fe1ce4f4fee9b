//! What the cluster says of applications, in our words.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Kubernetes, labels, objects};
use crate::cloud::CloudError;
use crate::cloud::cluster::{
    AppOwner, DeploymentSeen, Ended, Observed, PodSeen, Presence, Unschedulable, Words, object_name,
};

/// Objects of one page of a list. A whole object takes some 30 kB while it is read, so few are held at once.
pub(super) const PAGE: u32 = 100;

impl Kubernetes {
    pub(super) async fn look_for(&self, owner: AppOwner) -> Result<Presence, CloudError> {
        let name = object_name(owner.application);
        let select = ListParams::default().labels(&labels::select_application(owner));
        let (secrets, services) = (self.objects_of::<Secret>(owner), self.objects_of::<Service>(owner));
        let (deployments, ingresses) = (self.objects_of::<Deployment>(owner), self.objects_of::<Ingress>(owner));
        let (sets, pods) = (self.objects_of::<ReplicaSet>(owner), self.objects_of::<Pod>(owner));
        let (secret, deployment, service, ingress, sets, pods) = futures::try_join!(
            self.found_inside(owner, || secrets.get_metadata(&name)),
            self.found_inside(owner, || deployments.get_metadata(&name)),
            self.found_inside(owner, || services.get_metadata(&name)),
            self.found_inside(owner, || ingresses.get_metadata(&name)),
            self.found_inside(owner, || sets.list_metadata(&select)),
            self.found_inside(owner, || pods.list_metadata(&select)),
        )?;
        let left = sets.map_or(0, |list| list.items.len()) + pods.map_or(0, |list| list.items.len());
        Ok(Presence {
            secret: secret.is_some(),
            deployment: deployment.is_some(),
            service: service.is_some(),
            ingress: ingress.is_some(),
            pods: u32::try_from(left).unwrap_or(u32::MAX),
        })
    }

    pub(super) async fn observe(&self, owner: AppOwner) -> Result<Observed, CloudError> {
        let name = object_name(owner.application);
        let select = ListParams::default().labels(&labels::select_application(owner));
        let (deployments, pods) = (self.objects_of::<Deployment>(owner), self.objects_of::<Pod>(owner));
        let (deployment, pods) = futures::try_join!(
            self.found_inside(owner, || deployments.get(&name)),
            self.found_inside(owner, || pods.list(&select)),
        )?;
        let deployment = deployment.filter(|found| labels::owner(&found.metadata) == Some(owner));
        let mut observed = Observed { owner, deployment: deployment.as_ref().map(deployment_seen), pods: Vec::new() };
        for pod in pods.into_iter().flat_map(|list| list.items) {
            observed.pods.push(self.pull_failures.completed(owner, pod_seen(&pod)));
        }
        observed.pods.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(observed)
    }

    pub(super) async fn observe_all(&self, portal: Uuid) -> Result<Vec<Observed>, CloudError> {
        let select = labels::select_portal(portal);
        let (deployments, pods) =
            futures::try_join!(self.everywhere::<Deployment>(&select), self.everywhere::<Pod>(&select))?;
        let mut seen = Seen::default();
        for deployment in &deployments {
            if let Some(owner) = labels::owner(&deployment.metadata) {
                seen.entry(owner).0 = Some(deployment_seen(deployment));
            }
        }
        for pod in &pods {
            if let Some(owner) = labels::owner(&pod.metadata) {
                let pod = self.pull_failures.completed(owner, pod_seen(pod));
                seen.entry(owner).1.insert(pod.name.clone(), pod);
            }
        }
        self.pull_failures.retain(|owner, pod| seen.has_pod(owner, pod));
        Ok(seen.all())
    }

    /// All objects of a kind in all namespaces, by pages.
    async fn everywhere<K>(&self, select: &str) -> Result<Vec<K>, CloudError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let objects = Api::<K>::all(self.unary.clone());
        let mut params = ListParams::default().labels(select).limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = self.within(objects.list(&params)).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }
}

/// An application as it was seen: the Deployment, and pods by name.
pub(super) type Entry = (Option<DeploymentSeen>, BTreeMap<String, PodSeen>);

#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<AppOwner, Entry>);

impl Seen {
    pub(super) fn entry(&mut self, owner: AppOwner) -> &mut Entry {
        self.0.entry(owner).or_default()
    }

    pub(super) fn owners(&self) -> Vec<AppOwner> {
        self.0.keys().copied().collect()
    }

    fn has_pod(&self, owner: AppOwner, pod: &str) -> bool {
        self.0.get(&owner).is_some_and(|(_, pods)| pods.contains_key(pod))
    }

    /// An application as it is now; one that is not known has nothing.
    pub(super) fn one(&self, owner: AppOwner) -> Observed {
        let (deployment, pods) = self.0.get(&owner).cloned().unwrap_or_default();
        Observed { owner, deployment, pods: pods.into_values().collect() }
    }

    /// Forgets an application of which nothing is left.
    pub(super) fn tidy(&mut self, owner: AppOwner) {
        if self.0.get(&owner).is_some_and(|(deployment, pods)| deployment.is_none() && pods.is_empty()) {
            self.0.remove(&owner);
        }
    }

    fn all(self) -> Vec<Observed> {
        let parts = self.0.into_iter();
        parts
            .map(|(owner, (deployment, pods))| Observed { owner, deployment, pods: pods.into_values().collect() })
            .collect()
    }
}

pub(super) fn deployment_seen(deployment: &Deployment) -> DeploymentSeen {
    let spec = deployment.spec.as_ref();
    let status = deployment.status.clone().unwrap_or_default();
    let template = spec.and_then(|spec| spec.template.metadata.as_ref());
    let failure = status.conditions.iter().flatten().find(|one| one.type_ == "ReplicaFailure" && one.status == "True");
    DeploymentSeen {
        generation: deployment.metadata.generation.unwrap_or_default(),
        observed_generation: status.observed_generation.unwrap_or_default(),
        revision: labels::revision(template.and_then(|template| template.labels.as_ref())),
        wanted: count(spec.and_then(|spec| spec.replicas).or(Some(1))),
        updated: count(status.updated_replicas),
        ready: count(status.ready_replicas),
        available: count(status.available_replicas),
        total: count(status.replicas),
        replica_failure: failure.map(|condition| condition.message.clone().unwrap_or_default()),
        deleting: deployment.metadata.deletion_timestamp.is_some(),
    }
}

pub(super) fn pod_seen(pod: &Pod) -> PodSeen {
    let empty = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&empty);
    let container = status.container_statuses.iter().flatten().find(|one| one.name == objects::CONTAINER);
    let state = container.and_then(|one| one.state.as_ref());
    let is_true = |kind: &str| status.conditions.iter().flatten().any(|one| one.type_ == kind && one.status == "True");
    PodSeen {
        name: pod.name_any(),
        revision: labels::revision(pod.metadata.labels.as_ref()),
        phase: status.phase.clone().unwrap_or_default(),
        ready: is_true("Ready"),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        restarts: count(container.map(|one| one.restart_count)),
        created_at: utc(pod.metadata.creation_timestamp.as_ref()),
        running_since: state.and_then(|state| utc(state.running.as_ref()?.started_at.as_ref())),
        digest: container.and_then(|one| digest(&one.image_id)),
        waiting: state.and_then(|state| state.waiting.as_ref()).map(|waiting| Words {
            reason: waiting.reason.clone().unwrap_or_default(),
            message: waiting.message.clone().unwrap_or_default(),
        }),
        ended: container.and_then(ended),
        unschedulable: unschedulable(status),
    }
}

/// `docker.io/library/nginx@sha256:…`, or `docker-pullable://…`, or a bare `sha256:…` that is the image's own id and
/// not the digest of a manifest.
fn digest(image_id: &str) -> Option<String> {
    let (_, digest) = image_id.rsplit_once('@')?;
    digest.starts_with("sha256:").then(|| digest.to_owned())
}

/// How it ended just now, else how the run before did.
fn ended(container: &ContainerStatus) -> Option<Ended> {
    let now = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    now.or(last).map(|end: &ContainerStateTerminated| Ended {
        exit_code: end.exit_code,
        reason: end.reason.clone().unwrap_or_default(),
        at: utc(end.finished_at.as_ref()),
    })
}

fn unschedulable(status: &PodStatus) -> Option<Unschedulable> {
    let condition = status.conditions.iter().flatten().find(|one| {
        one.type_ == "PodScheduled" && one.status == "False" && one.reason.as_deref() == Some("Unschedulable")
    })?;
    Some(Unschedulable {
        message: condition.message.clone().unwrap_or_default(),
        since: utc(condition.last_transition_time.as_ref()),
    })
}

fn count(number: Option<i32>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
}

pub(super) fn utc(time: Option<&Time>) -> Option<DateTime<Utc>> {
    let time = &time?.0;
    DateTime::from_timestamp(time.as_second(), u32::try_from(time.subsec_nanosecond()).ok()?)
}

/// Why images could not be pulled. A pod that waits for its image swings between ErrImagePull, whose message has the
/// cause, and ImagePullBackOff, whose message often has not: the last cause is kept and shown with both.
#[derive(Debug, Default)]
pub(super) struct PullFailures(Mutex<HashMap<(AppOwner, String), String>>);

impl PullFailures {
    /// A pod with the cause of what it waits for.
    pub(super) fn completed(&self, owner: AppOwner, mut pod: PodSeen) -> PodSeen {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (owner, pod.name.clone());
        match &mut pod.waiting {
            Some(words) if words.reason == "ImagePullBackOff" => {
                if let Some(cause) = known.get(&key)
                    && !tells(&words.message)
                {
                    words.message.clone_from(cause);
                }
            }
            Some(words) if matches!(words.reason.as_str(), "ErrImagePull" | "RegistryUnavailable") => {
                known.insert(key, words.message.clone());
            }
            _ => {
                known.remove(&key);
            }
        }
        pod
    }

    /// Forgets pods that are gone.
    pub(super) fn retain(&self, is_there: impl Fn(AppOwner, &str) -> bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(owner, pod), _| is_there(*owner, pod));
    }

    pub(super) fn forget(&self, owner: AppOwner, pod: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(owner, pod.to_owned()));
    }
}

/// `Back-off pulling image "x"` says nothing; newer kubelets add the cause: `…: ErrImagePull: …`.
fn tells(message: &str) -> bool {
    message.contains("ErrImagePull:")
}

#[cfg(test)]
mod tests;
