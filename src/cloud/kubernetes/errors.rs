//! What the cluster's refusals mean for us: the one place that says so.

use std::time::Duration;

use kube::core::Status;

use crate::cloud::CloudError;

/// What a failed call means.
pub(super) fn meaning(err: kube::Error) -> CloudError {
    match err {
        kube::Error::Api(status) => refusal(&status),
        kube::Error::SerdeError(err) => CloudError::unavailable(format!("the cluster's answer made no sense: {err}")),
        kube::Error::BuildRequest(err) => CloudError::Rejected(err.to_string()),
        other => CloudError::unavailable(chain(&other)),
    }
}

/// Whether the portal's role (in this namespace) does not allow it; not a quota's or an admission's refusal.
pub(super) fn is_missing_right(err: &kube::Error) -> bool {
    matches!(err, kube::Error::Api(status) if status.code == 403 && lacks_right(status))
}

pub(super) fn is_not_found(err: &kube::Error) -> bool {
    matches!(err, kube::Error::Api(status) if status.is_not_found())
}

fn refusal(status: &Status) -> CloudError {
    let words = words(status);
    match status.code {
        401 => CloudError::unavailable(format!("the cluster does not accept the portal's login: {words}")),
        403 if words.contains("exceeded quota") => CloudError::QuotaExceeded(words),
        403 if has_cause(status, "NamespaceTerminating") => CloudError::Conflict(words),
        403 if lacks_right(status) => {
            CloudError::Rejected(format!("the portal's role is too small, see deploy/rbac.yaml: {words}"))
        }
        404 => CloudError::NotFound(words),
        409 => CloudError::Conflict(words),
        422 => CloudError::Rejected(with_field(status, words)),
        // 410: a page of a list that is too old; the list is asked for again.
        408 | 410 | 429 | 500.. => CloudError::Unavailable { message: words, retry_after: retry_after(status) },
        _ => CloudError::Rejected(words),
    }
}

/// RBAC's sentence names user, verb and resource: `User "x" cannot create resource "secrets" in API group "" …`.
fn lacks_right(status: &Status) -> bool {
    status.message.contains(" cannot ") && status.message.contains(" resource ")
}

fn has_cause(status: &Status, reason: &str) -> bool {
    status.details.as_ref().is_some_and(|details| details.causes.iter().any(|cause| cause.reason == reason))
}

fn with_field(status: &Status, words: String) -> String {
    let field = status.details.as_ref().and_then(|details| details.causes.first()).map(|cause| cause.field.as_str());
    match field {
        Some(field) if !field.is_empty() && !words.contains(field) => format!("{field}: {words}"),
        _ => words,
    }
}

fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    match seconds {
        // The server sends the seconds as a header too, which does not get through to here: it is always 1.
        0 if status.code == 429 => Some(Duration::from_secs(1)),
        0 => None,
        seconds => Some(Duration::from_secs(u64::from(seconds))),
    }
}

/// A refusal in the server's words, else by its number.
fn words(status: &Status) -> String {
    match (status.message.trim(), status.reason.trim()) {
        ("", "") => format!("HTTP {}", status.code),
        ("", reason) => format!("HTTP {}: {reason}", status.code),
        (message, _) => message.chars().take(1_000).collect(),
    }
}

/// An error with what caused it: "ServiceError: client error (Connect): tcp connect error: …".
fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    // Where a library would have programmers read on.
    match text.find(": https://docs.rs/") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn meant(status: Value) -> CloudError {
        meaning(kube::Error::Api(serde_json::from_value::<Status>(status).unwrap().boxed()))
    }

    #[test]
    fn quota_role_and_namespace_are_told_apart() {
        let quota = meant(json!({"code": 403, "reason": "Forbidden", "message":
            "services \"x\" is forbidden: exceeded quota: fast-cloud, requested: services=1, used: services=5, limited: services=5"}));
        assert!(matches!(quota, CloudError::QuotaExceeded(_)), "{quota}");
        let role = meant(json!({"code": 403, "reason": "Forbidden", "message":
            "secrets is forbidden: User \"p\" cannot create resource \"secrets\" in API group \"\" in the namespace \"n\""}));
        assert!(
            matches!(&role, CloudError::Rejected(text) if text.contains("rbac.yaml") && text.contains("secrets")),
            "{role}"
        );
        let going = meant(json!({"code": 403, "reason": "Forbidden", "message": "unable to create new content",
            "details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]}}));
        assert!(matches!(going, CloudError::Conflict(_)), "{going}");
        let webhook =
            meant(json!({"code": 403, "reason": "Forbidden", "message": "admission webhook denied the request"}));
        assert!(matches!(&webhook, CloudError::Rejected(text) if !text.contains("rbac")), "{webhook}");
    }

    #[test]
    fn each_number_has_its_meaning() {
        assert!(matches!(
            meant(json!({"code": 404, "reason": "NotFound", "message": "gone"})),
            CloudError::NotFound(_)
        ));
        assert!(matches!(
            meant(json!({"code": 409, "reason": "AlreadyExists", "message": "x"})),
            CloudError::Conflict(_)
        ));
        let invalid = meant(json!({"code": 422, "reason": "Invalid", "message": "Invalid value",
            "details": {"causes": [{"field": "spec.ports[0].port", "message": "must be between 1 and 65535"}]}}));
        assert!(
            matches!(&invalid, CloudError::Rejected(text) if text.starts_with("spec.ports[0].port: ")),
            "{invalid}"
        );
        assert!(matches!(meant(json!({"code": 400, "message": "bad"})), CloudError::Rejected(_)));
        assert!(matches!(meant(json!({"code": 401, "message": "Unauthorized"})), CloudError::Unavailable { .. }));
        for (code, seconds, expected) in [(429, 0, Some(1)), (429, 7, Some(7)), (503, 0, None), (500, 3, Some(3))] {
            let answer = meant(json!({"code": code, "message": "busy", "details": {"retryAfterSeconds": seconds}}));
            let CloudError::Unavailable { retry_after, .. } = answer else { panic!("{answer}") };
            assert_eq!(retry_after, expected.map(Duration::from_secs), "{code}");
        }
        assert!(meant(json!({"code": 502})).to_string().contains("HTTP 502"));
    }
}
