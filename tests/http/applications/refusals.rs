//! What the cluster refuses for good, at each step.

use fast_cloud::applications::model::{Redeployment, Size, Status};
use fast_cloud::cloud::CloudError;
use fast_cloud::cloud::cluster::{Cluster, Part};
use fast_cloud::cloud::practice::{ClusterFault, Step};
use fast_cloud::operations::model::Action;

use super::somebody::*;
use crate::support::TestApp;

#[actix_web::test]
async fn a_refusal_at_any_step_of_creation_leaves_nothing() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    for (number, step) in steps().into_iter().enumerate() {
        let quota = number == 2;
        let words = "admission webhook \"policy\" denied the request".to_owned();
        let error = if quota { CloudError::QuotaExceeded(words.clone()) } else { CloudError::Rejected(words.clone()) };
        app.cluster.script(ClusterFault::Step(step, error));
        let new = with_secret(&format!("app {number}"));
        let id = me.try_deploy(&new).unwrap();
        let row = me.fails(id, if quota { "quota" } else { "deploy_failed" }).await;
        assert_eq!((row.reason_text, row.deployed_revision), (Some(words), None), "{step:?}");
        nothing_of_it_is_left(&app, id).await;
        assert_eq!(app.cluster.heal(), 0, "the fault was met");
        assert_eq!(me.happened(id), ["requested", "failed"]);
        // What was entered is not lost: the same again works, secrets and all.
        me.try_redeploy(id, &Redeployment { secrets_kept: vec!["TOKEN".to_owned()], ..change("hello:1") }).unwrap();
        me.runs(id).await;
        assert_eq!(parts(&app, id).await, ["deployment", "ingress", "secret", "service"]);
        assert!(!app.database.holds(b"hunter42"));
    }
    assert_eq!(app.database.count("application_configs WHERE pending_secrets IS NOT NULL"), 0);
}

#[actix_web::test]
async fn a_refusal_at_any_step_of_a_change_keeps_the_former_one() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    let id = me.deploy("blog", "hello:1");
    me.runs(id).await;
    for (number, step) in steps().into_iter().enumerate() {
        app.cluster.script(ClusterFault::Step(step, CloudError::Rejected("denied".to_owned())));
        let bigger = Redeployment {
            secrets_set: vec![("TOKEN".to_owned(), "hunter42".into())],
            size: Size::Medium,
            ..change("hello:2")
        };
        me.try_redeploy(id, &bigger).unwrap();
        let row = me
            .settles(id, "to be turned back", |row| {
                row.transition().is_none() && row.reason.as_deref() == Some("deploy_failed")
            })
            .await;
        assert_eq!((row.status(), row.revision, row.deployed_revision), (Status::Running, 1, Some(1)), "{step:?}");
        assert_eq!((row.size(), row.cpu_millis), (Size::Small, 250), "what counts is what there is");
        assert!(row.findings().old_answers);
        let seen = app.cluster.show(me.owner(id)).await.unwrap().deployment.unwrap();
        assert_eq!((seen.revision, seen.wanted), (1, 1));
        assert!(page(&app, "blog").await.contains("hello:1"));
        assert_eq!(parts(&app, id).await, ["deployment", "ingress", "service"], "no secret of the refused one stays");
        assert_eq!(app.cluster.heal(), 0);
        assert_eq!(me.happened(id).iter().filter(|kind| *kind == "rolled_back").count(), number + 1);
    }
    // The next try has a number of its own.
    me.redeploy(id, "hello:2");
    let row =
        me.settles(id, "to be changed", |row| row.deployed_revision == Some(7) && row.transition().is_none()).await;
    assert_eq!((row.status(), row.reason), (Status::Running, None));
    assert!(page(&app, "blog").await.contains("hello:2"));
}

#[actix_web::test]
async fn a_refused_change_of_a_stopped_one_leaves_it_stopped() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    let id = me.deploy("blog", "hello:1");
    me.runs(id).await;
    me.request(id, Action::Stop);
    me.settles(id, "to stop", |row| row.status() == Status::Stopped && row.transition().is_none()).await;
    app.cluster.script(ClusterFault::Step(Step::Apply(Part::Ingress), CloudError::Rejected("denied".to_owned())));
    me.redeploy(id, "hello:2");
    let row = me.settles(id, "to be turned back", |row| row.transition().is_none() && row.reason.is_some()).await;
    assert_eq!((row.status(), row.revision), (Status::Stopped, 1));
    assert_eq!(app.cluster.show(me.owner(id)).await.unwrap().deployment.unwrap().wanted, 0);
    // A change that works starts it.
    me.redeploy(id, "hello:2");
    me.runs(id).await;
}

#[actix_web::test]
async fn a_change_that_does_not_come_up_leaves_the_former_one_running() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    let id = me.deploy("blog", "hello:1");
    me.runs(id).await;
    me.redeploy(id, "does-not-exist");
    let row = me.settles(id, "to be told", |row| row.reason.as_deref() == Some("image_not_found")).await;
    assert_eq!((row.status(), row.transition()), (Status::Running, None));
    assert!(row.findings().old_answers);
    assert!(page(&app, "blog").await.contains("hello:1"), "the former one answers");
    me.redeploy(id, "hello:2");
    me.settles(id, "to be mended", |row| row.reason.is_none() && row.transition().is_none()).await;
    assert!(page(&app, "blog").await.contains("hello:2"));
    assert!(me.happened(id).contains(&"rollout_failed".to_owned()));
}

#[actix_web::test]
async fn a_removal_that_is_refused_is_told_and_can_be_asked_for_again() {
    let app = TestApp::new().await;
    let me = somebody(&app).await;
    let id = me.deploy("blog", "hello:1");
    me.runs(id).await;
    let refusal = CloudError::Rejected("services is forbidden".to_owned());
    app.cluster.script(ClusterFault::Step(Step::Delete(Part::Service), refusal.clone()));
    me.request(id, Action::Delete);
    let row = me.settles(id, "to be told", |row| row.reason.as_deref() == Some("delete_failed")).await;
    assert_eq!((row.status(), row.transition()), (Status::Running, None));
    assert!(me.request(id, Action::Delete));
    me.is_gone(id).await;
    nothing_is_left(&app).await;
    // The same of starting and stopping.
    let id = me.deploy("blog", "hello:1");
    me.runs(id).await;
    app.cluster.script(ClusterFault::Step(Step::Scale, refusal));
    me.request(id, Action::Stop);
    let row = me.settles(id, "to be told", |row| row.reason.as_deref() == Some("action_failed")).await;
    assert_eq!((row.status(), row.transition()), (Status::Running, None));
}
