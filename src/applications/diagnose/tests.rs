//! Cases as a cluster tells them, and what they mean.

use uuid::Uuid;

use super::*;
use crate::cloud::cluster::{AppOwner, Ended, Unschedulable, Words};
use crate::ids::{AccountId, ApplicationId};

const NOON: i64 = 1_795_000_000;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(NOON + second, 0).unwrap()
}

fn limits() -> Limits {
    Limits { unschedulable: TimeDelta::seconds(30), silent: TimeDelta::seconds(8), rollout: TimeDelta::seconds(300) }
}

fn facts(status: Status, transition: Option<Transition>) -> Facts {
    Facts {
        status,
        transition,
        reason: None,
        reason_text: None,
        findings: Findings::default(),
        since: Some(at(0)),
        before: None,
    }
}

fn deploying() -> Facts {
    facts(Status::Pending, Some(Transition::Deploying))
}

fn running() -> Facts {
    facts(Status::Running, None)
}

fn pod(revision: u32) -> PodSeen {
    PodSeen {
        name: format!("app-{revision}"),
        revision,
        phase: "Running".to_owned(),
        ready: false,
        deleting: false,
        restarts: 0,
        created_at: Some(at(0)),
        running_since: None,
        digest: None,
        waiting: None,
        ended: None,
        unschedulable: None,
    }
}

fn ready(revision: u32) -> PodSeen {
    PodSeen { ready: true, running_since: Some(at(1)), ..pod(revision) }
}

fn waiting(reason: &str, message: &str) -> PodSeen {
    let words = Words { reason: reason.to_owned(), message: message.to_owned() };
    PodSeen { waiting: Some(words), ..pod(1) }
}

fn ended(exit_code: i32, reason: &str) -> Option<Ended> {
    Some(Ended { exit_code, reason: reason.to_owned(), at: Some(at(5)) })
}

fn looping(exit_code: i32, reason: &str) -> PodSeen {
    PodSeen {
        restarts: 2,
        ended: ended(exit_code, reason),
        ..waiting("CrashLoopBackOff", "back-off 20s restarting failed container")
    }
}

/// One revision wanted, with one pod.
fn one(pods: Vec<PodSeen>) -> Observed {
    of(1, 1, pods)
}

/// The counts that fit the pods.
fn of(revision: u32, wanted: u32, pods: Vec<PodSeen>) -> Observed {
    let count = |fits: &dyn Fn(&PodSeen) -> bool| u32::try_from(pods.iter().filter(|pod| fits(pod)).count()).unwrap();
    let deployment = DeploymentSeen {
        generation: 3,
        observed_generation: 3,
        revision,
        wanted,
        updated: count(&|pod| pod.revision == revision && !pod.deleting),
        ready: count(&|pod| pod.ready && !pod.deleting),
        available: count(&|pod| pod.ready && !pod.deleting),
        total: count(&|pod| !pod.deleting),
        replica_failure: None,
        deleting: false,
    };
    let owner =
        AppOwner { portal: Uuid::nil(), account: AccountId(Uuid::nil()), application: ApplicationId(Uuid::nil()) };
    Observed { owner, deployment: Some(deployment), pods }
}

fn with(mut seen: Observed, change: impl FnOnce(&mut DeploymentSeen)) -> Observed {
    change(seen.deployment.as_mut().unwrap());
    seen
}

fn judged(facts: &Facts, seen: &Observed, second: i64) -> Verdict {
    diagnose(facts, seen, at(second), limits())
}

/// The row after a verdict, and what was seen.
fn after(verdict: &Verdict, seen: &Observed) -> Facts {
    Facts {
        status: verdict.status,
        transition: verdict.transition,
        reason: verdict.reason.clone(),
        reason_text: verdict.reason_text.clone(),
        findings: verdict.findings.clone(),
        since: Some(verdict.since),
        before: Some(seen.clone()),
    }
}

/// What is asserted of most cases.
fn said(verdict: &Verdict) -> (Status, Option<Transition>, Option<&str>) {
    (verdict.status, verdict.transition, verdict.reason.as_deref())
}

fn kind(verdict: &Verdict) -> Option<Kind> {
    verdict.event.as_ref().map(|(kind, _)| *kind)
}

#[test]
fn one_that_is_ready_runs() {
    for (facts, event) in [
        (deploying(), Some(Kind::Running)),
        (facts(Status::Running, Some(Transition::Redeploying)), Some(Kind::Redeployed)),
        (facts(Status::Pending, Some(Transition::Starting)), Some(Kind::Started)),
        (facts(Status::Failed, None), Some(Kind::Recovered)),
        (facts(Status::Stopped, None), Some(Kind::ChangedOutside)),
        (running(), None),
    ] {
        let verdict = judged(&facts, &one(vec![ready(1)]), 3);
        assert_eq!((said(&verdict), kind(&verdict)), ((Status::Running, None, None), event), "{facts:?}");
        assert_eq!((verdict.look_at, &verdict.investigate), (None, &None), "a settled one costs nothing");
    }
}

#[test]
fn counts_of_an_older_specification_say_nothing() {
    let old = with(one(vec![ready(1)]), |deployment| deployment.generation = 4);
    let redeploying = facts(Status::Running, Some(Transition::Redeploying));
    let verdict = judged(&redeploying, &old, 1);
    assert_eq!(said(&verdict), (Status::Running, Some(Transition::Redeploying), None));
    // Unless nobody looks at the new one at all.
    let late = judged(&after(&verdict, &old), &old, 400);
    assert_eq!(late.reason.as_deref(), Some("rollout_slow"));
}

#[test]
fn a_rollout_ends_when_the_former_pods_are_gone() {
    let redeploying = facts(Status::Running, Some(Transition::Redeploying));
    for pods in [
        vec![ready(1), pod(2)],
        vec![ready(1), PodSeen { running_since: Some(at(2)), ..pod(2) }],
        // The new one is ready, the old one still counts.
        vec![ready(1), ready(2)],
    ] {
        let verdict = judged(&redeploying, &of(2, 1, pods), 3);
        assert_eq!(said(&verdict), (Status::Running, Some(Transition::Redeploying), None));
    }
    let done = judged(&redeploying, &of(2, 1, vec![PodSeen { deleting: true, ..ready(1) }, ready(2)]), 3);
    assert_eq!((said(&done), kind(&done)), ((Status::Running, None, None), Some(Kind::Redeployed)));
}

#[test]
fn a_failed_rollout_leaves_the_former_one_running_and_says_so() {
    let redeploying = facts(Status::Running, Some(Transition::Redeploying));
    let missing = PodSeen { revision: 2, ..waiting("ErrImagePull", "rpc error: … hello:9: not found") };
    let seen = of(2, 1, vec![ready(1), missing]);
    let verdict = judged(&redeploying, &seen, 9);
    assert_eq!(said(&verdict), (Status::Running, None, Some("image_not_found")));
    assert!(verdict.findings.old_answers);
    assert_eq!(kind(&verdict), Some(Kind::RolloutFailed));
    // The same again is no news.
    assert_eq!(kind(&judged(&after(&verdict, &seen), &seen, 19)), None);
    let crashing = of(2, 1, vec![ready(1), PodSeen { revision: 2, ..looping(1, "Error") }]);
    let verdict = judged(&redeploying, &crashing, 30);
    assert_eq!(said(&verdict), (Status::Running, None, Some("crash_loop")));
    assert!(verdict.findings.old_answers && verdict.investigate.is_some());
}

#[test]
fn images_that_can_t_be_pulled_are_told_by_the_words_of_runtimes() {
    for (reason, message, expected) in [
        (
            "ErrImagePull",
            "failed to resolve reference \"docker.io/x/y:1\": docker.io/x/y:1: not found",
            "image_not_found",
        ),
        ("ErrImagePull", "manifest unknown: manifest unknown", "image_not_found"),
        (
            "ErrImagePull",
            "pull access denied, repository does not exist or may require authorization: insufficient_scope",
            "image_not_found",
        ),
        ("InvalidImageName", "Failed to apply default image tag \"A B\": couldn't parse", "image_not_found"),
        ("ImagePullBackOff", "Back-off pulling image \"x\": ErrImagePull: manifest unknown", "image_not_found"),
        (
            "ErrImagePull",
            "429 Too Many Requests - toomanyrequests: You have reached your pull rate limit",
            "image_rate_limited",
        ),
        ("ErrImagePull", "unexpected status code: 429 too many requests", "image_rate_limited"),
        ("ErrImagePull", "failed to authorize: 401 Unauthorized", "image_private"),
        ("ErrImagePull", "denied: requested access to the resource is denied", "image_private"),
        ("ErrImagePull", "no match for platform in manifest: not found", "wrong_architecture"),
        ("CreateContainerError", "exec /app: exec format error", "wrong_architecture"),
        ("CreateContainerConfigError", "secret \"app-1\" not found", "config_error"),
        ("RunContainerError", "container init: executable file not found", "config_error"),
        ("ErrImagePull", "dial tcp: i/o timeout", "image_not_found"),
    ] {
        let verdict = judged(&deploying(), &one(vec![waiting(reason, message)]), 5);
        assert_eq!(said(&verdict), (Status::Failed, None, Some(expected)), "{reason} {message}");
        assert_eq!(verdict.reason_text.as_deref(), Some(message));
        assert_eq!((kind(&verdict), &verdict.investigate), (Some(Kind::Failed), &None));
    }
}

#[test]
fn a_back_off_does_not_hide_what_was_said_before_it() {
    let told = one(vec![waiting("ErrImagePull", "toomanyrequests: reached")]);
    let verdict = judged(&deploying(), &told, 5);
    let backing_off = one(vec![waiting("ImagePullBackOff", "Back-off pulling image \"x\"")]);
    let next = judged(&after(&verdict, &told), &backing_off, 15);
    assert_eq!(said(&next), (Status::Failed, None, Some("image_rate_limited")));
    assert_eq!(next.reason_text.as_deref(), Some("toomanyrequests: reached"));
    assert_eq!(next.event, None);
    // And back again.
    let again = judged(&after(&next, &backing_off), &told, 40);
    assert_eq!((said(&again), again.event.clone()), (said(&next), None));
}

#[test]
fn a_container_that_ends_again_and_again_is_looked_into_once() {
    for (code, reason, expected) in
        [(1, "Error", "crash_loop"), (0, "Completed", "ended"), (137, "OOMKilled", "out_of_memory")]
    {
        let seen = one(vec![looping(code, reason)]);
        let verdict = judged(&deploying(), &seen, 20);
        assert_eq!(said(&verdict), (Status::Failed, None, Some(expected)));
        assert_eq!(verdict.findings.exit_code, Some(code));
        let key = verdict.investigate.clone().unwrap();
        let mut known = after(&verdict, &seen);
        known.findings = Findings { key, log: vec!["last words".to_owned()], ..verdict.findings.clone() };
        let again = judged(&known, &seen, 60);
        assert_eq!(again.investigate, None);
        assert_eq!(again.findings.log, ["last words"]);
    }
}

#[test]
fn what_the_log_says_finer_stays() {
    let seen = one(vec![looping(1, "Error")]);
    let verdict = judged(&deploying(), &seen, 20);
    let mut known = after(&verdict, &seen);
    known.findings.key = verdict.investigate.unwrap();
    known.reason = Some("wrong_architecture".to_owned());
    assert_eq!(judged(&known, &seen, 60).reason.as_deref(), Some("wrong_architecture"));
}

#[test]
fn a_moment_between_two_crashes_is_not_running() {
    let seen = one(vec![looping(1, "Error")]);
    let failed = after(&judged(&deploying(), &seen, 20), &seen);
    let up = PodSeen { restarts: 3, running_since: Some(at(40)), ended: ended(1, "Error"), ..ready(1) };
    let moment = judged(&failed, &one(vec![up.clone()]), 41);
    assert_eq!(said(&moment), (Status::Failed, None, Some("crash_loop")));
    assert_eq!((moment.look_at, moment.event), (Some(at(60)), None));
    // Not ready yet is no news either.
    let starting = PodSeen { ready: false, ..up.clone() };
    assert_eq!(said(&judged(&failed, &one(vec![starting]), 41)), (Status::Failed, None, Some("crash_loop")));
    let lasts = judged(&failed, &one(vec![up]), 61);
    assert_eq!((said(&lasts), kind(&lasts)), ((Status::Running, None, None), Some(Kind::Recovered)));
}

#[test]
fn one_that_was_restarted_lately_is_not_running_yet() {
    let up = PodSeen { restarts: 1, running_since: Some(at(10)), ended: ended(1, "Error"), ..ready(1) };
    let verdict = judged(&running(), &one(vec![up.clone()]), 11);
    assert_eq!((said(&verdict), verdict.look_at), ((Status::Pending, None, None), Some(at(30))));
    assert_eq!(judged(&after(&verdict, &one(vec![up.clone()])), &one(vec![up]), 30).status, Status::Running);
}

#[test]
fn a_first_end_is_not_yet_a_loop() {
    let first = PodSeen { ended: ended(1, "Error"), ..pod(1) };
    assert_eq!(said(&judged(&deploying(), &one(vec![first.clone()]), 5)).0, Status::Pending);
    let second = PodSeen { restarts: 1, ..first };
    assert_eq!(said(&judged(&deploying(), &one(vec![second]), 8)), (Status::Failed, None, Some("crash_loop")));
}

#[test]
fn no_room_is_told_after_a_while() {
    let message = "0/1 nodes are available: 1 Insufficient cpu.".to_owned();
    let unschedulable = Some(Unschedulable { message: message.clone(), since: Some(at(2)) });
    let seen = one(vec![PodSeen { phase: "Pending".to_owned(), unschedulable, ..pod(1) }]);
    let early = judged(&deploying(), &seen, 10);
    assert_eq!(said(&early), (Status::Pending, Some(Transition::Deploying), None));
    assert_eq!(early.look_at, Some(at(32)));
    let late = judged(&after(&early, &seen), &seen, 32);
    assert_eq!(said(&late), (Status::Failed, None, Some("unschedulable")));
    assert_eq!((late.reason_text, late.look_at), (Some(message), None));
}

#[test]
fn pods_that_can_t_even_be_made_are_told() {
    for (message, reason) in [
        ("pods \"x\" is forbidden: exceeded quota: fast-cloud, requested: limits.cpu=1", "quota"),
        ("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"", "config_error"),
    ] {
        let seen = with(one(vec![]), |deployment| deployment.replica_failure = Some(message.to_owned()));
        let verdict = judged(&deploying(), &seen, 3);
        assert_eq!(said(&verdict), (Status::Failed, None, Some(reason)));
        assert_eq!(verdict.reason_text.as_deref(), Some(message));
    }
}

#[test]
fn one_that_does_not_answer_is_looked_into_twice_and_fails_late() {
    let seen = one(vec![PodSeen { running_since: Some(at(2)), ..pod(1) }]);
    let first = judged(&deploying(), &seen, 3);
    assert_eq!(said(&first), (Status::Pending, Some(Transition::Deploying), None));
    assert_eq!((first.look_at, &first.investigate), (Some(at(10)), &None));
    let second = judged(&after(&first, &seen), &seen, 10);
    assert_eq!(said(&second), (Status::Pending, Some(Transition::Deploying), None));
    assert_eq!(second.look_at, Some(at(66)));
    let mut known = after(&second, &seen);
    known.findings.key = second.investigate.clone().unwrap();
    known.reason = Some("port_silent".to_owned());
    let third = judged(&known, &seen, 11);
    assert_eq!(said(&third), (Status::Pending, Some(Transition::Deploying), Some("port_silent")));
    assert_eq!((third.look_at, &third.investigate), (Some(at(66)), &None), "it may still be starting");
    let last = judged(&after(&third, &seen), &seen, 66);
    assert_eq!((said(&last), kind(&last)), ((Status::Failed, None, Some("port_silent")), Some(Kind::Failed)));
    assert!(last.investigate.is_some_and(|key| Some(key) != second.investigate), "a second look");
    // Slow programs exist.
    assert_eq!(judged(&known, &one(vec![ready(1)]), 40).status, Status::Running);
}

#[test]
fn where_it_listens_instead_is_certain_at_once() {
    let seen = one(vec![PodSeen { running_since: Some(at(2)), ..pod(1) }]);
    let waiting = judged(&deploying(), &seen, 10);
    let mut known = after(&waiting, &seen);
    known.findings =
        Findings { key: waiting.investigate.unwrap_or_default(), suggested_port: Some(8080), ..Findings::default() };
    for reason in ["port_other", "port_loopback"] {
        known.reason = Some(reason.to_owned());
        let verdict = judged(&known, &seen, 11);
        assert_eq!(said(&verdict), (Status::Failed, None, Some(reason)));
        assert_eq!(verdict.findings.suggested_port, Some(8080));
    }
}

#[test]
fn a_short_silence_of_one_that_runs_is_no_news() {
    let whole = one(vec![ready(1)]);
    let known = after(&judged(&running(), &whole, 3), &whole);
    let silent = one(vec![PodSeen { ready: false, ..ready(1) }]);
    let short = judged(&known, &silent, 1_000);
    assert_eq!((said(&short), short.look_at), ((Status::Running, None, None), Some(at(1_008))));
    let longer = judged(&after(&short, &silent), &silent, 1_008);
    assert_eq!(said(&longer), (Status::Pending, None, None));
    assert!(longer.investigate.is_some());
}

#[test]
fn some_of_several_are_enough_to_run() {
    let seen = of(1, 3, vec![ready(1), ready(1), looping(1, "Error")]);
    let verdict = judged(&running(), &seen, 30);
    assert_eq!(said(&verdict), (Status::Running, None, Some("crash_loop")));
    assert!(!verdict.findings.old_answers);
}

#[test]
fn a_rollout_that_takes_too_long_is_told() {
    let seen = one(vec![waiting("ContainerCreating", "")]);
    let early = judged(&deploying(), &seen, 1);
    assert_eq!(said(&early), (Status::Pending, Some(Transition::Deploying), None));
    let late = judged(&after(&early, &seen), &seen, 301);
    assert_eq!(said(&late), (Status::Failed, None, Some("rollout_slow")));
}

#[test]
fn stopped_is_said_of_no_pods_wanted_and_none_there() {
    let stopping = facts(Status::Running, Some(Transition::Stopping));
    let going = judged(&stopping, &of(1, 0, vec![ready(1)]), 1);
    assert_eq!(said(&going), (Status::Running, Some(Transition::Stopping), None));
    let gone = judged(&stopping, &of(1, 0, vec![PodSeen { deleting: true, ..ready(1) }]), 1);
    assert_eq!((said(&gone), kind(&gone)), ((Status::Stopped, None, None), Some(Kind::Stopped)));
    // Another tool did it.
    let outside = judged(&running(), &of(1, 0, vec![]), 1);
    assert_eq!((outside.status, kind(&outside)), (Status::Stopped, Some(Kind::ChangedOutside)));
    // No pods, though some are wanted: never "stopped".
    for facts in [running(), deploying(), facts(Status::Stopped, None)] {
        assert_eq!(judged(&facts, &one(vec![]), 1).status, Status::Pending, "{facts:?}");
    }
}

#[test]
fn what_another_tool_removes_is_seen_to_its_end() {
    let seen = with(one(vec![ready(1)]), |deployment| deployment.deleting = true);
    let verdict = judged(&running(), &seen, 1);
    assert_eq!(said(&verdict), (Status::Running, Some(Transition::Deleting), Some(DELETED_OUTSIDE)));
    let none = Observed { deployment: None, ..one(vec![]) };
    let gone = judged(&after(&verdict, &seen), &none, 2);
    assert_eq!((said(&gone), kind(&gone)), ((Status::Failed, None, Some(VANISHED)), Some(Kind::Vanished)));
    assert_eq!(judged(&after(&gone, &none), &none, 60).event, None);
    // Somebody gave it up, or made it anew.
    assert_eq!(said(&judged(&after(&verdict, &seen), &one(vec![ready(1)]), 3)), (Status::Running, None, None));
}

#[test]
fn a_refusal_is_told_until_the_state_changes() {
    let mut known = running();
    known.reason = Some("deploy_failed".to_owned());
    known.reason_text = Some("admission webhook denied".to_owned());
    known.findings.old_answers = true;
    let same = judged(&known, &one(vec![ready(1)]), 1);
    assert_eq!(said(&same), (Status::Running, None, Some("deploy_failed")));
    assert!(same.findings.old_answers);
    let other = judged(&known, &of(1, 0, vec![]), 1);
    assert_eq!(said(&other), (Status::Stopped, None, None));
}

#[test]
fn an_evicted_pod_is_not_the_application() {
    let evicted = PodSeen { phase: "Failed".to_owned(), ended: ended(137, "Error"), restarts: 1, ..pod(1) };
    let mut seen = one(vec![ready(1)]);
    seen.pods.push(evicted);
    assert_eq!(said(&judged(&running(), &seen, 1)), (Status::Running, None, None));
}
