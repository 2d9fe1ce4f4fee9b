//! Deploying: the forms, what is known while they are filled in, and what is sent.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::{Found, answer, application_id};
use crate::applications::forms::{self, ChangeForm, DeployForm, Errors, Image, USUAL_PORT};
use crate::applications::model::{self, Application, Deployed, NewApplication, Redeployment, Refusal};
use crate::applications::present::{Context, Inspected};
use crate::applications::views::{EditPage, ImageFragment, NameCheck, NameFragment, NewPage};
use crate::cloud_services::{self, CloudService};
use crate::error::{Error, Result};
use crate::ids::{AccountId, ApplicationId};
use crate::operations::model::Action;
use crate::quotas::{self, AppUsage};
use crate::registry::ImageReference;
use crate::validation::Checked;
use crate::web::body::Fields;
use crate::web::page::{Field, Menu};
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{fragment, html, notice, see_other, with_status};

/// What may be filled in beforehand, and asked while it is typed.
#[derive(Debug, Deserialize)]
pub struct Prefill {
    #[serde(default)]
    name: String,
    #[serde(default)]
    image: String,
}

impl Prefill {
    fn query(name: &str, value: &str) -> String {
        let value = crate::text::shorten(value, 512);
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish();
        format!("/applications/new?{query}")
    }
}

/// Sentences that are more than a field's.
#[derive(Default)]
struct Said {
    /// About the image, with its values in it; empty when there is none.
    image: String,
    /// Above the button.
    above: Option<&'static str>,
}

async fn name_check(reader: &Reader, context: &Context<'_>, name: &str) -> Result<NameCheck> {
    let checked = forms::address_of(name, &reader.app.config.applications.reserved_names).map(|(_, label)| label);
    let free = match &checked {
        Ok(label) => {
            let label = label.text.clone();
            reader.app.db.run(move |conn| Ok(model::host_is_free(conn, &label)?)).await?
        }
        Err(_) => false,
    };
    Ok(context.name_check(&checked, free))
}

/// Asks the registry, which ends within its time limit.
async fn inspect(reader: &Reader, image: &ImageReference) -> Inspected {
    reader.app.images.inspect(image, &reader.app.config.kubernetes.architectures).await
}

async fn service(reader: &Reader) -> Result<CloudService> {
    reader.app.db.run(|conn| Ok(CloudService::load(conn, cloud_services::APPLICATIONS)?)).await
}

/// `GET /applications/check?name=`: the address that a name gets.
pub async fn check(reader: Reader, _account: CurrentAccount, query: web::Query<Prefill>) -> Result<HttpResponse> {
    if !reader.htmx {
        return Ok(see_other(&Prefill::query("name", &query.name)));
    }
    let service = service(&reader).await?;
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    fragment(&NameFragment {
        page: reader.page(Menu::Applications),
        name_check: name_check(&reader, &context, &query.name).await?,
        placeholder: context.url_placeholder(),
    })
}

/// `GET /applications/image?image=`: what is known of an image.
pub async fn image(reader: Reader, _account: CurrentAccount, query: web::Query<Prefill>) -> Result<HttpResponse> {
    if !reader.htmx {
        return Ok(see_other(&Prefill::query("image", &query.image)));
    }
    let service = service(&reader).await?;
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    let image_check = match ImageReference::parse(&query.image) {
        Ok(image) => context.image_check(&inspect(&reader, &image).await),
        Err(sentence) => context.image_mistake(sentence),
    };
    fragment(&ImageFragment { page: reader.page(Menu::Applications), image_check })
}

async fn new_page(reader: &Reader, account: AccountId, typed: &Fields, errors: &Errors, said: Said) -> Result<NewPage> {
    let default = reader.app.config.quota;
    let (usage, limit, service) = reader
        .app
        .db
        .run(move |conn| {
            Ok((
                Application::counts(conn, account)?.usage,
                quotas::limit(conn, account, default)?,
                CloudService::load(conn, cloud_services::APPLICATIONS)?,
            ))
        })
        .await?;
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    let can_deploy = usage.applications < limit.applications;
    let above = said.above.or((!can_deploy).then_some("quota.app_exceeded"));
    let mut form = context.new_form(typed, errors);
    form.error = above.map(|key| reader.lang.t(key).into_owned()).unwrap_or_default();
    if !said.image.is_empty() {
        form.image.error = said.image;
    }
    let name = crate::text::shorten(typed.get("name"), 200);
    let name_check = if name.trim().is_empty() || errors.get("name").is_some() {
        None
    } else {
        Some(name_check(reader, &context, &name).await?)
    };
    let after = AppUsage { applications: usage.applications + 1, ..usage };
    Ok(NewPage {
        name: Field {
            value: name,
            error: errors.get("name").map(|key| reader.lang.t(key).into_owned()).unwrap_or_default(),
        },
        name_check,
        placeholder: context.url_placeholder(),
        launch_key: crate::random::token(),
        quota: context.quota(usage, limit),
        after: context.quota(after, limit).swap_remove(0),
        can_deploy,
        form,
        page: reader.page(Menu::Applications),
    })
}

/// `GET /applications/new`: empty, or with a name and an image that are looked at.
pub async fn new(reader: Reader, account: CurrentAccount, query: web::Query<Prefill>) -> Result<HttpResponse> {
    let typed = Fields::of([("name", query.name.as_str()), ("image", query.image.as_str())]);
    let mut page = new_page(&reader, account.id, &typed, &Errors::default(), Said::default()).await?;
    if !query.image.trim().is_empty() {
        let service = service(&reader).await?;
        let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
        let check = match ImageReference::parse(&query.image) {
            Ok(image) => context.image_check(&inspect(&reader, &image).await),
            Err(sentence) => context.image_mistake(sentence),
        };
        if let Some(port) = check.port {
            page.form.port_guess = port.to_string();
            page.form.internal_port.value = port.to_string();
        }
        page.form.image_check = Some(check);
    }
    html(&page)
}

/// What is deployed of an image: where it listens as far as is known, or the sentence that forbids it.
struct Known {
    exposed_ports: Vec<u16>,
}

async fn known(reader: &Reader, image: &Image) -> std::result::Result<Known, crate::registry::RegistryError> {
    match inspect(reader, &image.reference).await {
        Ok(facts) => Ok(Known { exposed_ports: facts.ports }),
        Err(error) if error.forbids_deploying() => Err(error),
        // A registry that does not answer us may answer the cluster.
        Err(_) => Ok(Known { exposed_ports: Vec::new() }),
    }
}

/// `POST /applications`: 202 for htmx, 303 for a plain form, 422 with what is wrong.
pub async fn create(reader: Reader, account: CurrentAccount, fields: Fields) -> Result<HttpResponse> {
    let refuse = async |errors: Errors, said: Said| {
        let page = new_page(&reader, account.id, &fields, &errors, said).await?;
        with_status(StatusCode::UNPROCESSABLE_ENTITY, &page)
    };
    let config = &reader.app.config.applications;
    let form = match DeployForm::parse(&fields, &config.reserved_names, config.max_replicas) {
        Ok(form) => form,
        Err(errors) => return refuse(errors, Said::default()).await,
    };
    let known = match known(&reader, &form.image).await {
        Ok(known) => known,
        Err(error) => {
            let image = Context::say_image(reader.lang, &error);
            return refuse(Errors::default(), Said { image, above: None }).await;
        }
    };
    let (id, name) = (account.id, form.name.clone());
    let order = NewApplication {
        name: form.name,
        host_label: form.label.text,
        image: form.image.typed,
        image_reference: form.image.reference.canonical(),
        internal_port: form.internal_port.or(known.exposed_ports.first().copied()).unwrap_or(USUAL_PORT),
        exposed_ports: known.exposed_ports,
        external_port: form.external_port,
        replicas: form.replicas,
        size: form.size,
        variables: form.variables,
        secrets: form.secrets,
        launch_key: form.launch_key,
    };
    match deploy(&reader, id, order).await? {
        None => {}
        Some(Refusal::HostTaken) => {
            let errors = Errors::of("name", "validation.app_name.taken");
            return refuse(errors, Said::default()).await;
        }
        Some(_) => {
            return refuse(Errors::default(), Said { above: Some("quota.app_exceeded"), ..Said::default() }).await;
        }
    }
    fail::fail_point!("request_written");
    reader.app.work.notify_one();
    let mut response = if reader.htmx {
        HttpResponse::Accepted().insert_header(("HX-Location", "/applications")).finish()
    } else {
        see_other("/applications")
    };
    notice(&mut response, &reader, "notice.app_requested", &name)?;
    Ok(response)
}

/// None when it is on its way.
async fn deploy(reader: &Reader, account: AccountId, order: NewApplication) -> Result<Option<Refusal>> {
    let app = reader.app.clone().into_inner();
    reader
        .app
        .db
        .run(move |conn| {
            let (quota, shared, config) = (app.config.quota, &app.shared, &app.config.applications);
            refused(Application::deploy(conn, account, &order, quota, shared, config).map(|_| ()))
        })
        .await
}

fn refused(done: std::result::Result<(), Refusal>) -> Result<Option<Refusal>> {
    match done {
        Ok(()) => Ok(None),
        Err(Refusal::Database(error)) => Err(error.into()),
        Err(refusal) => Ok(Some(refusal)),
    }
}

async fn edit_page(
    reader: &Reader,
    account: AccountId,
    id: ApplicationId,
    typed: &Fields,
    errors: &Errors,
    said: Said,
) -> Result<EditPage> {
    let default = reader.app.config.quota;
    let (found, usage, limit) = reader
        .app
        .db
        .run(move |conn| {
            let found = Found::load(conn, account, id)?;
            Ok((found, Application::counts(conn, account)?.usage, quotas::limit(conn, account, default)?))
        })
        .await?;
    let context = found.context(reader);
    let mut form = context.edit_form(&found.deployed, typed, errors);
    form.error = said.above.map(|key| reader.lang.t(key).into_owned()).unwrap_or_default();
    if !said.image.is_empty() {
        form.image.error = said.image;
    }
    Ok(EditPage {
        row: found.shown(reader),
        form,
        quota: context.quota(usage, limit),
        page: reader.page(Menu::Applications),
    })
}

/// `GET /applications/{id}/edit`
pub async fn edit(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let id = application_id(&path)?;
    html(&edit_page(&reader, account.id, id, &Fields::default(), &Errors::default(), Said::default()).await?)
}

/// What a change starts from: what is deployed, or a former deployment.
async fn base(
    reader: &Reader,
    account: AccountId,
    id: ApplicationId,
    revision: Option<u32>,
) -> Result<(Found, Deployed)> {
    reader
        .app
        .db
        .run(move |conn| {
            let found = Found::load(conn, account, id)?;
            let base = match revision.filter(|revision| *revision != found.deployed.revision) {
                Some(revision) => Application::deployed(conn, account, id, revision)?,
                None => found.deployed.clone(),
            };
            Ok((found, base))
        })
        .await
}

/// The change with what stays filled in, and its image looked at.
fn redeployment(form: ChangeForm, base: &Deployed, image: &Image, known: Known) -> Redeployment {
    let same_image = image.reference.canonical() == base.image_reference;
    let exposed_ports = match known.exposed_ports {
        ports if ports.is_empty() && same_image => base.exposed_ports.clone(),
        ports => ports,
    };
    let internal_port = match form.internal_port {
        None => base.internal_port,
        Some(Some(port)) => port,
        Some(None) => exposed_ports.first().copied().unwrap_or(base.internal_port),
    };
    Redeployment {
        image: image.typed.clone(),
        image_reference: image.reference.canonical(),
        exposed_ports,
        internal_port,
        external_port: form.external_port.unwrap_or(base.external_port),
        replicas: form.replicas.unwrap_or(base.replicas),
        size: form.size.unwrap_or(base.size),
        secrets_kept: base.secret_names.iter().filter(|name| !form.secrets_removed.contains(name)).cloned().collect(),
        variables: form.variables.unwrap_or_else(|| base.variables.clone()),
        secrets_set: form.secrets_set,
    }
}

/// A kept secret variable has the name of a plain one.
fn shadowed(change: &Redeployment) -> bool {
    let plain = |name: &String| change.variables.iter().any(|(other, _)| other == name);
    change.secrets_kept.iter().any(plain) || change.secrets_set.iter().any(|(name, _)| plain(name))
}

/// `POST /applications/{id}/redeploy`: without fields the same again, its image asked for anew; fields change it.
pub async fn redeploy(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    fields: Fields,
) -> Result<HttpResponse> {
    let (id, owner) = (application_id(&path)?, account.id);
    let parsed = ChangeForm::parse(&fields, reader.app.config.applications.max_replicas);
    let revision = parsed.as_ref().ok().and_then(|form| form.revision);
    let (found, base) = base(&reader, owner, id, revision).await?;
    if !found.row.allows(Action::Redeploy) {
        return Err(Error::Conflict(reader.lang.t("notice.not_now").into_owned()));
    }
    let form = match parsed {
        Ok(form) => form,
        Err(errors) => return refuse(&reader, owner, id, &fields, errors, Said::default()).await,
    };
    let image = match &form.image {
        Some(image) => image.clone(),
        None => Image { typed: base.image.clone(), reference: reference(&base)? },
    };
    let known = match known(&reader, &image).await {
        Ok(known) => known,
        Err(error) => {
            let said = Said { image: Context::say_image(reader.lang, &error), above: None };
            return refuse(&reader, owner, id, &fields, Errors::default(), said).await;
        }
    };
    let change = redeployment(form, &base, &image, known);
    if shadowed(&change) {
        let errors = Errors::of("secrets", "validation.variables.twice");
        return refuse(&reader, owner, id, &fields, errors, Said::default()).await;
    }
    match place(&reader, owner, id, change).await? {
        None => {}
        Some(Refusal::NotNow | Refusal::HostTaken) => {
            return Err(Error::Conflict(reader.lang.t("notice.not_now").into_owned()));
        }
        Some(_) => {
            let said = Said { above: Some("quota.app_exceeded"), ..Said::default() };
            return refuse(&reader, owner, id, &fields, Errors::default(), said).await;
        }
    }
    fail::fail_point!("request_written");
    reader.app.work.notify_one();
    let said = ("notice.app_redeploy_requested", found.row.name.as_str());
    answer(&reader, owner, id, &fields, said, &format!("/applications/{id}")).await
}

/// The form with what is wrong. A button elsewhere on a page has no form to show that in: it is told in the corner.
async fn refuse(
    reader: &Reader,
    account: AccountId,
    id: ApplicationId,
    fields: &Fields,
    errors: Errors,
    said: Said,
) -> Result<HttpResponse> {
    if reader.htmx && matches!(fields.get("view"), "detail" | "row") {
        let sentence = errors.first().or(said.above).map(|key| reader.lang.t(key).into_owned());
        let sentence = if said.image.is_empty() { sentence } else { Some(said.image) };
        return Err(Error::Conflict(sentence.unwrap_or_else(|| reader.lang.t("notice.not_now").into_owned())));
    }
    let page = edit_page(reader, account, id, fields, &errors, said).await?;
    with_status(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

fn reference(base: &Deployed) -> Result<ImageReference> {
    let parsed: Checked<ImageReference> = ImageReference::parse(&base.image_reference);
    parsed.map_err(|sentence| Error::internal(format!("the stored image {}: {sentence}", base.image_reference)))
}

async fn place(
    reader: &Reader,
    account: AccountId,
    id: ApplicationId,
    change: Redeployment,
) -> Result<Option<Refusal>> {
    let app = reader.app.clone().into_inner();
    reader
        .app
        .db
        .run(move |conn| {
            let (quota, shared, config) = (app.config.quota, &app.shared, &app.config.applications);
            refused(Application::redeploy(conn, account, id, &change, quota, shared, config))
        })
        .await
}
