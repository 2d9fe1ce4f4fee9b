//! A pretended pod: what it is at a time follows from when it was made and what its image does.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::image::{self, Behaviour, Ears};
use crate::cloud::cluster::{Ended, Listeners, PodSeen, Unschedulable, Words};

/// Thousandths of a processor, and megabytes, that the only node has.
const NODE_CPU_MILLIS: u32 = 16_000;
const NODE_MEMORY_MB: u32 = 65_536;

/// The kubelet's waits before it starts a container again: 10 s, doubled up to 5 minutes.
const FIRST_BACK_OFF: TimeDelta = TimeDelta::seconds(10);
const LONGEST_BACK_OFF: TimeDelta = TimeDelta::minutes(5);

/// What a pod is made from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Template {
    pub image: String,
    pub pull_always: bool,
    pub internal_port: u16,
    pub cpu_millis: u32,
    pub memory_mb: u32,
    pub variables: Vec<(String, String)>,
    pub secret_names: Vec<String>,
    pub revision: u32,
}

/// A pod.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Pod {
    pub name: String,
    /// Of its template: those of the same ReplicaSet have the same.
    pub hash: String,
    pub template: Template,
    pub created_at: DateTime<Utc>,
    /// From when its container is made: later than `created_at` when it had to wait for its Secret.
    pub begun_at: DateTime<Utc>,
    /// Milliseconds until it is ready.
    pub takes_ms: i64,
    /// The values of its secret variables when it was made.
    pub secrets: BTreeMap<String, String>,
    /// What is wrong with its Secret.
    pub config_error: Option<String>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// The Deployment has seen that it is ready.
    pub counted: bool,
}

/// What a container does at a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Moment {
    Unschedulable(String),
    Waiting(Words),
    Running {
        since: DateTime<Utc>,
        restarts: u32,
        ended: Option<Ended>,
    },
    /// Between two starts.
    BackOff {
        restarts: u32,
        ended: Ended,
    },
}

/// A run of a container that ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub number: u32,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Pod {
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let plain = self.template.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        self.secrets.get(name).cloned().or(plain)
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        Behaviour::of(&self.template.image, self.template.internal_port, &|name| self.variable(name))
    }

    fn after(&self, share: i32) -> DateTime<Utc> {
        self.begun_at + TimeDelta::milliseconds(self.takes_ms) * share / 4
    }

    /// When the image has been pulled (or not), and the container is started.
    pub(super) fn starts_at(&self) -> DateTime<Utc> {
        self.after(2)
    }

    /// When the kubelet waits before it pulls again.
    pub(super) fn given_up_at(&self) -> DateTime<Utc> {
        self.after(3)
    }

    /// When it is ready if it ever will be.
    pub(super) fn settled_at(&self) -> DateTime<Utc> {
        self.after(4)
    }

    /// When one that takes long to start listens.
    fn late_at(&self) -> DateTime<Utc> {
        self.after(12)
    }

    fn is_schedulable(&self) -> bool {
        self.unschedulable().is_none()
    }

    fn unschedulable(&self) -> Option<String> {
        let lacks = match () {
            () if self.template.cpu_millis > NODE_CPU_MILLIS => "cpu",
            () if self.template.memory_mb > NODE_MEMORY_MB => "memory",
            () => return None,
        };
        Some(format!("0/1 nodes are available: 1 Insufficient {lacks}."))
    }

    /// When it becomes ready; None: never.
    pub(super) fn ready_at(&self) -> Option<DateTime<Utc>> {
        let at = match self.behaviour() {
            Behaviour::Runs(Ears::Open(port)) if port == self.template.internal_port => self.settled_at(),
            Behaviour::Runs(Ears::Late(port)) if port == self.template.internal_port => self.late_at(),
            _ => return None,
        };
        (self.config_error.is_none() && self.is_schedulable()).then_some(at)
    }

    pub(super) fn is_ready(&self, now: DateTime<Utc>) -> bool {
        self.ready_at().is_some_and(|at| at <= now)
    }

    /// The runs of a program that ends, as far as they have ended, the last one last, and the time at which the next one
    /// starts. Only the last two are returned.
    fn runs(&self, now: DateTime<Utc>) -> (Vec<Run>, DateTime<Utc>) {
        if !matches!(self.behaviour(), Behaviour::Ends { .. }) {
            return (Vec::new(), self.starts_at());
        }
        let lasts = TimeDelta::milliseconds(self.takes_ms) / 8;
        let (mut runs, mut from, mut wait): (Vec<Run>, _, _) = (Vec::new(), self.starts_at(), TimeDelta::zero());
        while from + lasts <= now {
            let number = runs.last().map_or(0, |run| run.number + 1);
            let run = Run { number, from, to: from + lasts };
            runs.push(run);
            if runs.len() > 2 {
                runs.remove(0);
            }
            // The first restart comes at once.
            from = run.to + wait;
            wait = if wait.is_zero() { FIRST_BACK_OFF } else { (wait * 2).min(LONGEST_BACK_OFF) };
        }
        (runs, from)
    }

    pub(super) fn moment(&self, now: DateTime<Utc>) -> Moment {
        if let Some(message) = self.unschedulable() {
            return Moment::Unschedulable(message);
        }
        let waiting = |reason: &str, message: String| Moment::Waiting(Words { reason: reason.to_owned(), message });
        if self.behaviour() == Behaviour::Malformed {
            let image = &self.template.image;
            let message = format!(
                "Failed to apply default image tag \"{image}\": couldn't parse image reference \"{image}\": invalid reference format"
            );
            return waiting("InvalidImageName", message);
        }
        if now < self.starts_at() {
            return waiting("ContainerCreating", String::new());
        }
        if let Some(problem) = self.pull_error() {
            return if now < self.given_up_at() {
                waiting("ErrImagePull", problem)
            } else {
                waiting(
                    "ImagePullBackOff",
                    format!("Back-off pulling image \"{}\": ErrImagePull: {problem}", self.template.image),
                )
            };
        }
        if let Some(message) = &self.config_error {
            return waiting("CreateContainerConfigError", message.clone());
        }
        let Behaviour::Ends { exit_code, reason } = self.behaviour() else {
            return Moment::Running { since: self.starts_at(), restarts: 0, ended: None };
        };
        let (runs, next) = self.runs(now);
        let ended = runs.last().map(|run| Ended { exit_code, reason: reason.to_owned(), at: Some(run.to) });
        match (runs.last(), ended) {
            (Some(run), Some(ended)) if now < next => Moment::BackOff { restarts: run.number, ended },
            (run, ended) => Moment::Running { since: next, restarts: run.map_or(0, |run| run.number + 1), ended },
        }
    }

    /// Why its image can't be had, in a container runtime's words.
    pub(super) fn pull_error(&self) -> Option<String> {
        let image = &self.template.image;
        let failed = format!("failed to pull and unpack image \"{image}\"");
        match self.behaviour() {
            Behaviour::Missing => Some(format!(
                "rpc error: code = NotFound desc = {failed}: failed to resolve reference \"{image}\": {image}: not found"
            )),
            Behaviour::Limited => Some(format!(
                "rpc error: code = Unknown desc = {failed}: failed to copy: httpReadSeeker: failed open: unexpected status code 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit."
            )),
            Behaviour::Foreign => Some(format!(
                "rpc error: code = NotFound desc = {failed}: no match for platform in manifest: not found"
            )),
            _ => None,
        }
    }

    /// The run whose log is wanted: the one that goes on or the last one, or the one before the last restart.
    pub(super) fn run(&self, previous: bool, now: DateTime<Utc>) -> Option<Run> {
        match (self.moment(now), previous) {
            (Moment::Running { since, restarts, .. }, false) => Some(Run { number: restarts, from: since, to: now }),
            (Moment::Running { .. }, true) | (Moment::BackOff { .. }, false) => self.runs(now).0.pop(),
            (Moment::BackOff { .. }, true) => {
                let (mut runs, _) = self.runs(now);
                runs.pop();
                runs.pop()
            }
            (Moment::Unschedulable(_) | Moment::Waiting(_), _) => None,
        }
    }

    pub(super) fn seen(&self, now: DateTime<Utc>) -> PodSeen {
        let mut seen = PodSeen {
            name: self.name.clone(),
            revision: self.template.revision,
            phase: "Pending".to_owned(),
            ready: self.is_ready(now),
            deleting: self.deleted_at.is_some(),
            restarts: 0,
            created_at: Some(self.created_at),
            running_since: None,
            digest: None,
            waiting: None,
            ended: None,
            unschedulable: None,
        };
        match self.moment(now) {
            Moment::Unschedulable(message) => {
                seen.unschedulable = Some(Unschedulable { message, since: Some(self.created_at) });
            }
            Moment::Waiting(words) => seen.waiting = Some(words),
            Moment::Running { since, restarts, ended } => {
                (seen.running_since, seen.restarts, seen.ended) = (Some(since), restarts, ended);
            }
            Moment::BackOff { restarts, ended } => {
                (seen.restarts, seen.ended) = (restarts, Some(ended));
                let message = format!("back-off restarting failed container app in pod {}", self.name);
                seen.waiting = Some(Words { reason: "CrashLoopBackOff".to_owned(), message });
            }
        }
        if seen.running_since.is_some() || seen.ended.is_some() {
            seen.phase = "Running".to_owned();
            seen.digest = Some(image::digest(&self.template.image));
        }
        seen
    }

    /// What listens in it; None: it does not run. Where there is no shell, the `likely` ports are tried from outside.
    pub(super) fn listeners(&self, likely: &[u16], now: DateTime<Utc>) -> Option<Listeners> {
        let Moment::Running { .. } = self.moment(now) else { return None };
        let mut listeners = Listeners { complete: image::has_shell(&self.template.image), ..Listeners::default() };
        match self.behaviour() {
            Behaviour::Runs(Ears::Open(port)) => listeners.open.push(port),
            Behaviour::Runs(Ears::Late(port)) if now >= self.late_at() => listeners.open.push(port),
            Behaviour::Runs(Ears::Loopback(port)) => listeners.loopback.push(port),
            _ => {}
        }
        if !listeners.complete {
            listeners.open.retain(|port| likely.contains(port));
        }
        Some(listeners)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    fn pod(image: &str) -> Pod {
        Pod {
            name: "app-1-2-3".to_owned(),
            hash: "2".to_owned(),
            template: Template {
                image: image.to_owned(),
                pull_always: false,
                internal_port: 80,
                cpu_millis: 250,
                memory_mb: 128,
                variables: Vec::new(),
                secret_names: Vec::new(),
                revision: 1,
            },
            created_at: start(),
            begun_at: start(),
            takes_ms: 4_000,
            secrets: BTreeMap::new(),
            config_error: None,
            deleted_at: None,
            counted: false,
        }
    }

    fn at(milliseconds: i64) -> DateTime<Utc> {
        start() + TimeDelta::milliseconds(milliseconds)
    }

    fn reason(pod: &Pod, milliseconds: i64) -> Option<String> {
        pod.seen(at(milliseconds)).waiting.map(|words| words.reason)
    }

    #[test]
    fn a_good_one_is_made_started_and_ready() {
        let pod = pod("hello:1");
        assert_eq!(reason(&pod, 1_999).as_deref(), Some("ContainerCreating"));
        assert_eq!((pod.seen(at(1_999)).phase, pod.seen(at(1_999)).digest), ("Pending".to_owned(), None));
        let started = pod.seen(at(2_000));
        assert_eq!((started.phase.as_str(), started.running_since, started.ready), ("Running", Some(at(2_000)), false));
        assert!(started.digest.is_some() && started.waiting.is_none());
        assert!(!pod.is_ready(at(3_999)) && pod.is_ready(at(4_000)));
        assert_eq!(pod.listeners(&[], at(1_999)), None);
        assert_eq!(pod.listeners(&[], at(2_000)).map(|found| found.open), Some(vec![80]));
        assert_eq!(
            pod.run(false, at(9_000)).map(|run| (run.number, run.from, run.to)),
            Some((0, at(2_000), at(9_000)))
        );
        assert!(pod.run(true, at(9_000)).is_none());
    }

    #[test]
    fn a_slow_one_listens_late() {
        let pod = pod("slow:1");
        assert_eq!(pod.listeners(&[], at(11_999)), Some(Listeners { complete: true, ..Listeners::default() }));
        assert!(!pod.is_ready(at(11_999)) && pod.is_ready(at(12_000)));
        assert_eq!(pod.listeners(&[], at(12_000)).map(|found| found.open), Some(vec![80]));
    }

    #[test]
    fn one_without_a_shell_is_tried_from_outside() {
        let pod = pod("noshell:1");
        let found = |likely| pod.listeners(likely, at(4_000)).map(|found| (found.open, found.complete));
        assert_eq!(found(&[8080, 80]), Some((vec![80], false)));
        assert_eq!(found(&[8080]), Some((vec![], false)));
    }

    #[test]
    fn a_missing_one_is_tried_and_given_up() {
        let pod = pod("me/missing");
        for (time, expected) in [(0, "ContainerCreating"), (2_000, "ErrImagePull"), (3_000, "ImagePullBackOff")] {
            assert_eq!(reason(&pod, time).as_deref(), Some(expected), "after {time} ms");
        }
        assert_eq!(pod.seen(at(60_000)).digest, None);
    }

    #[test]
    fn a_crashing_one_is_started_again_and_again() {
        let pod = pod("crash:1");
        // Each run lasts half a second; the first restart comes at once, then the wait doubles.
        for (time, restarts, running) in [
            (2_000, 0, true),
            (2_500, 1, true),
            (3_000, 1, false),
            (12_999, 1, false),
            (13_000, 2, true),
            (13_500, 2, false),
            (33_499, 2, false),
            (33_500, 3, true),
        ] {
            let seen = pod.seen(at(time));
            assert_eq!((seen.restarts, seen.running_since.is_some()), (restarts, running), "after {time} ms");
            assert_eq!(reason(&pod, time).as_deref(), (!running).then_some("CrashLoopBackOff"));
            assert_eq!(seen.ended.map(|end| end.exit_code), (time > 2_000).then_some(1));
            assert_eq!(pod.run(false, at(time)).map(|run| run.number), Some(restarts));
            assert_eq!(pod.run(true, at(time)).map(|run| run.number), restarts.checked_sub(1), "after {time} ms");
        }
        // Five minutes at most.
        let (runs, next) = pod.runs(at(86_400_000));
        assert_eq!(next - runs[1].to, LONGEST_BACK_OFF);
    }
}
