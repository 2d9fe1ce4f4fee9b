//! A look-alike of Kubernetes' API with as many applications as a benchmark wants, each object as long as a real one
//! (its managed fields included). It answers lists and watches; the watches stay open and quiet.

use std::collections::HashMap;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures::StreamExt;
use serde_json::{Value, json};
use uuid::Uuid;

/// The first argument of a process that is to be the look-alike; the portal's id and the number follow.
pub const ARGUMENT: &str = "look-alike";

pub fn asked_for() -> Option<(Uuid, usize)> {
    let mut arguments = std::env::args().skip_while(|argument| argument != ARGUMENT).skip(1);
    Some((arguments.next()?.parse().ok()?, arguments.next()?.parse().ok()?))
}

fn application(n: usize) -> Uuid {
    Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + n as u128)
}

/// Ten applications an account.
fn account(n: usize) -> Uuid {
    Uuid::from_u128(0x0193_0000_0000_7000_9000_0000_0000_0000 + (n / 10) as u128)
}

#[derive(Clone)]
struct Cluster {
    portal: Uuid,
    count: usize,
}

/// Prints its address and serves until it is killed.
pub async fn serve(portal: Uuid, count: usize) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let cluster = web::Data::new(Cluster { portal, count });
    let server = HttpServer::new(move || App::new().app_data(cluster.clone()).default_service(web::to(answer)));
    Ok(server.workers(1).listen(listener)?.run().await?)
}

async fn answer(request: HttpRequest, cluster: web::Data<Cluster>) -> actix_web::Result<HttpResponse> {
    let query = web::Query::<HashMap<String, String>>::from_query(request.query_string())?;
    if query.contains_key("watch") {
        let silence = futures::stream::pending::<Result<web::Bytes, actix_web::Error>>().boxed_local();
        return Ok(HttpResponse::Ok().content_type("application/json").streaming(silence));
    }
    let (kind, version, make): (&str, &str, fn(&Cluster, usize) -> Value) = match request.path() {
        "/apis/apps/v1/deployments" => ("DeploymentList", "apps/v1", Cluster::deployment),
        "/api/v1/pods" => ("PodList", "v1", Cluster::pod),
        "/version" => return Ok(HttpResponse::Ok().json(json!({"major": "1", "minor": "20", "gitVersion": "v1.20.2"}))),
        path => {
            let message = format!("no such thing: {path}");
            return Ok(HttpResponse::NotFound().json(json!({"kind": "Status", "code": 404, "message": message})));
        }
    };
    // As the API server pages: the token says where to go on.
    let limit = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let first: usize = query.get("continue").and_then(|text| text.parse().ok()).unwrap_or(0);
    let end = cluster.count.min(first.saturating_add(limit));
    let items: Vec<Value> = (first..end).map(|n| make(&cluster, n)).collect();
    let mut meta = json!({"resourceVersion": "1000"});
    if end < cluster.count {
        meta["continue"] = end.to_string().into();
    }
    Ok(HttpResponse::Ok().json(json!({"kind": kind, "apiVersion": version, "metadata": meta, "items": items})))
}

impl Cluster {
    fn meta(&self, n: usize, name: &str, more: &[(&str, &str)]) -> Value {
        let mut labels = json!({
            "app.kubernetes.io/managed-by": "fast-cloud",
            "fast-cloud/portal": self.portal,
            "fast-cloud/account": account(n),
            "fast-cloud/application": application(n),
        });
        for (key, value) in more {
            labels[*key] = (*value).into();
        }
        let fields: Value = (0..40).map(|field| (format!("f:field{field}"), json!({".": {}, "f:value": {}}))).collect();
        json!({
            "name": name,
            "namespace": format!("fc-{}", account(n).simple()),
            "uid": Uuid::from_u128(n as u128 + 1),
            "resourceVersion": "999",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": labels,
            "managedFields": [
                {"manager": "fast-cloud", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z",
                    "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}},
                {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:01Z",
                    "fieldsType": "FieldsV1", "fieldsV1": {"f:status": fields}},
            ],
        })
    }

    fn container() -> Value {
        json!({
            "name": "app",
            "image": "docker.io/library/nginx:1.27",
            "imagePullPolicy": "IfNotPresent",
            "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
            "env": (0..5).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "a value of usual length"})).collect::<Vec<_>>(),
            "resources": {"limits": {"cpu": "250m", "memory": "128Mi"}, "requests": {"cpu": "62m", "memory": "128Mi"}},
            "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 2, "timeoutSeconds": 1, "failureThreshold": 3},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        })
    }

    fn deployment(&self, n: usize) -> Value {
        let name = format!("app-{}", application(n).simple());
        let selector = json!({"fast-cloud/application": application(n)});
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.meta(n, &name, &[("fast-cloud/revision", "1")]),
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": selector},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {
                    "metadata": {"labels": {
                        "fast-cloud/portal": self.portal, "fast-cloud/account": account(n),
                        "fast-cloud/application": application(n), "fast-cloud/revision": "1",
                    }},
                    "spec": {"containers": [Self::container()], "automountServiceAccountToken": false},
                },
            },
            "status": {
                "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
                "conditions": [
                    {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
                        "message": "Deployment has minimum availability."},
                    {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                        "message": format!("ReplicaSet \"{name}-7c5ddbdf54\" has successfully progressed.")},
                ],
            },
        })
    }

    fn pod(&self, n: usize) -> Value {
        let name = format!("app-{}-7c5ddbdf54-abcde", application(n).simple());
        let digest = "sha256:0a399eb16751829e1af26fea27b20c3ec28d7ab1fb72182879dcae1cca21206a";
        let true_since = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:02Z"});
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self.meta(n, &name, &[("fast-cloud/revision", "1"), ("pod-template-hash", "7c5ddbdf54")]),
            "spec": {"containers": [Self::container()], "nodeName": "node", "restartPolicy": "Always"},
            "status": {
                "phase": "Running",
                "podIP": "10.42.0.9",
                "startTime": "2026-01-01T00:00:01Z",
                "conditions": ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(true_since),
                "containerStatuses": [{
                    "name": "app", "ready": true, "started": true, "restartCount": 0,
                    "image": "docker.io/library/nginx:1.27",
                    "imageID": format!("docker.io/library/nginx@{digest}"),
                    "containerID": "containerd://8b4f1d8e0a399eb16751829e1af26fea27b20c3ec28d7ab1fb72182879dcae1c",
                    "state": {"running": {"startedAt": "2026-01-01T00:00:02Z"}},
                    "lastState": {},
                }],
            },
        })
    }
}
