//! Handlers of mini PCs.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use diesel::mysql::MysqlConnection;
use serde::Deserialize;

use super::events;
use super::forms::{KeyWish, LaunchErrors, LaunchForm};
use super::model::{Filter, Instance, KeyPlan, LaunchRefusal, Launched, Order, PAGE};
use super::present::{Context, list_url};
use super::views::{
    DeletePage, DetailFragment, IndexPage, KeyChoice, List, ListFragment, NewPage, RowFragment, ShowPage, TemplateCard,
};
use crate::cloud::Catalogue;
use crate::cloud_services::{self, CloudService};
use crate::config::Quota;
use crate::error::{Error, Result};
use crate::ids::{AccountId, InstanceId};
use crate::instance_templates::model::InstanceTemplate;
use crate::keys::model::{NewKey, SshKey};
use crate::keys::routes as keys;
use crate::operations::model::Action;
use crate::quotas::{self, Usage};
use crate::web::body::Fields;
use crate::web::format;
use crate::web::page::{Field, Lang, Menu};
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{fragment, html, notice, see_other, with_status};

/// An id in a path: what is none of ours does not exist.
fn instance_id(path: &str) -> Result<InstanceId> {
    path.parse().map_err(|_| Error::NotFound)
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

async fn list(reader: &Reader, request: &HttpRequest, owner: &CurrentAccount, query: &ListQuery) -> Result<List> {
    let account = owner.id;
    let (filter, search, page) = (query.filter(), query.search(), query.page());
    let (pattern, default) = (search.clone(), reader.app.config.quota);
    let (mut rows, counts, limit, service) = reader
        .app
        .db
        .run(move |conn| {
            Ok((
                Instance::list(conn, account, filter, &pattern, i64::from(page) * PAGE, PAGE + 1)?,
                Instance::counts(conn, account)?,
                quotas::limit(conn, account, default)?,
                CloudService::load(conn, cloud_services::COMPUTE)?,
            ))
        })
        .await?;
    let more = rows.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    Ok(List {
        rows: rows.iter().map(|row| context.row(row)).collect(),
        total: counts.total,
        running: counts.running,
        quota: context.quota(counts.usage, limit),
        filters: context.filters(counts, filter, &search),
        age: context.age(),
        refresh_seconds: context.refresh(counts.unsettled > 0),
        refresh_url: list_url("/instances/rows", filter, &search, page),
        newer_href: if page > 0 { list_url("/instances", filter, &search, page - 1) } else { String::new() },
        older_href: if more { list_url("/instances", filter, &search, page + 1) } else { String::new() },
        key_waiting: keys::is_waiting(request, reader, owner, None),
        search,
    })
}

/// `GET /instances`
pub async fn index(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let list = list(&reader, &request, &account, &query).await?;
    html(&IndexPage { page: reader.page(Menu::Instances), list })
}

/// `GET /instances/rows`: the list alone.
pub async fn rows(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    if !reader.htmx {
        return Ok(see_other(&list_url("/instances", query.filter(), &query.search(), query.page())));
    }
    let list = list(&reader, &request, &account, &query).await?;
    fragment(&ListFragment { page: reader.page(Menu::Instances), list })
}

/// What the form for renting is made from.
struct Offer {
    templates: Vec<InstanceTemplate>,
    catalogue: Option<Catalogue>,
    keys: Vec<SshKey>,
    usage: Usage,
    limit: Quota,
}

fn load_offer(conn: &mut MysqlConnection, account: AccountId, default: Quota) -> Result<Offer> {
    Ok(Offer {
        templates: InstanceTemplate::list(conn, true)?,
        catalogue: cloud_services::catalogue(conn, cloud_services::COMPUTE)?.map(|(catalogue, _)| catalogue),
        keys: SshKey::list(conn, account)?,
        usage: quotas::usage(conn, account)?,
        limit: quotas::limit(conn, account, default)?,
    })
}

/// What was typed, and what is wrong with it.
#[derive(Default)]
struct Typed {
    name: String,
    template: String,
    key: String,
    launch_key: String,
    errors: LaunchErrors,
    /// The sentence above the button.
    error: Option<&'static str>,
}

fn cards(context: &Context<'_>, offer: &Offer, chosen: &str) -> Vec<TemplateCard> {
    let lang = context.lang;
    let most = |value: fn(&InstanceTemplate) -> u32| offer.templates.iter().map(value).max().unwrap_or(1).max(1);
    let (most_vcpus, most_ram, most_disk) = (most(|t| t.vcpus), most(|t| t.ram_mb), most(|t| t.disk_gb));
    let mut any_checked = false;
    let mut cards: Vec<TemplateCard> = offer
        .templates
        .iter()
        .map(|template| {
            let more = Usage { instances: 1, vcpus: template.vcpus, ram_mb: template.ram_mb };
            let after = Usage {
                instances: offer.usage.instances + 1,
                vcpus: offer.usage.vcpus + template.vcpus,
                ram_mb: offer.usage.ram_mb + template.ram_mb,
            };
            let lacks = template.lacks(offer.catalogue.as_ref());
            let blocked = if !lacks.is_empty() {
                lang.t("templates.blocked_missing").into_owned()
            } else if offer.usage.fits(more, offer.limit) {
                String::new()
            } else {
                lang.t("templates.blocked_quota").into_owned()
            };
            let checked =
                blocked.is_empty() && (chosen == template.id.to_string() || (chosen.is_empty() && !any_checked));
            any_checked |= checked;
            let swap = if template.swap_mb == 0 {
                String::new()
            } else {
                lang.t1("instances.swap", "size", format::megabytes(template.swap_mb)).into_owned()
            };
            TemplateCard {
                id: template.id.to_string(),
                name: template.name.clone(),
                purpose: template.purpose(lang).to_owned(),
                image: format!("{}{swap}", template.image),
                vcpus: template.vcpus,
                ram: format::megabytes(template.ram_mb),
                disk: format!("{} GB", template.disk_gb),
                vcpus_percent: template.vcpus * 100 / most_vcpus,
                ram_percent: u32::try_from(u64::from(template.ram_mb) * 100 / u64::from(most_ram)).unwrap_or(100),
                disk_percent: template.disk_gb * 100 / most_disk,
                checked,
                blocked,
                after: context.quota(after, offer.limit),
            }
        })
        .collect();
    if !any_checked && let Some(first) = cards.iter_mut().find(|card| card.blocked.is_empty()) {
        first.checked = true;
    }
    cards
}

fn key_choices(lang: Lang, keys: &[SshKey], chosen: &str) -> Vec<KeyChoice> {
    let new = KeyChoice {
        value: "new".to_owned(),
        label: lang.t("instances.new.keys_new").into_owned(),
        checked: chosen == "new",
    };
    let own = keys.iter().map(|key| KeyChoice {
        value: key.id.to_string(),
        label: key.name.clone(),
        checked: chosen == key.id.to_string(),
    });
    own.chain([new]).collect()
}

async fn new_page(reader: &Reader, account: &CurrentAccount, typed: Typed) -> Result<NewPage> {
    let (id, default) = (account.id, reader.app.config.quota);
    let (offer, service) = reader
        .app
        .db
        .run(move |conn| Ok((load_offer(conn, id, default)?, CloudService::load(conn, cloud_services::COMPUTE)?)))
        .await?;
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    let say = |sentence: Option<&'static str>| sentence.map(|key| reader.lang.t(key).into_owned()).unwrap_or_default();
    let templates = cards(&context, &offer, &typed.template);
    let nothing_left = !templates.is_empty() && templates.iter().all(|card| !card.blocked.is_empty());
    let over_quota = nothing_left && offer.usage.instances >= offer.limit.instances;
    let error = typed.error.or(over_quota.then_some("quota.exceeded"));
    let error = error.or(templates.is_empty().then_some("instances.new.no_templates_title"));
    Ok(NewPage {
        name: Field { value: typed.name, error: say(typed.errors.name) },
        template_id: Field { value: typed.template, error: say(typed.errors.template_id) },
        templates,
        launch_key: if typed.launch_key.is_empty() { crate::random::token() } else { typed.launch_key },
        keys: key_choices(reader.lang, &offer.keys, &typed.key),
        ssh_key: Field { value: typed.key, error: say(typed.errors.ssh_key) },
        quota: context.quota(offer.usage, offer.limit),
        error: say(error),
        page: reader.page(Menu::Instances),
    })
}

/// A name to start from: `kim-pc-3`.
async fn suggested_name(reader: &Reader, account: &CurrentAccount) -> Result<String> {
    let id = account.id;
    let counts = reader.app.db.run(move |conn| Ok(Instance::counts(conn, id)?)).await?;
    let stem: String = account.login_id.chars().filter(|c| c.is_ascii_alphanumeric()).take(20).collect();
    Ok(format!("{stem}-pc-{}", counts.total + 1))
}

/// `GET /instances/new`
pub async fn new(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    let typed = Typed { name: suggested_name(&reader, &account).await?, ..Typed::default() };
    html(&new_page(&reader, &account, typed).await?)
}

/// `POST /instances`: 202 for htmx, 303 for a plain form, 422 with what is wrong.
pub async fn create(reader: Reader, account: CurrentAccount, fields: Fields) -> Result<HttpResponse> {
    let typed = |errors: LaunchErrors, error| Typed {
        name: crate::text::shorten(fields.get("name"), 200),
        template: crate::text::shorten(fields.get("template_id"), 64),
        key: crate::text::shorten(fields.get("ssh_key"), 64),
        launch_key: String::new(),
        errors,
        error,
    };
    let refuse = async |errors: LaunchErrors, error: Option<&'static str>| {
        let page = new_page(&reader, &account, typed(errors, error)).await?;
        with_status(StatusCode::UNPROCESSABLE_ENTITY, &page)
    };
    let form = match LaunchForm::parse(&fields) {
        Ok(form) => form,
        Err(errors) => return refuse(errors, None).await,
    };
    let (id, default, name) = (account.id, reader.app.config.quota, form.name.clone());
    // Derived from the form's key: the second of two clicks can hand over the same private key as the first.
    let seed = reader.app.shared.derive("ssh-key", &[id.0.as_bytes(), form.launch_key.as_bytes()]);
    let (public, private) = NewKey::from_seed(form.name.clone(), &seed).map_err(Error::internal)?;
    let made = public.public_key.clone();
    let placed = reader.app.db.run(move |conn| place(conn, id, &form, public, default)).await?;
    match placed {
        Placed::Ordered(launched) => {
            fail::fail_point!("request_written");
            reader.app.work.notify_one();
            let mut response = if reader.htmx {
                HttpResponse::Accepted().insert_header(("HX-Location", "/instances")).finish()
            } else {
                see_other("/instances")
            };
            notice(&mut response, &reader, "notice.requested", &name)?;
            if launched.spec.public_key.as_ref() == Some(&made) {
                keys::hand_over(&mut response, &reader, &account, launched.id, &launched.spec.key_file, &private)?;
            }
            Ok(response)
        }
        Placed::Refused(errors, error) => refuse(errors, error).await,
    }
}

/// What became of an order.
enum Placed {
    Ordered(Launched),
    Refused(LaunchErrors, Option<&'static str>),
}

fn place(
    conn: &mut MysqlConnection,
    account: AccountId,
    form: &LaunchForm,
    made: NewKey,
    default: Quota,
) -> Result<Placed> {
    let wrong_template =
        |error| Ok(Placed::Refused(LaunchErrors { template_id: Some(error), ..LaunchErrors::default() }, None));
    let wrong_key = |error| Ok(Placed::Refused(LaunchErrors { ssh_key: Some(error), ..LaunchErrors::default() }, None));
    let template = match InstanceTemplate::find(conn, form.template) {
        Ok(template) if template.enabled => template,
        Ok(_) | Err(diesel::result::Error::NotFound) => return wrong_template("validation.template.unknown"),
        Err(error) => return Err(error.into()),
    };
    let catalogue = cloud_services::catalogue(conn, cloud_services::COMPUTE)?.map(|(catalogue, _)| catalogue);
    if !template.lacks(catalogue.as_ref()).is_empty() {
        return wrong_template("validation.template.unavailable");
    }
    let key = match form.key {
        KeyWish::Own(id) => KeyPlan::Own(id),
        KeyWish::New => KeyPlan::New(made),
        KeyWish::Default => KeyPlan::LatestOr(made),
    };
    let order = Order { name: &form.name, template: &template, key, launch_key: &form.launch_key };
    match Instance::launch(conn, account, &order, default) {
        Ok(launched) => Ok(Placed::Ordered(launched)),
        Err(LaunchRefusal::OverQuota) => Ok(Placed::Refused(LaunchErrors::default(), Some("quota.exceeded"))),
        Err(LaunchRefusal::UnknownKey) => wrong_key("validation.ssh_key.unknown"),
        Err(LaunchRefusal::TooManyKeys) => wrong_key("validation.public_key.too_many"),
        Err(LaunchRefusal::Database(error)) => Err(error.into()),
    }
}

async fn load_detail(
    reader: &Reader,
    request: &HttpRequest,
    account: &CurrentAccount,
    id: InstanceId,
) -> Result<super::views::Detail> {
    let owner = account.id;
    let (row, history, service) = reader
        .app
        .db
        .run(move |conn| {
            let row = Instance::find(conn, owner, id)?;
            Ok((row, events::latest(conn, id)?, CloudService::load(conn, cloud_services::COMPUTE)?))
        })
        .await?;
    let waiting = keys::is_waiting(request, reader, account, Some(id));
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    Ok(context.detail(&row, &history, waiting))
}

/// `GET /instances/{id}`
pub async fn show(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    path: web::Path<String>,
) -> Result<HttpResponse> {
    let detail = load_detail(&reader, &request, &account, instance_id(&path)?).await?;
    html(&ShowPage { page: reader.page(Menu::Instances), detail })
}

/// `GET /instances/{id}/detail`: what changes of that page.
pub async fn detail(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    path: web::Path<String>,
) -> Result<HttpResponse> {
    let id = instance_id(&path)?;
    let detail = load_detail(&reader, &request, &account, id).await;
    match detail {
        // It was deleted while somebody looked: to the list.
        Err(Error::NotFound) if reader.htmx => {
            Ok(HttpResponse::NotFound().insert_header(("HX-Redirect", "/instances")).finish())
        }
        Err(error) => Err(error),
        Ok(_) if !reader.htmx => Ok(see_other(&format!("/instances/{id}"))),
        Ok(detail) => fragment(&DetailFragment { page: reader.page(Menu::Instances), detail }),
    }
}

/// `GET /instances/{id}/row`: the row of the list.
pub async fn row(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let id = instance_id(&path)?;
    let fragment_of = row_fragment(&reader, account.id, id).await?;
    if reader.htmx { fragment(&fragment_of) } else { Ok(see_other(&format!("/instances/{id}"))) }
}

async fn row_fragment(reader: &Reader, account: AccountId, id: InstanceId) -> Result<RowFragment> {
    let (row, service) = reader
        .app
        .db
        .run(move |conn| Ok((Instance::find(conn, account, id)?, CloudService::load(conn, cloud_services::COMPUTE)?)))
        .await?;
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    Ok(RowFragment { row: context.row(&row), page: reader.page(Menu::Instances) })
}

/// `GET /instances/{id}/delete`: the question.
pub async fn confirm_delete(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let (id, owner) = (instance_id(&path)?, account.id);
    let (row, service) = reader
        .app
        .db
        .run(move |conn| Ok((Instance::find(conn, owner, id)?, CloudService::load(conn, cloud_services::COMPUTE)?)))
        .await?;
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    let size = context.size(row.vcpus, row.ram_mb, row.disk_gb);
    html(&DeletePage { row: context.row(&row), size, page: reader.page(Menu::Instances) })
}

async fn ask(
    action: Action,
    said: &'static str,
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    path: &str,
    fields: Fields,
) -> Result<HttpResponse> {
    let (id, owner) = (instance_id(path)?, account.id);
    let (asked, name) = reader
        .app
        .db
        .run(move |conn| Ok((Instance::request(conn, owner, id, action)?, Instance::find(conn, owner, id)?.name)))
        .await?;
    if !asked {
        return Err(Error::Conflict(reader.lang.t("notice.not_now").into_owned()));
    }
    fail::fail_point!("request_written");
    reader.app.work.notify_one();
    if reader.htmx {
        return match fields.get("view") {
            "detail" => {
                let detail = load_detail(&reader, &request, &account, id).await?;
                fragment(&DetailFragment { page: reader.page(Menu::Instances), detail })
            }
            "row" => fragment(&row_fragment(&reader, account.id, id).await?),
            _ => {
                let mut response = HttpResponse::Accepted().insert_header(("HX-Location", "/instances")).finish();
                notice(&mut response, &reader, said, &name)?;
                Ok(response)
            }
        };
    }
    let target = if action == Action::Delete || fields.get("view") == "row" {
        "/instances".to_owned()
    } else {
        format!("/instances/{id}")
    };
    let mut response = see_other(&target);
    notice(&mut response, &reader, said, &name)?;
    Ok(response)
}

macro_rules! action {
    ($(#[$doc:meta])* $name:ident, $action:ident, $said:literal) => {
        $(#[$doc])*
        pub async fn $name(
            reader: Reader,
            request: HttpRequest,
            account: CurrentAccount,
            path: web::Path<String>,
            fields: Fields,
        ) -> Result<HttpResponse> {
            ask(Action::$action, $said, reader, request, account, &path, fields).await
        }
    };
}

action!(
    /// `POST /instances/{id}/start`
    start,
    Start,
    "notice.start_requested"
);
action!(
    /// `POST /instances/{id}/stop`
    stop,
    Stop,
    "notice.stop_requested"
);
action!(
    /// `POST /instances/{id}/reboot`
    reboot,
    Reboot,
    "notice.reboot_requested"
);
action!(
    /// `POST /instances/{id}/delete`
    delete,
    Delete,
    "notice.delete_requested"
);
