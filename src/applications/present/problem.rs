//! What is wrong with a container, in plain words, and the buttons that mend it.

use super::{Context, format};
use crate::applications::model::{Application, Deployed, Findings, Size, Status, VANISHED};
use crate::applications::views::{Fix, Problem};
use crate::i18n;
use crate::operations::model::Action;

/// How the usual frameworks are told to wait for everybody, not only for themselves.
const LOOPBACK: [(&str, &str); 8] = [
    ("Flask", "flask run --host=0.0.0.0"),
    ("Django", "python manage.py runserver 0.0.0.0:8000"),
    ("FastAPI (Uvicorn)", "uvicorn main:app --host 0.0.0.0"),
    ("Node.js, Express", "app.listen(3000, \"0.0.0.0\")"),
    ("Next.js", "next start -H 0.0.0.0"),
    ("Vite", "vite --host 0.0.0.0"),
    ("Spring Boot", "server.address=0.0.0.0"),
    ("Rails", "rails server -b 0.0.0.0"),
];

/// Exit codes that have a sentence `why_app.exit_{code}`.
const TOLD_EXITS: [i32; 5] = [126, 127, 137, 139, 143];

impl Context<'_> {
    /// A sentence about a reason: `why_app.{reason}.{part}` with its values. A reason that another version of the
    /// portal wrote is told as something that did not go through.
    pub(super) fn sentence(&self, reason: &str, part: &str, row: &Application, deployed: &Deployed) -> String {
        let known = i18n::exists(&format!("why_app.{reason}.title"));
        let reason = if known { reason } else { "action_failed" };
        let findings = row.findings();
        let port = deployed.internal_port.to_string();
        let suggested = findings.suggested_port.map(|port| port.to_string()).unwrap_or_default();
        let code = findings.exit_code.map(|code| code.to_string()).unwrap_or_default();
        let cluster = self.app.config.kubernetes.architectures.join(", ");
        let values = [
            ("image", deployed.image.as_str()),
            ("port", &port),
            ("suggested", &suggested),
            ("code", &code),
            ("offers", &findings.offers.join(", ")),
            ("cluster", &cluster),
            ("memory", &format::megabytes(deployed.memory_mb)),
            ("time", &self.wait(&findings)),
        ];
        self.lang.tv(&format!("why_app.{reason}.{part}"), &values).into_owned()
    }

    /// "30분", how long a registry wants to be left alone; empty when that is not known or over.
    fn wait(&self, findings: &Findings) -> String {
        let left = findings.retry_at.map(|at| (at.naive_utc() - self.now).num_seconds()).filter(|left| *left > 0);
        let Some(minutes) = left.map(|seconds| (seconds + 59) / 60) else { return String::new() };
        let (key, number) =
            if minutes < 120 { ("units.minutes", minutes) } else { ("units.hours", (minutes + 59) / 60) };
        self.lang.t1(key, "n", number).into_owned()
    }

    /// None when there is nothing to say.
    pub(super) fn problem(&self, row: &Application, deployed: &Deployed) -> Option<Problem> {
        let (status, overlaid) = self.status(row);
        if overlaid {
            return Some(Problem {
                is_warning: true,
                icon: "st-unk",
                title: self.t("applications.show.unknown_title"),
                text: self.unknown_since(row),
                next: self.t("applications.show.unknown_hint"),
                ..Problem::default()
            });
        }
        let reason = row.reason.as_deref()?;
        let findings = row.findings();
        let is_warning = status != "failed";
        let say = |part: &str| self.sentence(reason, part, row, deployed);
        let fixes = self.fixes(reason, row, deployed, &findings);
        Some(Problem {
            reason: reason.to_owned(),
            is_warning,
            icon: if is_warning { "alert" } else { "st-err" },
            title: say("title"),
            text: say(text_part(reason, &findings)),
            more: findings.exit_code.filter(|code| TOLD_EXITS.contains(code)).map_or_else(String::new, |code| {
                if reason == "crash_loop" { self.t(&format!("why_app.exit_{code}")) } else { String::new() }
            }),
            next: say(self.next_part(reason, deployed, &findings)),
            old_answers: if findings.old_answers && row.status() == Status::Running {
                self.t("applications.show.old_answers")
            } else {
                String::new()
            },
            by_hand: row.allows(Action::Redeploy) && by_hand(reason),
            fixes,
            loopback: if reason == "port_loopback" { LOOPBACK.to_vec() } else { Vec::new() },
            log: findings.log.clone(),
            detail: row.reason_text.clone().unwrap_or_default(),
        })
    }

    fn next_part(&self, reason: &str, deployed: &Deployed, findings: &Findings) -> &'static str {
        match reason {
            "image_rate_limited" if !self.wait(findings).is_empty() => "next_at",
            "out_of_memory" if deployed.size == Size::Large => "next_largest",
            _ => "next",
        }
    }

    fn fixes(&self, reason: &str, row: &Application, deployed: &Deployed, findings: &Findings) -> Vec<Fix> {
        let mut fixes = Vec::new();
        if reason == "delete_failed" && row.allows(Action::Delete) {
            fixes.push(self.fix("delete", vec![], self.t("applications.fix.delete"), "trash"));
        }
        if !row.allows(Action::Redeploy) {
            return fixes;
        }
        let redeploy = |fields, label, icon| self.fix("redeploy", fields, label, icon);
        let resize = |key: &str, size: Size| {
            let label = self.lang.t1(key, "size", self.size_name(size)).into_owned();
            redeploy(vec![("size", size.name().to_owned())], label, "wrench")
        };
        match reason {
            "port_other" => fixes.extend(findings.suggested_port.map(|port| {
                let label = self.lang.t1("applications.fix.port", "port", port).into_owned();
                redeploy(vec![("internal_port", port.to_string())], label, "wrench")
            })),
            "out_of_memory" => {
                fixes.extend(neighbour(deployed.size, 1).map(|size| resize("applications.fix.bigger", size)));
            }
            "unschedulable" | "quota" => {
                fixes.extend(neighbour(deployed.size, -1).map(|size| resize("applications.fix.smaller", size)));
            }
            // Of a refused change there is nothing left to try again.
            "deploy_failed" if row.deployed_revision.is_some() => {}
            "image_rate_limited" | "deploy_failed" | VANISHED => {
                fixes.push(redeploy(vec![], self.t("applications.fix.again"), "restart"));
            }
            _ => {}
        }
        if let Some(former) = former_revision(row, findings) {
            fixes.push(redeploy(vec![("revision", former.to_string())], self.t("applications.fix.back"), "restart"));
        }
        fixes
    }

    fn fix(&self, verb: &'static str, fields: Vec<(&'static str, String)>, label: String, icon: &'static str) -> Fix {
        Fix { verb, fields, label, icon }
    }
}

fn text_part(reason: &str, findings: &Findings) -> &'static str {
    match reason {
        "crash_loop" if findings.exit_code.is_none() => "text_unknown",
        "wrong_architecture" if findings.offers.is_empty() => "text_unknown",
        _ => "text",
    }
}

/// Whether another image, port, size or variable may help.
fn by_hand(reason: &str) -> bool {
    !matches!(
        reason,
        "waiting_for_cluster" | "action_failed" | "delete_failed" | "delete_slow" | "deleted_outside" | VANISHED
    )
}

/// The next bigger (1) or smaller (-1) size.
fn neighbour(size: Size, step: isize) -> Option<Size> {
    let at = Size::ALL.iter().position(|one| *one == size)?;
    Size::ALL.get(at.checked_add_signed(step)?).copied()
}

/// The version that still answers beside one that does not come up.
fn former_revision(row: &Application, findings: &Findings) -> Option<u32> {
    if !findings.old_answers {
        return None;
    }
    let seen = row.observed()?;
    seen.pods.iter().filter(|pod| pod.ready && pod.revision < row.revision).map(|pod| pod.revision).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_neighbours() {
        assert_eq!(neighbour(Size::Small, 1), Some(Size::Medium));
        assert_eq!(neighbour(Size::Large, 1), None);
        assert_eq!(neighbour(Size::Medium, -1), Some(Size::Small));
        assert_eq!(neighbour(Size::Small, -1), None);
    }

    #[test]
    fn every_reason_has_its_sentences_in_both_languages() {
        for reason in REASONS {
            for part in ["title", "text", "next"] {
                assert!(i18n::exists(&format!("why_app.{reason}.{part}")), "{reason}.{part}");
            }
        }
        for code in TOLD_EXITS {
            assert!(i18n::exists(&format!("why_app.exit_{code}")), "{code}");
        }
    }

    /// What the column `reason` may hold.
    const REASONS: [&str; 22] = [
        "image_not_found",
        "image_private",
        "image_rate_limited",
        "wrong_architecture",
        "crash_loop",
        "ended",
        "out_of_memory",
        "unschedulable",
        "quota",
        "config_error",
        "port_silent",
        "port_other",
        "port_loopback",
        "port_unknown",
        "deploy_failed",
        "waiting_for_cluster",
        "rollout_slow",
        "action_failed",
        "delete_failed",
        "delete_slow",
        "vanished",
        "deleted_outside",
    ];
}
