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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::cloud::cluster::{AppOwner, Cluster, DeployOrder, NamespaceLimits, NamespaceOrder};
    use crate::ids::{AccountId, ApplicationId};

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    async fn cluster(settle: Duration) -> (Folder, Arc<PracticeCluster>, DeployOrder) {
        let folder = Folder(std::env::temp_dir().join(format!("fast-cloud-ingress-{}", Uuid::new_v4())));
        let cluster = Arc::new(PracticeCluster::new(&folder.0, settle).unwrap());
        let owner = AppOwner { portal: Uuid::new_v4(), account: AccountId::new(), application: ApplicationId::new() };
        let limits = NamespaceLimits { applications: 5, pods: 10, cpu_millis: 4_000, memory_mb: 4_096 };
        cluster.prepare(&NamespaceOrder { portal: owner.portal, account: owner.account, limits }).await.unwrap();
        let order = DeployOrder {
            owner,
            image: "hello:1".to_owned(),
            pull_always: false,
            internal_port: 80,
            external_port: 80,
            replicas: 1,
            cpu_millis: 250,
            memory_mb: 128,
            variables: Vec::new(),
            secret_names: Vec::new(),
            revision: 1,
            host: "my-app.apps.localhost".to_owned(),
        };
        (folder, cluster, order)
    }

    async fn deploy(cluster: &PracticeCluster, order: &DeployOrder) {
        cluster.apply_deployment(order).await.unwrap();
        cluster.apply_service(order).await.unwrap();
        cluster.apply_ingress(order).await.unwrap();
    }

    async fn get(ingress: SocketAddr, host: &str) -> (u16, String) {
        let client = reqwest::Client::new();
        let request = client.get(format!("http://{ingress}/any/path?x=1")).header("Host", host);
        // Not believed: it is the Host header that counts.
        let response = request.header("X-Forwarded-Host", "my-app.apps.localhost").send().await.unwrap();
        let headers = response.headers().clone();
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert!(!headers.contains_key("set-cookie"));
        (response.status().as_u16(), response.text().await.unwrap())
    }

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[actix_web::test]
    async fn it_answers_by_host() {
        let (_folder, cluster, mut order) = cluster(Duration::ZERO).await;
        let PracticeIngress { server, address } = serve(cluster.clone(), loopback()).unwrap();
        let handle = server.handle();
        let task = actix_web::rt::spawn(server);
        assert_eq!(get(address, &order.host).await.0, 404, "nobody has it yet");
        deploy(&cluster, &order).await;
        for host in ["my-app.apps.localhost", "my-app.apps.localhost:8001", "MY-APP.apps.localhost"] {
            let (status, page) = get(address, host).await;
            assert_eq!(status, 200, "{host}");
            assert!(
                page.contains("Hello from app-") && page.contains("simulated") && page.contains("hello:1"),
                "{page}"
            );
        }
        for host in ["other.apps.localhost", "apps.localhost", "127.0.0.1", "x.my-app.apps.localhost"] {
            assert_eq!(get(address, host).await.0, 404, "{host}");
        }
        cluster.scale(order.owner, 0).await.unwrap();
        assert_eq!(get(address, &order.host).await.0, 503, "stopped");
        (order.image, order.revision) = ("env:1".to_owned(), 2);
        order.variables = vec![("GREETING".to_owned(), "<script>alert(1)</script>".to_owned())];
        deploy(&cluster, &order).await;
        let (status, page) = get(address, &order.host).await;
        assert_eq!(status, 200);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"), "{page}");
        handle.stop(true).await;
        task.await.unwrap().unwrap();
    }

    #[actix_web::test]
    async fn no_request_fails_while_it_is_redeployed() {
        let (_folder, cluster, mut order) = cluster(Duration::from_secs(3)).await;
        let PracticeIngress { server, address } = serve(cluster.clone(), loopback()).unwrap();
        let handle = server.handle();
        let task = actix_web::rt::spawn(server);
        deploy(&cluster, &order).await;
        let waiting = async {
            while get(address, &order.host).await.0 == 503 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
        (order.image, order.revision, order.internal_port, order.external_port) = ("port8080".to_owned(), 2, 8080, 81);
        deploy(&cluster, &order).await;
        let (mut old, mut new) = (0, 0);
        let asking = async {
            while new < 5 {
                let (status, page) = get(address, &order.host).await;
                assert_eq!(status, 200);
                *(if page.contains("Hello from") { &mut old } else { &mut new }) += 1;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap();
        assert!(old > 0, "the old one answered meanwhile");
        handle.stop(true).await;
        task.await.unwrap().unwrap();
    }

    #[actix_web::test]
    async fn a_taken_port_is_no_reason_to_fail() {
        let (_folder, cluster, _) = cluster(Duration::ZERO).await;
        assert!(PracticeIngress::start(cluster.clone(), None).is_none());
        let taken = std::net::TcpListener::bind(loopback()).unwrap();
        let address = taken.local_addr().unwrap();
        assert!(PracticeIngress::start(cluster.clone(), Some(address)).is_none());
        let error = format!("{:#}", serve(cluster, address).err().unwrap());
        assert!(error.contains("practice.ingress_listen") && error.contains("in use"), "{error}");
    }
}
