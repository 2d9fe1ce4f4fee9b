//! The practice cloud's ingress: a small web server where pretended containers answer, by the name of the host.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType, HeaderMap};
use actix_web::middleware::DefaultHeaders;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context;

use super::cluster::{PracticeCluster, Reply};

/// Seconds that requests may take to end when it is stopped.
const GRACE_SECONDS: u64 = 1;

/// The ingress, listening.
///
/// ```ignore
/// // Beside the portal, on actix's runtime; None when it is not wanted or its port is taken (which is logged).
/// let ingress = PracticeIngress::start(cluster.clone(), config.practice.ingress_listen);
/// let handle = ingress.as_ref().map(|ingress| ingress.server.handle());
/// let task = ingress.map(|ingress| actix_web::rt::spawn(ingress.server));
/// // … and when the portal stops:
/// if let Some(handle) = handle { handle.stop(false).await; }
/// ```
pub struct PracticeIngress {
    /// Serves while it is polled.
    pub server: Server,
    /// Where it listens: with the port that was given when 0 was asked for.
    pub address: SocketAddr,
}

impl PracticeIngress {
    /// Listens, if an address is configured (`practice.ingress_listen`). That it can't is no reason not to start the
    /// portal: it is logged, with what to do.
    pub fn start(cluster: Arc<PracticeCluster>, listen: Option<SocketAddr>) -> Option<Self> {
        let listen = listen?;
        match serve(cluster, listen) {
            Ok(ingress) => {
                tracing::info!(address = %ingress.address, "pretended containers answer here");
                Some(ingress)
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "pretended containers can't be opened in a browser: end what uses that port, or set \
                     practice.ingress_listen (and applications.url_port with it) to another one"
                );
                None
            }
        }
    }
}

/// Listens at `listen`; see [`PracticeIngress`].
///
/// # Errors
/// When that can't be listened on.
pub fn serve(cluster: Arc<PracticeCluster>, listen: SocketAddr) -> anyhow::Result<PracticeIngress> {
    let server = HttpServer::new(move || {
        let headers = DefaultHeaders::new()
            .add((
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ))
            .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .add((header::REFERRER_POLICY, "no-referrer"))
            .add((header::CACHE_CONTROL, "no-store"));
        App::new().app_data(web::Data::from(cluster.clone())).wrap(headers).default_service(web::to(answer))
    })
    .workers(1)
    .shutdown_timeout(GRACE_SECONDS)
    .disable_signals()
    .bind(listen)
    .with_context(|| format!("practice.ingress_listen: {listen} can't be listened on"))?;
    let address = *server.addrs().first().context("no address is listened on")?;
    Ok(PracticeIngress { server: server.run(), address })
}

async fn answer(request: HttpRequest, cluster: web::Data<PracticeCluster>) -> HttpResponse {
    let reply = match host(request.headers()) {
        Some(host) => cluster.reply(&host).await,
        None => Ok(Reply::Unknown),
    };
    let (status, page) = match reply {
        Ok(Reply::Page(page)) => (StatusCode::OK, page),
        Ok(Reply::NotReady) => (
            StatusCode::SERVICE_UNAVAILABLE,
            notice("This container does not answer now.", "지금은 이 컨테이너가 응답하지 않아요."),
        ),
        Ok(Reply::Unknown) => {
            (StatusCode::NOT_FOUND, notice("There is no container at this address.", "이 주소에는 컨테이너가 없어요."))
        }
        Err(error) => {
            tracing::warn!(%error, "the practice cloud can't answer");
            let page = notice("The practice cloud does not answer.", "연습용 클라우드가 응답하지 않아요.");
            (StatusCode::INTERNAL_SERVER_ERROR, page)
        }
    };
    HttpResponse::build(status).content_type(ContentType::html()).body(page)
}

/// The name that was asked for, without a port.
fn host(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::HOST)?.to_str().ok()?;
    let name = match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => text,
    };
    Some(name.to_owned())
}

fn notice(english: &str, korean: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Practice cloud</title></head>\n<body>\n\
         <h1>{english}</h1>\n<p lang=\"ko\">{korean}</p>\n<p>This is the practice cloud.</p>\n</body>\n</html>\n"
    )
}
