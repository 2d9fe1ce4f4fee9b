//! OpenStack: machines by Nova, their networks by Neutron, images by Glance, files by Swift, all behind Keystone's login.
//!
//! One [`OpenStack`] serves the whole process. It contacts nobody until it is asked something, so the portal starts
//! without its cloud; every call ends within its time limit, and a service that hangs costs only what needs it.
//! Requests are written out here and not left to the `openstack` crate's typed calls, which hide the status of a
//! refusal, read answers of any size, and lose a whole list to one odd machine.

mod answer;
mod check;
mod credentials;
mod flight;
mod glance;
mod keystone;
mod lenient;
mod names;
mod neutron;
mod nova;
mod session;
mod swift;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

pub use self::credentials::Credentials;
pub use self::session::Settings;

use self::flight::Flight;
use self::names::Names;
use self::nova::Microversion;
use self::session::Session;
use crate::cloud::{Catalogue, CheckLine, CloudError, Compute, FloatingAddress, LaunchOrder, Server};
use crate::ids::InstanceId;

/// The cloud of one project.
pub struct OpenStack {
    session: Session,
    microversion: Flight<Option<Microversion>>,
    image_names: Names,
    flavor_names: Names,
    network_names: Names,
    /// Those of them that machines are attached to when none is named.
    tenant_networks: Names,
}

impl OpenStack {
    /// Contacts nobody.
    ///
    /// # Errors
    /// A certificate file that can't be used.
    pub fn new(credentials: Credentials, settings: Settings) -> anyhow::Result<Self> {
        Ok(Self {
            session: Session::new(credentials, &settings)?,
            microversion: Flight::default(),
            image_names: Names::new("image"),
            flavor_names: Names::new("flavor"),
            network_names: Names::new("network"),
            tenant_networks: Names::new("network for machines"),
        })
    }

    /// The session itself, for other services of the same project: one login serves all. A request that is refused
    /// with 401 is not repeated there, and nothing bounds its whole time.
    pub fn session(&self) -> &osauth::Session {
        self.session.osauth()
    }
}

#[async_trait]
impl Compute for OpenStack {
    fn simulated(&self) -> bool {
        false
    }

    async fn launch(&self, order: &LaunchOrder) -> Result<Uuid, CloudError> {
        self.launch_server(order).await
    }

    async fn find(&self, instance: InstanceId) -> Result<Vec<Server>, CloudError> {
        self.find_servers(instance).await
    }

    async fn list(&self, changed_since: Option<DateTime<Utc>>) -> Result<Vec<Server>, CloudError> {
        self.servers_since(changed_since).await
    }

    async fn show(&self, id: Uuid) -> Result<Server, CloudError> {
        self.show_server(id).await
    }

    async fn start(&self, id: Uuid) -> Result<(), CloudError> {
        self.switch(id, true).await
    }

    async fn stop(&self, id: Uuid) -> Result<(), CloudError> {
        self.switch(id, false).await
    }

    async fn reboot(&self, id: Uuid) -> Result<(), CloudError> {
        self.act(id, json!({"reboot": {"type": "SOFT"}})).await
    }

    async fn delete(&self, id: Uuid) -> Result<(), CloudError> {
        self.delete_server(id).await
    }

    async fn import_key(&self, name: &str, public_key: &str) -> Result<(), CloudError> {
        self.import_key_pair(name, public_key).await
    }

    async fn delete_key(&self, name: &str) -> Result<(), CloudError> {
        self.delete_key_pair(name).await
    }

    async fn attach_address(
        &self,
        server: Uuid,
        instance: InstanceId,
        network: &str,
    ) -> Result<FloatingAddress, CloudError> {
        self.attach_floating(server, instance, network).await
    }

    async fn release_addresses(&self, instance: InstanceId) -> Result<(), CloudError> {
        self.release_floating(instance).await
    }

    async fn catalogue(&self) -> Result<Catalogue, CloudError> {
        let (flavors, images, networks, security_groups, key_pairs, limits) = futures::try_join!(
            self.flavors(),
            self.images(),
            self.networks(),
            self.security_groups(),
            self.key_pairs(),
            self.limits(),
        )?;
        Ok(Catalogue {
            flavors,
            images,
            networks: networks.tenant,
            external_networks: networks.external,
            security_groups,
            key_pairs,
            limits,
        })
    }

    async fn check(&self) -> Vec<CheckLine> {
        self.check_all().await
    }
}

#[cfg(test)]
mod lab;
#[cfg(test)]
mod testing;
