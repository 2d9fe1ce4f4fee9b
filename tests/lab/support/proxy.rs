//! A proxy in front of Keystone, Nova, Neutron and Glance: counts, and breaks what it is told to break.
//!
//! Keystone's answer to a login is changed so that the services' addresses are the proxy's: `http://proxy/compute/v2.1`.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::stack::redirected;
use super::{Home, Lab};

/// What is wrong with the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nobody listens.
    Refuse,
    /// Connections are accepted and never answered.
    Hang,
    /// 500 with JSON, as a service in trouble says it.
    Status500,
    /// 200 with a page of HTML, as a captive portal says it.
    Html,
    /// 200 with 10 MB of JSON that is none of what was asked for.
    Big,
    /// Right answers, but every ACTIVE server has a status that nobody has heard of.
    OddStatus,
}

#[derive(Default)]
pub struct Counts {
    pub logins: AtomicUsize,
    pub refused_tokens: AtomicUsize,
    /// Requests to Nova that it works at, now and at most.
    compute: AtomicUsize,
    pub most_compute: AtomicUsize,
    /// Requests to Nova in all, and how many of them their sender gave up.
    pub all_compute: AtomicUsize,
    pub given_up: AtomicUsize,
    pub launches: AtomicUsize,
}

struct Shared {
    http: Client,
    base: String,
    /// Service → the address of the real one, up to its version.
    upstream: BTreeMap<&'static str, String>,
    fault: watch::Sender<Fault>,
    counts: Counts,
    /// The token that was handed out last, and one that is not taken any more.
    token: Mutex<String>,
    revoked: Mutex<String>,
}

pub struct Proxy(Arc<Shared>, tokio::task::JoinHandle<()>);

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), kind.to_owned())], body: body.into() }
    }
}

const CATALOGUE: [(&str, &str); 4] =
    [("identity", "identity"), ("compute", "compute"), ("network", "network"), ("image", "image")];

impl Proxy {
    pub async fn start(lab: &Lab, cloud: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stack = if cloud == super::SCALE { &lab.scale } else { &lab.students };
        // Scheme, host and port; what follows stays in the path.
        let origin = |kind: &str| stack.endpoint(kind).splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let shared = Arc::new(Shared {
            http: Client::builder().pool_idle_timeout(Duration::from_secs(2)).build().unwrap(),
            base: format!("http://{address}"),
            upstream: CATALOGUE.iter().map(|(name, kind)| (*name, origin(kind))).collect(),
            fault: watch::Sender::new(Fault::None),
            counts: Counts::default(),
            token: Mutex::default(),
            revoked: Mutex::default(),
        });
        let accept = tokio::spawn(serve(listener, shared.clone()));
        Self(shared, accept)
    }

    /// A `clouds.yaml` that leads here.
    pub fn clouds_yaml(&self, lab: &Lab, cloud: &str, home: &Home) -> PathBuf {
        let path = home.path().join("clouds.yaml");
        std::fs::write(&path, redirected(&lab.clouds_yaml(), cloud, &format!("{}/identity/v3", self.0.base))).unwrap();
        path
    }

    pub fn break_it(&self, fault: Fault) {
        self.0.fault.send_replace(fault);
    }

    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// From now on the services refuse the token that was handed out last.
    pub fn revoke(&self) {
        self.0.revoked.lock().unwrap().clone_from(&self.0.token.lock().unwrap());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.1.abort();
    }
}

/// Accepts; while the fault is [`Fault::Refuse`], nobody listens.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let mut fault = shared.fault.subscribe();
    let mut connections = JoinSet::new();
    loop {
        let now = *fault.borrow_and_update();
        if now == Fault::Refuse {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.unwrap());
        }
        let Some(open) = &listener else {
            let _ = fault.changed().await;
            continue;
        };
        tokio::select! {
            accepted = open.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(connection(stream, shared.clone()));
            },
            _ = fault.changed() => {}
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Ok(Some(request)) = read(&mut stream).await {
        let fault = *shared.fault.borrow();
        let head = request.method == "HEAD";
        let answer = match fault {
            Fault::None | Fault::OddStatus => match forward(&mut stream, request, fault, &shared).await {
                Some(answer) => answer,
                None => return,
            },
            Fault::Refuse => return,
            Fault::Hang => {
                // Until its sender has enough of it.
                let _ = stream.read(&mut [0]).await;
                return;
            }
            Fault::Status500 => {
                let body = r#"{"computeFault": {"code": 500, "message": "Unexpected API Error."}}"#;
                Answer::new(500, "application/json", body)
            }
            Fault::Html => {
                Answer::new(200, "text/html", "<!doctype html><title>Welcome</title><h1>Log in to the Wi-Fi</h1>")
            }
            Fault::Big => {
                let filler = "x".repeat(10 << 20);
                Answer::new(200, "application/json", format!(r#"{{"servers_links": [], "filler": "{filler}"}}"#))
            }
        };
        if write(&mut stream, answer, head).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, n)| n.parse::<usize>().ok());
    let mut body = bytes.split_off(end + 4);
    while body.len() < length.unwrap_or_default() {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Request { method, path, headers, body }))
}

async fn write(stream: &mut TcpStream, answer: Answer, head: bool) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if answer.status != 204 {
        text.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    if !head {
        bytes.extend(answer.body);
    }
    stream.write_all(&bytes).await
}

/// Counts a request to Nova while it lives.
struct InFlight<'a>(&'a Counts);

impl<'a> InFlight<'a> {
    fn new(counts: &'a Counts) -> Self {
        counts.all_compute.fetch_add(1, Ordering::SeqCst);
        let now = counts.compute.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most_compute.fetch_max(now, Ordering::SeqCst);
        Self(counts)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.compute.fetch_sub(1, Ordering::SeqCst);
    }
}

/// None when the sender has gone.
async fn forward(stream: &mut TcpStream, request: Request, fault: Fault, shared: &Shared) -> Option<Answer> {
    let (service, rest) = request.path.trim_start_matches('/').split_once('/').unwrap_or((&request.path, ""));
    let Some(upstream) = shared.upstream.get(service) else {
        return Some(Answer::new(404, "text/plain", "no such service"));
    };
    let login = service == "identity" && request.method == "POST" && rest.ends_with("auth/tokens");
    if login {
        shared.counts.logins.fetch_add(1, Ordering::SeqCst);
    }
    if service == "compute" && request.method == "POST" && rest.ends_with("/servers") {
        shared.counts.launches.fetch_add(1, Ordering::SeqCst);
    }
    let token = request.headers.iter().find(|(name, _)| name == "x-auth-token").map(|(_, token)| token.clone());
    if service != "identity" && token.is_some_and(|token| token == *shared.revoked.lock().unwrap()) {
        shared.counts.refused_tokens.fetch_add(1, Ordering::SeqCst);
        let body = r#"{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}"#;
        return Some(Answer::new(401, "application/json", body));
    }
    let counted = (service == "compute").then(|| InFlight::new(&shared.counts));
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).unwrap();
    let mut forwarded = shared.http.request(method, format!("{upstream}/{rest}")).body(request.body);
    for (name, value) in &request.headers {
        if !["host", "connection", "content-length", "accept-encoding"].contains(&name.as_str()) {
            forwarded = forwarded.header(name, value);
        }
    }
    let exchange = async {
        let answer = forwarded.send().await?;
        let status = answer.status().as_u16();
        let headers: Vec<_> = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .filter(|(name, _)| !["connection", "transfer-encoding", "content-length"].contains(&name.as_str()))
            .collect();
        Ok::<_, reqwest::Error>(Answer { status, headers, body: answer.bytes().await?.to_vec() })
    };
    let mut byte = [0];
    let mut answer = tokio::select! {
        answer = exchange => answer.unwrap_or_else(|error| Answer::new(502, "text/plain", error.to_string())),
        _ = stream.read(&mut byte) => {
            shared.counts.given_up.fetch_add(1, Ordering::SeqCst);
            return None;
        }
    };
    // Nova is done with it: the sender can't know that before the count does.
    drop(counted);
    if login {
        if let Some((_, token)) = answer.headers.iter().find(|(name, _)| name == "x-subject-token") {
            token.clone_into(&mut shared.token.lock().unwrap());
        }
        let mut body = String::from_utf8_lossy(&answer.body).into_owned();
        for (name, address) in &shared.upstream {
            body = body.replace(address, &format!("{}/{name}", shared.base));
        }
        answer.body = body.into_bytes();
    }
    if fault == Fault::OddStatus && service == "compute" {
        let body = String::from_utf8_lossy(&answer.body).replace("\"status\": \"ACTIVE\"", "\"status\": \"FROZZEN\"");
        answer.body = body.into_bytes();
    }
    Some(answer)
}
