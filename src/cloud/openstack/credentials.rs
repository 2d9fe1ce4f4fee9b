//! OpenStack's login, from the places where its own tools look: `clouds.yaml` with `OS_CLOUD`, or `OS_*` variables.
//!
//! Only what the portal needs: a password or an application credential, scoped to one project. The `osauth` crate reads
//! these files too, but neither `OS_CLIENT_CONFIG_FILE` nor ids of users nor interfaces, so they are read here.
//!
//! Secrets never reach an error or `Debug`: values are quoted in no message, and a file that is not YAML is described
//! by its line only, because the parser's own message may quote what stands there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};
use serde_yaml_ng::Value as Yaml;
use url::Url;

/// Reads one environment variable; None when it is not set. Passed in so that tests need no real environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Who the portal is for Keystone, where Keystone is, and which of a cloud's endpoints to use.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Ends in `/v3`.
    pub(super) auth_url: Url,
    login: Login,
    /// None for application credentials: they belong to a project already.
    project: Option<Project>,
    /// None: the only region of the catalogue.
    pub(super) region: Option<String>,
    /// `public`, `internal` or `admin`.
    pub(super) interface: &'static str,
    /// PEM file with the certificate authority that signed the services' certificates.
    pub(super) cacert: Option<PathBuf>,
    /// False: certificates are not checked (`verify: false`, `OS_INSECURE`).
    ///
    /// Honoured with a warning and not refused: it is written by the admin in a file that all other OpenStack tools
    /// obey, and labs exist whose certificates are made out to no name that could be checked.
    pub(super) verify: bool,
    /// Where the login was found, for messages.
    pub(super) source: String,
}

#[derive(Debug, Clone)]
enum Login {
    Password { user: Named, password: SecretString },
    ApplicationCredential { id: String, secret: SecretString },
    NamedApplicationCredential { name: String, secret: SecretString, user: Named },
}

/// Something in Keystone: by its id, or by its name in a domain.
#[derive(Debug, Clone)]
enum Named {
    Id(String),
    Name { name: String, domain: Domain },
}

type Project = Named;

#[derive(Debug, Clone)]
enum Domain {
    Id(String),
    Name(String),
}

impl Credentials {
    /// Finds the login. With `OS_CLOUD`, in the `clouds.yaml` that `OS_CLIENT_CONFIG_FILE` names, else in the first of
    /// `./clouds.yaml`, `~/.config/openstack/clouds.yaml` and `/etc/openstack/clouds.yaml`, with a `secure.yaml` beside
    /// it merged in. Without `OS_CLOUD`, from the `OS_*` variables, else from a `clouds.yaml` that has only one cloud.
    ///
    /// # Errors
    /// Name the file or the variable that is missing or wrong, and what to write there.
    pub fn discover(env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let cloud = env("OS_CLOUD");
        if cloud.is_none() && env("OS_AUTH_URL").is_some() {
            return Self::read(&Source::Environment { env: &env });
        }
        let Some(path) = config_file(&env)? else {
            bail!(
                "no OpenStack login: set OS_CLOUD and write clouds.yaml (looked in ., ~/.config/openstack and \
                 /etc/openstack; OS_CLIENT_CONFIG_FILE names another file), or set OS_AUTH_URL, OS_USERNAME, \
                 OS_PASSWORD and OS_PROJECT_NAME"
            );
        };
        let (cloud, entry) = pick_cloud(&path, cloud)?;
        Self::read(&Source::File { path: &path, cloud: &cloud, entry: &entry, env: &env })
    }

    fn read(source: &Source<'_>) -> anyhow::Result<Self> {
        let login = login(source)?;
        let project = match login {
            Login::Password { .. } => Some(project(source)?),
            _ => None,
        };
        let verify = verify(source)?;
        let cacert = source.get("cacert").map(|path| expand_home(&path, source)).filter(|_| verify);
        if let Some(path) = cacert.as_ref().filter(|path| !path.is_file()) {
            bail!("{} names {}, which is not a readable file", source.name("cacert"), path.display());
        }
        Ok(Self {
            auth_url: auth_url(source)?,
            login,
            project,
            region: source.get("region_name"),
            interface: interface(source)?,
            cacert,
            verify,
            source: source.to_string(),
        })
    }

    /// The body of `POST /v3/auth/tokens`. Made anew for each login and not kept: it holds the secret in the clear.
    pub(super) fn token_request(&self) -> Json {
        let identity = match &self.login {
            Login::Password { user, password } => {
                let mut user = user.to_json();
                user["password"] = json!(password.expose_secret());
                json!({"methods": ["password"], "password": {"user": user}})
            }
            Login::ApplicationCredential { id, secret } => application_credential(json!({
                "id": id, "secret": secret.expose_secret(),
            })),
            Login::NamedApplicationCredential { name, secret, user } => application_credential(json!({
                "name": name, "secret": secret.expose_secret(), "user": user.to_json(),
            })),
        };
        match &self.project {
            Some(project) => json!({"auth": {"identity": identity, "scope": {"project": project.to_json()}}}),
            None => json!({"auth": {"identity": identity}}),
        }
    }
}

fn application_credential(credential: Json) -> Json {
    json!({"methods": ["application_credential"], "application_credential": credential})
}

impl Named {
    fn to_json(&self) -> Json {
        match self {
            Self::Id(id) => json!({"id": id}),
            Self::Name { name, domain: Domain::Id(id) } => json!({"name": name, "domain": {"id": id}}),
            Self::Name { name, domain: Domain::Name(domain) } => json!({"name": name, "domain": {"name": domain}}),
        }
    }
}

/// Where values come from. Keys are those of `clouds.yaml`, whether they stand in its `auth` or beside it.
enum Source<'a> {
    File { path: &'a Path, cloud: &'a str, entry: &'a Yaml, env: Env<'a> },
    Environment { env: Env<'a> },
}

impl Source<'_> {
    fn get(&self, key: &str) -> Option<String> {
        match self {
            Self::Environment { env } => env(&variable(key)),
            Self::File { entry, env, .. } => entry
                .get("auth")
                .and_then(|auth| scalar(auth, key))
                .or_else(|| scalar(entry, key))
                // So that the file needs to hold no secret, and one file does for all regions.
                .or_else(|| MAY_STAND_OUTSIDE.contains(&key).then(|| env(&variable(key))).flatten()),
        }
    }

    fn first(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// How to call a value in a message: the variable, or its place in the file.
    fn name(&self, key: &str) -> String {
        match self {
            Self::Environment { .. } => variable(key),
            Self::File { path, cloud, .. } => format!("{key} of cloud {cloud:?} in {}", path.display()),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        match self {
            Self::Environment { env } | Self::File { env, .. } => env(name),
        }
    }
}

impl std::fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment { .. } => f.write_str("the OS_* variables"),
            Self::File { path, cloud, .. } => write!(f, "cloud {cloud:?} in {}", path.display()),
        }
    }
}

/// Keys that the environment may add to a cloud of `clouds.yaml`.
const MAY_STAND_OUTSIDE: [&str; 4] = ["password", "application_credential_secret", "region_name", "cacert"];

fn variable(key: &str) -> String {
    format!("OS_{}", key.to_ascii_uppercase())
}

/// A text, number or boolean; YAML reads `password: 1234` as a number. Empty is as good as absent.
fn scalar(map: &Yaml, key: &str) -> Option<String> {
    let text = match map.get(key)? {
        Yaml::String(text) => text.clone(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(value) => value.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

fn config_file(env: Env<'_>) -> anyhow::Result<Option<PathBuf>> {
    if let Some(path) = env("OS_CLIENT_CONFIG_FILE").map(PathBuf::from) {
        if !path.is_file() {
            bail!("OS_CLIENT_CONFIG_FILE names {}, which is not a readable file", path.display());
        }
        return Ok(Some(path));
    }
    let mut folders = vec![PathBuf::from(".")];
    folders.extend(env("HOME").map(|home| Path::new(&home).join(".config/openstack")));
    folders.push(PathBuf::from("/etc/openstack"));
    Ok(folders.into_iter().map(|folder| folder.join("clouds.yaml")).find(|path| path.is_file()))
}

/// The named cloud's entry, or the only one; with what `secure.yaml` beside the file adds to it.
fn pick_cloud(path: &Path, wanted: Option<String>) -> anyhow::Result<(String, Yaml)> {
    let file = read_yaml(path)?;
    let names: Vec<&str> = file
        .get("clouds")
        .and_then(Yaml::as_mapping)
        .map(|clouds| clouds.keys().filter_map(Yaml::as_str).collect())
        .unwrap_or_default();
    let has = if names.is_empty() { "it has none".to_owned() } else { format!("it has: {}", names.join(", ")) };
    let cloud = match (wanted, names.as_slice()) {
        (Some(name), names) if names.contains(&name.as_str()) => name,
        (Some(name), _) => bail!("OS_CLOUD={name}: {} has no such cloud below `clouds:` ({has})", path.display()),
        (None, [only]) => (*only).to_owned(),
        (None, _) => bail!("set OS_CLOUD to one of the clouds of {} ({has})", path.display()),
    };
    let mut entry = file["clouds"][cloud.as_str()].clone();
    let secure = path.with_file_name("secure.yaml");
    if secure.is_file() {
        merge(&mut entry, read_yaml(&secure)?["clouds"][cloud.as_str()].clone());
    }
    Ok((cloud, entry))
}

fn read_yaml(path: &Path) -> anyhow::Result<Yaml> {
    let text = fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
    let parsed = serde_yaml_ng::from_str::<Yaml>(&text).and_then(|mut yaml| yaml.apply_merge().map(|()| yaml));
    match parsed {
        Ok(yaml) if yaml.is_mapping() => Ok(yaml),
        Ok(_) => bail!("{} is no map with the key `clouds:`", path.display()),
        // The parser's message may quote the line, and the line may be the password's.
        Err(err) => match err.location() {
            Some(at) => bail!("{} is not YAML: look at line {}", path.display(), at.line()),
            None => bail!("{} is not YAML", path.display()),
        },
    }
}

/// Lays `over` on `base`, map by map.
fn merge(base: &mut Yaml, over: Yaml) {
    match (base, over) {
        (Yaml::Mapping(base), Yaml::Mapping(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Yaml::Null), value);
            }
        }
        (_, Yaml::Null) => {}
        (base, over) => *base = over,
    }
}

fn auth_url(source: &Source<'_>) -> anyhow::Result<Url> {
    let name = source.name("auth_url");
    let Some(text) = source.get("auth_url") else {
        bail!("{name} is missing: write Keystone's address there, such as http://controller:5000/v3");
    };
    let mut url = Url::parse(text.trim()).map_err(|err| anyhow::anyhow!("{name} is no address: {err}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        bail!("{name} must begin with http:// or https:// and name a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        bail!("{name} must not hold a user or password: they have keys of their own");
    }
    url.set_query(None);
    url.set_fragment(None);
    let segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let path = match segments.last() {
        Some(&"v2.0") => bail!("{name} names Keystone's version 2, which is gone: write …/v3"),
        Some(&"v3") => segments.join("/"),
        _ => [segments.as_slice(), &["v3"]].concat().join("/"),
    };
    url.set_path(&path);
    Ok(url)
}

fn login(source: &Source<'_>) -> anyhow::Result<Login> {
    let credential = source.first(&["application_credential_id", "application_credential_name"]).is_some();
    match source.get("auth_type").as_deref() {
        Some("v3applicationcredential") => application_credential_login(source),
        Some("password" | "v3password") => password_login(source),
        None if credential => application_credential_login(source),
        None => password_login(source),
        Some(other) => bail!(
            "{} is {other:?}: the portal logs in with `password` or `v3applicationcredential`",
            source.name("auth_type")
        ),
    }
}

fn password_login(source: &Source<'_>) -> anyhow::Result<Login> {
    Ok(Login::Password { user: user(source)?, password: secret(source, "password")? })
}

fn application_credential_login(source: &Source<'_>) -> anyhow::Result<Login> {
    let secret = secret(source, "application_credential_secret")?;
    if let Some(id) = source.get("application_credential_id") {
        return Ok(Login::ApplicationCredential { id, secret });
    }
    let Some(name) = source.get("application_credential_name") else {
        bail!("{} is missing (or application_credential_name and the user)", source.name("application_credential_id"));
    };
    Ok(Login::NamedApplicationCredential { name, secret, user: user(source)? })
}

fn secret(source: &Source<'_>, key: &str) -> anyhow::Result<SecretString> {
    let Some(secret) = source.get(key) else { bail!("{} is missing", source.name(key)) };
    Ok(secret.into())
}

fn user(source: &Source<'_>) -> anyhow::Result<Named> {
    if let Some(id) = source.get("user_id") {
        return Ok(Named::Id(id));
    }
    let Some(name) = source.first(&["username", "user_name"]) else {
        bail!("{} (or user_id) is missing", source.name("username"));
    };
    Ok(Named::Name { name, domain: domain(source, "user_domain_id", "user_domain_name") })
}

fn project(source: &Source<'_>) -> anyhow::Result<Project> {
    if let Some(id) = source.first(&["project_id", "tenant_id"]) {
        return Ok(Named::Id(id));
    }
    let Some(name) = source.first(&["project_name", "tenant_name"]) else {
        bail!("{} (or project_id) is missing: machines belong to a project", source.name("project_name"));
    };
    Ok(Named::Name { name, domain: domain(source, "project_domain_id", "project_domain_name") })
}

/// The domain as given, else the id `default`, as in OpenStack's own tools.
fn domain(source: &Source<'_>, id: &str, name: &str) -> Domain {
    if let Some(id) = source.get(id) {
        return Domain::Id(id);
    }
    match source.first(&[name, "domain_name"]) {
        Some(name) => Domain::Name(name),
        None => Domain::Id(source.first(&["domain_id", "default_domain"]).unwrap_or_else(|| "default".to_owned())),
    }
}

fn interface(source: &Source<'_>) -> anyhow::Result<&'static str> {
    match source.first(&["interface", "endpoint_type"]).as_deref() {
        None | Some("public" | "publicURL") => Ok("public"),
        Some("internal" | "internalURL") => Ok("internal"),
        Some("admin" | "adminURL") => Ok("admin"),
        Some(other) => bail!("{} is {other:?}: write public, internal or admin", source.name("interface")),
    }
}

fn verify(source: &Source<'_>) -> anyhow::Result<bool> {
    let insecure = source.env("OS_INSECURE").filter(|_| matches!(source, Source::Environment { .. }));
    let (name, text, yes_means) = match (insecure, source.get("verify")) {
        (Some(text), _) => ("OS_INSECURE".to_owned(), text, false),
        (None, Some(text)) => (source.name("verify"), text, true),
        (None, None) => return Ok(true),
    };
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(yes_means),
        "false" | "no" | "0" => Ok(!yes_means),
        _ => bail!("{name} must be true or false"),
    }
}

fn expand_home(path: &str, source: &Source<'_>) -> PathBuf {
    match (path.strip_prefix("~/"), source.env("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests;
