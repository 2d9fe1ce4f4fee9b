//! Registries, redirects and token services that mean harm.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use bytes::Bytes;
use serde_json::json;
use url::Url;

use super::*;
use crate::registry::lookup::Lookup;
use crate::registry::settings::Source;
use crate::registry::web::{Ask, Web};

/// A listener beside the registry that nobody may knock at.
pub(super) struct Bystander {
    port: u16,
    knocks: Arc<AtomicUsize>,
}

impl Bystander {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let knocks = Arc::new(AtomicUsize::new(0));
        let counter = knocks.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, knocks }
    }

    /// Ways to say where it is.
    pub(super) fn addresses(&self) -> Vec<String> {
        let hosts = [
            "127.0.0.1",
            "localhost",
            "LOCALHOST.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "017700000001",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "me@localhost",
            "%6cocalhost",
        ];
        let schemes = ["http", "https"];
        hosts.iter().flat_map(|host| schemes.map(|scheme| format!("{scheme}://{host}:{}/x", self.port))).collect()
    }

    /// A connection of ours after all others: had there been one, it would have been counted by now.
    pub(super) async fn assert_left_alone(&self) {
        let before = self.knocks.load(Ordering::SeqCst);
        let own = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while self.knocks.load(Ordering::SeqCst) == before && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(own);
        assert_eq!(self.knocks.load(Ordering::SeqCst), 1, "somebody knocked at it");
    }
}

#[actix_web::test]
async fn redirects_lead_nowhere_but_to_public_https() {
    let bystander = Bystander::start().await;
    let mut targets = bystander.addresses();
    targets.extend([
        format!("//127.0.0.1:{}/x", bystander.port),
        format!("http:\\\\127.0.0.1:{}\\x", bystander.port),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ]);
    for kind in ["/manifests/", "/blobs/"] {
        for target in &targets {
            let to = target.clone();
            let registry = Registry::start(move |seen| seen.path.contains(kind).then(|| redirect(&to)));
            registry.put_index("library/nginx", "1.27");
            let answer = registry.inspect("nginx:1.27").await;
            assert!(is_unavailable(&answer), "{target}: {answer:?}");
        }
    }
    bystander.assert_left_alone().await;
}

#[actix_web::test]
async fn a_token_service_is_held_to_the_same() {
    let bystander = Bystander::start().await;
    for target in bystander.addresses() {
        let realm = target.clone();
        let registry = Registry::start(move |_| Some(challenge(&realm)));
        let answer = registry.inspect("nginx").await;
        assert!(is_unavailable(&answer), "{target}: {answer:?}");
        assert_eq!(registry.seen().len(), 1, "{target}");
    }
    for nonsense in ["", "/token", "nowhere", "https://"] {
        let registry = Registry::start(move |_| Some(challenge(nonsense)));
        assert!(is_unreadable(&registry.inspect("nginx").await), "{nonsense:?}");
    }
    bystander.assert_left_alone().await;
}

#[actix_web::test]
async fn a_registry_that_is_no_mirror_has_to_be_public() {
    let bystander = Bystander::start().await;
    let (web, image) = (Web::new().unwrap(), ImageReference::parse("nginx").unwrap());
    for address in bystander.addresses() {
        let source = Source { address: Url::parse(&address).unwrap(), trusted: vec![] };
        let answer = Lookup::new(&web, source, &image, &[]).run().await;
        assert!(is_unavailable(&answer), "{address}: {answer:?}");
    }
    bystander.assert_left_alone().await;
}

/// The mirror of one registry is no way into this machine for the others.
#[actix_web::test]
async fn a_mirror_is_trusted_only_for_its_registry() {
    let registry = Registry::full();
    let other = Source { address: Url::parse("https://cdn.example").unwrap(), trusted: vec![] };
    let ask = Ask {
        url: Url::parse(&format!("{}/v2/library/nginx/manifests/1.27", registry.address)).unwrap(),
        accept: "*/*",
        max_bytes: 1000,
        authorization: None,
    };
    assert!(matches!(Web::new().unwrap().get(&other, ask).await, Err(RegistryError::Unavailable(_))));
    assert!(registry.seen().is_empty());
}

#[actix_web::test]
async fn a_token_does_not_follow_a_redirect_to_another_host() {
    let elsewhere = Registry::full();
    let to = elsewhere.address.clone();
    let own = Arc::new(Mutex::new(String::new()));
    let realm = own.clone();
    let registry = Registry::start(move |seen| match seen.headers.get("authorization") {
        _ if seen.path == "/token" => Some(HttpResponse::Ok().json(json!({"token": "t0k"}))),
        None => Some(challenge(&format!("{}/token", realm.lock().unwrap()))),
        Some(_) if seen.path.contains("/blobs/") => Some(redirect(&format!("{to}{}", seen.path))),
        Some(_) => None,
    });
    own.lock().unwrap().clone_from(&registry.address);
    registry.put_index("library/nginx", "1.27");
    let (here, there) = (Url::parse(&registry.address).unwrap(), Url::parse(&elsewhere.address).unwrap());
    let source = Source { trusted: vec![here.origin(), there.origin()], address: here };
    let (web, image) = (Web::new().unwrap(), ImageReference::parse("nginx:1.27").unwrap());
    assert!(Lookup::new(&web, source, &image, &[]).run().await.is_ok());
    let blob = registry.seen().into_iter().find(|seen| seen.path.contains("/blobs/")).unwrap();
    assert_eq!(blob.headers["authorization"], "Bearer t0k");
    assert_eq!(elsewhere.seen().len(), 1);
    assert!(!elsewhere.seen()[0].headers.contains_key("authorization"));
}

#[actix_web::test]
async fn redirects_within_the_registry_are_followed_but_not_for_ever() {
    let registry = Registry::start(|seen| {
        let hops: u32 = seen.query.strip_prefix("hops=").and_then(|text| text.parse().ok()).unwrap_or(0);
        let next = format!("{}?hops={}", seen.path, hops + 1);
        (seen.path.contains("/blobs/") && hops < 5).then(|| redirect(&next))
    });
    registry.put_index("library/nginx", "1.27");
    assert!(registry.inspect("nginx:1.27").await.is_ok());

    let round = Registry::start(|seen| Some(redirect(&seen.path)));
    assert!(is_unreadable(&round.inspect("nginx").await));
    assert_eq!(round.seen().len(), 6);
    let nowhere = Registry::start(|_| Some(HttpResponse::Found().finish()));
    assert!(is_unreadable(&nowhere.inspect("nginx").await));
}

#[actix_web::test]
async fn bodies_are_bounded() {
    let registry = Registry::start(|_| Some(endless()));
    assert!(is_unreadable(&registry.inspect("nginx").await), "an endless manifest");
    let registry = Registry::start(|seen| seen.path.contains("/blobs/").then(endless));
    registry.put_index("library/nginx", "1.27");
    assert!(is_unreadable(&registry.inspect("nginx:1.27").await), "an endless configuration");
    let registry = Registry::start(|_| {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 64 * 1024])));
        Some(HttpResponse::NotFound().streaming(chunks))
    });
    assert_eq!(registry.inspect("nginx").await, Err(RegistryError::NotFound), "an endless refusal");
    let registry = Registry::start(|_| Some(HttpResponse::Ok().body(vec![b' '; 4 * 1024 * 1024 + 1])));
    let answer = registry.inspect("nginx").await;
    assert!(matches!(&answer, Err(RegistryError::Unreadable(why)) if why.contains("more than")), "{answer:?}");
    let registry = Registry::start(|_| {
        let mut answer = HttpResponse::Ok();
        answer.insert_header(("x-large", "x".repeat(1024 * 1024)));
        Some(answer.finish())
    });
    assert!(is_unavailable(&registry.inspect("nginx").await), "a head of a megabyte");
}

#[actix_web::test]
async fn slow_and_silent_registries_cost_the_time_limit() {
    for name in ["dripping", "silent", "closed"] {
        let registry = Registry::start(move |_| Some(dripping()));
        let address = match name {
            "dripping" => registry.address.clone(),
            "silent" => {
                registry.state.permits.forget_permits(1000);
                registry.address.clone()
            }
            _ => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                format!("http://{}", listener.local_addr().unwrap())
            }
        };
        let registries = Registries::new(&section(&address)).unwrap();
        let began = Instant::now();
        let answer = inspect(&registries, "nginx").await;
        assert!(is_unavailable(&answer), "{name}: {answer:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{name}");
    }
}

#[actix_web::test]
async fn what_is_not_what_its_digest_says_is_refused() {
    let registry = Registry::full();
    let wrong = format!("nginx@sha256:{}", "0".repeat(64));
    let path = format!("/v2/library/nginx/manifests/sha256:{}", "0".repeat(64));
    let index = registry.state.shelf.lock().unwrap()["/v2/library/nginx/manifests/1.27"].clone();
    registry.state.shelf.lock().unwrap().insert(path, index);
    assert!(is_unreadable(&registry.inspect(&wrong).await), "the reference's");

    for kind in ["/manifests/sha256", "/blobs/sha256"] {
        let registry = Registry::full();
        for (path, body) in registry.state.shelf.lock().unwrap().iter_mut() {
            if path.contains(kind) {
                body.push(b' ');
            }
        }
        let answer = registry.inspect("nginx:1.27").await;
        assert!(matches!(&answer, Err(RegistryError::Unreadable(why)) if why.contains("digest")), "{kind}: {answer:?}");
    }
}
