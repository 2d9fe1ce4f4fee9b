use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::future::join_all;
use serde_json::json;
use tokio::sync::Barrier;

use super::*;
use crate::cloud::Compute;
use crate::cloud::openstack::testing::{self, Cloud, Reply, Request};

fn unavailable<T: std::fmt::Debug>(result: Result<T, CloudError>) -> String {
    match result {
        Err(CloudError::Unavailable { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

fn is_login(request: &Request) -> bool {
    request.target.ends_with("/auth/tokens")
}

fn is_list(request: &Request) -> bool {
    request.target.starts_with("/compute/v2.1/servers/detail")
}

#[tokio::test]
async fn a_hundred_requests_make_one_login() {
    let cloud = Cloud::start(|_| None).await;
    let client = cloud.client(30);
    assert_eq!(cloud.logins(), 0, "a session is made without asking Keystone");
    let answers = join_all((0..100).map(|_| client.list(None))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(cloud.logins(), 1);
}

#[tokio::test]
async fn a_hundred_refused_tokens_make_one_more_login() {
    let cloud = Cloud::start(|request| {
        let old = request.headers.get("x-auth-token").is_some_and(|token| token == "token-1");
        (is_list(request) && old).then(|| Reply::Json(401, json!({"error": {"message": "expired"}})))
    })
    .await;
    let client = Arc::new(cloud.client(30));
    client.flavors().await.unwrap();
    let together = Arc::new(Barrier::new(100));
    let tasks = (0..100).map(|_| {
        let (client, together) = (client.clone(), together.clone());
        tokio::spawn(async move {
            together.wait().await;
            client.list(None).await
        })
    });
    for answer in join_all(tasks).await {
        assert_eq!(answer.unwrap().unwrap(), []);
    }
    assert_eq!(cloud.logins(), 2);
}

#[tokio::test]
async fn a_refusal_that_stays_is_said_with_advice() {
    let cloud = Cloud::start(|request| {
        is_list(request).then(|| Reply::Json(401, json!({"error": {"message": "The request requires authentication"}})))
    })
    .await;
    let client = cloud.client(30);
    let message = unavailable(client.list(None).await);
    assert!(message.contains("clocks"), "{message}");
    let list = "/compute/v2.1/servers/detail?limit=1000";
    assert_eq!((cloud.logins(), cloud.asked("GET", list)), (2, 2));
}

#[tokio::test]
async fn a_hundred_share_a_refused_login() {
    let cloud = Cloud::start(|request| {
        is_login(request).then(|| Reply::Json(401, json!({"error": {"message": "The account is locked"}})))
    })
    .await;
    let client = cloud.client(30);
    for answer in join_all((0..100).map(|_| client.list(None))).await {
        let message = unavailable(answer);
        assert!(message.contains("The account is locked") && message.contains("OS_*"), "{message}");
        assert!(!message.contains("hunter2"));
    }
    assert_eq!(cloud.logins(), 1);
}

#[tokio::test]
async fn keystone_down_hanging_or_something_else() {
    let nobody = testing::credentials("http://127.0.0.1:1");
    let client = crate::cloud::openstack::OpenStack::new(nobody, Settings::default()).unwrap();
    assert!(unavailable(client.list(None).await).contains("no answer from Keystone"));
    type Answering = fn() -> Reply;
    let cases: [(Answering, &str); 6] = [
        (|| Reply::Hang, "did not answer"),
        (|| Reply::Close, "no answer"),
        (|| Reply::Endless, "more than 1048576 bytes"),
        (|| Reply::Json(200, json!({"hello": "world"})), "check auth_url"),
        (|| Reply::Raw(300, Vec::new(), b"{\"versions\":{}}".to_vec()), "no login at"),
        (|| Reply::Raw(503, Vec::new(), b"<html>".to_vec()), "503"),
    ];
    for (reply, expected) in cases {
        let cloud = Cloud::start(move |request| is_login(request).then(reply)).await;
        let message = unavailable(cloud.client(1).list(None).await);
        assert!(message.contains(expected), "{message} should say {expected}");
    }
}

#[tokio::test]
async fn what_services_may_answer() {
    type Answering = fn() -> Reply;
    let cases: [(Answering, &str); 9] = [
        (|| Reply::Hang, "Nova did not answer within 1 seconds"),
        (|| Reply::Close, "no answer from Nova"),
        (|| Reply::Endless, "more than 1048576 bytes"),
        (|| Reply::Raw(200, Vec::new(), vec![b'['; 10_000_000]), "more than 1048576 bytes"),
        (|| Reply::Raw(200, Vec::new(), b"<html>".to_vec()), "makes no sense"),
        (|| Reply::Raw(200, Vec::new(), Vec::new()), "makes no sense"),
        (|| Reply::Json(200, json!({})), "makes no sense"),
        (|| Reply::Raw(500, Vec::new(), vec![b'x'; 10_000_000]), "500"),
        (|| Reply::Raw(302, vec![("location", "http://127.0.0.1:1/".to_owned())], Vec::new()), "elsewhere"),
    ];
    for (reply, expected) in cases {
        let cloud = Cloud::start(move |request| is_list(request).then(reply)).await;
        let message = unavailable(cloud.client(1).list(None).await);
        assert!(message.contains(expected), "{message} should say {expected}");
        assert_eq!(cloud.asked("GET", "/compute/v2.1/servers/detail?limit=1000"), 1, "asked once only");
    }
}

#[tokio::test]
async fn a_service_that_hangs_costs_only_itself_and_recovers() {
    let hangs = Arc::new(AtomicBool::new(true));
    let switch = hangs.clone();
    let cloud = Cloud::start(move |request| {
        (request.target.starts_with("/network") && switch.load(Ordering::SeqCst)).then_some(Reply::Hang)
    })
    .await;
    let client = Arc::new(cloud.client(5));
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.networks().await.map(drop) })
        })
        .collect();
    while cloud.seen().iter().filter(|request| request.target.starts_with("/network")).count() < 4 {
        tokio::task::yield_now().await;
    }
    // All of Neutron's places are taken; Nova's and Glance's are not.
    client.list(None).await.unwrap();
    client.images().await.unwrap();
    assert!(waiting.iter().all(|task| !task.is_finished()));
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    hangs.store(false, Ordering::SeqCst);
    client.networks().await.unwrap();
}

#[tokio::test]
async fn nova_that_hangs_at_first_contact_recovers() {
    let hangs = Arc::new(AtomicBool::new(true));
    let switch = hangs.clone();
    let cloud = Cloud::start(move |request| {
        (request.target == "/compute/v2.1/" && switch.load(Ordering::SeqCst)).then_some(Reply::Hang)
    })
    .await;
    let client = cloud.client(1);
    let answers = join_all((0..10).map(|_| client.list(None))).await;
    assert!(answers.into_iter().all(|answer| unavailable(answer).contains("did not answer")));
    hangs.store(false, Ordering::SeqCst);
    client.list(None).await.unwrap();
}

#[tokio::test]
async fn no_more_requests_under_way_than_allowed() {
    let running = Arc::new(AtomicU32::new(0));
    let most = Arc::new(AtomicU32::new(0));
    let (now, high) = (running.clone(), most.clone());
    let cloud = Cloud::start(move |request| {
        if is_list(request) {
            high.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            return Some(Reply::Hang);
        }
        None
    })
    .await;
    let client = Arc::new(cloud.client(30));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.list(None).await.map(drop) })
        })
        .collect();
    while running.load(Ordering::SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 4);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn regions_and_interfaces() {
    let cloud = Cloud::start(|_| None).await;
    let mut credentials = cloud.credentials();
    credentials.region = Some("two".to_owned());
    let client = crate::cloud::openstack::OpenStack::new(credentials.clone(), Settings::default()).unwrap();
    let message = unavailable(client.list(None).await);
    assert!(message.contains("it has: one") && message.contains("region_name"), "{message}");
    credentials.region = None;
    credentials.interface = "internal";
    let client = crate::cloud::openstack::OpenStack::new(credentials, Settings::default()).unwrap();
    assert!(unavailable(client.list(None).await).contains("interface internal"));
}

#[tokio::test]
async fn the_shared_session_uses_the_same_login() {
    let cloud = Cloud::start(|_| None).await;
    let client = cloud.client(30);
    client.list(None).await.unwrap();
    let url = client.session().client().get_endpoint("image", client.session().endpoint_filters()).await.unwrap();
    assert_eq!(url.as_str(), format!("{}/image/", cloud.address));
    assert_eq!(cloud.logins(), 1);
    assert!(!format!("{:?}", client.session()).contains("hunter2"));
    assert!(!format!("{:?}", client.session()).contains("token-1"));
}

#[test]
fn addresses_of_services() {
    let url = |text: &str| Url::parse(text).unwrap();
    for (service, catalogue, expected) in [
        (Service::Compute, "http://n:8774/v2.1", "http://n:8774/v2.1"),
        (Service::Compute, "http://n:8774/v2.1/abc", "http://n:8774/v2.1/abc"),
        (Service::Compute, "http://n/compute", "http://n/compute/v2.1"),
        (Service::Network, "http://n:9696/", "http://n:9696/v2.0"),
        (Service::Network, "http://n:9696/v2.0", "http://n:9696/v2.0"),
        (Service::Image, "http://n/image", "http://n/image/v2"),
    ] {
        assert_eq!(service.base(url(catalogue)).as_str(), expected);
    }
    assert_eq!(version_root(url("http://n/compute/v2.1/abc")).as_str(), "http://n/compute/v2.1/");
    assert_eq!(version_root(url("http://n/v2.1")).as_str(), "http://n/v2.1/");
    assert_eq!(with_segments(url("http://n/v2/"), ["a b", "c/d?"]).as_str(), "http://n/v2/a%20b/c%2Fd%3F");
}

#[tokio::test]
async fn names_that_would_change_the_address() {
    let cloud = Cloud::start(|_| None).await;
    let client = cloud.client(30);
    for name in ["", ".", "..", "a\nb", "a\tb", "\u{0}"] {
        assert!(matches!(client.delete_key(name).await, Err(CloudError::Rejected(_))), "{name:?}");
    }
    assert!(cloud.seen().iter().all(|request| request.method == "GET"));
    client.delete_key("a/b ?").await.unwrap();
    assert_eq!(cloud.asked("DELETE", "/compute/v2.1/os-keypairs/a%2Fb%20%3F"), 1);
}

#[tokio::test]
async fn a_request_says_whose_it_is_to_each_service() {
    let cause = Cause::new(uuid::Uuid::new_v4());
    let expected = cause.global_request_id();
    let strangers = Arc::new(AtomicU32::new(0));
    let counted = strangers.clone();
    let cloud = Cloud::start(move |request| {
        if request.headers.get(REQUEST_ID_HEADER) != Some(&expected) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        None
    })
    .await;
    let client = cloud.client(30);
    cause.of(client.list(None)).await.unwrap();
    assert_eq!(cloud.logins(), 1);
    assert_eq!(strangers.load(Ordering::SeqCst), 0, "the login and the list carry it");
    client.list(None).await.unwrap();
    assert_eq!(strangers.load(Ordering::SeqCst), 1, "others have ids of their own");
}
