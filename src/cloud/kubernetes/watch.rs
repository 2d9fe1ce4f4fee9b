//! What changes in the cluster, as it changes: one watch a kind for all accounts.
//!
//! Only what we need of each object is kept, not the object: a thousand applications take some four megabytes
//! (`benches/watch_1k.rs`).

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use uuid::Uuid;

use super::observe::{PAGE, PullFailures, Seen, deployment_seen, pod_seen};
use super::{Kubernetes, labels};
use crate::cloud::CloudError;
use crate::cloud::cluster::{AppOwner, DeploymentSeen, Observed, PodSeen};

/// Changes that come within this time of the first are told together: one rollout is a dozen of them.
const GATHER: Duration = Duration::from_millis(100);
/// How long the cluster may take to say that it is there.
const PING: Duration = Duration::from_secs(5);

/// The watches of a portal. Only one task waits for them.
#[derive(Default)]
pub(super) struct Watches {
    running: Mutex<Option<Running>>,
    /// The cluster did not answer when it was asked last.
    silent: AtomicBool,
    /// It answers again.
    anew: Notify,
}

impl Kubernetes {
    /// Not in turn with the other calls: when they hang, this is what finds it out.
    pub(super) async fn ask_whether_it_answers(&self) -> Result<(), CloudError> {
        let namespaces = Api::<Namespace>::all(self.unary.clone());
        let one = ListParams::default().limit(1);
        let answer = match tokio::time::timeout(PING, namespaces.list_metadata(&one)).await {
            Ok(answer) => answer.map_err(super::errors::meaning),
            Err(_) => Err(CloudError::unavailable(format!("no answer from the cluster within {} s", PING.as_secs()))),
        };
        match answer {
            Ok(_) => {
                if self.watches.silent.swap(false, Ordering::Relaxed) {
                    tracing::info!("the cluster answers again; its watches start anew");
                    self.watches.anew.notify_one();
                }
                Ok(())
            }
            Err(err) => {
                if matches!(err, CloudError::Unavailable { .. }) {
                    self.watches.silent.store(true, Ordering::Relaxed);
                }
                Err(err)
            }
        }
    }

    pub(super) async fn wait_for_changes(&self, portal: Uuid) -> Vec<Observed> {
        let mut slot = self.watches.running.lock().await;
        if slot.as_ref().is_some_and(|running| running.portal != portal) {
            *slot = None;
        }
        let running = slot.get_or_insert_with(|| Running::start(&self.streaming, portal));
        // Nothing is lost when the caller stops waiting: what was taken from a stream is in `running` at once.
        loop {
            let due = running.due();
            tokio::select! {
                biased;
                () = self.watches.anew.notified() => running.start_anew(&self.streaming),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let changes = running.take_changes();
                    if !changes.is_empty() {
                        return changes;
                    }
                }
                event = running.deployments.next() => running.take_deployment(event),
                event = running.pods.next() => running.take_pod(event, &self.pull_failures),
            }
        }
    }
}

type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

struct Running {
    portal: Uuid,
    deployments: Watch<Deployment, DeploymentSeen>,
    pods: Watch<Pod, PodSeen>,
    seen: Seen,
    /// Applications that changed since changes were taken last, and when the first of them did.
    touched: HashSet<AppOwner>,
    since: Option<Instant>,
}

/// One watch, with what it lists while it lists.
struct Watch<K, S> {
    events: Events<K>,
    /// What a list in progress has brought so far.
    listing: Option<Vec<(AppOwner, S)>>,
    /// Whether there was a whole list since the watch was started.
    is_complete: bool,
    is_failing: bool,
}

impl<K, S> Watch<K, S>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    fn start(client: &Client, portal: Uuid) -> Self {
        let config = watcher::Config::default().labels(&labels::select_portal(portal)).page_size(PAGE);
        let events = watcher(Api::<K>::all(client.clone()), config).default_backoff().boxed();
        Self { events, listing: None, is_complete: false, is_failing: false }
    }

    async fn next(&mut self) -> Option<watcher::Result<Event<K>>> {
        self.events.next().await
    }

    /// The event, or None for a failure, which is told once: the watch goes on by itself.
    fn event(&mut self, event: Option<watcher::Result<Event<K>>>) -> Option<Event<K>> {
        let kind = K::plural(&());
        match event {
            Some(Ok(event)) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the watch of {kind} goes on");
                }
                Some(event)
            }
            Some(Err(err)) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!("the watch of {kind} is interrupted: {err}");
                }
                None
            }
            // The stream never ends by itself; were it to, a pause keeps the loop from spinning.
            None => {
                self.events = futures::stream::pending().boxed();
                tracing::error!("the watch of {kind} has ended");
                None
            }
        }
    }
}

impl Running {
    fn start(client: &Client, portal: Uuid) -> Self {
        Self {
            portal,
            deployments: Watch::start(client, portal),
            pods: Watch::start(client, portal),
            seen: Seen::default(),
            touched: HashSet::new(),
            since: None,
        }
    }

    /// What was seen stays until the new lists say what became of it.
    fn start_anew(&mut self, client: &Client) {
        self.deployments = Watch::start(client, self.portal);
        self.pods = Watch::start(client, self.portal);
    }

    /// When changes are told; None: there are none, or one kind has not been listed yet and all pods would seem gone.
    fn due(&self) -> Option<Instant> {
        let since = self.since.filter(|_| self.deployments.is_complete && self.pods.is_complete)?;
        Some(since + GATHER)
    }

    fn take_changes(&mut self) -> Vec<Observed> {
        self.since = None;
        let touched: Vec<AppOwner> = self.touched.drain().collect();
        let changes = touched.iter().map(|owner| self.seen.one(*owner)).collect();
        for owner in touched {
            self.seen.tidy(owner);
        }
        changes
    }

    fn touch(&mut self, owner: AppOwner) {
        self.touched.insert(owner);
        self.since.get_or_insert_with(Instant::now);
    }

    fn take_deployment(&mut self, event: Option<watcher::Result<Event<Deployment>>>) {
        match self.deployments.event(event) {
            Some(Event::Apply(deployment)) => {
                if let Some(owner) = labels::owner(&deployment.metadata) {
                    self.seen.entry(owner).0 = Some(deployment_seen(&deployment));
                    self.touch(owner);
                }
            }
            Some(Event::Delete(deployment)) => {
                if let Some(owner) = labels::owner(&deployment.metadata) {
                    self.seen.entry(owner).0 = None;
                    self.touch(owner);
                }
            }
            Some(Event::Init) => self.deployments.listing = Some(Vec::new()),
            Some(Event::InitApply(deployment)) => {
                if let Some(owner) = labels::owner(&deployment.metadata) {
                    let listed = self.deployments.listing.get_or_insert_default();
                    listed.push((owner, deployment_seen(&deployment)));
                }
            }
            Some(Event::InitDone) => {
                let listed: HashMap<_, _> = self.deployments.listing.take().unwrap_or_default().into_iter().collect();
                self.deployments.is_complete = true;
                self.replace(listed, |entry, deployment| entry.0 = deployment);
            }
            None => {}
        }
    }

    fn take_pod(&mut self, event: Option<watcher::Result<Event<Pod>>>, failures: &PullFailures) {
        match self.pods.event(event) {
            Some(Event::Apply(pod)) => {
                if let Some(owner) = labels::owner(&pod.metadata) {
                    let pod = failures.completed(owner, pod_seen(&pod));
                    self.seen.entry(owner).1.insert(pod.name.clone(), pod);
                    self.touch(owner);
                }
            }
            Some(Event::Delete(pod)) => {
                if let Some((owner, name)) = labels::owner(&pod.metadata).zip(pod.metadata.name) {
                    failures.forget(owner, &name);
                    self.seen.entry(owner).1.remove(&name);
                    self.touch(owner);
                }
            }
            Some(Event::Init) => self.pods.listing = Some(Vec::new()),
            Some(Event::InitApply(pod)) => {
                if let Some(owner) = labels::owner(&pod.metadata) {
                    let pod = failures.completed(owner, pod_seen(&pod));
                    self.pods.listing.get_or_insert_default().push((owner, pod));
                }
            }
            Some(Event::InitDone) => {
                let mut listed = HashMap::<_, Vec<_>>::new();
                for (owner, pod) in self.pods.listing.take().unwrap_or_default() {
                    listed.entry(owner).or_default().push((pod.name.clone(), pod));
                }
                self.pods.is_complete = true;
                self.replace(listed, |entry, pods| entry.1 = pods.into_iter().flatten().collect());
            }
            None => {}
        }
    }

    /// A whole list of one kind takes the place of what was known of it, also where nothing is left.
    fn replace<S>(&mut self, mut listed: HashMap<AppOwner, S>, put: impl Fn(&mut super::observe::Entry, Option<S>)) {
        let owners: HashSet<AppOwner> = self.seen.owners().into_iter().chain(listed.keys().copied()).collect();
        for owner in owners {
            put(self.seen.entry(owner), listed.remove(&owner));
            self.touch(owner);
        }
    }
}
