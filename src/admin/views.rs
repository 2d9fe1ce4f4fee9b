//! The admin's page of the cloud: whether it answers, and what in it is nobody's.

use askama::Template;

use crate::web::page::{Age, Page};

/// A machine in the cloud that carries our mark but fits no row.
#[derive(Debug, Clone, Default)]
pub struct StrayRow {
    pub server_id: String,
    pub name: String,
    /// Why it is listed, in words.
    pub reason: String,
    pub first_seen: String,
}

/// The cluster that runs containers.
#[derive(Debug, Clone, Default)]
pub struct ClusterCard {
    /// "Kubernetes" or "연습용 클라우드"
    pub kind: String,
    /// "14:02부터 응답이 없어요"; empty when it answers.
    pub problem: String,
    /// The cluster's own words; may be empty.
    pub problem_detail: String,
    pub age: Age,
    pub facts: Vec<(String, String)>,
    /// Named by their Deployments.
    pub strays: Vec<StrayRow>,
}

/// `GET /admin/cloud`.
#[derive(Template)]
#[template(path = "admin/cloud.html")]
pub struct CloudPage {
    pub page: Page,
    /// "OpenStack" or "연습용 클라우드"
    pub compute: String,
    /// Whether the last check was answered.
    pub answering: bool,
    /// "14:02부터 응답이 없어요" with the service's own words; empty when it answers.
    pub problem: String,
    pub problem_detail: String,
    pub age: Age,
    /// Facts in lines: (name, value), e.g. machines seen, duration of the last check, limits of the project, operations waiting.
    pub facts: Vec<(String, String)>,
    pub strays: Vec<StrayRow>,
    pub cluster: ClusterCard,
}
