//! Lives of applications that work.

use futures::StreamExt;
use secrecy::SecretString;

use super::*;
use crate::cloud::cluster::{LogRequest, Presence, SecretOrder};
use crate::cloud::{CheckOutcome, CloudError};

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_check_finds_all_in_order() {
    let cluster = connect().await;
    for line in cluster.check().await {
        println!("{}: {:?}", line.what, line.outcome);
        assert!(matches!(line.outcome, CheckOutcome::Works(_)));
    }
    cluster.ping().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_life_of_an_application() {
    let account = Account::new().await;
    let cluster = &account.cluster;
    let mut order = account.order("hello:1");
    let owner = order.owner;

    account.deploy(&order).await;
    account.deploy(&order).await;
    let seen = account.until_ready(&order).await;
    let pod = &seen.pods[0];
    assert!(pod.digest.as_deref().unwrap().starts_with("sha256:"), "{pod:#?}");
    assert!(pod.running_since.is_some() && pod.created_at.is_some() && pod.waiting.is_none(), "{pod:#?}");
    assert!(until_answers(&order.host, 200).await.starts_with("Hello from app-"));
    let whole = Presence { secret: false, deployment: true, service: true, ingress: true, pods: 2 };
    assert_eq!(cluster.presence(owner).await.unwrap(), whole, "a pod and its ReplicaSet");
    let listed = cluster.list(account.portal).await.unwrap();
    assert_eq!(listed, [cluster.show(owner).await.unwrap()]);
    assert!(cluster.list(Uuid::new_v4()).await.unwrap().is_empty());

    // The log and the events, and nobody else's.
    let request = LogRequest { owner, pod: pod.name.clone(), previous: false, follow: false, tail: 5 };
    let lines: Vec<_> = cluster.logs(&request).await.unwrap().collect().await;
    println!("    {} lines of log: {:?}", lines.len(), lines.first());
    assert!(lines.iter().all(|line| line.as_ref().is_ok_and(|line| line.at.is_some())));
    let none = cluster.logs(&LogRequest { previous: true, ..request.clone() }).await.err();
    assert!(matches!(none, Some(CloudError::NotFound(_))), "{none:?}");
    let other = AppOwner { application: ApplicationId::new(), ..owner };
    let none = cluster.logs(&LogRequest { owner: other, ..request }).await.err();
    assert!(matches!(none, Some(CloudError::NotFound(_))), "{none:?}");
    let events = cluster.events(owner).await.unwrap();
    println!("    events: {:?}", events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>());
    assert!(events.iter().any(|event| event.reason == "Started" && event.pod.as_deref() == Some(&pod.name)));
    assert!(events.is_sorted_by(|one, next| one.at >= next.at));
    assert!(cluster.events(other).await.unwrap().is_empty());

    // Stop, start, more of it.
    cluster.scale(owner, 0).await.unwrap();
    account.until(owner, "stopped", |seen| seen.pods.is_empty()).await;
    until_answers(&order.host, 503).await;
    cluster.scale(owner, 2).await.unwrap();
    order.replicas = 2;
    account.until_ready(&order).await;

    // Other ports: the old ones are gone from the Service.
    order =
        DeployOrder { image: "port8080:1".to_owned(), internal_port: 8080, external_port: 81, revision: 2, ..order };
    order.replicas = 1;
    account.deploy(&order).await;
    account.until_ready(&order).await;
    assert!(until_answers(&order.host, 200).await.contains("port 8080"));
    let ports = kubectl_text(&["-n", &account.namespace(), "get", "service", "-o", "jsonpath={..spec.ports}"]);
    println!("    {ports}");
    assert!(ports.contains("\"port\":81") && ports.contains("\"targetPort\":\"http\""), "{ports}");

    account.remove(owner).await;
    account.remove(owner).await;
    account.until_gone(owner).await;
    until_answers(&order.host, 404).await;
    let left = kubectl_text(&["-n", &account.namespace(), "get", "deploy,rs,pods,svc,ing", "-o", "name"]);
    assert_eq!(left, "");
    assert!(matches!(cluster.scale(owner, 1).await, Err(CloudError::NotFound(_))));
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_secrets_are_kept_changed_and_removed() {
    let account = Account::new().await;
    let cluster = &account.cluster;
    let mut order = account.order("env:1");
    let owner = order.owner;
    let set = |pairs: &[(&str, &str)]| -> Vec<_> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let stored = || {
        let arguments = ["-n", &account.namespace(), "get", "secrets", "-l", "fast-cloud/application", "-o"];
        kubectl_text(&[&arguments[..], &["jsonpath={.items[*].data}"]].concat())
    };

    let first = SecretOrder {
        set: set(&[("GREETING", "안녕 $(HOME)"), ("TOKEN", "old")]),
        keep: names(&["GREETING", "TOKEN"]),
    };
    cluster.apply_secret(owner, &first).await.unwrap();
    cluster.apply_secret(owner, &first).await.unwrap();
    order.secret_names = names(&["GREETING", "TOKEN"]);
    order.variables = vec![("PLAIN".to_owned(), "$(GREETING) $$".to_owned())];
    account.deploy(&order).await;
    account.until_ready(&order).await;
    assert_eq!(until_answers(&order.host, 200).await.trim(), "안녕 $(HOME)");
    let pod = account.cluster.show(owner).await.unwrap().pods[0].name.clone();
    let plain = kubectl_text(&["-n", &account.namespace(), "exec", &pod, "--", "sh", "-c", "echo \"$PLAIN\""]);
    assert_eq!(plain, "$(GREETING) $$\n", "what was typed is what arrives");

    // One changed, one kept without being known, one new.
    let second =
        SecretOrder { set: set(&[("TOKEN", "new"), ("MORE", "x")]), keep: names(&["GREETING", "TOKEN", "MORE"]) };
    cluster.apply_secret(owner, &second).await.unwrap();
    let data = stored();
    assert!(
        data.contains("\"TOKEN\":\"bmV3\"") && data.contains("\"MORE\":\"eA==\"") && data.contains("GREETING"),
        "{data}"
    );
    // A kept one and no other.
    cluster.apply_secret(owner, &SecretOrder { set: Vec::new(), keep: names(&["GREETING"]) }).await.unwrap();
    let data = stored();
    assert!(data.contains("GREETING") && !data.contains("TOKEN") && !data.contains("MORE"), "{data}");
    order = DeployOrder { secret_names: names(&["GREETING"]), revision: 2, ..order };
    account.deploy(&order).await;
    account.until_ready(&order).await;
    assert_eq!(until_answers(&order.host, 200).await.trim(), "안녕 $(HOME)");
    // None at all: the Secret goes.
    assert!(cluster.presence(owner).await.unwrap().secret);
    cluster.apply_secret(owner, &SecretOrder::default()).await.unwrap();
    cluster.apply_secret(owner, &SecretOrder::default()).await.unwrap();
    assert_eq!(stored(), "");
    account.remove(owner).await;
    account.until_gone(owner).await;
}

/// Requests to a host one after the other, until it is told to end: how many, and which failed.
async fn hammer(host: String, end: tokio::sync::oneshot::Receiver<()>) -> (u32, Vec<String>) {
    let (mut count, mut failed) = (0, Vec::new());
    let began = Instant::now();
    let at = || began.elapsed().as_secs_f32();
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            _ = &mut end => return (count, failed),
            answer = get(&host) => match answer {
                Ok((200, _)) => {}
                Ok((status, text)) => failed.push(format!("{:.2} s: {status} {text}", at())),
                Err(err) => failed.push(format!("{:.2} s: {err:?}", at())),
            },
        }
        count += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs the lab"]
async fn lab_redeploys_without_a_failed_request() {
    let account = Account::new().await;
    for (from, to, replicas) in [("hello:1", "hello:2", 1), ("hello:2", "hello:1", 2)] {
        let mut order = DeployOrder { replicas, ..account.order(from) };
        account.deploy(&order).await;
        account.until_ready(&order).await;
        until_steady(&order.host).await;
        let (end, ended) = tokio::sync::oneshot::channel();
        let requests = tokio::spawn(hammer(order.host.clone(), ended));
        for (image, revision) in [(to, 2), (from, 3), (from, 4)] {
            order = DeployOrder { image: image.to_owned(), revision, pull_always: revision == 4, ..order };
            account.deploy(&order).await;
            account.until_ready(&order).await;
            account.until(order.owner, "old pods gone", |seen| seen.pods.len() == replicas as usize).await;
        }
        end.send(()).unwrap();
        let (count, failed) = requests.await.unwrap();
        println!("{from} and {to}, {replicas} replicas: {count} requests, {} failed: {failed:?}", failed.len());
        assert!(count > 100 && failed.is_empty());
        account.remove(order.owner).await;
        account.until_gone(order.owner).await;
    }
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_logs_of_a_hostile_program_are_text() {
    let account = Account::new().await;
    let order = account.order("loud:1");
    account.deploy(&order).await;
    let seen = account.until_ready(&order).await;
    let request =
        LogRequest { owner: order.owner, pod: seen.pods[0].name.clone(), previous: false, follow: true, tail: 200 };
    let mut lines = account.cluster.logs(&request).await.unwrap();
    let mut read = Vec::new();
    let mut latest = None;
    while read.len() < 25 {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next()).await.unwrap().unwrap().unwrap();
        assert!(line.text.chars().count() <= crate::cloud::cluster::LogLine::LONGEST);
        assert!(!line.text.chars().any(char::is_control), "{:?}", line.text);
        latest = line.at.map(|at| chrono::Utc::now() - at);
        read.push(line);
    }
    println!(
        "    the last of {} lines came {} ms after it was written",
        read.len(),
        latest.unwrap().num_milliseconds()
    );
    assert!(read.iter().any(|line| line.text.starts_with("script <script>alert(1)</script>")));
    assert!(read.iter().any(|line| line.text == "korean 안녕하세요 로그 한 줄"));
    drop(lines);
    account.remove(order.owner).await;
    account.until_gone(order.owner).await;
}
