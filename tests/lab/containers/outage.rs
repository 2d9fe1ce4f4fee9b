//! The API server stops, hangs, or starts anew: pages answer from the database, say since when nothing is known, and call
//! nothing stopped that only can't be seen.

use std::time::{Duration, Instant};

use crate::support::{Cluster, Home, Person, UNKNOWN_SINCE, Watch, run_containers, until};

/// More than this is a page that waits for the cluster.
const HANGS: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn an_outage_of_the_cluster_is_told_and_outlived() {
    run_containers(outage).await;
}

async fn quickly(person: &Person, path: &str) -> String {
    let began = Instant::now();
    let page = person.get(path).await;
    assert!(began.elapsed() < HANGS, "{path} hangs");
    assert_eq!(page.status, 200, "{path}: {}", page.text());
    page.text()
}

async fn outage(cluster: &Cluster) {
    let mut watch = Watch::start();
    let home = Home::new();
    let setup = cluster
        .setup()
        .set("FASTCLOUD_KUBERNETES__REQUEST_SECONDS", "3")
        .set("FASTCLOUD_KUBERNETES__CONNECT_SECONDS", "2")
        .set("FASTCLOUD_QUOTA__APPLICATIONS", "10")
        .set("FASTCLOUD_QUOTA__APP_CPU_MILLIS", "10000")
        .set("FASTCLOUD_QUOTA__APP_MEMORY_MB", "10000");
    let portal = setup.start(&home).await;
    let person = portal.person("storm").await;
    let on = person.deploy("storm-on", "hello:1", &[]).await;
    let off = person.deploy("storm-off", "hello:1", &[]).await;
    person.container_reaches(&on, "running", 60).await;
    person.container_reaches(&off, "running", 60).await;
    let namespace = cluster.namespace(&on).await;
    person.press_container(&off, "stop", &[]).await;
    person.container_reaches(&off, "stopped", 60).await;
    let deployment = cluster.of("deployments", &on).await[0]["metadata"]["name"].as_str().unwrap().to_owned();
    watch.lap("one on, one off");

    for (number, (hurt, heal)) in [("stop", "start"), ("freeze", "thaw")].into_iter().enumerate() {
        cluster.api_server(hurt).await;
        for id in [&on, &off] {
            let (seen, _) = person.container_reaches(id, "unknown", 60).await;
            assert!(seen.text.contains(UNKNOWN_SINCE), "{}", seen.text);
        }
        for path in ["/applications", "/dashboard", "/applications/new"] {
            quickly(&person, path).await;
        }
        // What is asked for now is kept.
        let name = format!("storm-{number}");
        let ordered = person.deploy(&name, "hello:1", &[]).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        quickly(&person, &format!("/applications/{ordered}")).await;
        cluster.api_server(heal).await;
        person.container_reaches(&on, "running", 60).await;
        person.container_reaches(&off, "stopped", 60).await;
        person.container_reaches(&ordered, "running", 90).await;
        cluster.answers(&format!("{name}.apps.localhost"), 200, "Hello from", 30).await;
        // The watches live again: a change is seen at once, without the minute's comparison.
        let replicas = |n: &str| ["-n", &namespace, "scale", "deployment", &deployment, n].map(str::to_owned);
        for (argument, status) in [("--replicas=0", "stopped"), ("--replicas=1", "running")] {
            let arguments = replicas(argument);
            cluster.kubectl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
            person.container_reaches(&on, status, 15).await;
        }
        watch.lap(&format!("{hurt}: told and outlived"));
    }
    let ids: Vec<String> = person.containers().await.into_iter().map(|(id, ..)| id).collect();
    for id in &ids {
        person.press_container(id, "delete", &[]).await;
    }
    for id in &ids {
        person.container_gone(id, 90).await;
    }
    until("empty", 30, async || {
        let left = cluster.in_namespace(&namespace).await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}
