//! A look-alike of Keystone and Nova with as many machines as a benchmark wants, each as long as Nova's own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use fast_cloud::ids::InstanceId;
use serde_json::{Value, json};
use uuid::Uuid;

/// The first argument of a process that is to be the look-alike; the portal's id and the account's follow.
pub const ARGUMENT: &str = "look-alike";

pub const MACHINES: usize = 9_999;

/// So many are switched off, while their rows say that they are on.
pub const DIFFERENT: usize = 100;

pub fn asked_for() -> Option<[Uuid; 2]> {
    let mut arguments = std::env::args().skip_while(|argument| argument != ARGUMENT).skip(1);
    let mut id = || arguments.next()?.parse().ok();
    Some([id()?, id()?])
}

/// The row of a machine.
pub fn instance(n: usize) -> InstanceId {
    InstanceId(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + n as u128))
}

/// A machine's id.
pub fn server(n: usize) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 + n as u128)
}

pub fn address(n: usize) -> String {
    format!("10.{}.{}.{}", n / 62_500, n / 250 % 250, n % 250 + 1)
}

struct Cloud {
    address: String,
    portal: Uuid,
    account: Uuid,
    list_calls: AtomicUsize,
}

/// Prints its address and serves until it is killed.
pub async fn serve(portal: Uuid, account: Uuid) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    println!("{address}");
    let cloud = web::Data::new(Cloud { address, portal, account, list_calls: AtomicUsize::new(0) });
    let server = HttpServer::new(move || App::new().app_data(cloud.clone()).default_service(web::to(answer)));
    Ok(server.workers(1).listen(listener)?.run().await?)
}

async fn answer(request: HttpRequest, cloud: web::Data<Cloud>) -> actix_web::Result<HttpResponse> {
    Ok(match request.path() {
        "/identity/v3/auth/tokens" => cloud.token(),
        "/compute/v2.1" | "/compute/v2.1/" => {
            HttpResponse::Ok().json(json!({"version": {"id": "v2.1", "version": "2.93", "min_version": "2.1"}}))
        }
        "/compute/v2.1/servers/detail" => {
            cloud.list_calls.fetch_add(1, Ordering::SeqCst);
            let query = web::Query::<HashMap<String, String>>::from_query(request.query_string())?;
            HttpResponse::Ok().json(cloud.page(&query))
        }
        "/list-calls" => HttpResponse::Ok().body(cloud.list_calls.load(Ordering::SeqCst).to_string()),
        _ => HttpResponse::NotFound().json(json!({"itemNotFound": {"code": 404, "message": "no such thing"}})),
    })
}

impl Cloud {
    fn token(&self) -> HttpResponse {
        let url = format!("{}/compute/v2.1", self.address);
        HttpResponse::Created().insert_header(("x-subject-token", "a-token")).json(json!({"token": {
            "issued_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-01T01:00:00Z",
            "project": {"id": "p1", "name": "class"},
            "user": {"id": "u1", "name": "portal"},
            "catalog": [{"type": "compute", "endpoints": [
                {"interface": "public", "region_id": "one", "region": "one", "url": url},
            ]}],
        }}))
    }

    /// Nova's page: at most as many as asked for, after the marker; a full one leads on, whether there are more or not.
    fn page(&self, query: &HashMap<String, String>) -> Value {
        let limit = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(1_000).min(1_000);
        let marker = query.get("marker").and_then(|text| text.parse::<Uuid>().ok());
        let first = marker.map_or(0, |id| (0..MACHINES).find(|n| server(*n) == id).map_or(MACHINES, |n| n + 1));
        let servers: Vec<Value> = (first..MACHINES.min(first + limit)).map(|n| self.machine(n)).collect();
        if servers.len() < limit {
            return json!({"servers": servers});
        }
        let next =
            format!("{}/compute/v2.1/servers/detail?limit={limit}&marker={}", self.address, server(first + limit - 1));
        json!({"servers": servers, "servers_links": [{"rel": "next", "href": next}]})
    }

    fn machine(&self, n: usize) -> Value {
        let id = server(n);
        let off = n.is_multiple_of(MACHINES / DIFFERENT) && n / (MACHINES / DIFFERENT) < DIFFERENT;
        let link = |rel: &str, path: &str| json!({"rel": rel, "href": format!("{}/compute/{path}/{id}", self.address)});
        json!({
            "id": id,
            "name": format!("class-pc-{n}"),
            "status": if off { "SHUTOFF" } else { "ACTIVE" },
            "tenant_id": "6f70656e737461636b20636c61737321",
            "user_id": "fcb9a1c1e2d04ab1a2b3c4d5e6f70819",
            "metadata": {
                "fast_cloud_portal": self.portal,
                "fast_cloud_instance": instance(n).to_string(),
                "fast_cloud_account": self.account,
            },
            "hostId": "2091634baaccdc4c5a1d57069c833e402921df696b7f970791b12ec6",
            "image": {"id": "70a599e0-31e7-49b7-b260-868f441e862b", "links": [link("bookmark", "images")]},
            "flavor": {
                "vcpus": 1, "ram": 512, "disk": 10, "ephemeral": 0, "swap": 1024, "original_name": "m1.nano",
                "extra_specs": {"hw_rng:allowed": "True"},
            },
            "created": "2026-01-01T00:00:00Z",
            "updated": "2026-01-01T00:00:10Z",
            "addresses": {"class-net": [{
                "version": 4, "addr": address(n),
                "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:4c:2c:30",
            }]},
            "accessIPv4": "",
            "accessIPv6": "",
            "links": [link("self", "v2.1/servers"), link("bookmark", "servers")],
            "OS-DCF:diskConfig": "MANUAL",
            "progress": 0,
            "OS-EXT-AZ:availability_zone": "nova",
            "config_drive": "",
            "key_name": format!("fast-cloud-{}", instance(n)),
            "OS-SRV-USG:launched_at": "2026-01-01T00:00:10.000000",
            "OS-SRV-USG:terminated_at": null,
            "security_groups": [{"name": "default"}],
            "OS-EXT-STS:task_state": null,
            "OS-EXT-STS:vm_state": if off { "stopped" } else { "active" },
            "OS-EXT-STS:power_state": if off { 4 } else { 1 },
            "os-extended-volumes:volumes_attached": [],
            "locked": false,
            "locked_reason": null,
            "description": null,
            "tags": [format!("fast-cloud-{}", instance(n))],
            "trusted_image_certificates": null,
            "host_status": "UP",
        })
    }
}
