//! A container's own page: its route, replicas, steps, history and log.

use super::{Context, format};
use crate::applications::events::Event;
use crate::applications::model::{Application, Deployed, Findings, Status};
use crate::applications::views::{self, Choice, Detail, Log, Pod, RouteStep};
use crate::cloud::cluster::{Observed, PodSeen};

/// Lines of a log that are shown at first.
pub const LOG_LINES: u32 = 200;

/// What the practice cloud's pages say about their addresses.
fn practice_sentence(opens: bool) -> &'static str {
    if opens { "applications.show.practice" } else { "applications.show.practice_closed" }
}

impl Context<'_> {
    pub fn detail(&self, row: &Application, deployed: &Deployed, events: &[Event]) -> Detail {
        let seen = row.observed();
        let shown = self.row(row, deployed);
        let digest = digest_of(row, seen.as_ref());
        let restarts: u32 = pods_of(seen.as_ref()).iter().map(|pod| pod.restarts).sum();
        let number = |key: &str, number: u32| self.lang.t1(key, "n", number).into_owned();
        Detail {
            age: self.age(),
            problem: self.problem(row, deployed),
            steps: self.steps(row, shown.status, seen.as_ref()),
            route: self.route(row, deployed, &shown, seen.as_ref()),
            digest_short: crate::text::shorten(&digest, 19) + if digest.is_empty() { "" } else { "…" },
            digest,
            pods: pods_of(seen.as_ref()).into_iter().map(|pod| self.pod(pod)).collect(),
            ready: self.ready(row, seen.as_ref()),
            restarts: number("applications.show.restarts_text", restarts),
            size: self.size_text(deployed.size, deployed.cpu_millis, deployed.memory_mb),
            revision: number("applications.show.revision_text", row.revision),
            created: format::ago(self.lang, row.created_at, self.now),
            created_at: format::full(row.created_at, self.app.config.server.time_zone),
            variables: deployed.variables.clone(),
            secret_names: deployed.secret_names.clone(),
            events: events.iter().map(|event| self.event(event)).collect(),
            log: self.log(row, seen.as_ref(), None, false),
            refresh_seconds: self.refresh(row.is_unsettled()),
            practice: if self.app.cluster.simulated() {
                self.t(practice_sentence(self.app.config.practice.ingress_listen.is_some()))
            } else {
                String::new()
            },
            row: shown,
        }
    }

    /// "2개 중 1개 준비됨"
    fn ready(&self, row: &Application, seen: Option<&Observed>) -> String {
        let ready = pods_of(seen).iter().filter(|pod| pod.ready && !pod.deleting).count().to_string();
        let values = [("n", row.replicas.to_string()), ("ready", ready)];
        let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.lang.tv("applications.show.replicas_text", &values).into_owned()
    }

    fn steps(&self, row: &Application, status: &str, seen: Option<&Observed>) -> Vec<(String, bool)> {
        if status != "pending" || row.reason.is_some() {
            return Vec::new();
        }
        let sent = row.transition_accepted || row.deployed_revision == Some(row.revision);
        let runs = pods_of(seen).iter().any(|pod| pod.revision == row.revision && pod.running_since.is_some());
        [("accepted", true), ("sent", sent), ("pulling", sent && runs), ("answering", false)]
            .map(|(name, done)| (self.t(&format!("applications.show.steps.{name}")), done))
            .to_vec()
    }

    /// From the browser to the container, and where it is broken.
    fn route(
        &self,
        row: &Application,
        deployed: &Deployed,
        shown: &views::Row,
        seen: Option<&Observed>,
    ) -> Vec<RouteStep> {
        let findings = row.findings();
        // While the former version answers nothing of the way is broken.
        let reason = row.reason.as_deref().filter(|_| shown.status == "failed" && !findings.old_answers);
        let broken_port = reason.is_some_and(|reason| reason.starts_with("port_"));
        let broken_container = reason.is_some() && !broken_port;
        let linked = row.deployed_revision.is_some();
        let t = |part: &str| self.t(&format!("applications.route.{part}"));
        let way = |healthy: &str, part: &str| match (reason.is_some(), linked) {
            (true, true) => t(part),
            (true, false) => t("waiting"),
            (false, _) => t(healthy),
        };
        let internal = if broken_port { t("broken_internal") } else { way("internal_note", "linked") };
        let step = |icon, title: String, note: String, broken| RouteStep { icon, title, note, broken };
        vec![
            step("globe", shown.url.clone(), way("address", "address_ready"), false),
            step(
                "link",
                format!("{} {}", t("external"), deployed.external_port),
                way("external_note", "linked"),
                false,
            ),
            step("link", format!("{} {}", t("internal"), deployed.internal_port), internal, broken_port),
            step(
                "container",
                deployed.image.clone(),
                self.container_note(row, shown, broken_port, broken_container, &findings, seen),
                broken_container,
            ),
        ]
    }

    fn container_note(
        &self,
        row: &Application,
        shown: &views::Row,
        broken_port: bool,
        broken: bool,
        findings: &Findings,
        seen: Option<&Observed>,
    ) -> String {
        let t = |part: &str| self.t(&format!("applications.route.{part}"));
        match shown.status {
            _ if broken => t("broken_container"),
            _ if broken_port => match (row.reason.as_deref(), findings.suggested_port) {
                (Some("port_loopback"), _) => t("listens_loopback"),
                (_, Some(port)) => self.lang.t1("applications.route.listens", "port", port).into_owned(),
                _ => t("listens_unknown"),
            },
            "unknown" => t("not_seen"),
            "stopped" => t("off"),
            "pending" => t("waiting"),
            _ => self.ready(row, seen),
        }
    }

    fn pod(&self, pod: &PodSeen) -> Pod {
        let (status, label) = match pod {
            PodSeen { deleting: true, .. } => ("deleting", "pod_leaving"),
            PodSeen { ready: true, .. } => ("running", "pod_ready"),
            _ => ("pending", "pod_not_ready"),
        };
        Pod {
            name: pod.name.clone(),
            short: short_name(&pod.name).to_owned(),
            status,
            label: self.t(&format!("applications.show.{label}")),
            restarts: if pod.restarts == 0 {
                String::new()
            } else {
                self.lang.t1("applications.show.pod_restarts", "n", pod.restarts).into_owned()
            },
        }
    }

    /// Whose log is shown: that of the pod that is asked for, else of the one that says most about how things are. None
    /// of it has been fetched.
    pub fn log(&self, row: &Application, seen: Option<&Observed>, pod: Option<&str>, previous: bool) -> Log {
        let pods = pods_of(seen);
        let chosen = match pod {
            Some(name) => pods.iter().find(|pod| pod.name == name).copied(),
            None => log_of(seen),
        };
        Log {
            id: row.id.to_string(),
            name: row.name.clone(),
            pod: chosen.map(|pod| pod.name.clone()).unwrap_or_default(),
            pods: pods
                .iter()
                .map(|pod| Choice {
                    value: pod.name.clone(),
                    label: short_name(&pod.name).to_owned(),
                    selected: chosen.is_some_and(|chosen| chosen.name == pod.name),
                })
                .collect(),
            previous,
            has_previous: chosen.is_some_and(|pod| pod.restarts > 0),
            lines: Vec::new(),
            message: if chosen.is_none() { self.t("applications.log.no_pod") } else { String::new() },
            note: self.lang.t1("applications.log.last_note", "n", LOG_LINES).into_owned(),
            is_page: false,
        }
    }

    fn event(&self, event: &Event) -> views::Event {
        let status = match event.kind.as_str() {
            "running" | "redeployed" | "started" | "recovered" => "running",
            "requested" | "deployed" | "redeploy_requested" | "start_requested" => "pending",
            "stop_requested" | "stopped" => "stopped",
            "delete_requested" => "deleting",
            "failed" | "action_failed" | "rolled_back" | "rollout_failed" => "failed",
            _ => "unknown",
        };
        views::Event {
            status,
            text: self.t(&format!("app_events.{}", event.kind)),
            detail: self.event_detail(event),
            when: self.clock(event.created_at),
            at: format::rfc3339(event.created_at),
        }
    }

    /// A status in words; else what stands there: an image, or the cluster's own words.
    fn event_detail(&self, event: &Event) -> String {
        let Some(detail) = event.detail.as_deref() else { return String::new() };
        if event.kind == "changed_outside" && Status::from_name(detail).name() == detail {
            return self.t(&format!("status.{detail}"));
        }
        detail.to_owned()
    }

    /// "14:31:02.118" in the lab's time zone.
    pub fn log_time(&self, at: Option<chrono::DateTime<chrono::Utc>>) -> String {
        let zone = self.app.config.server.time_zone;
        at.map(|at| at.with_timezone(&zone).format("%H:%M:%S%.3f").to_string()).unwrap_or_default()
    }
}

/// The pods that were seen: those that stay before those that go, the newest first.
pub fn pods_of(seen: Option<&Observed>) -> Vec<&PodSeen> {
    let mut pods: Vec<&PodSeen> = seen.map(|seen| seen.pods.iter().collect()).unwrap_or_default();
    pods.sort_by(|a, b| {
        (a.deleting, std::cmp::Reverse(a.revision), &a.name).cmp(&(b.deleting, std::cmp::Reverse(b.revision), &b.name))
    });
    pods
}

/// The pod whose log says most about how things are: the newest that has run.
pub fn log_of(seen: Option<&Observed>) -> Option<&PodSeen> {
    pods_of(seen).into_iter().find(|pod| pod.running_since.is_some() || pod.ended.is_some())
}

/// The image's digest, as the newest pod has it.
fn digest_of(row: &Application, seen: Option<&Observed>) -> String {
    let pods = pods_of(seen);
    let of_now = pods.iter().find(|pod| pod.revision == row.revision && pod.digest.is_some());
    of_now.and_then(|pod| pod.digest.clone()).unwrap_or_default()
}

/// The part of a pod's name that tells it from the others of its kind.
fn short_name(name: &str) -> &str {
    name.rsplit('-').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::cloud::cluster::AppOwner;
    use crate::ids::{AccountId, ApplicationId};

    fn pod(name: &str, revision: u32, deleting: bool, ran: bool) -> PodSeen {
        PodSeen {
            name: name.to_owned(),
            revision,
            phase: "Running".to_owned(),
            ready: false,
            deleting,
            restarts: 0,
            created_at: None,
            running_since: ran.then_some(DateTime::<Utc>::UNIX_EPOCH),
            digest: None,
            waiting: None,
            ended: None,
            unschedulable: None,
        }
    }

    fn seen(pods: Vec<PodSeen>) -> Observed {
        let owner =
            AppOwner { portal: uuid::Uuid::nil(), account: AccountId::new(), application: ApplicationId::new() };
        Observed { owner, deployment: None, pods }
    }

    #[test]
    fn the_newest_pod_that_has_run_says_most() {
        let all = seen(vec![
            pod("a-leaving", 3, true, true),
            pod("b-old", 1, false, true),
            pod("c-new", 2, false, false),
            pod("d-new", 2, false, true),
        ]);
        let names: Vec<&str> = pods_of(Some(&all)).iter().map(|pod| pod.name.as_str()).collect();
        assert_eq!(names, ["c-new", "d-new", "b-old", "a-leaving"]);
        assert_eq!(log_of(Some(&all)).unwrap().name, "d-new");
        assert!(log_of(None).is_none() && log_of(Some(&seen(vec![]))).is_none());
    }

    #[test]
    fn a_pod_is_called_by_the_end_of_its_name() {
        assert_eq!(short_name("app-0123-7d9f8b6c5-x2x9z"), "x2x9z");
        assert_eq!(short_name("plain"), "plain");
    }
}
