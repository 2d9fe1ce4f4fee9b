//! A portal in this process: the real server on a port of its own, the worker and the sync beside it, the practice
//! cloud behind it, a database of its own.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use chrono::NaiveDate;
use fast_cloud::accounts::model::{Account, NewAccount, Role};
use fast_cloud::accounts::password;
use fast_cloud::app::{self, App, Clouds};
use fast_cloud::cloud::practice::{Fault, PracticeCluster, PracticeCompute, PracticeObjects};
use fast_cloud::config::Config;
use fast_cloud::db::{self, Db};
use fast_cloud::instance_templates::model::InstanceTemplate;
use fast_cloud::instances::sync::{Scope, Summary, run_once};
use fast_cloud::registry::practice::PracticeImages;
use fast_cloud::settings::Shared;
use fast_cloud::{operations, sync};
use tokio::sync::{Notify, OnceCell, oneshot};

use super::database::{Database, Folder};
use super::gate::Gate;
use super::log::{self, Mark};
use super::person::{PASSWORD, Person};
use super::{secrets, until};

/// What a test wants of its portal.
pub struct Setup {
    pub config: Config,
    /// How long a pretended machine takes to be built; a pretended rollout takes half of it.
    pub build: Duration,
    /// Machines that the practice cloud takes in all.
    pub limit: Option<u32>,
    /// Whether operations are carried out from the start.
    pub worker: bool,
    pub database: Option<Database>,
}

impl Default for Setup {
    fn default() -> Self {
        let mut config = Config::defaults().unwrap();
        config.server.workers = 2;
        config.database.pool_size = 8;
        config.sync.interval_seconds = 1;
        config.sync.transition_seconds = 1;
        config.operations.lease_seconds = 3;
        Self { config, build: Duration::from_millis(200), limit: None, worker: true, database: None }
    }
}

/// The loops beside a server, on a thread of their own, so that they can die in the middle.
pub struct Loops {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Loops {
    pub fn start(app: &Arc<App>, worker: bool, sync: bool) -> Self {
        let (end, ended) = oneshot::channel();
        let app = app.clone();
        let thread = std::thread::spawn(move || {
            System::new().block_on(async move {
                let stop = Arc::new(Notify::new());
                let _worker = worker.then(|| operations::worker::spawn(app.clone(), stop.clone(), Duration::ZERO));
                let _sync = sync.then(|| sync::spawn(app, stop));
                let _ = ended.await;
            });
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Loops {
    /// As when the process dies: nothing is ended cleanly, nothing is handed back.
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A server.
pub struct Portal {
    pub app: Arc<App>,
    pub base: String,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    loops: Option<Loops>,
}

impl Portal {
    fn start(mut config: Config, database: &Database, clouds: Clouds) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        config.server.listen = listener.local_addr().unwrap();
        let base = format!("http://{}", config.server.listen);
        let shared = Shared::load(&mut database.connect()).unwrap();
        let timeout = Duration::from_secs(config.database.timeout_seconds);
        let db = Db::new(&database.url, config.database.pool_size, timeout);
        let app = App::new(config, db, clouds, shared);
        let (send, started) = std::sync::mpsc::channel();
        let thread = {
            let app = app.clone();
            std::thread::spawn(move || {
                System::new().block_on(async move {
                    let server = app::serve(app, listener).unwrap();
                    send.send(server.handle()).unwrap();
                    server.await.unwrap();
                });
            })
        };
        Self { app, base, handle: started.recv().unwrap(), thread: Some(thread), loops: None }
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        drop(self.loops.take());
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub struct TestApp {
    pub portal: Portal,
    pub cloud: Arc<PracticeCompute>,
    pub cluster: Arc<PracticeCluster>,
    /// Before the cluster, as the portal sees it.
    pub gate: Arc<Gate>,
    pub files: PracticeObjects,
    clouds: Clouds,
    pub database: Database,
    config: Config,
    people: AtomicU32,
    build: Duration,
    folder: Folder,
    /// Where the log was when it began.
    pub log: Mark,
    /// Text that is looked through as if it had been logged.
    pub planted: String,
}

impl Drop for TestApp {
    /// Whatever a test does with its portal, no secret may be in what was logged meanwhile.
    fn drop(&mut self) {
        let text = format!("{}{}", self.log.text(), self.planted);
        secrets::check("a portal's log", &text, &self.log.secrets());
    }
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        log::keep();
        let mark = Mark::here();
        let mut setup = Setup::default();
        change(&mut setup);
        let folder = Folder::new();
        let mut compute = PracticeCompute::new(folder.path(), setup.build).unwrap();
        if let Some(limit) = setup.limit {
            compute = compute.with_limit(limit);
        }
        let cloud = Arc::new(compute);
        let build = setup.build;
        let cluster = Arc::new(PracticeCluster::new(folder.path(), build / 2).unwrap());
        let gate = Arc::new(Gate::new(cluster.clone()));
        let files = PracticeObjects::new(&folder.path().join("buckets"), "http://portal.example/buckets").unwrap();
        let clouds = Clouds {
            compute: cloud.clone(),
            cluster: gate.clone(),
            images: Arc::new(PracticeImages::new(&setup.config.registries).unwrap()),
            objects: Arc::new(files.clone()),
        };
        let database = setup.database.unwrap_or_else(Database::new);
        db::migrate(&database.url).unwrap();
        InstanceTemplate::seed(&mut database.connect(), &setup.config.instance_templates).unwrap();
        let portal = Portal::start(setup.config.clone(), &database, clouds.clone());
        sync::take_catalogue(&portal.app).await.unwrap();
        let (config, people) = (setup.config, AtomicU32::new(0));
        let mut app = Self {
            portal,
            cloud,
            cluster,
            gate,
            files,
            clouds,
            database,
            config,
            people,
            build,
            folder,
            log: mark,
            planted: String::new(),
        };
        if setup.worker {
            app.work();
        }
        app
    }

    /// A second portal process on the same database and cloud, its worker running.
    pub fn second_portal(&self) -> Portal {
        let mut portal = self.idle_portal();
        portal.loops = Some(Loops::start(&portal.app, true, false));
        portal
    }

    /// The same with worker and sync, as the program does.
    pub fn whole_second_portal(&self) -> Portal {
        let mut portal = self.idle_portal();
        portal.loops = Some(Loops::start(&portal.app, true, true));
        portal
    }

    /// Each process has watches of its own.
    fn idle_portal(&self) -> Portal {
        let cluster = Arc::new(PracticeCluster::new(self.folder.path(), self.build / 2).unwrap());
        let clouds = Clouds { cluster: Arc::new(Gate::new(cluster)), ..self.clouds.clone() };
        Portal::start(self.config.clone(), &self.database, clouds)
    }

    /// Starts the worker; the sync runs where a test says so ([`Self::compare`]).
    pub fn work(&mut self) {
        self.portal.loops = Some(Loops::start(&self.portal.app, true, false));
    }

    /// Starts worker and sync, as the program does.
    pub fn work_and_sync(&mut self) {
        self.portal.loops = Some(Loops::start(&self.portal.app, true, true));
    }

    /// The process dies as far as its loops are concerned.
    pub fn stop_working(&mut self) {
        self.portal.loops = None;
    }

    /// One comparison with the cloud.
    pub async fn compare(&self) -> anyhow::Result<Summary> {
        run_once(&self.portal.app, Scope::All).await
    }

    /// What waits for a later try is due now.
    pub fn hurry(&self) {
        self.database
            .sql("UPDATE operations SET run_after = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE state = 'queued'");
        self.portal.app.work.notify_one();
    }

    /// Where the files are.
    pub fn files_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("buckets")
    }

    /// Gives an account another limit of files, in MiB.
    pub fn allow_storage(&self, person: &Person, megabytes: u32) {
        let login_id = &person.login_id;
        self.database.sql(&format!(
            "INSERT INTO account_quotas (account_id, storage_mb) SELECT id, {megabytes} FROM accounts \
             WHERE login_id = '{login_id}' ON DUPLICATE KEY UPDATE storage_mb = {megabytes}"
        ));
    }

    /// Somebody who is not signed in.
    pub fn anon(&self) -> Person {
        Person::at(&self.portal.base)
    }

    pub async fn student(&self) -> Person {
        self.person("student", Role::Student).await
    }

    pub async fn admin(&self) -> Person {
        self.person("admin", Role::Admin).await
    }

    async fn person(&self, stem: &str, role: Role) -> Person {
        let number = self.people.fetch_add(1, Ordering::Relaxed) + 1;
        let mut person = self.anon();
        person.login_id = format!("{stem}-{number}");
        person.name = format!("사람 {number}");
        self.enrol(&person.login_id, &person.name, role).await;
        person.log_in(&person.login_id, PASSWORD).await.leads_to("/dashboard");
        person
    }

    /// Makes an account with everybody's password.
    pub async fn enrol(&self, login_id: &str, name: &str, role: Role) {
        static HASH: OnceCell<String> = OnceCell::const_new();
        let hash = HASH.get_or_init(|| async { password::hash(PASSWORD.to_owned()).await.unwrap() }).await;
        let new = NewAccount {
            login_id: login_id.to_owned(),
            name: name.to_owned(),
            birth_date: NaiveDate::from_ymd_opt(2008, 2, 29).unwrap(),
            password_hash: hash.clone(),
            role,
        };
        Account::create(&mut self.database.connect(), &new).unwrap();
    }

    /// Gives an account another limit of mini PCs.
    pub fn allow(&self, person: &Person, instances: u32) {
        let (login_id, much) = (&person.login_id, instances * 100_000);
        self.database.sql(&format!(
            "INSERT INTO account_quotas (account_id, instances, vcpus, ram_mb) \
             SELECT id, {instances}, {much}, {much} FROM accounts WHERE login_id = '{login_id}'"
        ));
    }

    /// Lets time pass until a mini PC is there: operations are due at once, the cloud is compared.
    pub async fn settle(&self, person: &Person, id: &str, status: &str) {
        let mut last = String::new();
        until(&format!("{id} to be {status}"), async || {
            self.hurry();
            let _ = self.compare().await;
            last = person.status(id).await;
            (last == status).then_some(())
        })
        .await;
    }

    /// A mini PC that runs.
    pub async fn running(&self, person: &Person, name: &str) -> String {
        let id = person.launch(name).await;
        self.settle(person, &id, "active").await;
        id
    }

    /// The cloud's id of a mini PC.
    pub fn machine_of(&self, id: &str) -> uuid::Uuid {
        let text = self.database.text("HEX(nova_id)", &format!("instances WHERE {}", is_id(id)));
        text.parse().unwrap_or_else(|_| panic!("{id} has no machine: {text:?}"))
    }

    pub async fn machines(&self) -> usize {
        self.cloud.machines().await.unwrap().len()
    }

    pub fn script(&self, fault: Fault) {
        self.cloud.script(fault);
    }

    /// The id of a template, by its name.
    pub fn template(&self, name: &str) -> String {
        let digits = self.database.text("HEX(id)", &format!("instance_templates WHERE name = '{name}'"));
        digits.parse::<uuid::Uuid>().unwrap().to_string()
    }
}

/// A condition for SQL: the row with this id.
pub fn is_id(id: &str) -> String {
    format!("id = UNHEX(REPLACE('{id}', '-', ''))")
}
