//! From rows to what pages show: words, ages, what can be pressed.

mod detail;
mod form;
mod problem;
mod told;

use chrono::{NaiveDateTime, TimeDelta};

use super::model::{Application, Counts, Deployed, Filter, Size, Status, Transition};
use super::views::{Choice, Row};
use crate::app::App;
use crate::cloud_services::CloudService;
use crate::config::Quota;
use crate::db;
use crate::instances::views::{self as shared, QuotaBar};
use crate::operations::model::Action;
use crate::quotas::AppUsage;
use crate::web::format;
use crate::web::page::{Age, Lang};

pub use detail::{LOG_LINES, pods_of};
pub use form::Inspected;

/// What every row on a page is shown with.
pub struct Context<'a> {
    pub lang: Lang,
    pub now: NaiveDateTime,
    pub app: &'a App,
    pub service: &'a CloudService,
    pub csrf_token: &'a str,
}

impl<'a> Context<'a> {
    pub fn new(lang: Lang, app: &'a App, service: &'a CloudService, csrf_token: &'a str) -> Self {
        Self { lang, now: db::now(), app, service, csrf_token }
    }

    fn t(&self, key: &str) -> String {
        self.lang.t(key).into_owned()
    }

    /// Since when the cluster has not answered, if that is to be told.
    pub fn silent_since(&self) -> Option<NaiveDateTime> {
        self.service.silent_since(self.now)
    }

    pub fn age(&self) -> Age {
        let interval = i64::try_from(self.app.config.sync.interval_seconds).unwrap_or(60);
        format::age(self.lang, self.service.last_ok_at, self.now, TimeDelta::seconds(interval))
            .of_service(crate::cloud_services::APPLICATIONS)
    }

    fn clock(&self, at: NaiveDateTime) -> String {
        format::clock(at, self.now, self.app.config.server.time_zone)
    }

    /// `data-status`, and whether it is that only because the cluster does not answer.
    fn status(&self, row: &Application) -> (&'static str, bool) {
        use Transition::{Deleting, Deploying, Redeploying};
        let silent = self.silent_since().is_some();
        match (row.transition(), row.status()) {
            (Some(Deleting), _) => ("deleting", false),
            // What runs goes on running until the new one does; what does not run is being started.
            (Some(Deploying | Redeploying), Status::Failed | Status::Stopped) => ("pending", false),
            (_, Status::Failed) => ("failed", false),
            (_, Status::Running | Status::Stopped) if silent => ("unknown", true),
            (None, Status::Pending) if silent => ("unknown", true),
            (_, status) => (status.name(), false),
        }
    }

    fn label(&self, row: &Application, status: &str) -> String {
        match row.transition() {
            Some(transition @ (Transition::Starting | Transition::Stopping | Transition::Redeploying))
                if status != "unknown" =>
            {
                self.t(&format!("status.{}", transition.name()))
            }
            _ => self.t(&format!("status.{status}")),
        }
    }

    /// "14:02부터 확인되지 않아요. 마지막으로 본 상태: 실행 중"
    fn unknown_since(&self, row: &Application) -> String {
        let last = row.transition().map_or(row.status().name(), Transition::name);
        let last = self.t(&format!("status.{last}"));
        let time = self.silent_since().map(|at| self.clock(at)).unwrap_or_default();
        self.lang.tv("why_app.unknown_since", &[("time", &time), ("last", &last)]).into_owned()
    }

    /// Why it waits, is broken or unknown, in one line.
    fn why(&self, row: &Application, deployed: &Deployed, overlaid: bool) -> String {
        if overlaid {
            return self.unknown_since(row);
        }
        if let Some(reason) = row.reason.as_deref() {
            return self.sentence(reason, "title", row, deployed);
        }
        match (row.status(), row.transition_accepted, row.transition()) {
            (Status::Pending, false, Some(Transition::Deploying)) => self.t("why_app.queued"),
            (Status::Pending, ..) if row.observed().is_some_and(|seen| is_pulling(&seen.pods)) => {
                self.t("why_app.pulling")
            }
            _ => String::new(),
        }
    }

    pub fn row(&self, row: &Application, deployed: &Deployed) -> Row {
        let (status, overlaid) = self.status(row);
        let config = &self.app.config.applications;
        let url = config.url(&row.host_label);
        let can_redeploy = row.allows(Action::Redeploy);
        Row {
            id: row.id.to_string(),
            name: row.name.clone(),
            status,
            status_label: self.label(row, status),
            unsettled: row.is_unsettled(),
            why: self.why(row, deployed, overlaid),
            needs_fix: can_redeploy && (status == "failed" || (status == "running" && row.reason.is_some())),
            image: deployed.image.clone(),
            external_port: deployed.external_port,
            internal_port: deployed.internal_port,
            address: url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned(),
            url,
            can_open: matches!(row.status(), Status::Running) && status != "deleting",
            deployed: format::ago(self.lang, deployed.created_at, self.now),
            deployed_at: format::full(deployed.created_at, self.app.config.server.time_zone),
            can_start: row.allows(Action::Start),
            can_stop: row.allows(Action::Stop),
            can_redeploy,
            can_delete: row.allows(Action::Delete),
            csrf_token: self.csrf_token.to_owned(),
        }
    }

    /// Seconds between two looks of an open page.
    pub fn refresh(&self, unsettled: bool) -> Option<u32> {
        let config = &self.app.config.sync;
        let seconds = if unsettled { config.transition_seconds } else { config.interval_seconds.min(5) };
        u32::try_from(seconds).ok()
    }

    /// "0.25", "2"
    fn cpu(millis: u32) -> String {
        let text = format!("{:.2}", f64::from(millis) / 1000.0);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    fn size_name(&self, size: Size) -> String {
        self.t(&format!("applications.sizes.{}", size.name()))
    }

    /// "작게 · 0.25 vCPU · 128 MB"
    fn size_text(&self, size: Size, cpu_millis: u32, memory_mb: u32) -> String {
        let (name, cpu, memory) = (self.size_name(size), Self::cpu(cpu_millis), format::megabytes(memory_mb));
        let values = [("name", name.as_str()), ("cpu", cpu.as_str()), ("memory", memory.as_str())];
        self.lang.tv("applications.sizes.text", &values).into_owned()
    }

    pub fn size_choices(&self, chosen: Size) -> Vec<Choice> {
        Size::ALL
            .into_iter()
            .map(|size| {
                let (cpu_millis, memory_mb) = size.limits(&self.app.config.applications);
                Choice {
                    value: size.name().to_owned(),
                    label: self.size_text(size, cpu_millis, memory_mb),
                    selected: size == chosen,
                }
            })
            .collect()
    }

    pub fn quota(&self, usage: AppUsage, limit: Quota) -> Vec<QuotaBar> {
        let bar = |kind: &'static str, used: u32, limit: u32, text: String| {
            let percent = if limit == 0 { 100 } else { (u64::from(used) * 100 / u64::from(limit)).min(100) };
            QuotaBar {
                kind,
                name: self.t(&format!("quota.{kind}")),
                used,
                limit,
                text,
                percent: u32::try_from(percent).unwrap_or(100),
                near: percent >= 80 && used < limit,
                full: used >= limit,
            }
        };
        let text =
            |key: &str, used: &str, limit: &str| self.lang.tv(key, &[("used", used), ("limit", limit)]).into_owned();
        let (count, most) = (usage.applications.to_string(), limit.applications.to_string());
        let (cpu, most_cpu) = (Self::cpu(usage.cpu_millis), Self::cpu(limit.app_cpu_millis));
        let (memory, most_memory) = (format::megabytes(usage.memory_mb), format::megabytes(limit.app_memory_mb));
        vec![
            bar("applications", usage.applications, limit.applications, text("quota.applications_text", &count, &most)),
            bar("app_cpu", usage.cpu_millis, limit.app_cpu_millis, text("quota.app_cpu_text", &cpu, &most_cpu)),
            bar("app_memory", usage.memory_mb, limit.app_memory_mb, text("quota.ram_text", &memory, &most_memory)),
        ]
    }

    pub fn filters(&self, counts: Counts, current: Filter, search: &str) -> Vec<shared::Filter> {
        [
            (Filter::All, "all", counts.total),
            (Filter::Running, "running", counts.running),
            (Filter::Stopped, "stopped", counts.stopped),
            (Filter::NeedsLook, "attention", counts.needs_look),
        ]
        .into_iter()
        .map(|(filter, name, count)| shared::Filter {
            label: self.t(&format!("applications.filter_{name}")),
            count,
            href: list_url("/applications", filter, search, 0),
            current: filter == current,
        })
        .collect()
    }
}

/// Whether a container waits for its image.
fn is_pulling(pods: &[crate::cloud::cluster::PodSeen]) -> bool {
    let waits = |pod: &crate::cloud::cluster::PodSeen| {
        pod.waiting.as_ref().is_some_and(|waiting| waiting.reason == "ContainerCreating")
    };
    pods.iter().any(waits)
}

/// The list's URL with its filter, search and page; defaults are left out.
pub fn list_url(path: &str, filter: Filter, search: &str, page: u32) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    match filter {
        Filter::All => {}
        Filter::Running => drop(query.append_pair("filter", "running")),
        Filter::Stopped => drop(query.append_pair("filter", "stopped")),
        Filter::NeedsLook => drop(query.append_pair("filter", "needs_look")),
    }
    if !search.is_empty() {
        query.append_pair("search", search);
    }
    if page > 0 {
        query.append_pair("page", &page.to_string());
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_told_shortly() {
        assert_eq!([250, 500, 1000, 2000, 1250, 10].map(Context::cpu), ["0.25", "0.5", "1", "2", "1.25", "0.01"]);
    }

    #[test]
    fn a_list_s_url_says_only_what_is_chosen() {
        assert_eq!(list_url("/applications", Filter::All, "", 0), "/applications");
        assert_eq!(
            list_url("/applications/rows", Filter::NeedsLook, "a&b", 2),
            "/applications/rows?filter=needs_look&search=a%26b&page=2"
        );
    }
}
