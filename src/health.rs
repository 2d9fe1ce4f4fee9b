//! Health, for load balancers and scripts. A cloud that is down degrades the portal and does not unready it.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::app::App;
use crate::cloud_services::{APPLICATIONS, COMPUTE, CloudService};
use crate::error::{Error, Result};

/// `GET /health/live`: the process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// Whether a cloud is failing, if the database answers soon: who asks for health waits no longer.
async fn is_degraded(app: &App) -> Result<bool> {
    let asked = app.db.run(|conn| {
        let (compute, cluster) = (CloudService::load(conn, COMPUTE)?, CloudService::load(conn, APPLICATIONS)?);
        Ok(compute.is_failing() || cluster.is_failing())
    });
    tokio::time::timeout(Duration::from_secs(2), asked)
        .await
        .map_err(|_| Error::Unavailable("no answer within 2 s".to_owned()))?
}

/// `GET /health/ready`: the database answers.
pub async fn ready(app: web::Data<App>) -> HttpResponse {
    match is_degraded(&app).await {
        Ok(_) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(_) => HttpResponse::ServiceUnavailable().json(json!({ "status": "database unavailable" })),
    }
}

/// `GET /health`: both, in one word.
pub async fn health(app: web::Data<App>) -> HttpResponse {
    match is_degraded(&app).await {
        Ok(true) => HttpResponse::Ok().json(json!({ "status": "degraded" })),
        Ok(false) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(_) => HttpResponse::ServiceUnavailable().json(json!({ "status": "unavailable" })),
    }
}
