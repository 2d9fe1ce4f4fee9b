//! From rows to what pages show: words, ages, what can be pressed.

use chrono::{NaiveDateTime, TimeDelta};

use super::events::Event;
use super::model::{Counts, Filter, Instance, Status, Transition};
use super::views::{self, Detail, QuotaBar, Row, SshHelp};
use crate::app::App;
use crate::cloud_services::CloudService;
use crate::config::Quota;
use crate::db;
use crate::operations::model::Action;
use crate::quotas::Usage;
use crate::web::format;
use crate::web::page::{Age, Lang};

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

    /// Since when the cloud has not answered, if that is to be told.
    pub fn silent_since(&self) -> Option<NaiveDateTime> {
        self.service.silent_since(self.now)
    }

    pub fn age(&self) -> Age {
        let interval = i64::try_from(self.app.config.sync.interval_seconds).unwrap_or(60);
        format::age(self.lang, self.service.last_ok_at, self.now, TimeDelta::seconds(interval))
            .of_service(crate::cloud_services::COMPUTE)
    }

    fn clock(&self, at: NaiveDateTime) -> String {
        format::clock(at, self.now, self.app.config.server.time_zone)
    }

    /// `data-status`, and whether it is that only because the cloud does not answer.
    fn status(&self, row: &Instance) -> (&'static str, bool) {
        match (row.transition(), row.status()) {
            (Some(Transition::Deleting), _) => ("deleting", false),
            (_, Status::Building) => ("building", false),
            (_, Status::Error) => ("error", false),
            (_, Status::Active | Status::Stopped | Status::Unknown) if self.silent_since().is_some() => {
                ("unknown", true)
            }
            (Some(Transition::Rebooting), _) => ("rebooting", false),
            (_, status) => (status.name(), false),
        }
    }

    fn label(&self, row: &Instance, status: &str) -> String {
        match row.transition() {
            Some(transition @ (Transition::Starting | Transition::Stopping)) if status != "unknown" => {
                self.t(&format!("status.{}", transition.name()))
            }
            _ => self.t(&format!("status.{status}")),
        }
    }

    /// Why it waits, is broken or unknown; and the cloud's own words.
    fn why(&self, row: &Instance, overlaid: bool) -> (String, String) {
        let detail = row.reason_text.clone().unwrap_or_default();
        if overlaid {
            let last = row.transition().map_or_else(
                || self.t(&format!("status.{}", row.status().name())),
                |transition| self.t(&format!("status.{}", transition.name())),
            );
            let time = self.silent_since().map(|at| self.clock(at)).unwrap_or_default();
            let text = self.lang.tv("why.unknown_since", &[("time", &time), ("last", &last)]).into_owned();
            return (text, String::new());
        }
        if let Some(reason) = row.reason.as_deref() {
            let key = format!("why.{reason}");
            let key = if crate::i18n::exists(&key) { key } else { "why.action_failed".to_owned() };
            return (self.t(&key), detail);
        }
        if row.status() == Status::Building && row.nova_id.is_none() {
            return (self.t("why.queued"), String::new());
        }
        (String::new(), String::new())
    }

    pub fn row(&self, row: &Instance) -> Row {
        let (status, overlaid) = self.status(row);
        let (why, why_detail) = self.why(row, overlaid);
        let zone = self.app.config.server.time_zone;
        Row {
            id: row.id.to_string(),
            name: row.name.clone(),
            template: row.template_name.clone(),
            status,
            status_label: self.label(row, status),
            unsettled: row.is_unsettled(),
            why,
            why_detail,
            ip_address: row.ip_address.clone().unwrap_or_default(),
            floating_ip: row.floating_ip.clone().unwrap_or_default(),
            created: format::ago(self.lang, row.created_at, self.now),
            created_at: format::full(row.created_at, zone),
            can_start: row.allows(Action::Start),
            can_stop: row.allows(Action::Stop),
            can_reboot: row.allows(Action::Reboot),
            can_delete: row.allows(Action::Delete),
            csrf_token: self.csrf_token.to_owned(),
        }
    }

    /// Seconds between two looks of an open page.
    pub fn refresh(&self, unsettled: bool) -> Option<u32> {
        let config = &self.app.config.sync;
        let seconds = if unsettled { config.transition_seconds } else { config.interval_seconds.min(15) };
        u32::try_from(seconds).ok()
    }

    pub fn size(&self, vcpus: u32, ram_mb: u32, disk_gb: u32) -> String {
        format!("{vcpus} vCPU · {} · {disk_gb} GB", format::megabytes(ram_mb))
    }

    pub fn quota(&self, usage: Usage, limit: Quota) -> Vec<QuotaBar> {
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
        let count = |key: &str, used: u32, limit: u32| {
            self.lang.tv(key, &[("used", &used.to_string()), ("limit", &limit.to_string())]).into_owned()
        };
        vec![
            bar(
                "instances",
                usage.instances,
                limit.instances,
                count("quota.instances_text", usage.instances, limit.instances),
            ),
            bar("vcpus", usage.vcpus, limit.vcpus, count("quota.vcpus_text", usage.vcpus, limit.vcpus)),
            bar(
                "ram",
                usage.ram_mb,
                limit.ram_mb,
                format!("{} / {}", format::megabytes(usage.ram_mb), format::megabytes(limit.ram_mb)),
            ),
        ]
    }

    pub fn filters(&self, counts: Counts, current: Filter, search: &str) -> Vec<views::Filter> {
        [
            (Filter::All, "all", counts.total),
            (Filter::Running, "running", counts.running),
            (Filter::Stopped, "stopped", counts.stopped),
            (Filter::NeedsLook, "attention", counts.needs_look),
        ]
        .into_iter()
        .map(|(filter, name, count)| views::Filter {
            label: self.t(&format!("instances.filter_{name}")),
            count,
            href: list_url("/instances", filter, search, 0),
            current: filter == current,
        })
        .collect()
    }

    pub fn detail(&self, row: &Instance, events: &[Event], key_waiting: bool) -> Detail {
        let spec = row.spec().ok();
        let address = row.floating_ip.as_deref().or(row.ip_address.as_deref());
        let ssh = spec.as_ref().zip(address).map(|(spec, address)| ssh_help(spec, address));
        Detail {
            row: self.row(row),
            age: self.age(),
            size: self.size(row.vcpus, row.ram_mb, row.disk_gb),
            image: spec.as_ref().map(|spec| spec.image.clone()).unwrap_or_default(),
            network: spec.as_ref().map(|spec| spec.network.clone()).unwrap_or_default(),
            cloud_id: row.nova_id.map(|id| id.to_string()).unwrap_or_default(),
            ssh,
            events: events.iter().map(|event| self.event(event)).collect(),
            refresh_seconds: self.refresh(row.is_unsettled()),
            key_waiting,
            steps: self.steps(row),
        }
    }

    fn steps(&self, row: &Instance) -> Vec<(String, bool)> {
        if row.status() != Status::Building {
            return Vec::new();
        }
        [("accepted", true), ("sent", row.nova_id.is_some()), ("building", row.ip_address.is_some()), ("on", false)]
            .map(|(name, done)| (self.t(&format!("instances.show.steps.{name}")), done))
            .to_vec()
    }

    fn event(&self, event: &Event) -> views::Event {
        let status = match event.kind.as_str() {
            "active" | "started" | "rebooted" | "recovered" => "active",
            "requested" | "launched" | "start_requested" | "address_attached" => "building",
            "reboot_requested" => "rebooting",
            "stop_requested" | "stopped" => "stopped",
            "delete_requested" => "deleting",
            "failed" | "action_failed" => "error",
            _ => "unknown",
        };
        let detail = event.detail.clone().unwrap_or_default();
        let (text, detail) = if event.kind == "changed_outside" {
            let now = self.t(&format!("status.{detail}"));
            (self.lang.tv("events.changed_outside", &[("status", &now)]).into_owned(), String::new())
        } else {
            (self.t(&format!("events.{}", event.kind)), detail)
        };
        views::Event { status, text, detail, when: self.clock(event.created_at), at: format::rfc3339(event.created_at) }
    }
}

fn ssh_help(spec: &super::model::Spec, address: &str) -> SshHelp {
    let key = if spec.key_file.is_empty() { String::new() } else { format!("-i ~/Downloads/{} ", spec.key_file) };
    SshHelp {
        command: format!("ssh {key}{}@{address}", spec.ssh_user),
        user: spec.ssh_user.clone(),
        key_file: spec.key_file.clone(),
        no_key: spec.public_key.is_none() || !spec.key_pair.is_empty(),
    }
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
