//! Health, for load balancers and scripts: a word for everybody, and for admins what is behind it.
//!
//! The database and the portal's own loops decide whether this process is of use. A cloud that is down degrades the
//! portal and does not unready it.

use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use serde_json::{Value, json};

use crate::app::App;
use crate::cloud_services::{APPLICATIONS, COMPUTE, CloudService, OBJECTS};
use crate::db;
use crate::error::{Error, Result};
use crate::operations::model as operations;
use crate::session;

/// How long who asks for health waits for the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /health/live`: the process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// Asks the database, if it answers soon.
async fn ask<T: Send + 'static>(
    app: &App,
    question: impl FnOnce(&mut MysqlConnection) -> QueryResult<T> + Send + 'static,
) -> Result<T> {
    let asked = app.db.run(|conn| Ok(question(conn)?));
    tokio::time::timeout(PATIENCE, asked).await.map_err(|_| Error::Unavailable("no answer within 2 s".to_owned()))?
}

fn unready(status: &Value) -> HttpResponse {
    HttpResponse::ServiceUnavailable().json(status)
}

/// `GET /health/ready`: the database answers, the loops go round, and nobody has asked the process to stop.
pub async fn ready(app: web::Data<App>) -> HttpResponse {
    if app.is_closed() {
        return unready(&json!({ "status": "stopping" }));
    }
    if let Some(late) = app.pulse.late(Instant::now()) {
        return unready(&json!({ "status": "stalled", "loop": late.name }));
    }
    let one = |conn: &mut MysqlConnection| diesel::select(1.into_sql::<Integer>()).get_result::<i32>(conn);
    match ask(&app, one).await {
        Ok(_) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(_) => unready(&json!({ "status": "database unavailable" })),
    }
}

/// What the database knows that is of interest here.
struct Known {
    services: Vec<(&'static str, CloudService)>,
    is_admin: bool,
    open_operations: i64,
}

fn known(conn: &mut MysqlConnection, session: Option<&[u8]>) -> QueryResult<Known> {
    let mut services = Vec::new();
    for name in [COMPUTE, APPLICATIONS, OBJECTS] {
        services.push((name, CloudService::load(conn, name)?));
    }
    let is_admin = match session {
        Some(session) => session::is_admins(conn, session)?,
        None => false,
    };
    let open_operations = if is_admin { operations::open(conn)? } else { 0 };
    Ok(Known { services, is_admin, open_operations })
}

/// `GET /health`: all of it in one word; for an admin with what is behind it.
pub async fn health(request: HttpRequest, app: web::Data<App>) -> HttpResponse {
    let session = session::of_request(&request, &app);
    let Ok(known) = ask(&app, move |conn| known(conn, session.as_deref())).await else {
        return unready(&json!({ "status": "unavailable" }));
    };
    let stands = app.is_closed() || app.pulse.late(Instant::now()).is_some();
    let status = match known.services.iter().any(|(_, service)| service.is_failing()) {
        _ if stands => "unavailable",
        true => "degraded",
        false => "ok",
    };
    let mut answer = json!({ "status": status });
    if known.is_admin {
        details(&app, &known, &mut answer);
    }
    if stands { unready(&answer) } else { HttpResponse::Ok().json(answer) }
}

fn details(app: &App, known: &Known, answer: &mut Value) {
    let now = Instant::now();
    let loops: serde_json::Map<String, Value> = app
        .pulse
        .all()
        .into_iter()
        .map(|beat| {
            let age = beat.age(now).map(|age| age.as_secs());
            (beat.name.to_owned(), json!({ "age_seconds": age, "limit_seconds": beat.limit.as_secs() }))
        })
        .collect();
    let services: serde_json::Map<String, Value> =
        known.services.iter().map(|(name, service)| ((*name).to_owned(), told(service))).collect();
    let (used, most) = app.db.state();
    answer["services"] = services.into();
    answer["loops"] = loops.into();
    answer["operations"] = json!({ "open": known.open_operations });
    answer["database"] = json!({ "connections_used": used, "connections_max": most, "refusals": app.db.refused() });
}

/// A service as an admin is told of it. Times are UTC.
fn told(service: &CloudService) -> Value {
    let utc = |time: NaiveDateTime| time.and_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    json!({
        "failing_since": service.failing_since.map(utc),
        "error_class": service.error.as_deref().map(class),
        "error": service.error,
        "sync_age_seconds": service.last_ok_at.map(|time| (db::now() - time).num_seconds().max(0)),
        "sync_duration_ms": service.duration_ms,
    })
}

/// The first words of a [`CloudError`](crate::cloud::CloudError), which say of which kind it is.
fn class(error: &str) -> &str {
    error.split_once(':').map_or(error, |(class, _)| class)
}
