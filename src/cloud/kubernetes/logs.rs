//! Logs of containers, and the cluster's events of an application.

use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream};
use futures::{AsyncBufRead, AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};

use super::observe::utc;
use super::{Kubernetes, labels, objects};
use crate::cloud::CloudError;
use crate::cloud::cluster::{AppOwner, ClusterEvent, LogLine, LogRequest, namespace, object_name};

/// Bytes of a line that are kept until its end; the rest is passed over. More than a whole line that is shown.
const LONGEST_RAW: usize = 64 * 1024;
/// What the kubelet answers, with 200, where there is no log any more.
const LOG_IS_GONE: &[u8] = b"unable to retrieve container logs for ";
/// Events that are shown, and read at most: a namespace keeps them for an hour.
const SHOWN: usize = 50;
const READ: u32 = 500;

impl Kubernetes {
    pub(super) async fn log_lines(
        &self,
        request: &LogRequest,
    ) -> Result<BoxStream<'static, Result<LogLine, CloudError>>, CloudError> {
        self.pod_of(request.owner, &request.pod).await?;
        let pods = Api::<Pod>::namespaced(self.streaming.clone(), &namespace(request.owner.account));
        let params = LogParams {
            container: Some(objects::CONTAINER.to_owned()),
            follow: request.follow,
            previous: request.previous,
            tail_lines: Some(i64::from(request.tail)),
            timestamps: true,
            ..LogParams::default()
        };
        match self.within(pods.log_stream(&request.pod, &params)).await {
            Ok(reader) => Ok(lines(reader).boxed()),
            // 400: the container waits for its image, or there was no run before this one.
            Err(failure) => Err(match CloudError::from(failure) {
                CloudError::Rejected(words) if has_no_log(&words) => CloudError::NotFound(words),
                other => other,
            }),
        }
    }

    pub(super) async fn events_of(&self, owner: AppOwner) -> Result<Vec<ClusterEvent>, CloudError> {
        let events = self.objects_of::<Event>(owner);
        let mut params = ListParams::default().limit(READ);
        let mut found = Vec::new();
        // The API can't select by the beginning of a name. Names of ReplicaSets and pods begin with the Deployment's.
        loop {
            let Some(page) = self.found_inside(owner, || events.list(&params)).await? else { break };
            found.extend(page.items.iter().filter(|event| is_about(event, owner)).map(translated));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        found.sort_by_key(|event: &ClusterEvent| std::cmp::Reverse(event.at));
        found.truncate(SHOWN);
        Ok(found)
    }

    /// A pod, if it is the application's: its name comes from a request.
    pub(super) async fn pod_of(&self, owner: AppOwner, name: &str) -> Result<Pod, CloudError> {
        let missing = || CloudError::NotFound(format!("there is no pod {name}"));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 253 || !name.chars().all(is_name) {
            return Err(CloudError::NotFound("there is no such pod".to_owned()));
        }
        let pods = self.objects_of::<Pod>(owner);
        let pod = self.found_inside(owner, || pods.get(name)).await?.ok_or_else(missing)?;
        if labels::owner(&pod.metadata) == Some(owner) { Ok(pod) } else { Err(missing()) }
    }
}

fn has_no_log(words: &str) -> bool {
    ["waiting to start", "previous terminated container", "is terminated", "not found", "ContainerCreating"]
        .iter()
        .any(|part| words.contains(part))
}

/// Lines as they come. Memory is bounded, whatever a container writes.
fn lines(reader: impl AsyncBufRead + Send + 'static) -> impl futures::Stream<Item = Result<LogLine, CloudError>> {
    stream::unfold(Some(Box::pin(reader)), |reader| async {
        let mut reader = reader?;
        match next_line(&mut reader).await {
            // The kubelet's own words in place of a log that was removed between two restarts. A line of the program
            // has its time before it.
            Ok(Some(raw)) if raw.starts_with(LOG_IS_GONE) => {
                Some((Err(CloudError::unavailable("the log has just been removed")), None))
            }
            Ok(Some(raw)) => Some((Ok(parsed(&raw)), Some(reader))),
            Ok(None) => None,
            Err(err) => Some((Err(CloudError::unavailable(format!("the log broke off: {err}"))), None)),
        }
    })
}

/// The next line without its end; None: there are no more.
async fn next_line(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut is_begun = false;
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(is_begun.then_some(line));
        }
        is_begun = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = end.unwrap_or(chunk.len());
        let room = LONGEST_RAW - line.len();
        line.extend(chunk.iter().take(part.min(room)));
        let taken = end.map_or(part, |end| end + 1);
        reader.consume_unpin(taken);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

/// `2026-11-24T20:31:00.123456789Z text`, as the kubelet writes it when asked for times.
fn parsed(raw: &[u8]) -> LogLine {
    let split = raw.iter().take(64).position(|byte| *byte == b' ').unwrap_or(raw.len());
    let time = std::str::from_utf8(raw.get(..split).unwrap_or_default()).ok();
    match time.and_then(|time| DateTime::parse_from_rfc3339(time).ok()) {
        Some(at) => {
            let text = LogLine::clean(raw.get(split + 1..).unwrap_or_default());
            LogLine { at: Some(at.with_timezone(&Utc)), text }
        }
        None => LogLine { at: None, text: LogLine::clean(raw) },
    }
}

fn is_about(event: &Event, owner: AppOwner) -> bool {
    let own = object_name(owner.application);
    let name = event.involved_object.name.as_deref().unwrap_or_default();
    name.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn translated(event: &Event) -> ClusterEvent {
    let about = &event.involved_object;
    let series = event.series.as_ref();
    let precise = |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime>| {
        let time = time.map(|time| k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time.0));
        utc(time.as_ref())
    };
    let count = event.count.or_else(|| series.and_then(|series| series.count)).unwrap_or(1);
    ClusterEvent {
        reason: LogLine::clean(event.reason.as_deref().unwrap_or_default().as_bytes()),
        message: LogLine::clean(event.message.as_deref().unwrap_or_default().as_bytes()),
        pod: about.name.clone().filter(|_| about.kind.as_deref() == Some("Pod")),
        warning: event.type_.as_deref() == Some("Warning"),
        count: u32::try_from(count).unwrap_or(1).max(1),
        at: utc(event.last_timestamp.as_ref())
            .or_else(|| precise(series.and_then(|series| series.last_observed_time.as_ref())))
            .or_else(|| precise(event.event_time.as_ref()))
            .or_else(|| utc(event.creation_timestamp().as_ref())),
    }
}

#[cfg(test)]
mod tests;
