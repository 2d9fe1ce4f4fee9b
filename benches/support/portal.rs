//! The portal as it is run: the release binary, in a process of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::browser::Browser;

const START: Duration = Duration::from_secs(60);

/// Stops the portal, and with it its database, whatever happens.
pub struct Portal {
    child: Child,
    pub base: String,
}

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Portal {
    /// With its data in this folder, the defaults, and these variables; it answers.
    pub async fn start(folder: &Path, variables: &[(&str, String)]) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_fast-cloud"))
            .current_dir(folder)
            .env("FASTCLOUD_DATA__DIR", folder)
            .env("FASTCLOUD_SERVER__LISTEN", &address)
            .env("FASTCLOUD_LOG__FILTER", "warn")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting the portal")?;
        let portal = Self { child, base: format!("http://{address}") };
        let started = Instant::now();
        let mut browser = portal.browser()?;
        while let Err(error) = browser.get("/health/ready").await {
            ensure!(started.elapsed() < START, "the portal does not answer: {error:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(portal)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn browser(&self) -> anyhow::Result<Browser> {
        Browser::open(&self.base)
    }
}
