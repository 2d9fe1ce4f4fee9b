//! What people do with applications, and what they are told.

use std::collections::BTreeSet;

use fast_cloud::applications::model::{
    Application, NewApplication, Redeployment, Refusal, Size, Status, Transition, host_is_free,
};
use fast_cloud::cloud::practice::Reply;
use fast_cloud::ids::ApplicationId;
use fast_cloud::operations::model::Action;

use super::somebody::*;
use crate::support::TestApp;

#[actix_web::test]
async fn one_is_put_online_changed_stopped_started_and_removed() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    let id = me.deploy("My Blog", "hello:1");
    let row = me.row(id);
    assert_eq!((row.status(), row.transition()), (Status::Pending, Some(Transition::Deploying)));
    assert_eq!((row.host_label.as_str(), row.is_unsettled()), ("my-blog", true));
    let row = me.runs(id).await;
    assert_eq!(parts(&app, id).await, ["deployment", "ingress", "service"]);
    assert_eq!((row.revision, row.deployed_revision, &row.reason), (1, Some(1), &None));
    assert_eq!(row.observed().unwrap().pods.len(), 1);
    assert!(page(&app, "my-blog").await.contains("hello:1"), "{}", page(&app, "my-blog").await);

    me.redeploy(id, "hello:2");
    me.settles(id, "to be changed", |row| row.deployed_revision == Some(2) && row.transition().is_none()).await;
    assert!(page(&app, "my-blog").await.contains("hello:2"));
    let (_, deployed) = me.find(id).unwrap();
    assert_eq!((deployed.revision, deployed.image.as_str(), deployed.pull_always), (2, "hello:2", true));
    let before = Application::deployed(&mut app.database.connect(), me.account, id, 1).unwrap();
    assert_eq!((before.image.as_str(), before.pull_always), ("hello:1", false));
    assert_eq!(before.variables, [("GREETING".to_owned(), "안녕".to_owned())]);

    assert!(me.request(id, Action::Stop));
    assert!(!me.request(id, Action::Start), "it is being stopped");
    me.settles(id, "to stop", |row| row.status() == Status::Stopped && row.transition().is_none()).await;
    assert_eq!(app.cluster.reply(&host("my-blog")).await.unwrap(), Reply::NotReady);
    assert_eq!(me.usage(), (1, 250, 128), "a stopped one counts as if it ran");
    assert!(me.request(id, Action::Start));
    me.runs(id).await;

    assert!(me.request(id, Action::Delete) && me.request(id, Action::Delete), "twice is once");
    me.is_gone(id).await;
    nothing_is_left(&app).await;
    assert!(host_is_free(&mut app.database.connect(), "my-blog").unwrap());
    assert_eq!(me.usage(), (0, 0, 0));
    let expected = [
        "requested",
        "deployed",
        "running",
        "redeploy_requested",
        "redeployed",
        "stop_requested",
        "stopped",
        "start_requested",
        "started",
        "delete_requested",
    ];
    assert_eq!(me.happened(id), expected);
}

#[actix_web::test]
async fn the_quota_holds_under_twenty_orders_at_once() {
    let app = TestApp::with(|setup| setup.worker = false).await;
    let me = somebody(&app).await;
    let taken = race(20, |number| me.try_deploy(&order(&format!("app {number}"), "hello:1")));
    let (won, lost): (Vec<_>, Vec<_>) = taken.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (5, 15));
    assert!(lost.iter().all(|refusal| matches!(refusal, Err(Refusal::OverQuota))), "{lost:?}");
    assert_eq!((app.database.count("applications"), app.database.count("operations")), (5, 5));
    assert_eq!(me.usage(), (5, 1250, 640));
}

#[actix_web::test]
async fn the_quota_counts_sizes_and_replicas_and_changes_of_them() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    let big = NewApplication { size: Size::Large, replicas: 3, ..order("big", "hello:1") };
    assert!(matches!(me.try_deploy(&big), Err(Refusal::OverQuota)), "3000 of 2000");
    let id = me.try_deploy(&NewApplication { replicas: 1, ..big }).unwrap();
    me.runs(id).await;
    let other = me.deploy("other", "hello:1");
    me.runs(other).await;
    let grown = Redeployment { size: Size::Large, replicas: 2, ..change("hello:1") };
    assert!(matches!(me.try_redeploy(id, &grown), Err(Refusal::OverQuota)), "2000 and 250");
    assert_eq!(me.row(id).revision, 1, "a refusal changes nothing");
    // A limit that was lowered since takes nothing away.
    app.database.sql(
        "INSERT INTO account_quotas (account_id, applications, app_cpu_millis, app_memory_mb) \
         SELECT id, 1, 100, 100 FROM accounts",
    );
    me.try_redeploy(id, &Redeployment { size: Size::Large, ..change("hello:2") }).unwrap();
    assert!(matches!(
        me.try_redeploy(other, &Redeployment { replicas: 2, ..change("hello:2") }),
        Err(Refusal::OverQuota)
    ));
    me.runs(id).await;
    assert_eq!(me.usage(), (2, 1250, 640));
}

/// Calls it so many times at once, each on a thread of its own.
fn race<T: Send>(times: usize, call: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = std::sync::Barrier::new(times);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..times)
            .map(|number| {
                let (call, start) = (&call, &start);
                scope.spawn(move || {
                    start.wait();
                    call(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[actix_web::test]
async fn a_host_name_is_for_who_took_it_first() {
    let app = TestApp::new().await;
    let mut people = Vec::new();
    for _ in 0..12 {
        people.push(somebody(&app).await);
    }
    let names = ["my_app", "My-App", "my-app"];
    let taken = race(12, |number| people[number].try_deploy(&order(names[number % 3], "hello:1")));
    let winners: Vec<usize> = (0..12).filter(|number| taken[*number].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{taken:?}");
    let lost = taken.iter().filter(|taken| matches!(taken, Err(Refusal::HostTaken))).count();
    assert_eq!((lost, app.database.count("applications")), (11, 1));
    let winner = &people[winners[0]];
    let id = *taken[winners[0]].as_ref().unwrap();
    winner.runs(id).await;
    assert!(matches!(winner.try_deploy(&order("MY.APP", "hello:2")), Err(Refusal::HostTaken)), "one's own counts too");
    assert!(page(&app, "my-app").await.contains("hello:1"), "the first one's address leads to the first one");
    assert!(winner.request(id, Action::Delete));
    let other = &people[(winners[0] + 1) % 12];
    assert!(matches!(other.try_deploy(&order("my app", "hello:2")), Err(Refusal::HostTaken)), "until it is gone");
    winner.is_gone(id).await;
    let id = other.deploy("my app", "hello:2");
    other.runs(id).await;
    assert!(page(&app, "my-app").await.contains("hello:2"));
}

#[actix_web::test]
async fn a_double_click_deploys_one() {
    let app = TestApp::new().await;
    let (me, you) = (somebody(&app).await, somebody(&app).await);
    let new = order("once", "hello:1");
    let ids: BTreeSet<ApplicationId> = race(10, |_| me.try_deploy(&new).unwrap()).into_iter().collect();
    assert_eq!((ids.len(), app.database.count("applications"), app.database.count("operations")), (1, 1, 1));
    let theirs = NewApplication { host_label: "twice".to_owned(), ..new };
    assert!(!ids.contains(&you.try_deploy(&theirs).unwrap()), "the same form key of another is another's");
}

#[actix_web::test]
async fn nobody_else_reaches_it() {
    let app = TestApp::new().await;
    let (me, you) = (somebody(&app).await, somebody(&app).await);
    let id = me.deploy("mine", "hello:1");
    me.runs(id).await;
    assert!(you.find(id).is_none());
    let mut conn = app.database.connect();
    for action in [Action::Start, Action::Stop, Action::Delete] {
        assert!(Application::request(&mut conn, you.account, id, action).is_err());
    }
    assert!(Application::deployed(&mut conn, you.account, id, 1).is_err());
    assert!(matches!(
        you.try_redeploy(id, &change("hello:2")),
        Err(Refusal::Database(diesel::result::Error::NotFound))
    ));
    assert_eq!(me.row(id).transition(), None);
}

#[actix_web::test]
async fn why_one_does_not_work_is_found_out() {
    let app = TestApp::with(quick).await;
    for (image, reason) in [
        ("does-not-exist", "image_not_found"),
        ("limited", "image_rate_limited"),
        ("foreign:1", "wrong_architecture"),
        ("crash:1", "crash_loop"),
        ("exit0", "ended"),
        ("hog:1", "out_of_memory"),
        ("port8080", "port_other"),
        ("loopback:1", "port_loopback"),
        ("silent:1", "port_silent"),
    ] {
        let me = somebody(&app).await;
        let id = me.deploy(image, image);
        let mut row = me.fails(id, reason).await;
        if matches!(reason, "crash_loop" | "ended" | "out_of_memory") {
            row = me.settles(id, "to be looked into", |row| !row.findings().log.is_empty()).await;
            let code = match reason {
                "crash_loop" => 1,
                "ended" => 0,
                _ => 137,
            };
            assert_eq!((row.findings().exit_code, row.status()), (Some(code), Status::Failed), "{image}");
        }
        let findings = row.findings();
        assert_eq!(findings.suggested_port, (reason == "port_other").then_some(8080), "{image}: {findings:?}");
        assert!(row.reason_text.is_some() || !reason.starts_with("image_"), "the cluster's words are kept");
    }
}

#[actix_web::test]
async fn one_that_listens_elsewhere_is_mended_by_its_port() {
    let app = TestApp::with(quick).await;
    let me = somebody(&app).await;
    let id = me.deploy("web", "port8080");
    let suggested = me.fails(id, "port_other").await.findings().suggested_port.unwrap();
    me.try_redeploy(id, &Redeployment { internal_port: suggested, ..change("port8080") }).unwrap();
    let row = me.runs(id).await;
    assert_eq!((row.reason.clone(), row.findings().suggested_port), (None, None));
}

#[actix_web::test]
async fn secrets_are_kept_encrypted_until_the_cluster_has_them_and_nowhere_after() {
    let mut app = TestApp::with(|setup| setup.worker = false).await;
    let me = somebody(&app).await;
    let new = NewApplication { secrets: vec![("TOKEN".to_owned(), "hunter42".into())], ..order("env", "env:1") };
    let id = me.try_deploy(&new).unwrap();
    assert_eq!(app.database.count("application_configs WHERE pending_secrets IS NOT NULL"), 1);
    assert!(!app.database.holds(b"hunter42"));
    let account = me.account;
    app.work();
    let me = Somebody { app: &app, account };
    me.runs(id).await;
    assert_eq!(app.database.count("application_configs WHERE pending_secrets IS NOT NULL"), 0);
    assert!(parts(&app, id).await.contains(&"secret".to_owned()));
    let (_, deployed) = me.find(id).unwrap();
    assert_eq!(deployed.secret_names, ["TOKEN"]);
    // Kept without being entered again; one that it never had is not made up.
    let kept = Redeployment { secrets_kept: vec!["TOKEN".to_owned(), "OTHER".to_owned()], ..change("env:2") };
    me.try_redeploy(id, &kept).unwrap();
    me.settles(id, "to be changed", |row| row.deployed_revision == Some(2) && row.transition().is_none()).await;
    assert_eq!(me.find(id).unwrap().1.secret_names, ["TOKEN"]);
    // The pods of the former revision may need it; the deployment after removes it.
    for revision in [3, 4] {
        me.redeploy(id, "env:2");
        me.settles(id, "to be changed", |row| row.deployed_revision == Some(revision) && row.transition().is_none())
            .await;
    }
    assert!(!parts(&app, id).await.contains(&"secret".to_owned()));
}

#[actix_web::test]
async fn secrets_of_another_portal_s_secret_fail_clearly() {
    let mut app = TestApp::with(|setup| setup.worker = false).await;
    let me = somebody(&app).await;
    let new = NewApplication { secrets: vec![("TOKEN".to_owned(), "hunter42".into())], ..order("env", "env:1") };
    let id = me.try_deploy(&new).unwrap();
    app.database.sql("UPDATE application_configs SET pending_secrets = REVERSE(pending_secrets)");
    let account = me.account;
    app.work();
    let me = Somebody { app: &app, account };
    let row = me.fails(id, "deploy_failed").await;
    assert!(row.reason_text.is_some_and(|text| text.contains("can't be decrypted")));
    nothing_is_left(&app).await;
}
