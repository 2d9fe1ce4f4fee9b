//! The adapter against a real OpenStack, for what a look-alike can't prove. Ignored unless asked for:
//!
//! ```sh
//! export OS_CLIENT_CONFIG_FILE=…/clouds.yaml OS_CLOUD=…
//! cargo test --lib lab_ -- --ignored --test-threads=1 --nocapture
//! ```
//!
//! The project needs an image, a flavor and a network as named below; the load test needs a second one, in which machines cost
//! nothing. Machines are called `adapter-…` and removed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::future::join_all;
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use uuid::Uuid;

use super::{Credentials, OpenStack, Settings};
use crate::cloud::{CheckOutcome, CloudError, Compute, LaunchOrder, OwnerTag, Server, ServerStatus, key_pair_name};
use crate::ids::{AccountId, InstanceId};

const IMAGE: &str = "tiny-linux";
const EXTERNAL: &str = "ext-net";
const PATIENCE: Duration = Duration::from_secs(180);

fn lab() -> OpenStack {
    lab_as(&|name| std::env::var(name).ok())
}

fn lab_as(variable: &dyn Fn(&str) -> Option<String>) -> OpenStack {
    OpenStack::new(Credentials::discover(variable).unwrap(), Settings::default()).unwrap()
}

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn order(name: &str) -> LaunchOrder {
    LaunchOrder {
        owner: OwnerTag { portal: Uuid::new_v4(), instance: InstanceId::new(), account: AccountId::new() },
        name: format!("adapter-{name} 내 서버"),
        image: IMAGE.to_owned(),
        flavor: variable("LAB_FLAVOR", "tiny"),
        network: variable("LAB_NETWORK", "lab-net"),
        security_groups: Vec::new(),
        key_pair: None,
        user_data: None,
    }
}

/// Says what took how long.
struct Watch(Instant);

impl Watch {
    fn lap(&mut self, what: &str) {
        println!("{what}: {:.1} s", self.0.elapsed().as_secs_f32());
        self.0 = Instant::now();
    }
}

async fn until(cloud: &OpenStack, id: Uuid, what: impl Fn(&Server) -> bool) -> Server {
    let began = Instant::now();
    let mut seen = String::new();
    loop {
        let server = cloud.show(id).await.unwrap();
        if server.raw_status != seen {
            println!("    {} ({:?})", server.raw_status, server.status);
            seen = server.raw_status.clone();
        }
        if what(&server) {
            return server;
        }
        assert!(server.status != ServerStatus::Error, "{server:?}");
        assert!(began.elapsed() < PATIENCE, "{server:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn gone(cloud: &OpenStack, id: Uuid) {
    let began = Instant::now();
    while !matches!(cloud.show(id).await, Err(CloudError::NotFound(_))) {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Logs in from inside the network's DHCP namespace, which only works on the machine that the lab runs on.
async fn ssh(network: &str, key: &PrivateKey, address: &str) -> bool {
    let file = std::env::temp_dir().join(format!("adapter-{}", Uuid::new_v4()));
    fs::write(&file, key.to_openssh(LineEnding::LF).unwrap()).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let began = Instant::now();
    let mut done = false;
    while !done && began.elapsed() < PATIENCE {
        let mut ssh = Command::new("ip");
        ssh.args(["netns", "exec", &format!("qdhcp-{network}"), "ssh", "-i", &file.display().to_string()]);
        ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "-o", "StrictHostKeyChecking=no"]);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", &format!("root@{address}"), "true"]);
        done = ssh.output().unwrap().status.success();
        if !done {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    fs::remove_file(file).unwrap();
    done
}

#[tokio::test]
#[ignore = "needs an OpenStack"]
async fn lab_check_and_catalogue() {
    let cloud = lab();
    for line in cloud.check().await {
        println!("{}: {:?}", line.what, line.outcome);
        assert!(matches!(line.outcome, CheckOutcome::Works(_)));
    }
    println!("{:#?}", cloud.catalogue().await.unwrap());
}

#[tokio::test]
#[ignore = "needs an OpenStack"]
async fn lab_life_of_a_machine() {
    let cloud = lab();
    let mut watch = Watch(Instant::now());
    let mut order = order("life");
    let instance = order.owner.instance;
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let public = key.public_key().to_openssh().unwrap();
    let name = key_pair_name(instance);

    cloud.import_key(&name, &public).await.unwrap();
    cloud.import_key(&name, &format!("{public} again")).await.unwrap();
    let other = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap().public_key().to_openssh().unwrap();
    cloud.import_key(&name, &other).await.unwrap();
    cloud.import_key(&name, &public).await.unwrap();
    watch.lap("four imports of a key");

    order.key_pair = Some(name.clone());
    order.security_groups = vec!["ssh".to_owned()];
    let id = cloud.launch(&order).await.unwrap();
    watch.lap("launch");
    // At once: the guest must get its key although the pair is gone long before it asks.
    cloud.delete_key(&name).await.unwrap();
    cloud.delete_key(&name).await.unwrap();
    let found = cloud.find(instance).await.unwrap();
    assert_eq!(found.iter().map(|server| server.id).collect::<Vec<_>>(), [id], "found by its tag at once");
    assert_eq!((found[0].owner, found[0].name.as_str()), (Some(order.owner), order.name.as_str()));
    watch.lap("keys deleted, found");

    let server = until(&cloud, id, |server| server.status == ServerStatus::Active).await;
    watch.lap("active");
    let address = server.address.unwrap().to_string();
    let network = cloud.network_id(&order.network).await.unwrap();
    let key_arrived = ssh(&network, &key, &address).await;
    println!("the key of a deleted pair is in the guest: {key_arrived}");
    watch.lap("ssh");

    let since = server.created_at.unwrap();
    assert!(cloud.list(None).await.unwrap().iter().any(|server| server.id == id));
    assert!(cloud.list(Some(since)).await.unwrap().iter().any(|server| server.id == id));

    let given = cloud.attach_address(id, instance, EXTERNAL).await.unwrap();
    assert_eq!(cloud.attach_address(id, instance, EXTERNAL).await.unwrap(), given);
    watch.lap("floating address, twice");
    until(&cloud, id, |server| server.floating_address == Some(given.address)).await;
    watch.lap("Nova shows it");

    cloud.stop(id).await.unwrap();
    println!("stop again: {:?}", cloud.stop(id).await);
    until(&cloud, id, |server| server.status == ServerStatus::Stopped).await;
    cloud.stop(id).await.unwrap();
    watch.lap("stopped");
    cloud.start(id).await.unwrap();
    println!("start again: {:?}", cloud.start(id).await);
    until(&cloud, id, |server| server.status == ServerStatus::Active).await;
    cloud.start(id).await.unwrap();
    watch.lap("started");
    // A guest that has not come up yet does not hear that it shall restart: Nova waits for it for two minutes.
    assert!(!key_arrived || ssh(&network, &key, &address).await, "the key survives a stop");
    watch.lap("ssh");
    cloud.reboot(id).await.unwrap();
    println!("reboot again: {:?}", cloud.reboot(id).await);
    until(&cloud, id, |server| server.status == ServerStatus::Active).await;
    watch.lap("rebooted");
    if key_arrived {
        assert!(ssh(&network, &key, &address).await, "the key survives a reboot");
    }

    cloud.release_addresses(instance).await.unwrap();
    cloud.release_addresses(instance).await.unwrap();
    watch.lap("address released, twice");
    cloud.delete(id).await.unwrap();
    cloud.delete(id).await.unwrap();
    gone(&cloud, id).await;
    cloud.delete(id).await.unwrap();
    watch.lap("deleted");
    let changed = cloud.list(Some(since)).await.unwrap();
    let last = changed.iter().find(|server| server.id == id).unwrap();
    assert_eq!(last.status, ServerStatus::Deleted);
    assert_eq!(cloud.find(instance).await.unwrap(), []);
    assert!(key_arrived);
}

#[tokio::test]
#[ignore = "needs an OpenStack"]
async fn lab_refusals() {
    let cloud = lab();
    let refusal = async |change: fn(&mut LaunchOrder)| {
        let mut order = order("refused");
        change(&mut order);
        let result = cloud.launch(&order).await;
        println!("{result:?}");
        assert!(matches!(result, Err(CloudError::Rejected(_))));
    };
    refusal(|order| order.image = Uuid::new_v4().to_string()).await;
    refusal(|order| order.image = "no such image".to_owned()).await;
    refusal(|order| order.flavor = Uuid::new_v4().to_string()).await;
    refusal(|order| order.network = Uuid::new_v4().to_string()).await;
    refusal(|order| order.key_pair = Some("no-such-key".to_owned())).await;
    refusal(|order| order.security_groups = vec!["no such group".to_owned()]).await;
    println!("{:?}", cloud.import_key("adapter-bad", "ssh-ed25519 nonsense").await);
    println!("{:?}", cloud.import_key("adapter-가", "ssh-ed25519 nonsense").await);
    println!("{:?}", cloud.attach_address(Uuid::new_v4(), InstanceId::new(), EXTERNAL).await);
    for action in [cloud.start(Uuid::new_v4()).await, cloud.stop(Uuid::new_v4()).await] {
        println!("{action:?}");
        assert!(matches!(action, Err(CloudError::NotFound(_))));
    }
}

#[tokio::test]
#[ignore = "needs an OpenStack, and fills the project's quota"]
async fn lab_quota() {
    let cloud = lab();
    let mut made = Vec::new();
    let refusal = loop {
        match cloud.launch(&order("quota")).await {
            Ok(id) => made.push(id),
            Err(err) => break err,
        }
        assert!(made.len() < 20, "a quota of less than 20 is needed");
    };
    println!("{} were made, then {refusal:?}", made.len());
    for id in &made {
        cloud.delete(*id).await.unwrap();
    }
    assert!(matches!(refusal, CloudError::QuotaExceeded(_)));
}

#[tokio::test]
#[ignore = "needs an OpenStack with room for LAB_LAUNCHES machines"]
async fn lab_many() {
    let cloud = lab_as(&|name| match name {
        "OS_CLOUD" => Some(variable("LAB_SCALE_CLOUD", "fastcloud-scale")),
        name => std::env::var(name).ok(),
    });
    let many = variable("LAB_LAUNCHES", "10").parse::<usize>().unwrap();
    let mut watch = Watch(Instant::now());
    let small = |order: LaunchOrder| LaunchOrder {
        flavor: variable("LAB_SCALE_FLAVOR", "fake.nano"),
        network: variable("LAB_SCALE_NETWORK", "scale-net"),
        ..order
    };
    let orders: Vec<_> = (0..many).map(|_| small(order("many"))).collect();
    let results = join_all(orders.iter().map(|order| cloud.launch(order))).await;
    watch.lap("launches");
    let mut made: Vec<Uuid> = results.iter().filter_map(|result| result.as_ref().ok().copied()).collect();
    // What got no answer may have been made all the same: that is what the tag is for.
    for (order, result) in orders.iter().zip(&results) {
        let Err(failure) = result else { continue };
        let found = cloud.find(order.owner.instance).await.unwrap();
        println!("{failure}; then found: {}", found.len());
        made.extend(found.iter().map(|server| server.id));
    }
    watch.lap("lost answers");
    let listed = cloud.list(None).await.unwrap();
    watch.lap("list");
    let found = made.iter().filter(|id| listed.iter().any(|server| server.id == **id)).count();
    let deleted = join_all(made.iter().map(|id| cloud.delete(*id))).await;
    watch.lap("deletes");
    println!("{} of {many} made, {found} of them listed, at once", made.len());
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    assert_eq!((made.len(), found), (many, many));
}

#[tokio::test]
#[ignore = "needs an OpenStack"]
async fn lab_revoked_token() {
    let cloud = lab();
    // A token that no service has seen: they believe one that they know for minutes after it was revoked.
    let session = cloud.session();
    let http = session.client().inner();
    let request = session.auth_type().authenticate(http, http.get("http://localhost")).await.unwrap().build().unwrap();
    let token = request.headers()["x-auth-token"].to_str().unwrap().to_owned();
    let url = format!("{}/auth/tokens", cloud.session.credentials().auth_url);
    let revoked = http.delete(url).header("x-auth-token", &token).header("x-subject-token", &token).send().await;
    println!("revoked: {}", revoked.unwrap().status());

    let before = cloud.session.token().await.unwrap().generation;
    let answers = join_all((0..20).map(|_| cloud.list(None))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(cloud.session.token().await.unwrap().generation, before + 1);
}
