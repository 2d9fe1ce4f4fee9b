//! `chromedriver`, started on a free port and stopped by its process id.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::{Shared, signal};

static SHARED: Shared<Driver> = Shared::new();

pub struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    pub fn shared() -> Arc<Self> {
        SHARED.get(Self::start)
    }

    fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            // The browser's own language, in which date fields are typed, in a locale that every Debian has: files with
            // Korean names are uploaded.
            .env("LC_ALL", "C.UTF-8")
            .env("LANGUAGE", "en")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (package chromium-driver)");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (found, port) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // "ChromeDriver was started successfully on port 41234."
                if let Some((_, port)) = line.split_once("successfully on port ") {
                    let _ = found.send(port.trim_end_matches('.').to_owned());
                }
            }
        });
        match port.recv_timeout(Duration::from_secs(20)).ok().and_then(|port| port.parse().ok()) {
            Some(port) => Self { child, port },
            None => {
                let _ = child.kill();
                panic!("chromedriver did not say its port");
            }
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            signal(self.child.id(), "TERM");
        }
        let _ = self.child.wait();
    }
}
