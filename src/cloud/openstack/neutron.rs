//! Networks, security groups and floating addresses.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use reqwest::Method;

use super::OpenStack;
use super::glance::IdAndName;
use super::lenient::lenient;
use super::session::Service;
use crate::cloud::{CloudError, FloatingAddress, Named};
use crate::ids::InstanceId;

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct RawNetwork {
    #[serde(deserialize_with = "lenient")]
    id: String,
    #[serde(deserialize_with = "lenient")]
    name: String,
    #[serde(deserialize_with = "lenient")]
    project_id: String,
    #[serde(deserialize_with = "lenient")]
    shared: bool,
    #[serde(rename = "router:external", deserialize_with = "lenient")]
    external: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPort {
    #[serde(deserialize_with = "lenient")]
    id: String,
    #[serde(deserialize_with = "lenient")]
    device_id: String,
    #[serde(deserialize_with = "lenient")]
    fixed_ips: Vec<FixedIp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FixedIp {
    #[serde(deserialize_with = "lenient")]
    ip_address: Option<IpAddr>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct RawFloating {
    #[serde(deserialize_with = "lenient")]
    id: Option<Uuid>,
    #[serde(deserialize_with = "lenient")]
    floating_ip_address: Option<IpAddr>,
    #[serde(deserialize_with = "lenient")]
    port_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    description: String,
}

#[derive(Deserialize)]
struct NetworkList {
    networks: Vec<RawNetwork>,
}

#[derive(Deserialize)]
struct GroupList {
    security_groups: Vec<Value>,
}

#[derive(Deserialize)]
struct PortList {
    ports: Vec<RawPort>,
}

#[derive(Deserialize)]
struct FloatingList {
    floatingips: Vec<RawFloating>,
}

#[derive(Deserialize)]
struct OneFloating {
    floatingip: RawFloating,
}

/// The networks that the project may use, by their purpose.
pub(super) struct Networks {
    pub(super) tenant: Vec<Named>,
    pub(super) external: Vec<Named>,
}

impl OpenStack {
    /// An admin sees everybody's networks: those of other projects are left out.
    pub(super) async fn networks(&self) -> Result<Networks, CloudError> {
        let project = self.session.token().await?.project_id.clone();
        let list: NetworkList = self.session.get(Service::Network, &["networks"]).fetch().await?;
        let ours = |network: &RawNetwork| {
            network.shared || network.external || project.is_empty() || network.project_id == project
        };
        let (external, tenant): (Vec<_>, Vec<_>) = list
            .networks
            .into_iter()
            .filter(|network| !network.id.is_empty() && ours(network))
            .partition(|network| network.external);
        Ok(Networks { tenant: named(tenant), external: named(external) })
    }

    /// The security groups of the project.
    pub(super) async fn security_groups(&self) -> Result<Vec<Named>, CloudError> {
        let project = self.session.token().await?.project_id.clone();
        let mut call = self.session.get(Service::Network, &["security-groups"]).query("fields", "id");
        call = call.query("fields", "name");
        if !project.is_empty() {
            call = call.query("project_id", project);
        }
        let list: GroupList = call.fetch().await?;
        let groups = list.security_groups.into_iter();
        Ok(groups.filter_map(|group| serde_json::from_value::<IdAndName>(group).ok()?.named()).collect())
    }

    /// The id of the network that machines are attached to; an empty name is the only one that there is.
    pub(super) async fn network_id(&self, wanted: &str) -> Result<String, CloudError> {
        if !wanted.is_empty() {
            return self.network_names.resolve(wanted, || self.all_networks()).await;
        }
        self.tenant_networks.only(|| async { Ok(self.networks().await?.tenant) }).await
    }

    async fn all_networks(&self) -> Result<Vec<Named>, CloudError> {
        let networks = self.networks().await?;
        Ok([networks.tenant, networks.external].concat())
    }

    /// Sees to it that the machine has a floating address. Asking again after a lost answer finds the address by its
    /// description.
    pub(super) async fn attach_floating(
        &self,
        server: Uuid,
        instance: InstanceId,
        network: &str,
    ) -> Result<FloatingAddress, CloudError> {
        let port = self.port_of(server).await?;
        let ours = self.floating_of(instance).await?;
        if let Some(there) = ours.iter().find(|address| address.port_id.as_deref() == Some(port.as_str())) {
            return there.checked();
        }
        let given = self.floating_ips("port_id", &port).await?;
        if let Some(there) = given.iter().find(|address| address.port_id.as_deref() == Some(port.as_str())) {
            return there.checked();
        }
        match ours.iter().find(|address| address.port_id.is_none()) {
            Some(idle) => self.move_floating(idle, &port).await,
            None => self.allocate_floating(instance, &port, network).await,
        }
    }

    /// Gives all of an instance's addresses back. Goes on after a failure and reports the first.
    pub(super) async fn release_floating(&self, instance: InstanceId) -> Result<(), CloudError> {
        let mut result = Ok(());
        for id in self.floating_of(instance).await?.into_iter().filter_map(|address| address.id) {
            let call = self.session.call(Service::Network, Method::DELETE, &["floatingips", &id.to_string()]);
            match call.send().await {
                Ok(()) | Err(CloudError::NotFound(_)) => {}
                Err(err) => result = result.and(Err(err)),
            }
        }
        result
    }

    async fn allocate_floating(
        &self,
        instance: InstanceId,
        port: &str,
        network: &str,
    ) -> Result<FloatingAddress, CloudError> {
        let network = self.network_names.resolve(network, || self.all_networks()).await?;
        let body = json!({"floatingip": {
            "floating_network_id": network, "port_id": port, "description": description(instance),
        }});
        let call = self.session.call(Service::Network, Method::POST, &["floatingips"]).json(body);
        let made: OneFloating = call.fetch().await.map_err(no_such_part)?;
        made.floatingip.checked()
    }

    async fn move_floating(&self, address: &RawFloating, port: &str) -> Result<FloatingAddress, CloudError> {
        let id = address.checked()?.id.to_string();
        let call = self.session.call(Service::Network, Method::PUT, &["floatingips", &id]);
        let moved: OneFloating =
            call.json(json!({"floatingip": {"port_id": port}})).fetch().await.map_err(no_such_part)?;
        moved.floatingip.checked()
    }

    /// The port of a machine, preferably one with an IPv4 address: floating addresses are IPv4.
    async fn port_of(&self, server: Uuid) -> Result<String, CloudError> {
        let server = server.to_string();
        let list: PortList = self.session.get(Service::Network, &["ports"]).query("device_id", &server).fetch().await?;
        let mut ports: Vec<RawPort> = list.ports.into_iter().filter(|port| port.device_id == server).collect();
        ports.sort_by_key(|port| !port.fixed_ips.iter().any(|ip| ip.ip_address.is_some_and(|ip| ip.is_ipv4())));
        match ports.into_iter().next() {
            Some(port) => Ok(port.id),
            None => Err(CloudError::Conflict("the machine has no network port yet".to_owned())),
        }
    }

    /// The addresses that were allocated for an instance. Compared here, too: a filter that Neutron does not know
    /// is ignored, and then it lists everybody's.
    async fn floating_of(&self, instance: InstanceId) -> Result<Vec<RawFloating>, CloudError> {
        let description = description(instance);
        let mut list = self.floating_ips("description", &description).await?;
        list.retain(|address| address.description == description);
        Ok(list)
    }

    async fn floating_ips(&self, key: &'static str, value: &str) -> Result<Vec<RawFloating>, CloudError> {
        let list: FloatingList = self.session.get(Service::Network, &["floatingips"]).query(key, value).fetch().await?;
        Ok(list.floatingips)
    }
}

impl RawFloating {
    fn checked(&self) -> Result<FloatingAddress, CloudError> {
        match (self.id, self.floating_ip_address) {
            (Some(id), Some(address)) => Ok(FloatingAddress { id, address }),
            _ => Err(CloudError::unavailable("Neutron gave a floating address without id or address")),
        }
    }
}

/// Neutron says 404 when a network can't be reached from a port (no router between them), or a part of the request is
/// unknown: none of it means that the machine is gone.
fn no_such_part(err: CloudError) -> CloudError {
    match err {
        CloudError::NotFound(sentence) => CloudError::Rejected(sentence),
        other => other,
    }
}

fn named(networks: Vec<RawNetwork>) -> Vec<Named> {
    networks.into_iter().filter_map(|network| IdAndName { id: network.id, name: network.name }.named()).collect()
}

fn description(instance: InstanceId) -> String {
    format!("fast-cloud {instance}")
}

#[cfg(test)]
mod tests;
