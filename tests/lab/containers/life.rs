//! From a name and an image to an address that answers, through changes without a gap, to nothing left.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{Cluster, Home, Watch, run_containers, until};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn a_container_lives() {
    run_containers(life).await;
}

async fn life(cluster: &Cluster) {
    let mut watch = Watch::start();
    let home = Home::new();
    let portal = cluster.setup().start(&home).await;
    let person = portal.person("harbour").await;
    let id = person.deploy("harbour-site", "hello:1", &[]).await;
    let (seen, way) = person.container_reaches(&id, "running", 60).await;
    assert_eq!(way.first().map(String::as_str), Some("pending"), "{way:?}");
    let host = seen.host();
    assert_eq!(host, "harbour-site.apps.localhost");
    cluster.answers(&host, 200, "Hello from", 20).await;
    let namespace = cluster.namespace(&id).await;
    watch.lap("deployed and answering");

    // From now on every request is answered, by the old one or the new one.
    let end = AtomicBool::new(false);
    let (asked, failed) = (AtomicUsize::new(0), std::sync::Mutex::new(Vec::new()));
    let visitor = async {
        while !end.load(Ordering::Relaxed) {
            asked.fetch_add(1, Ordering::Relaxed);
            match cluster.browse(&host).await {
                Ok((200, body)) if body.contains("Hello") => {}
                other => failed.lock().unwrap().push(format!("{other:?}")),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let change = async {
        person.press_container(&id, "redeploy", &[("image", "hello:2"), ("internal_port", "80")]).await;
        cluster.answers(&host, 200, "Hello again from", 60).await;
        person.container_reaches(&id, "running", 60).await;
        one_pod(cluster, &id).await;
        // The same again, pulled anew.
        let before = cluster.objects(&id).await;
        person.press_container(&id, "redeploy", &[]).await;
        until("other pods", 60, async || {
            let pods = |objects: std::collections::BTreeSet<String>| {
                objects.into_iter().filter(|name| name.starts_with("Pod ")).collect::<std::collections::BTreeSet<_>>()
            };
            let (old, now) = (pods(before.clone()), pods(cluster.objects(&id).await));
            if now.is_disjoint(&old) && !now.is_empty() { Ok(()) } else { Err(format!("{old:?} {now:?}")) }
        })
        .await;
        end.store(true, Ordering::Relaxed);
    };
    tokio::join!(visitor, change);
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 50, "only {asked} requests were made");
    assert_eq!(*failed.lock().unwrap(), [] as [String; 0], "of {asked} requests");
    println!("    {asked} requests during two redeployments, none failed");
    watch.lap("redeployed twice without a gap");

    person.press_container(&id, "stop", &[]).await;
    person.container_reaches(&id, "stopped", 60).await;
    cluster.answers(&host, 503, "", 20).await;
    person.press_container(&id, "start", &[]).await;
    person.container_reaches(&id, "running", 60).await;
    cluster.answers(&host, 200, "Hello again from", 20).await;
    watch.lap("stopped and started");

    let deployment = cluster.of("deployments", &id).await[0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.kubectl(&["-n", &namespace, "scale", "deployment", &deployment, "--replicas=0"]).await.unwrap();
    person.container_reaches(&id, "stopped", 20).await;
    cluster.kubectl(&["-n", &namespace, "scale", "deployment", &deployment, "--replicas=2"]).await.unwrap();
    person.container_reaches(&id, "running", 60).await;
    cluster.kubectl(&["-n", &namespace, "delete", "deployment", &deployment]).await.unwrap();
    person.container_fails(&id, "vanished", 30).await;
    watch.lap("scaled and removed behind our back, seen");
    person.press_container(&id, "redeploy", &[]).await;
    person.container_reaches(&id, "running", 60).await;
    cluster.answers(&host, 200, "Hello again from", 20).await;
    watch.lap("made anew");

    person.press_container(&id, "delete", &[]).await;
    person.container_gone(&id, 90).await;
    assert_eq!(cluster.in_namespace(&namespace).await, [].into(), "the namespace is empty");
    cluster.answers(&host, 404, "", 10).await;
    watch.lap("deleted");
    // The name is free again, for everybody.
    let other = portal.person("harbour-two").await;
    let second = other.deploy("harbour-site", "hello:1", &[]).await;
    other.container_reaches(&second, "running", 60).await;
    assert_ne!(cluster.namespace(&second).await, namespace);
    other.press_container(&second, "delete", &[]).await;
    other.container_gone(&second, 90).await;
}

async fn one_pod(cluster: &Cluster, id: &str) {
    until("one pod", 60, async || {
        let pods = cluster.objects(id).await.into_iter().filter(|name| name.starts_with("Pod ")).collect::<Vec<_>>();
        if pods.len() == 1 { Ok(()) } else { Err(format!("{pods:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn variables_replicas_and_logs() {
    run_containers(variables).await;
}

async fn variables(cluster: &Cluster) {
    let home = Home::new();
    let portal = cluster.setup().start(&home).await;
    let person = portal.person("greeter").await;
    let fields = [("variables", "GREETING=안녕, 항구"), ("replicas", "2")];
    let id = person.deploy("greeter", "env:1", &fields).await;
    let (seen, _) = person.container_reaches(&id, "running", 60).await;
    cluster.answers(&seen.host(), 200, "안녕, 항구", 20).await;
    let pods = cluster.of("pods", &id).await;
    assert_eq!(pods.len(), 2);
    person.press_container(&id, "delete", &[]).await;

    let loud = person.deploy("loud", "loud:1", &[]).await;
    person.container_reaches(&loud, "running", 60).await;
    let pods = cluster.of("pods", &loud).await;
    let pod = pods[0]["metadata"]["name"].as_str().unwrap();
    let log = until("the log", 30, async || {
        let page = person.get(&format!("/applications/{loud}/logs?pod={pod}")).await;
        if page.status == 200 && page.body.contains("&#60;script&#62;") || page.body.contains("&lt;script&gt;") {
            Ok(page.body)
        } else {
            Err(page.body)
        }
    })
    .await;
    assert!(!log.contains("<script>alert(1)"), "a log line became markup");
    assert!(!log.contains('\u{1b}') && !log.contains('\u{7}') && !log.contains('\0'), "terminal commands are left");
    person.press_container(&loud, "delete", &[]).await;
    person.container_gone(&loud, 90).await;
    person.container_gone(&id, 90).await;
}
