//! Handlers of the dashboard.

use actix_web::HttpResponse;

use super::views::{InstancesCard, InstancesFragment, ShowPage};
use crate::buckets::views::DashboardCard;
use crate::cloud_services::{self, CloudService};
use crate::error::Result;
use crate::ids::AccountId;
use crate::instances::model::{Counts, Filter, Instance};
use crate::instances::present::Context;
use crate::quotas;
use crate::web::format;
use crate::web::page::{Lang, Menu};
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{fragment, html, see_other};

/// Rows on the card; the list has the rest.
const ROWS: i64 = 5;

async fn card(reader: &Reader, account: AccountId) -> Result<(InstancesCard, Counts)> {
    let default = reader.app.config.quota;
    let (rows, counts, limit, service) = reader
        .app
        .db
        .run(move |conn| {
            Ok((
                Instance::list(conn, account, Filter::All, "", 0, ROWS)?,
                Instance::counts(conn, account)?,
                quotas::limit(conn, account, default)?,
                CloudService::load(conn, cloud_services::COMPUTE)?,
            ))
        })
        .await?;
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    let problem = context.silent_since().map(|since| {
        let time = format::clock(since, context.now, reader.app.config.server.time_zone);
        reader.lang.t1("cloud.silent_since", "time", &time).into_owned()
    });
    let card = InstancesCard {
        rows: rows.iter().map(|row| context.row(row)).collect(),
        total: counts.total,
        running: counts.running,
        quota: context.quota(counts.usage, limit),
        age: context.age(),
        refresh_seconds: context.refresh(counts.unsettled > 0),
        problem: problem.unwrap_or_default(),
    };
    Ok((card, counts))
}

/// How things are, in one sentence.
fn headline(lang: Lang, name: &str, counts: Counts, silent: bool) -> String {
    let (total, running) = (counts.total.to_string(), counts.running.to_string());
    let count = if counts.needs_look > 0 { counts.needs_look } else { counts.unsettled }.to_string();
    let values = [("name", name), ("total", &total), ("running", &running), ("count", &count)];
    let key = match counts {
        Counts { total: 0, .. } => "dashboard.headline_none",
        _ if silent => "dashboard.headline_cloud",
        Counts { needs_look: 1.., .. } => "dashboard.headline_look",
        Counts { unsettled: 1.., .. } => "dashboard.headline_building",
        _ if counts.running == counts.total => "dashboard.headline_all",
        _ => "dashboard.headline_some",
    };
    lang.tv(key, &values).into_owned()
}

/// `GET /dashboard`
pub async fn show(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    let (instances, counts) = card(&reader, account.id).await?;
    html(&ShowPage {
        headline: headline(reader.lang, &account.name, counts, !instances.problem.is_empty()),
        instances,
        buckets: crate::buckets::routes::list(&reader, account.id, 0, ROWS).await?,
        page: reader.page(Menu::Dashboard),
    })
}

/// `GET /dashboard/instances`: the card alone.
pub async fn instances(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    if !reader.htmx {
        return Ok(see_other("/dashboard"));
    }
    let (instances, counts) = card(&reader, account.id).await?;
    fragment(&InstancesFragment {
        headline: headline(reader.lang, &account.name, counts, !instances.problem.is_empty()),
        instances,
        page: reader.page(Menu::Dashboard),
    })
}

/// `GET /dashboard/buckets`: the card of files alone.
pub async fn buckets(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    if !reader.htmx {
        return Ok(see_other("/dashboard"));
    }
    let list = crate::buckets::routes::list(&reader, account.id, 0, ROWS).await?;
    fragment(&DashboardCard { list, page: reader.page(Menu::Dashboard) })
}
