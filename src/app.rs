//! The application: what handlers and jobs share, and the server built from it.

use std::net::TcpListener;
use std::sync::Arc;

use actix_session::SessionMiddleware;
use actix_session::config::{CookieContentSecurity, PersistentSession, TtlExtensionPolicy};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Key, SameSite};
use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{HttpServer, Resource, guard, web};
use tokio::sync::{Notify, watch};
use tracing_actix_web::TracingLogger;

use crate::buckets::desk::Desk;
use crate::buckets::routes::swift_api;
use crate::cloud::Compute;
use crate::cloud::cluster::Cluster;
use crate::cloud::objects::ObjectStore;
use crate::config::Config;
use crate::db::Db;
use crate::error::Error;
use crate::live::Hub;
use crate::metrics::{self, Metrics};
use crate::pulse::Pulse;
use crate::registry::ImageSource;
use crate::session::MysqlStore;
use crate::settings::Shared;
use crate::web::page::Simulated;
use crate::web::trace::{self, RequestSpan};
use crate::web::{assets, csrf, errors, headers};
use crate::{health, routes};

/// The services behind the portal, each a real one or the practice cloud's.
#[derive(Clone)]
pub struct Clouds {
    pub compute: Arc<dyn Compute>,
    pub cluster: Arc<dyn Cluster>,
    pub images: Arc<dyn ImageSource>,
    pub objects: Arc<dyn ObjectStore>,
}

/// What every request and every job can reach.
pub struct App {
    pub config: Config,
    pub db: Db,
    pub compute: Arc<dyn Compute>,
    pub cluster: Arc<dyn Cluster>,
    pub images: Arc<dyn ImageSource>,
    pub objects: Arc<dyn ObjectStore>,
    pub shared: Shared,
    pub metrics: Metrics,
    pub pulse: Pulse,
    /// Where small files are written down.
    pub desk: Desk,
    /// Notified when an operation was put into the queue.
    pub work: Notify,
    /// The pages that are open, and told what changes.
    pub live: Hub,
    /// Whether the portal stops: what would go on for as long as somebody looks has to end.
    closed: watch::Sender<bool>,
}

impl App {
    pub fn new(config: Config, db: Db, clouds: Clouds, shared: Shared) -> Arc<Self> {
        let metrics = Metrics::default();
        let Clouds { compute, cluster, images, objects } = metrics::clouds::counted(clouds, &metrics);
        Arc::new(Self {
            pulse: Pulse::new(&config.sync),
            desk: Desk::new(&db, config.quota),
            config,
            db,
            compute,
            cluster,
            images,
            objects,
            shared,
            metrics,
            work: Notify::new(),
            live: Hub::new((open_files() / 4).max(64)),
            closed: watch::Sender::new(false),
        })
    }

    /// Which services are only pretended: every page says so.
    pub fn simulated(&self) -> Simulated {
        Simulated {
            machines: self.compute.simulated(),
            containers: self.cluster.simulated(),
            files: self.objects.simulated(),
        }
    }

    /// Ends the streams that browsers keep open, so that the server can stop.
    pub fn close(&self) {
        self.closed.send_replace(true);
        self.live.close();
    }

    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until [`Self::close`] is called.
    pub async fn closing(&self) {
        // The sender lives as long as we do.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }
}

/// The session cookie's name; `__Host-` where the portal is reached by https (RFC 6265bis, 4.1.3.2).
pub fn session_cookie(https: bool) -> &'static str {
    if https { "__Host-fast-cloud-session" } else { "fast-cloud-session" }
}

fn sessions(app: &App) -> SessionMiddleware<MysqlStore> {
    let https = app.config.server.is_https();
    SessionMiddleware::builder(MysqlStore::new(app.db.clone()), Key::derive_from(&app.shared.secret))
        .cookie_name(session_cookie(https).to_owned())
        .cookie_secure(https)
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_content_security(CookieContentSecurity::Signed)
        .session_lifecycle(
            PersistentSession::default()
                .session_ttl(Duration::hours(app.config.accounts.session_hours))
                .session_ttl_extension_policy(TtlExtensionPolicy::OnStateChanges),
        )
        .build()
}

/// A path that can be read: GET, and HEAD, which is the same without a body.
fn readable(path: &str) -> Resource {
    web::resource(path).guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// How many files the process may have open (`RLIMIT_NOFILE`, the soft limit).
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1024)
}

/// The server on a listener that is bound already (tests bind port 0).
///
/// # Errors
/// When the listener can't be used.
pub fn serve(app: Arc<App>, listener: TcpListener) -> std::io::Result<Server> {
    let workers = match app.config.server.workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        workers => workers,
    };
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(web::Data::from(app.clone()))
            // Innermost first: whatever goes wrong inside is drawn, then compressed, counted, and logged.
            .wrap(from_fn(errors::draw))
            .wrap(from_fn(headers::secure))
            .wrap(Compress::default())
            .wrap(from_fn(headers::as_stored))
            .wrap(from_fn(metrics::requests::count))
            .wrap(from_fn(trace::in_its_name))
            .wrap(TracingLogger::<RequestSpan>::new())
            .service(readable("/health").to(health::health))
            .service(readable("/health/live").to(health::live))
            .service(readable("/health/ready").to(health::ready))
            .service(readable("/static/{path:.*}").to(assets::serve))
            .service(
                web::resource([swift_api::PATH.to_owned(), format!("{}/{{path:.*}}", swift_api::PATH)])
                    .to(swift_api::handle),
            )
            .service(
                web::scope("")
                    .wrap(from_fn(csrf::guard))
                    .wrap(sessions(&app))
                    .wrap(from_fn(headers::page))
                    .configure(routes::configure)
                    .default_service(web::to(|| async { Err::<actix_web::HttpResponse, Error>(Error::NotFound) })),
            )
    });
    // A connection more than the process may have open files is one that no one answers: those wait in the queue.
    let connections = (open_files() / 2 / workers).max(64);
    // Blocking threads are per worker, and each may hold a connection; the pool is the bound that counts.
    Ok(server
        .workers(workers)
        .max_connections(connections)
        .worker_max_blocking_threads(8)
        .shutdown_timeout(10)
        .disable_signals()
        .listen(listener)?
        .run())
}
