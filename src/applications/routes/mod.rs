//! Handlers of containers.

pub mod deploy;
pub mod live;

use actix_web::{HttpResponse, web};
use diesel::mysql::MysqlConnection;
use serde::Deserialize;

use super::events;
use super::model::{Application, Deployed, Filter, PAGE};
use super::present::{Context, list_url};
use super::views::{DeletePage, Detail, DetailFragment, IndexPage, List, ListFragment, RowFragment, ShowPage};
use crate::cloud_services::{self, CloudService};
use crate::error::{Error, Result};
use crate::ids::{AccountId, ApplicationId};
use crate::operations::model::Action;
use crate::quotas;
use crate::web::body::Fields;
use crate::web::page::Menu;
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{fragment, html, notice, see_other};

/// An id in a path: what is none of ours does not exist.
fn application_id(path: &str) -> Result<ApplicationId> {
    path.parse().map_err(|_| Error::NotFound)
}

/// A container, what of it is deployed, and how its cluster is.
struct Found {
    row: Application,
    deployed: Deployed,
    service: CloudService,
}

impl Found {
    fn load(conn: &mut MysqlConnection, account: AccountId, id: ApplicationId) -> Result<Self> {
        let (row, deployed) = Application::find(conn, account, id)?;
        Ok(Self { row, deployed, service: CloudService::load(conn, cloud_services::APPLICATIONS)? })
    }

    async fn of(reader: &Reader, account: AccountId, id: ApplicationId) -> Result<Self> {
        reader.app.db.run(move |conn| Self::load(conn, account, id)).await
    }

    fn context<'a>(&'a self, reader: &'a Reader) -> Context<'a> {
        Context::new(reader.lang, &reader.app, &self.service, reader.csrf_token())
    }

    fn shown(&self, reader: &Reader) -> super::views::Row {
        self.context(reader).row(&self.row, &self.deployed)
    }
}

#[derive(Debug, Deserialize)]
pub struct ListQuery {
    #[serde(default)]
    filter: String,
    #[serde(default)]
    search: String,
    #[serde(default)]
    page: String,
}

impl ListQuery {
    fn filter(&self) -> Filter {
        match self.filter.as_str() {
            "running" => Filter::Running,
            "stopped" => Filter::Stopped,
            "needs_look" => Filter::NeedsLook,
            _ => Filter::All,
        }
    }

    fn search(&self) -> String {
        crate::text::shorten(self.search.trim(), 64)
    }

    /// Counted from 0.
    fn page(&self) -> u32 {
        self.page.parse::<u32>().unwrap_or(0).min(10_000)
    }
}

async fn list(reader: &Reader, owner: &CurrentAccount, query: &ListQuery) -> Result<List> {
    let account = owner.id;
    let (filter, search, page) = (query.filter(), query.search(), query.page());
    let (pattern, default) = (search.clone(), reader.app.config.quota);
    let (mut rows, counts, limit, service) = reader
        .app
        .db
        .run(move |conn| {
            Ok((
                Application::list(conn, account, filter, &pattern, i64::from(page) * PAGE, PAGE + 1)?,
                Application::counts(conn, account)?,
                quotas::limit(conn, account, default)?,
                CloudService::load(conn, cloud_services::APPLICATIONS)?,
            ))
        })
        .await?;
    let more = rows.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    Ok(List {
        rows: rows.iter().map(|(row, deployed)| context.row(row, deployed)).collect(),
        total: counts.total,
        running: counts.running,
        quota: context.quota(counts.usage, limit),
        filters: context.filters(counts, filter, &search),
        age: context.age(),
        refresh_seconds: context.refresh(counts.unsettled > 0),
        refresh_url: list_url("/applications/rows", filter, &search, page),
        newer_href: if page > 0 { list_url("/applications", filter, &search, page - 1) } else { String::new() },
        older_href: if more { list_url("/applications", filter, &search, page + 1) } else { String::new() },
        search,
    })
}

/// `GET /applications`
pub async fn index(reader: Reader, account: CurrentAccount, query: web::Query<ListQuery>) -> Result<HttpResponse> {
    let list = list(&reader, &account, &query).await?;
    html(&IndexPage { page: reader.page(Menu::Applications), list })
}

/// `GET /applications/rows`: the list alone.
pub async fn rows(reader: Reader, account: CurrentAccount, query: web::Query<ListQuery>) -> Result<HttpResponse> {
    if !reader.htmx {
        return Ok(see_other(&list_url("/applications", query.filter(), &query.search(), query.page())));
    }
    let list = list(&reader, &account, &query).await?;
    fragment(&ListFragment { page: reader.page(Menu::Applications), list })
}

async fn load_detail(reader: &Reader, account: AccountId, id: ApplicationId) -> Result<Detail> {
    let (found, history) =
        reader.app.db.run(move |conn| Ok((Found::load(conn, account, id)?, events::latest(conn, id)?))).await?;
    Ok(found.context(reader).detail(&found.row, &found.deployed, &history))
}

async fn detail_fragment(reader: &Reader, account: AccountId, id: ApplicationId) -> Result<HttpResponse> {
    let detail = load_detail(reader, account, id).await?;
    fragment(&DetailFragment { page: reader.page(Menu::Applications), detail })
}

async fn row_fragment(reader: &Reader, account: AccountId, id: ApplicationId) -> Result<HttpResponse> {
    let row = Found::of(reader, account, id).await?.shown(reader);
    fragment(&RowFragment { page: reader.page(Menu::Applications), row })
}

/// `GET /applications/{id}`
pub async fn show(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let detail = load_detail(&reader, account.id, application_id(&path)?).await?;
    html(&ShowPage { page: reader.page(Menu::Applications), detail })
}

/// `GET /applications/{id}/detail`: what changes of that page.
pub async fn detail(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let id = application_id(&path)?;
    match load_detail(&reader, account.id, id).await {
        // It was deleted while somebody looked: to the list.
        Err(Error::NotFound) if reader.htmx => {
            Ok(HttpResponse::NotFound().insert_header(("HX-Redirect", "/applications")).finish())
        }
        Err(error) => Err(error),
        Ok(_) if !reader.htmx => Ok(see_other(&format!("/applications/{id}"))),
        Ok(detail) => fragment(&DetailFragment { page: reader.page(Menu::Applications), detail }),
    }
}

/// `GET /applications/{id}/row`: the row of the list.
pub async fn row(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let id = application_id(&path)?;
    let answer = row_fragment(&reader, account.id, id).await?;
    if reader.htmx { Ok(answer) } else { Ok(see_other(&format!("/applications/{id}"))) }
}

/// `GET /applications/{id}/delete`: the question.
pub async fn confirm_delete(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let row = Found::of(&reader, account.id, application_id(&path)?).await?.shown(&reader);
    html(&DeletePage { row, page: reader.page(Menu::Applications) })
}

/// What comes back after something was asked of a container: the part of the page that `view` names, or the way to
/// `target`, with a sentence.
async fn answer(
    reader: &Reader,
    account: AccountId,
    id: ApplicationId,
    fields: &Fields,
    said: (&'static str, &str),
    target: &str,
) -> Result<HttpResponse> {
    let mut response = match (reader.htmx, fields.get("view")) {
        (true, "detail") => return detail_fragment(reader, account, id).await,
        (true, "row") => return row_fragment(reader, account, id).await,
        (true, _) => HttpResponse::Accepted().insert_header(("HX-Location", target)).finish(),
        (false, "row") => see_other("/applications"),
        (false, _) => see_other(target),
    };
    notice(&mut response, reader, said.0, said.1)?;
    Ok(response)
}

async fn ask(
    action: Action,
    said: &'static str,
    reader: Reader,
    account: CurrentAccount,
    path: &str,
    fields: Fields,
) -> Result<HttpResponse> {
    let (id, owner) = (application_id(path)?, account.id);
    let (asked, name) = reader
        .app
        .db
        .run(move |conn| {
            Ok((Application::request(conn, owner, id, action)?, Application::find(conn, owner, id)?.0.name))
        })
        .await?;
    if !asked {
        return Err(Error::Conflict(reader.lang.t("notice.not_now").into_owned()));
    }
    fail::fail_point!("request_written");
    reader.app.work.notify_one();
    let target = if action == Action::Delete { "/applications".to_owned() } else { format!("/applications/{id}") };
    answer(&reader, owner, id, &fields, (said, &name), &target).await
}

macro_rules! action {
    ($(#[$doc:meta])* $name:ident, $action:ident, $said:literal) => {
        $(#[$doc])*
        pub async fn $name(
            reader: Reader,
            account: CurrentAccount,
            path: web::Path<String>,
            fields: Fields,
        ) -> Result<HttpResponse> {
            ask(Action::$action, $said, reader, account, &path, fields).await
        }
    };
}

action!(
    /// `POST /applications/{id}/start`
    start,
    Start,
    "notice.start_requested"
);
action!(
    /// `POST /applications/{id}/stop`
    stop,
    Stop,
    "notice.stop_requested"
);
action!(
    /// `POST /applications/{id}/delete`
    delete,
    Delete,
    "notice.delete_requested"
);
