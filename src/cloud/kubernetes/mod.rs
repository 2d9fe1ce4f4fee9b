//! Kubernetes: containers on a real cluster, by `kube`.
//!
//! One [`Kubernetes`] serves the whole process. It has two clients: one for calls that end, with time limits, and one for
//! what stays open (watches, logs, exec), without. Everything is written by server-side apply, so that a step can be
//! done again and a change by hand is put right by the next deployment.
//!
//! The portal's rights are small (`deploy/rbac.yaml`): everywhere it may look after namespaces and watch Deployments and
//! Pods; what it may do inside an account's namespace comes from a RoleBinding that it makes there first ([`namespace`]).

mod apply;
mod calls;
mod check;
mod errors;
mod labels;
mod listeners;
mod login;
mod logs;
mod namespace;
mod objects;
mod observe;
mod sockets;
mod watch;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use futures::stream::BoxStream;
use kube::Client;
use tokio::sync::{OnceCell, Semaphore};
use uuid::Uuid;

use self::namespace::Prepared;
use self::observe::PullFailures;
use self::watch::Watches;
use crate::cloud::cluster::{
    AppOwner, Cluster, ClusterEvent, DeployOrder, Listeners, LogLine, LogRequest, NamespaceOrder, Observed, Part,
    Presence, SecretOrder,
};
use crate::cloud::{CheckLine, CloudError};
use crate::config;
use crate::ids::AccountId;

/// Who we are to server-side apply: what we wrote before and no longer write is removed.
const FIELD_MANAGER: &str = "fast-cloud";

/// A cluster, as the portal uses it.
pub struct Kubernetes {
    /// For calls that end.
    unary: Client,
    /// For what stays open: no limit on reading.
    streaming: Client,
    /// Where the login comes from, for advice.
    login: String,
    config: config::Kubernetes,
    turns: Semaphore,
    limit: Duration,
    /// Namespaces that this process has brought up to date.
    prepared: Mutex<HashMap<AccountId, Prepared>>,
    /// Why images could not be pulled, by pod.
    pull_failures: PullFailures,
    watches: Watches,
    /// Whether the cluster can wait before it ends a container.
    sleeps: OnceCell<bool>,
}

impl Kubernetes {
    /// Reads the login and makes the clients; contacts nobody, so that the portal starts without its cluster.
    ///
    /// The clients belong to the runtime that this is called on.
    ///
    /// # Errors
    /// No login, or one that can't be used.
    pub async fn connect(config: &config::Kubernetes) -> anyhow::Result<Self> {
        let login = login::discover(&|name| std::env::var(name).ok()).await?;
        Self::new(login, config)
    }

    /// As [`Self::connect`], by this kubeconfig whatever the environment says.
    ///
    /// # Errors
    /// A file that can't be used.
    pub async fn connect_by(file: &Path, config: &config::Kubernetes) -> anyhow::Result<Self> {
        Self::new(login::from_files(vec![file.to_owned()], file.display().to_string()).await?, config)
    }

    fn new(login: login::Login, config: &config::Kubernetes) -> anyhow::Result<Self> {
        let limit = Duration::from_secs(config.request_seconds);
        let connect = Duration::from_secs(config.connect_seconds);
        let mut streaming = login.config;
        streaming.connect_timeout = Some(connect);
        streaming.read_timeout = None;
        // A refusal is told to the caller at once, with the time to wait: the operations' queue repeats, not the client.
        streaming.default_retry = false;
        let mut unary = streaming.clone();
        unary.read_timeout = Some(limit);
        unary.reset_reader_on_write = true;
        let client =
            |config| Client::try_from(config).with_context(|| format!("the login in {} can't be used", login.source));
        Ok(Self {
            unary: client(unary)?,
            streaming: client(streaming)?,
            login: login.source.clone(),
            config: config.clone(),
            turns: Semaphore::new(config.concurrency.max(1)),
            limit,
            prepared: Mutex::default(),
            pull_failures: PullFailures::default(),
            watches: Watches::default(),
            sleeps: OnceCell::new(),
        })
    }
}

#[async_trait]
impl Cluster for Kubernetes {
    fn simulated(&self) -> bool {
        false
    }

    async fn prepare(&self, order: &NamespaceOrder) -> Result<(), CloudError> {
        self.prepare_namespace(order).await
    }

    async fn apply_secret(&self, owner: AppOwner, order: &SecretOrder) -> Result<(), CloudError> {
        self.write_secret(owner, order).await
    }

    async fn apply_deployment(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.write_deployment(order).await
    }

    async fn apply_service(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.write_service(order).await
    }

    async fn apply_ingress(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.write_ingress(order).await
    }

    async fn scale(&self, owner: AppOwner, replicas: u32) -> Result<(), CloudError> {
        self.scale_deployment(owner, replicas).await
    }

    async fn delete(&self, owner: AppOwner, part: Part) -> Result<(), CloudError> {
        self.delete_part(owner, part).await
    }

    async fn presence(&self, owner: AppOwner) -> Result<Presence, CloudError> {
        self.look_for(owner).await
    }

    async fn show(&self, owner: AppOwner) -> Result<Observed, CloudError> {
        self.observe(owner).await
    }

    async fn list(&self, portal: Uuid) -> Result<Vec<Observed>, CloudError> {
        self.observe_all(portal).await
    }

    async fn changes(&self, portal: Uuid) -> Vec<Observed> {
        self.wait_for_changes(portal).await
    }

    async fn ping(&self) -> Result<(), CloudError> {
        self.ask_whether_it_answers().await
    }

    async fn events(&self, owner: AppOwner) -> Result<Vec<ClusterEvent>, CloudError> {
        self.events_of(owner).await
    }

    async fn logs(&self, request: &LogRequest) -> Result<BoxStream<'static, Result<LogLine, CloudError>>, CloudError> {
        self.log_lines(request).await
    }

    async fn listeners(
        &self,
        owner: AppOwner,
        pod: &str,
        likely: &[u16],
        limit: Duration,
    ) -> Result<Listeners, CloudError> {
        self.find_listeners(owner, pod, likely, limit).await
    }

    async fn check(&self) -> Vec<CheckLine> {
        self.check_all().await
    }
}

#[cfg(test)]
mod lab;
#[cfg(test)]
mod testing;
