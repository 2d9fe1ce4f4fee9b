//! Handlers of share links.

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::{load_usable, objects, soon};
use crate::app::App;
use crate::buckets::file_path;
use crate::buckets::model::links::{ShareLink, token};
use crate::buckets::present::Context;
use crate::buckets::views::LinksPage;
use crate::cloud::objects::ObjectKey;
use crate::cloud_services::{self, CloudService};
use crate::error::{Error, Result};
use crate::ids::ShareLinkId;
use crate::web::body::Fields;
use crate::web::page::Menu;
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{html, notice, see_other};

/// `GET /buckets/{name}/links`
pub async fn index(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path).await?;
    let id = bucket.id;
    let (links, service) = reader
        .app
        .db
        .run(move |conn| Ok((ShareLink::list(conn, id, None)?, CloudService::load(conn, cloud_services::OBJECTS)?)))
        .await?;
    let context = Context::new(reader.lang, &reader.app, &service);
    let links = links.iter().filter_map(|link| context.link(&bucket.name, link)).collect();
    html(&LinksPage { bucket: bucket.name, links, page: reader.page(Menu::Buckets) })
}

/// `POST /buckets/{name}/links`: fields `key`, `days`.
pub async fn create(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    fields: Fields,
) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path).await?;
    let key = ObjectKey::parse(fields.get("key")).map_err(|_| Error::NotFound)?;
    let most = i64::from(reader.app.config.buckets.share_days);
    let days = fields.get("days").parse::<i64>().unwrap_or(7).clamp(1, most.max(1));
    // A link to nothing would be no help.
    soon(reader.app.objects.head(&bucket.name, &key)).await?;
    let (row, of) = (bucket.clone(), key.clone());
    let made = reader.app.db.run(move |conn| Ok(ShareLink::create(conn, &row, &of, TimeDelta::days(days))?)).await?;
    if made.is_none() {
        return Err(Error::Conflict(reader.lang.t("buckets.links.too_many").into_owned()));
    }
    let mut response = see_other(&format!("{}#links", file_path(&bucket.name, key.as_str())));
    notice(&mut response, &reader, "notice.link_made", "")?;
    Ok(response)
}

/// `POST /buckets/{name}/links/{id}/delete`
pub async fn delete(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<(String, String)>,
    fields: Fields,
) -> Result<HttpResponse> {
    let (name, id) = path.into_inner();
    let bucket = load_usable(&reader, account.id, &name).await?;
    let id: ShareLinkId = id.parse().map_err(|_| Error::NotFound)?;
    let of = bucket.id;
    if !reader.app.db.run(move |conn| Ok(ShareLink::revoke(conn, of, id)?)).await? {
        return Err(Error::NotFound);
    }
    let target = match ObjectKey::parse(fields.get("key")) {
        Ok(key) => format!("{}#links", file_path(&bucket.name, key.as_str())),
        Err(_) => format!("/buckets/{}/links", bucket.name),
    };
    let mut response = see_other(&target);
    notice(&mut response, &reader, "notice.link_revoked", "")?;
    Ok(response)
}

/// `GET /share/{id}/{token}`: the file, for whoever has the link. What has expired, was taken back or never was, is the
/// same.
pub async fn open(
    app: web::Data<App>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let (id, given) = path.into_inner();
    let id: ShareLinkId = id.parse().map_err(|_| Error::NotFound)?;
    // Digests, so that how long the comparison takes says nothing.
    if Sha256::digest(&given) != Sha256::digest(token(&app.shared, id)) {
        return Err(Error::NotFound);
    }
    let (link, bucket) = app.db.run(move |conn| Ok(ShareLink::open(conn, id)?)).await?;
    let key = link.key().filter(|_| bucket.is_usable()).ok_or(Error::NotFound)?;
    let response = objects::send(app.objects.as_ref(), &request, &bucket.name, &key).await?;
    let begins = match request.headers().get(header::RANGE).and_then(|range| range.to_str().ok()) {
        None => true,
        // The rest of a download that broke off is the same download.
        Some(range) => range.starts_with("bytes=0-"),
    };
    if request.method() == Method::GET && response.status().is_success() && begins {
        app.db.run(move |conn| Ok(ShareLink::used(conn, id)?)).await?;
    }
    Ok(response)
}
