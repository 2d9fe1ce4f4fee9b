use futures::io::{BufReader, Cursor};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::ids::{AccountId, ApplicationId};

async fn read(bytes: Vec<u8>, buffer: usize) -> Vec<LogLine> {
    let lines: Vec<_> = lines(BufReader::with_capacity(buffer, Cursor::new(bytes))).collect().await;
    lines.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn lines_come_with_their_times() {
    let log = b"2026-11-24T20:31:00.123456789Z first\r\n2026-11-24T20:31:01Z \nno time here\n2026-11-24T20:31:02Z last";
    for buffer in [1, 7, 4_096] {
        let lines = read(log.to_vec(), buffer).await;
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["first", "", "no time here", "last"]);
        assert_eq!(lines[0].at, Some("2026-11-24T20:31:00.123456789Z".parse().unwrap()));
        assert_eq!(lines[2].at, None);
    }
    assert!(read(Vec::new(), 16).await.is_empty());
}

#[tokio::test]
async fn a_line_without_end_is_bounded_and_the_next_is_whole() {
    let mut log = b"2026-11-24T20:31:00Z ".to_vec();
    log.extend(vec![b'x'; 10_000_000]);
    log.extend(b"\n2026-11-24T20:31:01Z next\n");
    let lines = read(log, 8_192).await;
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].text.chars().count(), LogLine::LONGEST);
    assert_eq!(lines[1].text, "next");
}

fn event(json: Value) -> Event {
    serde_json::from_value(json).unwrap()
}

#[test]
fn events_are_an_applications_own() {
    let owner = AppOwner { portal: Uuid::new_v4(), account: AccountId::new(), application: ApplicationId::new() };
    let own = object_name(owner.application);
    let about = |name: &str| event(json!({"metadata": {}, "involvedObject": {"kind": "Pod", "name": name}}));
    for (name, expected) in [
        (own.clone(), true),
        (format!("{own}-5c6578b567"), true),
        (format!("{own}-5c6578b567-6xhvw"), true),
        (format!("{own}0"), false),
        (object_name(ApplicationId::new()), false),
        (String::new(), false),
    ] {
        assert_eq!(is_about(&about(&name), owner), expected, "{name}");
    }
}

#[test]
fn an_events_time_is_where_its_writer_put_it() {
    let base = |more: Value| {
        let mut json = json!({
            "metadata": {"creationTimestamp": "2026-11-24T20:00:00Z"},
            "involvedObject": {"kind": "Pod", "name": "app-1-a-b"},
            "reason": "BackOff", "message": "Back-off \u{1b}[31mrestarting", "type": "Warning",
        });
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        translated(&event(json))
    };
    let old = base(json!({"lastTimestamp": "2026-11-24T20:01:00Z", "eventTime": null, "count": 4}));
    assert_eq!(
        old,
        ClusterEvent {
            reason: "BackOff".to_owned(),
            message: "Back-off restarting".to_owned(),
            pod: Some("app-1-a-b".to_owned()),
            warning: true,
            count: 4,
            at: Some("2026-11-24T20:01:00Z".parse().unwrap()),
        }
    );
    let scheduler = base(json!({"eventTime": "2026-11-24T20:02:00.000000Z"}));
    assert_eq!((scheduler.at, scheduler.count), (Some("2026-11-24T20:02:00Z".parse().unwrap()), 1));
    let series = base(json!({
        "eventTime": "2026-11-24T20:02:00.000000Z",
        "series": {"count": 9, "lastObservedTime": "2026-11-24T20:05:00.000000Z"},
    }));
    assert_eq!((series.at, series.count), (Some("2026-11-24T20:05:00Z".parse().unwrap()), 9));
    assert_eq!(base(json!({})).at, Some("2026-11-24T20:00:00Z".parse().unwrap()));
    let set = base(json!({"involvedObject": {"kind": "ReplicaSet", "name": "app-1-a"}}));
    assert_eq!(set.pod, None);
}

#[tokio::test]
async fn words_of_the_kubelet_are_no_log() {
    let gone = b"unable to retrieve container logs for containerd://b8e2297d55d89c4c";
    let read: Vec<_> = lines(BufReader::new(Cursor::new(gone.to_vec()))).collect().await;
    assert!(matches!(read.as_slice(), [Err(CloudError::Unavailable { .. })]), "{read:?}");
    // A program may say the same; its line has its time.
    let said = [b"2026-11-24T20:31:00Z ", gone.as_slice()].concat();
    let read: Vec<_> = lines(BufReader::new(Cursor::new(said))).collect().await;
    assert!(matches!(read.as_slice(), [Ok(line)] if line.text.starts_with("unable to retrieve")), "{read:?}");
}
