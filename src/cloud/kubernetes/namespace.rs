//! An account's namespace: its walls, its limits, and the portal's own rights in it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{FIELD_MANAGER, Kubernetes, labels};
use crate::cloud::CloudError;
use crate::cloud::cluster::{AppOwner, NamespaceLimits, NamespaceOrder, namespace};
use crate::config::{self, PodProfile};
use crate::ids::AccountId;

/// The ClusterRole of deploy/rbac.yaml that the portal binds to itself in each account's namespace.
pub(super) const TENANT_ROLE: &str = "fast-cloud-tenant";
/// The name of the limits and walls in the namespace.
const WALLS: &str = "fast-cloud";
/// After this long a namespace is brought up to date anew although nothing was ordered: someone may have changed it.
const TRUSTED: Duration = Duration::from_secs(600);

/// A namespace as this process has last brought it up to date.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prepared {
    order: NamespaceOrder,
    at: Instant,
}

impl Kubernetes {
    pub(super) async fn prepare_namespace(&self, order: &NamespaceOrder) -> Result<(), CloudError> {
        let known = self.prepared().get(&order.account).copied();
        if known.is_some_and(|known| known.order == *order && known.at.elapsed() < TRUSTED) {
            return Ok(());
        }
        let name = namespace(order.account);
        let namespaces = Api::<Namespace>::all(self.unary.clone());
        let found = self.if_found(namespaces.get_metadata(&name)).await?;
        if let Some(found) = &found {
            not_another(found, order.portal, order.account)?;
        }
        let spec = namespace_spec(order, self.config.profile);
        self.within(namespaces.patch_metadata(&name, &apply(), &Patch::Apply(&spec))).await?;
        // First of all that is inside: the rights to make the rest.
        self.bind_rights(order.portal, order.account).await?;
        let limits = order.limits;
        self.apply_inside::<ResourceQuota>(order, quota_spec(order.portal, order.account, limits)).await?;
        self.apply_inside::<LimitRange>(order, limit_range_spec(order.portal, order.account, limits)).await?;
        self.apply_inside::<NetworkPolicy>(order, policy_spec(order, &self.config)).await?;
        self.prepared().insert(order.account, Prepared { order: *order, at: Instant::now() });
        Ok(())
    }

    /// Writes the RoleBinding again, if the namespace is there and ours.
    pub(super) async fn restore_rights(&self, owner: AppOwner) -> Result<(), CloudError> {
        let name = namespace(owner.account);
        let namespaces = Api::<Namespace>::all(self.unary.clone());
        let Some(found) = self.if_found(namespaces.get_metadata(&name)).await? else {
            return Err(CloudError::NotFound(format!("the namespace {name} does not exist")));
        };
        not_another(&found, owner.portal, owner.account)?;
        self.bind_rights(owner.portal, owner.account).await
    }

    /// Forgets that a namespace is up to date; what was ordered last, if it was.
    pub(super) fn forget_prepared(&self, account: AccountId) -> Option<NamespaceOrder> {
        self.prepared().remove(&account).map(|known| known.order)
    }

    async fn bind_rights(&self, portal: Uuid, account: AccountId) -> Result<(), CloudError> {
        let bindings = Api::<RoleBinding>::namespaced(self.unary.clone(), &namespace(account));
        let spec = binding_spec(portal, account, &self.config.subject);
        self.within(bindings.patch_metadata(TENANT_ROLE, &apply(), &Patch::Apply(&spec))).await?;
        Ok(())
    }

    async fn apply_inside<K>(&self, order: &NamespaceOrder, spec: Value) -> Result<(), CloudError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let objects = Api::<K>::namespaced(self.unary.clone(), &namespace(order.account));
        let (params, patch) = (apply(), Patch::Apply(&spec));
        self.settled(|| objects.patch_metadata(WALLS, &params, &patch)).await?;
        Ok(())
    }

    fn prepared(&self) -> MutexGuard<'_, HashMap<AccountId, Prepared>> {
        // A panic can't leave it half written: every change is one call.
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Server-side apply: what we say is so, whoever said otherwise before.
pub(super) fn apply() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

/// A namespace of our name with other labels is somebody else's, whatever it is named: it is never taken over.
fn not_another(found: &PartialObjectMeta<Namespace>, portal: Uuid, account: AccountId) -> Result<(), CloudError> {
    if labels::is_account(&found.metadata, portal, account) {
        return Ok(());
    }
    let name = namespace(account);
    Err(CloudError::Rejected(format!("the namespace {name} exists and is not this portal's: its labels name another")))
}

fn namespace_spec(order: &NamespaceOrder, profile: PodProfile) -> Value {
    let mut labels = labels::of_account(order.portal, order.account);
    let level = match profile {
        PodProfile::Baseline => "baseline",
        PodProfile::Restricted => "restricted",
    };
    for mode in ["enforce", "warn", "audit"] {
        labels[format!("pod-security.kubernetes.io/{mode}")] = json!(level);
        labels[format!("pod-security.kubernetes.io/{mode}-version")] = json!("latest");
    }
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace(order.account), "labels": labels},
    })
}

fn binding_spec(portal: Uuid, account: AccountId, subject: &str) -> Value {
    let subject = match subject.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}),
        None => json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": subject}),
    };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(TENANT_ROLE, portal, account),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": TENANT_ROLE},
        "subjects": [subject],
    })
}

/// The wall behind the portal's own quota, which counts exactly. It is twice as wide: a rolling update runs a new pod
/// beside each old one, and what is being deleted still counts until it is gone.
fn quota_spec(portal: Uuid, account: AccountId, limits: NamespaceLimits) -> Value {
    let twice = |number: u32| u64::from(number) * 2;
    let (cpu, memory) = (format!("{}m", twice(limits.cpu_millis)), format!("{}Mi", twice(limits.memory_mb)));
    let applications = twice(limits.applications).to_string();
    json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": metadata(WALLS, portal, account),
        "spec": {"hard": {
            "count/deployments.apps": applications,
            "count/ingresses.networking.k8s.io": applications,
            "services": applications,
            "services.nodeports": "0",
            "services.loadbalancers": "0",
            "persistentvolumeclaims": "0",
            "pods": twice(limits.pods).to_string(),
            "limits.cpu": cpu,
            "limits.memory": memory,
            "requests.cpu": cpu,
            "requests.memory": memory,
        }},
    })
}

/// What a container gets that names no limits of its own; ours all do. No maximum: it would keep pods from coming back
/// after an account's quota was lowered below what it has.
fn limit_range_spec(portal: Uuid, account: AccountId, limits: NamespaceLimits) -> Value {
    let usual = json!({
        "cpu": format!("{}m", limits.cpu_millis.min(250)),
        "memory": format!("{}Mi", limits.memory_mb.min(128)),
    });
    json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": metadata(WALLS, portal, account),
        "spec": {"limits": [{"type": "Container", "default": usual, "defaultRequest": usual}]},
    })
}

/// Nothing gets in or out but what is listed here.
fn policy_spec(order: &NamespaceOrder, config: &config::Kubernetes) -> Value {
    let same_namespace = json!({"podSelector": {}});
    let of_namespace =
        |name: &str| json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
    let mut from = vec![same_namespace.clone()];
    if !config.ingress_namespace.is_empty() {
        from.push(of_namespace(&config.ingress_namespace));
    }
    let networks = config.ingress_networks.iter();
    from.extend(networks.map(|network| json!({"ipBlock": {"cidr": network.trunc().to_string()}})));
    let mut egress = vec![
        json!({"to": [same_namespace]}),
        json!({
            "to": [of_namespace("kube-system")],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
        }),
    ];
    let world = world(&config.blocked_networks);
    if !world.is_empty() {
        egress.push(json!({"to": world}));
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(WALLS, order.portal, order.account),
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": from}],
            "egress": egress,
        },
    })
}

/// All addresses but the blocked ones. A family that is blocked as a whole is left out.
fn world(blocked: &[ipnet::IpNet]) -> Vec<Value> {
    let mut blocks = Vec::new();
    for (all, is_v4) in [("0.0.0.0/0", true), ("::/0", false)] {
        let of_family: Vec<_> = blocked.iter().filter(|network| network.addr().is_ipv4() == is_v4).collect();
        if of_family.iter().any(|network| network.prefix_len() == 0) {
            continue;
        }
        let except: Vec<String> = of_family.iter().map(|network| network.trunc().to_string()).collect();
        blocks.push(json!({"ipBlock": {"cidr": all, "except": except}}));
    }
    blocks
}

fn metadata(name: &str, portal: Uuid, account: AccountId) -> Value {
    json!({"name": name, "namespace": namespace(account), "labels": labels::of_account(portal, account)})
}

#[cfg(test)]
mod tests;
