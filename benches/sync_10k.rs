//! One comparison of 10,000 mini PCs with the cloud, by the real adapter over real HTTP.
//!
//! The cloud is a look-alike of Keystone and Nova in a process of its own (this program again), so that its memory is
//! not counted here. One of the 10,000 has no machine yet: its order is under way. So Nova lists 9,999 machines in ten
//! pages; with 10,000 the tenth would be exactly full, and Nova then leads on to an eleventh, empty one.
//!
//! Promised: ten list calls for each run; the first run, with 100 machines that differ from their rows, writes exactly
//! those 100 rows; the second writes none.

#[path = "support/folder.rs"]
mod folder;
#[path = "support/nova.rs"]
mod nova;
#[path = "support/resident.rs"]
mod resident;
#[path = "support/rows.rs"]
mod rows;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use diesel::prelude::*;
use fast_cloud::accounts::model::{Account, NewAccount, Role};
use fast_cloud::app::{App, Clouds};
use fast_cloud::cloud::openstack::{Credentials, OpenStack, Settings};
use fast_cloud::config::Config;
use fast_cloud::db::{self, Db};
use fast_cloud::embedded::Embedded;
use fast_cloud::ids::{AccountId, NovaId};
use fast_cloud::instances::sync::{Scope, Summary, run_once};
use fast_cloud::schema::{instance_events, instances};
use fast_cloud::settings::Shared;
use fast_cloud::start;

use self::folder::Folder;
use self::nova::{DIFFERENT, MACHINES};
use self::resident::resident;
use self::rows::Row;

const LIST_CALLS: usize = 10;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    if let Some([portal, account]) = nova::asked_for() {
        return nova::serve(portal, account).await;
    }
    if !folder::measures() {
        return Ok(());
    }
    let folder = Folder::new("sync-10k")?;
    let embedded = Embedded::start(folder.path())?;
    let outcome = compare(&embedded, &folder).await;
    embedded.stop();
    outcome?;
    println!("promise kept: {LIST_CALLS} list calls a run; {DIFFERENT} rows written, then none");
    Ok(())
}

async fn compare(embedded: &Embedded, folder: &Folder) -> anyhow::Result<()> {
    let mut config = Config::defaults()?;
    config.data.dir = folder.path().to_owned();
    db::migrate(&embedded.url)?;
    let mut conn = db::connect(&embedded.url)?;
    let shared = Shared::load(&mut conn)?;
    let account = account(&mut conn)?;
    rows::insert(&mut conn, account, &mini_pcs())?;

    let look_alike = LookAlike::start(&shared, account)?;
    let credentials = Credentials::discover(&|name| look_alike.variable(name))?;
    let compute = Arc::new(OpenStack::new(credentials, Settings::default())?);
    let db = Db::new(&embedded.url, config.database.pool_size, Duration::from_secs(config.database.timeout_seconds));
    let containers = start::containers(&config).await?;
    let objects = start::infrastructure(&config)?.objects;
    let clouds = Clouds { compute, cluster: containers.cluster, images: containers.images, objects };
    let app = App::new(config, db, clouds, shared);

    let (before, _) = resident(std::process::id())?;
    println!("{} rows, {MACHINES} machines, {DIFFERENT} of them different; {before:.0} MB before", MACHINES + 1);
    let mut calls = look_alike.list_calls().await?;
    for (run, expected) in [("first", DIFFERENT), ("second", 0)] {
        let written_before = writes(&mut conn)?;
        let started = Instant::now();
        let summary = run_once(&app, Scope::All).await?;
        let took = started.elapsed();
        let asked = look_alike.list_calls().await? - calls;
        calls += asked;
        let written = writes(&mut conn)? - written_before;
        let (now, most) = resident(std::process::id())?;
        println!(
            "{run} run: {:.2} s, {asked} list calls, {written} rows written; {now:.0} MB after, at most {most:.0} MB",
            took.as_secs_f64()
        );
        ensure!(asked == LIST_CALLS, "the {run} run made {asked} list calls; promised are {LIST_CALLS}");
        ensure!(
            written == expected,
            "the {run} run wrote {written} rows; promised are {expected}, one for each machine that differs"
        );
        ensure!(
            summary == Summary { seen: MACHINES, written: expected, strays: 0 },
            "the {run} run says of itself what is not so: {summary:?}"
        );
    }
    // Each of the hundred once, with a line in its history; all others as they were inserted.
    let written_once: i64 = instances::table
        .filter(instances::version.eq(1))
        .filter(instances::updated_at.ne(instances::created_at))
        .count()
        .get_result(&mut conn)?;
    let untouched: i64 = instances::table
        .filter(instances::version.eq(0))
        .filter(instances::updated_at.eq(instances::created_at))
        .count()
        .get_result(&mut conn)?;
    let events: i64 = instance_events::table.count().get_result(&mut conn)?;
    let expected = i64::try_from(DIFFERENT)?;
    ensure!(
        (written_once, untouched, events) == (expected, i64::try_from(MACHINES + 1)? - expected, expected),
        "{written_once} rows were written once, {untouched} not at all, with {events} events"
    );
    Ok(())
}

/// How often rows have been written since they were inserted: every write raises the row's version.
fn writes(conn: &mut MysqlConnection) -> anyhow::Result<usize> {
    let versions: Vec<u32> = instances::table.filter(instances::version.gt(0)).select(instances::version).load(conn)?;
    Ok(usize::try_from(versions.iter().sum::<u32>())?)
}

fn account(conn: &mut MysqlConnection) -> anyhow::Result<AccountId> {
    let new = NewAccount {
        login_id: "bench-class".to_owned(),
        name: "김벤치".to_owned(),
        birth_date: chrono::NaiveDate::from_ymd_opt(2008, 3, 2).context("2008-03-02 is a date")?,
        password_hash: String::new(),
        role: Role::Student,
    };
    Ok(Account::create(conn, &new)?)
}

fn mini_pcs() -> Vec<Row> {
    let created_at = db::now() - chrono::TimeDelta::hours(2);
    let ordered = (0..MACHINES).map(|n| Row {
        id: nova::instance(n),
        nova_id: Some(NovaId(nova::server(n))),
        status: "active",
        address: Some(nova::address(n)),
        created_at,
    });
    let under_way = Row { id: nova::instance(MACHINES), nova_id: None, status: "building", address: None, created_at };
    ordered.chain([under_way]).collect()
}

/// The process that plays the cloud.
struct LookAlike {
    child: Child,
    address: String,
}

impl Drop for LookAlike {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl LookAlike {
    fn start(shared: &Shared, account: AccountId) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([nova::ARGUMENT, &shared.portal.to_string(), &account.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let said = child.stdout.take().context("the look-alike has no output")?;
        BufReader::new(said).read_line(&mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }

    fn variable(&self, name: &str) -> Option<String> {
        Some(match name {
            "OS_AUTH_URL" => format!("{}/identity", self.address),
            "OS_USERNAME" => "portal".to_owned(),
            "OS_PASSWORD" => "secret".to_owned(),
            "OS_PROJECT_NAME" => "class".to_owned(),
            _ => return None,
        })
    }

    async fn list_calls(&self) -> anyhow::Result<usize> {
        let text = reqwest::get(format!("{}/list-calls", self.address)).await?.text().await?;
        Ok(text.parse()?)
    }
}
