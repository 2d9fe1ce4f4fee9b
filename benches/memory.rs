//! The portal's own memory, without its database: the release binary as it is run, at rest and after page loads.
//!
//! Promised: below [`PROMISED_MB`] at rest after the start and after the page loads.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/folder.rs"]
mod folder;
#[path = "support/resident.rs"]
mod resident;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use self::browser::Browser;
use self::folder::Folder;
use self::resident::resident;

const PROMISED_MB: f64 = 40.0;
const LOADS: usize = 200;
const SIGN_INS: usize = 20;
const START: Duration = Duration::from_secs(60);

/// Stops the portal, and with it its database, whatever happens.
struct Portal(Child);

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    if !folder::measures() {
        return Ok(());
    }
    let folder = Folder::new("memory")?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let portal = start(folder.path(), &address)?;
    let base = format!("http://{address}");
    let pid = portal.0.id();
    let mut browser = ready(&base).await?;
    // The loops beside the server have had their first turns.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (rest, _) = resident(pid)?;
    println!("at rest after the start: {rest:.1} MB");

    browser.sign_up("bench-student").await?;
    for path in ["/dashboard", "/instances", "/instances/new", "/profile"].iter().cycle().take(LOADS) {
        browser.get(path).await?;
    }
    let (loaded, most) = resident(pid)?;
    println!(
        "after {LOADS} page loads: {loaded:.1} MB (at most {most:.1} MB: hashing a password takes 20 MB for a moment)"
    );

    for n in 0..SIGN_INS {
        Browser::open(&base)?.sign_up(&format!("bench-student-{n}")).await?;
    }
    let (signed_in, _) = resident(pid)?;
    println!("after {SIGN_INS} more people have signed up and in: {signed_in:.1} MB");
    drop(portal);
    for (when, megabytes) in [("at rest", rest), ("after the page loads", loaded)] {
        ensure!(
            megabytes < PROMISED_MB,
            "the portal takes {megabytes:.1} MB {when}; promised are less than {PROMISED_MB} MB"
        );
    }
    println!("promise kept: less than {PROMISED_MB} MB");
    Ok(())
}

fn start(folder: &Path, address: &str) -> anyhow::Result<Portal> {
    let child = Command::new(env!("CARGO_BIN_EXE_fast-cloud"))
        .current_dir(folder)
        .env("FASTCLOUD_DATA__DIR", folder)
        .env("FASTCLOUD_SERVER__LISTEN", address)
        .env("FASTCLOUD_LOG__FILTER", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("starting the portal")?;
    Ok(Portal(child))
}

async fn ready(base: &str) -> anyhow::Result<Browser> {
    let started = Instant::now();
    let mut browser = Browser::open(base)?;
    while let Err(error) = browser.get("/health/ready").await {
        ensure!(started.elapsed() < START, "the portal does not answer: {error:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(browser)
}
