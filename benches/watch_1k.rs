//! What a thousand applications in the watch of a cluster cost: memory, and the time from a change there until it is told.
//!
//! Promised: below [`PROMISED_KB`] an application, and a change is told within [`PROMISED`] (median).
//!
//! Where the lab is up (`FASTCLOUD_TEST_LAB=1`), also the way from a change in a real cluster to an open page; of that
//! nothing is promised.

#[path = "support/apiserver.rs"]
mod apiserver;
#[path = "support/browser.rs"]
mod browser;
#[path = "support/folder.rs"]
mod folder;
#[path = "support/lab_page.rs"]
mod lab_page;
#[path = "support/open_page.rs"]
mod open_page;
#[path = "support/portal.rs"]
mod portal;
#[path = "support/resident.rs"]
mod resident;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fast_cloud::cloud::cluster::{Cluster, Observed};
use fast_cloud::cloud::kubernetes::Kubernetes;
use fast_cloud::config::Config;
use uuid::Uuid;

use self::apiserver::Server;
use self::folder::Folder;
use self::resident::resident;

const APPLICATIONS: usize = 1_000;
const CHANGES: usize = 101;
const PROMISED_KB: f64 = 10.0;
const PROMISED: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(60);

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    if apiserver::served().await? || !folder::measures() {
        return Ok(());
    }
    let folder = Folder::new("watch")?;
    let portal = Uuid::new_v4();
    let (few, first) = (watched(&folder, portal, 1).await?, resident(std::process::id())?.0);
    drop(few);
    let (many, (last, most)) = (watched(&folder, portal, APPLICATIONS).await?, resident(std::process::id())?);
    let each = (last - first) * 1e3 / APPLICATIONS as f64;
    println!("{APPLICATIONS} applications, each a Deployment and a pod: {each:.1} kB each");
    println!("the process: {first:.1} MB with one, {last:.1} MB with all, at most {most:.1} MB while they were listed");

    let median = told(many).await?;
    println!("from a change until it is told, median of {CHANGES}: {} ms", median.as_millis());
    ensure!(each < PROMISED_KB, "an application takes {each:.1} kB; promised are less than {PROMISED_KB} kB");
    ensure!(median < PROMISED, "a change is told after {median:?}; promised is {PROMISED:?}");
    println!("promise kept: less than {PROMISED_KB} kB, and {} ms", PROMISED.as_millis());
    lab_page::measure().await
}

struct Watched {
    server: Server,
    cluster: Kubernetes,
    portal: Uuid,
}

/// A cluster with so many applications, all of which have been told.
async fn watched(folder: &Folder, portal: Uuid, applications: usize) -> anyhow::Result<Watched> {
    let server = Server::start(portal, applications)?;
    let file = folder.path().join("kubeconfig");
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": server.url}}],
        "users": [{"name": "bench", "user": {"token": "bench"}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    });
    std::fs::write(&file, kubeconfig.to_string())?;
    let cluster = Kubernetes::connect_by(&file, &Config::defaults()?.kubernetes).await?;
    let began = Instant::now();
    let mut seen = 0;
    while seen < applications {
        seen += next(&cluster, portal).await?.len();
    }
    println!("{applications} applications listed and told after {:.2} s", began.elapsed().as_secs_f32());
    Ok(Watched { server, cluster, portal })
}

async fn next(cluster: &Kubernetes, portal: Uuid) -> anyhow::Result<Vec<Observed>> {
    tokio::time::timeout(PATIENCE, cluster.changes(portal)).await.context("nothing is told")
}

/// How long a change takes to be told, one at a time.
async fn told(mut watched: Watched) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for n in 0..CHANGES {
        let replicas = u32::try_from(n)? + 2;
        let began = Instant::now();
        watched.server.change(n, replicas)?;
        let wanted = |seen: &Observed| {
            seen.owner.application.0 == apiserver::id(n)
                && seen.deployment.as_ref().is_some_and(|deployment| deployment.wanted == replicas)
        };
        while !next(&watched.cluster, watched.portal).await?.iter().any(wanted) {}
        times.push(began.elapsed());
    }
    times.sort();
    times.get(CHANGES / 2).copied().context("no times")
}
