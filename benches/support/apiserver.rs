//! A look-alike of the Kubernetes API server with many applications, in a process of its own so that its memory does not
//! count. Its objects are those that a real cluster made of ours, with all that the server adds to them.

use std::io::{BufRead, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use uuid::Uuid;

const DEPLOYMENT: &str = include_str!("cluster/deployment.json");
const POD: &str = include_str!("cluster/pod.json");
/// The argument that makes the benchmark's program the server.
const SERVE: &str = "--serve";

/// The server, which ends with this.
pub struct Server {
    child: Child,
    orders: ChildStdin,
    pub url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub fn start(portal: Uuid, applications: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([SERVE, &portal.to_string(), &applications.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().context("no stdin")?;
        let mut url = String::new();
        std::io::BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut url)?;
        Ok(Self { child, orders, url: url.trim().to_owned() })
    }

    /// Changes an application's Deployment: it wants so many replicas.
    pub fn change(&mut self, application: usize, replicas: u32) -> anyhow::Result<()> {
        writeln!(self.orders, "{application} {replicas}")?;
        Ok(self.orders.flush()?)
    }
}

/// The id of the n-th account and application.
pub fn id(n: usize) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n as u128)
}

fn object(template: &str, portal: Uuid, n: usize, replicas: u32) -> String {
    let id = id(n);
    template
        .trim_end()
        .replace("{portal}", &portal.to_string())
        .replace("{application}", &id.to_string())
        .replace("{application_simple}", &id.simple().to_string())
        .replace("{account}", &id.to_string())
        .replace("{account_simple}", &id.simple().to_string())
        .replace("{uid}", &id.to_string())
        .replace("{version}", "1000")
        .replace("{replicas}", &replicas.to_string())
}

struct Cluster {
    portal: Uuid,
    applications: usize,
    /// Lines of the watch of Deployments.
    events: broadcast::Sender<String>,
}

/// Serves if this process was started for it; false: it was not.
pub async fn served() -> anyhow::Result<bool> {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(at) = arguments.iter().position(|argument| argument == SERVE) else { return Ok(false) };
    let portal = arguments.get(at + 1).context("no portal")?.parse()?;
    let applications = arguments.get(at + 2).context("no number")?.parse()?;
    let cluster = Arc::new(Cluster { portal, applications, events: broadcast::Sender::new(100) });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let ordered = cluster.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Some((n, replicas)) = line.split_once(' ') else { continue };
            let (Ok(n), Ok(replicas)) = (n.parse(), replicas.parse()) else { continue };
            let object = object(DEPLOYMENT, portal, n, replicas);
            let _ = ordered.events.send(format!("{{\"type\":\"MODIFIED\",\"object\":{object}}}\n"));
        }
    });
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, cluster.clone()));
    }
}

async fn serve(mut stream: TcpStream, cluster: Arc<Cluster>) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head: Vec<u8> = buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        if target.contains("watch=true") {
            return watch(stream, &cluster, target.contains("/deployments")).await;
        }
        let body = list(&cluster, target);
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
    }
}

/// A page of objects.
fn list(cluster: &Cluster, target: &str) -> String {
    let number = |name: &str| {
        let value = target.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<usize>().ok())
    };
    let (template, group) = if target.contains("/deployments") { (DEPLOYMENT, "apps/v1") } else { (POD, "v1") };
    let from = number("continue").unwrap_or(0);
    let to = number("limit").map_or(cluster.applications, |limit| (from + limit).min(cluster.applications));
    let items: Vec<String> = (from..to).map(|n| object(template, cluster.portal, n, 1)).collect();
    let more = if to < cluster.applications { format!(",\"continue\":\"{to}\"") } else { String::new() };
    let items = items.join(",");
    format!(
        "{{\"kind\":\"List\",\"apiVersion\":\"{group}\",\"metadata\":{{\"resourceVersion\":\"1000\"{more}}},\"items\":[{items}]}}"
    )
}

async fn watch(mut stream: TcpStream, cluster: &Cluster, tells: bool) -> std::io::Result<()> {
    let mut events = cluster.events.subscribe();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    while let Ok(event) = events.recv().await {
        if tells {
            stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
        }
    }
    Ok(())
}
