//! A pretended application: its objects and its pods, and what its Deployment's controller does.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::pod::{Pod, Template};
use super::state::Pace;
use crate::cloud::CloudError;
use crate::cloud::cluster::{
    AppOwner, DeployOrder, DeploymentSeen, Observed, Part, Presence, SecretOrder, namespace, object_name,
};

/// Notes of an application that are kept.
const NOTES: usize = 30;

/// Something that was told once; what follows from the pods themselves is not kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Note {
    pub reason: String,
    pub message: String,
    pub pod: Option<String>,
    pub warning: bool,
    pub count: u32,
    pub at: DateTime<Utc>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Deployment {
    pub generation: i64,
    pub observed: i64,
    /// When `generation` was raised last.
    pub changed_at: DateTime<Utc>,
    pub replicas: u32,
    pub template: Template,
    /// Of `template`, and of the one that the controller has seen.
    pub hash: String,
    pub observed_hash: String,
    pub failure: Option<String>,
    pub deleted_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Service {
    pub internal_port: u16,
    pub external_port: u16,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Ingress {
    pub host: String,
    pub made_at: DateTime<Utc>,
}

/// An application's objects.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct App {
    pub owner: AppOwner,
    pub secret: Option<BTreeMap<String, String>>,
    pub deployment: Option<Deployment>,
    pub service: Option<Service>,
    pub ingress: Option<Ingress>,
    pub pods: Vec<Pod>,
    /// Pods made so far.
    pub made: u32,
    pub notes: Vec<Note>,
}

impl App {
    pub(super) fn new(owner: AppOwner) -> Self {
        Self {
            owner,
            secret: None,
            deployment: None,
            service: None,
            ingress: None,
            pods: Vec::new(),
            made: 0,
            notes: Vec::new(),
        }
    }

    pub(super) fn has(&self, part: Part) -> bool {
        match part {
            Part::Secret => self.secret.is_some(),
            Part::Deployment => self.deployment.is_some(),
            Part::Service => self.service.is_some(),
            Part::Ingress => self.ingress.is_some(),
        }
    }

    pub(super) fn presence(&self) -> Presence {
        Presence {
            secret: self.has(Part::Secret),
            deployment: self.has(Part::Deployment),
            service: self.has(Part::Service),
            ingress: self.has(Part::Ingress),
            pods: count(&self.pods),
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.presence().is_gone()
    }

    fn note(&mut self, reason: &str, message: String, pod: Option<&str>, warning: bool, at: DateTime<Utc>) {
        let same = |note: &&mut Note| note.reason == reason && note.message == message && note.pod.as_deref() == pod;
        let known = self.notes.iter_mut().find(same);
        if let Some(note) = known {
            (note.count, note.at) = (note.count + 1, at);
            return;
        }
        let (reason, pod) = (reason.to_owned(), pod.map(str::to_owned));
        self.notes.push(Note { reason, message, pod, warning, count: 1, at });
        if self.notes.len() > NOTES {
            self.notes.remove(0);
        }
    }

    // What the portal asks for.

    pub(super) fn set_secret(&mut self, order: &SecretOrder, now: DateTime<Utc>) {
        let mut values = self.secret.take().unwrap_or_default();
        values.extend(order.set.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())));
        values.retain(|name, _| order.keep.contains(name));
        self.secret = (!order.keep.is_empty()).then_some(values);
        // The kubelet tries again.
        let held = self.held();
        for pod in self.pods.iter_mut().filter(|pod| pod.config_error.is_some()) {
            pod.config_error = config_error(&pod.template, held.as_ref());
            if pod.config_error.is_none() {
                pod.begun_at = now;
                pod.secrets = chosen(&pod.template, held.as_ref());
            }
        }
    }

    pub(super) fn deploy(&mut self, order: &DeployOrder, now: DateTime<Utc>) -> Result<(), CloudError> {
        let template = Template {
            image: order.image.clone(),
            pull_always: order.pull_always,
            internal_port: order.internal_port,
            cpu_millis: order.cpu_millis,
            memory_mb: order.memory_mb,
            variables: order.variables.clone(),
            secret_names: order.secret_names.clone(),
            revision: order.revision,
        };
        let hash = hash(&template)?;
        let Some(deployment) = &mut self.deployment else {
            self.deployment = Some(Deployment {
                generation: 1,
                observed: 0,
                changed_at: now,
                replicas: order.replicas,
                template,
                hash,
                observed_hash: String::new(),
                failure: None,
                deleted_at: None,
            });
            return Ok(());
        };
        if deployment.deleted_at.is_some() {
            return Err(being_deleted(order.owner));
        }
        if deployment.hash != hash || deployment.replicas != order.replicas {
            deployment.generation += 1;
            deployment.changed_at = now;
            (deployment.replicas, deployment.template, deployment.hash) = (order.replicas, template, hash);
        }
        Ok(())
    }

    pub(super) fn scale(&mut self, replicas: u32, now: DateTime<Utc>) -> Result<(), CloudError> {
        let owner = self.owner;
        let missing =
            || CloudError::NotFound(format!("deployments.apps \"{}\" not found", object_name(owner.application)));
        let deployment = self.deployment.as_mut().ok_or_else(missing)?;
        if deployment.deleted_at.is_some() {
            return Err(being_deleted(owner));
        }
        if deployment.replicas != replicas {
            deployment.generation += 1;
            (deployment.replicas, deployment.changed_at) = (replicas, now);
        }
        Ok(())
    }

    pub(super) fn set_service(&mut self, order: &DeployOrder) {
        self.service = Some(Service { internal_port: order.internal_port, external_port: order.external_port });
    }

    pub(super) fn set_ingress(&mut self, order: &DeployOrder, now: DateTime<Utc>) {
        let same = self.ingress.take().filter(|ingress| ingress.host == order.host);
        self.ingress = same.or_else(|| Some(Ingress { host: order.host.clone(), made_at: now }));
    }

    /// A Deployment stays until its pods are gone (foreground deletion); the others go at once.
    pub(super) fn delete(&mut self, part: Part, now: DateTime<Utc>) {
        match part {
            Part::Secret => self.secret = None,
            Part::Service => self.service = None,
            Part::Ingress => self.ingress = None,
            Part::Deployment => {
                if let Some(deployment) = self.deployment.as_mut().filter(|found| found.deleted_at.is_none()) {
                    deployment.deleted_at = Some(now);
                    self.delete_pods(|_| true, now);
                }
            }
        }
    }

    fn delete_pods(&mut self, which: impl Fn(&Pod) -> bool, at: DateTime<Utc>) {
        let mut names = Vec::new();
        for pod in self.pods.iter_mut().filter(|pod| pod.deleted_at.is_none() && which(pod)) {
            pod.deleted_at = Some(at);
            names.push(pod.name.clone());
        }
        for name in names {
            self.note("Killing", "Stopping container app".to_owned(), Some(&name), false, at);
        }
    }

    // What happens by itself.

    /// When something happens next.
    pub(super) fn next(&self, pace: Pace) -> Option<DateTime<Utc>> {
        let seen = self.deployment.as_ref().filter(|found| found.observed < found.generation || self.is_over(found));
        let seen = seen.map(|found| match found.deleted_at {
            Some(at) => at,
            None => found.changed_at + pace.lag(),
        });
        let pods = self.pods.iter().filter_map(|pod| match pod.deleted_at {
            Some(at) => Some(at + pace.leave()),
            None => pod.ready_at().filter(|_| !pod.counted),
        });
        pods.chain(seen).min()
    }

    /// Deleted, and without pods.
    fn is_over(&self, deployment: &Deployment) -> bool {
        deployment.deleted_at.is_some() && self.pods.is_empty()
    }

    /// Lets everything happen that is due at a time.
    pub(super) fn happen(&mut self, at: DateTime<Utc>, pace: Pace) {
        self.pods.retain(|pod| pod.deleted_at.is_none_or(|deleted| deleted + pace.leave() > at));
        for pod in &mut self.pods {
            pod.counted |= pod.is_ready(at);
        }
        let Some(mut deployment) = self.deployment.take() else { return };
        if deployment.deleted_at.is_some() {
            deployment.observed = deployment.generation;
            self.deployment = (!self.pods.is_empty()).then_some(deployment);
            return;
        }
        if deployment.observed < deployment.generation && deployment.changed_at + pace.lag() <= at {
            deployment.observed = deployment.generation;
            deployment.observed_hash.clone_from(&deployment.hash);
            let message = format!("Scaled to {} of revision {}", deployment.replicas, deployment.template.revision);
            self.note("ScalingReplicaSet", message, None, false, at);
        }
        self.deployment = Some(deployment);
    }

    /// The Deployment, if its controller knows all that is wanted and it is to stay.
    fn controlled(&self) -> Option<&Deployment> {
        self.deployment.as_ref().filter(|found| found.deleted_at.is_none() && found.observed == found.generation)
    }

    fn live(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(|pod| pod.deleted_at.is_none())
    }

    /// Deletes pods that are too many: of the wanted revision those beyond the wanted number, of older ones as many as
    /// are not needed to answer (Kubernetes' rolling update with no pod unavailable). Says whether there were any.
    pub(super) fn delete_surplus(&mut self, at: DateTime<Utc>) -> bool {
        let Some(deployment) = self.controlled() else { return false };
        let wanted = deployment.replicas as usize;
        let is_new = |pod: &&Pod| pod.hash == deployment.hash;
        // Those that are not ready go first, then the youngest.
        let order =
            |pods: &mut Vec<&Pod>| pods.sort_by_key(|pod| (pod.is_ready(at), std::cmp::Reverse(pod.created_at)));
        let mut new: Vec<&Pod> = self.live().filter(is_new).collect();
        let mut old: Vec<&Pod> = self.live().filter(|pod| !is_new(pod)).collect();
        order(&mut new);
        order(&mut old);
        let too_many = new.len().saturating_sub(wanted);
        let unready = new.iter().skip(too_many).filter(|pod| !pod.is_ready(at)).count();
        let spare = (new.len() - too_many + old.len()).saturating_sub(wanted + unready);
        let names: Vec<String> =
            new.iter().take(too_many).chain(old.iter().take(spare)).map(|pod| pod.name.clone()).collect();
        self.delete_pods(|pod| names.contains(&pod.name), at);
        !names.is_empty()
    }

    /// The next pod that is to be made, if there is room for it beside the old ones (a quarter more than wanted).
    pub(super) fn missing_pod(&self, at: DateTime<Utc>, pace: Pace) -> Option<Pod> {
        let deployment = self.controlled()?;
        let wanted = deployment.replicas as usize;
        let new = self.live().filter(|pod| pod.hash == deployment.hash).count();
        let old = self.live().count() - new;
        let surge = if old == 0 { 0 } else { wanted.div_ceil(4) };
        if new >= wanted || new + old >= wanted + surge {
            return None;
        }
        let held = self.held();
        let name = object_name(self.owner.application);
        let serial = hex::encode(Sha256::digest(format!("{name}/{}", self.made)));
        // All of a rollout, one after the other, take as long as one does.
        let steps = if old == 0 { 1 } else { wanted.div_ceil(surge.max(1)) };
        let takes_ms = pace.settle.num_milliseconds() / i64::try_from(steps).unwrap_or(1).max(1);
        Some(Pod {
            name: format!("{name}-{}-{}", deployment.hash, &serial[..5]),
            hash: deployment.hash.clone(),
            template: deployment.template.clone(),
            created_at: at,
            begun_at: at,
            takes_ms,
            secrets: chosen(&deployment.template, held.as_ref()),
            config_error: config_error(&deployment.template, held.as_ref()),
            deleted_at: None,
            counted: false,
        })
    }

    pub(super) fn add(&mut self, pod: Pod, at: DateTime<Utc>) {
        self.made += 1;
        let message = format!("Created pod: {}", pod.name);
        self.note("SuccessfulCreate", message, None, false, at);
        self.pods.push(pod);
    }

    pub(super) fn refused(&mut self, message: &str, at: DateTime<Utc>) {
        if let Some(deployment) = &mut self.deployment {
            deployment.failure = Some(message.to_owned());
        }
        self.note("FailedCreate", format!("Error creating: {message}"), None, true, at);
    }

    pub(super) fn made_all(&mut self) {
        if let Some(deployment) = &mut self.deployment {
            deployment.failure = None;
        }
    }

    fn held(&self) -> Option<Held> {
        self.secret.clone().map(|values| Held { values, place: place(self.owner) })
    }

    // What is seen of it.

    pub(super) fn observed(&self, now: DateTime<Utc>) -> Observed {
        let deployment = self.deployment.as_ref().map(|found| {
            let updated = self.live().filter(|pod| pod.hash == found.observed_hash).count();
            let ready = self.live().filter(|pod| pod.is_ready(now)).count();
            DeploymentSeen {
                generation: found.generation,
                observed_generation: found.observed,
                revision: found.template.revision,
                wanted: found.replicas,
                updated: u32::try_from(updated).unwrap_or(u32::MAX),
                ready: u32::try_from(ready).unwrap_or(u32::MAX),
                available: u32::try_from(ready).unwrap_or(u32::MAX),
                total: u32::try_from(self.live().count()).unwrap_or(u32::MAX),
                replica_failure: found.failure.clone(),
                deleting: found.deleted_at.is_some(),
            }
        });
        let mut pods: Vec<_> = self.pods.iter().map(|pod| pod.seen(now)).collect();
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        Observed { owner: self.owner, deployment, pods }
    }

    /// The pod that answers: a ready one of those that stay, the newest.
    pub(super) fn answering(&self, now: DateTime<Utc>) -> Option<&Pod> {
        self.service.as_ref()?;
        self.live().filter(|pod| pod.is_ready(now)).max_by_key(|pod| pod.created_at)
    }
}

/// A Secret, and where it is.
struct Held {
    values: BTreeMap<String, String>,
    place: String,
}

fn place(owner: AppOwner) -> String {
    format!("{}/{}", namespace(owner.account), object_name(owner.application))
}

/// The values that a pod gets.
fn chosen(template: &Template, held: Option<&Held>) -> BTreeMap<String, String> {
    let values = held.map(|held| held.values.clone()).unwrap_or_default();
    values.into_iter().filter(|(name, _)| template.secret_names.contains(name)).collect()
}

/// Why a container can't be made of it, in the kubelet's words.
fn config_error(template: &Template, held: Option<&Held>) -> Option<String> {
    let first = template.secret_names.first()?;
    let Some(held) = held else { return Some(format!("secret with the key {first} not found")) };
    let missing = template.secret_names.iter().find(|name| !held.values.contains_key(*name))?;
    Some(format!("couldn't find key {missing} in Secret {}", held.place))
}

fn being_deleted(owner: AppOwner) -> CloudError {
    CloudError::Conflict(format!("deployments.apps \"{}\" is being deleted", object_name(owner.application)))
}

/// Ten digits that are another for another template.
fn hash(template: &Template) -> Result<String, CloudError> {
    let text = serde_json::to_vec(template).map_err(CloudError::unavailable)?;
    Ok(hex::encode(Sha256::digest(text))[..10].to_owned())
}

fn count<T>(things: &[T]) -> u32 {
    u32::try_from(things.len()).unwrap_or(u32::MAX)
}
