//! The first page after log-in: everything of one's own, and what needs a look.

use askama::Template;

use crate::instances::views::{QuotaBar, Row};
use crate::web::page::{Age, Page};

/// `GET /dashboard`.
#[derive(Template)]
#[template(path = "dashboard/show.html")]
pub struct ShowPage {
    pub page: Page,
    /// How things are, in one sentence: "미니 PC 3대 중 2대가 켜져 있어요."
    pub headline: String,
    pub instances: InstancesCard,
    pub buckets: crate::buckets::views::List,
}

/// The headline and the card of mini PCs. Root element `#dashboard-instances`; `GET /dashboard/instances` for htmx while unsettled.
#[derive(Template)]
#[template(path = "dashboard/_instances.html")]
pub struct InstancesFragment {
    pub page: Page,
    /// As [`ShowPage::headline`]: it is refreshed with what it speaks of.
    pub headline: String,
    pub instances: InstancesCard,
}

#[derive(Debug, Clone, Default)]
pub struct InstancesCard {
    /// At most five: those that need a look first.
    pub rows: Vec<Row>,
    pub total: u32,
    pub running: u32,
    pub quota: Vec<QuotaBar>,
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
