//! What the practice cloud tells of an application: events, logs, and the page that its containers answer with.

use chrono::{DateTime, TimeDelta, Utc};

use super::app::App;
use super::image::{self, Behaviour, Ears};
use super::pod::{Moment, Pod, Run};
use crate::cloud::cluster::{ClusterEvent, LogLine};

/// Newest first, at most so many.
const EVENTS: usize = 50;

/// What is said in a followed log each second.
pub(super) const HEARTBEAT: &str = "Still running. This container is simulated by the practice cloud.";

fn event(pod: &Pod, reason: &str, message: String, warning: bool, at: DateTime<Utc>) -> ClusterEvent {
    let pod = Some(pod.name.clone());
    ClusterEvent { reason: reason.to_owned(), message, pod, warning, count: 1, at: Some(at) }
}

/// The events of a pod, as the scheduler and a kubelet tell them.
fn of_pod(pod: &Pod, namespace: &str, now: DateTime<Utc>) -> Vec<ClusterEvent> {
    let mut events = Vec::new();
    if let Moment::Unschedulable(message) = pod.moment(now) {
        return vec![event(pod, "FailedScheduling", message, true, pod.created_at)];
    }
    let mut tell = |reason: &str, message: String, warning: bool, at: DateTime<Utc>| {
        if at <= now {
            events.push(event(pod, reason, message, warning, at));
        }
    };
    let image = &pod.template.image;
    let assigned = format!("Successfully assigned {namespace}/{} to practice-node", pod.name);
    tell("Scheduled", assigned, false, pod.created_at);
    let starts = pod.starts_at();
    if let Moment::Waiting(words) = pod.moment(now) {
        match words.reason.as_str() {
            "InvalidImageName" => tell("InspectFailed", words.message, true, pod.begun_at),
            "CreateContainerConfigError" => tell("Failed", format!("Error: {}", words.message), true, starts),
            _ => tell("Pulling", format!("Pulling image \"{image}\""), false, pod.begun_at),
        }
    }
    if let Some(problem) = pod.pull_error() {
        tell("Failed", format!("Failed to pull image \"{image}\": {problem}"), true, starts);
        tell("BackOff", format!("Back-off pulling image \"{image}\""), false, pod.given_up_at());
    }
    let runs = matches!(pod.moment(now), Moment::Running { .. } | Moment::BackOff { .. });
    if runs {
        tell("Pulling", format!("Pulling image \"{image}\""), false, pod.begun_at);
        tell("Pulled", format!("Successfully pulled image \"{image}\""), false, starts);
        tell("Started", "Started container app".to_owned(), false, starts);
    }
    match (pod.moment(now), pod.behaviour()) {
        (Moment::BackOff { restarts, ended }, _) => {
            let message = format!("Back-off restarting failed container app in pod {}", pod.name);
            tell("BackOff", message, true, ended.at.unwrap_or(starts));
            if let Some(last) = events.last_mut() {
                last.count = restarts.max(1);
            }
        }
        (Moment::Running { .. }, Behaviour::Runs(_)) if !pod.is_ready(now) && now >= pod.settled_at() => {
            let port = pod.template.internal_port;
            let message = format!("Readiness probe failed: dial tcp 10.244.0.2:{port}: connect: connection refused");
            tell("Unhealthy", message, true, pod.settled_at());
        }
        _ => {}
    }
    events
}

pub(super) fn events(app: &App, namespace: &str, now: DateTime<Utc>) -> Vec<ClusterEvent> {
    let noted = app.notes.iter().map(|note| ClusterEvent {
        reason: note.reason.clone(),
        message: note.message.clone(),
        pod: note.pod.clone(),
        warning: note.warning,
        count: note.count,
        at: Some(note.at),
    });
    let told = app.pods.iter().flat_map(|pod| of_pod(pod, namespace, now));
    let mut events: Vec<ClusterEvent> = noted.chain(told).collect();
    // Those of the same time stay in the order in which they happened.
    events.reverse();
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events.truncate(EVENTS);
    events
}

/// The log of a run so far.
pub(super) fn log(pod: &Pod, run: Run) -> Vec<LogLine> {
    let image = &pod.template.image;
    let lines: Vec<Vec<u8>> = match (pod.behaviour(), image::name(image)) {
        (Behaviour::Runs(_), "loud") => loud(),
        (Behaviour::Runs(ears), _) => {
            let listens = match ears {
                Ears::Open(port) | Ears::Late(port) => format!("Listening on 0.0.0.0:{port}"),
                Ears::Loopback(port) => format!("Listening on 127.0.0.1:{port}"),
                Ears::Nowhere => "Working. This program does not listen on any port.".to_owned(),
            };
            vec![format!("Starting {image}"), format!("Simulated by the practice cloud as {}", pod.name), listens]
                .into_iter()
                .map(String::into_bytes)
                .collect()
        }
        (Behaviour::Ends { exit_code: 0, .. }, "hello-world") => {
            vec![b"Hello from the practice cloud! This program has nothing more to do.".to_vec()]
        }
        (Behaviour::Ends { exit_code: 0, .. }, _) => vec![b"Nothing to do: the program ends.".to_vec()],
        (Behaviour::Ends { reason: "OOMKilled", .. }, _) => {
            vec![b"Starting".to_vec(), format!("Taking more than {} MB of memory", pod.template.memory_mb).into_bytes()]
        }
        (Behaviour::Ends { exit_code, .. }, _) => vec![
            b"Starting".to_vec(),
            b"FATAL: this program can't start: the configuration file config.yml is missing".to_vec(),
            format!("Exiting with code {exit_code}").into_bytes(),
        ],
        _ => Vec::new(),
    };
    let step = (run.to - run.from).min(TimeDelta::milliseconds(10)) / 10;
    let lines = lines.into_iter().zip(0..);
    lines.map(|(raw, place)| LogLine { at: Some(run.from + step * place), text: LogLine::clean(&raw) }).collect()
}

/// Lines that try to do something where they are shown.
fn loud() -> Vec<Vec<u8>> {
    vec![
        b"<script>alert('from a log')</script><img src=x onerror=alert(1)>".to_vec(),
        b"\x1b[31mred\x1b[0m and \x1b[2Jcleared".to_vec(),
        b"\x1b]0;another title\x07a title, \x1b]8;;javascript:alert(1)\x1b\\a link\x1b]8;;\x1b\\, \x1b]52;c;ZXZpbA==\x07a clipboard".to_vec(),
        b"not UTF-8: \xff\xfe\x00\x08\x7f; data: {\"event\":\"forged\"}".to_vec(),
        "\u{202e}turned around\u{202c} \u{2066}hidden\u{2069} \u{200b}".as_bytes().to_vec(),
        format!("a long line {}", "0123456789".repeat(2_000)).into_bytes(),
        b"Listening on 0.0.0.0".to_vec(),
    ]
}

/// What a running container answers to a browser.
pub(super) fn page(pod: &Pod) -> String {
    let image = &pod.template.image;
    let words = match (image::name(image), image::tag(image)) {
        ("hello", "2") => format!("Hello again from {}", pod.name),
        ("hello", _) => format!("Hello from {}", pod.name),
        ("env", _) => pod.variable("GREETING").unwrap_or_else(|| "(GREETING is not set)".to_owned()),
        (name, _) => format!("{name} answers"),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body>\n\
         <h1>{words}</h1>\n\
         <p>This is a simulated container of the practice cloud: no program runs.</p>\n\
         <p lang=\"ko\">연습용 클라우드의 가상 컨테이너예요. 실제 프로그램은 실행되지 않아요.</p>\n\
         <dl><dt>Image</dt><dd>{image}</dd><dt>Pod</dt><dd>{pod}</dd></dl>\n</body>\n</html>\n",
        title = escape(image::name(image)),
        words = escape(&words),
        image = escape(image),
        pod = escape(&pod.name),
    )
}

/// Text as HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}
