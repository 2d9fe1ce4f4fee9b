//! `fast-cloud check`: one table of what works, and what to do about what does not.

use std::time::Duration;

use crate::cloud::{Catalogue, CheckLine, CheckOutcome};
use crate::config::{ApplicationsKind, ComputeKind, Config, StorageKind};
use crate::db::{self, Db};
use crate::instance_templates::model::InstanceTemplate;
use crate::start;

/// Tries everything and prints the table; true when all of it works.
///
/// # Errors
/// None of what is tried; those are in the table.
pub async fn run(config: Config) -> anyhow::Result<bool> {
    let mut lines = Vec::new();
    let templates = check_database(&config, &mut lines).await;
    let catalogue = check_cloud(&config, &mut lines).await;
    match (&templates, &catalogue) {
        (Some(templates), Some(catalogue)) => {
            for template in templates.iter().filter(|template| template.enabled) {
                lines.push(check_template(template, catalogue));
            }
        }
        _ => lines.push(CheckLine {
            what: "Templates".to_owned(),
            outcome: CheckOutcome::Skipped("needs the database and the cloud".to_owned()),
        }),
    }
    check_containers(&config, &mut lines).await;
    check_registries(&config, &mut lines).await;
    print(&lines);
    Ok(!lines.iter().any(|line| matches!(line.outcome, CheckOutcome::Fails { .. })))
}

fn fails(problem: impl std::fmt::Display, advice: &str) -> CheckOutcome {
    CheckOutcome::Fails { problem: problem.to_string(), advice: advice.to_owned() }
}

async fn check_database(config: &Config, lines: &mut Vec<CheckLine>) -> Option<Vec<InstanceTemplate>> {
    let mut line = |outcome| lines.push(CheckLine { what: "Database".to_owned(), outcome });
    let (url, _embedded) = match start::database(config) {
        Ok(started) => started,
        Err(error) => {
            line(fails(format!("{error:#}"), "install mariadb-server-core, or set database.url"));
            return None;
        }
    };
    if let Err(error) = db::migrate(&url) {
        line(fails(
            format!("{error:#}"),
            "check database.url, that the database exists and that its user may create tables",
        ));
        return None;
    }
    let seeds = config.instance_templates.clone();
    let db = Db::new(&url, 1, Duration::from_secs(config.database.timeout_seconds));
    let read = db
        .run(move |conn| {
            InstanceTemplate::seed(conn, &seeds)?;
            let version = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("VERSION()"));
            let version: String = diesel::RunQueryDsl::get_result(version, conn)?;
            Ok((version, InstanceTemplate::list(conn, false)?))
        })
        .await;
    match read {
        Ok((version, templates)) => {
            let kind = if config.database.is_embedded() { "embedded" } else { "database.url" };
            line(CheckOutcome::Works(format!("{version} ({kind})")));
            Some(templates)
        }
        Err(error) => {
            line(fails(error, "check that the database server answers"));
            None
        }
    }
}

async fn check_cloud(config: &Config, lines: &mut Vec<CheckLine>) -> Option<Catalogue> {
    let infrastructure = match start::infrastructure(config) {
        Ok(infrastructure) => infrastructure,
        Err(error) => {
            let advice = match (config.cloud.compute, config.cloud.storage) {
                (ComputeKind::Practice, StorageKind::Practice) => "check data.dir",
                _ => "set OS_CLOUD and clouds.yaml, or the OS_* variables of an openrc file",
            };
            lines.push(CheckLine { what: "Cloud login".to_owned(), outcome: fails(format!("{error:#}"), advice) });
            return None;
        }
    };
    for line in infrastructure.compute.check().await.into_iter().chain(infrastructure.objects.check().await) {
        // Both may be behind one login.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    infrastructure.compute.catalogue().await.ok()
}

async fn check_containers(config: &Config, lines: &mut Vec<CheckLine>) {
    match start::containers(config).await {
        Ok(containers) => lines.extend(containers.cluster.check().await),
        Err(error) => {
            let advice = match config.cloud.applications {
                ApplicationsKind::Kubernetes => {
                    "set KUBECONFIG, or put the cluster's login into ~/.kube/config; see deploy/ for the portal's own"
                }
                ApplicationsKind::Practice => "check data.dir",
            };
            lines.push(CheckLine { what: "Cluster login".to_owned(), outcome: fails(format!("{error:#}"), advice) });
        }
    }
}

async fn check_registries(config: &Config, lines: &mut Vec<CheckLine>) {
    match start::images(config) {
        Ok(images) => lines.extend(images.check().await),
        Err(error) => {
            let outcome = fails(format!("{error:#}"), "check the section registries");
            lines.push(CheckLine { what: "Registries".to_owned(), outcome });
        }
    }
}

fn check_template(template: &InstanceTemplate, catalogue: &Catalogue) -> CheckLine {
    let what = format!("Template {}", template.name);
    let lacks = template.lacks(Some(catalogue));
    let outcome = if lacks.is_empty() {
        CheckOutcome::Works(format!("{} on {}", template.image, template.flavor))
    } else {
        let missing: Vec<String> = lacks
            .iter()
            .map(|what| match *what {
                "image" => format!("image {:?}", template.image),
                "flavor" => format!("flavor {:?}", template.flavor),
                "network" if template.network.is_empty() => "exactly one network to choose by itself".to_owned(),
                "network" => format!("network {:?}", template.network),
                "floating_network" => format!("external network {:?}", template.floating_network),
                "security_group" => format!("a security group of {:?}", template.security_groups),
                _ => format!("key pair {:?}", template.key_pair),
            })
            .collect();
        fails(
            format!("the cloud has no {}", missing.join(", no ")),
            "make it in the cloud, or choose another in the portal under templates (at /admin/templates)",
        )
    };
    CheckLine { what, outcome }
}

fn print(lines: &[CheckLine]) {
    let width = lines.iter().map(|line| line.what.chars().count()).max().unwrap_or(0);
    for line in lines {
        let what = format!("{:width$}", line.what);
        match &line.outcome {
            CheckOutcome::Works(found) => println!("ok    {what}  {found}"),
            CheckOutcome::Skipped(why) => println!("skip  {what}  {why}"),
            CheckOutcome::Fails { problem, advice } => {
                println!("FAIL  {what}  {problem}");
                println!("      {:width$}  -> {advice}", "");
            }
        }
    }
}
