use std::sync::{Arc, Mutex};

use super::*;
use crate::cloud::Compute;
use crate::cloud::openstack::testing::{Cloud, Reply, Request};

const SERVER: Uuid = Uuid::from_u128(1);

/// A Neutron with one port and the floating addresses that it is given; the filters are ignored.
async fn neutron(floating: Vec<Value>) -> Cloud {
    let floating = Arc::new(Mutex::new(floating));
    Cloud::start(move |request: &Request| {
        let mut floating = floating.lock().unwrap();
        let (path, _) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let id = path.strip_prefix("/network/v2.0/floatingips/");
        let body = match (request.method.as_str(), path) {
            ("GET", "/network/v2.0/ports") => json!({"ports": [
                {"id": "six", "device_id": SERVER.to_string(), "fixed_ips": [{"ip_address": "fd00::1"}]},
                {"id": "port", "device_id": SERVER.to_string(), "fixed_ips": [{"ip_address": "10.0.0.5"}]},
                {"id": "other", "device_id": "else"},
            ]}),
            ("GET", "/network/v2.0/floatingips") => json!({"floatingips": *floating}),
            ("POST", "/network/v2.0/floatingips") => {
                let mut made = request.body["floatingip"].clone();
                made["id"] = json!(Uuid::new_v4().to_string());
                made["floating_ip_address"] = json!("203.0.113.9");
                floating.push(made.clone());
                json!({"floatingip": made})
            }
            ("PUT", _) => {
                let found = floating.iter_mut().find(|one| one["id"].as_str() == id).unwrap();
                found["port_id"] = request.body["floatingip"]["port_id"].clone();
                json!({"floatingip": found})
            }
            ("DELETE", _) if id.is_some() => {
                let before = floating.len();
                floating.retain(|one| one["id"].as_str() != id);
                if before == floating.len() {
                    return Some(Reply::Json(404, json!({"NeutronError": {"type": "X", "message": "gone"}})));
                }
                json!({})
            }
            _ => return None,
        };
        Some(Reply::Json(200, body))
    })
    .await
}

fn address(id: u128, description: &str, port: Value) -> Value {
    json!({
        "id": Uuid::from_u128(id).to_string(), "floating_ip_address": "203.0.113.1", "port_id": port,
        "description": description,
    })
}

fn made(cloud: &Cloud) -> usize {
    cloud.asked("POST", "/network/v2.0/floatingips")
}

#[tokio::test]
async fn an_address_is_allocated_once() {
    let cloud = neutron(vec![address(3, "somebody's", json!("else"))]).await;
    let (client, instance) = (cloud.client(30), InstanceId::new());
    let first = client.attach_address(SERVER, instance, "ext-net").await.unwrap();
    assert_eq!(client.attach_address(SERVER, instance, "ext-net").await.unwrap(), first);
    assert_eq!(made(&cloud), 1);
    let request = cloud.seen().into_iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(
        request.body["floatingip"],
        json!({"floating_network_id": "n3", "port_id": "port", "description": format!("fast-cloud {instance}")})
    );
    client.release_addresses(instance).await.unwrap();
    client.release_addresses(instance).await.unwrap();
    let deleted: Vec<_> = cloud.seen().into_iter().filter(|request| request.method == "DELETE").collect();
    assert_eq!(deleted.len(), 1, "somebody's address stays");
    assert!(deleted[0].target.ends_with(&first.id.to_string()));
}

#[tokio::test]
async fn an_address_that_waits_or_was_given_by_hand_is_used() {
    let instance = InstanceId::new();
    let idle = neutron(vec![address(3, &format!("fast-cloud {instance}"), Value::Null)]).await;
    assert_eq!(idle.client(30).attach_address(SERVER, instance, "ext-net").await.unwrap().id, Uuid::from_u128(3));
    let by_hand = neutron(vec![address(4, "by hand", json!("port"))]).await;
    assert_eq!(by_hand.client(30).attach_address(SERVER, instance, "ext-net").await.unwrap().id, Uuid::from_u128(4));
    assert_eq!(made(&idle) + made(&by_hand), 0);
}

#[tokio::test]
async fn refusals_of_addresses() {
    let with = async |status: u16, kind: &'static str| {
        let cloud = Cloud::start(move |request| match (request.method.as_str(), request.target.contains("ports?")) {
            ("POST", _) if request.target.contains("floatingips") => {
                Some(Reply::Json(status, json!({"NeutronError": {"type": kind, "message": kind}})))
            }
            ("GET", true) => {
                Some(Reply::Json(200, json!({"ports": [{"id": "port", "device_id": SERVER.to_string()}]})))
            }
            _ if request.target.contains("floatingips") => Some(Reply::Json(200, json!({"floatingips": []}))),
            _ => None,
        })
        .await;
        cloud.client(30).attach_address(SERVER, InstanceId::new(), "ext-net").await.unwrap_err()
    };
    assert!(matches!(with(409, "OverQuota").await, CloudError::QuotaExceeded(_)));
    assert!(matches!(with(404, "ExternalGatewayForFloatingIPNotFound").await, CloudError::Rejected(_)));
    assert!(matches!(with(409, "FloatingIPPortAlreadyAssociated").await, CloudError::Conflict(_)));
    let portless =
        Cloud::start(|request| request.target.contains("ports?").then(|| Reply::Json(200, json!({"ports": []})))).await;
    let err = portless.client(30).attach_address(SERVER, InstanceId::new(), "ext-net").await.unwrap_err();
    assert!(matches!(err, CloudError::Conflict(_)));
}

#[tokio::test]
async fn several_networks_need_a_name() {
    let cloud = Cloud::start(|request| {
        request.target.ends_with("/networks").then(|| {
            Reply::Json(
                200,
                json!({"networks": [
                    {"id": "a", "name": "one", "project_id": "p1"}, {"id": "b", "name": "two", "shared": true},
                ]}),
            )
        })
    })
    .await;
    let client = cloud.client(30);
    let Err(CloudError::Rejected(sentence)) = client.network_id("").await else { panic!() };
    assert!(sentence.contains("one, two"), "{sentence}");
    assert_eq!(client.network_id("two").await.unwrap(), "b");
}
