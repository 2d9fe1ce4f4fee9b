//! Health, for load balancers and scripts. A cloud that is down degrades the portal and does not unready it.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::app::App;
use crate::cloud_services::{COMPUTE, CloudService};

/// `GET /health/live`: the process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /health/ready`: the database answers.
pub async fn ready(app: web::Data<App>) -> HttpResponse {
    let asked = app.db.run(|conn| Ok(CloudService::load(conn, COMPUTE)?)).await;
    match asked {
        Ok(_) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(_) => HttpResponse::ServiceUnavailable().json(json!({ "status": "database unavailable" })),
    }
}

/// `GET /health`: both, in one word.
pub async fn health(app: web::Data<App>) -> HttpResponse {
    match app.db.run(|conn| Ok(CloudService::load(conn, COMPUTE)?)).await {
        Ok(service) if service.is_failing() => HttpResponse::Ok().json(json!({ "status": "degraded" })),
        Ok(_) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(_) => HttpResponse::ServiceUnavailable().json(json!({ "status": "unavailable" })),
    }
}
