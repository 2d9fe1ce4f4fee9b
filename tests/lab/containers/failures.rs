//! Every way in which a container fails to answer, and what the page says of it.

use super::{NO_IMAGE, NO_ROOM};
use crate::support::{Cluster, Home, Person, Watch, run_containers, until};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn what_goes_wrong_is_said() {
    run_containers(failures).await;
}

async fn remove(person: &Person, ids: &[String]) {
    for id in ids {
        person.press_container(id, "delete", &[]).await;
    }
    for id in ids {
        person.container_gone(id, 90).await;
    }
}

async fn failures(cluster: &Cluster) {
    let mut watch = Watch::start();
    let home = Home::new();
    let setup = cluster
        .setup()
        .set("FASTCLOUD_QUOTA__APPLICATIONS", "20")
        .set("FASTCLOUD_QUOTA__APP_CPU_MILLIS", "400000")
        .set("FASTCLOUD_QUOTA__APP_MEMORY_MB", "20000")
        .set("FASTCLOUD_APPLICATIONS__LARGE_CPU_MILLIS", "100000");
    let portal = setup.start(&home).await;
    let person = portal.person("mishaps").await;

    // Said before anything is deployed.
    for (image, words) in [("no-such-image:1", NO_IMAGE), ("foreign:1", "arm64")] {
        let page = person.ask_container("early", image, &[]).await;
        assert_eq!(page.status, 422, "{image}: {}", page.text());
        assert!(page.text().contains(words), "{image}: {}", page.text());
        assert!(page.body.contains("id=\"image-error\""), "{image}");
    }
    assert_eq!(person.containers().await, []);
    watch.lap("two images refused at once");

    let crash = person.deploy("crash", "crash:1", &[]).await;
    let ended = person.deploy("ended", "exit0:1", &[]).await;
    let hog = person.deploy("hog", "hog:1", &[]).await;
    let seen = person.container_fails(&crash, "crash_loop", 90).await;
    assert_eq!(seen.status, "failed", "{}", seen.text);
    let seen = until("the end of its log", 30, async || {
        let seen = person.container(&crash).await;
        if seen.text.contains("(1)") || seen.body.contains("log__lines") { Ok(seen) } else { Err(seen.text) }
    })
    .await;
    println!("    crash: {}", seen.problem);
    person.container_fails(&ended, "ended", 90).await;
    person.container_fails(&hog, "out_of_memory", 90).await;
    watch.lap("a crash, an end, too little memory");
    remove(&person, &[crash, ended, hog]).await;

    let silent = person.deploy("silent", "silent:1", &[]).await;
    let loopback = person.deploy("loopback", "loopback:1", &[]).await;
    let wrong = person.deploy("wrong-port", "mislabelled:1", &[]).await;
    let shut = person.deploy("no-shell", "noshell:1", &[("internal_port", "8080")]).await;
    person.container_fails(&silent, "port_silent", 90).await;
    person.container_fails(&loopback, "port_loopback", 90).await;
    let seen = person.container_fails(&wrong, "port_other", 90).await;
    assert!(seen.text.contains("8080"), "{}", seen.text);
    let seen = person.container_fails(&shut, "port_other", 90).await;
    assert!(seen.text.contains("80"), "{}", seen.text);
    watch.lap("four ports found out");
    // The fix that the page offers.
    person.press_container(&wrong, "redeploy", &[("internal_port", "8080")]).await;
    let (seen, _) = person.container_reaches(&wrong, "running", 60).await;
    cluster.answers(&seen.host(), 200, "", 20).await;
    watch.lap("a port mended");
    remove(&person, &[silent, loopback, shut]).await;

    // A rollout that fails keeps the old one, and says so.
    person.press_container(&wrong, "redeploy", &[("image", "crash:1"), ("internal_port", "80")]).await;
    let seen = person.container_fails(&wrong, "crash_loop", 90).await;
    assert_eq!(seen.status, "running", "{}", seen.text);
    cluster.answers(&seen.host(), 200, "", 5).await;
    watch.lap("a failed rollout keeps the old one");
    remove(&person, &[wrong]).await;

    let big = person.deploy("big", "hello:1", &[("size", "large")]).await;
    let seen = person.container_fails(&big, "unschedulable", 60).await;
    assert!(seen.text.contains(NO_ROOM), "{}", seen.text);
    watch.lap("no room for it");
    remove(&person, &[big]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn a_registry_that_is_silent_does_not_block() {
    run_containers(async |cluster: &Cluster| {
        let home = Home::new();
        // Nobody listens on the mirror: the portal can't look, the nodes pull all the same.
        let portal = cluster
            .setup()
            .set("FASTCLOUD_REGISTRIES__MIRRORS", r#"["docker.io=http://127.0.0.1:9"]"#)
            .start(&home)
            .await;
        let person = portal.person("unseen").await;
        let good = person.deploy("good", "hello:1", &[]).await;
        let missing = person.deploy("missing", "no-such-image:1", &[]).await;
        let limited = person.deploy("limited", "limited:1", &[]).await;
        let foreign = person.deploy("foreign", "foreign:1", &[]).await;
        person.container_reaches(&good, "running", 60).await;
        let seen = person.container_fails(&missing, "image_not_found", 90).await;
        assert!(seen.text.contains(NO_IMAGE), "{}", seen.text);
        let seen = person.container_fails(&limited, "image_rate_limited", 90).await;
        assert!(!seen.text.contains(NO_IMAGE), "{}", seen.text);
        person.container_fails(&foreign, "wrong_architecture", 90).await;
        remove(&person, &[good, missing, limited, foreign]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn quotas_are_told_apart() {
    run_containers(async |cluster: &Cluster| {
        let home = Home::new();
        let portal = cluster.setup().set("FASTCLOUD_QUOTA__APPLICATIONS", "2").start(&home).await;
        let person = portal.person("crowded").await;
        let first = person.deploy("first", "hello:1", &[]).await;
        person.container_reaches(&first, "running", 60).await;
        let namespace = cluster.namespace(&first).await;
        // Ours, counted in the database.
        let second = person.deploy("second", "hello:1", &[]).await;
        let page = person.ask_container("third", "hello:1", &[]).await;
        assert_eq!(page.status, 422, "{}", page.text());
        assert_eq!(person.containers().await.len(), 2);
        person.container_reaches(&second, "running", 60).await;
        // The cluster's own, tightened by its administrator.
        let quotas = cluster.get(&["resourcequotas", "-n", &namespace]).await;
        let quota = quotas["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
        let patch = r#"{"spec":{"hard":{"pods":"2"}}}"#;
        cluster.kubectl(&["-n", &namespace, "patch", "resourcequota", &quota, "-p", patch]).await.unwrap();
        let deployment = cluster.of("deployments", &second).await[0]["metadata"]["name"].as_str().unwrap().to_owned();
        cluster.kubectl(&["-n", &namespace, "scale", "deployment", &deployment, "--replicas=3"]).await.unwrap();
        person.container_fails(&second, "quota", 60).await;
        remove(&person, &[first, second]).await;
    })
    .await;
}
