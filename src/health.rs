//! Health, for load balancers and scripts. A cloud that is down degrades the portal and does not unready it.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::app::App;
use crate::cloud_services::{COMPUTE, CloudService};
use crate::error::{Error, Result};

/// `GET /health/live`: the process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// What is known of the cloud, if the database answers soon: who asks for health waits no longer.
async fn service(app: &App) -> Result<CloudService> {
    let asked = app.db.run(|conn| Ok(CloudService::load(conn, COMPUTE)?));
    tokio::time::timeout(Duration::from_secs(2), asked)
        .await
        .map_err(|_| Error::Unavailable("no answer within 2 s".to_owned()))?
}

/// `GET /health/ready`: the database answers.
pub async fn ready(app: web::Data<App>) -> HttpResponse {
    match service(&app).await {
        Ok(_) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(_) => HttpResponse::ServiceUnavailable().json(json!({ "status": "database unavailable" })),
    }
}

/// `GET /health`: both, in one word.
pub async fn health(app: web::Data<App>) -> HttpResponse {
    match service(&app).await {
        Ok(service) if service.is_failing() => HttpResponse::Ok().json(json!({ "status": "degraded" })),
        Ok(_) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(_) => HttpResponse::ServiceUnavailable().json(json!({ "status": "unavailable" })),
    }
}
