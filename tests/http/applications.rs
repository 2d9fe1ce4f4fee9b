//! Applications from the click to the cluster and back: rows, work and sync, with the practice cloud's containers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fast_cloud::accounts::model::{Account, Role};
use fast_cloud::applications::host::label_of;
use fast_cloud::applications::model::{
    Application, Deployed, NewApplication, Redeployment, Refusal, Size, Status, Transition, host_is_free,
};
use fast_cloud::applications::{events, strays, sync};
use fast_cloud::cloud::cluster::{AppOwner, Cluster, DeployOrder, Part, object_name};
use fast_cloud::cloud::practice::{ClusterFault, Reply, Step};
use fast_cloud::cloud::{CloudError, Compute};
use fast_cloud::cloud_services::{APPLICATIONS, CloudService};
use fast_cloud::ids::{AccountId, ApplicationId};
use fast_cloud::operations::model::Action;
use fast_cloud::registry::ImageReference;

use crate::support::gate::Side;
use crate::support::{TestApp, until};

/// What the tests of this file ask of an application, as its person.
struct Somebody<'a> {
    app: &'a TestApp,
    account: AccountId,
}

fn order(name: &str, image: &str) -> NewApplication {
    NewApplication {
        name: name.to_owned(),
        host_label: label_of(name, &[]).unwrap().text,
        image: image.to_owned(),
        image_reference: ImageReference::parse(image).unwrap().canonical(),
        exposed_ports: vec![80],
        internal_port: 80,
        external_port: 80,
        replicas: 1,
        size: Size::Small,
        variables: vec![("GREETING".to_owned(), "안녕".to_owned())],
        secrets: Vec::new(),
        launch_key: fast_cloud::random::token(),
    }
}

fn with_secret(name: &str) -> NewApplication {
    NewApplication { secrets: vec![("TOKEN".to_owned(), "hunter42".into())], ..order(name, "hello:1") }
}

fn change(image: &str) -> Redeployment {
    Redeployment {
        image: image.to_owned(),
        image_reference: ImageReference::parse(image).unwrap().canonical(),
        exposed_ports: vec![80],
        internal_port: 80,
        external_port: 80,
        replicas: 1,
        size: Size::Small,
        variables: Vec::new(),
        secrets_set: Vec::new(),
        secrets_kept: Vec::new(),
    }
}

async fn somebody(app: &TestApp) -> Somebody<'_> {
    let login_id = format!("person-{}", &fast_cloud::random::token()[..12]);
    app.enrol(&login_id, "사람", Role::Student).await;
    let account = Account::by_login_id(&mut app.database.connect(), &login_id).unwrap().unwrap().id;
    Somebody { app, account }
}

impl Somebody<'_> {
    fn try_deploy(&self, new: &NewApplication) -> Result<ApplicationId, Refusal> {
        let app = &self.app.portal.app;
        let id = Application::deploy(
            &mut self.app.database.connect(),
            self.account,
            new,
            app.config.quota,
            &app.shared,
            &app.config.applications,
        );
        app.work.notify_one();
        id
    }

    fn deploy(&self, name: &str, image: &str) -> ApplicationId {
        self.try_deploy(&order(name, image)).unwrap()
    }

    fn try_redeploy(&self, id: ApplicationId, change: &Redeployment) -> Result<(), Refusal> {
        let app = &self.app.portal.app;
        let mut conn = self.app.database.connect();
        let (quota, config) = (app.config.quota, &app.config.applications);
        let asked = Application::redeploy(&mut conn, self.account, id, change, quota, &app.shared, config);
        app.work.notify_one();
        asked
    }

    fn redeploy(&self, id: ApplicationId, image: &str) {
        self.try_redeploy(id, &change(image)).unwrap();
    }

    fn request(&self, id: ApplicationId, action: Action) -> bool {
        let asked = Application::request(&mut self.app.database.connect(), self.account, id, action).unwrap();
        self.app.portal.app.work.notify_one();
        asked
    }

    fn find(&self, id: ApplicationId) -> Option<(Application, Deployed)> {
        Application::find(&mut self.app.database.connect(), self.account, id).ok()
    }

    fn row(&self, id: ApplicationId) -> Application {
        self.find(id).unwrap().0
    }

    fn owner(&self, id: ApplicationId) -> AppOwner {
        AppOwner { portal: self.app.portal.app.shared.portal, account: self.account, application: id }
    }

    /// Time passes until this is so: operations are due at once, the cluster is compared.
    async fn settles(&self, id: ApplicationId, what: &str, so: impl Fn(&Application) -> bool) -> Application {
        until(&format!("{id} {what}"), async || {
            self.app.hurry();
            let _ = sync::run_once(&self.app.portal.app).await;
            let _ = sync::look_again(&self.app.portal.app).await;
            self.find(id).map(|(row, _)| row).filter(|row| so(row))
        })
        .await
    }

    async fn runs(&self, id: ApplicationId) -> Application {
        self.settles(id, "to run", |row| row.status() == Status::Running && row.transition().is_none()).await
    }

    async fn fails(&self, id: ApplicationId, reason: &str) -> Application {
        self.settles(id, &format!("to fail: {reason}"), |row| {
            row.status() == Status::Failed && row.transition().is_none() && row.reason.as_deref() == Some(reason)
        })
        .await
    }

    async fn is_gone(&self, id: ApplicationId) {
        until(&format!("{id} to be gone"), async || {
            self.app.hurry();
            self.find(id).is_none().then_some(())
        })
        .await;
    }

    fn happened(&self, id: ApplicationId) -> Vec<String> {
        let latest = events::latest(&mut self.app.database.connect(), id).unwrap();
        latest.into_iter().rev().map(|event| event.kind).collect()
    }

    fn usage(&self) -> (u32, u32, u32) {
        let usage = Application::counts(&mut self.app.database.connect(), self.account).unwrap().usage;
        (usage.applications, usage.cpu_millis, usage.memory_mb)
    }
}

/// The parts of an application, pods left out.
async fn parts(app: &TestApp, id: ApplicationId) -> Vec<String> {
    let name = object_name(id);
    let objects = app.cluster.objects().await.unwrap();
    let mine = objects.iter().filter(|object| object.ends_with(&format!("/{name}")));
    mine.filter_map(|object| object.split('/').nth(1).map(str::to_owned)).collect()
}

async fn nothing_is_left(app: &TestApp) {
    let objects = app.cluster.objects().await.unwrap();
    assert!(objects.is_empty(), "{objects:?}");
}

async fn nothing_of_it_is_left(app: &TestApp, id: ApplicationId) {
    let objects = app.cluster.objects().await.unwrap();
    let left: Vec<&String> = objects.iter().filter(|object| object.contains(&object_name(id))).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn host(label: &str) -> String {
    format!("{label}.apps.localhost")
}

async fn page(app: &TestApp, label: &str) -> String {
    match app.cluster.reply(&host(label)).await.unwrap() {
        Reply::Page(page) => page,
        other => format!("{other:?}"),
    }
}

/// What waits for a dead process's lease does not wait any longer.
fn leases_run_out(app: &TestApp) {
    app.database
        .sql("UPDATE operations SET leased_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE state = 'running'");
}

fn quick(setup: &mut crate::support::portal::Setup) {
    setup.config.applications.silent_seconds = 1;
    setup.config.applications.unschedulable_seconds = 1;
}

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

fn steps() -> [Step; 5] {
    [
        Step::Prepare,
        Step::Apply(Part::Secret),
        Step::Apply(Part::Deployment),
        Step::Apply(Part::Service),
        Step::Apply(Part::Ingress),
    ]
}

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
