//! A cluster behind a gate: at a chosen call, before or after it, whoever calls waits for ever, as one does whose
//! process is about to die there.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fast_cloud::cloud::cluster::{
    AppOwner, Cluster, ClusterEvent, DeployOrder, Listeners, LogLine, LogRequest, NamespaceOrder, Observed, Part,
    Presence, SecretOrder,
};
use fast_cloud::cloud::practice::{PracticeCluster, Step};
use fast_cloud::cloud::{CheckLine, CloudError};
use futures::stream::BoxStream;
use uuid::Uuid;

use super::until;

/// On which side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

#[derive(Default)]
struct State {
    closed: Option<(Step, Side)>,
    reached: bool,
}

pub struct Gate {
    inner: Arc<PracticeCluster>,
    state: Mutex<State>,
}

impl Gate {
    pub fn new(inner: Arc<PracticeCluster>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// The next call of this kind does not come back.
    pub fn close(&self, step: Step, side: Side) {
        *self.state.lock().unwrap() = State { closed: Some((step, side)), reached: false };
    }

    pub async fn reached(&self) {
        until("the gate to be reached", async || self.state.lock().unwrap().reached.then_some(())).await;
    }

    async fn stand(&self, step: Step, side: Side) {
        let stays = {
            let mut state = self.state.lock().unwrap();
            let stays = state.closed == Some((step, side));
            if stays {
                *state = State { closed: None, reached: true };
            }
            stays
        };
        if stays {
            std::future::pending::<()>().await;
        }
    }

    async fn pass<T>(&self, step: Step, call: impl Future<Output = T> + Send) -> T {
        self.stand(step, Side::Before).await;
        let answer = call.await;
        self.stand(step, Side::After).await;
        answer
    }
}

#[async_trait]
impl Cluster for Gate {
    fn simulated(&self) -> bool {
        self.inner.simulated()
    }

    async fn prepare(&self, order: &NamespaceOrder) -> Result<(), CloudError> {
        self.pass(Step::Prepare, self.inner.prepare(order)).await
    }

    async fn apply_secret(&self, owner: AppOwner, order: &SecretOrder) -> Result<(), CloudError> {
        self.pass(Step::Apply(Part::Secret), self.inner.apply_secret(owner, order)).await
    }

    async fn apply_deployment(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.pass(Step::Apply(Part::Deployment), self.inner.apply_deployment(order)).await
    }

    async fn apply_service(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.pass(Step::Apply(Part::Service), self.inner.apply_service(order)).await
    }

    async fn apply_ingress(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.pass(Step::Apply(Part::Ingress), self.inner.apply_ingress(order)).await
    }

    async fn scale(&self, owner: AppOwner, replicas: u32) -> Result<(), CloudError> {
        self.pass(Step::Scale, self.inner.scale(owner, replicas)).await
    }

    async fn delete(&self, owner: AppOwner, part: Part) -> Result<(), CloudError> {
        self.pass(Step::Delete(part), self.inner.delete(owner, part)).await
    }

    async fn presence(&self, owner: AppOwner) -> Result<Presence, CloudError> {
        self.pass(Step::Presence, self.inner.presence(owner)).await
    }

    async fn show(&self, owner: AppOwner) -> Result<Observed, CloudError> {
        self.pass(Step::Show, self.inner.show(owner)).await
    }

    async fn list(&self, portal: Uuid) -> Result<Vec<Observed>, CloudError> {
        self.pass(Step::List, self.inner.list(portal)).await
    }

    async fn changes(&self, portal: Uuid) -> Vec<Observed> {
        self.inner.changes(portal).await
    }

    async fn ping(&self) -> Result<(), CloudError> {
        self.pass(Step::Ping, self.inner.ping()).await
    }

    async fn events(&self, owner: AppOwner) -> Result<Vec<ClusterEvent>, CloudError> {
        self.pass(Step::Events, self.inner.events(owner)).await
    }

    async fn logs(&self, request: &LogRequest) -> Result<BoxStream<'static, Result<LogLine, CloudError>>, CloudError> {
        self.pass(Step::Logs, self.inner.logs(request)).await
    }

    async fn listeners(
        &self,
        owner: AppOwner,
        pod: &str,
        likely: &[u16],
        limit: Duration,
    ) -> Result<Listeners, CloudError> {
        self.pass(Step::Listeners, self.inner.listeners(owner, pod, likely, limit)).await
    }

    async fn check(&self) -> Vec<CheckLine> {
        self.inner.check().await
    }
}
