//! What whoever runs the portal looks at: metrics, health, the log.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fast_cloud::cloud::CloudError;
use fast_cloud::cloud::practice::Fault;
use serde_json::Value;

use crate::support::person::PASSWORD;
use crate::support::{Answer, Person, TestApp, map, secrets, until};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

async fn scrape(person: &Person) -> Answer {
    let answer = person.get("/metrics").await.is(200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    answer
}

/// The value of the sample that begins so; None when there is none.
fn sample(text: &str, start: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(start)?.strip_prefix(' ')?.parse().ok())
}

/// Every value of a label.
fn values(text: &str, label: &str) -> BTreeSet<String> {
    let start = format!("{label}=\"");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.flat_map(|line| line.split(&start).skip(1)).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// The names of all samples.
fn names(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

/// A portal that has seen some of everything.
async fn busy() -> (TestApp, Person) {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    let ids = map::things_of(&app, &student).await;
    app.compare().await.unwrap();
    app.work_and_sync();
    let mut log = student.follow(&format!("/applications/{}/logs/stream", ids["application_id"])).await;
    log.until("start").await;
    student.get("/no/such/page").await.is(404);
    until("everything to be compared", async || {
        let text = scrape(&app.anon()).await.body();
        let compared = |service| sample(&text, &format!("fastcloud_sync_age_seconds{{service=\"{service}\"}}"));
        (compared("compute").is_some() && compared("applications").is_some()).then_some(())
    })
    .await;
    (app, student)
}

#[actix_web::test]
async fn requests_are_counted_by_their_routes() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    let before = scrape(&app.anon()).await.body();
    student.get(&format!("/instances/{id}")).await.is(200);
    student.get(&format!("/instances/{}", map::random_ids()["instance_id"])).await.is(404);
    for path in ["/no/such/page", "/instances/a/b/c", "/static/none.css"] {
        student.get(path).await.is(404);
    }
    let odd = reqwest::Method::from_bytes(b"BREW").unwrap();
    student.send(student.request(odd, "/instances/new")).await;
    let after = scrape(&app.anon()).await.body();
    let more = |sample_of: &str| {
        let start = format!("fastcloud_http_requests_total{{{sample_of}}}");
        sample(&after, &start).unwrap_or_default() - sample(&before, &start).unwrap_or_default()
    };
    assert_eq!(more(r#"method="GET",route="/instances/{instance_id}",status="2xx""#), 1.0);
    assert_eq!(more(r#"method="GET",route="/instances/{instance_id}",status="4xx""#), 1.0);
    assert_eq!(more(r#"method="GET",route="unmatched",status="4xx""#), 2.0);
    assert_eq!(more(r#"method="GET",route="/static/{path:.*}",status="4xx""#), 1.0);
    assert_eq!(more(r#"method="other",route="/instances/new",status="4xx""#), 1.0);
    assert_eq!(more(r#"method="GET",route="/metrics",status="2xx""#), 1.0);
    let seconds = r#"fastcloud_http_request_duration_seconds_count{method="GET",route="/instances/{instance_id}"}"#;
    assert_eq!(sample(&after, seconds).unwrap() - sample(&before, seconds).unwrap_or_default(), 2.0);
}

#[actix_web::test]
async fn calls_to_the_clouds_are_counted_by_what_came_of_them() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.running(&student, "lab-1").await;
    app.script(Fault::Down(CloudError::unavailable("the practice cloud is off")));
    assert!(app.compare().await.is_err());
    let text = scrape(&app.anon()).await.body();
    let calls = |service: &str, operation: &str, outcome: &str| {
        sample(
            &text,
            &format!(
                "fastcloud_cloud_calls_total{{operation=\"{operation}\",outcome=\"{outcome}\",service=\"{service}\"}}"
            ),
        )
    };
    assert_eq!(calls("compute", "launch", "ok"), Some(1.0));
    assert_eq!(calls("compute", "list", "unavailable"), Some(1.0));
    assert!(sample(&text, "fastcloud_cloud_failing_seconds{service=\"compute\"}").is_some());
    app.database.sql("UPDATE cloud_services SET failing_since = failing_since - INTERVAL 7 MINUTE");
    let text = scrape(&app.anon()).await.body();
    assert!(sample(&text, "fastcloud_cloud_failing_seconds{service=\"compute\"}").unwrap() >= 420.0);
}

#[actix_web::test]
async fn the_queue_and_the_sessions_are_asked_of_the_database() {
    let mut app = TestApp::new().await;
    app.stop_working();
    let (one, _other) = (app.student().await, app.student().await);
    one.rent("lab-1").await.leads_to("/instances");
    app.database.sql("UPDATE operations SET created_at = created_at - INTERVAL 11 MINUTE");
    let text = scrape(&app.anon()).await.body();
    assert_eq!(sample(&text, "fastcloud_operations{kind=\"instance\",state=\"queued\"}"), Some(1.0));
    assert!(sample(&text, "fastcloud_operations_oldest_seconds").unwrap() >= 660.0);
    assert_eq!(sample(&text, "fastcloud_sessions"), Some(2.0));
    assert_eq!(sample(&text, "fastcloud_database_up"), Some(1.0));
    one.log_out().await;
    app.database.sql("UPDATE operations SET state = 'done'");
    let text = scrape(&app.anon()).await.body();
    assert_eq!(sample(&text, "fastcloud_sessions"), Some(1.0));
    assert_eq!(sample(&text, "fastcloud_operations_oldest_seconds"), Some(0.0));
}

#[actix_web::test]
async fn no_label_is_anybody_s() {
    let (app, student) = busy().await;
    let text = scrape(&app.anon()).await.body();
    for own in [student.login_id.as_str(), &student.name, "pc of", "web-of", "bucket-of", "a.txt"] {
        assert!(!text.contains(own), "{own}");
    }
    let words = |label: &str| values(&text, label);
    let routes: BTreeSet<String> = fast_cloud::routes::table().iter().map(|entry| entry.path.to_owned()).collect();
    for route in words("route") {
        assert!(route == "unmatched" || route.starts_with("/health") || routes.contains(&route), "{route}");
    }
    for label in ["operation", "outcome", "service", "kind", "loop", "state"] {
        assert!(!words(label).is_empty(), "{label}");
        for word in words(label) {
            assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{label}: {word}");
        }
    }
}

#[actix_web::test]
async fn metrics_are_for_the_addresses_that_are_allowed() {
    // Who comes by a proxy that nobody has named, though from this machine.
    let app = TestApp::new().await;
    let nothing = app.anon().get("/no/such/page").await.is(404);
    for header in ["x-forwarded-for", "forwarded"] {
        let refused = app.anon().with_header(header, "127.0.0.1").get("/metrics").await.is(404);
        assert_eq!(refused.said("h1"), nothing.said("h1"));
    }
    drop(app);
    let app = TestApp::with(|setup| setup.config.metrics.allow = vec!["192.0.2.0/24".parse().unwrap()]).await;
    let refused = app.anon().get("/metrics").await.is(404);
    assert_eq!(refused.said("h1"), nothing.said("h1"));
    let admin = app.admin().await;
    admin.get("/metrics").await.is(404);
    admin.with_header("x-forwarded-for", "192.0.2.7").get("/metrics").await.is(404);
    drop(app);
    let app = TestApp::with(|setup| {
        setup.config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        setup.config.metrics.allow = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let by = |list: &str| app.anon().with_header("x-forwarded-for", list);
    scrape(&by("192.0.2.7")).await;
    scrape(&by("198.51.100.1, 192.0.2.7")).await;
    by("192.0.2.7, 198.51.100.1").get("/metrics").await.is(404);
    by("nonsense").get("/metrics").await.is(404);
}

/// A loop's last turn began so long ago.
fn ago(seconds: u64) -> Instant {
    Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap()
}

#[actix_web::test]
async fn a_loop_that_stands_still_unreadies() {
    let mut app = TestApp::new().await;
    app.stop_working();
    let anon = app.anon();
    anon.get("/health/ready").await.is(200);
    app.portal.app.pulse.worker.beat_at(ago(61));
    assert_eq!(anon.get("/health/ready").await.is(503).json()["loop"], "worker");
    assert_eq!(anon.get("/health").await.is(503).json()["status"], "unavailable");
    anon.get("/health/live").await.is(200);
    app.work();
    until("the worker to take its turn", async || (anon.get("/health/ready").await.status == 200).then_some(())).await;
    app.portal.app.close();
    assert_eq!(anon.get("/health/ready").await.is(503).json()["status"], "stopping");
}

#[actix_web::test]
async fn any_cloud_that_is_down_degrades_and_does_not_unready() {
    let app = TestApp::new().await;
    let anon = app.anon();
    for service in ["compute", "applications", "objects"] {
        app.database.sql(&format!(
            "INSERT INTO cloud_services (name, duration_ms, seen, failing_since, error) VALUES \
             ('{service}', 12, 3, UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE, 'unavailable: nobody home') ON DUPLICATE KEY \
             UPDATE failing_since = VALUES(failing_since), error = VALUES(error)"
        ));
        assert_eq!(anon.get("/health").await.is(200).json(), serde_json::json!({ "status": "degraded" }), "{service}");
        assert_eq!(anon.get("/health/ready").await.is(200).json(), serde_json::json!({ "status": "ok" }));
        app.database.sql("UPDATE cloud_services SET failing_since = NULL, error = NULL");
        assert_eq!(anon.get("/health").await.is(200).json(), serde_json::json!({ "status": "ok" }));
    }
}

#[actix_web::test]
async fn what_is_behind_the_word_is_for_admins() {
    let app = TestApp::new().await;
    let (student, admin) = (app.student().await, app.admin().await);
    app.script(Fault::Down(CloudError::unavailable("the practice cloud is off")));
    assert!(app.compare().await.is_err());
    assert_eq!(student.get("/health").await.is(200).json(), serde_json::json!({ "status": "degraded" }));
    let told = admin.get("/health").await.is(200).json();
    assert_eq!(told["status"], "degraded");
    assert_eq!(told["services"]["compute"]["error_class"], "unavailable");
    assert!(told["services"]["compute"]["error"].as_str().unwrap().contains("the practice cloud is off"));
    let since = told["services"]["compute"]["failing_since"].as_str().unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(since).is_ok(), "{since}");
    assert!(told["services"]["objects"]["failing_since"].is_null());
    assert!(told["loops"]["worker"]["age_seconds"].is_u64() && told["loops"]["objects"]["age_seconds"].is_null());
    assert!(told["database"]["connections_max"].is_u64());
    app.database.sql(&format!("UPDATE accounts SET role = 'student' WHERE login_id = '{}'", admin.login_id));
    assert_eq!(admin.get("/health").await.is(200).json(), serde_json::json!({ "status": "degraded" }));
}

#[actix_web::test]
async fn what_a_request_asks_for_can_be_followed_through_the_log() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.running(&student, "lab-1").await;
    let operation = app.database.text("HEX(id)", "operations WHERE action = 'create'");
    let operation = operation.parse::<uuid::Uuid>().unwrap().to_string();
    let text = app.log.text();
    let line = |word: &str| {
        let of = |line: &&str| line.contains(&operation) && line.contains(word);
        text.lines().find(of).unwrap_or_else(|| panic!("{operation} is not {word}")).to_owned()
    };
    let queued = line("queued");
    assert!(queued.contains("request_id=") && queued.contains("http.path=\"/instances\""), "{queued}");
    line("done");
}

#[actix_web::test]
async fn no_link_that_was_shared_is_logged() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("homework-7").await;
    student.put("homework-7", "my will.txt", b"hello").await;
    let link = student.share("homework-7", "my will.txt").await;
    let token = link.rsplit('/').next().unwrap();
    app.anon().get(&link).await.is(200);
    app.anon().get(&format!("{link}/")).await.is(404);
    student.download("homework-7", "my will.txt").await.is(200);
    let text = app.log.text();
    assert!(text.contains("/share/{link_id}/{token}") && text.contains("/buckets/{bucket}/objects/{key:.*}"));
    assert!(!text.contains(token));
}

#[test]
fn a_planted_secret_is_found() {
    let key = "0123456789abcdef".repeat(4);
    for planted in [
        format!("password={PASSWORD:?}"),
        "-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(),
        "token gAAAAABm".to_owned(),
        "authorization: Bearer x".to_owned(),
        "x-auth-token: fcb_0".to_owned(),
        format!("cookie=abc%3D{key}"),
        format!("GET /share/7/{}", &key[..40]),
        format!("sha256:{key} and {key}"),
    ] {
        let output = format!("first line\n{planted}\nlast line");
        assert_eq!(secrets::found(&output, &[]).len(), 1, "{planted}");
        assert!(std::panic::catch_unwind(|| secrets::check("it", &output, &[])).is_err(), "{planted}");
    }
    let id = uuid::Uuid::now_v7();
    let harmless = format!("id={id} {} sha256:{key} md5={}", id.simple(), &key[..32]);
    assert_eq!(secrets::found(&harmless, &[]), Vec::<String>::new());
    assert_eq!(secrets::found("it is swordfish", &["swordfish".to_owned()]).len(), 1);
}

#[actix_web::test]
#[should_panic(expected = "tells secrets")]
async fn a_portal_that_logs_a_secret_fails_its_test() {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    app.planted = student.cookie("fast-cloud-session").unwrap();
    drop(app);
}

/// Names of ours in a text.
fn named_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("fastcloud_")).map(str::to_owned).collect()
}

/// The expressions of a dashboard or of rules: `expr` at any depth.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "expr" => found.push(text.to_owned()),
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[actix_web::test]
async fn dashboard_and_alerts_name_what_there_is() {
    let (app, _) = busy().await;
    let there = names(&scrape(&app.anon()).await.body());
    let read = |file: &str| std::fs::read_to_string(format!("{DEPLOY}/{file}")).unwrap();
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let alerts: Value = serde_yaml_ng::from_str(&read("alerts.yml")).unwrap();
    let mut used = BTreeSet::new();
    for (file, value, least) in [("dashboard", dashboard, 12), ("alerts", alerts, 6)] {
        let mut found = Vec::new();
        expressions(&value, &mut found);
        assert!(found.len() >= least, "{file}: {}", found.len());
        for expression in found {
            let names = named_in(&expression);
            for name in &names {
                assert!(there.contains(name), "{file}: there is no {name}, which {expression} asks for");
            }
            used.extend(names);
        }
    }
    for name in there {
        let stem = name.trim_end_matches("_count").trim_end_matches("_sum");
        assert!(used.iter().any(|used| used.starts_with(stem)), "{name} is on no dashboard and in no alert");
    }
}

fn promtool(arguments: &[&str], input: &str) {
    use std::io::Write;
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(DEPLOY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there (of Debian's package prometheus)");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {}: {text}", arguments.join(" "));
}

#[actix_web::test]
#[ignore = "needs promtool, of Debian's package prometheus"]
async fn promtool_takes_metrics_and_alerts() {
    let (app, _) = busy().await;
    promtool(&["check", "metrics"], &scrape(&app.anon()).await.body());
    promtool(&["check", "rules", "alerts.yml"], "");
    promtool(&["test", "rules", "alerts.test.yml"], "");
}

#[actix_web::test]
async fn series_do_not_grow_with_what_strangers_ask() {
    let app = TestApp::new().await;
    let anon = app.anon();
    let series = async |label: &'static str| values(&scrape(&anon).await.body(), label).len();
    anon.get("/no/such/page").await.is(404);
    scrape(&anon).await;
    let before = (series("route").await, series("method").await);
    let mut asked = BTreeMap::new();
    for number in 0..20 {
        let method = reqwest::Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        let status = anon.send(anon.request(method, &format!("/none-{number}"))).await.status;
        *asked.entry(status.as_u16()).or_insert(0) += 1;
        anon.get(&format!("/none/{number}")).await.is(404);
    }
    let after = (series("route").await, series("method").await);
    assert_eq!((after.0, after.1 - before.1), (before.0, 1), "{asked:?}");
}
