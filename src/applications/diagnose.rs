//! What the cluster's counts and reasons mean for a person: a pure function of what was seen, what the row says, and
//! the time.
//!
//! First what was seen gets a name of its own ([`Condition`]), which knows no clock; then [`diagnose`] weighs it against
//! the row: how long it has lasted, whether the former revision still answers, what was known before. Nothing here is
//! called "stopped" but a Deployment that shall have no pods and has none.

use chrono::{DateTime, TimeDelta, Utc};

use super::events::Kind;
use super::model::{DELETED_OUTSIDE, Findings, Status, Transition, VANISHED};
use crate::cloud::cluster::{DeploymentSeen, Observed, PodSeen};
use crate::config;

pub mod condition;

use condition::{Condition, Trouble};

/// A container that was restarted counts as running once it has run for so long: in a crash loop it is up for a moment
/// between two ends.
const STEADY: TimeDelta = TimeDelta::seconds(20);

/// How many times `silent_seconds` a program may take to start before "nothing answers" counts as failed.
const SLOW_START: i32 = 8;

/// When a state counts (`[applications]`).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub unschedulable: TimeDelta,
    pub silent: TimeDelta,
    pub rollout: TimeDelta,
}

impl Limits {
    pub fn of(config: &config::Applications) -> Self {
        let seconds = |n: u64| TimeDelta::try_seconds(i64::try_from(n).unwrap_or(i64::MAX)).unwrap_or(TimeDelta::MAX);
        Self {
            unschedulable: seconds(config.unschedulable_seconds),
            silent: seconds(config.silent_seconds),
            rollout: seconds(config.rollout_seconds),
        }
    }
}

/// What the row says. A transition here is one that the cluster has taken.
#[derive(Debug, Clone)]
pub struct Facts {
    pub status: Status,
    pub transition: Option<Transition>,
    pub reason: Option<String>,
    pub reason_text: Option<String>,
    pub findings: Findings,
    /// Since when the condition lasts that was seen last.
    pub since: Option<DateTime<Utc>>,
    pub before: Option<Observed>,
}

/// What the row shall say.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub status: Status,
    pub transition: Option<Transition>,
    pub reason: Option<String>,
    pub reason_text: Option<String>,
    pub findings: Findings,
    pub since: DateTime<Utc>,
    /// When the same would be judged otherwise.
    pub look_at: Option<DateTime<Utc>>,
    /// Something to look into that nobody has looked into yet: its name, for [`Findings::key`].
    pub investigate: Option<String>,
    pub event: Option<(Kind, Option<String>)>,
}

/// Names of reasons that a container's own end gives.
const CRASHES: [&str; 4] = ["crash_loop", "ended", "out_of_memory", "wrong_architecture"];

fn is_crash(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| CRASHES.contains(&reason))
}

fn is_port(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| reason.starts_with("port_"))
}

/// Reasons that are told until the person does something else, or its state changes: what was asked for did not happen.
fn is_refusal(reason: Option<&str>) -> bool {
    matches!(reason, Some("action_failed" | "delete_failed" | "deploy_failed"))
}

/// Judges what was seen.
pub fn diagnose(facts: &Facts, seen: &Observed, now: DateTime<Utc>, limits: Limits) -> Verdict {
    let condition = Condition::of(seen);
    let since = since(facts, seen, &condition, now);
    let case = Case { facts, seen, now, since, limits };
    let mut verdict = match condition {
        Condition::Gone => case.verdict(Status::Failed, None).because(VANISHED, None),
        Condition::Deleting => case.verdict(facts.status, Some(Transition::Deleting)).because(DELETED_OUTSIDE, None),
        Condition::Lagging => case.waits(limits.rollout, "rollout_slow", None, |case| case.as_it_was()),
        Condition::Drained => case.verdict(Status::Stopped, None).keeping_refusal(facts),
        Condition::Draining => case.verdict(facts.status, facts.transition.or(Some(Transition::Stopping))),
        Condition::Whole => case.whole(),
        Condition::Trouble(trouble) => case.trouble(&trouble),
        Condition::Unschedulable { ref message, .. } => {
            let text = message.clone();
            case.waits(limits.unschedulable, "unschedulable", Some(text), |case| case.on_its_way())
        }
        Condition::Silent { .. } => case.silent(),
        Condition::Rolling => case.waits(limits.rollout, "rollout_slow", None, |case| case.on_its_way()),
    };
    verdict.event = event(facts, &verdict);
    verdict
}

/// Since when the condition lasts: as before when it is the same, else from now, or from when the cluster says.
fn since(facts: &Facts, seen: &Observed, condition: &Condition, now: DateTime<Utc>) -> DateTime<Utc> {
    let same = |before: &Observed| {
        std::mem::discriminant(&Condition::of(before)) == std::mem::discriminant(condition)
            && revision(before) == revision(seen)
    };
    if let Some(since) = facts.since
        && facts.before.as_ref().is_some_and(same)
    {
        return since;
    }
    micros(match condition {
        Condition::Unschedulable { since: Some(since), .. } => (*since).min(now),
        // A container that began since the last look has been silent from its beginning.
        Condition::Silent { running_since } if facts.since.is_none_or(|last| *running_since > last) => {
            (*running_since).min(now)
        }
        _ => now,
    })
}

/// In the resolution that the database keeps.
fn micros(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

fn revision(seen: &Observed) -> Option<u32> {
    seen.deployment.as_ref().map(|deployment| deployment.revision)
}

/// Everything that a judgement rests on.
struct Case<'a> {
    facts: &'a Facts,
    seen: &'a Observed,
    now: DateTime<Utc>,
    since: DateTime<Utc>,
    limits: Limits,
}

impl Case<'_> {
    fn deployment(&self) -> DeploymentSeen {
        self.seen.deployment.clone().unwrap_or_default()
    }

    /// Pods of the revision that is wanted.
    fn current(&self) -> impl Iterator<Item = &PodSeen> {
        condition::current(self.seen)
    }

    fn old_answers(&self) -> bool {
        let revision = self.deployment().revision;
        self.seen.pods.iter().any(|pod| pod.revision != revision && pod.ready && !pod.deleting)
    }

    fn anything_answers(&self) -> bool {
        self.old_answers() || self.current().any(|pod| pod.ready)
    }

    fn verdict(&self, status: Status, transition: Option<Transition>) -> Verdict {
        Verdict {
            status,
            transition,
            reason: None,
            reason_text: None,
            findings: Findings::default(),
            since: self.since,
            look_at: None,
            investigate: None,
            event: None,
        }
    }

    /// What was known stays.
    fn as_it_was(&self) -> Verdict {
        let facts = self.facts;
        Verdict {
            reason: facts.reason.clone(),
            reason_text: facts.reason_text.clone(),
            findings: facts.findings.clone(),
            ..self.verdict(facts.status, facts.transition)
        }
    }

    /// Nothing is wrong yet, and it is not there yet.
    fn on_its_way(&self) -> Verdict {
        let status = if self.anything_answers() { Status::Running } else { Status::Pending };
        self.verdict(status, self.facts.transition).keeping_refusal(self.facts)
    }

    /// Until when containers that were restarted lately have to go on before they count.
    fn unsteady_until(&self) -> Option<DateTime<Utc>> {
        let restarted = self.current().filter(|pod| pod.restarts > 0);
        let until = restarted.filter_map(|pod| Some(pod.running_since? + STEADY)).max()?;
        (until > self.now).then_some(until)
    }

    fn whole(&self) -> Verdict {
        match self.unsteady_until() {
            None => self.verdict(Status::Running, None).keeping_refusal(self.facts),
            Some(until) if is_crash(self.facts.reason.as_deref()) => self.as_it_was().until(until),
            Some(until) => self.verdict(Status::Pending, self.facts.transition).until(until),
        }
    }

    /// Something that is in order for a while, and then is not.
    fn waits(
        &self,
        patience: TimeDelta,
        reason: &'static str,
        text: Option<String>,
        meanwhile: impl Fn(&Self) -> Verdict,
    ) -> Verdict {
        let end = self.since + patience;
        if self.now < end {
            return meanwhile(self).until(end);
        }
        self.failed().because(reason, text)
    }

    /// It does not come up: failed, unless something answers all the same.
    fn failed(&self) -> Verdict {
        let status = if self.anything_answers() { Status::Running } else { Status::Failed };
        let mut verdict = self.verdict(status, None);
        verdict.findings.old_answers = self.old_answers();
        verdict
    }

    fn trouble(&self, trouble: &Trouble) -> Verdict {
        let facts = self.facts;
        let mut verdict = self.failed();
        let untold = trouble.reason.is_none();
        // What was told before by the same kind of trouble says more than a mere back-off.
        let known = facts.reason.clone().filter(|reason| condition::is_image(reason) && untold);
        let text = if known.is_some() { facts.reason_text.clone() } else { Some(trouble.text.clone()) };
        verdict.reason_text = text.filter(|text| !text.is_empty());
        verdict.reason = known.or_else(|| Some(trouble.reason.unwrap_or("image_not_found").to_owned()));
        if trouble.has_log {
            let code = trouble.exit_code.map_or_else(String::new, |code| code.to_string());
            let key =
                format!("{}/{}/{code}", verdict.reason.as_deref().unwrap_or_default(), self.deployment().revision);
            let old_answers = verdict.findings.old_answers;
            if facts.findings.key == key {
                // Looked into already: what that said stays, its finer reason too.
                verdict.findings = facts.findings.clone();
                verdict.reason = facts.reason.clone().filter(|r| is_crash(Some(r))).or(verdict.reason);
            } else {
                verdict.investigate = Some(key);
            }
            verdict.findings.old_answers = old_answers;
            verdict.findings.exit_code = trouble.exit_code;
        }
        verdict
    }

    fn silent(&self) -> Verdict {
        let facts = self.facts;
        if let Some(until) = self.unsteady_until().filter(|_| is_crash(facts.reason.as_deref())) {
            return self.as_it_was().until(until);
        }
        let (first, last) = (self.since + self.limits.silent, self.since + self.limits.silent * SLOW_START);
        if self.now < first {
            // A moment without an answer is no news of one that runs.
            let settled = facts.status == Status::Running && facts.transition.is_none();
            return if settled { self.as_it_was() } else { self.on_its_way() }.until(first);
        }
        let found = facts.reason.clone().filter(|reason| is_port(Some(reason)));
        // Where it listens instead is no question of patience.
        let certain = matches!(found.as_deref(), Some("port_other" | "port_loopback"));
        let late = self.now >= last;
        let mut verdict = if certain || late { self.failed() } else { self.on_its_way() };
        verdict.reason_text = None;
        verdict.findings = if found.is_some() { facts.findings.clone() } else { verdict.findings };
        verdict.findings.old_answers = self.old_answers();
        verdict.reason = found;
        if late && verdict.reason.is_none() {
            verdict.reason = Some("port_unknown".to_owned());
        }
        let stage = if late { 2 } else { 1 };
        let key = format!("silent/{}/{}/{stage}", self.deployment().revision, self.since.timestamp());
        if facts.findings.key != key {
            verdict.investigate = Some(key);
        }
        if late { verdict } else { verdict.until(last) }
    }
}

impl Verdict {
    fn because(mut self, reason: &str, text: Option<String>) -> Self {
        self.reason = Some(reason.to_owned());
        self.reason_text = text.filter(|text| !text.is_empty());
        self
    }

    fn until(mut self, time: DateTime<Utc>) -> Self {
        self.look_at = Some(micros(time));
        self
    }

    /// A refusal that the row tells of stays told while its status stays.
    fn keeping_refusal(mut self, facts: &Facts) -> Self {
        if is_refusal(facts.reason.as_deref()) && facts.status == self.status {
            self.reason = facts.reason.clone();
            self.reason_text = facts.reason_text.clone();
            self.findings = facts.findings.clone();
        }
        self
    }
}

/// What the history says of a change.
fn event(facts: &Facts, verdict: &Verdict) -> Option<(Kind, Option<String>)> {
    let text = || verdict.reason_text.clone();
    let changed = facts.status != verdict.status;
    if verdict.reason.as_deref() == Some(VANISHED) {
        return (facts.reason.as_deref() != Some(VANISHED)).then_some((Kind::Vanished, None));
    }
    if verdict.transition.is_some() {
        return None;
    }
    let outside = || Some((Kind::ChangedOutside, Some(verdict.status.name().to_owned())));
    match (verdict.status, facts.transition) {
        (Status::Failed, _) => changed.then(|| (Kind::Failed, text())),
        (Status::Running, Some(Transition::Redeploying)) if verdict.findings.old_answers => {
            Some((Kind::RolloutFailed, text()))
        }
        (Status::Running, Some(Transition::Redeploying)) => Some((Kind::Redeployed, None)),
        (Status::Running, Some(Transition::Starting)) => Some((Kind::Started, None)),
        (Status::Running, Some(Transition::Deploying)) => Some((Kind::Running, None)),
        (Status::Running, _) if facts.status == Status::Stopped => outside(),
        (Status::Running, _) if facts.status == Status::Failed => Some((Kind::Recovered, None)),
        (Status::Running, _) => changed.then_some((Kind::Running, None)),
        (Status::Stopped, Some(Transition::Stopping)) => Some((Kind::Stopped, None)),
        (Status::Stopped, _) => changed.then(outside).flatten(),
        (Status::Pending, _) => (facts.status == Status::Stopped).then(outside).flatten(),
    }
}

#[cfg(test)]
mod tests;
