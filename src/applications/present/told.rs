//! What the cluster tells of a container, in plain words, and the lines of its log.

use super::{Context, format};
use crate::applications::views::{Event, LogLine};
use crate::cloud::cluster::{self, ClusterEvent};
use crate::i18n;

impl Context<'_> {
    /// An event of Kubernetes: a sentence for its reason, and the cluster's own words.
    pub fn told(&self, event: &ClusterEvent) -> Event {
        let key = key_of(&event.reason, &event.message);
        let text = if i18n::exists(&key) {
            self.t(&key)
        } else {
            self.lang.t1("cluster_events.other", "reason", &event.reason).into_owned()
        };
        let count = self.lang.t1("applications.show.cluster_event_count", "n", event.count);
        let text = if event.count > 1 { format!("{text} ({count})") } else { text };
        let at = event.at.map(|at| at.naive_utc());
        Event {
            status: if event.warning { "failed" } else { "" },
            text,
            detail: event.message.clone(),
            when: at.map(|at| self.clock(at)).unwrap_or_default(),
            at: at.map(format::rfc3339).unwrap_or_default(),
        }
    }

    pub fn log_line(&self, line: &cluster::LogLine) -> LogLine {
        LogLine { time: self.log_time(line.at), text: line.text.clone(), tone: tone_of(&line.text) }
    }
}

/// `cluster_events.back_off_pull`. Kubernetes uses one reason for different things; its message tells them apart.
fn key_of(reason: &str, message: &str) -> String {
    let snake = snake(reason);
    let about_image = message.contains("image") || message.contains("ErrImage");
    match snake.as_str() {
        "back_off" if message.contains("restarting") => "cluster_events.back_off_restart".to_owned(),
        "back_off" if about_image => "cluster_events.back_off_pull".to_owned(),
        "failed" if about_image => "cluster_events.failed_pull".to_owned(),
        name => format!("cluster_events.{name}"),
    }
}

/// `FailedScheduling` as `failed_scheduling`; what is no such word as nothing.
fn snake(reason: &str) -> String {
    if !reason.chars().all(|c| c.is_ascii_alphanumeric()) {
        return String::new();
    }
    let mut snake = String::with_capacity(reason.len() + 4);
    for (place, c) in reason.char_indices() {
        if c.is_ascii_uppercase() && place > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// How a line of a log is coloured, by the words that programs use for what goes wrong.
fn tone_of(text: &str) -> &'static str {
    let begin = crate::text::shorten(text, 200).to_ascii_lowercase();
    let words: Vec<&str> = begin.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let has = |signs: &[&str]| words.iter().any(|word| signs.contains(word));
    if has(&["error", "fatal", "panic", "panicked", "critical", "exception", "traceback"]) {
        "bad"
    } else if has(&["warn", "warning"]) {
        "warn"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart_by_their_messages() {
        for (reason, message, key) in [
            ("Scheduled", "Successfully assigned", "scheduled"),
            ("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.", "failed_scheduling"),
            ("BackOff", "Back-off pulling image \"x\"", "back_off_pull"),
            ("BackOff", "Back-off restarting failed container", "back_off_restart"),
            ("Failed", "Failed to pull image \"x\": not found", "failed_pull"),
            ("Failed", "Error: ErrImagePull", "failed_pull"),
            ("Failed", "Error: failed to create containerd task", "failed"),
        ] {
            assert_eq!(key_of(reason, message), format!("cluster_events.{key}"), "{reason} {message}");
            assert!(i18n::exists(&format!("cluster_events.{key}")));
        }
        assert_eq!(key_of("a.b", ""), "cluster_events.");
        assert!(!i18n::exists("cluster_events."));
    }

    #[test]
    fn what_goes_wrong_in_a_log_stands_out() {
        for (text, tone) in [
            ("Server listening on http://0.0.0.0:3000", ""),
            ("(node:1) Warning: SESSION_SECRET is not set", "warn"),
            ("[WARN] slow", "warn"),
            ("Error: Cannot find module", "bad"),
            ("thread 'main' panicked at src/main.rs:3", "bad"),
            ("Traceback (most recent call last):", "bad"),
            ("0 errors", ""),
            ("terror", ""),
        ] {
            assert_eq!(tone_of(text), tone, "{text}");
        }
    }
}
