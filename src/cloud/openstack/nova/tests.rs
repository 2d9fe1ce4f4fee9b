use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::future::join_all;

use super::*;
use crate::cloud::Compute;
use crate::cloud::openstack::testing::{Cloud, Reply, Request};
use crate::ids::AccountId;

const SERVER: &str = "11111111-1111-4111-8111-111111111111";

fn order(image: &str) -> LaunchOrder {
    LaunchOrder {
        owner: OwnerTag { portal: Uuid::from_u128(7), instance: InstanceId::new(), account: AccountId::new() },
        name: " 내 서버 ".to_owned(),
        image: image.to_owned(),
        flavor: "tiny".to_owned(),
        network: String::new(),
        security_groups: vec!["ssh".to_owned()],
        key_pair: Some("lab-key".to_owned()),
        user_data: Some("#!/bin/sh\n".to_owned()),
    }
}

fn server(id: u128, more: Value) -> Value {
    let mut server = json!({"id": Uuid::from_u128(id).to_string(), "name": "vm", "status": "ACTIVE"});
    for (key, value) in more.as_object().unwrap() {
        server[key] = value.clone();
    }
    server
}

fn owned(id: u128, instance: InstanceId) -> Value {
    server(
        id,
        json!({"metadata": {
            "fast_cloud_portal": Uuid::from_u128(7).to_string(),
            "fast_cloud_instance": instance.to_string(),
            "fast_cloud_account": AccountId::new().to_string(),
        }}),
    )
}

fn conflict() -> Reply {
    Reply::Json(409, json!({"conflictingRequest": {"code": 409, "message": "Cannot do that while it is so."}}))
}

#[test]
fn what_is_being_done_comes_before_the_status() {
    use ServerStatus::*;
    for (text, task, expected) in [
        ("BUILD", Some("scheduling"), Building),
        ("BUILD", Some("deleting"), Deleting),
        ("ACTIVE", None, Active),
        ("ACTIVE", Some("image_snapshot"), Active),
        ("ACTIVE", Some("powering-off"), Stopping),
        ("ACTIVE", Some("deleting"), Deleting),
        ("ACTIVE", Some("soft-deleting"), Deleting),
        ("ERROR", Some("deleting"), Deleting),
        ("SHUTOFF", None, Stopped),
        ("SHUTOFF", Some("powering-on"), Starting),
        ("REBOOT", Some("rebooting"), Rebooting),
        ("HARD_REBOOT", Some("rebooting_hard"), Rebooting),
        ("HARD_REBOOT", None, Rebooting),
        ("ACTIVE", Some("reboot_started_hard"), Rebooting),
        ("DELETED", Some("deleting"), Deleted),
        ("SOFT_DELETED", None, Deleted),
        ("ERROR", None, Error),
        ("PAUSED", None, Unknown),
        ("SUSPENDED", None, Unknown),
        ("RESCUE", None, Unknown),
        ("SHELVED_OFFLOADED", None, Unknown),
        ("UNKNOWN", None, Unknown),
        ("TELEPORTING", None, Unknown),
        ("", None, Unknown),
    ] {
        assert_eq!(status(text, task), expected, "{text} {task:?}");
    }
}

#[test]
fn a_machine_as_nova_tells_it() {
    let instance = InstanceId::new();
    let mut value = owned(5, instance);
    value["status"] = json!("ERROR");
    value["OS-EXT-STS:task_state"] = json!("spawning");
    value["created"] = json!("2026-11-22T21:00:00Z");
    value["fault"] = json!({"message": "No valid host was found. ", "code": 500, "details": "secret trace"});
    value["addresses"] = json!({"lab-net": [
        {"addr": "fd00::5", "version": 6, "OS-EXT-IPS:type": "fixed"},
        {"addr": "203.0.113.9", "version": 4, "OS-EXT-IPS:type": "floating"},
        {"addr": "10.0.0.5", "version": 4, "OS-EXT-IPS:type": "fixed"},
    ]});
    let server = read_server(value).unwrap();
    assert_eq!((server.status, server.raw_status.as_str()), (ServerStatus::Error, "ERROR/spawning"));
    assert_eq!(server.address, Some("10.0.0.5".parse().unwrap()));
    assert_eq!(server.floating_address, Some("203.0.113.9".parse().unwrap()));
    assert_eq!(server.fault.as_deref(), Some("No valid host was found."));
    assert_eq!(server.owner.unwrap().instance, instance);
    assert_eq!(server.created_at.unwrap().to_rfc3339(), "2026-11-22T21:00:00+00:00");
}

#[tokio::test]
async fn an_odd_machine_costs_nothing_but_its_odd_parts() {
    let cloud =
        Cloud::start(|request| {
            request.target.contains("servers/detail").then(|| {
            Reply::Json(200, json!({"servers": [
                server(1, json!({"addresses": [], "metadata": {"a": 1}, "created": "yesterday", "fault": null})),
                server(2, json!({"status": 7, "name": null, "addresses": {"n": [{"addr": "x"}, 3]}})),
                {"id": "not a uuid", "status": "ACTIVE"},
                "nonsense",
                null,
                server(3, json!({})),
            ]}))
        })
        })
        .await;
    let servers = cloud.client(30).list(None).await.unwrap();
    let seen: Vec<_> = servers.iter().map(|server| (server.id.as_u128(), server.status)).collect();
    assert_eq!(seen, [(1, ServerStatus::Active), (2, ServerStatus::Unknown), (3, ServerStatus::Active)]);
    assert!(servers.iter().all(|server| server.owner.is_none() && server.address.is_none()));
}

#[tokio::test]
async fn pages_are_followed_by_marker() {
    let cloud = Cloud::start(|request| {
        let next = json!([{"rel": "next", "href": "http://elsewhere/"}]);
        let since = "changes-since=2026-11-22T21%3A00%3A00Z";
        let first = format!("/compute/v2.1/servers/detail?limit=1000&{since}");
        let second = format!("{first}&marker={}", Uuid::from_u128(2));
        let third = format!("{first}&marker={}", Uuid::from_u128(3));
        let body = match request.target.as_str() {
            target if target == first => {
                json!({"servers": [server(1, json!({})), server(2, json!({}))], "servers_links": next})
            }
            target if target == second => {
                json!({"servers": [server(2, json!({})), server(3, json!({}))], "servers_links": next})
            }
            target if target == third => json!({"servers": []}),
            _ => return None,
        };
        Some(Reply::Json(200, body))
    })
    .await;
    let since = DateTime::parse_from_rfc3339("2026-11-22T21:00:00.5Z").unwrap().with_timezone(&Utc);
    let servers = cloud.client(30).list(Some(since)).await.unwrap();
    assert_eq!(servers.iter().map(|server| server.id.as_u128()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn the_same_page_for_ever_ends() {
    let cloud = Cloud::start(|request| {
        request
            .target
            .contains("servers/detail")
            .then(|| Reply::Json(200, json!({"servers": [server(1, json!({}))], "servers_links": [{"rel": "next"}]})))
    })
    .await;
    assert_eq!(cloud.client(30).list(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_that_changes_while_it_is_read_is_no_answer() {
    let cloud = Cloud::start(|request| {
        if request.target.contains("marker=") {
            return Some(Reply::Json(400, json!({"badRequest": {"message": "marker [x] not found"}})));
        }
        request
            .target
            .contains("servers/detail")
            .then(|| Reply::Json(200, json!({"servers": [server(1, json!({}))], "servers_links": [{"rel": "next"}]})))
    })
    .await;
    assert!(matches!(cloud.client(30).list(None).await, Err(CloudError::Unavailable { .. })));
}

#[tokio::test]
async fn find_asks_by_tag_and_trusts_no_filter() {
    let instance = InstanceId::new();
    let cloud = Cloud::start(move |request| {
        let found = [owned(1, instance), owned(2, InstanceId::new()), server(3, json!({}))];
        request.target.contains("servers/detail").then(|| Reply::Json(200, json!({"servers": found})))
    })
    .await;
    let client = cloud.client(30);
    assert_eq!(client.find(instance).await.unwrap().len(), 1);
    assert_eq!(client.find(InstanceId::new()).await.unwrap(), []);
    let target = format!("/compute/v2.1/servers/detail?limit=1000&tags=fast-cloud-{instance}");
    assert_eq!(cloud.asked("GET", &target), 1);
}

#[tokio::test]
async fn launch_by_names_without_reading_the_password() {
    let cloud = Cloud::start(|_| None).await;
    let order = order("linux");
    let id = cloud.client(30).launch(&order).await.unwrap();
    assert_eq!(id.to_string(), SERVER);
    let request = cloud.seen().into_iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(request.headers["x-openstack-nova-api-version"], "2.79");
    let instance = order.owner.instance.to_string();
    assert_eq!(
        request.body["server"],
        json!({
            "name": "내 서버", "imageRef": "i1", "flavorRef": "1", "networks": [{"uuid": "n1"}],
            "metadata": {
                "fast_cloud_portal": order.owner.portal.to_string(),
                "fast_cloud_instance": instance,
                "fast_cloud_account": order.owner.account.to_string(),
            },
            "tags": [format!("fast-cloud-{instance}")],
            "security_groups": [{"name": "ssh"}],
            "key_name": "lab-key",
            "user_data": "IyEvYmluL3NoCg==",
        })
    );
}

#[tokio::test]
async fn an_older_nova_gets_no_tags() {
    let cloud = Cloud::start(|request| {
        (request.target == "/compute/v2.1/").then(|| Reply::Json(200, json!({"version": {"version": "2.42"}})))
    })
    .await;
    let client = cloud.client(30);
    client.launch(&order("linux")).await.unwrap();
    client.find(InstanceId::new()).await.unwrap();
    let request = cloud.seen().into_iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(request.headers["x-openstack-nova-api-version"], "2.42");
    assert!(request.body["server"].get("tags").is_none());
    assert_eq!(cloud.asked("GET", "/compute/v2.1/servers/detail?limit=1000"), 1);
}

#[tokio::test]
async fn names_are_looked_up_once_for_a_class() {
    let cloud = Cloud::start(|_| None).await;
    let client = cloud.client(30);
    let order = order("linux");
    for answer in join_all((0..30).map(|_| client.launch(&order))).await {
        answer.unwrap();
    }
    assert_eq!(cloud.asked("GET", "/image/v2/images?status=active&limit=1000"), 1);
    assert_eq!(cloud.asked("GET", "/network/v2.0/networks"), 1);
    assert_eq!(cloud.asked("GET", "/compute/v2.1/"), 1);
    assert_eq!(cloud.asked("POST", "/compute/v2.1/servers"), 30);
}

#[tokio::test]
async fn names_that_nothing_or_several_things_have() {
    let cloud = Cloud::start(|_| None).await;
    let client = cloud.client(30);
    let sentence = async |order: LaunchOrder| match client.launch(&order).await {
        Err(CloudError::Rejected(sentence)) => sentence,
        other => panic!("{other:?}"),
    };
    assert!(sentence(order("windows")).await.contains("no image \"windows\""));
    assert!(sentence(order("twin")).await.contains("several images"));
    let mut elsewhere = order("linux");
    elsewhere.network = "others".to_owned();
    assert!(sentence(elsewhere).await.contains("no network"));
    let mut talkative = order("linux");
    talkative.user_data = Some("x".repeat(60_000));
    assert!(sentence(talkative).await.contains("user data"));
    client.launch(&order("i2")).await.unwrap();
    let hidden = Uuid::from_u128(99).to_string();
    client.launch(&order(&hidden)).await.unwrap();
    assert_eq!(cloud.seen().last().unwrap().body["server"]["imageRef"], hidden);
}

#[tokio::test]
async fn an_image_that_was_replaced_is_looked_up_again() {
    let replaced = Arc::new(AtomicBool::new(false));
    let switch = replaced.clone();
    let cloud = Cloud::start(move |request| {
        let new = switch.load(Ordering::SeqCst);
        if request.target.starts_with("/image") {
            return Some(Reply::Json(
                200,
                json!({"images": [{"id": if new { "new" } else { "old" }, "name": "linux"}]}),
            ));
        }
        (new && request.method == "POST" && request.body["server"]["imageRef"] == "old")
            .then(|| Reply::Json(400, json!({"badRequest": {"message": "Can not find requested image"}})))
    })
    .await;
    let client = cloud.client(30);
    client.launch(&order("linux")).await.unwrap();
    replaced.store(true, Ordering::SeqCst);
    client.launch(&order("linux")).await.unwrap();
    assert_eq!(cloud.asked("POST", "/compute/v2.1/servers"), 3);
}

#[tokio::test]
async fn a_launch_over_quota_or_without_answer_is_asked_once() {
    type Answering = fn() -> Reply;
    type Expected = fn(&CloudError) -> bool;
    let cases: [(Answering, Expected); 3] = [
        (
            || Reply::Json(403, json!({"forbidden": {"message": "Quota exceeded for instances: Requested 1"}})),
            |err| matches!(err, CloudError::QuotaExceeded(sentence) if sentence.contains("instances")),
        ),
        (|| Reply::Hang, |err| matches!(err, CloudError::Unavailable { .. })),
        (
            || Reply::Json(202, json!({"server": {"adminPass": "s3cret"}})),
            |err| matches!(err, CloudError::Unavailable { message, .. } if !message.contains("s3cret")),
        ),
    ];
    for (reply, expected) in cases {
        let cloud =
            Cloud::start(move |request| (request.method == "POST" && !request.target.contains("tokens")).then(reply))
                .await;
        let err = cloud.client(1).launch(&order("linux")).await.unwrap_err();
        assert!(expected(&err), "{err}");
        assert_eq!(cloud.asked("POST", "/compute/v2.1/servers"), 1);
    }
}

#[tokio::test]
async fn a_lost_answer_may_be_asked_for_again() {
    let status = "SHUTOFF";
    let cloud = Cloud::start(move |request| match (request.method.as_str(), &request.body) {
        ("POST", body) if body.get("os-stop").is_some() || body.get("os-start").is_some() => Some(conflict()),
        ("POST", body) if body.get("reboot").is_some() => Some(conflict()),
        ("GET", _) if request.target.ends_with(SERVER) => {
            Some(Reply::Json(200, json!({"server": {"id": SERVER, "status": status}})))
        }
        _ => None,
    })
    .await;
    let client = cloud.client(30);
    let id = Uuid::try_parse(SERVER).unwrap();
    client.stop(id).await.unwrap();
    assert!(matches!(client.start(id).await, Err(CloudError::Conflict(_))));
    assert!(matches!(client.reboot(id).await, Err(CloudError::Conflict(_))));
    client.delete(id).await.unwrap();
    assert!(matches!(client.show(Uuid::from_u128(9)).await, Err(CloudError::NotFound(_))));
}

#[tokio::test]
async fn key_pairs_that_are_there_already() {
    let posts = AtomicU32::new(0);
    let cloud = Cloud::start(move |request: &Request| match request.method.as_str() {
        "POST" if request.target.ends_with("os-keypairs") => {
            let first = posts.fetch_add(1, Ordering::SeqCst) < 3;
            Some(if first { conflict() } else { Reply::Json(201, json!({"keypair": {"name": "x"}})) })
        }
        "GET" if request.target.contains("os-keypairs/") => {
            Some(Reply::Json(200, json!({"keypair": {"name": "x", "public_key": "ssh-ed25519 AAAA there\n"}})))
        }
        _ => None,
    })
    .await;
    let client = cloud.client(30);
    client.import_key("fast-cloud-1", "ssh-ed25519 AAAA mine").await.unwrap();
    assert!(matches!(client.import_key("teacher", "ssh-ed25519 BBBB").await, Err(CloudError::Conflict(_))));
    assert!(cloud.seen().iter().all(|request| request.method != "DELETE"));
    client.import_key("fast-cloud-1", "ssh-ed25519 BBBB").await.unwrap();
    assert_eq!(cloud.asked("DELETE", "/compute/v2.1/os-keypairs/fast-cloud-1"), 1);
}

#[tokio::test]
async fn what_there_is_to_choose_from() {
    let cloud = Cloud::start(|_| None).await;
    let catalogue = cloud.client(30).catalogue().await.unwrap();
    let swap: Vec<_> = catalogue.flavors.iter().map(|flavor| (flavor.name.as_str(), flavor.swap_mb)).collect();
    assert_eq!(swap, [("tiny", 0), ("swapping", 1024)]);
    let names = |list: &[Named]| list.iter().map(|named| named.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&catalogue.networks), ["lab-net"]);
    assert_eq!(names(&catalogue.external_networks), ["ext-net"]);
    assert_eq!(names(&catalogue.key_pairs), ["lab-key"]);
    let limits = catalogue.limits.unwrap();
    assert_eq!((limits.instances, limits.vcpus, limits.ram_mb_used), (Some(10), None, 256));
}
