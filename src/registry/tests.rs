//! Registries against a server of this process, which is their mirror: the one address on this machine that may be asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web as actix};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;

mod check;
mod hostile;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What was asked.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    query: String,
    headers: HashMap<String, String>,
}

type Answering = Box<dyn Fn(&Seen) -> Option<HttpResponse> + Send + Sync>;

/// The look-alike: what the test's own function leaves to it (None) comes from its shelf, or is not there.
struct Registry {
    address: String,
    state: Arc<State>,
}

struct State {
    answering: Answering,
    shelf: Mutex<HashMap<String, Vec<u8>>>,
    seen: Mutex<Vec<Seen>>,
    /// Answers wait while there are none.
    permits: tokio::sync::Semaphore,
}

impl Registry {
    fn start(answering: impl Fn(&Seen) -> Option<HttpResponse> + Send + Sync + 'static) -> Self {
        let state = Arc::new(State {
            answering: Box::new(answering),
            shelf: Mutex::default(),
            seen: Mutex::default(),
            permits: tokio::sync::Semaphore::new(1000),
        });
        let data = actix::Data::from(state.clone());
        let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(actix::to(answer)))
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let address = format!("http://{}", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        Self { address, state }
    }

    fn full() -> Self {
        let registry = Self::start(|_| None);
        registry.put_index("library/nginx", "1.27");
        registry
    }

    fn put(&self, repository: &str, kind: &str, name: &str, body: &[u8]) -> String {
        let digest = digest(body);
        let mut shelf = self.state.shelf.lock().unwrap();
        for name in [name, &digest] {
            shelf.insert(format!("/v2/{repository}/{kind}/{name}"), body.to_vec());
        }
        digest
    }

    fn put_config(&self, repository: &str, config: &Value) -> Value {
        let body = config.to_string();
        let digest = self.put(repository, "blobs", "-", body.as_bytes());
        json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": body.len()})
    }

    fn put_manifest(&self, repository: &str, tag: &str, config: &Value) -> Value {
        let config = self.put_config(repository, config);
        let layer = |size: u64| json!({"mediaType": "x", "digest": digest(&size.to_le_bytes()), "size": size});
        let body = json!({"schemaVersion": 2, "config": config, "layers": [layer(1000), layer(2000)]}).to_string();
        let digest = self.put(repository, "manifests", tag, body.as_bytes());
        json!({"mediaType": MANIFEST, "digest": digest, "size": body.len()})
    }

    fn put_entries(&self, repository: &str, tag: &str, entries: &[Value]) -> Value {
        let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string();
        let digest = self.put(repository, "manifests", tag, body.as_bytes());
        json!({"mediaType": INDEX, "digest": digest, "size": body.len()})
    }

    /// An image for two architectures.
    fn put_index(&self, repository: &str, tag: &str) -> Value {
        let entries: Vec<Value> = [("amd64", None, 80), ("arm64", Some("v8"), 81)]
            .into_iter()
            .map(|(architecture, variant, port)| {
                let mut entry = self.put_manifest(repository, architecture, &config(architecture, port));
                entry["platform"] = json!({"os": "linux", "architecture": architecture});
                if let Some(variant) = variant {
                    entry["platform"]["variant"] = json!(variant);
                }
                entry
            })
            .collect();
        self.put_entries(repository, tag, &entries)
    }

    fn registries(&self) -> Registries {
        registries(&self.address)
    }

    async fn inspect(&self, image: &str) -> Result<ImageFacts, RegistryError> {
        inspect(&self.registries(), image).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }
}

async fn answer(request: HttpRequest, state: actix::Data<State>) -> HttpResponse {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let seen = Seen { path: request.path().to_owned(), query: request.query_string().to_owned(), headers };
    state.seen.lock().unwrap().push(seen.clone());
    let _permit = state.permits.acquire().await.unwrap();
    if let Some(answer) = (state.answering)(&seen) {
        return answer;
    }
    match state.shelf.lock().unwrap().get(&seen.path) {
        // The type is a claim that nobody has to believe.
        Some(body) => HttpResponse::Ok().content_type("text/html").body(body.clone()),
        None => HttpResponse::NotFound().json(json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no"}]})),
    }
}

fn digest(body: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(body)))
}

fn config(architecture: &str, port: u16) -> Value {
    json!({
        "architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"User": "nginx", "ExposedPorts": {format!("{port}/tcp"): {}, "53/udp": {}}, "Labels": null},
    })
}

fn section(address: &str) -> config::Registries {
    config::Registries {
        allowed: vec!["docker.io".to_owned()],
        mirrors: vec![format!("docker.io={address}")],
        pull_from_mirror: false,
        timeout_seconds: 1,
    }
}

fn registries(address: &str) -> Registries {
    Registries::new(&config::Registries { timeout_seconds: 20, ..section(address) }).unwrap()
}

async fn inspect(registries: &Registries, image: &str) -> Result<ImageFacts, RegistryError> {
    registries.inspect(&ImageReference::parse(image).unwrap(), &["amd64".to_owned()]).await
}

fn challenge(realm: &str) -> HttpResponse {
    let header = format!(r#"Bearer realm="{realm}",service="registry.example",scope="repository:library/nginx:pull""#);
    HttpResponse::Unauthorized().insert_header(("WWW-Authenticate", header)).finish()
}

fn redirect(to: &str) -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header(("Location", to)).finish()
}

/// A body that goes on for ever, fast.
fn endless() -> HttpResponse {
    let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 64 * 1024])));
    HttpResponse::Ok().streaming(chunks)
}

/// A byte now and then.
fn dripping() -> HttpResponse {
    let drops = futures::stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok::<_, std::io::Error>(Bytes::from_static(b" "))
    });
    HttpResponse::Ok().streaming(drops)
}

fn is_unavailable(answer: &Result<ImageFacts, RegistryError>) -> bool {
    matches!(answer, Err(RegistryError::Unavailable(_)))
}

fn is_unreadable(answer: &Result<ImageFacts, RegistryError>) -> bool {
    matches!(answer, Err(RegistryError::Unreadable(_)))
}

#[actix_web::test]
async fn an_image_for_many_architectures_is_read() {
    let registry = Registry::full();
    let facts = registry.inspect("nginx:1.27").await.unwrap();
    let index = registry.state.shelf.lock().unwrap()["/v2/library/nginx/manifests/1.27"].clone();
    assert_eq!(facts.digest, digest(&index));
    assert_eq!(facts.ports, [80]);
    assert_eq!(facts.architectures, ["amd64", "arm64/v8"]);
    assert_eq!(facts.user.as_deref(), Some("nginx"));
    assert!(facts.size_bytes.is_some_and(|size| (3001..4000).contains(&size)));
    let arm = ["arm64".to_owned()];
    let image = ImageReference::parse("nginx:1.27").unwrap();
    assert_eq!(registry.registries().inspect(&image, &arm).await.unwrap().ports, [81]);

    let seen = registry.seen();
    assert_eq!(seen[0].path, "/v2/library/nginx/manifests/1.27");
    assert_eq!(seen[0].query, "ns=docker.io");
    for kind in ["oci.image.index.v1", "docker.distribution.manifest.list.v2", "oci.image.manifest.v1", "manifest.v2"] {
        assert!(seen[0].headers["accept"].contains(kind), "{kind}");
    }
    for request in seen {
        for header in ["authorization", "cookie", "referer", "accept-encoding"] {
            assert!(!request.headers.contains_key(header), "{header}");
        }
    }
}

#[actix_web::test]
async fn an_image_without_index_is_read_by_tag_and_by_digest() {
    let registry = Registry::start(|_| None);
    let manifest = registry.put_manifest("me/app", "v1", &config("amd64", 8080));
    let by_tag = registry.inspect("me/app:v1").await.unwrap();
    assert_eq!((by_tag.ports.as_slice(), by_tag.architectures.as_slice()), (&[8080][..], &["amd64".to_owned()][..]));
    let digest = manifest["digest"].as_str().unwrap();
    assert_eq!(by_tag.digest, digest);
    assert_eq!(registry.inspect(&format!("me/app@{digest}")).await.unwrap(), by_tag);
    assert_eq!(registry.inspect(&format!("me/app:other@{digest}")).await.unwrap(), by_tag);

    let bare = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    registry.put_manifest("me/bare", "latest", &bare);
    let facts = registry.inspect("me/bare").await.unwrap();
    assert!(facts.ports.is_empty() && facts.runs_as_root());
}

#[actix_web::test]
async fn a_missing_image_is_not_found_and_a_missing_part_is_something_else() {
    let registry = Registry::full();
    assert_eq!(registry.inspect("nginx:1.28").await, Err(RegistryError::NotFound));
    assert_eq!(registry.inspect("me/no-such").await, Err(RegistryError::NotFound));
    registry.state.shelf.lock().unwrap().retain(|path, _| !path.contains("/blobs/"));
    assert!(is_unreadable(&registry.inspect("nginx:1.27").await));
}

#[actix_web::test]
async fn an_anonymous_token_is_fetched_once_and_sent_along() {
    let own = Arc::new(Mutex::new(String::new()));
    let realm = own.clone();
    let registry = Registry::start(move |seen| match seen.headers.get("authorization").map(String::as_str) {
        _ if seen.path == "/token" => Some(HttpResponse::Ok().json(json!({"token": "t0k"}))),
        Some("Bearer t0k") => None,
        _ => Some(challenge(&format!("{}/token?own=1", realm.lock().unwrap()))),
    });
    own.lock().unwrap().clone_from(&registry.address);
    registry.put_index("library/nginx", "1.27");
    assert!(registry.inspect("nginx:1.27").await.is_ok());
    let seen = registry.seen();
    let token: Vec<&Seen> = seen.iter().filter(|seen| seen.path == "/token").collect();
    assert_eq!(token.len(), 1);
    assert_eq!(token[0].query, "own=1&service=registry.example&scope=repository%3Alibrary%2Fnginx%3Apull");
    assert!(!token[0].headers.contains_key("authorization"));
    assert_eq!(seen.len(), 5, "401, token, index, manifest, configuration");
}

#[actix_web::test]
async fn what_nobody_may_read_is_private() {
    let bodies = |text: &'static str| move || HttpResponse::Unauthorized().body(text);
    let denied = bodies(r#"{"errors":[{"code":"UNAUTHORIZED","message":"access denied"}]}"#);
    let registry = Registry::start(move |_| Some(denied()));
    assert_eq!(registry.inspect("nginx").await, Err(RegistryError::Private), "no challenge");
    let basic = || HttpResponse::Unauthorized().insert_header(("WWW-Authenticate", "Basic realm=\"x\"")).finish();
    let registry = Registry::start(move |_| Some(basic()));
    assert_eq!(registry.inspect("nginx").await, Err(RegistryError::Private), "a login is asked for");

    for (status, expected, requests) in [(200, RegistryError::Private, 3), (403, RegistryError::Private, 2)] {
        let own = Arc::new(Mutex::new(String::new()));
        let realm = own.clone();
        let registry = Registry::start(move |seen| match seen.path.as_str() {
            "/token" => {
                let status = actix_web::http::StatusCode::from_u16(status).unwrap();
                Some(HttpResponse::build(status).json(json!({"access_token": "t"})))
            }
            _ => Some(challenge(&format!("{}/token", realm.lock().unwrap()))),
        });
        own.lock().unwrap().clone_from(&registry.address);
        assert_eq!(registry.inspect("nginx").await, Err(expected));
        assert_eq!(registry.seen().len(), requests, "it is not asked again and again");
    }
}

#[actix_web::test]
async fn a_token_that_is_none_is_not_sent() {
    for token in [
        json!({}),
        json!({"token": ""}),
        json!({"token": "a\r\nHost: x"}),
        json!({"token": "a b"}),
        json!({"token": "토큰"}),
        json!({"token": "t".repeat(17_000)}),
        json!({"token": "t".repeat(70_000)}),
        json!([]),
    ] {
        let own = Arc::new(Mutex::new(String::new()));
        let realm = own.clone();
        let body = token.clone();
        let registry = Registry::start(move |seen| match seen.path.as_str() {
            "/token" => Some(HttpResponse::Ok().json(&body)),
            _ => Some(challenge(&format!("{}/token", realm.lock().unwrap()))),
        });
        own.lock().unwrap().clone_from(&registry.address);
        assert!(is_unreadable(&registry.inspect("nginx").await), "{}", crate::text::shorten(&token.to_string(), 60));
        assert_eq!(registry.seen().len(), 2);
    }
}

#[actix_web::test]
async fn digests_of_unknown_kinds_are_not_asked_for() {
    let registry = Registry::start(|_| None);
    let entry = json!({"mediaType": MANIFEST, "digest": "md5:abc", "size": 1});
    registry.put_entries("library/nginx", "latest", &[entry]);
    assert!(is_unreadable(&registry.inspect("nginx").await));
    let entry = json!({"mediaType": MANIFEST, "digest": "sha256:../../../etc", "size": 1});
    registry.put_entries("library/nginx", "latest", &[entry]);
    assert!(is_unreadable(&registry.inspect("nginx").await));
    assert_eq!(registry.seen().len(), 2);
}

#[actix_web::test]
async fn indexes_may_be_in_an_index_but_no_deeper() {
    let registry = Registry::start(|_| None);
    let mut inner = registry.put_index("library/nginx", "one");
    for (tag, is_read) in [("two", true), ("three", false)] {
        inner = registry.put_entries("library/nginx", tag, &[inner]);
        let answer = registry.inspect(&format!("nginx:{tag}")).await;
        assert_eq!(answer.is_ok(), is_read, "{tag}: {answer:?}");
        assert_eq!(is_unreadable(&answer), !is_read, "{tag}: {answer:?}");
    }
}

#[actix_web::test]
async fn an_architecture_that_the_cluster_lacks_is_said() {
    let registry = Registry::start(|_| None);
    let mut entry = registry.put_manifest("library/foreign", "x", &config("arm64", 80));
    registry.put_manifest("library/single", "latest", &config("arm64", 80));
    entry["platform"] = json!({"os": "linux", "architecture": "arm64"});
    registry.put_entries("library/foreign", "latest", &[entry]);
    // The one entry is for something else, the other does not say what it is for, and is for something else, too.
    let mut entries = vec![registry.put_manifest("library/unsaid", "x", &config("arm64", 80))];
    entries.push(entries[0].clone());
    entries[0]["platform"] = json!({"os": "linux", "architecture": "arm64"});
    registry.put_entries("library/unsaid", "latest", &entries);
    for image in ["foreign", "single", "unsaid"] {
        let wrong = RegistryError::WrongArchitecture { offers: vec!["arm64".into()], cluster: vec!["amd64".into()] };
        assert_eq!(registry.inspect(image).await, Err(wrong), "{image}");
        let image = ImageReference::parse(image).unwrap();
        assert!(registry.registries().inspect(&image, &[]).await.is_ok(), "{image}: the cluster is not known");
    }
}

#[actix_web::test]
async fn a_web_page_is_not_the_word_of_a_registry() {
    let page = "<!doctype html><title>Log in to the network</title>";
    let registry = Registry::start(move |_| Some(HttpResponse::Ok().content_type(INDEX).body(page)));
    assert!(is_unreadable(&registry.inspect("nginx").await));
    for status in [404, 403, 401, 502] {
        let status = actix_web::http::StatusCode::from_u16(status).unwrap();
        let registry = Registry::start(move |_| Some(HttpResponse::build(status).body(page)));
        assert!(is_unavailable(&registry.inspect("nginx").await), "{status}");
    }
    for nonsense in ["", "null", "{}", "[]", "{\"schemaVersion\":2}", "\u{0}", "\u{1f}\u{8b}\u{8}"] {
        let registry = Registry::start(move |_| Some(HttpResponse::Ok().body(nonsense)));
        assert!(is_unreadable(&registry.inspect("nginx").await), "{nonsense:?}");
    }
    let odd = [json!({"architecture": "amd64", "os": "linux"}), json!("x"), json!({"config": {"ExposedPorts": 80}})];
    for config in odd {
        let registry = Registry::start(|_| None);
        registry.put_manifest("library/nginx", "latest", &config);
        assert!(is_unreadable(&registry.inspect("nginx").await), "{config}");
    }
}

#[actix_web::test]
async fn a_rate_limit_is_said_and_respected() {
    let registry = Registry::start(|_| {
        let mut answer = HttpResponse::TooManyRequests();
        answer.insert_header(("Retry-After", "1800"));
        Some(answer.json(json!({"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your limit"}]})))
    });
    let registries = registry.registries();
    let limited = Err(RegistryError::RateLimited { retry_after: Some(Duration::from_secs(1800)) });
    assert_eq!(inspect(&registries, "nginx").await, limited);
    assert_eq!(inspect(&registries, "nginx").await, limited);
    assert_eq!(registry.seen().len(), 1, "it is not asked again at once");
}

#[actix_web::test]
async fn registries_that_are_not_allowed_are_not_asked() {
    let registry = Registry::full();
    let registries = registry.registries();
    for image in ["ghcr.io/me/app", "localhost:5000/x", "127.0.0.1/x", "docker.io:443/library/nginx", "10.0.0.1/x"] {
        let answer = inspect(&registries, image).await;
        let is_refused = matches!(&answer, Err(RegistryError::NotAllowed { allowed, .. }) if allowed == &["docker.io"]);
        assert!(is_refused, "{image}: {answer:?}");
    }
    assert!(registry.seen().is_empty());
}

#[actix_web::test]
async fn a_class_that_types_the_same_asks_once() {
    let registry = Registry::full();
    let registries = registry.registries();
    let class = futures::future::join_all((0..30).map(|_| inspect(&registries, "nginx:1.27"))).await;
    assert!(class.iter().all(|answer| answer == &class[0]) && class[0].is_ok());
    assert_eq!(registry.seen().len(), 3, "{:?}", registry.paths());
    assert!(inspect(&registries, "docker.io/library/nginx:1.27").await.is_ok());
    assert_eq!(registry.seen().len(), 3, "another spelling of the same");
}

#[actix_web::test]
async fn only_so_many_images_are_read_at_once() {
    let registry = Registry::start(|_| None);
    registry.state.permits.forget_permits(1000);
    let registries = registry.registries();
    let names: Vec<String> = (0..20).map(|n| format!("me/app{n}")).collect();
    let class = futures::future::join_all(names.iter().map(|name| inspect(&registries, name)));
    let watch = async {
        let end = Instant::now() + Duration::from_secs(10);
        while registry.seen().len() < MAX_LOOKUPS && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Time for a ninth, if there were one.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let at_once = registry.seen().len();
        registry.state.permits.add_permits(1000);
        at_once
    };
    let (answers, at_once) = tokio::join!(class, watch);
    assert_eq!(at_once, MAX_LOOKUPS);
    assert!(answers.iter().all(|answer| *answer == Err(RegistryError::NotFound)));
    assert_eq!(registry.seen().len(), 20);
}

/// Against a real registry program with the lab's images.
#[actix_web::test]
#[ignore = "needs the lab's registry: lab/up kubernetes"]
async fn the_labs_registry_is_read() {
    let port = std::env::var("FASTCLOUD_LAB_REGISTRY_PORT").unwrap_or_else(|_| "5050".to_owned());
    let registries = registries(&format!("http://127.0.0.1:{port}"));
    for (image, ports) in [("nginx", &[80][..]), ("hello:1", &[80]), ("busybox", &[]), ("crash:1", &[])] {
        let facts = inspect(&registries, image).await.unwrap_or_else(|err| panic!("{image}: {err}"));
        assert_eq!(facts.ports, ports, "{image}");
        assert_eq!(facts.architectures, ["amd64"], "{image}");
        let pinned = format!("{}@{}", image.split(':').next().unwrap(), facts.digest);
        assert_eq!(inspect(&registries, &pinned).await.unwrap(), facts, "{pinned}");
    }
    for image in ["no-such-image:1", "nginx:no-such-tag"] {
        assert_eq!(inspect(&registries, image).await, Err(RegistryError::NotFound), "{image}");
    }
}
