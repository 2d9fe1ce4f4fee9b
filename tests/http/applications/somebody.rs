//! What the tests of applications stand on: somebody who asks for them, and what is in the cluster.

use fast_cloud::accounts::model::{Account, Role};
use fast_cloud::applications::host::label_of;
use fast_cloud::applications::model::{Application, Deployed, NewApplication, Redeployment, Refusal, Size, Status};
use fast_cloud::applications::{events, sync};
use fast_cloud::cloud::cluster::{AppOwner, Part, object_name};
use fast_cloud::cloud::practice::{Reply, Step};
use fast_cloud::ids::{AccountId, ApplicationId};
use fast_cloud::operations::model::Action;
use fast_cloud::registry::ImageReference;

use crate::support::portal::Setup;
use crate::support::{TestApp, until};

/// Somebody who has an account and no browser.
pub struct Somebody<'a> {
    pub app: &'a TestApp,
    pub account: AccountId,
}

pub fn order(name: &str, image: &str) -> NewApplication {
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

pub fn with_secret(name: &str) -> NewApplication {
    NewApplication { secrets: vec![("TOKEN".to_owned(), "hunter42".into())], ..order(name, "hello:1") }
}

pub fn change(image: &str) -> Redeployment {
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

pub async fn somebody(app: &TestApp) -> Somebody<'_> {
    let login_id = format!("person-{}", &fast_cloud::random::token()[..12]);
    app.enrol(&login_id, "사람", Role::Student).await;
    let account = Account::by_login_id(&mut app.database.connect(), &login_id).unwrap().unwrap().id;
    Somebody { app, account }
}

impl Somebody<'_> {
    pub fn try_deploy(&self, new: &NewApplication) -> Result<ApplicationId, Refusal> {
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

    pub fn deploy(&self, name: &str, image: &str) -> ApplicationId {
        self.try_deploy(&order(name, image)).unwrap()
    }

    pub fn try_redeploy(&self, id: ApplicationId, change: &Redeployment) -> Result<(), Refusal> {
        let app = &self.app.portal.app;
        let mut conn = self.app.database.connect();
        let (quota, config) = (app.config.quota, &app.config.applications);
        let asked = Application::redeploy(&mut conn, self.account, id, change, quota, &app.shared, config);
        app.work.notify_one();
        asked
    }

    pub fn redeploy(&self, id: ApplicationId, image: &str) {
        self.try_redeploy(id, &change(image)).unwrap();
    }

    pub fn request(&self, id: ApplicationId, action: Action) -> bool {
        let asked = Application::request(&mut self.app.database.connect(), self.account, id, action).unwrap();
        self.app.portal.app.work.notify_one();
        asked
    }

    pub fn find(&self, id: ApplicationId) -> Option<(Application, Deployed)> {
        Application::find(&mut self.app.database.connect(), self.account, id).ok()
    }

    pub fn row(&self, id: ApplicationId) -> Application {
        self.find(id).unwrap().0
    }

    pub fn owner(&self, id: ApplicationId) -> AppOwner {
        AppOwner { portal: self.app.portal.app.shared.portal, account: self.account, application: id }
    }

    /// Time passes until this is so: operations are due at once, the cluster is compared.
    pub async fn settles(&self, id: ApplicationId, what: &str, so: impl Fn(&Application) -> bool) -> Application {
        until(&format!("{id} {what}"), async || {
            self.app.hurry();
            let _ = sync::run_once(&self.app.portal.app).await;
            let _ = sync::look_again(&self.app.portal.app).await;
            self.find(id).map(|(row, _)| row).filter(|row| so(row))
        })
        .await
    }

    pub async fn runs(&self, id: ApplicationId) -> Application {
        self.settles(id, "to run", |row| row.status() == Status::Running && row.transition().is_none()).await
    }

    pub async fn fails(&self, id: ApplicationId, reason: &str) -> Application {
        self.settles(id, &format!("to fail: {reason}"), |row| {
            row.status() == Status::Failed && row.transition().is_none() && row.reason.as_deref() == Some(reason)
        })
        .await
    }

    pub async fn is_gone(&self, id: ApplicationId) {
        until(&format!("{id} to be gone"), async || {
            self.app.hurry();
            self.find(id).is_none().then_some(())
        })
        .await;
    }

    pub fn happened(&self, id: ApplicationId) -> Vec<String> {
        let latest = events::latest(&mut self.app.database.connect(), id).unwrap();
        latest.into_iter().rev().map(|event| event.kind).collect()
    }

    pub fn usage(&self) -> (u32, u32, u32) {
        let usage = Application::counts(&mut self.app.database.connect(), self.account).unwrap().usage;
        (usage.applications, usage.cpu_millis, usage.memory_mb)
    }
}

/// The parts of an application, pods left out.
pub async fn parts(app: &TestApp, id: ApplicationId) -> Vec<String> {
    let name = object_name(id);
    let objects = app.cluster.objects().await.unwrap();
    let mine = objects.iter().filter(|object| object.ends_with(&format!("/{name}")));
    mine.filter_map(|object| object.split('/').nth(1).map(str::to_owned)).collect()
}

pub async fn nothing_is_left(app: &TestApp) {
    let objects = app.cluster.objects().await.unwrap();
    assert!(objects.is_empty(), "{objects:?}");
}

pub async fn nothing_of_it_is_left(app: &TestApp, id: ApplicationId) {
    let objects = app.cluster.objects().await.unwrap();
    let left: Vec<&String> = objects.iter().filter(|object| object.contains(&object_name(id))).collect();
    assert!(left.is_empty(), "{left:?}");
}

pub fn host(label: &str) -> String {
    format!("{label}.apps.localhost")
}

pub async fn page(app: &TestApp, label: &str) -> String {
    match app.cluster.reply(&host(label)).await.unwrap() {
        Reply::Page(page) => page,
        other => format!("{other:?}"),
    }
}

/// What waits for a dead process's lease does not wait any longer.
pub fn leases_run_out(app: &TestApp) {
    app.database
        .sql("UPDATE operations SET leased_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE state = 'running'");
}

pub fn quick(setup: &mut Setup) {
    setup.config.applications.silent_seconds = 1;
    setup.config.applications.unschedulable_seconds = 1;
}

/// The calls that put something into the cluster, in order.
pub fn steps() -> [Step; 5] {
    [
        Step::Prepare,
        Step::Apply(Part::Secret),
        Step::Apply(Part::Deployment),
        Step::Apply(Part::Service),
        Step::Apply(Part::Ingress),
    ]
}
