//! The port detective's second half: what listens inside a pod.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::observe::pod_seen;
use super::{Kubernetes, errors, objects, sockets};
use crate::cloud::CloudError;
use crate::cloud::cluster::{AppOwner, Listeners, namespace};

/// Bytes of the tables of sockets that are read: some ten thousand sockets.
const TABLES: u64 = 2 * 1024 * 1024;
/// A port that refuses says so at once, inside the node; one that has not by then accepts.
const REFUSES: Duration = Duration::from_millis(1_500);
/// Ports that are tried at once.
const AT_ONCE: usize = 4;

impl Kubernetes {
    pub(super) async fn find_listeners(
        &self,
        owner: AppOwner,
        pod: &str,
        likely: &[u16],
        limit: Duration,
    ) -> Result<Listeners, CloudError> {
        let look = async {
            let found = self.pod_of(owner, pod).await?;
            match self.read_tables(owner, pod).await? {
                Some(listeners) => Ok(listeners),
                None => self.try_ports(owner, &found, likely).await,
            }
        };
        timeout(limit, look).await.unwrap_or_else(|_| {
            Err(CloudError::unavailable(format!("the pod could not be asked within {} s", limit.as_secs())))
        })
    }

    /// The pod's own tables of sockets, by a program that most images have; without a shell, without anything that
    /// anybody typed. It ends by itself. None: the image has no such program.
    async fn read_tables(&self, owner: AppOwner, pod: &str) -> Result<Option<Listeners>, CloudError> {
        let pods = Api::<Pod>::namespaced(self.streaming.clone(), &namespace(owner.account));
        let params = AttachParams::default().container(objects::CONTAINER).stderr(false);
        let command = ["cat", "/proc/net/tcp", "/proc/net/tcp6"];
        let mut process = pods.exec(pod, command, &params).await.map_err(exec_refusal)?;
        let mut text = Vec::new();
        if let Some(stdout) = process.stdout() {
            // What breaks off is judged by what came.
            if let Err(err) = stdout.take(TABLES).read_to_end(&mut text).await {
                tracing::debug!("reading what listens in {pod} broke off: {err}");
            }
        }
        process.abort();
        Ok(sockets::listeners(&String::from_utf8_lossy(&text)))
    }

    /// Whether something accepts on the likely ports, over the pod's own loopback: the node connects there for us.
    /// Whether they are reached from outside can only be told of the port that the cluster itself probes.
    pub(super) async fn try_ports(&self, owner: AppOwner, pod: &Pod, likely: &[u16]) -> Result<Listeners, CloudError> {
        let pods = Api::<Pod>::namespaced(self.streaming.clone(), &namespace(owner.account));
        let seen = pod_seen(pod);
        let mut ports = likely.to_vec();
        ports.extend(probed_port(pod));
        ports.sort_unstable();
        ports.dedup();
        let tries = futures::stream::iter(ports).map(|port| {
            let (pods, name) = (pods.clone(), seen.name.clone());
            async move { accepts(&pods, &name, port).await.map(|accepts| (port, accepts)) }
        });
        let answers: Vec<Result<(u16, bool), CloudError>> = tries.buffer_unordered(AT_ONCE).collect().await;
        let mut found = Listeners::default();
        for answer in answers {
            let (port, accepts) = answer?;
            let only_inside = probed_port(pod) == Some(port) && !seen.ready;
            match (accepts, only_inside) {
                (true, true) => found.loopback.push(port),
                (true, false) => found.open.push(port),
                (false, _) => {}
            }
        }
        found.open.sort_unstable();
        Ok(found)
    }
}

/// The port that the cluster asks from outside whether the pod is ready.
fn probed_port(pod: &Pod) -> Option<u16> {
    let container = pod.spec.as_ref()?.containers.iter().find(|one| one.name == objects::CONTAINER)?;
    let probe = container.readiness_probe.as_ref()?.tcp_socket.as_ref()?;
    match &probe.port {
        k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(port) => u16::try_from(*port).ok(),
        k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String(_) => None,
    }
}

/// Whether something accepts a connection on a port of the pod's loopback.
async fn accepts(pods: &Api<Pod>, name: &str, port: u16) -> Result<bool, CloudError> {
    let mut forward = pods.portforward(name, &[port]).await.map_err(errors::meaning)?;
    let (stream, error) = (forward.take_stream(port), forward.take_error(port));
    let (Some(mut stream), Some(error)) = (stream, error) else { return Ok(false) };
    let answer = timeout(REFUSES, async {
        // A line that ends any request early: what answers to it, listens.
        let asked = stream.write_all(b"\r\n\r\n").await;
        let mut byte = [0_u8];
        let read = match asked {
            Ok(()) => stream.read(&mut byte).await,
            Err(err) => Err(err),
        };
        // A stream that ends without a byte was refused, if there is a message to say so.
        matches!(read, Ok(1)) || error.await.is_none()
    });
    let accepts = answer.await.unwrap_or(true);
    forward.abort();
    Ok(accepts)
}

/// An image without the program is refused by the server's stream later, not here; what is refused here is a pod that
/// is not there (any more) or does not run.
fn exec_refusal(err: kube::Error) -> CloudError {
    match errors::meaning(err) {
        CloudError::Rejected(message) | CloudError::Unavailable { message, .. }
            if message.contains("container not found") =>
        {
            CloudError::NotFound(message)
        }
        other => other,
    }
}
