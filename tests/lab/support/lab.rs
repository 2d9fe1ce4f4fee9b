//! The lab: where it is, and cleaning up in it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::process::Command;

use super::stack::{SCALE, STUDENTS, Stack};
use super::until;

/// What every machine of these tests is called at its beginning.
const PREFIX: &str = "t-lab-";

/// Rows that the tests have seen: what carries their ids in the cloud is ours to remove.
static ROWS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

pub fn remember_row(id: &str) {
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
}

pub struct Lab {
    pub dir: PathBuf,
    vars: BTreeMap<String, String>,
    pub students: Stack,
    pub scale: Stack,
}

/// A test: the lab is there, and what is left in it is removed, however the test ends.
pub async fn run(body: impl AsyncFnOnce(&Lab)) {
    let lab = Lab::open().await;
    lab.clean().await;
    let result = AssertUnwindSafe(body(&lab)).catch_unwind().await;
    lab.clean().await;
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

impl Lab {
    async fn open() -> Self {
        let dir = std::env::var("FASTCLOUD_LAB_DIR").unwrap_or_else(|_| "/var/lib/fastcloud-lab".to_owned());
        let dir = PathBuf::from(dir).join("openstack");
        let file = std::fs::read_to_string(dir.join("lab.env")).unwrap_or_else(|error| {
            panic!("there is no lab: start it with `lab/up openstack` ({}: {error})", dir.join("lab.env").display())
        });
        let vars = file.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let login = async |cloud| match Stack::login(&dir.join("clouds.yaml"), cloud).await {
            Ok(stack) => stack,
            Err(error) => panic!("the lab is not up: start it with `lab/up openstack` ({error})"),
        };
        Self { vars: vars.collect(), students: login(STUDENTS).await, scale: login(SCALE).await, dir }
    }

    pub fn var(&self, name: &str) -> &str {
        self.vars.get(name).unwrap_or_else(|| panic!("lab.env has no {name}: run `lab/up openstack` again"))
    }

    pub fn clouds_yaml(&self) -> PathBuf {
        self.dir.join("clouds.yaml")
    }

    /// A name that cleaning up knows.
    pub fn name(&self, name: &str) -> String {
        format!("{PREFIX}{name}")
    }

    /// Runs a command in the machine by SSH, from inside a network namespace, until it answers.
    pub async fn ssh(&self, namespace: &str, key: &str, address: &str, command: &str) -> String {
        let file = std::env::temp_dir().join(format!("t-lab-key-{}", uuid::Uuid::new_v4()));
        std::fs::write(&file, key).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let said = until("reachable by SSH", 120, async || {
            let mut ssh = Command::new("ip");
            ssh.args(["netns", "exec", namespace, "ssh", "-i"]).arg(&file);
            ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "StrictHostKeyChecking=no"]);
            ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"]);
            ssh.arg(format!("root@{address}")).arg(command).stdin(Stdio::null()).kill_on_drop(true);
            match tokio::time::timeout(Duration::from_secs(20), ssh.output()).await {
                Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
                Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("ssh hangs".to_owned()),
            }
        })
        .await;
        std::fs::remove_file(&file).unwrap();
        said
    }

    /// The machines of these tests, in a cloud.
    pub async fn servers(&self, stack: &Stack) -> Vec<super::stack::Server> {
        stack.servers().await.into_iter().filter(|server| server.name.starts_with(PREFIX)).collect()
    }

    /// Names of key pairs that were made for rows of these tests and are still there.
    pub async fn keys_left(&self, stack: &Stack) -> Vec<String> {
        let rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ours = |name: &String| name.strip_prefix("fast-cloud-").is_some_and(|id| rows.contains(id));
        stack.key_pairs().await.into_iter().filter(ours).collect()
    }

    /// Ids of floating addresses that were made for rows of these tests and are still there.
    pub async fn addresses_left(&self, stack: &Stack) -> Vec<String> {
        let rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let addresses = stack.floating_addresses().await.into_iter();
        let ours = |text: &str| text.strip_prefix("fast-cloud ").is_some_and(|id| rows.contains(id));
        addresses.filter(|(_, _, description)| ours(description)).map(|(id, ..)| id).collect()
    }

    async fn clean(&self) {
        for stack in [&self.students, &self.scale] {
            let mut removed = BTreeSet::new();
            // Again and again: an order that was on its way to Nova may be carried out only now.
            until("empty", 600, async || {
                let servers = self.servers(stack).await;
                for server in &servers {
                    server.instance.iter().for_each(|id| remember_row(id));
                    if removed.insert(server.id.clone()) {
                        stack.delete_server(&server.id).await;
                    }
                }
                match servers.len() {
                    0 => Ok(()),
                    n => Err(format!("{n} machines are left in {}", stack.cloud)),
                }
            })
            .await;
            for name in self.keys_left(stack).await {
                stack.delete_key_pair(&name).await;
            }
            for id in self.addresses_left(stack).await {
                stack.delete_floating_address(&id).await;
            }
            if !removed.is_empty() {
                println!("    cleaned up: {} machines in {}", removed.len(), stack.cloud);
            }
        }
    }
}
