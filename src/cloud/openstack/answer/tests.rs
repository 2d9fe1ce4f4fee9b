use serde_json::json;

use super::*;

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let headers = headers.iter().map(|(name, value)| {
        (reqwest::header::HeaderName::from_static(name), reqwest::header::HeaderValue::from_str(value).unwrap())
    });
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::from_iter(headers),
        body: body.as_bytes().to_vec(),
    }
}

fn kind(err: &CloudError) -> &'static str {
    match err {
        CloudError::NotFound(_) => "not found",
        CloudError::QuotaExceeded(_) => "quota",
        CloudError::Conflict(_) => "conflict",
        CloudError::Unavailable { .. } => "unavailable",
        CloudError::Rejected(_) => "rejected",
    }
}

#[test]
fn status_and_body_to_meaning() {
    let nova = |key: &str, text: &str| json!({key: {"code": 0, "message": text}}).to_string();
    let neutron = |kind: &str, text: &str| json!({"NeutronError": {"type": kind, "message": text}}).to_string();
    let html = "<html><title>Not Found</title></html>".to_owned();
    let cases = [
        (403, nova("forbidden", "Quota exceeded for cores, instances: Requested 1"), "quota"),
        (403, nova("forbidden", "Quota exceeded, too many key pairs."), "quota"),
        (403, nova("forbidden", "Policy doesn't allow os_compute_api to be performed."), "rejected"),
        (413, nova("overLimit", "Too many"), "quota"),
        (409, neutron("OverQuota", "Quota exceeded for resources: ['floatingip']."), "quota"),
        (409, nova("conflictingRequest", "Cannot 'stop' instance"), "conflict"),
        (404, nova("itemNotFound", "Instance could not be found."), "not found"),
        (404, neutron("PortNotFound", "Port could not be found."), "not found"),
        (404, html.clone(), "unavailable"),
        (404, json!({"message": "no Route matched"}).to_string(), "unavailable"),
        (404, String::new(), "unavailable"),
        (400, nova("badRequest", "Invalid key_name provided."), "rejected"),
        (400, html.clone(), "unavailable"),
        (401, json!({"error": {"message": "auth"}}).to_string(), "unavailable"),
        (429, nova("overLimit", "slow down"), "unavailable"),
        (302, String::new(), "unavailable"),
        (500, nova("computeFault", "Unexpected API Error."), "unavailable"),
        (503, html, "unavailable"),
        (599, "{}".to_owned(), "unavailable"),
        (999, String::new(), "unavailable"),
    ];
    for (status, body, expected) in cases {
        let refusal = answer(status, &[], &body).refusal("Nova");
        assert_eq!(kind(&refusal), expected, "{status} {body}: {refusal}");
    }
}

#[test]
fn the_service_s_own_sentence() {
    for (body, expected) in [
        (json!({"badRequest": {"code": 400, "message": "Bad\n\tflavor\u{7}."}}), "Bad flavor ."),
        (json!({"NeutronError": {"type": "X", "message": "No port", "detail": ""}}), "No port"),
        (json!({"NeutronError": "Flat"}), "Flat"),
        (json!({"error": {"code": 400, "message": "Keystone's", "title": "Bad Request"}}), "Keystone's"),
        (json!({"message": "plain"}), "plain"),
        (json!({"errors": [{"status": 400, "detail": "of a list"}]}), "of a list"),
    ] {
        assert_eq!(answer(400, &[], &body.to_string()).sentence().unwrap(), expected);
    }
    let long = json!({"badRequest": {"message": "가".repeat(9000)}}).to_string();
    assert_eq!(answer(400, &[], &long).sentence().unwrap().chars().count(), MAX_SENTENCE);
}

#[test]
fn retry_after_in_seconds_and_as_a_date() {
    let pause = |headers: &[(&'static str, &str)]| match answer(503, headers, "").refusal("Nova") {
        CloudError::Unavailable { retry_after, .. } => retry_after.map(|pause| pause.as_secs()),
        other => panic!("{other}"),
    };
    assert_eq!(pause(&[]), None);
    assert_eq!(pause(&[("retry-after", "17")]), Some(17));
    assert_eq!(pause(&[("retry-after", "99999999")]), Some(3600));
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(pause(&[date, ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), Some(30));
    assert_eq!(pause(&[date, ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
    assert_eq!(pause(&[("retry-after", "soon")]), None);
}
