//! An application's objects as they are written, field by field.

use std::time::Duration;

use serde_json::{Value, json};

use super::labels;
use crate::cloud::cluster::{AppOwner, DeployOrder, namespace, object_name};
use crate::config::{self, PodProfile};

/// The only container of a pod.
pub(super) const CONTAINER: &str = "app";
/// The only port of a Service and of a container.
const PORT_NAME: &str = "http";
/// What common images that start as root do first, by the entrypoints of the official ones (nginx, httpd, redis,
/// postgres, mysql): make files their own (CHOWN, FOWNER, DAC_OVERRIDE), become another user (SETUID, SETGID, and SETPCAP
/// where the image gives up its rights itself, as redis since 8), end workers of that user (KILL), and listen on a port
/// below 1024. All of them are within "baseline"; container engines give more (NET_RAW, MKNOD …).
const BASELINE_CAPABILITIES: [&str; 8] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID"];
/// Seconds that a pod keeps answering after it was told to go: as long as ingress controllers may take to hear of it.
const LINGER_SECONDS: u64 = 3;
/// Seconds from being told to go until a pod is killed.
const GRACE_SECONDS: u64 = 10 + LINGER_SECONDS;
/// Seconds after which the cluster calls a rollout failed. The portal has its own, shorter idea of it.
const PROGRESS_SECONDS: u64 = 600;
/// Former ReplicaSets that are kept: going back is a deployment of its own, so they are only for an administrator.
const HISTORY: u32 = 2;
/// How often a pod is asked whether it answers on its port.
const PROBE_EVERY: Duration = Duration::from_secs(2);

pub(super) fn deployment(order: &DeployOrder, profile: PodProfile, sleeps: bool) -> Value {
    let mut pod_labels = labels::of_application(order.owner);
    pod_labels[labels::REVISION] = json!(order.revision.to_string());
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(order.owner),
        "spec": {
            "replicas": order.replicas,
            "revisionHistoryLimit": HISTORY,
            "progressDeadlineSeconds": PROGRESS_SECONDS,
            // It can't be changed later, hence only what never changes.
            "selector": {"matchLabels": {labels::APPLICATION: order.owner.application}},
            // The old pods answer until a new one does.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": pod_labels}, "spec": pod(order, profile, sleeps)},
        },
    })
}

fn pod(order: &DeployOrder, profile: PodProfile, sleeps: bool) -> Value {
    let mut security = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    if profile == PodProfile::Restricted {
        security["runAsNonRoot"] = json!(true);
    }
    json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": security,
        "containers": [container(order, profile, sleeps)],
    })
}

fn container(order: &DeployOrder, profile: PodProfile, sleeps: bool) -> Value {
    let added: &[&str] = match profile {
        PodProfile::Baseline => &BASELINE_CAPABILITIES,
        PodProfile::Restricted => &["NET_BIND_SERVICE"],
    };
    json!({
        "name": CONTAINER,
        "image": order.image,
        "imagePullPolicy": if order.pull_always { "Always" } else { "IfNotPresent" },
        "ports": [{"name": PORT_NAME, "containerPort": order.internal_port, "protocol": "TCP"}],
        "env": environment(order),
        "resources": resources(order),
        "readinessProbe": {
            "tcpSocket": {"port": order.internal_port},
            "periodSeconds": PROBE_EVERY.as_secs(),
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        "lifecycle": {"preStop": linger(sleeps)},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"], "add": added},
        },
    })
}

/// A pause before the program is told to end. Over six updates in the lab, 34 of 5,515 requests failed without it, and
/// none of 8,151 with it. Clusters from 1.30 on do it themselves; on older ones it takes a program in the image, and an
/// image without one ends at once (the cluster then says FailedPreStopHook, and goes on).
fn linger(sleeps: bool) -> Value {
    if sleeps {
        json!({"sleep": {"seconds": LINGER_SECONDS}})
    } else {
        json!({"exec": {"command": ["sleep", LINGER_SECONDS.to_string()]}})
    }
}

fn environment(order: &DeployOrder) -> Vec<Value> {
    let plain = order.variables.iter().map(|(name, value)| json!({"name": name, "value": escaped(value)}));
    let secret = object_name(order.owner.application);
    let secrets = order
        .secret_names
        .iter()
        .map(|name| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}));
    plain.chain(secrets).collect()
}

/// Kubernetes would put another variable in the place of `$(NAME)`; `$$` is a plain `$` to it.
fn escaped(value: &str) -> String {
    value.replace('$', "$$")
}

/// Memory is promised in full, so that a neighbour can't take it; of the processor a quarter, because a class's
/// applications idle most of the time.
fn resources(order: &DeployOrder) -> Value {
    let memory = format!("{}Mi", order.memory_mb);
    json!({
        "limits": {"cpu": format!("{}m", order.cpu_millis), "memory": memory},
        "requests": {"cpu": format!("{}m", order.cpu_millis.div_ceil(4)), "memory": memory},
    })
}

pub(super) fn service(order: &DeployOrder) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(order.owner),
        "spec": {
            "type": "ClusterIP",
            "selector": {labels::APPLICATION: order.owner.application},
            // Older servers don't fill in `protocol` on an apply, and fail.
            "ports": [{
                "name": PORT_NAME,
                "protocol": "TCP",
                "port": order.external_port,
                // By name: while a change of the port is rolled out, each pod is asked at its own.
                "targetPort": PORT_NAME,
            }],
        },
    })
}

pub(super) fn ingress(order: &DeployOrder, config: &config::Kubernetes) -> Value {
    let mut metadata = metadata(order.owner);
    let annotations = config.ingress_annotations.iter().filter_map(|annotation| annotation.split_once('='));
    let annotations: serde_json::Map<_, _> =
        annotations.map(|(key, value)| (key.trim().to_owned(), json!(value.trim()))).collect();
    if !annotations.is_empty() {
        metadata["annotations"] = annotations.into();
    }
    let service = json!({"name": object_name(order.owner.application), "port": {"number": order.external_port}});
    let mut spec = json!({
        "ingressClassName": config.ingress_class,
        "rules": [{
            "host": order.host,
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": service}}]},
        }],
    });
    if !config.tls_secret.is_empty() {
        spec["tls"] = json!([{"hosts": [order.host], "secretName": config.tls_secret}]);
    }
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec})
}

/// The Secret without its values: they are written by another kind of patch, so that those that stay need not be known.
pub(super) fn empty_secret(owner: AppOwner) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata(owner)})
}

fn metadata(owner: AppOwner) -> Value {
    json!({
        "name": object_name(owner.application),
        "namespace": namespace(owner.account),
        "labels": labels::of_application(owner),
    })
}

#[cfg(test)]
mod tests;
