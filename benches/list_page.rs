//! The list of mini PCs as the real server gives it, against a bare handler that draws the same page from one query.
//!
//! Both answer from the same process, the same database and the same pool, in turns, so that whatever else the machine
//! does hits both. Promised: with session, form guard and all middlewares at least [`PROMISED`] of the bare handler's
//! requests per second.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/folder.rs"]
mod folder;
#[path = "support/load.rs"]
mod load;
#[path = "support/rows.rs"]
mod rows;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App as Actix, HttpResponse, HttpServer, web};
use anyhow::{Context as _, ensure};
use chrono::TimeDelta;
use fast_cloud::accounts::model::Account;
use fast_cloud::app::{self, App, Clouds};
use fast_cloud::cloud::practice::PracticeCompute;
use fast_cloud::cloud_services::{self, COMPUTE, CloudService};
use fast_cloud::config::Config;
use fast_cloud::db::{self, Db};
use fast_cloud::embedded::Embedded;
use fast_cloud::error::Result;
use fast_cloud::ids::{AccountId, InstanceId, NovaId};
use fast_cloud::instances::model::{Counts, Filter, Instance, PAGE};
use fast_cloud::instances::present::{Context, list_url};
use fast_cloud::instances::views::{IndexPage, List};
use fast_cloud::quotas::Usage;
use fast_cloud::settings::Shared;
use fast_cloud::start;
use fast_cloud::web::page::{AccountCard, Lang, Menu, Page, Simulated, Theme};
use fast_cloud::web::respond::html;
use uuid::Uuid;

use self::browser::Browser;
use self::folder::Folder;
use self::load::{Target, load};
use self::rows::Row;

const PROMISED: f64 = 0.5;
const INSTANCES: u32 = 50;
/// Many and short, so that a disturbance hits both sides of some rounds alike and the median leaves the others out.
const ROUNDS: usize = 25;
const ROUND: Duration = Duration::from_secs(1);
const LOGIN: &str = "bench-student";

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    if !folder::measures() {
        return Ok(());
    }
    let folder = Folder::new("list-page")?;
    let mut config = Config::defaults()?;
    // As the portal logs: its spans are a part of what a request costs.
    start::tracing(&config.log)?;
    config.data.dir = folder.path().to_owned();
    let embedded = Embedded::start(&config.data.dir)?;
    db::migrate(&embedded.url)?;
    let mut conn = db::connect(&embedded.url)?;
    let shared = Shared::load(&mut conn)?;
    let db = Db::new(&embedded.url, config.database.pool_size, Duration::from_secs(config.database.timeout_seconds));
    let compute = Arc::new(PracticeCompute::new(&folder.path().join("practice"), Duration::from_secs(4))?);
    let containers = start::containers(&config).await?;
    let objects = start::infrastructure(&config)?.objects;
    let clouds = Clouds { compute, cluster: containers.cluster, images: containers.images, objects };
    let app = App::new(config, db, clouds, shared);

    let (listener, real) = listen()?;
    let server = app::serve(app.clone(), listener)?;
    let real_handle = server.handle();
    actix_web::rt::spawn(server);
    let mut browser = Browser::open(&format!("http://{real}"))?;
    browser.sign_up(LOGIN).await?;
    let account = Account::by_login_id(&mut conn, LOGIN)?.context("the account was not made")?.id;
    rows::insert(&mut conn, account, &mini_pcs())?;
    cloud_services::answered(&mut conn, COMPUTE, db::now(), Some((INSTANCES, 100)))?;

    let (listener, bare) = listen()?;
    let server = bare_server(app.clone(), account, listener)?;
    let bare_handle = server.handle();
    actix_web::rt::spawn(server);

    let page = browser.get("/instances").await?;
    let same = Browser::open(&format!("http://{bare}"))?.get("/instances").await?;
    let count = |page: &str| page.matches("class=\"resource-row\"").count();
    ensure!(
        count(&page) == 30 && count(&same) == 30 && page.len().abs_diff(same.len()) < 64,
        "the two pages differ: {} rows in {} bytes, {} rows in {} bytes",
        count(&page),
        page.len(),
        count(&same),
        same.len()
    );
    println!("{INSTANCES} mini PCs, {} of them on the page of {} bytes", count(&page), page.len());

    let signed_in = format!("cookie: {}\r\n", browser.cookies());
    let outcome = measure(Target::new(real, &signed_in), Target::new(bare, "")).await;
    if outcome.is_ok() {
        let packed = Target::new(real, &format!("{signed_in}accept-encoding: gzip, deflate, br\r\n"));
        println!("as browsers ask (compressed): {:.0} requests/s", load(packed, ROUND).await?);
    }
    real_handle.stop(false).await;
    bare_handle.stop(false).await;
    drop((app, conn));
    embedded.stop();
    let median = outcome?;
    ensure!(
        median >= PROMISED,
        "the list page answers {median:.2} of the bare handler's requests per second; promised is {PROMISED}"
    );
    println!("promise kept: {median:.2} of the bare handler's, promised {PROMISED}");
    Ok(())
}

async fn measure(real: Target, bare: Target) -> anyhow::Result<f64> {
    for target in [&real, &bare] {
        load(target.clone(), ROUND).await?;
    }
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let whole = load(real.clone(), ROUND).await?;
        let plain = load(bare.clone(), ROUND).await?;
        println!("round {round}: portal {whole:.0}/s, bare handler {plain:.0}/s, ratio {:.2}", whole / plain);
        ratios.push(whole / plain);
    }
    ratios.sort_by(f64::total_cmp);
    Ok(ratios[ratios.len() / 2])
}

fn listen() -> std::io::Result<(TcpListener, std::net::SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn mini_pcs() -> Vec<Row> {
    (0..INSTANCES)
        .map(|n| Row {
            id: InstanceId::new(),
            nova_id: Some(NovaId(Uuid::new_v4())),
            status: if n % 5 == 0 { "stopped" } else { "active" },
            address: Some(format!("10.0.0.{}", n + 10)),
            created_at: db::now() - TimeDelta::hours(2),
        })
        .collect()
}

struct Bare {
    app: Arc<App>,
    account: AccountId,
    service: CloudService,
}

/// One query, one template; as many threads as the portal has.
fn bare_server(app: Arc<App>, account: AccountId, listener: TcpListener) -> anyhow::Result<actix_web::dev::Server> {
    let service = CloudService { last_ok_at: Some(db::now()), ..CloudService::default() };
    let bare = web::Data::new(Bare { app, account, service });
    let workers = std::thread::available_parallelism()?.get();
    let server = HttpServer::new(move || Actix::new().app_data(bare.clone()).route("/instances", web::get().to(index)));
    Ok(server.workers(workers).worker_max_blocking_threads(8).disable_signals().listen(listener)?.run())
}

async fn index(bare: web::Data<Bare>) -> Result<HttpResponse> {
    let account = bare.account;
    let mut rows =
        bare.app.db.run(move |conn| Ok(Instance::list(conn, account, Filter::All, "", 0, PAGE + 1)?)).await?;
    rows.pop();
    // What the portal asks the database for, and the reader's session would say, stands here.
    let token = "0".repeat(64);
    let context = Context::new(Lang::Ko, &bare.app, &bare.service, &token);
    let usage = Usage { instances: INSTANCES, vcpus: INSTANCES, ram_mb: INSTANCES * 512 };
    let counts = Counts { total: INSTANCES, running: 40, stopped: 10, usage, ..Counts::default() };
    let list = List {
        rows: rows.iter().map(|row| context.row(row)).collect(),
        total: counts.total,
        running: counts.running,
        quota: context.quota(counts.usage, bare.app.config.quota),
        filters: context.filters(counts, Filter::All, ""),
        age: context.age(),
        refresh_seconds: context.refresh(false),
        refresh_url: list_url("/instances/rows", Filter::All, "", 0),
        older_href: list_url("/instances", Filter::All, "", 1),
        ..List::default()
    };
    let account = AccountCard { login_id: LOGIN.to_owned(), name: "김벤치".to_owned(), is_admin: false };
    let page = Page {
        lang: Lang::Ko,
        theme: Theme::System,
        account: Some(account),
        menu: Menu::Instances,
        csrf_token: token.clone(),
        notice: None,
        simulated: Simulated { machines: true, containers: true, files: true },
        here: "/instances".to_owned(),
    };
    html(&IndexPage { page, list })
}
