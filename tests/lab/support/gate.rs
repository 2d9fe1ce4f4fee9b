//! A gate in front of Swift: lets bytes through, and breaks what it is told to break. Keystone's answer to a login is
//! changed so that Swift's address is the gate's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::stack::redirected;
use super::{Home, Lab};

/// What is wrong with Swift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwiftFault {
    None,
    /// Connections are closed at once, those that there are as well.
    Refuse,
    /// Connections are taken, and nothing ever comes back.
    Hang,
    /// What is put in is answered so, without a look at it.
    Status(u16),
    /// The connection breaks after so many bytes of what is put in.
    Cut(usize),
}

pub struct Gate {
    fault: watch::Sender<SwiftFault>,
    keystone: String,
    /// Uploads that were answered with a fault.
    pub refused: Arc<AtomicUsize>,
}

impl Gate {
    pub async fn start(lab: &Lab) -> Self {
        let origin = |kind: &str| lab.students.endpoint(kind).splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let (swift, keystone) = (origin("object-store"), origin("identity"));
        let fault = watch::Sender::new(SwiftFault::None);
        let refused = Arc::new(AtomicUsize::new(0));
        let gate = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", gate.local_addr().unwrap());
        let (upstream, state, count) = (swift.replace("http://", ""), fault.clone(), refused.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = gate.accept().await {
                tokio::spawn(through(stream, upstream.clone(), state.subscribe(), count.clone()));
            }
        });
        let login = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keystone_here = format!("http://{}", login.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = login.accept().await {
                tokio::spawn(log_in(stream, keystone.clone(), swift.clone(), address.clone()));
            }
        });
        Self { fault, keystone: keystone_here, refused }
    }

    /// A `clouds.yaml` that leads here.
    pub fn clouds_yaml(&self, lab: &Lab, home: &Home) -> PathBuf {
        let path = home.path().join("clouds.yaml");
        let text = redirected(&lab.clouds_yaml(), super::STUDENTS, &format!("{}/v3", self.keystone));
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn break_it(&self, fault: SwiftFault) {
        self.fault.send_replace(fault);
    }
}

/// The head of a request, and what came after it.
async fn head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(bytes)
}

async fn through(
    mut client: TcpStream,
    upstream: String,
    mut fault: watch::Receiver<SwiftFault>,
    refused: Arc<AtomicUsize>,
) {
    if *fault.borrow() == SwiftFault::Refuse {
        return;
    }
    let Ok(mut server) = TcpStream::connect(upstream).await else { return };
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    let mut put_bytes = 0;
    let mut putting = false;
    loop {
        let now = *fault.borrow_and_update();
        match now {
            SwiftFault::Refuse => return,
            SwiftFault::Hang => {
                // Nothing is read, nothing is answered, until it is over.
                if fault.changed().await.is_err() {
                    return;
                }
                continue;
            }
            SwiftFault::None | SwiftFault::Status(_) | SwiftFault::Cut(_) => {}
        }
        tokio::select! {
            _ = fault.changed() => {}
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                let beginning = up.starts_with(b"PUT ") || up.starts_with(b"GET ") || up.starts_with(b"HEAD ");
                if beginning {
                    // Containers are not what is broken.
                    let path = String::from_utf8_lossy(&up[..length.min(2000)]).split(' ').nth(1).unwrap_or_default().to_owned();
                    putting = up.starts_with(b"PUT ") && path.split('?').next().unwrap_or_default().split('/').count() > 4;
                    put_bytes = 0;
                }
                if putting {
                    put_bytes += length;
                    if let SwiftFault::Status(status) = now {
                        refused.fetch_add(1, Ordering::SeqCst);
                        let answer = format!("HTTP/1.1 {status} X\r\nx-trans-id: gate\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                        let _ = client.write_all(answer.as_bytes()).await;
                        // What is still on its way is read, so that the answer arrives.
                        while matches!(client.read(&mut up).await, Ok(1..)) {}
                        return;
                    }
                    if matches!(now, SwiftFault::Cut(after) if put_bytes > after) {
                        refused.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
                if server.write_all(&up[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn log_in(mut stream: TcpStream, keystone: String, swift: String, gate: String) {
    let Some(mut bytes) = head(&mut stream).await else { return };
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let text = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
    let length: usize =
        text.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.trim().parse().unwrap());
    while bytes.len() < at + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let body = bytes.split_off(at);
    let request = reqwest::Client::new().post(format!("{keystone}/v3/auth/tokens")).body(body);
    let Ok(answer) = request.header("content-type", "application/json").send().await else { return };
    let status = answer.status().as_u16();
    let token = answer.headers().get("x-subject-token").map(|token| token.to_str().unwrap().to_owned());
    let body = answer.text().await.unwrap_or_default().replace(&swift, &gate);
    let token = token.map(|token| format!("x-subject-token: {token}\r\n")).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {status} X\r\n{token}content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}
