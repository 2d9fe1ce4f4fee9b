//! A look-alike of Keystone, Nova, Neutron and Glance for tests: answers what a test says, and remembers what it was
//! asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Credentials, OpenStack, Settings};

/// What was asked.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Value,
}

impl Request {
    pub(super) fn is(&self, method: &str, target: &str) -> bool {
        self.method == method && self.target == target
    }
}

/// What is answered.
pub(super) enum Reply {
    Json(u16, Value),
    /// Status, headers and body as they are.
    Raw(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Nothing, while the connection stays open.
    Hang,
    /// A body that goes on for ever.
    Endless,
    /// The connection ends without an answer.
    Close,
}

type Answering = Box<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

/// The look-alike. What the test's own function leaves to it (None) is answered as by an empty cloud.
pub(super) struct Cloud {
    pub(super) address: String,
    state: Arc<State>,
}

struct State {
    address: String,
    answering: Answering,
    seen: Mutex<Vec<Request>>,
    logins: Mutex<u32>,
}

impl Cloud {
    pub(super) async fn start(answering: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            address: address.clone(),
            answering: Box::new(answering),
            seen: Mutex::default(),
            logins: Mutex::new(0),
        });
        let served = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        Self { address, state }
    }

    /// A client of it, with time limits of `seconds`.
    pub(super) fn client(&self, seconds: u64) -> OpenStack {
        let settings = Settings { request_seconds: seconds, max_response_bytes: 1024 * 1024, ..Settings::default() };
        OpenStack::new(self.credentials(), settings).unwrap()
    }

    pub(super) fn credentials(&self) -> Credentials {
        credentials(&self.address)
    }

    pub(super) fn logins(&self) -> u32 {
        *self.state.logins.lock().unwrap()
    }

    /// All requests but the logins.
    pub(super) fn seen(&self) -> Vec<Request> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(super) fn asked(&self, method: &str, target: &str) -> usize {
        self.seen().iter().filter(|request| request.is(method, target)).count()
    }
}

pub(super) fn credentials(address: &str) -> Credentials {
    let auth_url = format!("{address}/identity");
    Credentials::discover(&move |name| {
        Some(match name {
            "OS_AUTH_URL" => auth_url.clone(),
            "OS_USERNAME" => "portal".to_owned(),
            "OS_PASSWORD" => "hunter2".to_owned(),
            "OS_PROJECT_NAME" => "class".to_owned(),
            _ => return None,
        })
    })
    .unwrap()
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let Some(request) = read(&mut stream).await else { return };
    let reply = state.reply(request);
    let _ = match reply {
        Reply::Json(status, body) => {
            let headers = vec![("content-type", "application/json".to_owned())];
            write(&mut stream, status, headers, body.to_string().as_bytes()).await
        }
        Reply::Raw(status, headers, body) => write(&mut stream, status, headers, &body).await,
        Reply::Hang => {
            // Until the client goes.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.map(|_| ())
        }
        Reply::Endless => endless(&mut stream).await,
        Reply::Close => Ok(()),
    };
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    // A body that comes in chunks has to come to its end.
    if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        while !bytes.ends_with(b"0\r\n\r\n") {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
    }
    let body = serde_json::from_slice(&bytes[head_end + 4..]).unwrap_or(Value::Null);
    Some(Request { method: first.next()?.to_owned(), target: first.next()?.to_owned(), headers, body })
}

async fn write(
    stream: &mut TcpStream,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(body).await
}

async fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
    loop {
        stream.write_all(&[b'x'; 4096]).await?;
    }
}

impl State {
    fn reply(&self, request: Request) -> Reply {
        let login = request.target == "/identity/v3/auth/tokens";
        if login {
            *self.logins.lock().unwrap() += 1;
        } else {
            self.seen.lock().unwrap().push(request.clone());
        }
        if let Some(reply) = (self.answering)(&request) {
            return reply;
        }
        if login {
            return token(&self.address, &format!("token-{}", self.logins.lock().unwrap()), "2026-01-01T01:00:00Z");
        }
        default_reply(&request)
    }
}

/// Keystone's answer. The token was issued at midnight, so that it lives for one hour if it expires at one.
pub(super) fn token(address: &str, token: &str, expires: &str) -> Reply {
    let service = |kind: &str, path: &str| {
        json!({"type": kind, "endpoints": [
            {"interface": "admin", "region_id": "one", "region": "one", "url": "http://127.0.0.1:1/"},
            {"interface": "public", "region_id": "one", "region": "one", "url": format!("{address}{path}")},
        ]})
    };
    let body = json!({"token": {
        "issued_at": "2026-01-01T00:00:00Z",
        "expires_at": expires,
        "project": {"id": "p1", "name": "class"},
        "user": {"id": "u1", "name": "portal"},
        "catalog": [service("compute", "/compute/v2.1"), service("network", "/network"), service("image", "/image/"), service("object-store", "/swift/v1/AUTH_p1")],
    }});
    let headers = vec![("x-subject-token", token.to_owned()), ("content-type", "application/json".to_owned())];
    Reply::Raw(201, headers, body.to_string().into_bytes())
}

fn default_reply(request: &Request) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    let named = |id: &str, name: &str| json!({"id": id, "name": name});
    let body = match (request.method.as_str(), path) {
        ("GET", "/compute/v2.1/") => json!({"version": {"id": "v2.1", "version": "2.93", "min_version": "2.1"}}),
        ("GET", "/compute/v2.1/servers/detail") => json!({"servers": []}),
        ("GET", "/compute/v2.1/flavors/detail") => json!({"flavors": [
            {"id": "1", "name": "tiny", "vcpus": 1, "ram": 256, "disk": 1, "swap": ""},
            {"id": "2", "name": "swapping", "vcpus": 2, "ram": 512, "disk": 2, "swap": 1024},
            "odd",
        ]}),
        ("GET", "/compute/v2.1/os-keypairs") => json!({"keypairs": [{"keypair": {"name": "lab-key"}}]}),
        ("GET", "/compute/v2.1/limits") => json!({"limits": {"absolute": {
            "maxTotalInstances": 10, "maxTotalCores": -1, "maxTotalRAMSize": 4096,
            "totalInstancesUsed": 1, "totalCoresUsed": 2, "totalRAMUsed": 256,
        }}}),
        ("GET", "/image/v2/images") => {
            json!({"images": [named("i1", "linux"), named("i2", "twin"), named("i3", "twin")]})
        }
        ("GET", "/network/v2.0/networks") => json!({"networks": [
            {"id": "n1", "name": "lab-net", "project_id": "p1"},
            {"id": "n2", "name": "others", "project_id": "p2"},
            {"id": "n3", "name": "ext-net", "project_id": "p2", "router:external": true},
        ]}),
        ("GET", "/network/v2.0/security-groups") => json!({"security_groups": [named("g1", "ssh")]}),
        ("POST", "/compute/v2.1/servers") => json!({"server": {
            "id": "11111111-1111-4111-8111-111111111111", "adminPass": "s3cret",
        }}),
        _ => return Reply::Json(404, json!({"itemNotFound": {"code": 404, "message": "no such thing"}})),
    };
    Reply::Json(200, body)
}
