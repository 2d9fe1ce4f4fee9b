//! The portal's own memory, without its database: the release binary as it is run, at rest and after page loads.
//!
//! Promised: below [`PROMISED_MB`] at rest after the start and after the page loads.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/folder.rs"]
mod folder;
#[path = "support/portal.rs"]
mod portal;
#[path = "support/resident.rs"]
mod resident;

use std::time::Duration;

use anyhow::ensure;

use self::folder::Folder;
use self::portal::Portal;
use self::resident::resident;

const PROMISED_MB: f64 = 40.0;
const LOADS: usize = 200;
const SIGN_INS: usize = 20;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    if !folder::measures() {
        return Ok(());
    }
    let folder = Folder::new("memory")?;
    let portal = Portal::start(folder.path(), &[]).await?;
    let pid = portal.pid();
    let mut browser = portal.browser()?;
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
        portal.browser()?.sign_up(&format!("bench-student-{n}")).await?;
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
