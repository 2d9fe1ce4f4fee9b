//! A load generator that costs little itself: 16 connections kept alive, on one thread.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 16;

/// What is asked for: the list.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    request: String,
}

impl Target {
    /// `headers` are lines, each with its end.
    pub fn new(address: SocketAddr, headers: &str) -> Self {
        Self { address, request: format!("GET /instances HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n") }
    }
}

/// Requests per second that are answered with 200, over `time`.
pub async fn load(target: Target, time: Duration) -> anyhow::Result<f64> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let started = Instant::now();
        let until = started + time;
        let answered = runtime.block_on(async {
            let clients = (0..CONNECTIONS).map(|_| tokio::spawn(client(target.clone(), until)));
            let mut answered = 0;
            for client in futures::future::join_all(clients).await {
                answered += client??;
            }
            Ok::<_, anyhow::Error>(answered)
        })?;
        Ok(f64::from(answered) / started.elapsed().as_secs_f64())
    })
    .await?
}

async fn client(target: Target, until: Instant) -> anyhow::Result<u32> {
    let mut stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(256 * 1024);
    let mut answered = 0;
    while Instant::now() < until {
        stream.write_all(target.request.as_bytes()).await?;
        buffer.clear();
        answer(&mut stream, &mut buffer).await?;
        answered += 1;
    }
    Ok(answered)
}

/// Reads one answer to its end; nothing stands behind it, for the next is asked for after it.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    let body = loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended");
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = std::str::from_utf8(&buffer[..body])?.to_ascii_lowercase();
    ensure!(head.starts_with("http/1.1 200"), "answered with {}", head.lines().next().unwrap_or_default());
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: Option<usize> = length.map(|text| text.trim().parse()).transpose().context("content-length")?;
    loop {
        let ended = match length {
            Some(length) => buffer.len() >= body + length,
            None => buffer.ends_with(b"\r\n0\r\n\r\n"),
        };
        if ended {
            return Ok(());
        }
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended in an answer");
    }
}
