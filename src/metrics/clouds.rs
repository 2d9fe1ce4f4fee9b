//! Counting calls to the clouds, in the one place that all of them go through: each service that the portal has, a real
//! one or the practice cloud's, is wrapped when the [`App`](crate::app::App) is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use uuid::Uuid;

use super::{Calls, Metrics};
use crate::app::Clouds;
use crate::cloud::cluster::{
    AppOwner, Cluster, ClusterEvent, DeployOrder, Listeners, LogLine, LogRequest, NamespaceOrder, Observed, Part,
    Presence, SecretOrder,
};
use crate::cloud::objects::{
    ByteStream, ContainerUse, Creation, Download, Entry, GetQuery, ListQuery, ManifestOrder, Mark, ObjectInfo,
    ObjectKey, ObjectStore, PutOrder,
};
use crate::cloud::{Catalogue, CheckLine, CloudError, Compute, FloatingAddress, LaunchOrder, Server};
use crate::cloud_services::{APPLICATIONS, COMPUTE, OBJECTS};
use crate::ids::InstanceId;
use crate::registry::{ImageFacts, ImageReference, ImageSource, RegistryError};

/// What registries are called in metrics.
const REGISTRY: &str = "registry";

/// The same services, their calls counted.
pub fn counted(clouds: Clouds, metrics: &Metrics) -> Clouds {
    Clouds {
        compute: Arc::new(Counted::new(clouds.compute, COMPUTE, metrics)),
        cluster: Arc::new(Counted::new(clouds.cluster, APPLICATIONS, metrics)),
        images: Arc::new(Counted::new(clouds.images, REGISTRY, metrics)),
        objects: Arc::new(Counted::new(clouds.objects, OBJECTS, metrics)),
    }
}

struct Counted<T: ?Sized> {
    inner: Arc<T>,
    service: &'static str,
    calls: Calls,
}

/// What an answer counts as.
trait Outcome {
    fn outcome(&self) -> &'static str;
}

impl<T> Outcome for Result<T, CloudError> {
    fn outcome(&self) -> &'static str {
        self.as_ref().map_or_else(CloudError::kind, |_| "ok")
    }
}

impl<T> Outcome for Result<T, RegistryError> {
    fn outcome(&self) -> &'static str {
        self.as_ref().map_or_else(RegistryError::kind, |_| "ok")
    }
}

impl<T: ?Sized> Counted<T> {
    fn new(inner: Arc<T>, service: &'static str, metrics: &Metrics) -> Self {
        Self { inner, service, calls: metrics.calls.clone() }
    }

    async fn count<A: Outcome>(&self, operation: &'static str, call: impl Future<Output = A>) -> A {
        // Counted when it is dropped: whoever asked may not wait for the answer.
        let mut pending = Pending {
            calls: &self.calls,
            service: self.service,
            operation,
            outcome: "abandoned",
            began: Instant::now(),
        };
        let answer = call.await;
        pending.outcome = answer.outcome();
        answer
    }
}

struct Pending<'a> {
    calls: &'a Calls,
    service: &'static str,
    operation: &'static str,
    outcome: &'static str,
    began: Instant,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.calls.count(self.service, self.operation, self.outcome, self.began.elapsed());
    }
}

#[async_trait]
impl Compute for Counted<dyn Compute> {
    fn simulated(&self) -> bool {
        self.inner.simulated()
    }

    async fn launch(&self, order: &LaunchOrder) -> Result<Uuid, CloudError> {
        self.count("launch", self.inner.launch(order)).await
    }

    async fn find(&self, instance: InstanceId) -> Result<Vec<Server>, CloudError> {
        self.count("find", self.inner.find(instance)).await
    }

    async fn list(&self, changed_since: Option<DateTime<Utc>>) -> Result<Vec<Server>, CloudError> {
        self.count("list", self.inner.list(changed_since)).await
    }

    async fn show(&self, id: Uuid) -> Result<Server, CloudError> {
        self.count("show", self.inner.show(id)).await
    }

    async fn start(&self, id: Uuid) -> Result<(), CloudError> {
        self.count("start", self.inner.start(id)).await
    }

    async fn stop(&self, id: Uuid) -> Result<(), CloudError> {
        self.count("stop", self.inner.stop(id)).await
    }

    async fn reboot(&self, id: Uuid) -> Result<(), CloudError> {
        self.count("reboot", self.inner.reboot(id)).await
    }

    async fn delete(&self, id: Uuid) -> Result<(), CloudError> {
        self.count("delete", self.inner.delete(id)).await
    }

    async fn import_key(&self, name: &str, public_key: &str) -> Result<(), CloudError> {
        self.count("import_key", self.inner.import_key(name, public_key)).await
    }

    async fn delete_key(&self, name: &str) -> Result<(), CloudError> {
        self.count("delete_key", self.inner.delete_key(name)).await
    }

    async fn attach_address(
        &self,
        server: Uuid,
        instance: InstanceId,
        network: &str,
    ) -> Result<FloatingAddress, CloudError> {
        self.count("attach_address", self.inner.attach_address(server, instance, network)).await
    }

    async fn release_addresses(&self, instance: InstanceId) -> Result<(), CloudError> {
        self.count("release_addresses", self.inner.release_addresses(instance)).await
    }

    async fn catalogue(&self) -> Result<Catalogue, CloudError> {
        self.count("catalogue", self.inner.catalogue()).await
    }

    async fn check(&self) -> Vec<CheckLine> {
        self.inner.check().await
    }
}

#[async_trait]
impl Cluster for Counted<dyn Cluster> {
    fn simulated(&self) -> bool {
        self.inner.simulated()
    }

    async fn prepare(&self, order: &NamespaceOrder) -> Result<(), CloudError> {
        self.count("prepare", self.inner.prepare(order)).await
    }

    async fn apply_secret(&self, owner: AppOwner, order: &SecretOrder) -> Result<(), CloudError> {
        self.count("apply_secret", self.inner.apply_secret(owner, order)).await
    }

    async fn apply_deployment(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.count("apply_deployment", self.inner.apply_deployment(order)).await
    }

    async fn apply_service(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.count("apply_service", self.inner.apply_service(order)).await
    }

    async fn apply_ingress(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.count("apply_ingress", self.inner.apply_ingress(order)).await
    }

    async fn scale(&self, owner: AppOwner, replicas: u32) -> Result<(), CloudError> {
        self.count("scale", self.inner.scale(owner, replicas)).await
    }

    async fn delete(&self, owner: AppOwner, part: Part) -> Result<(), CloudError> {
        self.count("delete", self.inner.delete(owner, part)).await
    }

    async fn presence(&self, owner: AppOwner) -> Result<Presence, CloudError> {
        self.count("presence", self.inner.presence(owner)).await
    }

    async fn show(&self, owner: AppOwner) -> Result<Observed, CloudError> {
        self.count("show", self.inner.show(owner)).await
    }

    async fn list(&self, portal: Uuid) -> Result<Vec<Observed>, CloudError> {
        self.count("list", self.inner.list(portal)).await
    }

    /// Not counted: it waits for something to happen.
    async fn changes(&self, portal: Uuid) -> Vec<Observed> {
        self.inner.changes(portal).await
    }

    async fn ping(&self) -> Result<(), CloudError> {
        self.count("ping", self.inner.ping()).await
    }

    async fn events(&self, owner: AppOwner) -> Result<Vec<ClusterEvent>, CloudError> {
        self.count("events", self.inner.events(owner)).await
    }

    async fn logs(&self, request: &LogRequest) -> Result<BoxStream<'static, Result<LogLine, CloudError>>, CloudError> {
        self.count("logs", self.inner.logs(request)).await
    }

    async fn listeners(
        &self,
        owner: AppOwner,
        pod: &str,
        likely: &[u16],
        limit: Duration,
    ) -> Result<Listeners, CloudError> {
        self.count("listeners", self.inner.listeners(owner, pod, likely, limit)).await
    }

    async fn check(&self) -> Vec<CheckLine> {
        self.inner.check().await
    }
}

#[async_trait]
impl ObjectStore for Counted<dyn ObjectStore> {
    fn simulated(&self) -> bool {
        self.inner.simulated()
    }

    async fn address(&self, container: &str) -> Result<String, CloudError> {
        self.count("address", self.inner.address(container)).await
    }

    async fn create(&self, container: &str, mark: Mark) -> Result<Creation, CloudError> {
        self.count("create", self.inner.create(container, mark)).await
    }

    async fn containers(&self) -> Result<Vec<ContainerUse>, CloudError> {
        self.count("containers", self.inner.containers()).await
    }

    async fn container(&self, container: &str) -> Result<ContainerUse, CloudError> {
        self.count("container", self.inner.container(container)).await
    }

    async fn remove(&self, container: &str) -> Result<(), CloudError> {
        self.count("remove", self.inner.remove(container)).await
    }

    async fn list(&self, container: &str, query: &ListQuery) -> Result<Vec<Entry>, CloudError> {
        self.count("list", self.inner.list(container, query)).await
    }

    async fn head(&self, container: &str, key: &ObjectKey) -> Result<ObjectInfo, CloudError> {
        self.count("head", self.inner.head(container, key)).await
    }

    async fn get(&self, container: &str, key: &ObjectKey, query: &GetQuery) -> Result<Download, CloudError> {
        self.count("get", self.inner.get(container, key, query)).await
    }

    async fn put(
        &self,
        container: &str,
        key: &ObjectKey,
        order: &PutOrder,
        body: ByteStream,
    ) -> Result<String, CloudError> {
        self.count("put", self.inner.put(container, key, order, body)).await
    }

    async fn put_manifest(
        &self,
        container: &str,
        key: &ObjectKey,
        order: &ManifestOrder,
    ) -> Result<String, CloudError> {
        self.count("put_manifest", self.inner.put_manifest(container, key, order)).await
    }

    async fn copy(
        &self,
        from: (&str, &ObjectKey),
        to: (&str, &ObjectKey),
        only_if_absent: bool,
    ) -> Result<(), CloudError> {
        self.count("copy", self.inner.copy(from, to, only_if_absent)).await
    }

    async fn delete(&self, container: &str, key: &ObjectKey) -> Result<(), CloudError> {
        self.count("delete", self.inner.delete(container, key)).await
    }

    async fn delete_many(&self, container: &str, names: &[String]) -> Result<(), CloudError> {
        self.count("delete_many", self.inner.delete_many(container, names)).await
    }

    async fn check(&self) -> Vec<CheckLine> {
        self.inner.check().await
    }
}

#[async_trait]
impl ImageSource for Counted<dyn ImageSource> {
    async fn inspect(&self, image: &ImageReference, architectures: &[String]) -> Result<ImageFacts, RegistryError> {
        self.count("inspect", self.inner.inspect(image, architectures)).await
    }

    fn pull_name(&self, image: &ImageReference) -> String {
        self.inner.pull_name(image)
    }

    async fn check(&self) -> Vec<CheckLine> {
        self.inner.check().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_is_counted_as_abandoned() {
        let metrics = Metrics::default();
        let counted: Counted<str> = Counted::new(Arc::from(""), COMPUTE, &metrics);
        let number = |outcome: &str| metrics.calls.count.with_label_values(&[COMPUTE, "list", outcome]).get();
        {
            let mut silent = std::pin::pin!(counted.count("list", std::future::pending::<Result<(), CloudError>>()));
            assert!(futures::poll!(&mut silent).is_pending());
            assert_eq!(number("abandoned"), 0);
        }
        counted.count("list", async { Ok::<_, CloudError>(()) }).await.unwrap();
        let refused = counted.count("list", async { Err::<(), _>(CloudError::unavailable("x")) }).await;
        assert!(refused.is_err());
        assert_eq!((number("abandoned"), number("ok"), number("unavailable")), (1, 1, 1));
    }
}
