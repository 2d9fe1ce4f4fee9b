//! A name for what the cluster says of an application, without regard to the clock or to what was known before.

use chrono::{DateTime, Utc};

use crate::cloud::cluster::{Ended, Observed, PodSeen, Words};

/// What was seen. The order of the variants is the order in which they are looked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// There is no Deployment.
    Gone,
    /// The Deployment is being deleted.
    Deleting,
    /// The counts are those of an older specification.
    Lagging,
    /// No pods are wanted, and there are some.
    Draining,
    /// No pods are wanted, and there are none.
    Drained,
    /// Pods that can't come up.
    Trouble(Trouble),
    /// As many pods as wanted are ready, all of the wanted revision.
    Whole,
    /// No node takes a pod.
    Unschedulable { message: String, since: Option<DateTime<Utc>> },
    /// A container runs, and does not answer on its port.
    Silent { running_since: DateTime<Utc> },
    /// On its way: pods are made, images are pulled, former pods go.
    Rolling,
}

/// Why a pod can't come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// A name of ours; None: an image that can't be pulled, and the cluster does not say why this time.
    pub reason: Option<&'static str>,
    /// The cluster's words.
    pub text: String,
    pub exit_code: Option<i32>,
    /// Whether the container has run: then its log says more.
    pub has_log: bool,
}

impl Trouble {
    fn new(reason: &'static str, text: &str) -> Self {
        Self { reason: Some(reason), text: text.to_owned(), exit_code: None, has_log: false }
    }
}

/// Names of reasons why an image can't be pulled.
pub fn is_image(reason: &str) -> bool {
    matches!(reason, "image_not_found" | "image_private" | "image_rate_limited" | "wrong_architecture")
}

/// Pods of the wanted revision that are to stay. One that has ended for good (evicted) is replaced by another.
pub fn current(seen: &Observed) -> impl Iterator<Item = &PodSeen> {
    let revision = seen.deployment.as_ref().map(|deployment| deployment.revision);
    seen.pods.iter().filter(move |pod| Some(pod.revision) == revision && !pod.deleting && !ended_for_good(pod))
}

fn ended_for_good(pod: &PodSeen) -> bool {
    matches!(pod.phase.as_str(), "Failed" | "Succeeded")
}

impl Condition {
    pub fn of(seen: &Observed) -> Self {
        let Some(deployment) = &seen.deployment else { return Self::Gone };
        if deployment.deleting {
            return Self::Deleting;
        }
        if deployment.observed_generation < deployment.generation {
            return Self::Lagging;
        }
        if deployment.wanted == 0 {
            let drained = deployment.total == 0 && seen.pods.iter().all(|pod| pod.deleting || ended_for_good(pod));
            return if drained { Self::Drained } else { Self::Draining };
        }
        let waiting: Vec<&PodSeen> = current(seen).filter(|pod| !pod.ready).collect();
        if let Some(trouble) = waiting.iter().find_map(|pod| trouble_of(pod)) {
            return Self::Trouble(trouble);
        }
        if let Some(message) = &deployment.replica_failure {
            return Self::Trouble(replica_failure(message));
        }
        let wanted = deployment.wanted;
        if [deployment.updated, deployment.available, deployment.total] == [wanted; 3] {
            return Self::Whole;
        }
        if let Some(unschedulable) = waiting.iter().find_map(|pod| pod.unschedulable.as_ref()) {
            return Self::Unschedulable { message: unschedulable.message.clone(), since: unschedulable.since };
        }
        // The youngest: an older one that is silent has been looked at when it was.
        match waiting.iter().filter_map(|pod| pod.running_since).max() {
            Some(running_since) => Self::Silent { running_since },
            None => Self::Rolling,
        }
    }
}

fn replica_failure(message: &str) -> Trouble {
    let reason = if message.contains("exceeded quota") { "quota" } else { "config_error" };
    Trouble::new(reason, message)
}

fn trouble_of(pod: &PodSeen) -> Option<Trouble> {
    if let Some(words) = &pod.waiting {
        return match words.reason.as_str() {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => {
                Some(Trouble { reason: image_reason(words), ..Trouble::new("", &words.message) })
            }
            "CrashLoopBackOff" => Some(crash(pod.ended.as_ref(), &words.message)),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "PostStartHookError" => {
                let wrong = words.message.contains("exec format error");
                Some(Trouble::new(if wrong { "wrong_architecture" } else { "config_error" }, &words.message))
            }
            _ => None,
        };
    }
    // Ended, and not for the first time; the back-off has not been said yet.
    let ended = pod.ended.as_ref().filter(|_| pod.restarts > 0 && pod.running_since.is_none())?;
    Some(crash(Some(ended), ""))
}

fn crash(ended: Option<&Ended>, message: &str) -> Trouble {
    let reason = match ended {
        Some(ended) if ended.reason == "OOMKilled" => "out_of_memory",
        Some(Ended { exit_code: 0, .. }) => "ended",
        _ => "crash_loop",
    };
    Trouble { exit_code: ended.map(|ended| ended.exit_code), has_log: true, ..Trouble::new(reason, message) }
}

/// Why an image can't be pulled, in the words of container runtimes and registries. None: a mere back-off, or
/// something that they don't say often.
fn image_reason(words: &Words) -> Option<&'static str> {
    let text = words.message.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    if has(&["toomanyrequests", "too many requests", " 429"]) {
        Some("image_rate_limited")
    } else if has(&["no match for platform", "no matching manifest", "exec format error"]) {
        Some("wrong_architecture")
    } else if words.reason == "InvalidImageName"
        // What Docker Hub says of a name that nobody has, too: "does not exist or may require authorization".
        || has(&["not found", "manifest unknown", "name unknown", "does not exist", "invalid reference format"])
    {
        Some("image_not_found")
    } else if has(&["unauthorized", "denied", "authentication required", "forbidden"]) {
        Some("image_private")
    } else {
        None
    }
}
