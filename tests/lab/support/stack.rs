//! OpenStack by its own APIs, written without any of the portal's code.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// The lab's clouds: real guests, and the fake driver's.
pub const STUDENTS: &str = "fastcloud";
pub const SCALE: &str = "fastcloud-scale";
const ADMIN: &str = "fastcloud-admin";

/// A login.
pub struct Stack {
    pub cloud: String,
    http: Client,
    token: String,
    user: String,
    catalogue: Value,
    pub project: String,
    clouds_yaml: std::path::PathBuf,
}

/// A server as Nova shows it.
#[derive(Debug, Clone)]
pub struct Server {
    pub id: String,
    pub name: String,
    pub status: String,
    /// Our metadata: of which row, of whose account, of which portal.
    pub instance: Option<String>,
    pub account: Option<String>,
    pub portal: Option<String>,
    pub tags: Vec<String>,
}

/// Writes what it wants to know into `field` of an entry of `clouds.yaml`.
fn entry(file: &Path, cloud: &str) -> Result<serde_yaml_ng::Value, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let all: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).map_err(|error| error.to_string())?;
    all.get("clouds").and_then(|clouds| clouds.get(cloud)).cloned().ok_or_else(|| format!("no cloud {cloud}"))
}

/// A `clouds.yaml` like another one, whose Keystone is elsewhere.
pub fn redirected(file: &Path, cloud: &str, auth_url: &str) -> String {
    let mut entry = entry(file, cloud).unwrap();
    entry["auth"]["auth_url"] = auth_url.into();
    let mut clouds = serde_yaml_ng::Mapping::new();
    clouds.insert(cloud.into(), entry);
    let mut file = serde_yaml_ng::Mapping::new();
    file.insert("clouds".into(), clouds.into());
    serde_yaml_ng::to_string(&file).unwrap()
}

impl Stack {
    pub async fn login(clouds_yaml: &Path, cloud: &str) -> Result<Self, String> {
        let entry = entry(clouds_yaml, cloud)?;
        let get = |key: &str| entry["auth"][key].as_str().unwrap_or_default().to_owned();
        let http = Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        let domain = json!({"name": "Default"});
        let user = json!({"name": get("username"), "password": get("password"), "domain": domain});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": get("project_name"), "domain": domain}},
        }});
        let url = format!("{}/auth/tokens", get("auth_url"));
        let answer = http.post(&url).json(&body).send().await.map_err(|error| format!("Keystone: {error}"))?;
        let token = answer.headers().get("x-subject-token").and_then(|token| token.to_str().ok()).map(str::to_owned);
        let token = token.ok_or_else(|| format!("Keystone answers {}", answer.status()))?;
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        Ok(Self {
            cloud: cloud.to_owned(),
            http,
            token,
            user: body["token"]["user"]["id"].as_str().unwrap_or_default().to_owned(),
            project: body["token"]["project"]["id"].as_str().unwrap_or_default().to_owned(),
            catalogue: body["token"]["catalog"].clone(),
            clouds_yaml: clouds_yaml.to_owned(),
        })
    }

    /// The public address of a service in the catalogue.
    pub fn endpoint(&self, kind: &str) -> String {
        let services = self.catalogue.as_array().unwrap();
        let service = services.iter().find(|service| service["type"] == kind).unwrap();
        let endpoints = service["endpoints"].as_array().unwrap();
        let public = endpoints.iter().find(|endpoint| endpoint["interface"] == "public").unwrap();
        public["url"].as_str().unwrap().trim_end_matches('/').to_owned()
    }

    async fn call(&self, method: Method, url: String, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method.clone(), &url).header("x-auth-token", &self.token);
        request = request.header("x-openstack-nova-api-version", "2.79");
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn nova(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call(method, format!("{}{path}", self.endpoint("compute")), body).await
    }

    async fn neutron(&self, method: Method, path: &str) -> (StatusCode, Value) {
        self.call(method, format!("{}/v2.0{path}", self.endpoint("network")), None).await
    }

    pub async fn servers(&self) -> Vec<Server> {
        let (status, list) = self.nova(Method::GET, "/servers/detail", None).await;
        assert!(status.is_success(), "{list}");
        list["servers"].as_array().unwrap().iter().map(Server::read).collect()
    }

    pub async fn server(&self, id: &str) -> Option<Server> {
        let (status, body) = self.nova(Method::GET, &format!("/servers/{id}"), None).await;
        status.is_success().then(|| Server::read(&body["server"]))
    }

    pub async fn delete_server(&self, id: &str) {
        let (status, body) = self.nova(Method::DELETE, &format!("/servers/{id}"), None).await;
        assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{status} {body}");
    }

    /// `os-stop` and the like.
    pub async fn action(&self, id: &str, action: &str) {
        let (status, body) =
            self.nova(Method::POST, &format!("/servers/{id}/action"), Some(json!({action: null}))).await;
        assert!(status.is_success(), "{status} {body}");
    }

    /// A server without the portal's doing; `metadata` may lie.
    pub async fn create_server(&self, name: &str, parts: [&str; 3], metadata: Value) -> String {
        let [image, flavor, network] = parts;
        let (_, flavors) = self.nova(Method::GET, "/flavors", None).await;
        let flavor = flavors["flavors"].as_array().unwrap().iter().find(|one| one["name"] == flavor).unwrap();
        let body = json!({"server": {"name": name, "imageRef": image, "flavorRef": flavor["id"],
            "networks": [{"uuid": network}], "metadata": metadata}});
        let (status, body) = self.nova(Method::POST, "/servers", Some(body)).await;
        assert!(status.is_success(), "{status} {body}");
        body["server"]["id"].as_str().unwrap().to_owned()
    }

    pub async fn key_pairs(&self) -> Vec<String> {
        let (_, list) = self.nova(Method::GET, "/os-keypairs", None).await;
        let names = list["keypairs"].as_array().unwrap().iter();
        names.map(|item| item["keypair"]["name"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn delete_key_pair(&self, name: &str) {
        self.nova(Method::DELETE, &format!("/os-keypairs/{name}"), None).await;
    }

    /// Id, address and description.
    pub async fn floating_addresses(&self) -> Vec<(String, String, String)> {
        let (_, list) = self.neutron(Method::GET, "/floatingips").await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = list["floatingips"].as_array().unwrap().iter();
        all.map(|one| (text(&one["id"]), text(&one["floating_ip_address"]), text(&one["description"]))).collect()
    }

    pub async fn delete_floating_address(&self, id: &str) {
        self.neutron(Method::DELETE, &format!("/floatingips/{id}")).await;
    }

    fn application_credentials(&self) -> String {
        format!("{}/users/{}/application_credentials", self.endpoint("identity"), self.user)
    }

    /// Makes an application credential; its id and secret.
    pub async fn create_application_credential(&self, name: &str) -> (String, String) {
        let body = json!({"application_credential": {"name": name}});
        let (status, body) = self.call(Method::POST, self.application_credentials(), Some(body)).await;
        assert!(status.is_success(), "{status} {body}");
        let text = |key: &str| body["application_credential"][key].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    pub async fn delete_application_credential(&self, id: &str) {
        let (status, body) = self.call(Method::DELETE, format!("{}/{id}", self.application_credentials()), None).await;
        assert!(status.is_success(), "{status} {body}");
    }

    /// A value of the login's `auth`.
    pub fn auth(&self, key: &str) -> String {
        entry(&self.clouds_yaml, &self.cloud).unwrap()["auth"][key].as_str().unwrap_or_default().to_owned()
    }

    /// Sets how many instances the project may have, as the admin; returns how many it could.
    pub async fn set_instances_quota(&self, instances: i64) -> i64 {
        let admin = Self::login(&self.clouds_yaml, ADMIN).await.unwrap();
        let path = format!("/os-quota-sets/{}", self.project);
        let (_, before) = admin.nova(Method::GET, &path, None).await;
        let body = json!({"quota_set": {"instances": instances, "force": true}});
        let (status, after) = admin.nova(Method::PUT, &path, Some(body)).await;
        assert!(status.is_success(), "{status} {after}");
        before["quota_set"]["instances"].as_i64().unwrap()
    }
}

impl Server {
    fn read(server: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let meta = |key: &str| text(&server["metadata"][key]);
        Self {
            id: text(&server["id"]).unwrap(),
            name: text(&server["name"]).unwrap_or_default(),
            status: text(&server["status"]).unwrap_or_default(),
            instance: meta("fast_cloud_instance"),
            account: meta("fast_cloud_account"),
            portal: meta("fast_cloud_portal"),
            tags: server["tags"].as_array().into_iter().flatten().filter_map(text).collect(),
        }
    }
}
