//! Machines, flavors, key pairs and limits.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat, Utc};
use openstack::compute::ServerStatus as NovaStatus;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::OpenStack;
use super::answer::sentence;
use super::glance::IdAndName;
use super::lenient::lenient;
use super::session::{Call, MAX_PAGES, Service};
use crate::cloud::{CloudError, Flavor, LaunchOrder, Limits, Named, OwnerTag, Server, ServerStatus};
use crate::ids::InstanceId;

/// What we write in a machine's metadata.
const META_PORTAL: &str = "fast_cloud_portal";
const META_INSTANCE: &str = "fast_cloud_instance";
const META_ACCOUNT: &str = "fast_cloud_account";
/// The behaviour that this adapter was written for (Nova 20, Train).
const WANTED: Microversion = Microversion(2, 79);
/// From here on a machine can be given tags when it is made (Nova 17, Queens).
const TAGS_SINCE: Microversion = Microversion(2, 52);
/// Key pairs made by our own [`crate::cloud::key_pair_name`].
const OUR_KEYS: &str = "fast-cloud-";
/// Nova's limit, after encoding.
const MAX_USER_DATA: usize = 65_535;
/// Nova's limit, in characters.
const MAX_NAME: usize = 255;

/// A version of Nova's behaviour, `2.79`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Microversion(u16, u16);

impl Microversion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for Microversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[derive(Deserialize)]
struct VersionAnswer {
    version: VersionBody,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct VersionBody {
    /// The newest microversion; empty where there are none.
    #[serde(deserialize_with = "lenient")]
    version: String,
}

#[derive(Deserialize)]
struct ServerPage {
    /// Not defaulted: an answer without it is none, and must not read as "no machines".
    servers: Vec<Value>,
    #[serde(default, deserialize_with = "lenient")]
    servers_links: Vec<Link>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Link {
    #[serde(deserialize_with = "lenient")]
    rel: String,
}

#[derive(Deserialize)]
struct OneServer {
    server: Value,
}

/// The answer to a launch. It holds the machine's admin password, too, which is not read.
#[derive(Deserialize)]
struct Launched {
    server: LaunchedServer,
}

#[derive(Deserialize)]
struct LaunchedServer {
    id: Uuid,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawServer {
    #[serde(deserialize_with = "lenient")]
    id: Option<Uuid>,
    #[serde(deserialize_with = "lenient")]
    name: String,
    #[serde(deserialize_with = "lenient")]
    status: String,
    #[serde(rename = "OS-EXT-STS:task_state", deserialize_with = "lenient")]
    task_state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    addresses: BTreeMap<String, Vec<RawAddress>>,
    #[serde(deserialize_with = "lenient")]
    metadata: BTreeMap<String, String>,
    #[serde(deserialize_with = "lenient")]
    fault: RawFault,
    #[serde(deserialize_with = "lenient")]
    created: Option<DateTime<Utc>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawAddress {
    #[serde(deserialize_with = "lenient")]
    addr: Option<IpAddr>,
    /// `fixed` or `floating`.
    #[serde(rename = "OS-EXT-IPS:type", deserialize_with = "lenient")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawFault {
    #[serde(deserialize_with = "lenient")]
    message: Option<String>,
}

#[derive(Deserialize)]
struct FlavorList {
    flavors: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawFlavor {
    #[serde(deserialize_with = "lenient")]
    id: String,
    #[serde(deserialize_with = "lenient")]
    name: String,
    #[serde(deserialize_with = "lenient")]
    vcpus: u32,
    #[serde(deserialize_with = "lenient")]
    ram: u32,
    #[serde(deserialize_with = "lenient")]
    disk: u32,
    /// An empty text for none before 2.75.
    #[serde(deserialize_with = "lenient")]
    swap: u32,
}

#[derive(Deserialize)]
struct KeyPairList {
    keypairs: Vec<KeyPairItem>,
}

#[derive(Deserialize)]
struct KeyPairItem {
    keypair: KeyPair,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyPair {
    #[serde(deserialize_with = "lenient")]
    name: String,
    #[serde(deserialize_with = "lenient")]
    public_key: String,
}

#[derive(Deserialize)]
struct LimitsAnswer {
    limits: LimitsBody,
}

#[derive(Deserialize)]
struct LimitsBody {
    absolute: Absolute,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Absolute {
    #[serde(deserialize_with = "lenient")]
    max_total_instances: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    max_total_cores: Option<i64>,
    #[serde(rename = "maxTotalRAMSize", deserialize_with = "lenient")]
    max_total_ram: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    total_instances_used: u32,
    #[serde(deserialize_with = "lenient")]
    total_cores_used: u32,
    #[serde(rename = "totalRAMUsed", deserialize_with = "lenient")]
    total_ram_used: u32,
}

/// What Nova needs in place of the names of an order.
#[derive(PartialEq, Eq)]
struct Parts {
    image: String,
    flavor: String,
    network: String,
}

impl OpenStack {
    /// The newest microversion that Nova has; None where it has none. Asked once.
    pub(super) async fn newest_microversion(&self) -> Result<Option<Microversion>, CloudError> {
        let ask = async {
            let answer: VersionAnswer = self.session.get(Service::Compute, &[]).at_version_root().fetch().await?;
            Ok(Microversion::parse(&answer.version.version))
        };
        self.microversion.get(|_| true, ask).await.map(|version| *version)
    }

    async fn compute(&self, method: Method, path: &[&str]) -> Result<Call<'_>, CloudError> {
        let version = self.newest_microversion().await?.map(|newest| newest.min(WANTED).to_string());
        Ok(self.session.call(Service::Compute, method, path).microversion(version))
    }

    async fn can_tag(&self) -> Result<bool, CloudError> {
        Ok(self.newest_microversion().await?.is_some_and(|newest| newest >= TAGS_SINCE))
    }

    /// Asks for a machine. A refusal may come from an id that was remembered and is gone: then the names are looked up
    /// again, and if that changes anything it is asked once more (a refusal has made nothing).
    pub(super) async fn launch_server(&self, order: &LaunchOrder) -> Result<Uuid, CloudError> {
        let parts = self.parts(order).await?;
        match self.post_server(order, &parts).await {
            Err(CloudError::Rejected(sentence)) => {
                self.forget_names();
                let again = self.parts(order).await?;
                if again == parts {
                    return Err(CloudError::Rejected(sentence));
                }
                self.post_server(order, &again).await
            }
            result => result,
        }
    }

    async fn parts(&self, order: &LaunchOrder) -> Result<Parts, CloudError> {
        Ok(Parts {
            image: self.image_names.resolve(&order.image, || self.images()).await?,
            flavor: self.flavor_names.resolve(&order.flavor, || self.named_flavors()).await?,
            network: self.network_id(&order.network).await?,
        })
    }

    fn forget_names(&self) {
        [&self.image_names, &self.flavor_names, &self.network_names, &self.tenant_networks]
            .into_iter()
            .for_each(|names| names.forget());
    }

    async fn post_server(&self, order: &LaunchOrder, parts: &Parts) -> Result<Uuid, CloudError> {
        let body = launch_body(order, parts, self.can_tag().await?)?;
        let call = self.compute(Method::POST, &["servers"]).await?.json(json!({"server": body})).patient();
        let launched: Launched = call.fetch().await.map_err(|err| match err {
            // Nothing of what a launch names is the machine itself.
            CloudError::NotFound(sentence) => CloudError::Rejected(sentence),
            other => other,
        })?;
        Ok(launched.server.id)
    }

    /// By tag where Nova has tags. Compared here, too: an old Nova ignores a filter that it doesn't know.
    pub(super) async fn find_servers(&self, instance: InstanceId) -> Result<Vec<Server>, CloudError> {
        let filter = if self.can_tag().await? { vec![("tags", tag(instance))] } else { Vec::new() };
        let mut servers = self.list_servers(&filter).await?;
        servers.retain(|server| server.owner.is_some_and(|owner| owner.instance == instance));
        Ok(servers)
    }

    pub(super) async fn servers_since(&self, since: Option<DateTime<Utc>>) -> Result<Vec<Server>, CloudError> {
        let since = since.map(|since| ("changes-since", since.to_rfc3339_opts(SecondsFormat::Secs, true)));
        self.list_servers(&Vec::from_iter(since)).await
    }

    async fn list_servers(&self, filter: &[(&'static str, String)]) -> Result<Vec<Server>, CloudError> {
        let mut servers = Vec::new();
        let mut seen = HashSet::new();
        let mut marker: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut call = self.compute(Method::GET, &["servers", "detail"]).await?.query("limit", 1000);
            for (key, value) in filter {
                call = call.query(key, value);
            }
            if let Some(marker) = &marker {
                call = call.query("marker", marker);
            }
            let page: ServerPage = call.fetch().await.map_err(|err| lost_marker(err, marker.is_some()))?;
            let more = page.servers_links.iter().any(|link| link.rel == "next");
            marker = page.servers.last().and_then(|server| server.get("id")?.as_str().map(str::to_owned));
            let before = seen.len();
            let read = page.servers.into_iter().filter_map(read_server);
            servers.extend(read.filter(|server| seen.insert(server.id)));
            if !more || marker.is_none() || seen.len() == before {
                return Ok(servers);
            }
        }
        Err(CloudError::unavailable("Nova's list of machines has no end"))
    }

    pub(super) async fn show_server(&self, id: Uuid) -> Result<Server, CloudError> {
        let call = self.compute(Method::GET, &["servers", &id.to_string()]).await?;
        let answer: OneServer = call.fetch().await?;
        match read_server(answer.server) {
            Some(server) if server.id == id => Ok(server),
            _ => Err(CloudError::unavailable("Nova answered with another machine than the one asked for")),
        }
    }

    /// Switches a machine on or off. That it is so already, or is about to be, is no error: an answer may have been lost.
    pub(super) async fn switch(&self, id: Uuid, on: bool) -> Result<(), CloudError> {
        let action = if on { "os-start" } else { "os-stop" };
        let Err(refusal) = self.act(id, json!({action: null})).await else { return Ok(()) };
        if !matches!(refusal, CloudError::Conflict(_)) {
            return Err(refusal);
        }
        match (on, self.show_server(id).await?.status) {
            (true, ServerStatus::Active | ServerStatus::Starting) => Ok(()),
            (false, ServerStatus::Stopped | ServerStatus::Stopping) => Ok(()),
            _ => Err(refusal),
        }
    }

    pub(super) async fn act(&self, id: Uuid, action: Value) -> Result<(), CloudError> {
        self.compute(Method::POST, &["servers", &id.to_string(), "action"]).await?.json(action).send().await
    }

    pub(super) async fn delete_server(&self, id: Uuid) -> Result<(), CloudError> {
        gone_is_fine(self.compute(Method::DELETE, &["servers", &id.to_string()]).await?.send().await)
    }

    /// Imports a public key. If the name is taken by another key: one of our own names is an instance's own and was
    /// left by an attempt that came to nothing, so it is replaced (machines keep the key that they were made with);
    /// any other name is somebody else's, a conflict.
    pub(super) async fn import_key_pair(&self, name: &str, public_key: &str) -> Result<(), CloudError> {
        let refusal = match self.post_key_pair(name, public_key).await {
            Err(CloudError::Conflict(refusal)) => refusal,
            result => return result,
        };
        let there: Result<KeyPairItem, _> = self.compute(Method::GET, &["os-keypairs", name]).await?.fetch().await;
        match there {
            Ok(there) if same_key(&there.keypair.public_key, public_key) => return Ok(()),
            Ok(_) if !name.starts_with(OUR_KEYS) => return Err(CloudError::Conflict(refusal)),
            Ok(_) => self.delete_key_pair(name).await?,
            Err(CloudError::NotFound(_)) => {}
            Err(err) => return Err(err),
        }
        self.post_key_pair(name, public_key).await
    }

    async fn post_key_pair(&self, name: &str, public_key: &str) -> Result<(), CloudError> {
        let body = json!({"keypair": {"name": name, "public_key": public_key}});
        self.compute(Method::POST, &["os-keypairs"]).await?.json(body).send().await
    }

    pub(super) async fn delete_key_pair(&self, name: &str) -> Result<(), CloudError> {
        gone_is_fine(self.compute(Method::DELETE, &["os-keypairs", name]).await?.send().await)
    }

    pub(super) async fn flavors(&self) -> Result<Vec<Flavor>, CloudError> {
        let call = self.compute(Method::GET, &["flavors", "detail"]).await?.query("limit", 1000);
        let list: FlavorList = call.fetch().await?;
        let read = |value| serde_json::from_value::<RawFlavor>(value).ok();
        Ok(list.flavors.into_iter().filter_map(read).filter(|raw| !raw.id.is_empty()).map(Flavor::from).collect())
    }

    async fn named_flavors(&self) -> Result<Vec<Named>, CloudError> {
        Ok(self.flavors().await?.into_iter().map(|flavor| Named { id: flavor.id, name: flavor.name }).collect())
    }

    /// The key pairs of the portal's user. A key pair's name is its id.
    pub(super) async fn key_pairs(&self) -> Result<Vec<Named>, CloudError> {
        let list: KeyPairList = self.compute(Method::GET, &["os-keypairs"]).await?.fetch().await?;
        let named = |item: KeyPairItem| IdAndName { id: item.keypair.name.clone(), name: item.keypair.name }.named();
        Ok(list.keypairs.into_iter().filter_map(named).collect())
    }

    /// The project's limits; None where Nova keeps them from us.
    pub(super) async fn limits(&self) -> Result<Option<Limits>, CloudError> {
        let answer: Result<LimitsAnswer, _> = self.compute(Method::GET, &["limits"]).await?.fetch().await;
        match answer {
            Ok(answer) => Ok(Some(answer.limits.absolute.into())),
            Err(CloudError::Rejected(_) | CloudError::NotFound(_)) => Ok(None),
            Err(err) => Err(err),
        }
    }
}

fn launch_body(order: &LaunchOrder, parts: &Parts, with_tag: bool) -> Result<Value, CloudError> {
    let mut body = json!({
        "name": server_name(&order.name),
        "imageRef": parts.image,
        "flavorRef": parts.flavor,
        "networks": [{"uuid": parts.network}],
        "metadata": {
            META_PORTAL: order.owner.portal.to_string(),
            META_INSTANCE: order.owner.instance.to_string(),
            META_ACCOUNT: order.owner.account.to_string(),
        },
    });
    if with_tag {
        body["tags"] = json!([tag(order.owner.instance)]);
    }
    if !order.security_groups.is_empty() {
        body["security_groups"] = order.security_groups.iter().map(|name| json!({"name": name})).collect();
    }
    if let Some(name) = &order.key_pair {
        body["key_name"] = json!(name);
    }
    if let Some(text) = &order.user_data {
        let encoded = BASE64.encode(text);
        if encoded.len() > MAX_USER_DATA {
            return Err(CloudError::Rejected(format!("user data of more than {MAX_USER_DATA} encoded bytes")));
        }
        body["user_data"] = json!(encoded);
    }
    Ok(body)
}

/// Nova refuses blanks at the ends, and more than 255 characters.
fn server_name(name: &str) -> String {
    let cut: String = name.trim().chars().take(MAX_NAME).collect();
    cut.trim_end().to_owned()
}

fn tag(instance: InstanceId) -> String {
    format!("fast-cloud-{instance}")
}

/// What it says of the marker is that the last machine of a page has gone meanwhile.
fn lost_marker(err: CloudError, had_marker: bool) -> CloudError {
    match err {
        CloudError::Rejected(sentence) if had_marker => {
            CloudError::unavailable(format_args!("the list of machines changed while it was read: {sentence}"))
        }
        other => other,
    }
}

fn gone_is_fine(result: Result<(), CloudError>) -> Result<(), CloudError> {
    match result {
        Err(CloudError::NotFound(_)) => Ok(()),
        other => other,
    }
}

/// Kind and key; the comment behind them is no part of it.
fn same_key(a: &str, b: &str) -> bool {
    let key = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    key(a) == key(b)
}

/// None for something without an id: whatever it is, it is no machine that we could name.
fn read_server(value: Value) -> Option<Server> {
    let raw: RawServer = serde_json::from_value(value).ok()?;
    let Some(id) = raw.id else {
        tracing::warn!("Nova lists a machine without an id");
        return None;
    };
    let status = status(&raw.status, raw.task_state.as_deref());
    Some(Server {
        id,
        status,
        raw_status: match &raw.task_state {
            Some(task) => format!("{}/{task}", raw.status),
            None => raw.status.clone(),
        },
        address: raw.address(false),
        floating_address: raw.address(true),
        owner: raw.owner(),
        fault: raw.fault.message.filter(|_| status == ServerStatus::Error).map(|message| sentence(&message)),
        name: raw.name,
        created_at: raw.created,
    })
}

impl RawServer {
    /// The first of its kind, IPv4 before IPv6.
    fn address(&self, floating: bool) -> Option<IpAddr> {
        let of_kind = self.addresses.values().flatten().filter(|address| (address.kind == "floating") == floating);
        of_kind.filter_map(|address| address.addr).min_by_key(IpAddr::is_ipv6)
    }

    fn owner(&self) -> Option<OwnerTag> {
        let get = |key| self.metadata.get(key);
        Some(OwnerTag {
            portal: Uuid::try_parse(get(META_PORTAL)?).ok()?,
            instance: get(META_INSTANCE)?.parse().ok()?,
            account: get(META_ACCOUNT)?.parse().ok()?,
        })
    }
}

/// What is being done to it first: while a machine stops or is deleted Nova still calls it ACTIVE.
fn status(status: &str, task: Option<&str>) -> ServerStatus {
    // An enum of the `openstack` crate; what it doesn't know is no status of Nova's.
    let Ok(status) = serde_json::from_value::<NovaStatus>(Value::from(status)) else { return ServerStatus::Unknown };
    if matches!(status, NovaStatus::Deleted | NovaStatus::SoftDeleted) {
        return ServerStatus::Deleted;
    }
    match task {
        Some("deleting" | "soft-deleting") => return ServerStatus::Deleting,
        Some("powering-off") => return ServerStatus::Stopping,
        Some("powering-on") => return ServerStatus::Starting,
        Some(task) if task.starts_with("reboot") => return ServerStatus::Rebooting,
        _ => {}
    }
    match status {
        NovaStatus::Building | NovaStatus::Rebuild => ServerStatus::Building,
        NovaStatus::Active => ServerStatus::Active,
        NovaStatus::ShutOff => ServerStatus::Stopped,
        NovaStatus::Rebooting | NovaStatus::HardRebooting => ServerStatus::Rebooting,
        NovaStatus::Error => ServerStatus::Error,
        _ => ServerStatus::Unknown,
    }
}

impl From<RawFlavor> for Flavor {
    fn from(raw: RawFlavor) -> Self {
        Self { id: raw.id, name: raw.name, vcpus: raw.vcpus, ram_mb: raw.ram, disk_gb: raw.disk, swap_mb: raw.swap }
    }
}

impl From<Absolute> for Limits {
    fn from(raw: Absolute) -> Self {
        // -1 is no limit.
        let limit = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
        Self {
            instances: limit(raw.max_total_instances),
            vcpus: limit(raw.max_total_cores),
            ram_mb: limit(raw.max_total_ram),
            instances_used: raw.total_instances_used,
            vcpus_used: raw.total_cores_used,
            ram_mb_used: raw.total_ram_used,
        }
    }
}

#[cfg(test)]
mod tests;
