//! The journeys on a real OpenStack and a real Kubernetes, of `lab/README.md`.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fast_cloud::web::page::Lang;
use md5::{Digest, Md5};
use tokio::process::Command;

use crate::buckets;
use crate::containers::deploy_use_change_and_delete;
use crate::journey::{rent_use_and_delete, sign_up};
use crate::support::{Browser, Portal, browse_for};

fn lab_dir() -> String {
    std::env::var("FASTCLOUD_LAB_DIR").unwrap_or_else(|_| "/var/lib/fastcloud-lab".to_owned())
}

fn must_be_up() {
    assert!(
        std::env::var("FASTCLOUD_TEST_LAB").is_ok_and(|set| set == "1"),
        "FASTCLOUD_TEST_LAB=1 says that the lab is up"
    );
}

fn portal() -> Portal {
    must_be_up();
    let lab = lab_dir();
    Portal::start(&[
        ("FASTCLOUD_CLOUD__COMPUTE", "openstack"),
        ("OS_CLIENT_CONFIG_FILE", &format!("{lab}/openstack/clouds.yaml")),
        ("OS_CLOUD", "fastcloud"),
        ("FASTCLOUD_INSTANCE_TEMPLATES__IMAGE", "tiny-linux"),
        ("FASTCLOUD_INSTANCE_TEMPLATES__NETWORK", "lab-net"),
        ("FASTCLOUD_INSTANCE_TEMPLATES__SSH_USER", "root"),
        ("FASTCLOUD_INSTANCE_TEMPLATES__SECURITY_GROUPS", r#"["ssh"]"#),
        ("FASTCLOUD_INSTANCE_TEMPLATES__NANO_FLAVOR", "tiny"),
    ])
}

/// A variable of the lab's Kubernetes.
fn kubernetes(name: &str) -> String {
    let variables = std::fs::read_to_string(format!("{}/kubernetes/lab.env", lab_dir())).unwrap();
    let value = variables.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("lab.env has no {name}")).to_owned()
}

/// What `kubectl` says, as an administrator.
fn kubectl(arguments: &[&str]) -> Result<String, String> {
    let mut kubectl = std::process::Command::new(kubernetes("LAB_KUBECTL"));
    kubectl.args(["--kubeconfig", &kubernetes("LAB_ADMIN_KUBECONFIG")]).args(arguments);
    let output = kubectl.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Removes the namespaces that a test makes, however it ends: whoever comes next finds the addresses free.
struct Namespaces {
    before: BTreeSet<String>,
}

impl Namespaces {
    fn all() -> Result<BTreeSet<String>, String> {
        Ok(kubectl(&["get", "namespaces", "-o", "name"])?.lines().map(str::to_owned).collect())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let now = Self::all().unwrap_or_else(|error| {
            eprintln!("what was made in the cluster is left behind: {error}");
            BTreeSet::new()
        });
        for made in now.difference(&self.before) {
            // Nothing may fail while a failed test unwinds.
            if let Err(error) = kubectl(&["delete", made, "--wait=false"]) {
                eprintln!("{made} is left behind: {error}");
            }
        }
    }
}

fn portal_on_kubernetes() -> Portal {
    must_be_up();
    let variable = kubernetes;
    let ingress = variable("LAB_INGRESS_URL");
    let port = ingress.rsplit(':').next().unwrap();
    Portal::start(&[
        ("FASTCLOUD_CLOUD__APPLICATIONS", "kubernetes"),
        ("KUBECONFIG", &variable("LAB_KUBECONFIG")),
        ("FASTCLOUD_APPLICATIONS__URL_PORT", port),
        ("FASTCLOUD_PRACTICE__INGRESS_LISTEN", ""),
        ("FASTCLOUD_KUBERNETES__INGRESS_CLASS", &variable("LAB_INGRESS_CLASS")),
        ("FASTCLOUD_REGISTRIES__MIRRORS", &format!(r#"["docker.io=http://{}"]"#, variable("LAB_REGISTRY"))),
    ])
}

/// Waits until the machine takes connections for SSH, from inside its network.
async fn boots(address: &str) {
    let variables = std::fs::read_to_string(format!("{}/openstack/lab.env", lab_dir())).unwrap();
    let namespace = variables.lines().find_map(|line| line.strip_prefix("LAB_DHCP_NS=")).unwrap();
    let end = Instant::now() + Duration::from_secs(120);
    let connect = format!("exec 3<> /dev/tcp/{address}/22 && read -rt 5 line <&3");
    loop {
        let mut bash = Command::new("ip");
        bash.args(["netns", "exec", namespace, "timeout", "8", "bash", "-c", &connect]).stderr(Stdio::null());
        if bash.status().await.unwrap().success() {
            return;
        }
        assert!(Instant::now() < end, "{address} does not boot");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn the_journey_on_openstack() {
    let portal = portal();
    // Other tests may have the machine, too.
    let limit = Duration::from_secs(180);
    for (lang, login_id) in [(Lang::Ko, "lab.student"), (Lang::En, "lab.guest")] {
        browse_for(&portal, Browser::KOREAN, Duration::from_secs(500), async |page| {
            page.goto("/").await;
            page.choose_language(lang).await;
            sign_up(page, lang, login_id, "").await;
            rent_use_and_delete(page, lang, login_id, limit, boots).await;
            let banner = page.text(".banner").await;
            assert!(banner.contains(&*lang.t("layout.banner_containers")), "machines are real here: {banner}");
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn the_journey_on_kubernetes() {
    must_be_up();
    let _namespaces = Namespaces { before: Namespaces::all().unwrap() };
    let portal = Arc::new(portal_on_kubernetes());
    let limit = Duration::from_secs(90);
    for (lang, login_id, label) in
        [(Lang::Ko, "lab.docker", "lab-journey-ko"), (Lang::En, "lab.sailor", "lab-journey-en")]
    {
        browse_for(&portal, Browser::KOREAN, Duration::from_secs(400), async |page| {
            page.goto("/").await;
            page.choose_language(lang).await;
            page.join(login_id, "하늘").await;
            let banner = page.text(".banner").await;
            assert!(banner.contains(&*lang.t("layout.banner_machines")), "containers are real here: {banner}");
            deploy_use_change_and_delete(page, &portal, lang, (label, label), "response:200", limit).await;
        })
        .await;
    }
}

fn portal_on_swift() -> Portal {
    must_be_up();
    Portal::start(&[
        ("FASTCLOUD_CLOUD__STORAGE", "swift"),
        ("OS_CLIENT_CONFIG_FILE", &format!("{}/openstack/clouds.yaml", lab_dir())),
        ("OS_CLOUD", "fastcloud"),
    ])
}

/// What the `swift` command prints, on the lab's own Swift.
async fn swift(arguments: &[&str]) -> Vec<u8> {
    let script = format!(". {}/openstack/openrc; exec swift --auth-version 3 \"$@\"", lab_dir());
    let output = Command::new("sh").args(["-c", &script, "swift"]).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "swift {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Empties and deletes a container, however a test ends.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let script = format!(". {}/openstack/openrc; exec swift --auth-version 3 delete \"$1\"", lab_dir());
        // What the test has deleted itself is not there any more.
        let _ = std::process::Command::new("sh").args(["-c", &script, "swift", &self.0]).output();
    }
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn the_journey_on_swift() {
    let portal = portal_on_swift();
    let desk = buckets::desk();
    for (lang, login_id, bucket) in
        [(Lang::Ko, "lab.filer", "t-lab-journey-ko"), (Lang::En, "lab.keeper", "t-lab-journey-en")]
    {
        let _container = Container(bucket.to_owned());
        browse_for(&portal, Browser::KOREAN, Duration::from_secs(300), async |page| {
            page.goto("/").await;
            page.choose_language(lang).await;
            page.join(login_id, "하늘").await;
            let banner = page.text(".banner").await;
            assert!(!banner.contains(&*lang.t("layout.banner_files")), "files are real here: {banner}");
            buckets::journey(page, lang, bucket, desk.path()).await;
            // Without any of the portal's code: the same names, and the same bytes.
            let listed = String::from_utf8(swift(&["list", bucket]).await).unwrap();
            let names: BTreeSet<&str> = listed.lines().collect();
            let stored = [
                ("big.bin", "big.bin"),
                ("사진/소풍.png", "사진/소풍.png"),
                ("사진/더/메모.txt", "사진/더/메모.txt"),
                ("정리/report.txt", "보고서 (최종).txt"),
            ];
            assert_eq!(names, stored.iter().map(|(name, _)| *name).collect());
            for (name, source) in stored {
                let bytes = std::fs::read(desk.path().join(source)).unwrap();
                assert!(swift(&["download", bucket, name, "-o", "-"]).await == bytes, "{name} differs");
                let stat = String::from_utf8(swift(&["stat", bucket, name]).await).unwrap();
                let md5 = hex::encode(Md5::digest(&bytes));
                assert!(stat.contains(&md5), "{name} has not the MD5 {md5}: {stat}");
            }
            buckets::remove(page, bucket).await;
        })
        .await;
    }
}
