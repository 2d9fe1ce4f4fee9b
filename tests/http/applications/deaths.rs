//! Processes that die at each step, answers that are lost, and several processes at once.

use fast_cloud::applications::model::Status;
use fast_cloud::cloud::CloudError;
use fast_cloud::cloud::cluster::{Cluster, DeployOrder, Part};
use fast_cloud::cloud::practice::{ClusterFault, Step};
use fast_cloud::operations::model::Action;

use super::somebody::*;
use crate::support::gate::Side;
use crate::support::{TestApp, until};

/// The calls of a creation and of a change, with both sides of each.
fn deaths() -> Vec<(Step, Side)> {
    let steps = steps().into_iter().chain([Step::Presence, Step::Show]);
    steps.flat_map(|step| [(step, Side::Before), (step, Side::After)]).collect()
}

#[actix_web::test]
async fn a_process_that_dies_at_any_step_of_creation_is_made_up_for() {
    let mut app = TestApp::with(|setup| setup.config.quota.applications = 100).await;
    let account = somebody(&app).await.account;
    app.database.sql(
        "INSERT INTO account_quotas (account_id, applications, app_cpu_millis, app_memory_mb) \
         SELECT id, 100, 100000, 100000 FROM accounts",
    );
    for (number, (step, side)) in deaths().into_iter().enumerate() {
        app.gate.close(step, side);
        let new = with_secret(&format!("app {number}"));
        let id = Somebody { app: &app, account }.try_deploy(&new).unwrap();
        app.gate.reached().await;
        app.stop_working();
        leases_run_out(&app);
        app.work();
        let me = Somebody { app: &app, account };
        let row = me.runs(id).await;
        assert_eq!((row.deployed_revision, row.reason), (Some(1), None), "{step:?} {side:?}");
        assert_eq!(parts(&app, id).await, ["deployment", "ingress", "secret", "service"], "{step:?} {side:?}");
        assert_eq!(me.happened(id), ["requested", "deployed", "running"], "{step:?} {side:?}");
    }
    assert!(!app.database.holds(b"hunter42"));
    assert_eq!(app.database.count("application_configs WHERE pending_secrets IS NOT NULL"), 0);
}

#[actix_web::test]
async fn one_whose_creation_died_at_any_step_can_be_removed_whole() {
    let mut app = TestApp::new().await;
    let account = somebody(&app).await.account;
    for (step, side) in deaths() {
        app.gate.close(step, side);
        let id = Somebody { app: &app, account }.try_deploy(&with_secret("blog")).unwrap();
        app.gate.reached().await;
        app.stop_working();
        leases_run_out(&app);
        assert!(Somebody { app: &app, account }.request(id, Action::Delete));
        app.work();
        Somebody { app: &app, account }.is_gone(id).await;
        nothing_is_left(&app).await;
    }
}

#[actix_web::test]
async fn a_part_that_comes_late_is_removed_too() {
    let mut app = TestApp::new().await;
    let account = somebody(&app).await.account;
    app.gate.close(Step::Apply(Part::Deployment), Side::Before);
    let id = Somebody { app: &app, account }.deploy("blog", "hello:1");
    app.gate.reached().await;
    app.stop_working();
    leases_run_out(&app);
    let me = Somebody { app: &app, account };
    let owner = me.owner(id);
    assert!(me.request(id, Action::Delete));
    app.work();
    let me = Somebody { app: &app, account };
    until("a first look", async || {
        (app.database.count("operations WHERE action = 'delete' AND state = 'queued' AND attempts = 1") == 1)
            .then_some(())
    })
    .await;
    assert!(me.find(id).is_some(), "the request of the dead process may still come");
    let late = DeployOrder {
        owner,
        image: "docker.io/library/hello:1".to_owned(),
        pull_always: false,
        internal_port: 80,
        external_port: 80,
        replicas: 1,
        cpu_millis: 250,
        memory_mb: 128,
        variables: Vec::new(),
        secret_names: Vec::new(),
        revision: 1,
        host: host("blog"),
    };
    app.cluster.apply_deployment(&late).await.unwrap();
    me.is_gone(id).await;
    nothing_is_left(&app).await;
}

#[actix_web::test]
async fn a_process_that_dies_at_any_step_of_a_change_is_made_up_for() {
    let mut app = TestApp::new().await;
    let account = somebody(&app).await.account;
    let id = Somebody { app: &app, account }.deploy("blog", "hello:1");
    Somebody { app: &app, account }.runs(id).await;
    for (number, (step, side)) in deaths().into_iter().filter(|(step, _)| *step != steps()[1]).enumerate() {
        let image = format!("hello:{}", number + 2);
        app.gate.close(step, side);
        Somebody { app: &app, account }.redeploy(id, &image);
        app.gate.reached().await;
        app.stop_working();
        leases_run_out(&app);
        app.work();
        let me = Somebody { app: &app, account };
        let revision = u32::try_from(number).unwrap() + 2;
        me.settles(id, "to be changed", |row| row.deployed_revision == Some(revision) && row.transition().is_none())
            .await;
        assert!(page(&app, "blog").await.contains(&image), "{step:?} {side:?}");
        assert_eq!(parts(&app, id).await, ["deployment", "ingress", "service"]);
    }
    let happened = app.database.count("application_events WHERE kind = 'redeployed'");
    assert_eq!(happened, 12, "each change is told once");
}

#[actix_web::test]
async fn a_process_that_dies_while_it_turns_back_is_made_up_for() {
    let mut app = TestApp::new().await;
    let account = somebody(&app).await.account;
    let denied = || ClusterFault::Step(Step::Apply(Part::Ingress), CloudError::Rejected("denied".to_owned()));
    let removal = [Part::Ingress, Part::Service, Part::Deployment, Part::Secret];
    for step in removal.into_iter().map(Step::Delete).chain([Step::Presence]) {
        app.cluster.script(denied());
        app.gate.close(step, Side::Before);
        let id = Somebody { app: &app, account }.deploy("blog", "hello:1");
        app.gate.reached().await;
        app.stop_working();
        leases_run_out(&app);
        app.work();
        let me = Somebody { app: &app, account };
        me.fails(id, "deploy_failed").await;
        nothing_is_left(&app).await;
        me.request(id, Action::Delete);
        me.is_gone(id).await;
    }
}

#[actix_web::test]
async fn a_process_that_dies_at_any_step_of_a_removal_is_made_up_for() {
    let mut app = TestApp::new().await;
    let account = somebody(&app).await.account;
    let removal = [Part::Ingress, Part::Service, Part::Deployment, Part::Secret];
    let steps = removal.into_iter().map(Step::Delete).chain([Step::Presence]);
    for (step, side) in steps.flat_map(|step| [(step, Side::Before), (step, Side::After)]) {
        let me = Somebody { app: &app, account };
        let id = me.deploy("blog", "hello:1");
        me.runs(id).await;
        app.gate.close(step, side);
        me.request(id, Action::Delete);
        app.gate.reached().await;
        app.stop_working();
        leases_run_out(&app);
        app.work();
        Somebody { app: &app, account }.is_gone(id).await;
        nothing_is_left(&app).await;
    }
}

#[actix_web::test]
async fn lost_answers_make_nothing_twice() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    for step in [Step::Apply(Part::Deployment), Step::Apply(Part::Service), Step::Apply(Part::Ingress)] {
        app.cluster.script(ClusterFault::AnswerLost(step));
    }
    let id = me.deploy("blog", "hello:1");
    me.runs(id).await;
    assert_eq!(parts(&app, id).await, ["deployment", "ingress", "service"]);
    app.cluster.script(ClusterFault::AnswerLost(Step::Scale));
    me.request(id, Action::Stop);
    me.settles(id, "to stop", |row| row.status() == Status::Stopped && row.transition().is_none()).await;
    app.cluster.script(ClusterFault::AnswerLost(Step::Delete(Part::Deployment)));
    me.request(id, Action::Delete);
    me.is_gone(id).await;
    nothing_is_left(&app).await;
    assert_eq!(app.cluster.heal(), 0);
}

#[actix_web::test]
async fn two_processes_carry_out_each_request_once() {
    let mut app = TestApp::new().await;
    let mut accounts = Vec::new();
    for _ in 0..4 {
        accounts.push(somebody(&app).await.account);
    }
    app.work_and_sync();
    let other = app.whole_second_portal();
    let mut mine = Vec::new();
    for (number, account) in accounts.iter().enumerate() {
        let me = Somebody { app: &app, account: *account };
        for name in ["a", "b"] {
            mine.push((*account, me.deploy(&format!("{name}{number}"), "hello:1")));
        }
        other.app.work.notify_one();
    }
    for (account, id) in &mine {
        let me = Somebody { app: &app, account: *account };
        until("it to run", async || (me.row(*id).status() == Status::Running).then_some(())).await;
        assert!(me.request(*id, Action::Stop));
    }
    for (account, id) in &mine {
        let me = Somebody { app: &app, account: *account };
        until("it to stop", async || (me.row(*id).status() == Status::Stopped).then_some(())).await;
        assert_eq!(me.happened(*id).iter().filter(|kind| *kind == "deployed").count(), 1);
        assert!(me.request(*id, Action::Delete));
    }
    for (account, id) in &mine {
        let me = Somebody { app: &app, account: *account };
        until("it to be gone", async || me.find(*id).is_none().then_some(())).await;
    }
    assert_eq!(app.database.count("operations WHERE attempts <> 1 AND action <> 'delete'"), 0);
    nothing_is_left(&app).await;
}
