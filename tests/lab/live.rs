//! How soon open pages of two portal processes show what another tool has changed in the clouds.

use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::header::COOKIE;
use tokio::sync::watch;

use crate::support::{Cluster, Home, Lab, Person, STUDENTS, Setup, run, run_containers, until};

/// Changes of each kind.
const CHANGES: usize = 12;
/// So soon after the cloud knows, a page is meant to show it; said when it did not.
const SOON: Duration = Duration::from_secs(2);

/// An open page as far as it concerns this: its stream, and the row that it asks for when the stream says so, never else.
struct Tab {
    /// What it shows, and since when.
    shown: watch::Receiver<(String, Instant)>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn status_of(http: &reqwest::Client, url: &str, cookies: &str) -> String {
    let asked = http.get(url).header(COOKIE, cookies).header("hx-request", "true").send().await.unwrap();
    let body = asked.error_for_status().unwrap().text().await.unwrap();
    body.split("data-status=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a status").to_owned()
}

impl Tab {
    /// Opens it; `row` is the path of the row that it shows.
    async fn open(person: &Person, base: &str, row: &str, topic: &'static str) -> Self {
        let (cookies, row, http) = (person.cookie_header(), format!("{base}{row}"), reqwest::Client::new());
        let (tell, shown) = watch::channel((status_of(&http, &row, &cookies).await, Instant::now()));
        let stream = http.get(format!("{base}/live?ago=0")).header(COOKIE, &cookies).send().await.unwrap();
        let mut chunks = stream.error_for_status().unwrap().bytes_stream();
        let task = tokio::spawn(async move {
            while let Some(chunk) = chunks.next().await {
                let text = String::from_utf8(chunk.unwrap().to_vec()).unwrap();
                assert!(!text.contains("event: end"), "{text}");
                let mut told = text.split("event: change\ndata: ").skip(1);
                if told.any(|rest| rest.lines().next().is_some_and(|topics| topics.contains(topic))) {
                    let status = status_of(&http, &row, &cookies).await;
                    tell.send_if_modified(|shown| {
                        let other = shown.0 != status;
                        if other {
                            *shown = (status, Instant::now());
                        }
                        other
                    });
                }
            }
        });
        Self { shown, task }
    }

    /// Since when it shows this.
    async fn shows(&mut self, status: &str) -> Instant {
        let shown = self.shown.wait_for(|shown| shown.0 == status);
        let shown = tokio::time::timeout(Duration::from_secs(60), shown).await;
        shown.unwrap_or_else(|_| panic!("a minute later it does not show {status}")).expect("the stream goes on").1
    }
}

/// Prints how long it took, and holds the promise.
fn report(what: &str, mut delays: Vec<Duration>) {
    delays.sort();
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    let seconds = |delay: Duration| format!("{:.2} s", delay.as_secs_f32());
    println!(
        "    {what}: median {}, 95th percentile {}, most {} ({} of them)",
        seconds(at(50)),
        seconds(at(95)),
        seconds(at(100)),
        delays.len()
    );
    if at(95) >= SOON {
        println!("    NOT within {SOON:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn what_is_done_to_a_machine_elsewhere_is_on_the_pages_soon() {
    run(async |lab: &Lab| {
        let home = Home::new();
        // Whatever is shown soon is not shown because everything is compared again.
        let setup = Setup::new(&lab.clouds_yaml(), STUDENTS).set("FASTCLOUD_SYNC__INTERVAL_SECONDS", "600");
        let (first, second) = (setup.start(&home).await, setup.start(&home).await);
        let person = first.person("beholder").await;
        let id = person.rent(&lab.name("live"), &person.template("Nano").await).await;
        let (detail, _) = person.reaches(&id, "active", 120).await;
        let row = format!("/instances/{id}/row");
        let mut tabs = [
            Tab::open(&person, &first.base, &row, "instances").await,
            Tab::open(&person, &second.base, &row, "instances").await,
        ];
        let mut delays = Vec::new();
        for number in 0..CHANGES {
            let (action, nova, wanted) =
                if number % 2 == 0 { ("os-stop", "SHUTOFF", "stopped") } else { ("os-start", "ACTIVE", "active") };
            lab.students.action(&detail.cloud_id, action).await;
            // The last time at which it was not so yet: the delay is at most what is reported.
            let mut known = Instant::now();
            until(nova, 60, async || {
                let server = lab.students.server(&detail.cloud_id).await.unwrap();
                if server.status == nova {
                    return Ok(());
                }
                known = Instant::now();
                Err(server.status)
            })
            .await;
            for tab in &mut tabs {
                delays.push(tab.shows(wanted).await.saturating_duration_since(known));
            }
        }
        drop(tabs);
        report("a machine stopped and started with Nova's own API", delays);
        person.press(&id, "delete").await;
        person.gone(&id, 60).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn what_is_done_to_a_container_elsewhere_is_on_the_pages_soon() {
    run_containers(async |cluster: &Cluster| {
        let home = Home::new();
        let setup = cluster.setup().set("FASTCLOUD_SYNC__INTERVAL_SECONDS", "600");
        let (first, second) = (setup.start(&home).await, setup.start(&home).await);
        let person = first.person("watcher").await;
        let id = person.deploy("live-site", "hello:1", &[]).await;
        person.container_reaches(&id, "running", 60).await;
        let namespace = cluster.namespace(&id).await;
        let deployment = cluster.of("deployments", &id).await[0]["metadata"]["name"].as_str().unwrap().to_owned();
        let row = format!("/applications/{id}/row");
        let mut tabs = [
            Tab::open(&person, &first.base, &row, "applications").await,
            Tab::open(&person, &second.base, &row, "applications").await,
        ];
        let mut delays = Vec::new();
        for number in 0..CHANGES {
            let (replicas, wanted) = if number % 2 == 0 { (0, "stopped") } else { (1, "running") };
            let scale = format!("--replicas={replicas}");
            cluster.kubectl(&["-n", &namespace, "scale", "deployment", &deployment, &scale]).await.unwrap();
            // The last time at which it was not so yet: the delay is at most what is reported.
            let mut known = Instant::now();
            until("scaled", 60, async || {
                let seen = cluster.get(&["deployment", "-n", &namespace, &deployment]).await;
                if seen["status"]["readyReplicas"].as_u64().unwrap_or(0) == replicas {
                    return Ok(());
                }
                known = Instant::now();
                Err(seen["status"].to_string())
            })
            .await;
            for tab in &mut tabs {
                delays.push(tab.shows(wanted).await.saturating_duration_since(known));
            }
        }
        drop(tabs);
        report("a Deployment scaled with kubectl", delays);
        person.press_container(&id, "delete", &[]).await;
        person.container_gone(&id, 90).await;
    })
    .await;
}
