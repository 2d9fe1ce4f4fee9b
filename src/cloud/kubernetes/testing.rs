//! A look-alike of the API server for tests: answers what a test says, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use kube::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Kubernetes;
use super::login::Login;
use crate::config;

/// What is answered.
pub(super) enum Reply {
    Json(u16, Value),
    /// Nothing, while the connection stays open.
    Hang,
}

/// "PATCH /api/v1/namespaces/x?…"
pub(super) type Asked = Arc<Mutex<Vec<String>>>;

type Answering = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

/// A client of a look-alike, with a time limit of `seconds`, and what it will have asked.
pub(super) async fn cluster(
    seconds: u64,
    answering: impl Fn(&str) -> Reply + Send + Sync + 'static,
) -> (Kubernetes, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, answering) = (Asked::default(), Arc::new(answering) as Answering);
    let seen = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, seen.clone(), answering.clone()));
        }
    });
    let login = Login { config: Config::new(url.parse().unwrap()), source: "a test".to_owned() };
    let settings = config::Kubernetes { request_seconds: seconds, ..config::Config::defaults().unwrap().kubernetes };
    (Kubernetes::new(login, &settings).unwrap(), asked)
}

/// A refusal as the API server words it.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Reply {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    Reply::Json(code, body)
}

/// An object's metadata.
pub(super) fn object(name: &str, labels: Value) -> Reply {
    let metadata = json!({"name": name, "uid": "6f1f", "labels": labels});
    Reply::Json(200, json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}))
}

async fn serve(mut stream: TcpStream, asked: Asked, answering: Answering) {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break String::from_utf8_lossy(&buffer[..end]).into_owned();
            }
            let mut chunk = [0; 4_096];
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(read) => buffer.extend(&chunk[..read]),
            }
        };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse::<usize>().unwrap());
        let end = head.len() + 4 + length;
        while buffer.len() < end {
            let mut chunk = [0; 4_096];
            let read = stream.read(&mut chunk).await.unwrap();
            buffer.extend(&chunk[..read]);
        }
        buffer.drain(..end);
        let asked_for = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        let reply = answering(&asked_for);
        asked.lock().unwrap().push(asked_for);
        let Reply::Json(code, body) = reply else { return std::future::pending().await };
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}
