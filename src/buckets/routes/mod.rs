//! Handlers of buckets.

pub mod links;
pub mod objects;
pub mod swift_api;
pub mod tools;
pub mod upload;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::files::{self, Lines, Query, Sort};
use super::forms;
use super::model::removals::Removal;
use super::model::{self, Bucket, Refusal, Usage};
use super::present::{Context, listing_path};
use super::views::{DeletePage, FilesFragment, IndexPage, List, ListFragment, NewPage, ShowPage};
use super::work::{self, Made};
use super::{bucket_path, folder_path};
use crate::cloud::CloudError;
use crate::cloud::objects::{ObjectKey, PutOrder};
use crate::cloud_services::{self, CloudService};
use crate::config::Quota;
use crate::error::{Error, Result};
use crate::ids::AccountId;
use crate::operations::model::{self as operations, Action};
use crate::quotas;
use crate::web::body::Fields;
use crate::web::page::{Field, Menu};
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{fragment, html, notice, see_other, with_status};

/// Buckets on one page of the list.
const PAGE: i64 = 50;
/// How long a page waits for the store.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a person waits for, in time.
pub(super) async fn soon<T>(
    work: impl Future<Output = std::result::Result<T, CloudError>>,
) -> std::result::Result<T, CloudError> {
    let late = || CloudError::unavailable("no answer in time for a page");
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| late())?
}

/// A bucket of the account; what is no name of one does not exist.
pub(super) async fn load(reader: &Reader, account: AccountId, name: &str) -> Result<Bucket> {
    let name = forms::bucket_name(name).map_err(|_| Error::NotFound)?;
    reader.app.db.run(move |conn| Ok(Bucket::find(conn, account, &name)?)).await
}

/// The same, if files can be put in and taken out.
pub(super) async fn load_usable(reader: &Reader, account: AccountId, name: &str) -> Result<Bucket> {
    let bucket = load(reader, account, name).await?;
    if bucket.is_usable() { Ok(bucket) } else { Err(Error::Conflict(reader.lang.t("buckets.not_usable").into_owned())) }
}

#[derive(Debug, Deserialize)]
pub struct ListQuery {
    #[serde(default)]
    page: String,
    /// The list alone is asked for.
    #[serde(default)]
    rows: String,
}

impl ListQuery {
    fn page(&self) -> u32 {
        self.page.parse::<u32>().unwrap_or(0).min(10_000)
    }
}

/// The account's buckets as a list shows them.
///
/// # Errors
/// The database's.
pub async fn list(reader: &Reader, account: AccountId, page: u32, most: i64) -> Result<List> {
    let default = reader.app.config.quota;
    let (mut rows, usage, limit, service) = reader
        .app
        .db
        .run(move |conn| {
            Ok((
                Bucket::list(conn, account, i64::from(page) * most, most + 1)?,
                model::usage(conn, account)?,
                quotas::limit(conn, account, default)?,
                CloudService::load(conn, cloud_services::OBJECTS)?,
            ))
        })
        .await?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let context = Context::new(reader.lang, &reader.app, &service);
    let at = |page: u32| if page == 0 { "/buckets".to_owned() } else { format!("/buckets?page={page}") };
    Ok(List {
        refresh_url: format!("/buckets?rows=1&page={page}"),
        newer_href: if page > 0 { at(page - 1) } else { String::new() },
        older_href: if more { at(page + 1) } else { String::new() },
        ..context.list(&rows, usage, limit)
    })
}

/// `GET /buckets`
pub async fn index(reader: Reader, account: CurrentAccount, query: web::Query<ListQuery>) -> Result<HttpResponse> {
    let list = list(&reader, account.id, query.page(), PAGE).await?;
    let page = reader.page(Menu::Buckets);
    if reader.htmx && !query.rows.is_empty() {
        return fragment(&ListFragment { page, list });
    }
    html(&IndexPage { page, list })
}

async fn new_page(
    reader: &Reader,
    account: AccountId,
    name: Field,
    launch_key: String,
    error: &str,
) -> Result<NewPage> {
    let default = reader.app.config.quota;
    let (usage, limit, service): (Usage, Quota, CloudService) = reader
        .app
        .db
        .run(move |conn| {
            Ok((
                model::usage(conn, account)?,
                quotas::limit(conn, account, default)?,
                CloudService::load(conn, cloud_services::OBJECTS)?,
            ))
        })
        .await?;
    let full = usage.buckets >= limit.buckets;
    let error = if error.is_empty() && full { "buckets.over_quota" } else { error };
    Ok(NewPage {
        name,
        launch_key: if launch_key.is_empty() { crate::random::token() } else { launch_key },
        quota: Context::new(reader.lang, &reader.app, &service).quota(usage, limit),
        error: if error.is_empty() { String::new() } else { reader.lang.t(error).into_owned() },
        full,
        page: reader.page(Menu::Buckets),
    })
}

/// `GET /buckets/new`
pub async fn new(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    html(&new_page(&reader, account.id, Field::default(), String::new(), "").await?)
}

/// `POST /buckets`: 202 for htmx, 303 for a plain form, 422 with what is wrong.
pub async fn create(reader: Reader, account: CurrentAccount, fields: Fields) -> Result<HttpResponse> {
    let typed = crate::text::shorten(fields.get("name").trim(), 300);
    let refuse = async |field: &str, error: &str| {
        let say = |key: &str| if key.is_empty() { String::new() } else { reader.lang.t(key).into_owned() };
        let name = Field { value: typed.clone(), error: say(field) };
        let page = new_page(&reader, account.id, name, String::new(), error).await?;
        with_status(StatusCode::UNPROCESSABLE_ENTITY, &page)
    };
    let name = match forms::bucket_name(fields.get("name")) {
        Ok(name) => name,
        Err(sentence) => return refuse(sentence, "").await,
    };
    let form_key = fields.get("launch_key");
    let form_key = if form_key.len() == 64 { form_key.to_owned() } else { crate::random::token() };
    let (id, quota, taken) = (account.id, reader.app.config.quota, name.clone());
    let created = reader.app.db.run(move |conn| Ok(Bucket::create(conn, id, &taken, &form_key, quota))).await?;
    let bucket = match created {
        Ok(bucket) => bucket,
        Err(Refusal::Taken) => return refuse("validation.bucket_name.taken", "").await,
        Err(Refusal::OverQuota) => return refuse("", "buckets.over_quota").await,
        Err(Refusal::Database(error)) => return Err(error.into()),
    };
    fail::fail_point!("bucket_written");
    let said = match place(&reader, &bucket).await? {
        Placed::Made => "notice.bucket_made",
        Placed::Waits => "notice.bucket_waits",
        Placed::Taken => return refuse("validation.bucket_name.taken", "").await,
        Placed::Refused => return refuse("", "buckets.create_failed").await,
    };
    let mut response = if reader.htmx {
        HttpResponse::Accepted().insert_header(("HX-Location", "/buckets")).finish()
    } else {
        see_other("/buckets")
    };
    notice(&mut response, &reader, said, &crate::text::shorten(&name, 64))?;
    Ok(response)
}

/// What became of a bucket that was just written.
enum Placed {
    Made,
    /// The store did not answer: it is asked again beside the requests.
    Waits,
    Taken,
    Refused,
}

async fn place(reader: &Reader, bucket: &Bucket) -> Result<Placed> {
    if bucket.is_usable() {
        return Ok(Placed::Made);
    }
    let (id, account) = (bucket.id, bucket.account_id);
    let forget = async || reader.app.db.run(move |conn| Ok(model::forget(conn, id)?)).await;
    match soon(work::make(&reader.app, bucket)).await {
        Ok(Made::Yes) => Ok(Placed::Made),
        Ok(Made::Taken) => {
            forget().await?;
            Ok(Placed::Taken)
        }
        Err(error) if error.is_transient() => {
            tracing::warn!(bucket.id = %id, %error, "a bucket could not be made yet");
            reader.app.db.run(move |conn| Ok(operations::enqueue(conn, account, id, Action::Create)?)).await?;
            Ok(Placed::Waits)
        }
        Err(error) => {
            tracing::warn!(bucket.id = %id, %error, "a bucket was refused");
            forget().await?;
            Ok(Placed::Refused)
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct FolderQuery {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    search: String,
    #[serde(default)]
    marker: String,
    #[serde(default)]
    sort: String,
}

impl FolderQuery {
    fn parse(&self) -> Result<Query> {
        Ok(Query {
            prefix: forms::prefix(&self.prefix).ok_or(Error::NotFound)?,
            search: crate::text::shorten(self.search.trim(), 200),
            marker: self.marker.clone(),
            sort: Sort::from_name(&self.sort),
        })
    }
}

async fn show_page(reader: &Reader, account: AccountId, name: &str, query: &Query, field: Field) -> Result<ShowPage> {
    let bucket = load(reader, account, name).await?;
    let (id, default) = (bucket.id, reader.app.config.quota);
    let (removals, usage, limit, service) = reader
        .app
        .db
        .run(move |conn| {
            Ok((
                Removal::list(conn, id)?,
                model::usage(conn, account)?,
                model::byte_limit(conn, account, default)?,
                CloudService::load(conn, cloud_services::OBJECTS)?,
            ))
        })
        .await?;
    let lines = if bucket.is_usable() { listed(reader, &bucket, query).await } else { Some(Lines::default()) };
    let room = limit.saturating_sub(usage.bytes).saturating_sub(usage.reserved);
    let context = Context::new(reader.lang, &reader.app, &service);
    let folder = context.folder(&bucket, query, lines.as_ref(), &removals, room);
    Ok(ShowPage { folder, folder_field: field, page: reader.page(Menu::Buckets) })
}

/// None when the store does not answer: the page says so, and shows the rest.
async fn listed(reader: &Reader, bucket: &Bucket, query: &Query) -> Option<Lines> {
    match soon(files::page(reader.app.objects.as_ref(), &bucket.name, query)).await {
        Ok(lines) => Some(lines),
        Err(error) => {
            tracing::warn!(bucket.id = %bucket.id, %error, "a bucket could not be listed");
            None
        }
    }
}

/// `GET /buckets/{name}?prefix=&search=&marker=&sort=`; for htmx the files alone.
pub async fn show(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    query: web::Query<FolderQuery>,
) -> Result<HttpResponse> {
    let page = show_page(&reader, account.id, &path, &query.parse()?, Field::default()).await;
    match page {
        // It was deleted while somebody looked: to the list.
        Err(Error::NotFound) if reader.htmx => {
            Ok(HttpResponse::NotFound().insert_header(("HX-Redirect", "/buckets")).finish())
        }
        Err(error) => Err(error),
        Ok(page) if reader.htmx => fragment(&FilesFragment { page: page.page, folder: page.folder }),
        Ok(page) => html(&page),
    }
}

/// `POST /buckets/{name}/folders`: fields `prefix`, `name`.
pub async fn create_folder(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    fields: Fields,
) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path).await?;
    let prefix = forms::prefix(fields.get("prefix")).ok_or(Error::NotFound)?;
    let refuse = async |sentence: &str| {
        let error = reader.lang.t(sentence).into_owned();
        let field = Field { value: crate::text::shorten(fields.get("name"), 300), error };
        let query = Query { prefix: prefix.clone(), ..Query::default() };
        let page = show_page(&reader, account.id, &bucket.name, &query, field).await?;
        with_status(StatusCode::UNPROCESSABLE_ENTITY, &page)
    };
    let key = match forms::folder_key(&prefix, fields.get("name")) {
        Ok(key) => key,
        Err(sentence) => return refuse(sentence).await,
    };
    match soon(make_folder(&reader, &bucket, &key)).await {
        Ok(()) => Ok(see_other(&folder_path(&bucket.name, key.as_str()))),
        Err(CloudError::Conflict(_)) => refuse("buckets.folder_exists").await,
        Err(error) => Err(error.into()),
    }
}

async fn make_folder(reader: &Reader, bucket: &Bucket, key: &ObjectKey) -> std::result::Result<(), CloudError> {
    let order = PutOrder { content_type: "application/directory".to_owned(), length: Some(0), only_if_absent: true };
    let nothing = Box::pin(futures::stream::empty());
    reader.app.objects.put(&bucket.name, key, &order, nothing).await?;
    let id = bucket.id;
    let counted = reader.app.db.run(move |conn| Ok(model::changed(conn, id, 0, 1)?)).await;
    counted.map_err(CloudError::unavailable)
}

async fn delete_page(reader: &Reader, bucket: &Bucket, name: Field) -> Result<DeletePage> {
    let service = reader.app.db.run(|conn| Ok(CloudService::load(conn, cloud_services::OBJECTS)?)).await?;
    let row = Context::new(reader.lang, &reader.app, &service).row(bucket);
    Ok(DeletePage { row, name, page: reader.page(Menu::Buckets) })
}

/// Whether a bucket is known to be empty: what was counted may be old, the store knows.
async fn is_empty(reader: &Reader, bucket: &Bucket) -> bool {
    if bucket.objects > 0 {
        return false;
    }
    let query = crate::cloud::objects::ListQuery { limit: 1, ..Default::default() };
    match soon(reader.app.objects.list(&bucket.name, &query)).await {
        Ok(listed) => listed.is_empty(),
        Err(CloudError::NotFound(_)) => true,
        Err(_) => false,
    }
}

/// `GET /buckets/{name}/delete`: the question.
pub async fn confirm_delete(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let bucket = load(&reader, account.id, &path).await?;
    let mut page = delete_page(&reader, &bucket, Field::default()).await?;
    page.row.has_files = !is_empty(&reader, &bucket).await;
    html(&page)
}

/// `POST /buckets/{name}/delete`. One with files wants its name in the field `name`.
pub async fn delete(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    fields: Fields,
) -> Result<HttpResponse> {
    let bucket = load(&reader, account.id, &path).await?;
    let typed = fields.get("name").trim();
    if typed != bucket.name && !bucket.is_deleting() && !is_empty(&reader, &bucket).await {
        let sentence = if typed.is_empty() { "buckets.delete.name_missing" } else { "buckets.delete.name_differs" };
        let error = reader.lang.t(sentence).into_owned();
        let field = Field { value: crate::text::shorten(typed, 300), error };
        let mut page = delete_page(&reader, &bucket, field).await?;
        page.row.has_files = true;
        return with_status(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let (id, name) = (account.id, bucket.name.clone());
    reader.app.db.run(move |conn| Ok(Bucket::request_deletion(conn, id, &name)?)).await?;
    fail::fail_point!("request_written");
    reader.app.work.notify_one();
    let mut response = if reader.htmx {
        HttpResponse::Accepted().insert_header(("HX-Location", "/buckets")).finish()
    } else {
        see_other("/buckets")
    };
    notice(&mut response, &reader, "notice.delete_requested", &crate::text::shorten(&bucket.name, 64))?;
    Ok(response)
}

/// The address of a folder's page, for what comes back to it.
pub(super) fn back_to(bucket: &str, prefix: &str) -> String {
    if prefix.is_empty() { bucket_path(bucket) } else { listing_path(bucket, prefix, "", Sort::Name, "") }
}
