//! The admin's pages of what can be rented.

use askama::Template;

use crate::web::page::{Age, Field, Page};

/// A template in the admin's list.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub purpose: String,
    pub image: String,
    pub flavor: String,
    pub network: String,
    /// "1 vCPU · 512 MB · 10 GB"
    pub size: String,
    pub enabled: bool,
    /// What the cloud lacks of it; empty when it can be rented.
    pub problem: String,
}

/// `GET /admin/templates`.
#[derive(Template)]
#[template(path = "instance_templates/index.html")]
pub struct IndexPage {
    pub page: Page,
    pub rows: Vec<Row>,
    /// When the cloud was last asked what it offers.
    pub age: Age,
}

/// An entry of a list to choose from: value, label, chosen.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub value: String,
    pub label: String,
    pub selected: bool,
}

/// `GET /admin/templates/{new,{id}/edit}`, and their POSTs (`/admin/templates`, `/admin/templates/{id}`) with errors.
/// Fields as named here. Also `POST /admin/templates/{id}/delete`, offered when `id` is Some.
#[derive(Template)]
#[template(path = "instance_templates/form.html")]
pub struct FormPage {
    pub page: Page,
    pub id: Option<String>,
    pub name: Field,
    pub purpose_ko: Field,
    pub purpose_en: Field,
    pub image: Field,
    pub images: Vec<Choice>,
    pub flavor: Field,
    pub flavors: Vec<Choice>,
    pub network: Field,
    /// With the empty choice (the only network there is), as in the other lists that may be left empty.
    pub networks: Vec<Choice>,
    /// Empty value: no floating address.
    pub floating_network: Field,
    pub floating_networks: Vec<Choice>,
    /// Comma-separated names.
    pub security_groups: Field,
    /// Empty value: the person's own key.
    pub key_pair: Field,
    pub key_pairs: Vec<Choice>,
    /// The image's user name: `ubuntu`.
    pub ssh_user: Field,
    pub user_data: Field,
    pub position: Field,
    pub enabled: bool,
    pub age: Age,
}
