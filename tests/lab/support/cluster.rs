//! The lab's Kubernetes by its own tools, written without any of the portal's code: `kubectl` as an administrator, and a
//! browser's requests to the ingress.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt;
use serde_json::Value;
use tokio::process::Command;

use super::portal::Setup;
use super::until;

pub struct Cluster {
    vars: BTreeMap<String, String>,
    http: reqwest::Client,
}

/// A test: the cluster is there, and what is left in it is removed, however the test ends.
pub async fn run_containers(body: impl AsyncFnOnce(&Cluster)) {
    let cluster = Cluster::open().await;
    let before = cluster.namespaces().await;
    let result = AssertUnwindSafe(body(&cluster)).catch_unwind().await;
    cluster.api_server("start").await;
    // What portals of this test have made, whether it came to its end or not.
    for namespace in cluster.namespaces().await.difference(&before) {
        let gone = cluster.kubectl(&["delete", "namespace", namespace, "--wait=false"]).await;
        assert!(gone.is_ok(), "{gone:?}");
    }
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

impl Cluster {
    async fn open() -> Self {
        let dir = std::env::var("FASTCLOUD_LAB_DIR").unwrap_or_else(|_| "/var/lib/fastcloud-lab".to_owned());
        let file = PathBuf::from(dir).join("kubernetes/lab.env");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| {
            panic!("there is no lab: start it with `lab/up kubernetes` ({}: {error})", file.display())
        });
        let vars = text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
        // A connection for each request, as curl makes it: one that was kept would hide what a new one meets.
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).pool_max_idle_per_host(0);
        let cluster = Self { vars: vars.collect(), http: http.build().unwrap() };
        let version = cluster.kubectl(&["version", "-o", "json"]).await;
        assert!(version.is_ok(), "the lab is not up: start it with `lab/up kubernetes` ({version:?})");
        cluster
    }

    pub fn var(&self, name: &str) -> &str {
        self.vars.get(name).unwrap_or_else(|| panic!("lab.env has no {name}: run `lab/up kubernetes` again"))
    }

    /// How a portal is started that runs containers here and pretends machines.
    pub fn setup(&self) -> Setup {
        let port = self.var("LAB_INGRESS_URL").rsplit(':').next().unwrap().to_owned();
        Setup::empty()
            .set("KUBECONFIG", self.var("LAB_KUBECONFIG"))
            .set("FASTCLOUD_CLOUD__APPLICATIONS", "kubernetes")
            .set("FASTCLOUD_APPLICATIONS__BASE_DOMAIN", "apps.localhost")
            .set("FASTCLOUD_APPLICATIONS__URL_PORT", port)
            .set("FASTCLOUD_APPLICATIONS__UNSCHEDULABLE_SECONDS", "5")
            .set("FASTCLOUD_KUBERNETES__INGRESS_CLASS", self.var("LAB_INGRESS_CLASS"))
            .set("FASTCLOUD_REGISTRIES__MIRRORS", format!(r#"["docker.io=http://{}"]"#, self.var("LAB_REGISTRY")))
    }

    /// Runs `kubectl` as an administrator; its output, or what it complained of.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.kubectl_as(self.var("LAB_ADMIN_KUBECONFIG"), arguments).await
    }

    /// Runs `kubectl` with the portal's own rights.
    pub async fn kubectl_as_portal(&self, arguments: &[&str]) -> Result<String, String> {
        self.kubectl_as(self.var("LAB_KUBECONFIG"), arguments).await
    }

    async fn kubectl_as(&self, kubeconfig: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(self.var("LAB_KUBECTL"));
        command.arg("--kubeconfig").arg(kubeconfig).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(90), command.output()).await;
        let output = output.map_err(|_| format!("kubectl {arguments:?} hangs"))?.map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stdout) + &text(&output.stderr))
        }
    }

    /// `kubectl get … -o json`.
    pub async fn get(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = ["get", "-o", "json"].iter().chain(arguments).copied().collect();
        let text = self.kubectl(&arguments).await.unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}: {text}"))
    }

    /// Objects of a kind that carry an application's label, in all namespaces.
    pub async fn of(&self, kind: &str, application: &str) -> Vec<Value> {
        let list = self.get(&[kind, "-A", "-l", &format!("fast-cloud/application={application}")]).await;
        list["items"].as_array().unwrap().clone()
    }

    /// The namespace that an application is in.
    pub async fn namespace(&self, application: &str) -> String {
        let deployments = self.of("deployments", application).await;
        let meta = &deployments.first().unwrap_or_else(|| panic!("no Deployment of {application}"))["metadata"];
        meta["namespace"].as_str().unwrap().to_owned()
    }

    /// Everything that an application may be made of, by kind and name.
    pub async fn objects(&self, application: &str) -> BTreeSet<String> {
        let kinds = "deployments,replicasets,pods,services,ingresses,secrets";
        let list = self.of(kinds, application).await;
        list.iter()
            .map(|o| format!("{} {}", o["kind"].as_str().unwrap(), o["metadata"]["name"].as_str().unwrap()))
            .collect()
    }

    /// What stands in a namespace, apart from what the account itself has.
    pub async fn in_namespace(&self, namespace: &str) -> BTreeSet<String> {
        let kinds = "deployments,replicasets,pods,services,ingresses,secrets,configmaps";
        let list = self.get(&[kinds, "-n", namespace]).await;
        let names = list["items"].as_array().unwrap().iter();
        let names =
            names.map(|o| format!("{} {}", o["kind"].as_str().unwrap(), o["metadata"]["name"].as_str().unwrap()));
        // Kubernetes' own: the token of the namespace's default account, and its certificate.
        names.filter(|n| !n.starts_with("Secret default-token-") && n != "ConfigMap kube-root-ca.crt").collect()
    }

    /// A request to the ingress, as a browser would send it for this host.
    pub async fn browse(&self, host: &str) -> Result<(u16, String), String> {
        let url = format!("{}/", self.var("LAB_INGRESS_URL"));
        let answer = self.http.get(url).header("host", host).send().await.map_err(|error| format!("{error:?}"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.map_err(|error| format!("{error:?}"))?))
    }

    /// Waits until a host answers with this status and text.
    pub async fn answers(&self, host: &str, status: u16, text: &str, seconds: u64) -> String {
        until(&format!("{status} with {text:?} from {host}"), seconds, async || match self.browse(host).await {
            Ok((seen, body)) if seen == status && body.contains(text) => Ok(body),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    /// `stop`, `start`, `freeze`, `thaw` the API server.
    pub async fn api_server(&self, what: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/kubernetes/apiserver");
        let output = Command::new(script).arg(what).stdin(Stdio::null()).output().await.unwrap();
        assert!(output.status.success(), "apiserver {what}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Accounts' namespaces.
    async fn namespaces(&self) -> BTreeSet<String> {
        let list = self.get(&["namespaces", "-l", "app.kubernetes.io/managed-by=fast-cloud"]).await;
        let names = list["items"].as_array().unwrap().iter();
        names.map(|space| space["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }
}
