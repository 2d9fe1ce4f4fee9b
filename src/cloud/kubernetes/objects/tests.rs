use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use uuid::Uuid;

use super::*;
use crate::config::Config;
use crate::ids::{AccountId, ApplicationId};

fn order() -> DeployOrder {
    DeployOrder {
        owner: AppOwner { portal: Uuid::new_v4(), account: AccountId::new(), application: ApplicationId::new() },
        image: "docker.io/library/nginx:1.27".to_owned(),
        pull_always: false,
        internal_port: 8080,
        external_port: 80,
        replicas: 2,
        cpu_millis: 250,
        memory_mb: 128,
        variables: vec![("GREETING".to_owned(), "$(PATH) costs 5$ or $$".to_owned())],
        secret_names: vec!["TOKEN".to_owned()],
        revision: 7,
        host: "my-app.apps.test".to_owned(),
    }
}

#[test]
fn a_deployment_field_by_field() {
    let order = order();
    let name = object_name(order.owner.application);
    let labels = json!({
        "fast-cloud/portal": order.owner.portal,
        "fast-cloud/account": order.owner.account,
        "fast-cloud/application": order.owner.application,
        "app.kubernetes.io/managed-by": "fast-cloud",
    });
    let mut pod_labels = labels.clone();
    pod_labels["fast-cloud/revision"] = json!("7");
    let spec = deployment(&order, PodProfile::Baseline, false);
    assert_eq!(
        spec,
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace(order.owner.account), "labels": labels},
            "spec": {
                "replicas": 2,
                "revisionHistoryLimit": 2,
                "progressDeadlineSeconds": 600,
                "selector": {"matchLabels": {"fast-cloud/application": order.owner.application}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {
                    "metadata": {"labels": pod_labels},
                    "spec": {
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "terminationGracePeriodSeconds": 13,
                        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                        "containers": [{
                            "name": "app",
                            "image": "docker.io/library/nginx:1.27",
                            "imagePullPolicy": "IfNotPresent",
                            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                            "env": [
                                {"name": "GREETING", "value": "$$(PATH) costs 5$$ or $$$$"},
                                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": name, "key": "TOKEN"}}},
                            ],
                            "resources": {
                                "limits": {"cpu": "250m", "memory": "128Mi"},
                                "requests": {"cpu": "63m", "memory": "128Mi"},
                            },
                            "readinessProbe": {
                                "tcpSocket": {"port": 8080},
                                "periodSeconds": 2,
                                "timeoutSeconds": 2,
                                "failureThreshold": 3,
                            },
                            "lifecycle": {"preStop": {"exec": {"command": ["sleep", "3"]}}},
                            "securityContext": {
                                "allowPrivilegeEscalation": false,
                                "capabilities": {
                                    "drop": ["ALL"],
                                    "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID",
                                            "SETPCAP", "SETUID"],
                                },
                            },
                        }],
                    },
                },
            },
        })
    );
}

#[test]
fn what_differs_between_clusters_profiles_and_orders() {
    let order = DeployOrder { pull_always: true, ..order() };
    let spec = deployment(&order, PodProfile::Restricted, true);
    let pod = &spec["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"], json!({"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": true}));
    let container = &pod["containers"][0];
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["lifecycle"], json!({"preStop": {"sleep": {"seconds": 3}}}));
    assert_eq!(
        container["securityContext"],
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}})
    );
}

#[test]
fn a_service_leads_from_the_external_to_the_internal_port() {
    let order = order();
    let spec = service(&order);
    assert_eq!(
        spec["spec"],
        json!({
            "type": "ClusterIP",
            "selector": {"fast-cloud/application": order.owner.application},
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}],
        })
    );
    assert_eq!(spec["metadata"]["name"], object_name(order.owner.application));
}

#[test]
fn an_ingress_has_nothing_of_anybodys_but_the_host() {
    let order = order();
    let mut config = Config::defaults().unwrap().kubernetes;
    let spec = ingress(&order, &config);
    let service = json!({"name": object_name(order.owner.application), "port": {"number": 80}});
    assert_eq!(
        spec["spec"],
        json!({
            "ingressClassName": "nginx",
            "rules": [{
                "host": "my-app.apps.test",
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": service}}]},
            }],
        })
    );
    assert_eq!(spec["metadata"].get("annotations"), None);
    config.ingress_annotations = vec!["nginx.ingress.kubernetes.io/proxy-body-size=50m".to_owned(), "a=b=c".to_owned()];
    config.tls_secret = "wildcard".to_owned();
    let spec = ingress(&order, &config);
    assert_eq!(
        spec["metadata"]["annotations"],
        json!({"nginx.ingress.kubernetes.io/proxy-body-size": "50m", "a": "b=c"})
    );
    assert_eq!(spec["spec"]["tls"], json!([{"hosts": ["my-app.apps.test"], "secretName": "wildcard"}]));
}

/// A field that the API's own types don't know would be dropped there without a word.
#[test]
fn every_field_is_one_of_the_api() {
    let (order, config) = (order(), Config::defaults().unwrap().kubernetes);
    let again = |spec: &Value, typed: Value| assert_eq!(*spec, typed);
    for (profile, sleeps) in [(PodProfile::Baseline, false), (PodProfile::Restricted, true)] {
        let spec = deployment(&order, profile, sleeps);
        let typed: Deployment = serde_json::from_value(spec.clone()).unwrap();
        again(&spec, serde_json::to_value(typed).unwrap());
    }
    let spec = service(&order);
    again(&spec, serde_json::to_value(serde_json::from_value::<Service>(spec.clone()).unwrap()).unwrap());
    let spec = ingress(&order, &config);
    again(&spec, serde_json::to_value(serde_json::from_value::<Ingress>(spec.clone()).unwrap()).unwrap());
}
