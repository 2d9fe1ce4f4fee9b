//! Handlers of the admin's templates.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use chrono::{NaiveDateTime, TimeDelta};

use super::forms::{self, Errors, FIELDS};
use super::model::InstanceTemplate;
use super::views::{Choice, FormPage, IndexPage, Row};
use crate::cloud::{Catalogue, Named};
use crate::cloud_services::{self, COMPUTE};
use crate::db;
use crate::error::{Error, Result};
use crate::ids::TemplateId;
use crate::web::body::Fields;
use crate::web::format;
use crate::web::page::{Age, Field, Menu};
use crate::web::reader::{Admin, Reader};
use crate::web::respond::{html, notice, see_other, with_status};

fn template_id(path: &str) -> Result<TemplateId> {
    path.parse().map_err(|_| Error::NotFound)
}

fn age(reader: &Reader, at: Option<NaiveDateTime>) -> Age {
    let interval = i64::try_from(reader.app.config.sync.catalogue_seconds).unwrap_or(300);
    format::age(reader.lang, at, db::now(), TimeDelta::seconds(interval))
}

/// `GET /admin/templates`
pub async fn index(reader: Reader, _: Admin) -> Result<HttpResponse> {
    let (templates, catalogue) = reader
        .app
        .db
        .run(|conn| Ok((InstanceTemplate::list(conn, false)?, cloud_services::catalogue(conn, COMPUTE)?)))
        .await?;
    let (catalogue, at) = catalogue.map_or((None, None), |(catalogue, at)| (Some(catalogue), Some(at)));
    let rows = templates
        .iter()
        .map(|template| Row {
            id: template.id.to_string(),
            name: template.name.clone(),
            purpose: template.purpose(reader.lang).to_owned(),
            image: template.image.clone(),
            flavor: template.flavor.clone(),
            network: template.network.clone(),
            size: format!("{} vCPU · {} · {} GB", template.vcpus, format::megabytes(template.ram_mb), template.disk_gb),
            enabled: template.enabled,
            problem: template
                .lacks(catalogue.as_ref())
                .iter()
                .map(|what| reader.lang.t(&format!("templates.lacks.{what}")).into_owned())
                .collect::<Vec<_>>()
                .join(" "),
        })
        .collect();
    html(&IndexPage { rows, age: age(&reader, at), page: reader.page(Menu::Templates) })
}

fn choices(list: &[Named], chosen: &str, none: Option<String>) -> Vec<Choice> {
    let mut choices: Vec<Choice> = none
        .map(|label| Choice { value: String::new(), label, selected: chosen.is_empty() })
        .into_iter()
        .chain(list.iter().map(|named| Choice {
            value: named.name.clone(),
            label: named.name.clone(),
            selected: chosen == named.name || chosen == named.id,
        }))
        .collect();
    // What is set and the cloud does not have (now) stays chosen: saving something else must not change it.
    if !chosen.is_empty() && !choices.iter().any(|choice| choice.selected) {
        choices.push(Choice { value: chosen.to_owned(), label: chosen.to_owned(), selected: true });
    }
    choices
}

/// The page, from a template or from what was typed.
fn form_page(
    reader: &Reader,
    id: Option<TemplateId>,
    value: impl Fn(&str) -> String,
    enabled: bool,
    errors: &Errors,
    catalogue: Option<(Catalogue, NaiveDateTime)>,
) -> FormPage {
    let (catalogue, at) = catalogue.map_or((Catalogue::default(), None), |(catalogue, at)| (catalogue, Some(at)));
    let field = |name: &'static str| Field {
        value: value(name),
        error: errors.get(name).map(|key| reader.lang.t(key).into_owned()).unwrap_or_default(),
    };
    let flavors: Vec<Named> =
        catalogue.flavors.iter().map(|f| Named { id: f.id.clone(), name: f.name.clone() }).collect();
    let mut flavor_choices = choices(&flavors, &value("flavor"), None);
    for choice in &mut flavor_choices {
        if let Some(flavor) = catalogue.flavor(&choice.value) {
            let (ram, disk) = (format::megabytes(flavor.ram_mb), flavor.disk_gb);
            choice.label = format!("{} · {} vCPU · {ram} · {disk} GB", flavor.name, flavor.vcpus);
        }
    }
    let none = |key: &str| Some(reader.lang.t(key).into_owned());
    FormPage {
        id: id.map(|id| id.to_string()),
        images: choices(&catalogue.images, &value("image"), None),
        flavors: flavor_choices,
        networks: choices(&catalogue.networks, &value("network"), none("templates.network_only")),
        floating_networks: choices(
            &catalogue.external_networks,
            &value("floating_network"),
            none("templates.floating_none"),
        ),
        key_pairs: choices(&catalogue.key_pairs, &value("key_pair"), none("templates.key_pair_own")),
        name: field("name"),
        purpose_ko: field("purpose_ko"),
        purpose_en: field("purpose_en"),
        image: field("image"),
        flavor: field("flavor"),
        network: field("network"),
        floating_network: field("floating_network"),
        security_groups: field("security_groups"),
        key_pair: field("key_pair"),
        ssh_user: field("ssh_user"),
        user_data: field("user_data"),
        position: field("position"),
        enabled,
        age: age(reader, at),
        page: reader.page(Menu::Templates),
    }
}

fn value_of(template: &InstanceTemplate, name: &str) -> String {
    match name {
        "name" => template.name.clone(),
        "purpose_ko" => template.purpose_ko.clone(),
        "purpose_en" => template.purpose_en.clone(),
        "image" => template.image.clone(),
        "flavor" => template.flavor.clone(),
        "network" => template.network.clone(),
        "floating_network" => template.floating_network.clone(),
        "security_groups" => template.security_groups.clone(),
        "key_pair" => template.key_pair.clone(),
        "ssh_user" => template.ssh_user.clone(),
        "user_data" => template.user_data.clone(),
        "position" => template.position.to_string(),
        _ => String::new(),
    }
}

/// `GET /admin/templates/new`
pub async fn new(reader: Reader, _: Admin) -> Result<HttpResponse> {
    let catalogue = reader.app.db.run(|conn| Ok(cloud_services::catalogue(conn, COMPUTE)?)).await?;
    let value = |name: &str| match name {
        "security_groups" => "default".to_owned(),
        "ssh_user" => "ubuntu".to_owned(),
        "position" => "10".to_owned(),
        _ => String::new(),
    };
    html(&form_page(&reader, None, value, true, &Errors::new(), catalogue))
}

/// `GET /admin/templates/{id}/edit`
pub async fn edit(reader: Reader, _: Admin, path: web::Path<String>) -> Result<HttpResponse> {
    let id = template_id(&path)?;
    let (template, catalogue) = reader
        .app
        .db
        .run(move |conn| Ok((InstanceTemplate::find(conn, id)?, cloud_services::catalogue(conn, COMPUTE)?)))
        .await?;
    html(&form_page(&reader, Some(id), |name| value_of(&template, name), template.enabled, &Errors::new(), catalogue))
}

/// `POST /admin/templates`
pub async fn create(reader: Reader, admin: Admin, fields: Fields) -> Result<HttpResponse> {
    save(reader, admin, None, fields).await
}

/// `POST /admin/templates/{id}`
pub async fn update(reader: Reader, admin: Admin, path: web::Path<String>, fields: Fields) -> Result<HttpResponse> {
    let id = template_id(&path)?;
    save(reader, admin, Some(id), fields).await
}

async fn save(reader: Reader, _: Admin, id: Option<TemplateId>, fields: Fields) -> Result<HttpResponse> {
    let (before, catalogue) = reader
        .app
        .db
        .run(move |conn| {
            let before = id.map(|id| InstanceTemplate::find(conn, id)).transpose()?;
            Ok((before, cloud_services::catalogue(conn, COMPUTE)?))
        })
        .await?;
    // A template whose flavor stays the same keeps its sizes while the cloud can't be asked.
    let sizes = before
        .filter(|template| template.flavor == fields.get("flavor").trim())
        .map(|t| [t.vcpus, t.ram_mb, t.disk_gb, t.swap_mb]);
    let changes = match forms::parse(&fields, catalogue.as_ref().map(|(catalogue, _)| catalogue), sizes) {
        Ok(changes) => changes,
        Err(errors) => {
            let value = |name: &str| {
                let known = FIELDS.contains(&name);
                if known { crate::text::shorten(fields.get(name), 20_000) } else { String::new() }
            };
            let enabled = !fields.get("enabled").is_empty();
            let page = form_page(&reader, id, value, enabled, &errors, catalogue);
            return with_status(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    let name = changes.name.clone();
    reader
        .app
        .db
        .run(move |conn| {
            match id {
                Some(id) => InstanceTemplate::update(conn, id, &changes)?,
                None => drop(InstanceTemplate::create(conn, &changes)?),
            }
            Ok(())
        })
        .await?;
    let mut response = see_other("/admin/templates");
    notice(&mut response, &reader, "notice.template_saved", &name)?;
    Ok(response)
}

/// `POST /admin/templates/{id}/delete`
pub async fn delete(reader: Reader, _: Admin, path: web::Path<String>) -> Result<HttpResponse> {
    let id = template_id(&path)?;
    let name = reader
        .app
        .db
        .run(move |conn| {
            let name = InstanceTemplate::find(conn, id)?.name;
            InstanceTemplate::delete(conn, id)?;
            Ok(name)
        })
        .await?;
    let mut response = see_other("/admin/templates");
    notice(&mut response, &reader, "notice.template_deleted", &name)?;
    Ok(response)
}
