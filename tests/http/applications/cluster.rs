//! What the cluster says, when it is silent, and what others do in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fast_cloud::applications::model::Status;
use fast_cloud::applications::{strays, sync};
use fast_cloud::cloud::cluster::Cluster;
use fast_cloud::cloud::practice::ClusterFault;
use fast_cloud::cloud::{CloudError, Compute};
use fast_cloud::cloud_services::{APPLICATIONS, CloudService};
use fast_cloud::ids::ApplicationId;
use fast_cloud::operations::model::Action;

use super::somebody::*;
use crate::support::{TestApp, until};

#[actix_web::test]
async fn a_cluster_that_is_away_is_waited_for() {
    let mut app = TestApp::new().await;
    let account = somebody(&app).await.account;
    let down = || ClusterFault::Down(CloudError::unavailable("connection refused"));
    app.work_and_sync();
    {
        let me = Somebody { app: &app, account };
        let runs = me.deploy("runs", "hello:1");
        until("it to run", async || (me.row(runs).status() == Status::Running).then_some(())).await;
        app.cluster.script(down());
        let service = || CloudService::load(&mut app.database.connect(), APPLICATIONS).unwrap();
        until("the silence to be noticed", async || service().is_failing().then_some(())).await;
        let row = me.row(runs);
        assert_eq!((row.status(), row.reason), (Status::Running, None), "what was known stays, and is never stopped");
        // The machines' cloud is another matter.
        assert!(app.cloud.list(None).await.is_ok());
        assert!(!CloudService::load(&mut app.database.connect(), "compute").unwrap().is_failing());
        let waits = me.deploy("waits", "hello:1");
        until("the waiting to be told", async || {
            (me.row(waits).reason.as_deref() == Some("waiting_for_cluster")).then_some(())
        })
        .await;
        assert!(me.request(runs, Action::Stop));
        app.cluster.heal();
        until("the cluster to be heard again", async || {
            app.hurry();
            (!service().is_failing()).then_some(())
        })
        .await;
        until("what was asked for to be done", async || {
            app.hurry();
            let (runs, waits) = (me.row(runs), me.row(waits));
            let done = runs.status() == Status::Stopped && waits.status() == Status::Running;
            (done && runs.reason.is_none() && waits.reason.is_none()).then_some(())
        })
        .await;
    }
}

#[actix_web::test]
async fn watches_and_the_clock_are_enough() {
    // No comparison but the first: what comes, comes from the watches.
    let mut app = TestApp::with(|setup| {
        quick(setup);
        setup.config.sync.interval_seconds = 86_400;
    })
    .await;
    let account = somebody(&app).await.account;
    app.work_and_sync();
    let me = Somebody { app: &app, account };
    until("the first comparison", async || {
        CloudService::load(&mut app.database.connect(), APPLICATIONS).unwrap().last_ok_at.map(drop)
    })
    .await;
    let id = me.deploy("blog", "hello:1");
    until("it to run", async || (me.row(id).status() == Status::Running).then_some(())).await;
    app.cluster.scale_outside(id, 2).await.unwrap();
    until("two pods to be seen", async || (me.row(id).observed()?.pods.len() == 2).then_some(())).await;
    app.cluster.scale_outside(id, 0).await.unwrap();
    until("another tool's stop to be seen", async || (me.row(id).status() == Status::Stopped).then_some(())).await;
    let silent = me.deploy("silent", "silent:1");
    until("the silence to be told", async || (me.row(silent).reason.as_deref() == Some("port_silent")).then_some(()))
        .await;
    until("the silence to count", async || (me.row(silent).status() == Status::Failed).then_some(())).await;
    until("the last look into it", async || {
        (app.database.count("operations WHERE state IN ('queued', 'running')") == 0).then_some(())
    })
    .await;
    let version = me.settles(silent, "to be settled", |row| row.look_at.is_none()).await.version;
    sync::run_once(&app.portal.app).await.unwrap();
    sync::look_again(&app.portal.app).await.unwrap();
    assert_eq!(me.row(silent).version, version, "what is settled is not written again");
    assert_eq!(app.database.count("applications WHERE look_at IS NOT NULL"), 0, "nor is it looked at");
    app.cluster.remove_deployment(id).await.unwrap();
    until("the loss to be told", async || (me.row(id).reason.as_deref() == Some("vanished")).then_some(())).await;
}

#[actix_web::test]
async fn one_that_was_lost_behind_our_back_can_be_put_online_again_or_removed() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    let id = me.deploy("blog", "hello:1");
    me.runs(id).await;
    app.cluster.remove_deployment(id).await.unwrap();
    let row = me.fails(id, "vanished").await;
    assert!(!row.allows(Action::Stop) && !row.allows(Action::Start));
    assert_eq!(me.happened(id).last().map(String::as_str), Some("vanished"));
    me.redeploy(id, "hello:2");
    me.runs(id).await;
    app.cluster.remove_deployment(id).await.unwrap();
    me.fails(id, "vanished").await;
    assert!(me.request(id, Action::Delete));
    me.is_gone(id).await;
    nothing_is_left(&app).await;
}

#[actix_web::test]
async fn deployments_that_fit_no_row_are_listed_and_not_deleted() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    let (kept, forgotten, past) =
        (me.deploy("kept", "hello:1"), me.deploy("forgotten", "hello:1"), me.deploy("past", "hello:1"));
    for id in [kept, forgotten, past] {
        me.runs(id).await;
    }
    let is = |id: ApplicationId| format!("id = UNHEX('{}')", id.0.simple());
    app.database.sql(&format!("DELETE FROM applications WHERE {}", is(forgotten)));
    app.database.sql(&format!("UPDATE applications SET deleted_at = UTC_TIMESTAMP(6) WHERE {}", is(past)));
    let summary = sync::run_once(&app.portal.app).await.unwrap();
    assert_eq!((summary.seen, summary.strays), (3, 2));
    let listed = |app: &TestApp| -> BTreeSet<(ApplicationId, String)> {
        let all = strays::list(&mut app.database.connect()).unwrap();
        all.into_iter().map(|stray| (stray.application_id, stray.reason)).collect()
    };
    let expected = [(forgotten, "no_row".to_owned()), (past, "deleted_row".to_owned())];
    assert_eq!(listed(&app), expected.into_iter().collect());
    assert_eq!(parts(&app, forgotten).await.len(), 3, "nothing is deleted silently");
    app.cluster.remove_deployment(forgotten).await.unwrap();
    until("the list to be shorter", async || {
        sync::run_once(&app.portal.app).await.unwrap();
        (listed(&app).len() == 1).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn older_words_of_the_cluster_change_nothing() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    let id = me.deploy("blog", "hello:1");
    me.runs(id).await;
    let portal: &Arc<fast_cloud::app::App> = &app.portal.app;
    let ran = app.cluster.show(me.owner(id)).await.unwrap();
    me.request(id, Action::Stop);
    me.settles(id, "to stop", |row| row.status() == Status::Stopped && row.transition().is_none()).await;
    // A watch that lags says what was true a moment ago.
    assert_eq!(sync::take(portal, vec![ran.clone()]).await.unwrap(), 0);
    assert_eq!(me.row(id).status(), Status::Stopped);
    // Nor does what is said of another account's, or while we remove it.
    let theirs = somebody(&app).await;
    let mut forged = app.cluster.show(me.owner(id)).await.unwrap();
    forged.owner.account = theirs.account;
    forged.deployment.as_mut().unwrap().generation += 100;
    assert_eq!(sync::take(portal, vec![forged]).await.unwrap(), 0);
    me.request(id, Action::Delete);
    assert_eq!(sync::take(portal, vec![ran]).await.unwrap(), 0);
    me.is_gone(id).await;
    until("nothing to be left", async || app.cluster.objects().await.unwrap().is_empty().then_some(())).await;
    tokio::time::timeout(Duration::from_secs(5), sync::run_once(portal)).await.unwrap().unwrap();
}
