//! The configuration: `config.toml`, overridden by `FASTCLOUD_SECTION__KEY`.
//!
//! The file is compiled in as the defaults, so that a portal without any file behaves as the committed one says.
//! Unknown keys and bad values are refused before anything listens, with the key's name.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use figment::Figment;
use figment::providers::{Env, Format, Toml};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

/// The committed `config.toml`.
const DEFAULTS: &str = include_str!("../config.toml");

/// Where the embedded database, a practice cloud or a real one is chosen, and every limit and interval.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub data: Data,
    pub database: Database,
    pub cloud: Cloud,
    pub openstack: OpenStack,
    pub practice: Practice,
    pub sync: Sync,
    pub operations: Operations,
    pub accounts: Accounts,
    pub quota: Quota,
    pub registries: Registries,
    pub instance_templates: InstanceTemplates,
    pub applications: Applications,
    pub kubernetes: Kubernetes,
    pub buckets: Buckets,
    pub metrics: Metrics,
    pub log: Log,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// How browsers reach the portal; empty: `http://` and [`Self::listen`].
    pub public_url: String,
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Threads that answer requests; 0: one per processor.
    pub workers: usize,
    /// In which times are shown.
    pub time_zone: chrono_tz::Tz,
}

impl Server {
    /// The portal's own address as browsers see it, without a slash at the end.
    pub fn public_url(&self) -> String {
        match self.public_url.trim_end_matches('/') {
            "" => format!("http://{}", self.listen),
            url => url.to_owned(),
        }
    }

    /// Whether browsers come by https: then cookies are `Secure`.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    pub dir: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// May hold a password. Empty: the embedded database.
    pub url: SecretString,
    pub pool_size: u32,
    pub timeout_seconds: u64,
}

impl Database {
    pub fn is_embedded(&self) -> bool {
        self.url.expose_secret().is_empty()
    }
}

/// Where machines run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputeKind {
    Practice,
    OpenStack,
}

/// Where files are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    Practice,
    Swift,
}

/// Where containers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationsKind {
    Practice,
    Kubernetes,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cloud {
    pub compute: ComputeKind,
    pub storage: StorageKind,
    pub applications: ApplicationsKind,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenStack {
    pub connect_seconds: u64,
    pub request_seconds: u64,
    pub concurrency: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Practice {
    pub build_seconds: u64,
    /// Where pretended containers answer; None (empty): nowhere.
    #[serde(deserialize_with = "address_or_empty")]
    pub ingress_listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    pub interval_seconds: u64,
    pub transition_seconds: u64,
    pub catalogue_seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    pub concurrency: usize,
    pub lease_seconds: u64,
    pub give_up_minutes: u64,
}

impl Operations {
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    pub session_hours: i64,
    pub failures_per_account: u32,
    pub failures_per_address: u32,
    pub signups_per_address: u32,
}

/// What one account may have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    pub instances: u32,
    pub vcpus: u32,
    pub ram_mb: u32,
    pub applications: u32,
    /// Thousandths of a processor, of all replicas together.
    pub app_cpu_millis: u32,
    pub app_memory_mb: u32,
    pub buckets: u32,
    /// Of all files together, in MiB.
    pub storage_mb: u32,
}

/// How applications are addressed, how big they are, and when a state counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applications {
    /// Applications live at `{name}.{base_domain}`.
    pub base_domain: String,
    pub url_scheme: UrlScheme,
    /// 0: the scheme's own.
    pub url_port: u16,
    /// First labels of host names that nobody gets.
    pub reserved_names: Vec<String>,
    pub small_cpu_millis: u32,
    pub small_memory_mb: u32,
    pub medium_cpu_millis: u32,
    pub medium_memory_mb: u32,
    pub large_cpu_millis: u32,
    pub large_memory_mb: u32,
    pub max_replicas: u32,
    /// How long no node takes a pod before that is said.
    pub unschedulable_seconds: u64,
    /// How long a container runs without answering on its port before it is looked into.
    pub silent_seconds: u64,
    /// How long a rollout may take before it counts as failed.
    pub rollout_seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UrlScheme {
    Http,
    Https,
}

impl UrlScheme {
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Applications {
    /// The host name that a first label makes.
    pub fn host(&self, label: &str) -> String {
        format!("{label}.{}", self.base_domain)
    }

    /// The address of an application in a browser, without a slash at the end.
    pub fn url(&self, label: &str) -> String {
        let (scheme, host) = (self.url_scheme.name(), self.host(label));
        match self.url_port {
            0 => format!("{scheme}://{host}"),
            port => format!("{scheme}://{host}:{port}"),
        }
    }
}

/// Pod Security Standards' level of the accounts' namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PodProfile {
    Baseline,
    Restricted,
}

/// The cluster. Its login is found as kubectl finds it: `KUBECONFIG`, `~/.kube/config`, the pod's service account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Time limits of one call, in seconds: for the connection, and for the answer.
    pub connect_seconds: u64,
    pub request_seconds: u64,
    /// Calls in flight at once, per portal process.
    pub concurrency: usize,
    pub ingress_class: String,
    /// `key=value`, written to every Ingress.
    pub ingress_annotations: Vec<String>,
    /// Name of a TLS secret in each account's namespace; empty: the controller's own certificate, or none.
    pub tls_secret: String,
    /// Where the ingress controller's pods are, by the namespace's name; empty: nowhere.
    pub ingress_namespace: String,
    /// Networks (CIDR) that the ingress controller's requests come from, where it runs on the nodes' network.
    pub ingress_networks: Vec<IpNet>,
    /// Networks (CIDR) that containers can't reach.
    pub blocked_networks: Vec<IpNet>,
    /// Architectures of the nodes, as images name them (`amd64`).
    pub architectures: Vec<String>,
    pub profile: PodProfile,
    /// Who the portal is in the cluster: the role in each account's namespace is bound to it.
    pub subject: String,
}

/// Where container images may come from, and where they are read. Checked by [`crate::registry::Settings`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registries {
    /// Hosts as they stand in images' names.
    pub allowed: Vec<String>,
    /// `registry=address`: what is asked in a registry's place.
    pub mirrors: Vec<String>,
    /// Whether pods' images are named by the mirror's host.
    pub pull_from_mirror: bool,
    /// For reading one image, from the first connection to the last byte.
    pub timeout_seconds: u64,
}

/// Files.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buckets {
    /// The largest file, in MiB; 0: as large as the quota.
    pub max_file_mb: u64,
    /// Files that may be larger than this, in MiB, are stored in segments; Swift takes 5 GiB in one piece.
    pub large_file_mb: u64,
    /// The size of a segment, in MiB. Swift puts up to 1,000 of them together.
    pub segment_mb: u64,
    /// Days that a share link lives at most.
    pub share_days: u32,
}

impl Buckets {
    /// In bytes; None: no limit but the quota.
    pub fn max_file(&self) -> Option<u64> {
        Some(self.max_file_mb).filter(|mb| *mb > 0).map(|mb| mb.saturating_mul(1 << 20))
    }

    /// In bytes.
    pub fn large_file(&self) -> u64 {
        self.large_file_mb.saturating_mul(1 << 20)
    }

    /// In bytes.
    pub fn segment(&self) -> u64 {
        self.segment_mb.saturating_mul(1 << 20)
    }
}

/// The first templates of a new database.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceTemplates {
    pub image: String,
    pub network: String,
    pub floating_network: String,
    pub security_groups: Vec<String>,
    pub ssh_user: String,
    pub nano_flavor: String,
    pub standard_flavor: String,
    pub pro_flavor: String,
}

/// `GET /metrics`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Who may read it.
    #[serde(deserialize_with = "addresses_or_networks")]
    pub allow: Vec<IpNet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

impl Config {
    /// Reads `config.toml` of the working folder (or the file named; then it has to exist) over the defaults, and the
    /// environment over both.
    ///
    /// # Errors
    /// Names the key or variable that is unknown or has a bad value.
    pub fn load(file: Option<&std::path::Path>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        figment = match file {
            Some(path) => {
                std::fs::metadata(path)
                    .with_context(|| format!("reading the configuration file {}", path.display()))?;
                figment.merge(Toml::file_exact(path))
            }
            None => figment.merge(Toml::file("config.toml")),
        };
        Self::from_figment(
            figment.merge(Env::prefixed("FASTCLOUD_").filter(|key| key.as_str().contains("__")).split("__")),
        )
    }

    /// The committed configuration, as tests start from.
    pub fn defaults() -> anyhow::Result<Self> {
        Self::from_figment(Figment::from(Toml::string(DEFAULTS)))
    }

    fn from_figment(figment: Figment) -> anyhow::Result<Self> {
        let config: Self = figment.extract().map_err(explain)?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> anyhow::Result<()> {
        if !self.server.public_url.is_empty() {
            let url = Url::parse(&self.server.public_url)
                .context("server.public_url is not a URL such as https://cloud.school.example")?;
            if !matches!(url.scheme(), "http" | "https") || url.path() != "/" || url.query().is_some() {
                bail!("server.public_url has to be http:// or https://, a host, and no path");
            }
        }
        if !self.database.is_embedded() && !self.database.url.expose_secret().starts_with("mysql://") {
            bail!("database.url has to start with mysql:// (or be empty for the embedded database)");
        }
        let positive = [
            ("database.pool_size", u64::from(self.database.pool_size)),
            ("database.timeout_seconds", self.database.timeout_seconds),
            ("openstack.connect_seconds", self.openstack.connect_seconds),
            ("openstack.request_seconds", self.openstack.request_seconds),
            ("openstack.concurrency", self.openstack.concurrency as u64),
            ("sync.interval_seconds", self.sync.interval_seconds),
            ("sync.transition_seconds", self.sync.transition_seconds),
            ("sync.catalogue_seconds", self.sync.catalogue_seconds),
            ("operations.concurrency", self.operations.concurrency as u64),
            ("operations.give_up_minutes", self.operations.give_up_minutes),
            ("kubernetes.connect_seconds", self.kubernetes.connect_seconds),
            ("kubernetes.request_seconds", self.kubernetes.request_seconds),
            ("kubernetes.concurrency", self.kubernetes.concurrency as u64),
            ("applications.small_cpu_millis", u64::from(self.applications.small_cpu_millis)),
            ("applications.small_memory_mb", u64::from(self.applications.small_memory_mb)),
            ("applications.medium_cpu_millis", u64::from(self.applications.medium_cpu_millis)),
            ("applications.medium_memory_mb", u64::from(self.applications.medium_memory_mb)),
            ("applications.large_cpu_millis", u64::from(self.applications.large_cpu_millis)),
            ("applications.large_memory_mb", u64::from(self.applications.large_memory_mb)),
            ("applications.max_replicas", u64::from(self.applications.max_replicas)),
            ("applications.rollout_seconds", self.applications.rollout_seconds),
            ("buckets.large_file_mb", self.buckets.large_file_mb),
            ("buckets.segment_mb", self.buckets.segment_mb),
            ("buckets.share_days", u64::from(self.buckets.share_days)),
            ("accounts.failures_per_account", u64::from(self.accounts.failures_per_account)),
            ("accounts.failures_per_address", u64::from(self.accounts.failures_per_address)),
            ("accounts.signups_per_address", u64::from(self.accounts.signups_per_address)),
        ];
        for (key, value) in positive {
            if value == 0 {
                bail!("{key} has to be 1 or more");
            }
        }
        self.validate_applications()?;
        if self.buckets.large_file_mb > 5120 || self.buckets.segment_mb > 5120 {
            bail!("buckets.large_file_mb and buckets.segment_mb have to be 5120 or less: Swift takes no more at once");
        }
        if self.operations.lease_seconds < 3 {
            bail!("operations.lease_seconds has to be 3 or more");
        }
        if !(1..=24 * 90).contains(&self.accounts.session_hours) {
            bail!("accounts.session_hours has to be between 1 and 2160");
        }
        crate::registry::Settings::parse(&self.registries)?;
        tracing_subscriber::EnvFilter::try_new(&self.log.filter).context("log.filter is not a filter such as info")?;
        Ok(())
    }

    fn validate_applications(&self) -> anyhow::Result<()> {
        let domain = &self.applications.base_domain;
        let label = |text: &str| {
            (1..=63).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && !text.starts_with('-')
                && !text.ends_with('-')
        };
        // A label of 63 characters and a dot come before it (RFC 1035, 2.3.4).
        if domain.len() > 253 - 64 || !domain.split('.').all(label) {
            bail!("applications.base_domain is not a domain such as apps.school.example");
        }
        let portal = Url::parse(&self.server.public_url()).ok().and_then(|url| url.host_str().map(str::to_owned));
        // An application can set cookies for every domain above its own, and the portal would get them.
        let within = |inner: &str, outer: &str| inner == outer || inner.ends_with(&format!(".{outer}"));
        let shares_cookies = |portal: &str| {
            let parent = portal.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.'));
            within(portal, domain) || within(domain, portal) || parent.is_some_and(|parent| within(domain, parent))
        };
        // Nobody else's machine is called localhost.
        if portal.is_some_and(|portal| portal != "localhost" && shares_cookies(&portal)) {
            bail!(
                "applications.base_domain ({domain}) must not be the portal's own host, nor above, below or beside it: \
                 give the applications a domain of their own"
            );
        }
        for annotation in &self.kubernetes.ingress_annotations {
            if annotation.split_once('=').is_none_or(|(key, _)| key.is_empty()) {
                bail!("kubernetes.ingress_annotations has to be a list of key=value");
            }
        }
        if self.kubernetes.ingress_class.is_empty() {
            bail!("kubernetes.ingress_class has to be the name of an IngressClass");
        }
        if self.kubernetes.architectures.is_empty() {
            bail!("kubernetes.architectures has to name at least one, such as amd64");
        }
        if self.kubernetes.subject.is_empty() {
            bail!("kubernetes.subject has to be the portal's user in the cluster");
        }
        Ok(())
    }
}

/// An address and port, or an empty text for none.
fn address_or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| serde::de::Error::custom("not an address and port such as 127.0.0.1:8001"))
}

/// Networks (CIDR), and addresses, which are networks of one.
fn addresses_or_networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let unfit = |text: &String| serde::de::Error::custom(format_args!("{text:?} is no address or network"));
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| network(text).ok_or_else(|| unfit(text))).collect()
}

/// Says which key of which source is wrong; a value that may be a secret is not repeated.
fn explain(errors: figment::Error) -> anyhow::Error {
    let lines: Vec<String> = errors
        .into_iter()
        .map(|error| {
            let key = error.path.join(".");
            let source = error.metadata.as_ref().map(|m| m.name.to_string()).unwrap_or_default();
            let variable = format!("FASTCLOUD_{}", key.replace('.', "__").to_uppercase());
            match &error.kind {
                figment::error::Kind::UnknownField(name, known) => {
                    let place = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    let place = if key.ends_with(name.as_str()) { key.clone() } else { place };
                    format!("unknown key {place} ({source}); known here: {}", known.join(", "))
                }
                kind if key == "database.url" => {
                    let _ = kind;
                    format!("database.url ({variable}) is not a text ({source})")
                }
                kind => format!("{key} ({variable}): {kind} ({source})"),
            }
        })
        .collect();
    anyhow::anyhow!("the configuration is wrong: {}", lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(toml: &str) -> anyhow::Result<Config> {
        Config::from_figment(Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(toml)))
    }

    #[test]
    fn the_committed_file_is_complete() {
        let config = Config::defaults().unwrap();
        assert_eq!(config.server.public_url(), "http://127.0.0.1:8000");
        assert!(config.database.is_embedded());
        assert_eq!(config.cloud.compute, ComputeKind::Practice);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (toml, key) in [
            ("[server]\nlissten = 1", "server.lissten"),
            ("[serwer]\nlisten = 1", "serwer"),
            ("[server]\nlisten = \"nowhere\"", "server.listen"),
            ("[server]\npublic_url = \"ftp://x\"", "server.public_url"),
            ("[cloud]\ncompute = \"aws\"", "cloud.compute"),
            ("[sync]\ninterval_seconds = 0", "sync.interval_seconds"),
            ("[sync]\ninterval_seconds = -1", "sync.interval_seconds"),
            ("[operations]\nlease_seconds = 1", "operations.lease_seconds"),
            ("[practice]\ningress_listen = \"8001\"", "practice.ingress_listen"),
            ("[applications]\nbase_domain = \"Apps_1\"", "applications.base_domain"),
            ("[kubernetes]\nblocked_networks = [\"10.0.0.0\"]", "kubernetes.blocked_networks"),
            ("[kubernetes]\ningress_annotations = [\"x\"]", "kubernetes.ingress_annotations"),
            ("[registries]\nallowed = []", "registries.allowed"),
            ("[registries]\nmirrors = [\"docker.io\"]", "registries.mirrors"),
            ("[registries]\ntimeout_seconds = 0", "registries.timeout_seconds"),
            ("[metrics]\nallow = [\"here\"]", "metrics.allow"),
            ("[metrics]\nallow = \"127.0.0.1\"", "metrics.allow"),
            ("[log]\nfilter = \"a=b=c\"", "log.filter"),
        ] {
            let message = format!("{:#}", with(toml).unwrap_err());
            assert!(message.contains(key), "{toml:?}: {message}");
        }
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        let config = with("[metrics]\nallow = [\"10.0.0.5\", \"192.168.7.0/24\", \"::1\"]").unwrap();
        let texts: Vec<String> = config.metrics.allow.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.5/32", "192.168.7.0/24", "::1/128"]);
    }

    #[test]
    fn applications_share_no_cookies_with_the_portal() {
        let with = |portal: &str, apps: &str| {
            with(&format!("[server]\npublic_url = \"http://{portal}\"\n[applications]\nbase_domain = \"{apps}\""))
        };
        for (portal, apps) in [
            ("cloud.school.example", "cloud.school.example"),
            ("cloud.school.example", "apps.cloud.school.example"),
            ("cloud.school.example", "school.example"),
            ("cloud.school.example", "apps.school.example"),
            ("school.example", "apps.school.example"),
        ] {
            let message = format!("{:#}", with(portal, apps).unwrap_err());
            assert!(message.contains("applications.base_domain"), "{portal} {apps}: {message}");
        }
        for (portal, apps) in [
            ("cloud.school.example", "school-apps.example"),
            ("127.0.0.1:8000", "apps.localhost"),
            ("localhost:8000", "apps.localhost"),
            ("school.example", "apps.example"),
        ] {
            with(portal, apps).unwrap();
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = format!("{:#}", with("[database]\nurl = \"postgres://me:hunter42@db/x\"").unwrap_err());
        assert!(error.contains("database.url") && !error.contains("hunter42"), "{error}");
        let config = with("[database]\nurl = \"mysql://me:hunter42@db/x\"").unwrap();
        assert!(!format!("{config:?}").contains("hunter42"));
    }
}
