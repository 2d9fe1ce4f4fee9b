//! The seam to the clouds: what the portal asks of them, in its own words.
//!
//! [`Compute`] runs machines, [`Cluster`](cluster::Cluster) runs containers, [`ObjectStore`](objects::ObjectStore) keeps
//! files; all are as narrow as our use. [`openstack`] speaks to Nova, Neutron, Glance, Swift and Keystone; [`practice`]
//! is the practice cloud, which simulates them and says so on every page. Which one is used is the configuration's
//! choice (`[cloud]`). The SDKs' types stop at the adapters.

pub mod cluster;
pub mod kubernetes;
pub mod objects;
pub mod openstack;
pub mod practice;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{AccountId, InstanceId};

/// What a cloud's refusal means for us. A variant exists where the portal acts differently.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CloudError {
    /// There is no such object (any more).
    #[error("not found: {0}")]
    NotFound(String),
    /// The cloud's own quota is used up (Nova: 403 "Quota exceeded …", Neutron: 409 OverQuota).
    #[error("over quota: {0}")]
    QuotaExceeded(String),
    /// The object is in a state in which this can't be done; later it may be (Nova: 409).
    #[error("conflict: {0}")]
    Conflict(String),
    /// Nobody answered, or an answer made no sense, or the service says that it can't work now. What was asked for may
    /// or may not have happened.
    #[error("unavailable: {message}")]
    Unavailable {
        message: String,
        /// When the service asked to be left alone for a while (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// The request was understood and refused; asking again won't help. With the service's own sentence.
    #[error("rejected: {0}")]
    Rejected(String),
}

impl CloudError {
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self::Unavailable { message: message.to_string(), retry_after: None }
    }

    /// Its class in one word, for metrics and health.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::QuotaExceeded(_) => "over_quota",
            Self::Conflict(_) => "conflict",
            Self::Unavailable { .. } => "unavailable",
            Self::Rejected(_) => "rejected",
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Conflict(_))
    }
}

/// What a machine does, as the cloud says it. Nova's `task_state` has been taken into account: a server that is
/// ACTIVE and `powering-off` is [`ServerStatus::Stopping`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerStatus {
    Building,
    Active,
    /// On its way from on to off.
    Stopping,
    Stopped,
    /// On its way from off to on.
    Starting,
    Rebooting,
    Deleting,
    /// Gone (Nova's DELETED or SOFT_DELETED), seen in lists of changes.
    Deleted,
    Error,
    /// A status that we don't know; its name is in [`Server::raw_status`].
    Unknown,
}

/// Who a machine in the cloud belongs to, by the metadata that we wrote when we made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerTag {
    /// Which portal made it: more than one may share a project.
    pub portal: Uuid,
    pub instance: InstanceId,
    pub account: AccountId,
}

/// A machine as a cloud lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// The cloud's id (Nova: a UUID).
    pub id: Uuid,
    pub name: String,
    pub status: ServerStatus,
    /// The cloud's own words: `ACTIVE/powering-off`.
    pub raw_status: String,
    /// The first fixed IPv4 address, else the first fixed IPv6 address. None until it has been given one.
    pub address: Option<IpAddr>,
    pub floating_address: Option<IpAddr>,
    /// Nova's `fault.message`, when the status is error.
    pub fault: Option<String>,
    /// None: not made by a portal.
    pub owner: Option<OwnerTag>,
    pub created_at: Option<DateTime<Utc>>,
}

/// What a machine is made of. Names or ids, as the cloud knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchOrder {
    pub owner: OwnerTag,
    /// The person's name for it: any printable Unicode.
    pub name: String,
    pub image: String,
    pub flavor: String,
    /// Empty: the cloud's only tenant network (an error when there are several).
    pub network: String,
    pub security_groups: Vec<String>,
    /// Name of a key pair in the cloud: what [`Compute::import_key`] made, or the template's own.
    pub key_pair: Option<String>,
    /// Text for cloud-init, not encoded.
    pub user_data: Option<String>,
}

/// A public address that leads to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloatingAddress {
    /// The cloud's id (Neutron: a UUID).
    pub id: Uuid,
    pub address: IpAddr,
}

/// A flavor: the size of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flavor {
    pub id: String,
    pub name: String,
    pub vcpus: u32,
    pub ram_mb: u32,
    pub disk_gb: u32,
    pub swap_mb: u32,
}

/// An image, or anything else that is chosen by its name or id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub id: String,
    pub name: String,
}

/// What the cloud offers to choose from, and how much of it the portal's project may use in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    pub flavors: Vec<Flavor>,
    pub images: Vec<Named>,
    /// Networks that machines can be attached to.
    pub networks: Vec<Named>,
    /// Networks that floating addresses come from.
    pub external_networks: Vec<Named>,
    pub security_groups: Vec<Named>,
    pub key_pairs: Vec<Named>,
    /// The project's limits and use; None where the cloud does not say.
    pub limits: Option<Limits>,
}

impl Catalogue {
    /// A flavor by its name or id.
    pub fn flavor(&self, name: &str) -> Option<&Flavor> {
        self.flavors.iter().find(|flavor| flavor.id == name || flavor.name == name)
    }
}

/// The project's limits in the cloud (Nova's absolute limits). -1 in Nova, no limit, is None.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub instances: Option<u32>,
    pub vcpus: Option<u32>,
    pub ram_mb: Option<u32>,
    pub instances_used: u32,
    pub vcpus_used: u32,
    pub ram_mb_used: u32,
}

/// One line of `fast-cloud check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckLine {
    /// What was tried: "Keystone login".
    pub what: String,
    pub outcome: CheckOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// It works; with what was found (a version, an address).
    Works(String),
    /// It doesn't: what is wrong, and what to do about it.
    Fails { problem: String, advice: String },
    /// It could not be tried, because of something above.
    Skipped(String),
}

/// Machines. All calls have a time limit; none waits for a machine to reach a state.
#[async_trait]
pub trait Compute: Send + Sync {
    /// Whether machines are only pretended (then every page says so).
    fn simulated(&self) -> bool;

    /// Asks for a machine and returns its id at once, while it is being built. Not idempotent: after an
    /// [`CloudError::Unavailable`] ask [`Compute::find`] before asking again.
    async fn launch(&self, order: &LaunchOrder) -> Result<Uuid, CloudError>;

    /// The machines that carry this instance's id: one query by tag, whatever the number of machines.
    async fn find(&self, instance: InstanceId) -> Result<Vec<Server>, CloudError>;

    /// All machines of the project, or those that changed (were deleted, too) since a time. Pages of 1,000.
    async fn list(&self, changed_since: Option<DateTime<Utc>>) -> Result<Vec<Server>, CloudError>;

    /// One machine. [`CloudError::NotFound`] is the proof that it is gone.
    async fn show(&self, id: Uuid) -> Result<Server, CloudError>;

    async fn start(&self, id: Uuid) -> Result<(), CloudError>;
    async fn stop(&self, id: Uuid) -> Result<(), CloudError>;
    async fn reboot(&self, id: Uuid) -> Result<(), CloudError>;
    /// Accepted, not yet gone. A machine that is gone already is no error.
    async fn delete(&self, id: Uuid) -> Result<(), CloudError>;

    /// Makes a key pair of this name and public key (OpenSSH's one-line form); one that is there already is no error.
    async fn import_key(&self, name: &str, public_key: &str) -> Result<(), CloudError>;
    /// A key pair that is gone already is no error. Machines made with it keep the key.
    async fn delete_key(&self, name: &str) -> Result<(), CloudError>;

    /// Gives the machine an address of an external network (name or id); the one that it has is returned when there is
    /// one. `instance` is written to the address, so that [`Compute::release_addresses`] finds it.
    async fn attach_address(
        &self,
        server: Uuid,
        instance: InstanceId,
        network: &str,
    ) -> Result<FloatingAddress, CloudError>;
    /// Gives back every address that was allocated for this instance.
    async fn release_addresses(&self, instance: InstanceId) -> Result<(), CloudError>;

    /// What there is to choose from.
    async fn catalogue(&self) -> Result<Catalogue, CloudError>;

    /// Tries what the portal needs of this cloud, step by step, for `fast-cloud check`.
    async fn check(&self) -> Vec<CheckLine>;
}

/// The name of an instance's own key pair in the cloud (Nova takes ASCII letters, digits, blank, `_` and `-`).
pub fn key_pair_name(instance: InstanceId) -> String {
    format!("fast-cloud-{instance}")
}
