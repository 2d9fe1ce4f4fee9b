//! The seam to the cluster that runs containers: what the portal asks of it, in its own words.
//!
//! [`Cluster`] is as narrow as our use. An application is a Deployment, a Service, an Ingress and, where it has secret
//! variables, a Secret, in its account's own namespace; all carry the ids of portal, account and application as labels.
//! Every step is written so that it can be done again.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CheckLine, CloudError};
use crate::ids::{AccountId, ApplicationId};

/// The name of an account's namespace: from the id, never from what anybody typed (RFC 1123 label, 35 characters).
pub fn namespace(account: AccountId) -> String {
    format!("fc-{}", account.0.simple())
}

/// The name of an application's objects in its namespace: unique by construction (RFC 1035 label, 36 characters, as
/// Services want it).
pub fn object_name(application: ApplicationId) -> String {
    format!("app-{}", application.0.simple())
}

/// Who an object in the cluster belongs to, by the labels that we wrote when we made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AppOwner {
    /// Which portal made it: more than one may share a cluster.
    pub portal: Uuid,
    pub account: AccountId,
    pub application: ApplicationId,
}

/// What an account may have in the cluster at once: the namespace's ResourceQuota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceLimits {
    /// Applications: Deployments, Services and Ingresses.
    pub applications: u32,
    pub pods: u32,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    pub memory_mb: u32,
}

/// An account's namespace as it shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceOrder {
    pub portal: Uuid,
    pub account: AccountId,
    pub limits: NamespaceLimits,
}

/// An application as it shall be.
#[derive(Debug, Clone)]
pub struct DeployOrder {
    pub owner: AppOwner,
    /// The reference that the node pulls.
    pub image: String,
    /// Ask the registry even when the node has an image of this name (`imagePullPolicy: Always`).
    pub pull_always: bool,
    /// Where the program in the container listens: the Service's target port.
    pub internal_port: u16,
    /// The Service's own port.
    pub external_port: u16,
    pub replicas: u32,
    pub cpu_millis: u32,
    pub memory_mb: u32,
    /// Plain environment variables, in order.
    pub variables: Vec<(String, String)>,
    /// Names of the environment variables that the application's Secret holds.
    pub secret_names: Vec<String>,
    /// Raised by every deployment: the label of its pods, so that the same image can be rolled out anew.
    pub revision: u32,
    /// The whole host name of the Ingress.
    pub host: String,
}

/// A change of an application's Secret: what is to be set, and which of all names stay.
#[derive(Debug, Clone, Default)]
pub struct SecretOrder {
    pub set: Vec<(String, SecretString)>,
    /// Every name that the Secret holds afterwards; others are removed. Empty: the Secret goes.
    pub keep: Vec<String>,
}

/// The kinds of objects that an application is made of, in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Secret,
    Deployment,
    Service,
    Ingress,
}

/// Which of an application's objects exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Presence {
    pub secret: bool,
    pub deployment: bool,
    pub service: bool,
    pub ingress: bool,
    /// Pods and ReplicaSets that are still on their way out count as well.
    pub pods: u32,
}

impl Presence {
    pub fn is_gone(self) -> bool {
        self == Self::default()
    }

    /// Whether everything that makes an application reachable is there.
    pub fn is_complete(self) -> bool {
        self.deployment && self.service && self.ingress
    }
}

/// What the cluster says of an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub owner: AppOwner,
    /// None: there is no Deployment (any more).
    pub deployment: Option<DeploymentSeen>,
    /// By name.
    pub pods: Vec<PodSeen>,
}

/// A Deployment's status (apps/v1). Counts that are absent there are 0 here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeploymentSeen {
    /// Of the specification, and of the one that the counts belong to.
    pub generation: i64,
    pub observed_generation: i64,
    /// The label of the pods that it wants.
    pub revision: u32,
    pub wanted: u32,
    pub updated: u32,
    pub ready: u32,
    pub available: u32,
    /// Pods of all revisions.
    pub total: u32,
    /// The message of the condition `ReplicaFailure`: why pods could not even be made ("exceeded quota").
    pub replica_failure: Option<String>,
    /// Being deleted.
    pub deleting: bool,
}

/// A pod's status (core/v1), of its only container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodSeen {
    pub name: String,
    pub revision: u32,
    /// Running, Pending, Succeeded, Failed, Unknown.
    pub phase: String,
    pub ready: bool,
    pub deleting: bool,
    pub restarts: u32,
    pub created_at: Option<DateTime<Utc>>,
    /// When the container that runs now was started; None: it does not run.
    pub running_since: Option<DateTime<Utc>>,
    /// The image's digest (`sha256:…`), once it has been pulled.
    pub digest: Option<String>,
    /// Why the container waits: ImagePullBackOff, CrashLoopBackOff, ContainerCreating …
    pub waiting: Option<Words>,
    /// How the container ended last.
    pub ended: Option<Ended>,
    /// Why no node takes it, and since when.
    pub unschedulable: Option<Unschedulable>,
}

/// A reason in Kubernetes' words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    pub reason: String,
    pub message: String,
}

/// The end of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub exit_code: i32,
    /// Error, Completed, OOMKilled …
    pub reason: String,
    pub at: Option<DateTime<Utc>>,
}

/// The condition `PodScheduled=False`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unschedulable {
    pub message: String,
    pub since: Option<DateTime<Utc>>,
}

/// Something that the cluster tells of an application or its pods (events of core/v1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEvent {
    /// Pulled, Started, BackOff, FailedScheduling …
    pub reason: String,
    /// The cluster's own words.
    pub message: String,
    /// The pod it is about; None: the Deployment or a ReplicaSet.
    pub pod: Option<String>,
    pub warning: bool,
    pub count: u32,
    pub at: Option<DateTime<Utc>>,
}

/// Which log is wanted.
#[derive(Debug, Clone)]
pub struct LogRequest {
    pub owner: AppOwner,
    pub pod: String,
    /// The log of the run before the last restart.
    pub previous: bool,
    /// Go on as new lines come; else the stream ends.
    pub follow: bool,
    /// The last so many lines.
    pub tail: u32,
}

/// A line of a container's log: hostile text, with terminal commands and control characters taken out, cut at
/// [`LogLine::LONGEST`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    pub at: Option<DateTime<Utc>>,
    pub text: String,
}

impl LogLine {
    /// Characters of a line that are shown.
    pub const LONGEST: usize = 4_000;
    /// Bytes of a line that are looked at: what comes after them is not shown, whatever it is.
    const LONGEST_RAW: usize = 16 * Self::LONGEST;

    /// A line as a container wrote it, made harmless: one line of text without terminal commands (colours, titles,
    /// links, clipboard), without control and invisible characters, with the characters that turn the direction of
    /// writing made visible, and cut at [`LogLine::LONGEST`] characters with `…` as the last.
    pub fn clean(raw: &[u8]) -> String {
        let end = raw.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        let (seen, is_cut) = (&raw[..end.min(Self::LONGEST_RAW)], end > Self::LONGEST_RAW);
        // The parser drops these, and words would run together.
        let spaced: Vec<u8> =
            seen.iter().map(|byte| if matches!(byte, b'\t' | b'\n' | b'\r') { b' ' } else { *byte }).collect();
        let bare = strip_ansi_escapes::strip(spaced);
        let mut text = String::new();
        for c in String::from_utf8_lossy(&bare).chars() {
            match c {
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    text.push_str(&format!("[U+{:04X}]", u32::from(c)));
                }
                '\u{2028}' | '\u{2029}' => text.push(' '),
                '\u{200b}'
                | '\u{2060}'..='\u{2065}'
                | '\u{206a}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' => {}
                '\u{e0000}'..='\u{e0fff}' => {}
                c if c.is_control() => {}
                c => text.push(c),
            }
        }
        match text.char_indices().nth(Self::LONGEST - 1) {
            Some((last, c)) if is_cut || last + c.len_utf8() < text.len() => {
                text.truncate(last);
                text.push('…');
            }
            None if is_cut => text.push('…'),
            _ => {}
        }
        text
    }
}

/// What listens in a pod, as far as can be known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listeners {
    /// TCP ports that are reached from outside the pod.
    pub open: Vec<u16>,
    /// TCP ports that only the pod itself reaches (127.0.0.1).
    pub loopback: Vec<u16>,
    /// Whether these are all there are (read from the pod's own table of sockets), or just those that were tried.
    pub complete: bool,
}

/// Containers. All calls but the streams have a time limit; none waits for a state to be reached.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Whether containers are only pretended (then every page says so).
    fn simulated(&self) -> bool;

    /// Makes the account's namespace with its quota, limits, network policy and roles, or brings it up to date.
    async fn prepare(&self, order: &NamespaceOrder) -> Result<(), CloudError>;

    /// Sets and removes secret variables.
    async fn apply_secret(&self, owner: AppOwner, order: &SecretOrder) -> Result<(), CloudError>;
    async fn apply_deployment(&self, order: &DeployOrder) -> Result<(), CloudError>;
    async fn apply_service(&self, order: &DeployOrder) -> Result<(), CloudError>;
    async fn apply_ingress(&self, order: &DeployOrder) -> Result<(), CloudError>;

    /// How many pods there shall be; 0 stops it.
    async fn scale(&self, owner: AppOwner, replicas: u32) -> Result<(), CloudError>;

    /// Accepted, not yet gone. What is gone already is no error.
    async fn delete(&self, owner: AppOwner, part: Part) -> Result<(), CloudError>;

    /// Which of its objects exist, asked now.
    async fn presence(&self, owner: AppOwner) -> Result<Presence, CloudError>;

    /// One application, asked now.
    async fn show(&self, owner: AppOwner) -> Result<Observed, CloudError>;

    /// All applications of this portal, asked now: one list call a kind, whatever their number.
    async fn list(&self, portal: Uuid) -> Result<Vec<Observed>, CloudError>;

    /// Waits until the cluster says that something changed, and says for which applications of this portal; what came
    /// close together comes at once. The first call starts the watches; they are resumed by themselves after failures.
    /// Called by one task only.
    async fn changes(&self, portal: Uuid) -> Vec<Observed>;

    /// A cheap call with a short limit: whether the cluster answers now. After a failure, a success also starts the
    /// watches anew.
    async fn ping(&self) -> Result<(), CloudError>;

    /// The cluster's events of an application and its pods, newest first, at most 50.
    async fn events(&self, owner: AppOwner) -> Result<Vec<ClusterEvent>, CloudError>;

    /// A pod's log, line by line. [`CloudError::NotFound`] when there is no such pod or no such run.
    async fn logs(&self, request: &LogRequest) -> Result<BoxStream<'static, Result<LogLine, CloudError>>, CloudError>;

    /// What listens in a pod; `likely` are ports worth a try where the pod can't be asked. Ends within `limit`.
    async fn listeners(
        &self,
        owner: AppOwner,
        pod: &str,
        likely: &[u16],
        limit: Duration,
    ) -> Result<Listeners, CloudError>;

    /// Tries what the portal needs of the cluster, step by step, for `fast-cloud check`.
    async fn check(&self) -> Vec<CheckLine>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_made_harmless() {
        for (raw, text) in [
            (&b"plain \xed\x95\x9c\xea\xb8\x80\r\n"[..], "plain 한글"),
            (b"", ""),
            (b"\n", ""),
            (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
            (b"\x1b[1;31mred\x1b[0m, \x1b[2J\x1b[Hcleared", "red, cleared"),
            (b"\x1b]0;title\x07a \x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\ \x1b]52;c;ZXZpbA==\x07b", "a link b"),
            (b"\x1bP1$r0m\x1b\\after \x1b_apc\x1b\\ \x1b^pm\x1b\\ end", "after   end"),
            (b"a\tb\rc\x08\x00\x7fd", "a b cd"),
            (b"data: x\n\nevent: forged", "data: x  event: forged"),
            ("c1 \u{9b}31m".as_bytes(), "c1 31m"),
            ("\u{202e}gnp\u{202c}.exe \u{2066}x\u{2069}".as_bytes(), "[U+202E]gnp[U+202C].exe [U+2066]x[U+2069]"),
            ("zero\u{200b}\u{feff}\u{e0041} width, \u{2028}line".as_bytes(), "zero width,  line"),
        ] {
            assert_eq!(LogLine::clean(raw), text, "{}", String::from_utf8_lossy(raw));
        }
        assert_eq!(LogLine::clean(b"not \xff\xfe UTF-8").replace('\u{fffd}', "?").replace("??", "?"), "not ? UTF-8");
        // What is not ended hides nothing but itself.
        assert_eq!(LogLine::clean(b"start \x1b]0;never ended"), "start ");
    }

    #[test]
    fn log_lines_are_cut() {
        let exact = "가".repeat(LogLine::LONGEST);
        assert_eq!(LogLine::clean(exact.as_bytes()), exact);
        let longer = LogLine::clean(format!("{exact}나").as_bytes());
        assert_eq!(longer.chars().count(), LogLine::LONGEST);
        assert!(longer.ends_with("가…"));
        let huge = LogLine::clean(&vec![b'x'; 10_000_000]);
        assert_eq!((huge.chars().count(), huge.chars().last()), (LogLine::LONGEST, Some('…')));
        let hidden = LogLine::clean(&[&b"\x1b[0m".repeat(100_000)[..], b"text"].concat());
        assert_eq!(hidden, "…", "what lies beyond the part that is looked at");
    }

    #[test]
    fn cleaning_anything_leaves_one_line_without_controls() {
        // A simple generator: the same bytes each time.
        let mut seed = 1_u32;
        for _ in 0..2_000 {
            let raw: Vec<u8> = std::iter::repeat_with(|| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .take(200)
            .collect();
            let text = LogLine::clean(&raw);
            assert!(!text.chars().any(char::is_control), "{text:?} of {raw:?}");
            assert_eq!(LogLine::clean(text.as_bytes()), text);
        }
    }

    #[test]
    fn names_are_valid_labels() {
        for name in [namespace(AccountId::new()), object_name(ApplicationId::new())] {
            assert!(name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        }
    }
}
