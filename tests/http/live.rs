//! What open pages are told: to whom, through which process, after which absence, and how it ends.

use diesel::connection::SimpleConnection;
use fast_cloud::cloud::Compute;
use fast_cloud::live::hub::MOST_OF_ONE;
use fast_cloud::operations;
use reqwest::Method;

use crate::support::containers::Following;
use crate::support::portal::is_id;
use crate::support::{Person, TestApp, encode, until};

/// Opens the stream of a page that knows everything up to now, and reads its first event.
async fn watch(person: &Person) -> Following {
    let mut stream = person.follow("/live?ago=0").await;
    // What was written within half a minute is told once more; it stands before the first sign of life.
    stream.until("hello").await;
    stream
}

/// Opens it again, as a browser does by itself.
async fn again(person: &Person, id: &str) -> Following {
    let response = person.request(Method::GET, "/live").header("last-event-id", id).send().await.unwrap();
    assert_eq!(response.status(), 200, "{id}");
    Following::of(response)
}

/// Everything that was written until now was written long ago.
fn long_ago(app: &TestApp) {
    for table in ["instances", "applications", "buckets", "bucket_removals", "account_quotas"] {
        app.database.sql(&format!("UPDATE {table} SET touched_at = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR"));
    }
}

/// Topics until this one was told.
async fn told(stream: &mut Following, topic: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    while !all.iter().any(|told| told == topic) {
        all.extend(stream.until("change").await.split(' ').map(str::to_owned));
    }
    all
}

#[actix_web::test]
async fn a_change_is_told_to_its_owner_and_to_nobody_else() {
    let app = TestApp::new().await;
    let (one, other) = (app.student().await, app.student().await);
    let (mut hers, mut his) = (watch(&one).await, watch(&other).await);
    let id = one.launch("lab-1").await;
    assert_eq!(told(&mut hers, "instances").await, ["instances"]);
    app.settle(&one, &id, "active").await;
    one.press("stop", &id).await;
    told(&mut hers, "instances").await;
    // All of that was before this, and is no word of it.
    other.make_bucket("his-own").await;
    assert_eq!(told(&mut his, "buckets").await, ["buckets"]);
}

#[actix_web::test]
async fn every_kind_of_thing_is_told() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let mut stream = watch(&student).await;
    student.deploy("web-1", "hello:1").await;
    assert!(!told(&mut stream, "applications").await.contains(&"buckets".to_owned()));
    student.make_bucket("notes").await;
    told(&mut stream, "buckets").await;
    long_ago(&app);
    let mut stream = watch(&student).await;
    student.put("notes", "a/b.txt", b"one").await;
    told(&mut stream, "buckets").await;
    student.post("/buckets/notes/objects/delete", &[("key", "a/")]).await;
    told(&mut stream, "buckets").await;
    app.allow(&student, 7);
    assert_eq!(told(&mut stream, "clouds").await, ["instances", "applications", "buckets", "clouds"], "a limit");
}

#[actix_web::test]
async fn whoever_writes_a_row_that_is_shown_tells_it() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let from = "information_schema.columns WHERE table_schema = DATABASE() AND column_name = 'touched_at' \
                AND LOWER(extra) LIKE '%on update current_timestamp(6)%'";
    let mut touched = app.database.texts("table_name", from);
    touched.sort();
    assert_eq!(touched, ["account_quotas", "applications", "bucket_removals", "buckets", "instances"]);
    let id = app.running(&student, "lab-1").await;
    long_ago(&app);
    let mut stream = watch(&student).await;
    // Another tool, which has never heard of it.
    app.database.sql(&format!("UPDATE instances SET name = 'renamed' WHERE {}", is_id(&id)));
    assert_eq!(told(&mut stream, "instances").await, ["instances"]);
}

#[actix_web::test]
async fn a_comparison_that_finds_nothing_new_tells_nothing() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.running(&student, "lab-1").await;
    app.running_container(&student, "web-1", "hello:1").await;
    student.make_bucket("notes").await;
    until("the queue to be empty", async || {
        let open = app.portal.app.db.run(|conn| Ok(operations::model::open(conn)?)).await.unwrap();
        (open == 0).then_some(())
    })
    .await;
    app.look_at_cluster().await;
    long_ago(&app);
    let touched = || {
        let of = |table: &str| app.database.texts("touched_at", &format!("{table} ORDER BY id"));
        (of("instances"), of("applications"), of("buckets"))
    };
    let before = touched();
    for _ in 0..3 {
        app.compare().await.unwrap();
        app.look_at_cluster().await;
        fast_cloud::buckets::sync::run_once(&app.portal.app).await.unwrap();
    }
    assert_eq!(touched(), before);
}

#[actix_web::test]
async fn a_cloud_that_fails_and_answers_again_is_told_to_everybody() {
    let app = TestApp::new().await;
    let (one, other) = (app.student().await, app.student().await);
    let (mut hers, mut his) = (watch(&one).await, watch(&other).await);
    for statement in [
        "UPDATE cloud_services SET failing_since = UTC_TIMESTAMP(6) WHERE name = 'compute'",
        "UPDATE cloud_services SET failing_since = NULL WHERE name = 'compute'",
    ] {
        app.database.sql(statement);
        assert_eq!(told(&mut hers, "clouds").await, ["clouds"]);
        assert_eq!(told(&mut his, "clouds").await, ["clouds"]);
    }
    let id = his.id.clone();
    drop(his);
    app.database.sql("UPDATE cloud_services SET failing_since = UTC_TIMESTAMP(6) WHERE name = 'compute'");
    assert!(told(&mut again(&other, &id).await, "clouds").await.contains(&"clouds".to_owned()), "while he was away");
}

#[actix_web::test]
async fn a_cloud_that_stays_silent_is_told_once_more_when_pages_say_so() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.running(&student, "lab-1").await;
    let mut stream = watch(&student).await;
    app.database.sql("UPDATE cloud_services SET failing_since = UTC_TIMESTAMP(6) WHERE name = 'compute'");
    for _ in 0..2 {
        assert!(told(&mut stream, "clouds").await.contains(&"clouds".to_owned()));
    }
    assert!(student.get("/instances").await.main().contains("부터 확인되지 않아요"));
}

#[actix_web::test]
async fn what_one_process_writes_is_told_by_the_other() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let second = app.second_portal();
    let there = student.moved_to(&second.base);
    let (mut here_stream, mut there_stream) = (watch(&student).await, watch(&there).await);
    let id = student.launch("lab-1").await;
    told(&mut there_stream, "instances").await;
    told(&mut here_stream, "instances").await;
    app.settle(&student, &id, "active").await;
    long_ago(&app);
    let (mut here_stream, mut there_stream) = (watch(&student).await, watch(&there).await);
    there.press("stop", &id).await;
    told(&mut here_stream, "instances").await;
    told(&mut there_stream, "instances").await;
    // A stream of the one goes on at the other.
    let place = here_stream.id.clone();
    drop((here_stream, there_stream));
    there.make_bucket("notes").await;
    told(&mut again(&there, &place).await, "buckets").await;
}

#[actix_web::test]
async fn what_another_tool_does_to_a_machine_is_seen_while_somebody_looks() {
    // Whatever is seen is not seen because everything is compared again.
    let mut app = TestApp::with(|setup| setup.config.sync.interval_seconds = 3_600).await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    let compared = |app: &TestApp| app.database.text("last_ok_at", "cloud_services WHERE name = 'compute'");
    let before = compared(&app);
    app.work_and_sync();
    until("the first comparison", async || (compared(&app) != before).then_some(())).await;
    let mut stream = watch(&student).await;
    app.cloud.stop(app.machine_of(&id)).await.unwrap();
    told(&mut stream, "instances").await;
    until("the row to say so", async || (student.status(&id).await == "stopped").then_some(())).await;
}

#[actix_web::test]
async fn what_was_missed_is_told_when_the_stream_is_opened_again() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("notes").await;
    let mut stream = watch(&student).await;
    long_ago(&app);
    // Nothing but the time of the rows was changed; whoever reads from here on has missed nothing.
    app.database.sql("UPDATE cloud_services SET failing_since = UTC_TIMESTAMP(6) WHERE name = 'compute'");
    told(&mut stream, "clouds").await;
    let id = stream.id.clone();
    drop(stream);
    let mut stream = again(&student, &id).await;
    assert_eq!(stream.next().await.unwrap().0, "hello", "nothing was missed, nothing is told");
    drop(stream);
    student.launch("lab-1").await;
    let mut stream = again(&student, &id).await;
    assert_eq!(stream.next().await.unwrap(), ("change".to_owned(), "instances".to_owned()));
    // The same by the address, as a page does that was hidden.
    let mut stream = student.follow(&format!("/live?since={id}")).await;
    assert_eq!(stream.next().await.unwrap(), ("change".to_owned(), "instances".to_owned()));
    // The browser's word is the newer one.
    let request = student.request(Method::GET, &format!("/live?since={id}")).header("last-event-id", &stream.id);
    long_ago(&app);
    assert_eq!(Following::of(request.send().await.unwrap()).next().await.unwrap().0, "hello");
}

#[actix_web::test]
async fn a_write_that_is_committed_late_is_not_lost() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    student.make_bucket("notes").await;
    long_ago(&app);
    let mut stream = watch(&student).await;
    let mut slow = app.database.connect();
    slow.batch_execute(&format!("BEGIN; UPDATE instances SET name = 'late' WHERE {}", is_id(&id))).unwrap();
    // A later one is told before.
    for _ in 0..2 {
        app.database.sql("UPDATE buckets SET objects = objects + 1");
        assert_eq!(told(&mut stream, "buckets").await, ["buckets"]);
    }
    let between = stream.id.clone();
    slow.batch_execute("COMMIT").unwrap();
    assert_eq!(told(&mut stream, "instances").await, ["instances"]);
    drop(stream);
    assert!(told(&mut again(&student, &between).await, "instances").await.contains(&"instances".to_owned()));
}

#[actix_web::test]
async fn an_id_that_is_none_of_ours_counts_as_none() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let all = ("change".to_owned(), "instances applications buckets clouds".to_owned());
    let long = "9".repeat(4_000);
    for id in [
        "",
        "x",
        "-1",
        "0-0",
        "1-0",
        "9999999999999999-0",
        "99999999999999999999-0",
        "1764000000000000",
        "1764000000000000-999",
        "1764000000000000-0' OR '1'='1",
        "<script>",
        "%00",
        "../../etc",
        long.as_str(),
    ] {
        assert_eq!(again(&student, id).await.next().await.unwrap(), all, "{id}");
        let mut stream = student.follow(&format!("/live?{}", encode(&[("since", id), ("ago", "x")]))).await;
        assert_eq!(stream.next().await.unwrap(), all, "{id}");
    }
    let bytes = reqwest::header::HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    let request = student.request(Method::GET, "/live").header("last-event-id", bytes);
    assert_eq!(Following::of(request.send().await.unwrap()).next().await.unwrap(), all);
    for ago in ["-1", "NaN", "inf", "1e300", "100000", "0x10"] {
        assert_eq!(student.follow(&format!("/live?ago={ago}")).await.next().await.unwrap(), all, "{ago}");
    }
}

#[actix_web::test]
async fn an_account_has_so_many_streams_and_the_newest_stay() {
    let app = TestApp::new().await;
    let (student, other) = (app.student().await, app.student().await);
    let mut his = watch(&other).await;
    let mut streams = Vec::new();
    for _ in 0..MOST_OF_ONE {
        streams.push(watch(&student).await);
    }
    let mut newest = watch(&student).await;
    let mut oldest = streams.remove(0);
    assert_eq!(oldest.until("end").await, "full");
    assert_eq!(oldest.next().await, None);
    student.make_bucket("notes").await;
    for stream in streams.iter_mut().chain([&mut newest]) {
        told(stream, "buckets").await;
    }
    other.make_bucket("others").await;
    told(&mut his, "buckets").await;
}

#[actix_web::test]
async fn what_browsers_have_left_is_free_again() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let stream = watch(&student).await;
    assert_eq!(app.portal.app.live.open(), 1);
    drop(stream);
    until("the place to be free", async || (app.portal.app.live.open() == 0).then_some(())).await;
    student.request(Method::HEAD, "/live").send().await.unwrap();
    assert_eq!(app.portal.app.live.open(), 0, "who asks for no body gets no place");
}

#[actix_web::test]
async fn it_ends_with_the_session_and_the_account() {
    let app = TestApp::new().await;
    let stays = app.student().await;
    let mut goes_on = watch(&stays).await;
    let leaves = app.student().await;
    let mut left = watch(&leaves).await;
    leaves.log_out().await;
    assert_eq!(left.until("end").await, "signed_out");
    assert_eq!(left.next().await, None);
    let expires = app.student().await;
    let mut expired = watch(&expires).await;
    let of = |person: &Person| format!("(SELECT id FROM accounts WHERE login_id = '{}')", person.login_id);
    app.database.sql(&format!("UPDATE sessions SET expires_at = UTC_TIMESTAMP(6) WHERE account_id = {}", of(&expires)));
    assert_eq!(expired.until("end").await, "signed_out");
    let banned = app.student().await;
    let mut stopped = watch(&banned).await;
    app.database.sql(&format!("UPDATE accounts SET active = FALSE WHERE login_id = '{}'", banned.login_id));
    assert_eq!(stopped.until("end").await, "signed_out");
    assert_eq!(banned.get("/live").await.status, 303);
    stays.make_bucket("notes").await;
    told(&mut goes_on, "buckets").await;
}

#[actix_web::test]
async fn it_ends_when_the_portal_stops() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let mut stream = watch(&student).await;
    app.portal.app.close();
    assert_eq!(stream.until("end").await, "closing");
    assert_eq!(stream.next().await, None);
    let mut late = student.follow("/live").await;
    assert_eq!(late.until("end").await, "closing");
    assert_eq!(late.next().await, None);
}

#[actix_web::test]
async fn there_is_a_sign_of_life_with_the_clouds_ages() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.compare().await.unwrap();
    let mut stream = student.follow("/live?ago=0").await;
    let first: serde_json::Value = serde_json::from_str(&stream.until("hello").await).unwrap();
    assert!(first["compute"].as_u64().is_some_and(|age| age < 60), "{first}");
    let before = stream.id.clone();
    let beat: serde_json::Value = serde_json::from_str(&stream.until("beat").await).unwrap();
    assert!(beat["compute"].as_u64() > first["compute"].as_u64(), "{first} {beat}");
    assert_ne!(stream.id, before, "it says up to where everything was told");
}

#[actix_web::test]
async fn nothing_on_the_way_may_keep_it_back() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let request = student.request(Method::GET, "/live").header("accept-encoding", "gzip, br");
    let answer = request.send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
    assert_eq!(header("content-encoding"), None);
}
