//! Killed at every point of putting a container online, of changing and of removing it: what was asked for happens,
//! once, and nothing stays behind.

use crate::crash::Death;
use crate::support::{Cluster, Home, Person, Watch, run_containers, until};

/// What is under way when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum During {
    Deploy,
    Redeploy,
    Stop,
    Delete,
    /// The cluster refuses one step of a deployment for good.
    Refused,
    /// Why a container crashes is being found out.
    Look,
}

use During::{Delete, Deploy, Look, Redeploy, Refused, Stop};

/// Failpoints of containers, and what leads to them; those that both kinds of resources share are in both tables.
pub const POINTS: [(&str, During); 24] = [
    ("request_written", Deploy),
    ("operation_taken", Deploy),
    ("app_namespace", Deploy),
    ("app_secret", Deploy),
    ("app_deployment", Deploy),
    ("app_service", Deploy),
    ("app_ingress", Deploy),
    ("app_verified", Deploy),
    ("app_recorded", Deploy),
    ("operation_ending", Deploy),
    ("app_secret", Redeploy),
    ("app_deployment", Redeploy),
    ("app_ingress", Redeploy),
    ("app_recorded", Redeploy),
    ("app_scaled", Stop),
    ("app_delete_service", Refused),
    ("app_looked_into", Look),
    ("request_written", Delete),
    ("app_delete_ingress", Delete),
    ("app_delete_service", Delete),
    ("app_delete_deployment", Delete),
    ("app_delete_secret", Delete),
    ("app_gone", Delete),
    ("app_delete_recorded", Delete),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn killed_at_every_point() {
    run_containers(murders).await;
}

async fn murders(cluster: &Cluster) {
    let mut watch = Watch::start();
    let home = Home::new();
    let setup = cluster
        .setup()
        .set("FASTCLOUD_QUOTA__APPLICATIONS", "40")
        .set("FASTCLOUD_QUOTA__APP_CPU_MILLIS", "40000")
        .set("FASTCLOUD_QUOTA__APP_MEMORY_MB", "40000")
        .set("FASTCLOUD_SYNC__INTERVAL_SECONDS", "3");
    let portal = setup.start(&home).await;
    let mut person = portal.person("phoenix").await;
    portal.kill();
    let mut living: Vec<(String, String)> = Vec::new();
    for (number, (point, during)) in POINTS.iter().enumerate() {
        let name = format!("phoenix-{number}");
        if *during != Deploy && living.is_empty() {
            let portal = setup.start(&home).await;
            person.moved(&portal.base);
            let id = person.deploy(&name, "hello:1", &[("variables", "A=1")]).await;
            person.container_reaches(&id, "running", 60).await;
            living.push((id, name.clone()));
            portal.kill();
        }
        if *during == Refused {
            tighten(cluster, &living).await;
        }
        let portal = setup.clone().set("FREEZE_AT", point).start(&home).await;
        person.moved(&portal.base);
        let victim = living.last().cloned().unwrap_or_default();
        let (path, mut fields) = match during {
            Deploy | Refused => ("/applications".to_owned(), vec![("name", name.as_str()), ("image", "hello:1")]),
            Look => ("/applications".to_owned(), vec![("name", name.as_str()), ("image", "crash:1")]),
            Redeploy => (format!("/applications/{}/redeploy", victim.0), vec![("image", "hello:2")]),
            Stop => (format!("/applications/{}/stop", victim.0), vec![]),
            Delete => (format!("/applications/{}/delete", victim.0), vec![]),
        };
        if matches!(during, Deploy | Redeploy | Refused | Look) {
            fields.extend([("internal_port", "80"), ("external_port", "80")]);
            fields.push(("secrets", "SECRET=s"));
        }
        Death { portal: &portal, person: &person, point, unanswered: *point == "request_written" }
            .by(&path, &fields)
            .await;

        let portal = setup.start(&home).await;
        person.moved(&portal.base);
        match during {
            Deploy => {
                let id = listed(&person, &name).await;
                person.container_reaches(&id, "running", 60).await;
                cluster.answers(&format!("{name}.apps.localhost"), 200, "Hello from", 30).await;
                living.push((id, name));
            }
            Redeploy => {
                cluster.answers(&format!("{}.apps.localhost", victim.1), 200, "Hello again from", 60).await;
                person.container_reaches(&victim.0, "running", 60).await;
            }
            Stop => {
                person.container_reaches(&victim.0, "stopped", 60).await;
                let last = living.pop().unwrap();
                living.insert(0, last);
            }
            Refused => {
                let id = listed(&person, &name).await;
                person.container_fails(&id, "quota", 60).await;
                // The reason is said first, then all is taken back.
                until("taken back", 60, async || {
                    let left = cluster.objects(&id).await;
                    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
                })
                .await;
                person.press_container(&id, "delete", &[]).await;
                person.container_gone(&id, 60).await;
                loosen(cluster, &living).await;
            }
            Look => {
                let id = listed(&person, &name).await;
                let seen = person.container_fails(&id, "crash_loop", 90).await;
                until("its log", 60, async || {
                    let seen = person.container(&id).await;
                    if seen.body.contains("problem-log") { Ok(()) } else { Err(seen.text) }
                })
                .await;
                assert_eq!(seen.status, "failed", "{}", seen.text);
                person.press_container(&id, "delete", &[]).await;
                person.container_gone(&id, 90).await;
                assert_eq!(cluster.objects(&id).await, [].into(), "left behind");
            }
            Delete => {
                person.container_gone(&victim.0, 90).await;
                living.pop();
                assert_eq!(cluster.objects(&victim.0).await, [].into(), "left behind");
            }
        }
        settled(cluster, &living).await;
        portal.kill();
        watch.lap(&format!("killed at {point} ({during:?}), recovered"));
    }
    let portal = setup.start(&home).await;
    person.moved(&portal.base);
    for (id, _) in &living {
        person.press_container(id, "delete", &[]).await;
    }
    for (id, _) in &living {
        person.container_gone(id, 120).await;
        assert_eq!(cluster.objects(id).await, [].into());
    }
    watch.lap(&format!("the {} that were left, deleted", living.len()));
}

/// The id of the row with this name.
async fn listed(person: &Person, name: &str) -> String {
    until("in the list", 10, async || {
        let rows = person.containers().await;
        rows.iter().find(|row| row.1 == name).map(|row| row.0.clone()).ok_or_else(|| format!("{rows:?}"))
    })
    .await
}

/// From now on the account's namespace takes no Service more: a quota of the administrator's, beside the portal's own.
async fn tighten(cluster: &Cluster, living: &[(String, String)]) {
    let namespace = cluster.namespace(&living[0].0).await;
    let hard = format!("--hard=services={}", living.len());
    cluster.kubectl(&["-n", &namespace, "create", "quota", "tight", &hard]).await.unwrap();
    until("counted", 30, async || {
        let quota = cluster.get(&["resourcequota", "tight", "-n", &namespace]).await;
        let used = quota["status"]["used"]["services"].as_str().unwrap_or_default().to_owned();
        if used == living.len().to_string() { Ok(()) } else { Err(quota.to_string()) }
    })
    .await;
}

async fn loosen(cluster: &Cluster, living: &[(String, String)]) {
    let namespace = cluster.namespace(&living[0].0).await;
    cluster.kubectl(&["-n", &namespace, "delete", "quota", "tight"]).await.unwrap();
}

/// One of each kind for every living one.
async fn settled(cluster: &Cluster, living: &[(String, String)]) {
    for (id, name) in living {
        until("settled", 60, async || {
            let objects = cluster.objects(id).await;
            let count = |kind: &str| objects.iter().filter(|o| o.starts_with(&format!("{kind} "))).count();
            let counts = ["Deployment", "Service", "Ingress"].map(count);
            if counts == [1, 1, 1] && count("Pod") <= 1 { Ok(()) } else { Err(format!("{name}: {objects:?}")) }
        })
        .await;
    }
}
