//! The adapter against a real Kubernetes, for what a look-alike can't prove. Ignored unless asked for:
//!
//! ```sh
//! lab/up kubernetes
//! . /var/lib/fastcloud-lab/kubernetes/lab.env
//! KUBECONFIG=$LAB_KUBECONFIG cargo test --lib kubernetes::lab -- --ignored --test-threads=1 --nocapture
//! ```
//!
//! The images are those of the lab's registry. Each test makes an account's namespace of its own, and removes it as the
//! administrator (`LAB_ADMIN_KUBECONFIG`), which the portal can't.

mod failures;
mod faults;
mod life;
mod walls;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Kubernetes;
use crate::cloud::cluster::{
    AppOwner, Cluster, DeployOrder, NamespaceLimits, NamespaceOrder, Observed, Part, PodSeen, namespace,
};
use crate::config::Config;
use crate::ids::{AccountId, ApplicationId};

const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(250);
/// How long the ingress answers without a failure before it counts as ready for requests.
const STEADY: Duration = Duration::from_secs(2);

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

async fn connect() -> Kubernetes {
    let config = Config::defaults().unwrap().kubernetes;
    Kubernetes::connect(&config).await.unwrap()
}

fn kubectl(arguments: &[&str]) -> Output {
    let admin = variable("LAB_ADMIN_KUBECONFIG", "/var/lib/fastcloud-lab/kubernetes/admin.kubeconfig");
    let program = variable("LAB_KUBECTL", "kubectl");
    Command::new(program).args(arguments).env("KUBECONFIG", admin).output().unwrap()
}

fn kubectl_text(arguments: &[&str]) -> String {
    let output = kubectl(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An account with its namespace, which goes with it.
struct Account {
    cluster: Kubernetes,
    portal: Uuid,
    account: AccountId,
}

impl Drop for Account {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", &self.namespace(), "--ignore-not-found", "--wait=false"]);
    }
}

impl Account {
    async fn new() -> Self {
        let new = Self { cluster: connect().await, portal: Uuid::new_v4(), account: AccountId::new() };
        new.prepare().await;
        new
    }

    async fn prepare(&self) {
        self.cluster.prepare(&self.namespace_order()).await.unwrap();
    }

    fn namespace(&self) -> String {
        namespace(self.account)
    }

    fn namespace_order(&self) -> NamespaceOrder {
        let limits = NamespaceLimits { applications: 12, pods: 20, cpu_millis: 4_000, memory_mb: 4_096 };
        NamespaceOrder { portal: self.portal, account: self.account, limits }
    }

    fn order(&self, image: &str) -> DeployOrder {
        let owner = AppOwner { portal: self.portal, account: self.account, application: ApplicationId::new() };
        DeployOrder {
            owner,
            image: image.to_owned(),
            pull_always: false,
            internal_port: 80,
            external_port: 80,
            replicas: 1,
            cpu_millis: 250,
            memory_mb: 64,
            variables: Vec::new(),
            secret_names: Vec::new(),
            revision: 1,
            host: format!("{}.apps.test", owner.application),
        }
    }

    async fn deploy(&self, order: &DeployOrder) {
        self.cluster.apply_deployment(order).await.unwrap();
        self.cluster.apply_service(order).await.unwrap();
        self.cluster.apply_ingress(order).await.unwrap();
    }

    async fn remove(&self, owner: AppOwner) {
        for part in [Part::Ingress, Part::Service, Part::Deployment, Part::Secret] {
            self.cluster.delete(owner, part).await.unwrap();
        }
    }

    async fn until(&self, owner: AppOwner, what: &str, is_so: impl Fn(&Observed) -> bool) -> Observed {
        let began = Instant::now();
        loop {
            let seen = self.cluster.show(owner).await.unwrap();
            if is_so(&seen) {
                println!("    {what}: {:.1} s", began.elapsed().as_secs_f32());
                return seen;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {seen:#?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn until_ready(&self, order: &DeployOrder) -> Observed {
        self.until(order.owner, &format!("{} ready", order.image), |seen| is_settled(seen, order)).await
    }

    async fn until_gone(&self, owner: AppOwner) {
        let began = Instant::now();
        loop {
            let presence = self.cluster.presence(owner).await.unwrap();
            if presence.is_gone() {
                println!("    gone: {:.1} s", began.elapsed().as_secs_f32());
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{presence:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether all pods are those that were ordered, and answer.
fn is_settled(seen: &Observed, order: &DeployOrder) -> bool {
    let Some(deployment) = &seen.deployment else { return false };
    deployment.observed_generation >= deployment.generation
        && deployment.revision == order.revision
        && [deployment.updated, deployment.available, deployment.ready, deployment.total] == [order.replicas; 4]
        && live(seen).filter(|pod| pod.ready).count() == order.replicas as usize
}

fn live(seen: &Observed) -> impl Iterator<Item = &PodSeen> {
    seen.pods.iter().filter(|pod| !pod.deleting)
}

/// What the ingress answers for a host.
async fn get(host: &str) -> Result<(u16, String), reqwest::Error> {
    let url = variable("LAB_INGRESS_URL", "http://127.0.0.1:8088");
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(10)).build()?;
    let answer = client.get(url).header("host", host).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

async fn until_answers(host: &str, expected: u16) -> String {
    let began = Instant::now();
    loop {
        let answer = get(host).await;
        if let Ok((status, text)) = &answer
            && *status == expected
        {
            println!("    the ingress answers {expected}: {:.1} s", began.elapsed().as_secs_f32());
            return text.clone();
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the ingress has answered 200 to all requests for [`STEADY`]. After it has read its configuration anew, an
/// nginx's old worker still takes connections for a tenth of a second beside the new one, and it knows of no pod.
async fn until_steady(host: &str) {
    let began = Instant::now();
    let mut since = None;
    loop {
        let answer = get(host).await;
        if matches!(answer, Ok((200, _))) {
            if since.get_or_insert_with(Instant::now).elapsed() > STEADY {
                return;
            }
        } else {
            assert!(began.elapsed() < PATIENCE, "{answer:?}");
            since = None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
