//! What changes, told as it changes, while the API server comes and goes.
//!
//! These tests stop the lab's API server (`lab/kubernetes/apiserver`): nobody else should need it meanwhile.

use std::collections::HashMap;

use super::*;
use crate::cloud::CloudError;

fn apiserver(what: &str) {
    let script = format!("{}/lab/kubernetes/apiserver", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(script).arg(what).output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    println!("the API server: {what}");
}

/// Leaves a server that answers, whatever comes.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        let script = format!("{}/lab/kubernetes/apiserver", env!("CARGO_MANIFEST_DIR"));
        Command::new(&script).arg("start").output().unwrap();
    }
}

/// Waits for changes until it is so, within `patience`; what is known afterwards.
async fn told(
    account: &Account,
    known: &mut HashMap<AppOwner, Observed>,
    patience: Duration,
    what: &str,
    is_so: impl Fn(&HashMap<AppOwner, Observed>) -> bool,
) {
    let began = Instant::now();
    while !is_so(known) {
        let left = patience.saturating_sub(began.elapsed());
        let changes = tokio::time::timeout(left, account.cluster.changes(account.portal)).await;
        let changes = changes.unwrap_or_else(|_| panic!("{what}: not told within {patience:?}: {known:#?}"));
        known.extend(changes.into_iter().map(|one| (one.owner, one)));
    }
    println!("    told: {what}, {:.1} s", began.elapsed().as_secs_f32());
}

async fn until_ping(account: &Account, is_so: impl Fn(&Result<(), CloudError>) -> bool) {
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = account.cluster.ping().await;
        assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
        if is_so(&answer) {
            println!("    ping: {answer:?} after {:.1} s", began.elapsed().as_secs_f32());
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_changes_are_told() {
    let account = Account::new().await;
    let (kept, mut order) = (account.order("hello:1"), account.order("hello:1"));
    account.deploy(&kept).await;
    account.until_ready(&kept).await;
    let mut known = HashMap::new();
    told(&account, &mut known, PATIENCE, "what was there before", |known| known.contains_key(&kept.owner)).await;
    assert!(is_settled(&known[&kept.owner], &kept));

    account.deploy(&order).await;
    let ready = |known: &HashMap<_, _>, order: &DeployOrder| {
        known.get(&order.owner).is_some_and(|seen| is_settled(seen, order))
    };
    told(&account, &mut known, PATIENCE, "a new one", |known| ready(known, &order)).await;
    order = DeployOrder { image: "hello:2".to_owned(), revision: 2, ..order };
    account.deploy(&order).await;
    told(&account, &mut known, PATIENCE, "another image", |known| ready(known, &order)).await;

    // By another tool, and how long it takes to be known.
    let name = crate::cloud::cluster::object_name(order.owner.application);
    let mut times = Vec::new();
    for replicas in [0, 1, 0, 1, 0, 1, 0] {
        kubectl_text(&["-n", &account.namespace(), "scale", "deployment", &name, &format!("--replicas={replicas}")]);
        let began = Instant::now();
        told(&account, &mut known, PATIENCE, "a scale", |known| {
            known[&order.owner].deployment.as_ref().is_some_and(|seen| seen.wanted == replicas)
        })
        .await;
        times.push(began.elapsed());
    }
    times.sort();
    println!("from kubectl's end until it is told, median of {}: {:?}", times.len(), times[times.len() / 2]);

    account.remove(order.owner).await;
    told(&account, &mut known, PATIENCE, "it is gone", |known| {
        let seen = &known[&order.owner];
        seen.deployment.is_none() && seen.pods.is_empty()
    })
    .await;
    assert!(is_settled(&known[&kept.owner], &kept));
}

#[tokio::test]
#[ignore = "needs the lab, and stops its API server"]
async fn lab_a_cluster_that_comes_and_goes() {
    let account = Account::new().await;
    let order = account.order("hello:1");
    account.deploy(&order).await;
    account.until_ready(&order).await;
    let mut known = HashMap::new();
    told(&account, &mut known, PATIENCE, "at the start", |known| known.contains_key(&order.owner)).await;
    let _restored = Restored;

    for (away, back) in [("stop", "start"), ("freeze", "thaw")] {
        apiserver(away);
        until_ping(&account, |answer| matches!(answer, Err(CloudError::Unavailable { .. }))).await;
        let asked = Instant::now();
        let refused = account.cluster.show(order.owner).await;
        println!("    show: {refused:?} in {:.1} s", asked.elapsed().as_secs_f32());
        assert!(matches!(refused, Err(CloudError::Unavailable { .. })));
        assert!(asked.elapsed() < Duration::from_secs(22));
        assert!(account.cluster.list(account.portal).await.is_err());
        // The watch goes on waiting for as long as its pauses have become.
        let quiet = tokio::time::timeout(Duration::from_secs(10), account.cluster.changes(account.portal)).await;
        assert!(quiet.is_err(), "{quiet:?}");

        apiserver(back);
        until_ping(&account, Result::is_ok).await;
        let name = crate::cloud::cluster::object_name(order.owner.application);
        let replicas = if back == "start" { 2 } else { 1 };
        kubectl_text(&["-n", &account.namespace(), "scale", "deployment", &name, &format!("--replicas={replicas}")]);
        told(&account, &mut known, Duration::from_secs(15), "a change after it came back", |known| {
            known[&order.owner].deployment.as_ref().is_some_and(|seen| seen.wanted == replicas)
        })
        .await;
    }
    // What went while nobody could see it go.
    apiserver("stop");
    until_ping(&account, Result::is_err).await;
    apiserver("start");
    account.remove(order.owner).await;
    until_ping(&account, Result::is_ok).await;
    told(&account, &mut known, PATIENCE, "it is gone", |known| {
        known[&order.owner].deployment.is_none() && known[&order.owner].pods.is_empty()
    })
    .await;
}
