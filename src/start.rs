//! Starting and stopping: the database, the cloud, the server and the loops beside it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::accounts::model::{Account, NewAccount, Role};
use crate::accounts::{password, setup};
use crate::app::{self, App, Clouds};
use crate::cloud::Compute;
use crate::cloud::cluster::Cluster;
use crate::cloud::kubernetes::Kubernetes;
use crate::cloud::objects::ObjectStore;
use crate::cloud::openstack::{self, OpenStack};
use crate::cloud::practice::{PracticeCluster, PracticeCompute, PracticeIngress, PracticeObjects};
use crate::config::{ApplicationsKind, ComputeKind, Config, Log, LogFormat, StorageKind};
use crate::db::{self, Db};
use crate::embedded::Embedded;
use crate::instance_templates::model::InstanceTemplate;
use crate::registry::practice::PracticeImages;
use crate::registry::{ImageSource, Registries};
use crate::settings::Shared;
use crate::{buckets, operations, sync, validation};

/// How long operations may take to end when the portal is stopped.
const GRACE: Duration = Duration::from_secs(10);

/// What is logged at most. `openstack` and `osauth` log bodies when asked for more than information: they are not.
///
/// # Errors
/// When the filter is wrong.
pub fn log_filter(filter: &str) -> anyhow::Result<tracing_subscriber::EnvFilter> {
    let mut filter = tracing_subscriber::EnvFilter::try_new(filter)?;
    for crate_name in ["openstack", "osauth", "reqwest", "hyper", "hyper_util", "h2", "rustls"] {
        filter = filter.add_directive(format!("{crate_name}=info").parse()?);
    }
    // Anybody can send what is no HTTP; that is no error of ours.
    Ok(filter.add_directive("actix_http::h1=off".parse()?))
}

/// Logs to standard error.
///
/// # Errors
/// When the filter is wrong, or tracing was set up before.
pub fn tracing(config: &Log) -> anyhow::Result<()> {
    let filter = log_filter(&config.filter)?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match config.format {
        LogFormat::Text => logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("setting up the log: {error}"))
}

/// The database's address, and the embedded server if there is one.
///
/// # Errors
/// When the embedded server does not start.
pub fn database(config: &Config) -> anyhow::Result<(SecretString, Option<Embedded>)> {
    if !config.database.is_embedded() {
        return Ok((config.database.url.clone(), None));
    }
    let embedded = Embedded::start(&config.data.dir)?;
    Ok((embedded.url.clone(), Some(embedded)))
}

/// Where machines run and where files are kept.
pub struct Infrastructure {
    pub compute: Arc<dyn Compute>,
    pub objects: Arc<dyn ObjectStore>,
}

/// The clouds for machines and files that the configuration chooses. They are not asked for anything yet: they may be
/// down.
///
/// # Errors
/// When a login can't be found, or the practice cloud's folder can't be made.
pub fn infrastructure(config: &Config) -> anyhow::Result<Infrastructure> {
    let practice = config.data.dir.join("practice");
    // One login for all of OpenStack's services.
    let openstack = match (config.cloud.compute, config.cloud.storage) {
        (ComputeKind::Practice, StorageKind::Practice) => None,
        _ => {
            let credentials = openstack::Credentials::discover(&|name| std::env::var(name).ok())
                .context("cloud.compute is openstack or cloud.storage swift, and OpenStack's login can't be found")?;
            Some(Arc::new(OpenStack::new(credentials, settings(config))?))
        }
    };
    let build = Duration::from_secs(config.practice.build_seconds);
    Ok(Infrastructure {
        compute: match (config.cloud.compute, &openstack) {
            (ComputeKind::OpenStack, Some(openstack)) => openstack.clone(),
            _ => Arc::new(PracticeCompute::new(&practice, build)?),
        },
        objects: match (config.cloud.storage, &openstack) {
            (StorageKind::Swift, Some(openstack)) => openstack.clone(),
            _ => {
                let base = format!("{}/buckets", config.server.public_url());
                Arc::new(PracticeObjects::new(&practice.join("buckets"), &base)?)
            }
        },
    })
}

/// The cluster that runs containers, and where their images are read.
pub struct Containers {
    pub cluster: Arc<dyn Cluster>,
    pub images: Arc<dyn ImageSource>,
    /// The pretended one, for its ingress.
    practice: Option<Arc<PracticeCluster>>,
}

/// The cluster that the configuration chooses; its clients belong to the runtime that this is called on. It is not asked
/// for anything yet: it may be down.
///
/// # Errors
/// When its login can't be found, or the practice cloud's folder can't be made.
pub async fn containers(config: &Config) -> anyhow::Result<Containers> {
    Ok(match config.cloud.applications {
        ApplicationsKind::Practice => {
            let settle = Duration::from_secs(config.practice.build_seconds) / 2;
            let cluster = Arc::new(PracticeCluster::new(&config.data.dir.join("practice"), settle)?);
            Containers { cluster: cluster.clone(), images: images(config)?, practice: Some(cluster) }
        }
        ApplicationsKind::Kubernetes => {
            let cluster = Kubernetes::connect(&config.kubernetes)
                .await
                .context("cloud.applications is kubernetes, and its login can't be used")?;
            Containers { cluster: Arc::new(cluster), images: images(config)?, practice: None }
        }
    })
}

/// Where images are read: practice containers have practice images.
///
/// # Errors
/// See [`Registries::new`].
pub fn images(config: &Config) -> anyhow::Result<Arc<dyn ImageSource>> {
    Ok(match config.cloud.applications {
        ApplicationsKind::Practice => Arc::new(PracticeImages::new(&config.registries)?),
        ApplicationsKind::Kubernetes => Arc::new(Registries::new(&config.registries)?),
    })
}

fn settings(config: &Config) -> openstack::Settings {
    openstack::Settings {
        connect_seconds: config.openstack.connect_seconds,
        request_seconds: config.openstack.request_seconds,
        concurrency: config.openstack.concurrency,
        ..openstack::Settings::default()
    }
}

/// Brings the tables up to date; says which migrations ran.
///
/// # Errors
/// See [`db::migrate`].
pub fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let (url, embedded) = database(config)?;
    let ran = db::migrate(&url);
    drop(embedded);
    ran
}

/// A one-time link with which an admin account is made.
///
/// # Errors
/// When the database does not answer.
pub fn setup_link(config: &Config) -> anyhow::Result<String> {
    let (url, _embedded) = database(config)?;
    db::migrate(&url)?;
    let mut conn = db::connect(&url)?;
    let token = setup::create(&mut conn)?;
    Ok(link(config, &token))
}

fn link(config: &Config, token: &str) -> String {
    format!("{}/setup?token={token}", config.server.public_url())
}

/// Makes an admin.
///
/// # Errors
/// When a field is wrong, the login id is taken, or the database does not answer.
pub async fn create_admin(config: &Config, login_id: &str, name: &str, secret: String) -> anyhow::Result<()> {
    let say = |key: &'static str| anyhow::anyhow!("{}", crate::web::page::Lang::En.t(key));
    let login_id = validation::login_id(login_id).map_err(say)?;
    let name = validation::person_name(name).map_err(say)?;
    let secret = validation::password(&secret).map_err(say)?;
    let password_hash = password::hash(secret).await?;
    let (url, _embedded) = database(config)?;
    db::migrate(&url)?;
    let mut conn = db::connect(&url)?;
    // Nobody's birthday is asked on a command line.
    let birth_date = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).context("1970-01-01 is a date")?;
    let new = NewAccount { login_id: login_id.clone(), name, birth_date, password_hash, role: Role::Admin };
    match Account::create(&mut conn, &new) {
        Ok(_) => {
            println!("admin {login_id} can log in");
            Ok(())
        }
        Err(error) if db::is_duplicate(&error) => Err(say("validation.login_id.taken")),
        Err(error) => Err(error.into()),
    }
}

/// Freezes the thread that comes to the failpoint named in `FREEZE_AT`, so that a test can kill the process there;
/// standard error says when it is reached.
///
/// # Errors
/// When the point can't be set up.
#[cfg(feature = "failpoints")]
fn freeze_where_told() -> anyhow::Result<()> {
    let Ok(name) = std::env::var("FREEZE_AT") else { return Ok(()) };
    let point = name.clone();
    let freeze = move || {
        eprintln!("frozen at {point}");
        loop {
            std::thread::park();
        }
    };
    fail::cfg_callback(name, freeze).map_err(anyhow::Error::msg)
}

/// Serves until SIGTERM or SIGINT, then stops cleanly: no new requests, operations ended or handed back, the embedded
/// database stopped.
///
/// # Errors
/// When something that the portal can't be without is missing.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    #[cfg(feature = "failpoints")]
    freeze_where_told()?;
    // Before anything is started that has to be stopped.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(config.server.listen)
        .with_context(|| format!("server.listen: {} can't be listened on", config.server.listen))?;
    // The clouds' login first: a typing error in it should not wait for the database.
    let Infrastructure { compute, objects } = infrastructure(&config)?;
    let containers = containers(&config).await?;
    let (url, embedded) = database(&config)?;
    for name in db::migrate(&url)? {
        tracing::info!(name, "migrated");
    }
    let mut conn = db::connect(&url)?;
    let shared = Shared::load(&mut conn)?;
    let seeded = InstanceTemplate::seed(&mut conn, &config.instance_templates)?;
    if seeded > 0 {
        tracing::info!(seeded, "made the first templates");
    }
    if !Account::any_admin(&mut conn)? {
        setup::forget_unused(&mut conn)?;
        let token = setup::create(&mut conn)?;
        println!("Nobody administers this portal yet. Make the first admin (works once, for 24 hours):");
        println!("  {}", link(&config, &token));
    }
    drop(conn);
    let db = Db::new(&url, config.database.pool_size, Duration::from_secs(config.database.timeout_seconds));
    let Containers { cluster, images, practice } = containers;
    let app = App::new(config, db, Clouds { compute, cluster, images, objects }, shared);
    let ingress = practice.and_then(|cluster| PracticeIngress::start(cluster, app.config.practice.ingress_listen));
    let ingress = ingress.map(|ingress| (ingress.server.handle(), actix_web::rt::spawn(ingress.server)));
    let server = app::serve(app.clone(), listener)?;
    let handle = server.handle();
    let stop = Arc::new(Notify::new());
    let loops = [
        operations::worker::spawn(app.clone(), stop.clone(), GRACE),
        sync::spawn(app.clone(), stop.clone()),
        buckets::sync::spawn(app.clone(), stop.clone()),
    ];
    println!("fast cloud serves on {}", app.config.server.public_url());
    if !app.config.server.is_https() && !app.config.server.listen.ip().is_loopback() {
        tracing::warn!("served over plain http: whoever can listen in on this network can take over sessions");
    }
    let server = actix_web::rt::spawn(server);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    // Requests that have come are answered, and operations that were taken go to their end, both at the same time; what
    // those requests still put into the queue is the next process's.
    app.close();
    stop.notify_waiters();
    handle.stop(true).await;
    for task in loops {
        if let Err(error) = task.await {
            tracing::error!(%error, "a loop ended with a panic");
        }
    }
    server.await??;
    if let Some((handle, task)) = ingress {
        handle.stop(false).await;
        task.await??;
    }
    drop(app);
    if let Some(embedded) = embedded {
        tokio::task::spawn_blocking(move || embedded.stop()).await?;
    }
    Ok(())
}
