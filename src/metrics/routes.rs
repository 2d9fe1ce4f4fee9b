//! `GET /metrics`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::scrape;
use crate::app::App;
use crate::error::{Error, Result};
use crate::web::reader::client_address;

/// `GET /metrics`: for those whose address is allowed; for others there is no such page.
pub async fn show(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    if !is_allowed(&request, &app) {
        return Err(Error::NotFound);
    }
    let text = scrape::scrape(&app).await.map_err(Error::internal)?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, prometheus::TEXT_FORMAT)).body(text))
}

fn is_allowed(request: &HttpRequest, app: &App) -> bool {
    let trusted = &app.config.server.trusted_proxies;
    // A proxy on this machine that nobody has named would let everybody in as 127.0.0.1.
    let forwarded = ["x-forwarded-for", "forwarded"].iter().any(|name| request.headers().contains_key(*name));
    if forwarded && !request.peer_addr().is_some_and(|peer| trusted.contains(&peer.ip())) {
        return false;
    }
    let Some(address) = client_address(request, trusted).map(|address| address.to_canonical()) else { return false };
    app.config.metrics.allow.iter().any(|network| network.contains(&address))
}
