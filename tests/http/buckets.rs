//! Buckets and files: made, filled, looked at, fetched, shared, deleted; and what goes wrong on the way.

mod files;
mod large;
mod lists;
mod names;
mod tools;
mod uploads;

use std::time::Duration;

use fast_cloud::cloud::CloudError;
use fast_cloud::cloud::objects::{Creation, Mark, ObjectStore};
use fast_cloud::cloud::practice::ObjectFault;
use fast_cloud::ids::BucketId;

use crate::support::{Person, TestApp, until};

const TAKEN: &str = "이미 사용 중인 버킷 이름입니다.";
const CHARACTERS: &str = "버킷 이름은 소문자, 숫자, 하이픈(-)만 사용할 수 있습니다.";

/// A portal whose store does not answer.
fn down() -> ObjectFault {
    ObjectFault::Down(CloudError::unavailable("connection refused"))
}

async fn status(person: &Person, bucket: &str) -> String {
    let list = person.get("/buckets").await.is(200);
    list.attribute(&format!("[id='bucket-{bucket}'] .status-badge"), "data-status").unwrap_or_else(|| "gone".to_owned())
}

/// Waits until a bucket is gone.
async fn gone(app: &TestApp, person: &Person, bucket: &str) {
    until("the bucket to be gone", async || {
        app.hurry();
        (status(person, bucket).await == "gone").then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_bucket_is_made_listed_and_deleted() {
    let app = TestApp::new().await;
    let student = app.student().await;
    assert!(student.get("/buckets").await.is(200).main().contains("아직 버킷이 없어요"));
    student.post("/buckets", &[("name", "my-project-backup-2025")]).await.leads_to("/buckets");
    let list = student.get("/buckets").await.is(200);
    assert_eq!(list.attribute("#bucket-my-project-backup-2025 [data-status]", "data-status").unwrap(), "active");
    assert_eq!(
        list.said("#bucket-my-project-backup-2025 code"),
        "http://portal.example/buckets/my-project-backup-2025/objects"
    );
    assert!(list.said("#toasts").contains("my-project-backup-2025 버킷을 만들었어요."));
    // Empty: no name is asked for.
    let question = student.get("/buckets/my-project-backup-2025/delete").await.is(200);
    assert!(!question.has("#confirm-page input[name=name]"));
    student.post("/buckets/my-project-backup-2025/delete", &[]).await.leads_to("/buckets");
    gone(&app, &student, "my-project-backup-2025").await;
    student.get("/buckets/my-project-backup-2025").await.is(404);
    assert!(app.files.containers().await.unwrap().is_empty());
    // The name is free again.
    student.make_bucket("my-project-backup-2025").await;
}

#[actix_web::test]
async fn a_wrong_name_is_said_below_the_field() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let (before, calls) = (app.database.dump(), app.files.calls());
    for (name, sentence) in [
        ("", "버킷 이름을 입력해주세요."),
        ("My-Project", CHARACTERS),
        ("my_project", CHARACTERS),
        ("내버킷", CHARACTERS),
        ("a b", CHARACTERS),
        ("../etc", CHARACTERS),
        ("new", TAKEN),
        (&"x".repeat(257), "이름이 너무 길어요. 256자까지 쓸 수 있어요."),
    ] {
        let page = student.post("/buckets", &[("name", name)]).await.is(422);
        assert_eq!(
            (page.error_of("name").as_str(), page.fields_with_errors().as_slice()),
            (sentence, &["name".to_owned()][..])
        );
    }
    assert_eq!((app.database.dump(), app.files.calls()), (before, calls), "nothing was written or sent");
    let long = "x".repeat(256);
    student.make_bucket(&long).await;
    student.put(&long, "a.txt", b"long").await;
    assert_eq!(student.download(&long, "a.txt").await.is(200).bytes, b"long");
}

#[actix_web::test]
async fn a_name_is_taken_once_in_the_whole_system() {
    let app = TestApp::new().await;
    let (student, other) = (app.student().await, app.student().await);
    student.make_bucket("shared-name").await;
    for person in [&student, &other] {
        let page = person.post("/buckets", &[("name", "shared-name")]).await.is(422);
        assert_eq!((page.error_of("name").as_str(), page.value_of("name").as_str()), (TAKEN, "shared-name"));
    }
    // One that the store has without us counts as taken, and is not touched.
    let foreign = Mark { portal: uuid::Uuid::now_v7(), bucket: BucketId::new() };
    assert_eq!(app.files.create("not-ours", foreign).await.unwrap(), Creation::Made);
    let page = student.post("/buckets", &[("name", "not-ours")]).await.is(422);
    assert_eq!(page.error_of("name"), TAKEN);
    assert_eq!(app.files.create("not-ours", foreign).await.unwrap(), Creation::Made, "it carries its own mark still");
    assert_eq!(status(&student, "not-ours").await, "gone");
    assert_eq!(app.database.count("buckets"), 1, "a refused name leaves nothing");
    // A second click on the same form finds the first one's bucket.
    let page = student.get("/buckets/new").await.is(200);
    let key = page.value_of("launch_key");
    for _ in 0..2 {
        student.post("/buckets", &[("name", "twice"), ("launch_key", &key)]).await.leads_to("/buckets");
    }
    assert_eq!(app.database.count("buckets WHERE name = 'twice'"), 1);
    // Twenty at once: one gets it.
    let tries = futures::future::join_all((0..20).map(|_| other.post("/buckets", &[("name", "contended")]))).await;
    assert_eq!(tries.iter().filter(|answer| answer.status == 303).count(), 1);
    assert_eq!(app.database.count("buckets WHERE name = 'contended'"), 1);
}

#[actix_web::test]
async fn the_quota_of_buckets_holds() {
    let app = TestApp::with(|setup| setup.config.quota.buckets = 2).await;
    let student = app.student().await;
    student.make_bucket("one").await;
    student.make_bucket("two").await;
    let page = student.post("/buckets", &[("name", "three")]).await.is(422);
    assert_eq!(page.said("#bucket-error"), "할당된 리소스를 초과하여 버킷 생성이 불가능합니다.");
    assert_eq!(app.database.count("buckets"), 2);
}

#[actix_web::test]
async fn a_store_that_is_silent_makes_the_bucket_later() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.files.script(down());
    student.post("/buckets", &[("name", "patience")]).await.leads_to("/buckets");
    let list = student.get("/buckets").await.is(200);
    assert_eq!(list.attribute("#bucket-patience [data-status]", "data-status").unwrap(), "unknown");
    assert!(list.said("#toasts").contains("스토리지가 대답하지 않아요."));
    // Meanwhile it can't be used, and the page says why.
    assert!(student.get("/buckets/patience").await.is(200).main().contains("스토리지가 대답하지 않아요."));
    student.try_put("patience", "a.txt", b"x", "keep").await.is(409);
    app.files.heal();
    until("the bucket", async || {
        app.hurry();
        (status(&student, "patience").await == "active").then_some(())
    })
    .await;
    student.put("patience", "a.txt", b"x").await;
}

#[actix_web::test]
async fn a_lost_answer_makes_no_second_bucket() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.files.script(ObjectFault::AnswerLost);
    student.post("/buckets", &[("name", "lost-answer")]).await.leads_to("/buckets");
    until("the bucket", async || {
        app.hurry();
        (status(&student, "lost-answer").await == "active").then_some(())
    })
    .await;
    assert_eq!(app.files.containers().await.unwrap().len(), 1);
    // One that turns out to be somebody else's is told, and can be removed from the list.
    app.files.script(down());
    student.post("/buckets", &[("name", "foreign")]).await.leads_to("/buckets");
    app.files.heal();
    let foreign = Mark { portal: uuid::Uuid::now_v7(), bucket: BucketId::new() };
    app.files.create("foreign", foreign).await.unwrap();
    until("the refusal", async || {
        app.hurry();
        let list = student.get("/buckets").await;
        list.said("#bucket-foreign").contains(TAKEN).then_some(())
    })
    .await;
    student.post("/buckets/foreign/delete", &[("name", "foreign")]).await.leads_to("/buckets");
    gone(&app, &student, "foreign").await;
    assert_eq!(app.files.create("foreign", foreign).await.unwrap(), Creation::Made, "the other's container is there");
}

#[actix_web::test]
async fn a_full_bucket_asks_for_its_name_and_goes_in_the_background() {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    for bucket in ["full", "full-too"] {
        student.make_bucket(bucket).await;
        student.put(bucket, "a.txt", b"one").await;
        student.put(bucket, "photos/b.png", b"two").await;
    }
    student.share("full", "a.txt").await;
    let question = student.get("/buckets/full/delete").await.is(200);
    assert!(question.has("#confirm-page input[name=name]") && question.main().contains("되돌릴 수 없어요."));
    for (typed, sentence) in [
        ("", "지울 버킷의 이름을 적어 주세요."),
        ("ful", "버킷 이름과 달라요. 그대로 적어 주세요."),
        ("full-too", "버킷 이름과 달라요. 그대로 적어 주세요."),
    ] {
        let page = student.post("/buckets/full/delete", &[("name", typed)]).await.is(422);
        assert_eq!(page.error_of("name"), sentence);
    }
    assert_eq!(status(&student, "full").await, "active");
    app.stop_working();
    student.post("/buckets/full/delete", &[("name", "full")]).await.leads_to("/buckets");
    // While it goes: said so, and nothing comes in or out.
    assert_eq!(status(&student, "full").await, "deleting");
    assert!(student.get("/buckets").await.said("#bucket-full").contains("파일 2개 중 0개를 지웠어요."));
    student.try_put("full", "c.txt", b"x", "keep").await.is(409);
    student.download("full", "a.txt").await.is(409);
    app.work();
    gone(&app, &student, "full").await;
    let left = app.files.containers().await.unwrap();
    assert_eq!(left.iter().map(|container| container.name.as_str()).collect::<Vec<_>>(), ["full-too"]);
    assert_eq!(student.download("full-too", "a.txt").await.is(200).bytes, b"one");
    assert_eq!(app.database.count("share_links"), 0);
    assert!(student.get("/dashboard").await.is(200).said("#dashboard-buckets").contains("full-too"));
}

#[actix_web::test]
async fn a_deletion_goes_on_after_a_crash_and_an_outage() {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("doomed").await;
    for number in 0..5 {
        student.put("doomed", &format!("{number}.txt"), b"x").await;
    }
    app.stop_working();
    student.post("/buckets/doomed/delete", &[("name", "doomed")]).await.leads_to("/buckets");
    // A process took it and died; then the store is away.
    app.database.sql("UPDATE operations SET state = 'running', attempts = 1, leased_by = 'dead', leased_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE action = 'delete'");
    app.files.script(down());
    app.work();
    until("a reason", async || {
        app.hurry();
        student.get("/buckets").await.said("#bucket-doomed").contains("스토리지가 대답하지 않아요").then_some(())
    })
    .await;
    app.files.heal();
    gone(&app, &student, "doomed").await;
}

#[actix_web::test]
async fn the_sync_measures_and_says_when_the_store_is_silent() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("measured").await;
    student.put("measured", "a.txt", b"12345").await;
    let row = |column: &str| app.database.text(column, "buckets WHERE name = 'measured'");
    assert_eq!((row("bytes"), row("objects")), ("5".to_owned(), "1".to_owned()), "counted at once");
    // Something changed behind our back: measured when nothing was changed through us for a while.
    let key = fast_cloud::cloud::objects::ObjectKey::parse("b.txt").unwrap();
    let order = fast_cloud::cloud::objects::PutOrder { content_type: "text/plain".to_owned(), ..Default::default() };
    let body = Box::pin(futures::stream::iter([Ok(bytes::Bytes::from_static(b"1234567890"))]));
    app.files.put("measured", &key, &order, body).await.unwrap();
    app.database.sql("UPDATE buckets SET changed_at = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR");
    fast_cloud::buckets::sync::run_once(&app.portal.app).await.unwrap();
    assert_eq!((row("bytes"), row("objects")), ("15".to_owned(), "2".to_owned()));
    // Changed a moment ago: measured at the container itself.
    app.database
        .sql("UPDATE buckets SET bytes = 99, changed_at = UTC_TIMESTAMP(6) - INTERVAL 10 SECOND, measured_at = NULL");
    fast_cloud::buckets::sync::measure_changed(&app.portal.app).await.unwrap();
    assert_eq!(row("bytes"), "15");
    // Not while somebody uploads.
    app.files.script(down());
    assert!(fast_cloud::buckets::sync::run_once(&app.portal.app).await.is_err());
    app.database
        .sql("UPDATE cloud_services SET failing_since = UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE WHERE name = 'objects'");
    let list = student.get("/buckets").await.is(200);
    assert_eq!(list.attribute("#bucket-measured [data-status]", "data-status").unwrap(), "unknown");
    assert!(list.main().contains("파일이 사라졌다는 뜻은 아니에요."));
    let page = student.get("/buckets/measured").await.is(200);
    assert!(page.main().contains("정보를 불러올 수 없습니다.") && page.main().contains("파일 2개 · 15 B"));
    student.download("measured", "a.txt").await.is(503);
    // Its card alone is touched.
    let dashboard = student.get("/dashboard").await.is(200);
    assert!(dashboard.said("#dashboard-buckets").contains("확인되지 않아요"));
    app.files.heal();
    fast_cloud::buckets::sync::run_once(&app.portal.app).await.unwrap();
    assert_eq!(status(&student, "measured").await, "active");
    // A container that is gone is told, not shown as empty.
    app.files.delete_many("measured", &["a.txt".to_owned(), "b.txt".to_owned()]).await.unwrap();
    app.files.remove("measured").await.unwrap();
    app.database.sql("UPDATE buckets SET created_at = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR");
    fast_cloud::buckets::sync::run_once(&app.portal.app).await.unwrap();
    let list = student.get("/buckets").await.is(200);
    assert!(list.said("#bucket-measured").contains("스토리지에서 사라졌어요."));
}

#[actix_web::test]
async fn a_hanging_store_costs_its_page_only() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("hanging").await;
    app.files.script(ObjectFault::Hang);
    let began = std::time::Instant::now();
    let page = student.get("/buckets/hanging").await.is(200);
    assert!(page.main().contains("정보를 불러올 수 없습니다."));
    student.get("/dashboard").await.is(200);
    student.get("/buckets").await.is(200);
    assert!(began.elapsed() < Duration::from_secs(20));
}
