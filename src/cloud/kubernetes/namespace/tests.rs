use super::*;
use crate::config::Config;

fn order() -> NamespaceOrder {
    let limits = NamespaceLimits { applications: 5, pods: 15, cpu_millis: 2_000, memory_mb: 2_048 };
    NamespaceOrder { portal: Uuid::new_v4(), account: AccountId::new(), limits }
}

#[test]
fn a_namespace_says_whose_it_is_and_what_may_run_in_it() {
    let order = order();
    let spec = namespace_spec(&order, PodProfile::Restricted);
    assert_eq!(spec["metadata"]["name"], namespace(order.account));
    assert_eq!(
        spec["metadata"]["labels"],
        json!({
            "fast-cloud/portal": order.portal,
            "fast-cloud/account": order.account,
            "app.kubernetes.io/managed-by": "fast-cloud",
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/enforce-version": "latest",
            "pod-security.kubernetes.io/warn": "restricted",
            "pod-security.kubernetes.io/warn-version": "latest",
            "pod-security.kubernetes.io/audit": "restricted",
            "pod-security.kubernetes.io/audit-version": "latest",
        })
    );
    assert_eq!(
        namespace_spec(&order, PodProfile::Baseline)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "baseline"
    );
}

#[test]
fn the_role_is_bound_to_the_portal_and_nobody_else() {
    let order = order();
    let spec = binding_spec(order.portal, order.account, "system:serviceaccount:fast-cloud:portal");
    assert_eq!(spec["subjects"], json!([{"kind": "ServiceAccount", "namespace": "fast-cloud", "name": "portal"}]));
    assert_eq!(
        spec["roleRef"],
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "fast-cloud-tenant"})
    );
    let spec = binding_spec(order.portal, order.account, "portal@school.example");
    assert_eq!(
        spec["subjects"],
        json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "portal@school.example"}])
    );
}

#[test]
fn limits_leave_room_for_an_update() {
    let order = order();
    let quota = quota_spec(order.portal, order.account, order.limits);
    assert_eq!(
        quota["spec"]["hard"],
        json!({
            "count/deployments.apps": "10",
            "count/ingresses.networking.k8s.io": "10",
            "services": "10",
            "services.nodeports": "0",
            "services.loadbalancers": "0",
            "persistentvolumeclaims": "0",
            "pods": "30",
            "limits.cpu": "4000m",
            "limits.memory": "4096Mi",
            "requests.cpu": "4000m",
            "requests.memory": "4096Mi",
        })
    );
    let range = limit_range_spec(order.portal, order.account, order.limits);
    assert_eq!(
        range["spec"]["limits"],
        json!([{
            "type": "Container",
            "default": {"cpu": "250m", "memory": "128Mi"},
            "defaultRequest": {"cpu": "250m", "memory": "128Mi"},
        }])
    );
}

#[test]
fn only_what_is_listed_gets_in_or_out() {
    let order = order();
    let mut config = Config::defaults().unwrap().kubernetes;
    config.ingress_networks = vec!["192.168.7.9/24".parse().unwrap()];
    config.blocked_networks = vec!["10.1.2.3/8".parse().unwrap(), "fc00::/7".parse().unwrap()];
    let spec = &policy_spec(&order, &config)["spec"];
    let named = |name: &str| json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
    assert_eq!(
        *spec,
        json!({
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [
                {"podSelector": {}},
                named("ingress-nginx"),
                {"ipBlock": {"cidr": "192.168.7.0/24"}},
            ]}],
            "egress": [
                {"to": [{"podSelector": {}}]},
                {"to": [named("kube-system")], "ports": [
                    {"protocol": "UDP", "port": 53},
                    {"protocol": "TCP", "port": 53},
                ]},
                {"to": [
                    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}},
                    {"ipBlock": {"cidr": "::/0", "except": ["fc00::/7"]}},
                ]},
            ],
        })
    );
    config.ingress_namespace = String::new();
    config.ingress_networks = Vec::new();
    config.blocked_networks = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
    let spec = &policy_spec(&order, &config)["spec"];
    assert_eq!(
        spec["ingress"],
        json!([{"from": [{"podSelector": {}}]}]),
        "an empty list of sources would be everybody"
    );
    assert_eq!(spec["egress"].as_array().unwrap().len(), 2, "{spec}");
}

#[test]
fn a_namespace_of_another_is_not_taken() {
    let order = order();
    let found = |labels: Value| -> PartialObjectMeta<Namespace> {
        serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": namespace(order.account), "labels": labels},
        }))
        .unwrap()
    };
    let ours = found(labels::of_account(order.portal, order.account));
    assert!(not_another(&ours, order.portal, order.account).is_ok());
    for other in [json!({}), labels::of_account(Uuid::new_v4(), order.account)] {
        let refusal = not_another(&found(other), order.portal, order.account).unwrap_err();
        assert!(matches!(refusal, CloudError::Rejected(_)), "{refusal}");
    }
}
