//! A class at once: everybody rents ten, on the fake driver's host, through a proxy that counts.
//!
//! `LAB_MANY` is how many in all: 60, because the lab's Nova and Neutron need two to three seconds for each on two
//! cores. 300 are accepted as quickly; the lab takes a quarter of an hour for them, longer when it is not alone.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::support::{Home, Lab, Person, Proxy, SCALE, Server, Setup, Watch, run};

/// Machines that each person rents.
const EACH: usize = 10;
/// Calls in flight to Nova that the portal is allowed.
const CONCURRENCY: usize = 4;
/// For each machine: Nova and Neutron need about a second of a core, and may share it with others.
const PATIENCE: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn a_class_rents_at_once() {
    run(class).await;
}

async fn class(lab: &Lab) {
    let many: usize = std::env::var("LAB_MANY").ok().and_then(|many| many.parse().ok()).unwrap_or(60);
    let patience = Duration::from_secs(60) + PATIENCE * u32::try_from(many).unwrap();
    let people = many.div_ceil(EACH);
    let mut watch = Watch::start();
    let home = Home::new();
    let proxy = Proxy::start(lab, SCALE).await;
    let portal = Setup::new(&proxy.clouds_yaml(lab, SCALE, &home), SCALE)
        .quota(u32::try_from(EACH).unwrap())
        .set("FASTCLOUD_OPENSTACK__CONCURRENCY", CONCURRENCY.to_string())
        .set("FASTCLOUD_SYNC__INTERVAL_SECONDS", "60")
        .set("FASTCLOUD_OPERATIONS__LEASE_SECONDS", "20")
        .set("FASTCLOUD_LOG__FILTER", "info")
        .start(&home)
        .await;
    let logins: Vec<String> = (0..people).map(|n| format!("class{n:03}")).collect();
    let class = join_all(logins.iter().map(|login| portal.person(login))).await;
    let template = class[0].template("Nano").await;
    watch.lap(&format!("{people} people signed up"));

    let counts = proxy.counts();
    let asks = class.iter().flat_map(|person| (0..EACH).map(move |n| (person, n)));
    let answers = join_all(asks.map(async |(person, n)| {
        let page = person.ask(&lab.name(&format!("{}-{n}", person.login)), &template).await;
        page.status.as_u16()
    }))
    .await;
    watch.lap(&format!("{} rentals asked for at once", answers.len()));
    assert!(answers.iter().all(|status| [202, 303].contains(status)), "{answers:?}");

    // In the middle of it the token is taken back: the cloud's doing, nobody's fault.
    let half = answers.len() / 2;
    let began = Instant::now();
    let (mut revoked, mut told_at) = (false, Instant::now());
    loop {
        let seen = statuses(&class).await;
        if told_at.elapsed() > Duration::from_secs(20) {
            told_at = Instant::now();
            let active = |servers: Vec<Server>| servers.iter().filter(|server| server.status == "ACTIVE").count();
            let (here, there) =
                (seen.iter().filter(|status| *status == "active").count(), lab.servers(&lab.scale).await);
            let all = there.len();
            println!("    {here} shown as active; in Nova {} of {all}", active(there));
        }
        let launched = counts.launches.load(Ordering::SeqCst);
        if !revoked && launched >= half {
            assert_eq!(counts.logins.load(Ordering::SeqCst), 1, "one login until here");
            proxy.revoke();
            revoked = true;
            watch.lap(&format!("{launched} orders sent to Nova, the token is refused from now on"));
        }
        if seen.iter().all(|status| status == "active") {
            assert_eq!(seen.len(), answers.len());
            break;
        }
        assert!(!seen.iter().any(|status| status == "error"), "{}", told(&class).await);
        assert!(began.elapsed() < patience, "{}", told(&class).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    watch.lap("the others, all active");
    let servers = lab.servers(&lab.scale).await;
    assert_eq!(servers.len(), answers.len(), "one machine for each");
    assert!(revoked && counts.refused_tokens.load(Ordering::SeqCst) > 0);
    assert_eq!(counts.logins.load(Ordering::SeqCst), 2, "one more login for all who were refused");
    let most = counts.most_compute.load(Ordering::SeqCst);
    println!(
        "    to Nova: {} requests, {most} at most at once, {} given up; {} refused for their token, {} orders",
        counts.all_compute.load(Ordering::SeqCst),
        counts.given_up.load(Ordering::SeqCst),
        counts.refused_tokens.load(Ordering::SeqCst),
        counts.launches.load(Ordering::SeqCst),
    );
    assert!(most <= CONCURRENCY, "{most} requests at once");

    join_all(class.iter().map(async |person| {
        for row in person.rows().await {
            person.press(&row.id, "delete").await;
        }
    }))
    .await;
    watch.lap("deletion of all asked for");
    let began = Instant::now();
    while !statuses(&class).await.is_empty() {
        assert!(began.elapsed() < patience, "{}", told(&class).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    watch.lap("all gone");
    assert_eq!(lab.servers(&lab.scale).await.len(), 0);
    assert_eq!(lab.keys_left(&lab.scale).await, [] as [String; 0]);
    let most = counts.most_compute.load(Ordering::SeqCst);
    assert!(most <= CONCURRENCY, "{most} requests at once");
    assert_eq!(counts.logins.load(Ordering::SeqCst), 2);
}

async fn statuses(class: &[Person]) -> Vec<String> {
    let lists = join_all(class.iter().map(Person::rows)).await;
    lists.into_iter().flatten().map(|row| row.status).collect()
}

/// How many are in which status, and why.
async fn told(class: &[Person]) -> String {
    let lists = join_all(class.iter().map(Person::rows)).await;
    let mut counted = std::collections::BTreeMap::new();
    for row in lists.into_iter().flatten() {
        *counted.entry((row.status, row.why)).or_insert(0) += 1;
    }
    format!("{counted:?}")
}
