//! Handlers of the admin's page of the cloud.

use actix_web::HttpResponse;

use super::views::{CloudPage, ClusterCard, StrayRow};
use crate::applications::present::Context as Containers;
use crate::applications::strays as cluster_strays;
use crate::cloud::cluster::object_name;
use crate::cloud_services::{self, APPLICATIONS, COMPUTE, CloudService};
use crate::error::Result;
use crate::instances::present::Context;
use crate::operations::model as operations;
use crate::strays;
use crate::web::format;
use crate::web::page::Menu;
use crate::web::reader::{Admin, Reader};
use crate::web::respond::html;

async fn cluster(reader: &Reader) -> Result<ClusterCard> {
    let (service, strays) =
        reader.app.db.run(|conn| Ok((CloudService::load(conn, APPLICATIONS)?, cluster_strays::list(conn)?))).await?;
    let context = Containers::new(reader.lang, &reader.app, &service, reader.csrf_token());
    let zone = reader.app.config.server.time_zone;
    let t = |key: &str| reader.lang.t(key).into_owned();
    let problem = service.failing_since.map(|since| {
        let time = format::clock(since, context.now, zone);
        reader.lang.t1("cloud.silent_since", "time", &time).into_owned()
    });
    Ok(ClusterCard {
        kind: t(if reader.app.cluster.simulated() { "cloud.practice" } else { "cloud.kubernetes" }),
        problem: problem.unwrap_or_default(),
        problem_detail: service.error.clone().unwrap_or_default(),
        age: context.age(),
        facts: vec![
            (t("cloud.facts_applications"), service.seen.to_string()),
            (t("cloud.facts_duration"), format!("{} ms", service.duration_ms)),
        ],
        strays: strays
            .into_iter()
            .map(|stray| StrayRow {
                server_id: object_name(stray.application_id),
                name: stray.namespace,
                reason: t(&format!("cloud.stray_{}", stray.reason)),
                first_seen: format::full(stray.first_seen_at, zone),
            })
            .collect(),
    })
}

/// `GET /admin/cloud`
pub async fn cloud(reader: Reader, _: Admin) -> Result<HttpResponse> {
    let (service, catalogue, strays, open) = reader
        .app
        .db
        .run(|conn| {
            Ok((
                CloudService::load(conn, COMPUTE)?,
                cloud_services::catalogue(conn, COMPUTE)?,
                strays::list(conn)?,
                operations::open(conn)?,
            ))
        })
        .await?;
    let context = Context::new(reader.lang, &reader.app, &service, reader.csrf_token());
    let zone = reader.app.config.server.time_zone;
    let t = |key: &str| reader.lang.t(key).into_owned();
    let mut facts = vec![
        (t("cloud.facts_servers"), service.seen.to_string()),
        (t("cloud.facts_duration"), format!("{} ms", service.duration_ms)),
        (t("cloud.facts_operations"), open.to_string()),
    ];
    if let Some(limits) = catalogue.and_then(|(catalogue, _)| catalogue.limits) {
        // Without a limit there is nothing to say: a bare number would read as one.
        let of = |used: u32, limit: u32| format!("{used} / {limit}");
        if let Some(limit) = limits.instances {
            facts.push((t("cloud.facts_limit_instances"), of(limits.instances_used, limit)));
        }
        if let Some(limit) = limits.vcpus {
            facts.push((t("cloud.facts_limit_vcpus"), of(limits.vcpus_used, limit)));
        }
        if let Some(limit) = limits.ram_mb {
            let text = format!("{} / {}", format::megabytes(limits.ram_mb_used), format::megabytes(limit));
            facts.push((t("cloud.facts_limit_ram"), text));
        }
    }
    let problem = service.failing_since.map(|since| {
        let time = format::clock(since, context.now, zone);
        reader.lang.t1("cloud.silent_since", "time", &time).into_owned()
    });
    html(&CloudPage {
        compute: t(if reader.app.compute.simulated() { "cloud.practice" } else { "cloud.openstack" }),
        answering: problem.is_none(),
        problem: problem.unwrap_or_default(),
        problem_detail: service.error.clone().unwrap_or_default(),
        age: context.age(),
        facts,
        strays: strays
            .into_iter()
            .map(|stray| StrayRow {
                server_id: stray.nova_id.to_string(),
                name: stray.name,
                reason: t(&format!("cloud.stray_{}", stray.reason)),
                first_seen: format::full(stray.first_seen_at, zone),
            })
            .collect(),
        cluster: cluster(&reader).await?,
        page: reader.page(Menu::Cloud),
    })
}
