//! The real thing: the portal as a process, the lab's Kubernetes, and a container's page that is open while somebody
//! scales its Deployment. How long it takes until the database, and until the page, shows what the cluster says.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use diesel::prelude::*;
use fast_cloud::applications::model::Application;
use fast_cloud::db::{self, Db};
use fast_cloud::embedded::Embedded;
use fast_cloud::ids::ApplicationId;
use fast_cloud::schema::applications;
use fast_cloud::settings::Shared;
use futures::{Stream, StreamExt, pin_mut};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use uuid::Uuid;

use super::folder::Folder;
use super::open_page::OpenPage;
use super::portal::Portal;
use super::resident::resident;

const CHANGES: u32 = 24;
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks into the database.
const LOOK: Duration = Duration::from_millis(5);
/// Changes come at any moment of the page's rests: after each one, another part of this is waited.
const PAUSE: Duration = Duration::from_secs(5);
const LABEL: &str = "fast-cloud/application";

/// The variables of the lab's Kubernetes; or why there is no lab.
fn lab() -> Result<BTreeMap<String, String>, String> {
    if std::env::var("FASTCLOUD_TEST_LAB").is_ok_and(|set| set == "1") {
        let dir = std::env::var("FASTCLOUD_LAB_DIR").unwrap_or_else(|_| "/var/lib/fastcloud-lab".to_owned());
        let file = PathBuf::from(dir).join("kubernetes/lab.env");
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        return Ok(text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect());
    }
    Err("FASTCLOUD_TEST_LAB is not 1".to_owned())
}

/// Measures and prints; without the lab, says that it was left out.
pub async fn measure() -> anyhow::Result<()> {
    let lab = match lab() {
        Ok(lab) => lab,
        Err(why) => {
            println!("left out, without the lab: from a change in a cluster to an open page ({why})");
            return Ok(());
        }
    };
    let var = |name: &str| lab.get(name).with_context(|| format!("lab.env has no {name}"));
    let options = KubeConfigOptions::default();
    let login = Kubeconfig::read_from(var("LAB_ADMIN_KUBECONFIG")?)?;
    let admin = Client::try_from(kube::Config::from_custom_kubeconfig(login, &options).await?)?;
    let variables = [
        ("KUBECONFIG", var("LAB_KUBECONFIG")?.clone()),
        ("FASTCLOUD_CLOUD__APPLICATIONS", "kubernetes".to_owned()),
        ("FASTCLOUD_APPLICATIONS__BASE_DOMAIN", "apps.localhost".to_owned()),
        ("FASTCLOUD_KUBERNETES__INGRESS_CLASS", var("LAB_INGRESS_CLASS")?.clone()),
        ("FASTCLOUD_REGISTRIES__MIRRORS", format!(r#"["docker.io=http://{}"]"#, var("LAB_REGISTRY")?)),
    ];
    let folder = Folder::new("page")?;
    let portal = Portal::start(folder.path(), &variables).await?;
    // The portal's own database: it is there already, and used together.
    let database = Embedded::start(folder.path())?;
    let id = Shared::load(&mut db::connect(&database.url)?)?.portal;
    let outcome = changes(&portal, Db::new(&database.url, 1, PATIENCE), &admin).await;
    drop(portal);
    let cleaned = clean(admin, id).await;
    outcome.and(cleaned)
}

/// Removes all that this portal has made in the cluster, however the measuring ended.
async fn clean(admin: Client, portal: Uuid) -> anyhow::Result<()> {
    let spaces: Api<Namespace> = Api::all(admin);
    for space in spaces.list(&ListParams::default().labels(&format!("fast-cloud/portal={portal}"))).await? {
        spaces.delete(&space.name_any(), &DeleteParams::default()).await?;
    }
    Ok(())
}

async fn changes(portal: &Portal, db: Db, admin: &Client) -> anyhow::Result<()> {
    let mut browser = portal.browser()?;
    browser.sign_up("bench-student").await?;
    let form = browser.get("/applications/new").await?;
    let key = form.split("name=\"launch_key\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let key = key.context("the form has no key")?;
    let fields = [
        ("name", "bench-page"),
        ("image", "hello:1"),
        ("external_port", "80"),
        ("internal_port", "80"),
        ("launch_key", key),
    ];
    browser.submit("/applications/new", "/applications", &fields).await?;
    let application = db.run(|conn| Ok(applications::table.select(Application::as_select()).first(conn)?)).await?;

    let mut page = OpenPage::open(browser, &format!("/applications/{}", application.id)).await?;
    within("the container runs", page.until(|page| running(page) == 1)).await?;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), &application.namespace);
    let labels = watcher::Config::default().labels(&format!("{LABEL}={}", application.id));
    let (tell, mut told) = watch::channel((Instant::now(), 0));
    let watching = tokio::spawn(async move { ready_pods(watcher::watcher(pods, labels), &tell).await });
    within("the cluster tells", told.wait_for(|(_, ready)| *ready == 1)).await?;

    let deployments: Api<Deployment> = Api::namespaced(admin.clone(), &application.namespace);
    let (mut to_database, mut to_page) = (Vec::new(), Vec::new());
    for n in 0..CHANGES {
        // The golden ratio's multiples are spread evenly, however many there are.
        tokio::time::sleep(PAUSE.mul_f64((f64::from(n) * 0.618_034).fract())).await;
        let wanted = if n % 2 == 0 { 2 } else { 1 };
        let scale = Patch::Merge(serde_json::json!({"spec": {"replicas": wanted}}));
        deployments.patch_scale(&application.deployment_name, &PatchParams::default(), &scale).await?;
        let in_cluster = async { Ok(told.wait_for(|(_, ready)| *ready == wanted).await?.0) };
        let (said, written, shown) = within(
            "a change is shown",
            futures::future::try_join3(
                in_cluster,
                written(&db, application.id, wanted),
                page.until(|page| running(page) == wanted),
            ),
        )
        .await?;
        to_database.push(written.saturating_duration_since(said));
        to_page.push(shown.saturating_duration_since(said));
    }
    watching.abort();
    println!(
        "in the lab, {CHANGES} changes (a pod more is ready, a pod fewer is), from when the cluster tells an admin:"
    );
    print("until the portal's database has it", to_database);
    print("until an open page shows it", to_page);
    println!("  the portal's process: {:.1} MB", resident(portal.pid())?.0);
    Ok(())
}

async fn within<T, E>(what: &str, work: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    anyhow::Error: From<E>,
{
    let done = tokio::time::timeout(PATIENCE, work).await;
    Ok(done.with_context(|| format!("not within {} s: {what}", PATIENCE.as_secs()))??)
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: f64| times.get((times.len() as f64 * part).ceil() as usize - 1).map_or(0, Duration::as_millis);
    println!("  {what}: median {} ms, 95th percentile {} ms", at(0.5), at(0.95));
}

/// Tells how many pods are ready and not leaving, as the cluster tells it to anybody.
async fn ready_pods(
    events: impl Stream<Item = Result<watcher::Event<Pod>, watcher::Error>>,
    tell: &watch::Sender<(Instant, usize)>,
) -> anyhow::Result<()> {
    pin_mut!(events);
    let mut pods = HashMap::new();
    while let Some(event) = events.next().await {
        match event? {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                pods.insert(pod.name_any(), is_ready(&pod));
            }
            watcher::Event::Delete(pod) => {
                pods.remove(&pod.name_any());
            }
            watcher::Event::Init => pods.clear(),
            watcher::Event::InitDone => {}
        }
        let ready = pods.values().filter(|ready| **ready).count();
        tell.send_if_modified(|(at, told)| {
            let changed = *told != ready;
            if changed {
                (*at, *told) = (Instant::now(), ready);
            }
            changed
        });
    }
    Ok(())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.filter(|condition| condition.type_ == "Ready").any(|condition| condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// When the row says so.
async fn written(db: &Db, id: ApplicationId, wanted: usize) -> anyhow::Result<Instant> {
    loop {
        let row = db.run(move |conn| Ok(applications::table.find(id).select(Application::as_select()).first(conn)?));
        let pods = row.await?.observed().map(|seen| seen.pods).unwrap_or_default();
        if pods.iter().filter(|pod| pod.ready && !pod.deleting).count() == wanted {
            return Ok(Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Pods on the page that are ready.
fn running(page: &str) -> usize {
    let pods = page.split("<ul class=\"pods\">").nth(1).and_then(|rest| rest.split("</ul>").next());
    pods.map_or(0, |pods| pods.matches("data-status=\"running\"").count())
}
