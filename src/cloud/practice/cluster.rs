//! The practice cloud's containers.
//!
//! It behaves as a Kubernetes does, as far as the portal sees. Its state is one JSON file in the data folder, so that it
//! outlives a restart and two portal processes see the same; states settle by the clock. What a container does is decided
//! by its image's name ([`image`]). Tests script faults ([`PracticeCluster::script`]).

mod app;
mod faults;
mod image;
mod pod;
mod state;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use uuid::Uuid;

use self::faults::Faults;
pub use self::faults::{ClusterFault, Step};
use self::pod::Pod;
use self::state::{Pace, State};
use self::tell::HEARTBEAT;
use super::file::{Identity, StateFile};
use crate::cloud::cluster::{
    AppOwner, Cluster, ClusterEvent, DeployOrder, Listeners, LogLine, LogRequest, NamespaceOrder, Observed, Part,
    Presence, SecretOrder, namespace, object_name,
};
use crate::cloud::{CheckLine, CheckOutcome, CloudError};
use crate::ids::ApplicationId;

/// How long a change may go unnoticed by [`Cluster::changes`].
const SLOWEST_POLL: Duration = Duration::from_millis(250);
const FASTEST_POLL: Duration = Duration::from_millis(20);

/// What a browser gets of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The page of a running container.
    Page(String),
    /// An application has the host, and none of its containers answers.
    NotReady,
    /// Nobody has the host.
    Unknown,
}

/// The state as it was read last.
type Memory = Option<(Identity, State)>;

/// Reads and changes the state.
#[derive(Clone)]
struct Store {
    file: StateFile,
    pace: Pace,
    memory: Arc<Mutex<Memory>>,
}

/// The practice cloud's containers.
pub struct PracticeCluster {
    store: Store,
    poll: Duration,
    faults: Arc<Faults>,
    /// What [`Cluster::changes`] said last; None: nothing yet.
    said: Mutex<Option<HashMap<ApplicationId, Observed>>>,
}

impl Store {
    /// Brings the state in memory up to date with the file, and with the clock.
    fn refresh<'a>(&self, memory: &'a mut Memory, now: DateTime<Utc>) -> std::io::Result<&'a mut State> {
        let identity = self.file.identity()?;
        let known = memory.take().filter(|(known, _)| Some(*known) == identity);
        let (identity, mut state) = match (known, identity) {
            (Some(known), _) => known,
            (None, identity) => {
                let text = self.file.read()?;
                let state = if text.is_empty() { State::default() } else { serde_json::from_slice(&text)? };
                (identity.unwrap_or_default(), state)
            }
        };
        state.advance(now, self.pace);
        Ok(&mut memory.insert((identity, state)).1)
    }

    fn read<T>(&self, look: impl FnOnce(&State, DateTime<Utc>) -> T) -> std::io::Result<T> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Utc::now();
        let state = self.refresh(&mut memory, now)?;
        Ok(look(state, now))
    }

    /// Under the lock of the file. What `work` refuses is as if it had not been tried.
    fn change<T>(
        &self,
        work: impl FnOnce(&mut State, DateTime<Utc>) -> Result<T, CloudError>,
    ) -> std::io::Result<Result<T, CloudError>> {
        let _lock = self.file.lock()?;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Utc::now();
        let mut state = self.refresh(&mut memory, now)?.clone();
        let result = work(&mut state, now);
        if result.is_ok() {
            state.advance(now, self.pace);
            *memory = None;
            self.file.write(&serde_json::to_vec(&state)?)?;
            *memory = self.file.identity()?.map(|identity| (identity, state));
        }
        Ok(result)
    }
}

impl PracticeCluster {
    /// Keeps its state in `dir`, which is made. A rollout takes `settle`, a deletion half of it.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn new(dir: &Path, settle: Duration) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("making the practice cloud's folder {}", dir.display()))?;
        let pace = Pace { settle: TimeDelta::from_std(settle).context("practice.build_seconds is too long")? };
        Ok(Self {
            store: Store { file: StateFile::new(dir.join("cluster.json")), pace, memory: Arc::default() },
            poll: (settle / 8).clamp(FASTEST_POLL, SLOWEST_POLL),
            faults: Arc::default(),
            said: Mutex::default(),
        })
    }

    /// Adds a fault; several are used up in order.
    pub fn script(&self, fault: ClusterFault) {
        self.faults.script(fault);
    }

    /// Ends all faults; says how many were not used up.
    pub fn heal(&self) -> usize {
        self.faults.heal()
    }

    /// How many calls have been made.
    pub fn calls(&self) -> u64 {
        self.faults.calls()
    }

    /// A Deployment is deleted behind the portal's back.
    ///
    /// # Errors
    /// When there is none, or the state can't be written.
    pub async fn remove_deployment(&self, application: ApplicationId) -> Result<(), CloudError> {
        self.change(move |state, now| {
            let owner = owner_of(state, application)?;
            state.delete(owner, Part::Deployment, now);
            Ok(())
        })
        .await
    }

    /// A Deployment is scaled behind the portal's back.
    ///
    /// # Errors
    /// When there is none, or the state can't be written.
    pub async fn scale_outside(&self, application: ApplicationId, replicas: u32) -> Result<(), CloudError> {
        self.change(move |state, now| {
            let owner = owner_of(state, application)?;
            state.scale(owner, replicas, now)
        })
        .await
    }

    /// All objects that exist but for the namespaces, pods on their way out included:
    /// `fc-…/deployment/app-…`, in order.
    ///
    /// # Errors
    /// When the state can't be read.
    pub async fn objects(&self) -> Result<BTreeSet<String>, CloudError> {
        self.read(|state, _| {
            let mut objects = BTreeSet::new();
            for app in state.namespaces.values().flat_map(|namespace| namespace.apps.values()) {
                let (namespace, name) = (namespace(app.owner.account), object_name(app.owner.application));
                for (part, kind) in [
                    (Part::Secret, "secret"),
                    (Part::Deployment, "deployment"),
                    (Part::Service, "service"),
                    (Part::Ingress, "ingress"),
                ] {
                    if app.has(part) {
                        objects.insert(format!("{namespace}/{kind}/{name}"));
                    }
                }
                objects.extend(app.pods.iter().map(|pod| format!("{namespace}/pod/{}", pod.name)));
            }
            objects
        })
        .await
    }

    /// What a browser gets of a host (without a port), whatever faults are scripted: containers go on when the cluster's
    /// interface does not answer.
    ///
    /// # Errors
    /// When the state can't be read.
    pub async fn reply(&self, host: &str) -> Result<Reply, CloudError> {
        let host = host.trim_end_matches('.').to_owned();
        self.read(move |state, now| match state.by_host(&host) {
            None => Reply::Unknown,
            Some(app) => app.answering(now).map_or(Reply::NotReady, |pod| Reply::Page(tell::page(pod))),
        })
        .await
    }

    /// The page that a browser gets of a host; None: none. All paths of a host lead to the same page.
    pub async fn answer(&self, host: &str, _path: &str) -> Option<String> {
        match self.reply(host).await {
            Ok(Reply::Page(page)) => Some(page),
            _ => None,
        }
    }

    async fn read<T, F>(&self, look: F) -> Result<T, CloudError>
    where
        T: Send + 'static,
        F: FnOnce(&State, DateTime<Utc>) -> T + Send + 'static,
    {
        read(&self.store, look).await
    }

    async fn change<T, F>(&self, work: F) -> Result<T, CloudError>
    where
        T: Send + 'static,
        F: FnOnce(&mut State, DateTime<Utc>) -> Result<T, CloudError> + Send + 'static,
    {
        let store = self.store.clone();
        off_the_runtime(move || store.change(work)).await?
    }

    /// A step of the portal's, with the faults that hit it.
    async fn step<F>(&self, step: Step, work: F) -> Result<(), CloudError>
    where
        F: FnOnce(&mut State, DateTime<Utc>) -> Result<(), CloudError> + Send + 'static,
    {
        self.faults.before(step).await?;
        self.change(work).await?;
        self.faults.after(step)
    }

    /// What differs from what was said last, and remembers it.
    fn news(&self, fresh: HashMap<ApplicationId, Observed>) -> Option<Vec<Observed>> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = said.as_mut() else {
            *said = Some(fresh.clone());
            return Some(fresh.into_values().collect());
        };
        let gone = before.values().filter(|old| !fresh.contains_key(&old.owner.application));
        let gone = gone.map(|old| Observed { owner: old.owner, deployment: None, pods: Vec::new() });
        let other = fresh.values().filter(|new| before.get(&new.owner.application) != Some(new)).cloned();
        let news: Vec<Observed> = gone.chain(other).collect();
        *before = fresh;
        (!news.is_empty()).then_some(news)
    }
}

fn owner_of(state: &State, application: ApplicationId) -> Result<AppOwner, CloudError> {
    let mut apps = state.namespaces.values().filter_map(|namespace| namespace.apps.get(&application));
    let app = apps.next().filter(|app| app.deployment.is_some());
    app.map(|app| app.owner)
        .ok_or_else(|| CloudError::NotFound(format!("deployments.apps \"{}\" not found", object_name(application))))
}

async fn read<T, F>(store: &Store, look: F) -> Result<T, CloudError>
where
    T: Send + 'static,
    F: FnOnce(&State, DateTime<Utc>) -> T + Send + 'static,
{
    let store = store.clone();
    off_the_runtime(move || store.read(look)).await
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, CloudError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(CloudError::unavailable)?
        .map_err(|error| CloudError::unavailable(format!("the practice cloud's state: {error}")))
}

fn pod_of<'a>(state: &'a State, owner: AppOwner, name: &str) -> Result<&'a Pod, CloudError> {
    let mut pods = state.app(owner).into_iter().flat_map(|app| &app.pods);
    pods.find(|pod| pod.name == name).ok_or_else(|| CloudError::NotFound(format!("pods \"{name}\" not found")))
}

/// A log that goes on.
struct Followed {
    store: Store,
    faults: Arc<Faults>,
    request: LogRequest,
    /// Which run of the container it is.
    run: u32,
}

impl Followed {
    /// The next line; None: the run has ended, or the pod is gone.
    async fn next(&self) -> Option<Result<LogLine, CloudError>> {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match self.faults.lasting() {
                Some(ClusterFault::Down(error)) => return Some(Err(error)),
                Some(_) => continue,
                None => {}
            }
            let (owner, name, run) = (self.request.owner, self.request.pod.clone(), self.run);
            let goes_on = read(&self.store, move |state, now| {
                let found = pod_of(state, owner, &name).ok()?.run(false, now)?;
                (found.number == run && found.to == now).then_some(now)
            });
            return match goes_on.await {
                Ok(now) => now.map(|now| Ok(LogLine { at: Some(now), text: HEARTBEAT.to_owned() })),
                Err(error) => Some(Err(error)),
            };
        }
    }

    /// A line each second; an error is the last.
    fn lines(self) -> BoxStream<'static, Result<LogLine, CloudError>> {
        let lines = stream::unfold(Some(self), |going| async move {
            let followed = going?;
            let line = followed.next().await?;
            let going = line.is_ok().then_some(followed);
            Some((line, going))
        });
        lines.boxed()
    }
}

#[async_trait]
impl Cluster for PracticeCluster {
    fn simulated(&self) -> bool {
        true
    }

    async fn prepare(&self, order: &NamespaceOrder) -> Result<(), CloudError> {
        let (order, pace) = (*order, self.store.pace);
        self.step(Step::Prepare, move |state, now| {
            state.prepare(&order, now, pace);
            Ok(())
        })
        .await
    }

    async fn apply_secret(&self, owner: AppOwner, order: &SecretOrder) -> Result<(), CloudError> {
        let order = order.clone();
        self.step(Step::Apply(Part::Secret), move |state, now| state.apply_secret(owner, &order, now)).await
    }

    async fn apply_deployment(&self, order: &DeployOrder) -> Result<(), CloudError> {
        let order = order.clone();
        self.step(Step::Apply(Part::Deployment), move |state, now| state.apply_deployment(&order, now)).await
    }

    async fn apply_service(&self, order: &DeployOrder) -> Result<(), CloudError> {
        let order = order.clone();
        self.step(Step::Apply(Part::Service), move |state, _| state.apply_service(&order)).await
    }

    async fn apply_ingress(&self, order: &DeployOrder) -> Result<(), CloudError> {
        let order = order.clone();
        self.step(Step::Apply(Part::Ingress), move |state, now| state.apply_ingress(&order, now)).await
    }

    async fn scale(&self, owner: AppOwner, replicas: u32) -> Result<(), CloudError> {
        self.step(Step::Scale, move |state, now| state.scale(owner, replicas, now)).await
    }

    async fn delete(&self, owner: AppOwner, part: Part) -> Result<(), CloudError> {
        self.step(Step::Delete(part), move |state, now| {
            state.delete(owner, part, now);
            Ok(())
        })
        .await
    }

    async fn presence(&self, owner: AppOwner) -> Result<Presence, CloudError> {
        self.faults.before(Step::Presence).await?;
        self.read(move |state, _| state.app(owner).map(app::App::presence).unwrap_or_default()).await
    }

    async fn show(&self, owner: AppOwner) -> Result<Observed, CloudError> {
        self.faults.before(Step::Show).await?;
        self.read(move |state, now| {
            let none = || Observed { owner, deployment: None, pods: Vec::new() };
            state.app(owner).map_or_else(none, |app| app.observed(now))
        })
        .await
    }

    async fn list(&self, portal: Uuid) -> Result<Vec<Observed>, CloudError> {
        self.faults.before(Step::List).await?;
        self.read(move |state, now| state.running(portal).map(|app| app.observed(now)).collect()).await
    }

    async fn changes(&self, portal: Uuid) -> Vec<Observed> {
        self.faults.count();
        loop {
            // A watch says nothing while it is broken.
            if !self.faults.is_broken() {
                let seen = self.read(move |state, now| {
                    state.running(portal).map(|app| (app.owner.application, app.observed(now))).collect()
                });
                match seen.await {
                    Ok(fresh) => {
                        if let Some(news) = self.news(fresh) {
                            return news;
                        }
                    }
                    Err(error) => tracing::warn!(%error, "the practice cloud can't be watched"),
                }
            }
            tokio::time::sleep(self.poll).await;
        }
    }

    async fn ping(&self) -> Result<(), CloudError> {
        self.faults.before(Step::Ping).await?;
        self.read(|_, _| ()).await
    }

    async fn events(&self, owner: AppOwner) -> Result<Vec<ClusterEvent>, CloudError> {
        self.faults.before(Step::Events).await?;
        self.read(move |state, now| {
            let events = state.app(owner).map(|app| tell::events(app, &namespace(owner.account), now));
            events.unwrap_or_default()
        })
        .await
    }

    async fn logs(&self, request: &LogRequest) -> Result<BoxStream<'static, Result<LogLine, CloudError>>, CloudError> {
        self.faults.before(Step::Logs).await?;
        let wanted = request.clone();
        let found = self.read(move |state, now| {
            let pod = pod_of(state, wanted.owner, &wanted.pod)?;
            let run = pod.run(wanted.previous, now);
            let run =
                run.ok_or_else(|| CloudError::NotFound(format!("container app in pod {} has no such run", pod.name)))?;
            Ok::<_, CloudError>((tell::log(pod, run), run.number, run.to == now))
        });
        let (mut lines, run, goes_on) = found.await??;
        let surplus = lines.len().saturating_sub(request.tail as usize);
        lines.drain(..surplus);
        let lines = stream::iter(lines.into_iter().map(Ok));
        if request.follow && !request.previous && goes_on {
            let (store, faults) = (self.store.clone(), self.faults.clone());
            return Ok(lines.chain(Followed { store, faults, request: request.clone(), run }.lines()).boxed());
        }
        Ok(lines.boxed())
    }

    async fn listeners(
        &self,
        owner: AppOwner,
        pod: &str,
        likely: &[u16],
        limit: Duration,
    ) -> Result<Listeners, CloudError> {
        let asked = async {
            self.faults.before(Step::Listeners).await?;
            let (name, likely) = (pod.to_owned(), likely.to_vec());
            self.read(move |state, now| {
                let stopped = || CloudError::Conflict(format!("the container of pod {name} does not run"));
                pod_of(state, owner, &name)?.listeners(&likely, now).ok_or_else(stopped)
            })
            .await?
        };
        tokio::time::timeout(limit, asked).await.map_err(CloudError::unavailable)?
    }

    async fn check(&self) -> Vec<CheckLine> {
        let outcome =
            match self.read(|state, _| state.namespaces.values().map(|space| space.apps.len()).sum::<usize>()).await {
                Ok(number) => CheckOutcome::Works(format!("{number} pretended applications")),
                Err(error) => CheckOutcome::Fails {
                    problem: error.to_string(),
                    advice: format!("check that {} can be written", self.store.file.path().display()),
                },
            };
        vec![CheckLine { what: "Practice cloud's containers".to_owned(), outcome }]
    }
}
