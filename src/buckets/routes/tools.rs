//! Handlers of a bucket's credentials for tools.

use actix_web::{HttpResponse, web};
use chrono::TimeDelta;

use super::{load_usable, swift_api};
use crate::buckets::model::tokens::{Token, secret};
use crate::buckets::present::time_left;
use crate::buckets::views::{TokenLine, ToolsPage};
use crate::db;
use crate::error::{Error, Result};
use crate::ids::TokenId;
use crate::web::body::Fields;
use crate::web::format;
use crate::web::page::Menu;
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{html, notice, see_other};

/// Days that a credential lives at most.
const MOST_DAYS: i64 = 30;

/// `GET /buckets/{name}/tools`
pub async fn index(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path).await?;
    let id = bucket.id;
    let tokens = reader.app.db.run(move |conn| Ok(Token::list(conn, id)?)).await?;
    let (lang, now, zone) = (reader.lang, db::now(), reader.app.config.server.time_zone);
    let line = |token: &Token| TokenLine {
        id: token.id.to_string(),
        secret: secret(&reader.app.shared, token.id),
        rights: lang.t(if token.writes { "buckets.tools.writes" } else { "buckets.tools.reads" }).into_owned(),
        expires: time_left(lang, token.expires_at, now),
        expires_at: format::full(token.expires_at, zone),
        used: match token.last_at {
            Some(at) => lang.t1("buckets.tools.used", "when", format::when(lang, at, now, zone)).into_owned(),
            None => lang.t("buckets.tools.unused").into_owned(),
        },
        revoke_url: format!("/buckets/{}/tools/{}/delete", bucket.name, token.id),
    };
    let url = format!("{}{}", reader.app.config.server.public_url(), swift_api::PATH);
    html(&ToolsPage {
        tokens: tokens.iter().map(line).collect(),
        days: [1_u32, 7, 30].map(|n| (n, lang.t1("buckets.links.days", "n", n).into_owned())).to_vec(),
        bucket: bucket.name,
        url,
        page: reader.page(Menu::Buckets),
    })
}

/// `POST /buckets/{name}/tools`: fields `days`, `writes`.
pub async fn create(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    fields: Fields,
) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path).await?;
    let days = fields.get("days").parse::<i64>().unwrap_or(1).clamp(1, MOST_DAYS);
    let (row, writes) = (bucket.clone(), !fields.get("writes").is_empty());
    let made = reader.app.db.run(move |conn| Ok(Token::create(conn, &row, writes, TimeDelta::days(days))?)).await?;
    if made.is_none() {
        return Err(Error::Conflict(reader.lang.t("buckets.tools.too_many").into_owned()));
    }
    let mut response = see_other(&format!("/buckets/{}/tools", bucket.name));
    notice(&mut response, &reader, "notice.token_made", "")?;
    Ok(response)
}

/// `POST /buckets/{name}/tools/{id}/delete`
pub async fn delete(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let (name, id) = path.into_inner();
    let bucket = load_usable(&reader, account.id, &name).await?;
    let id: TokenId = id.parse().map_err(|_| Error::NotFound)?;
    let of = bucket.id;
    if !reader.app.db.run(move |conn| Ok(Token::revoke(conn, of, id)?)).await? {
        return Err(Error::NotFound);
    }
    let mut response = see_other(&format!("/buckets/{}/tools", bucket.name));
    notice(&mut response, &reader, "notice.token_revoked", "")?;
    Ok(response)
}
