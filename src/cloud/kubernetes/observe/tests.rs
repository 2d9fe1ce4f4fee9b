use serde_json::{Value, json};

use super::*;
use crate::ids::{AccountId, ApplicationId};

fn owner() -> AppOwner {
    AppOwner { portal: Uuid::new_v4(), account: AccountId::new(), application: ApplicationId::new() }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    Some(text.parse().unwrap())
}

fn pod(status: Value) -> PodSeen {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": "app-1-abc-xyz",
            "creationTimestamp": "2026-11-24T20:31:00Z",
            "labels": {"fast-cloud/revision": "3"},
        },
        "status": status,
    }))
    .unwrap();
    pod_seen(&pod)
}

/// A container's status as the kubelet of 1.20 writes it.
fn with_container(state: Value, last: Value, restarts: u32) -> Value {
    json!({"phase": "Running", "containerStatuses": [{
        "name": "app",
        "image": "docker.io/library/hello:1",
        "imageID": "docker.io/library/hello@sha256:0123",
        "ready": false,
        "restartCount": restarts,
        "state": state,
        "lastState": last,
    }]})
}

#[test]
fn a_deployment_whose_counts_are_absent_has_none() {
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"generation": 4},
        "spec": {
            "replicas": 0,
            "selector": {},
            "template": {"metadata": {"labels": {"fast-cloud/revision": "9"}}},
        },
        "status": {"observedGeneration": 3},
    }))
    .unwrap();
    let expected = DeploymentSeen { generation: 4, observed_generation: 3, revision: 9, ..DeploymentSeen::default() };
    assert_eq!(deployment_seen(&deployment), expected);
}

#[test]
fn a_deployment_with_all_it_can_say() {
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"generation": 2, "deletionTimestamp": "2026-11-24T20:31:00Z"},
        "spec": {"replicas": 3, "selector": {}, "template": {}},
        "status": {
            "observedGeneration": 2, "replicas": 4, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2,
            "conditions": [
                {"type": "Progressing", "status": "True", "message": "x"},
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: …"},
            ],
        },
    }))
    .unwrap();
    assert_eq!(
        deployment_seen(&deployment),
        DeploymentSeen {
            generation: 2,
            observed_generation: 2,
            revision: 0,
            wanted: 3,
            updated: 1,
            ready: 2,
            available: 2,
            total: 4,
            replica_failure: Some("exceeded quota: …".to_owned()),
            deleting: true,
        }
    );
}

#[test]
fn a_pod_that_runs() {
    let mut status = with_container(json!({"running": {"startedAt": "2026-11-24T20:31:02Z"}}), json!({}), 0);
    status["conditions"] = json!([{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}]);
    assert_eq!(
        pod(status),
        PodSeen {
            name: "app-1-abc-xyz".to_owned(),
            revision: 3,
            phase: "Running".to_owned(),
            ready: true,
            deleting: false,
            restarts: 0,
            created_at: time("2026-11-24T20:31:00Z"),
            running_since: time("2026-11-24T20:31:02Z"),
            digest: Some("sha256:0123".to_owned()),
            waiting: None,
            ended: None,
            unschedulable: None,
        }
    );
}

#[test]
fn a_pod_that_crashes_again_and_again() {
    let waiting =
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}});
    let last = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-24T20:32:00Z"}});
    let seen = pod(with_container(waiting, last, 2));
    assert_eq!(seen.restarts, 2);
    assert_eq!(seen.waiting.unwrap().reason, "CrashLoopBackOff");
    let ended = Ended { exit_code: 137, reason: "OOMKilled".to_owned(), at: time("2026-11-24T20:32:00Z") };
    assert_eq!(seen.ended, Some(ended));
    // While it lies there before the next back-off, the end that just was comes first.
    let now = json!({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-24T20:33:00Z"}});
    let last = json!({"terminated": {"exitCode": 2, "reason": "Error"}});
    assert_eq!(pod(with_container(now, last, 3)).ended.unwrap().exit_code, 1);
}

#[test]
fn a_pod_that_no_node_takes_or_that_says_nothing() {
    let seen = pod(json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.", "lastTransitionTime": "2026-11-24T20:31:01Z",
    }]}));
    let unschedulable = seen.unschedulable.unwrap();
    assert_eq!(unschedulable.message, "0/1 nodes are available: 1 Insufficient cpu.");
    assert_eq!(unschedulable.since, time("2026-11-24T20:31:01Z"));
    let gated = pod(json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}));
    assert_eq!(gated.unschedulable, None);
    let seen = pod(json!({}));
    assert_eq!((seen.phase.as_str(), seen.ready, seen.running_since, seen.digest), ("", false, None, None));
}

#[test]
fn a_digest_is_that_of_a_manifest() {
    for (id, expected) in [
        ("docker.io/library/nginx@sha256:ab", Some("sha256:ab")),
        ("docker-pullable://nginx@sha256:ab", Some("sha256:ab")),
        ("sha256:ab", None),
        ("", None),
    ] {
        assert_eq!(digest(id).as_deref(), expected, "{id}");
    }
}

#[test]
fn the_cause_of_a_failed_pull_outlives_the_pause() {
    let (failures, owner) = (PullFailures::default(), owner());
    let waits = |reason: &str, message: &str| {
        let waiting = json!({"waiting": {"reason": reason, "message": message}});
        failures.completed(owner, pod(with_container(waiting, json!({}), 0))).waiting.unwrap()
    };
    assert_eq!(waits("ImagePullBackOff", "Back-off pulling image").message, "Back-off pulling image");
    let cause = "rpc error: code = NotFound desc = failed to resolve: docker.io/library/none:1: not found";
    assert_eq!(waits("ErrImagePull", cause).message, cause);
    let later = waits("ImagePullBackOff", "Back-off pulling image");
    assert_eq!((later.reason.as_str(), later.message.as_str()), ("ImagePullBackOff", cause));
    let newer = "Back-off pulling image \"x\": ErrImagePull: too many requests";
    assert_eq!(waits("ImagePullBackOff", newer).message, newer);
    // The image has come: what was is forgotten.
    failures.completed(owner, pod(with_container(json!({"running": {}}), json!({}), 0)));
    assert_eq!(waits("ImagePullBackOff", "Back-off pulling image").message, "Back-off pulling image");
    assert_eq!(waits("ErrImagePull", cause).message, cause);
    failures.retain(|_, _| false);
    assert_eq!(waits("ImagePullBackOff", "Back-off").message, "Back-off");
}
