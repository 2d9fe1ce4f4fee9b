//! Files through the portal against `curl` straight to Swift, in turns in one run: 1 GiB up and down, 1,000 files of
//! 10 KiB under new names, eight at once on either side; and a page of a folder with 100,000 files against one with ten.
//!
//! Needs the lab's Swift (`lab/up openstack`; `OS_CLOUD`, `OS_CLIENT_CONFIG_FILE` as for the portal), `curl` and
//! `openstack`; where no cloud is named it says so and ends. Each part ends after [`ROUNDS`], or with the round in which
//! [`PART`] is over. `cargo bench --bench files -- small` runs the parts whose names contain the word.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/folder.rs"]
mod folder;
#[path = "support/resident.rs"]
mod resident;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chrono::TimeDelta;
use fast_cloud::accounts::model::Account;
use fast_cloud::app::{self, App, Clouds};
use fast_cloud::buckets::model::Bucket;
use fast_cloud::buckets::model::tokens::{Token, secret};
use fast_cloud::buckets::work;
use fast_cloud::cloud::objects::{ListQuery, ObjectStore};
use fast_cloud::config::{Config, StorageKind};
use fast_cloud::db::{self, Db};
use fast_cloud::embedded::Embedded;
use fast_cloud::settings::Shared;
use fast_cloud::start;
use tokio::process::Command;

use self::browser::Browser;
use self::folder::Folder;

/// Of curl's own throughput and rate.
const PROMISED: f64 = 0.8;
const ROUNDS: usize = 5;
const PART: Duration = Duration::from_secs(120);
const GIBIBYTE: u64 = 1 << 30;
const SMALL_FILES: usize = 1000;
const SMALL: usize = 10 * 1024;
const AT_ONCE: &str = "8";
/// Names in the folders that are looked at.
const MANY: &str = "100000";
const FEW: &str = "10";
/// How often a page is looked at.
const LOOKS: usize = 21;
const LOGIN: &str = "bench-student";
const UP: &str = "1 GiB up";
const DOWN: &str = "1 GiB down";
const MANY_SMALL: &str = "1,000 small files of 10 KiB up";
const PAGE: &str = "a page";

/// One side: what comes before a name, and the header that opens it.
struct Side {
    name: &'static str,
    url: String,
    token: String,
}

/// Seconds that it takes. The portal's own runtime goes on meanwhile.
async fn curl(side: &Side, arguments: &[&str]) -> anyhow::Result<f64> {
    let began = Instant::now();
    let header = format!("X-Auth-Token: {}", side.token);
    let output = Command::new("curl").args(["-sSf", "-H", &header, "-H", "Expect:"]).args(arguments).output().await?;
    ensure!(output.status.success(), "{}: {}", side.name, String::from_utf8_lossy(&output.stderr));
    Ok(began.elapsed().as_secs_f64())
}

/// A list of transfers for `curl --config`.
fn many(side: &Side, round: usize, dir: &Path) -> anyhow::Result<PathBuf> {
    let mut lines = String::new();
    for number in 0..SMALL_FILES {
        let name = format!("small-{}-{round}-{number}", side.name);
        lines.push_str(&format!(
            "upload-file = {}\nurl = {}/{name}\noutput = /dev/null\n",
            dir.join("small").display(),
            side.url
        ));
    }
    let path = dir.join(format!("list-{}", side.name));
    std::fs::write(&path, lines)?;
    Ok(path)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs both in turns; the median of how much faster the portal is than curl alone (1: the same).
async fn compare(
    what: &str,
    portal: &Side,
    direct: &Side,
    run: impl AsyncFn(&Side, usize) -> anyhow::Result<f64>,
) -> anyhow::Result<f64> {
    for side in [portal, direct] {
        run(side, 0).await?;
    }
    let (mut ratios, began) = (Vec::new(), Instant::now());
    for round in 1..=ROUNDS {
        let (ours, theirs) = (run(portal, round).await?, run(direct, round).await?);
        println!(
            "{what}, round {round}: portal {ours:.2} s, curl straight to Swift {theirs:.2} s, ratio {:.2}",
            theirs / ours
        );
        ratios.push(theirs / ours);
        if began.elapsed() > PART {
            break;
        }
    }
    Ok(median(ratios))
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    if !folder::measures() {
        return Ok(());
    }
    ensure!([UP, DOWN, MANY_SMALL, PAGE].into_iter().any(is_wanted), "no part has such a word");
    if std::env::var_os("OS_CLOUD").is_none() && std::env::var_os("OS_AUTH_URL").is_none() {
        println!("skipped: no Swift is named (OS_CLOUD, OS_CLIENT_CONFIG_FILE)");
        return Ok(());
    }
    let folder = Folder::new("files")?;
    let mut config = Config::defaults()?;
    start::tracing(&config.log)?;
    config.data.dir = folder.path().to_owned();
    config.cloud.storage = StorageKind::Swift;
    config.quota.storage_mb = 20_000;
    let embedded = Embedded::start(&config.data.dir)?;
    db::migrate(&embedded.url)?;
    let shared = Shared::load(&mut db::connect(&embedded.url)?)?;
    let db = Db::new(&embedded.url, config.database.pool_size, std::time::Duration::from_secs(3));
    let containers = start::containers(&config).await?;
    let start::Infrastructure { compute, objects } = start::infrastructure(&config)?;
    let clouds = Clouds { compute, cluster: containers.cluster, images: containers.images, objects: objects.clone() };
    let app = App::new(config, db, clouds, shared.clone());
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    let server = app::serve(app.clone(), listener)?;
    let handle = server.handle();
    actix_web::rt::spawn(server);

    let bucket = format!("t-bench-files-{}", std::process::id());
    let outcome = measure(&app, &shared, &embedded, &folder, &address, &bucket).await;
    empty(objects.as_ref(), &bucket).await?;
    handle.stop(false).await;
    drop(app);
    embedded.stop();
    let kept = outcome?;
    for (what, ratio) in &kept {
        println!("{what}: {ratio:.2} of curl's, promised {PROMISED}");
    }
    ensure!(kept.iter().all(|(_, ratio)| *ratio >= PROMISED), "a promise was not kept");
    Ok(())
}

/// Nothing of it stays in the cloud.
async fn empty(objects: &dyn ObjectStore, bucket: &str) -> anyhow::Result<()> {
    loop {
        let names = objects.list(bucket, &ListQuery { limit: 1000, ..ListQuery::default() }).await?;
        let names: Vec<String> = names.iter().map(|entry| entry.name().to_owned()).collect();
        if names.is_empty() {
            return Ok(objects.remove(bucket).await?);
        }
        objects.delete_many(bucket, &names).await?;
    }
}

async fn measure(
    app: &Arc<App>,
    shared: &Shared,
    embedded: &Embedded,
    folder: &Folder,
    address: &str,
    name: &str,
) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let mut browser = Browser::open(address)?;
    browser.sign_up(LOGIN).await?;
    let mut conn = db::connect(&embedded.url)?;
    let account = Account::by_login_id(&mut conn, LOGIN)?.context("the account was not made")?.id;
    let bucket = Bucket::create(&mut conn, account, name, "bench", app.config.quota)
        .map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    ensure!(work::make(app, &bucket).await? == work::Made::Yes, "{name} is there already");
    let token = Token::create(&mut conn, &bucket, true, TimeDelta::days(1))?.context("no token")?;
    let direct_url = app.objects.address(&bucket.name).await?;
    let portal =
        Side { name: "portal", url: format!("{address}/swift/v1/{}", bucket.name), token: secret(shared, token) };
    let direct = Side { name: "direct", url: direct_url, token: swift_token().await? };
    let large = folder.path().join("large");
    std::fs::File::create(&large)?.set_len(GIBIBYTE)?;
    std::fs::write(folder.path().join("small"), vec![7; SMALL])?;

    let large_path = large.display().to_string();
    let mut kept = Vec::new();
    if is_wanted(UP) {
        let up = compare(UP, &portal, &direct, async |side, _| put(side, &large_path).await).await?;
        kept.push((UP, up));
    }
    if is_wanted(DOWN) {
        put(&direct, &large_path).await?;
        let down = compare(DOWN, &portal, &direct, async |side, _| {
            curl(side, &["-o", "/dev/null", &format!("{}/large-direct", side.url)]).await
        });
        kept.push((DOWN, down.await?));
    }
    if is_wanted(MANY_SMALL) {
        let small = compare(MANY_SMALL, &portal, &direct, async |side, round| {
            let list = many(side, round, folder.path())?.display().to_string();
            curl(side, &["--parallel", "--parallel-max", AT_ONCE, "--config", &list]).await
        });
        kept.push((MANY_SMALL, small.await?));
    }
    let (now, peak) = resident::resident(std::process::id())?;
    println!("memory of the process after that: {now:.0} MB, at most {peak:.0} MB");
    if is_wanted(PAGE) {
        pages(&direct.url, name, &mut browser).await?;
    }
    Ok(kept)
}

/// The large file, under the side's own name.
async fn put(side: &Side, large: &str) -> anyhow::Result<f64> {
    curl(side, &["-T", large, &format!("{}/large-{}", side.url, side.name), "-o", "/dev/null"]).await
}

/// Whether a part is asked for: every one, unless words are given.
fn is_wanted(part: &str) -> bool {
    let mut words = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    words.peek().is_none() || words.any(|word| part.contains(&word))
}

/// The login's own token, for curl.
async fn swift_token() -> anyhow::Result<String> {
    let output = Command::new("openstack").args(["token", "issue", "-f", "value", "-c", "id"]).output().await?;
    ensure!(output.status.success(), "openstack token issue: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A page of a folder with many files against one with ten.
async fn pages(url: &str, bucket: &str, browser: &mut Browser) -> anyhow::Result<()> {
    let account = url.rsplit('/').nth(1).context("an address without an account")?;
    for (folder, count) in [("few", FEW), ("many", MANY)] {
        list(&[account, bucket, &format!("{folder}/"), count]).await?;
    }
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..LOOKS {
        for (folder, took) in ["few", "many"].into_iter().zip(&mut took) {
            let began = Instant::now();
            browser.get(&format!("/buckets/{bucket}?prefix={folder}/")).await?;
            took.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let [few, many] = took.map(median);
    println!("page of a folder of {FEW} files {few:.0} ms, of {MANY} {many:.0} ms (medians of {LOOKS})");
    list(&[account, bucket, "many/", MANY, "--gone"]).await?;
    list(&[account, bucket, "few/", FEW, "--gone"]).await
}

/// Names in the listing alone.
async fn list(arguments: &[&str]) -> anyhow::Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/openstack/list-objects");
    let output = Command::new(script).args(arguments).output().await?;
    ensure!(output.status.success(), "list-objects: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
