//! The first page after log-in: everything of one's own, and what needs a look.
//!
//! Each service has a card of its own, which refreshes itself: one that fails costs only its card. With a card come the
//! headline and the quota, which speak of all of them.

use askama::Template;

use crate::applications::views as applications;
use crate::instances::views::{QuotaBar, Row};
use crate::web::page::{Age, Page};

/// `GET /dashboard`.
#[derive(Template)]
#[template(path = "dashboard/show.html")]
pub struct ShowPage {
    pub page: Page,
    pub summary: Summary,
    pub instances: InstancesCard,
    pub applications: ApplicationsCard,
    pub buckets: crate::buckets::views::List,
}

/// What speaks of all services.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// How things are: "미니 PC 3대 중 2대가 켜져 있어요."
    pub headline: String,
    pub quota: Vec<QuotaBar>,
    /// Nothing is there yet: doors in place of cards.
    pub start: bool,
    /// How often the doors look for what another tab has made (seconds).
    pub refresh_seconds: Option<u32>,
}

/// The card of mini PCs, with headline and quota. Root element `#dashboard-instances`; `GET /dashboard/instances` for
/// htmx.
#[derive(Template)]
#[template(path = "dashboard/_instances_part.html")]
pub struct InstancesFragment {
    pub page: Page,
    pub summary: Summary,
    pub instances: InstancesCard,
}

/// The same of containers: `#dashboard-applications`, `GET /dashboard/applications`.
#[derive(Template)]
#[template(path = "dashboard/_applications_part.html")]
pub struct ApplicationsFragment {
    pub page: Page,
    pub summary: Summary,
    pub applications: ApplicationsCard,
}

#[derive(Debug, Clone, Default)]
pub struct InstancesCard {
    /// At most five: those that need a look first.
    pub rows: Vec<Row>,
    pub total: u32,
    pub running: u32,
    pub age: Age,
    pub refresh_seconds: Option<u32>,
    /// The cloud does not answer: since when, in words; empty when it does.
    pub problem: String,
}

impl InstancesCard {
    /// Nothing was rented.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }
}

#[derive(Debug, Clone, Default)]
pub struct ApplicationsCard {
    /// At most five: those that need a look first.
    pub rows: Vec<applications::Row>,
    pub total: u32,
    pub running: u32,
    pub age: Age,
    pub refresh_seconds: Option<u32>,
    /// The cluster does not answer: since when, in words; empty when it does.
    pub problem: String,
}

impl ApplicationsCard {
    /// Nothing was deployed.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }
}
