//! Applications that don't work, each in its own way, and what the port detective finds.

use futures::StreamExt;

use super::*;
use crate::cloud::cluster::{Listeners, LogRequest};

const LIMIT: Duration = Duration::from_secs(15);

fn waits_for(seen: &Observed, reasons: &[&str]) -> bool {
    live(seen).any(|pod| pod.waiting.as_ref().is_some_and(|words| reasons.contains(&words.reason.as_str())))
}

fn message(seen: &Observed) -> String {
    live(seen).find_map(|pod| pod.waiting.as_ref()).map(|words| words.message.clone()).unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_images_that_do_not_come() {
    let account = Account::new().await;
    let pulls = ["ErrImagePull", "ImagePullBackOff"];
    for (image, cause) in
        [("no-such-image:1", "not found"), ("limited:1", "429"), ("foreign:index", "no match for platform")]
    {
        let order = account.order(image);
        account.deploy(&order).await;
        let first = account.until(order.owner, image, |seen| waits_for(seen, &pulls)).await;
        println!("    {}", message(&first));
        assert!(message(&first).contains(cause), "{first:#?}");
        // The pause in between hides the cause in the cluster, not here.
        let later = account.until(order.owner, "back-off", |seen| waits_for(seen, &["ImagePullBackOff"])).await;
        assert!(message(&later).contains(cause), "{later:#?}");
        account.remove(order.owner).await;
    }
    let order = account.order("UPPER::case");
    account.deploy(&order).await;
    let seen = account.until(order.owner, "invalid name", |seen| waits_for(seen, &["InvalidImageName"])).await;
    println!("    {}", message(&seen));
    account.remove(order.owner).await;
    account.until_gone(order.owner).await;
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_programs_that_end() {
    let account = Account::new().await;
    for (image, code, reason) in [("crash:1", 1, "Error"), ("exit0:1", 0, "Completed"), ("hog:1", 137, "OOMKilled")] {
        let order = account.order(image);
        account.deploy(&order).await;
        let loops = |seen: &Observed| waits_for(seen, &["CrashLoopBackOff"]);
        let seen = account.until(order.owner, image, loops).await;
        let pod = live(&seen).next().unwrap();
        let ended = pod.ended.clone().unwrap();
        println!("    {ended:?}, {} restarts", pod.restarts);
        assert_eq!((ended.exit_code, ended.reason.as_str()), (code, reason));
        assert!(ended.at.is_some() && pod.restarts >= 1);
        if image == "crash:1" {
            let request =
                LogRequest { owner: order.owner, pod: pod.name.clone(), previous: true, follow: false, tail: 20 };
            let lines: Vec<_> = account.cluster.logs(&request).await.unwrap().collect().await;
            let texts: Vec<_> = lines.iter().map(|line| line.as_ref().unwrap().text.as_str()).collect();
            assert_eq!(texts, ["about to crash", "crashing"]);
        }
        account.remove(order.owner).await;
    }
    // A program for another processor: there is nothing to wait for, it ends at once.
    let order = account.order("foreign:1");
    account.deploy(&order).await;
    let seen = account.until(order.owner, "foreign:1", |seen| live(seen).any(|pod| pod.ended.is_some())).await;
    println!("    {:#?}", seen.pods);
    account.remove(order.owner).await;
    account.until_gone(order.owner).await;
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_no_room_and_no_quota() {
    let account = Account::new().await;
    let huge = DeployOrder { memory_mb: 4_000, cpu_millis: 4_000, replicas: 2, ..account.order("hello:1") };
    let huge = DeployOrder { memory_mb: 4_096, ..huge };
    account.deploy(&huge).await;
    let told = |seen: &Observed| seen.deployment.as_ref().is_some_and(|one| one.replica_failure.is_some());
    // Twice its share is the wall: two replicas fit, a third does not.
    account.cluster.scale(huge.owner, 3).await.unwrap();
    let seen = account.until(huge.owner, "quota", told).await;
    println!("    {:?}", seen.deployment.as_ref().unwrap().replica_failure);
    assert!(seen.deployment.unwrap().replica_failure.unwrap().contains("exceeded quota"));
    account.remove(huge.owner).await;
    account.until_gone(huge.owner).await;

    let limits = NamespaceLimits { applications: 1, pods: 4, cpu_millis: 400_000, memory_mb: 4_096 };
    account.cluster.prepare(&NamespaceOrder { limits, ..account.namespace_order() }).await.unwrap();
    let wide = DeployOrder { cpu_millis: 400_000, ..account.order("hello:1") };
    account.deploy(&wide).await;
    let no_node = |seen: &Observed| live(seen).any(|pod| pod.unschedulable.is_some());
    let seen = account.until(wide.owner, "unschedulable", no_node).await;
    let unschedulable = seen.pods[0].unschedulable.clone().unwrap();
    println!("    {unschedulable:?}");
    assert!(unschedulable.message.contains("Insufficient cpu") && unschedulable.since.is_some());

    account.deploy(&account.order("hello:1")).await;
    let refused = account.cluster.apply_deployment(&account.order("hello:1")).await.unwrap_err();
    println!("    {refused}");
    assert!(matches!(refused, crate::cloud::CloudError::QuotaExceeded(_)));
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_only_what_needs_no_root() {
    let mut config = Config::defaults().unwrap().kubernetes;
    config.profile = crate::config::PodProfile::Restricted;
    let mut account = Account::new().await;
    account.cluster = Kubernetes::connect(&config).await.unwrap();
    account.prepare().await;
    let labels = kubectl_text(&["get", "namespace", &account.namespace(), "-o", "jsonpath={.metadata.labels}"]);
    assert!(labels.contains("\"pod-security.kubernetes.io/enforce\":\"restricted\""), "{labels}");
    let root = account.order("hello:1");
    account.deploy(&root).await;
    let seen = account.until(root.owner, "root", |seen| waits_for(seen, &["CreateContainerConfigError"])).await;
    println!("    {}", message(&seen));
    assert!(message(&seen).contains("root"));
    let other = DeployOrder { internal_port: 8080, ..account.order("nonroot:1") };
    account.deploy(&other).await;
    account.until_ready(&other).await;
    assert_eq!(until_answers(&other.host, 200).await.trim(), "Hello from 1000");
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_what_listens_in_a_pod() {
    let account = Account::new().await;
    let cluster = &account.cluster;
    let listeners = |open: &[u16], loopback: &[u16], complete| Listeners {
        open: open.to_vec(),
        loopback: loopback.to_vec(),
        complete,
    };
    let likely = [80, 3000, 5000, 8000, 8080, 9000];
    for (image, port, expected) in [
        ("silent:1", 80, listeners(&[], &[], true)),
        ("loopback:1", 80, listeners(&[], &[80], true)),
        ("mislabelled:1", 80, listeners(&[8080], &[], true)),
        ("port8080:1", 8080, listeners(&[8080], &[], true)),
        // These two have no program but the server.
        ("nginx", 80, listeners(&[80], &[], false)),
        ("noshell:1", 80, listeners(&[80], &[], false)),
        ("noshell:1", 8080, listeners(&[80], &[], false)),
    ] {
        let order = DeployOrder { internal_port: port, ..account.order(image) };
        account.deploy(&order).await;
        let runs = |seen: &Observed| live(seen).any(|pod| pod.running_since.is_some());
        let seen = account.until(order.owner, image, runs).await;
        let pod = seen.pods[0].name.clone();
        // The program needs a moment after its start.
        let began = Instant::now();
        let (found, took) = loop {
            let asked = Instant::now();
            let found = cluster.listeners(order.owner, &pod, &likely, LIMIT).await.unwrap();
            if found == expected || began.elapsed() > Duration::from_secs(20) {
                break (found, asked.elapsed());
            }
            tokio::time::sleep(PAUSE).await;
        };
        println!("{image}: {found:?} in {:.2} s", took.as_secs_f32());
        assert_eq!(found, expected, "{image}");
        if image == "loopback:1" {
            // As far as can be known of an image without a program to ask.
            let pod = cluster.pod_of(order.owner, &pod).await.unwrap();
            assert_eq!(cluster.try_ports(order.owner, &pod, &likely).await.unwrap(), listeners(&[], &[80], false));
        }
        if found.complete {
            let processes = kubectl_text(&["-n", &account.namespace(), "exec", &pod, "--", "ps"]);
            assert!(!processes.contains(" cat"), "{processes}");
        }
        account.remove(order.owner).await;
    }
    let order = account.order("no-such-image:1");
    account.deploy(&order).await;
    let seen = account.until(order.owner, "a pod", |seen| !seen.pods.is_empty()).await;
    let began = Instant::now();
    let refused = cluster.listeners(order.owner, &seen.pods[0].name, &likely, LIMIT).await;
    println!("without a container: {refused:?} in {:.2} s", began.elapsed().as_secs_f32());
    assert!(matches!(refused, Err(crate::cloud::CloudError::NotFound(_))));
    account.remove(order.owner).await;
    account.until_gone(order.owner).await;
}
