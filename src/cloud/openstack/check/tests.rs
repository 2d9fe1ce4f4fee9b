use serde_json::json;

use crate::cloud::openstack::testing::{Cloud, Reply};
use crate::cloud::{CheckOutcome, Compute};

#[tokio::test]
async fn all_is_well() {
    let cloud = Cloud::start(|_| None).await;
    let lines = cloud.client(30).check().await;
    assert!(lines.iter().all(|line| matches!(line.outcome, CheckOutcome::Works(_))), "{lines:#?}");
    assert_eq!(lines.len(), 9);
}

#[tokio::test]
async fn a_refused_login_leaves_the_rest_untried() {
    let cloud = Cloud::start(|request| {
        request.target.contains("tokens").then(|| Reply::Json(401, json!({"error": {"message": "no"}})))
    })
    .await;
    let lines = cloud.client(30).check().await;
    assert!(matches!(&lines[0].outcome, CheckOutcome::Fails { advice, .. } if advice.contains("OS_*")), "{lines:#?}");
    assert!(lines[1..].iter().all(|line| matches!(line.outcome, CheckOutcome::Skipped(_))));
}

#[tokio::test]
async fn a_service_that_is_down_is_one_line() {
    let cloud = Cloud::start(|request| request.target.starts_with("/image").then_some(Reply::Close)).await;
    let lines = cloud.client(30).check().await;
    let failed: Vec<_> =
        lines.iter().filter(|line| !matches!(line.outcome, CheckOutcome::Works(_))).map(|line| &line.what).collect();
    assert_eq!(failed, ["Glance images"]);
}
