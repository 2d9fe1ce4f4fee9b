//! Bytes on their way in: whole or not at all, within the quota, under the name that they were given.

use std::time::Duration;

use fast_cloud::cloud::CloudError;
use fast_cloud::cloud::objects::{ListQuery, ObjectStore};
use fast_cloud::cloud::practice::ObjectFault;
use futures::StreamExt;
use reqwest::Method;

use crate::support::person::multipart;
use crate::support::{Person, TestApp, until};

async fn names(app: &TestApp, bucket: &str) -> Vec<String> {
    let query = ListQuery { limit: 10_000, ..ListQuery::default() };
    let listed = app.files.list(bucket, &query).await.unwrap();
    listed.iter().map(|entry| entry.name().to_owned()).collect()
}

/// Files on the disk that belong to nothing.
fn left_over(app: &TestApp, bucket: &str) -> usize {
    std::fs::read_dir(app.files_dir().join(bucket).join("new")).unwrap().count()
}

#[actix_web::test]
async fn a_plain_form_uploads_many_files() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("plain").await;
    let page = student.get("/buckets/plain?prefix=%EC%BA%A1%EC%8A%A4%ED%86%A4/").await.is(200);
    let action = page.attribute("#upload-form", "action").unwrap();
    assert_eq!(page.attribute("#upload-form", "enctype").unwrap(), "multipart/form-data");
    // The token and the choice stand before the files, as they are sent.
    let order = page.attributes("#upload-form input", "name");
    assert_eq!(order, ["csrf_token", "existing", "existing", "file"]);
    let files: [(&str, &[u8]); 3] = [("a.txt", b"hello"), ("보고서 \"최종\".pdf", b"%PDF"), ("empty", b"")];
    student.upload(&action, &[], &files).await.leads_to("/buckets/plain?prefix=%EC%BA%A1%EC%8A%A4%ED%86%A4/");
    let page = student.get("/buckets/plain?prefix=%EC%BA%A1%EC%8A%A4%ED%86%A4/").await.is(200);
    assert!(page.said("#toasts").contains("파일 3개를 올렸어요."));
    assert_eq!(names(&app, "plain").await, ["캡스톤/a.txt", "캡스톤/empty", "캡스톤/보고서 \"최종\".pdf"]);
    assert_eq!(student.download("plain", "캡스톤/보고서 \"최종\".pdf").await.is(200).bytes, b"%PDF");
    // Nothing chosen.
    let page = student.upload(&action, &[], &[("", b"")]).await.is(422);
    assert_eq!(page.error_of("file"), "올릴 파일을 골라 주세요.");
    // One that can't be stored is named with its reason; the others are there.
    let page = student.upload("/buckets/plain/objects", &[], &[("..", b"x"), ("ok.txt", b"y")]).await.is(422);
    assert!(page.main().contains("이름의 한 부분이 . 이나 .. 이면 안 돼요.") && page.main().contains("ok.txt"));
    assert_eq!(student.download("plain", "ok.txt").await.is(200).bytes, b"y");
}

#[actix_web::test]
async fn a_form_with_files_needs_its_token_before_them() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("guarded").await;
    let token = student.token().await.into_bytes();
    let file = ("file".to_owned(), Some("a.txt".to_owned()), b"x".to_vec());
    let field = |value: &[u8]| ("csrf_token".to_owned(), None, value.to_vec());
    for parts in [
        vec![file.clone()],
        vec![file.clone(), field(&token)],
        vec![field(&[b'0'; 64]), file.clone()],
        vec![field(b""), file.clone()],
        vec![],
    ] {
        let (kind, body) = multipart(&parts);
        let request = student.request(Method::POST, "/buckets/guarded/objects").header("content-type", kind).body(body);
        student.send(request).await.is(403);
    }
    // Only this route reads tokens so.
    let (kind, body) = multipart(&[field(&token), ("name".to_owned(), None, b"other".to_vec())]);
    let request = student.request(Method::POST, "/buckets").header("content-type", kind).body(body);
    student.send(request).await.is(403);
    assert!(names(&app, "guarded").await.is_empty());
}

#[actix_web::test]
async fn the_same_name_keeps_both_or_replaces() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("same").await;
    for (text, existing, key) in [
        ("one", "keep", "a.tar.gz"),
        ("two", "keep", "a (2).tar.gz"),
        ("three", "", "a (3).tar.gz"),
        ("four", "replace", "a.tar.gz"),
    ] {
        let answer = student.try_put("same", "a.tar.gz", text.as_bytes(), existing).await.is(201);
        let said: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
        assert_eq!(said["files"][0]["key"], key);
        assert_eq!(student.download("same", key).await.is(200).bytes, text.as_bytes());
    }
    assert_eq!(app.database.text("bytes", "buckets"), (4 + 3 + 5).to_string());
    assert_eq!(app.database.text("objects", "buckets"), "3");
    // Twenty of one name at once: each is there under a name of its own.
    let many = (0..20).map(|number| {
        let student = &student;
        async move { student.try_put("same", "b", format!("{number}").as_bytes(), "keep").await.is(201) }
    });
    futures::future::join_all(many).await;
    let there = names(&app, "same").await;
    assert_eq!(there.iter().filter(|name| name.starts_with('b')).count(), 20);
    let mut texts = Vec::new();
    for name in there.iter().filter(|name| name.starts_with('b')) {
        texts.push(student.download("same", name).await.body().parse::<u32>().unwrap());
    }
    texts.sort_unstable();
    assert_eq!(texts, (0..20).collect::<Vec<u32>>());
    assert_eq!(app.database.count("uploads"), 0);
}

/// Sends a file in pieces; stops after so many, as one who leaves. Says what came back.
async fn trickle(
    person: &Person,
    bucket: &str,
    pieces: usize,
    whole: usize,
    declared: bool,
) -> Option<reqwest::Response> {
    let (kind, body) = multipart(&[("file".to_owned(), Some("file".to_owned()), vec![b'x'; whole])]);
    let length = body.len();
    let size = whole / 10;
    let sent: Vec<Vec<u8>> = body.chunks(size).take(pieces).map(<[u8]>::to_vec).collect();
    let complete = pieces * size >= length;
    let stream = futures::stream::iter(sent).then(|piece| async move {
        actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, std::io::Error>(piece)
    });
    let end = futures::stream::iter(if complete { vec![] } else { vec![Err(std::io::Error::other("left"))] });
    let mut request = person
        .request(Method::POST, &format!("/buckets/{bucket}/objects?name=big.bin&existing=replace"))
        .header("x-csrf-token", person.token().await)
        .header("accept", "application/json")
        .header("content-type", kind)
        .body(reqwest::Body::wrap_stream(stream.chain(end)));
    if declared {
        request = request.header("content-length", length);
    }
    request.send().await.ok()
}

#[actix_web::test]
async fn who_leaves_midway_leaves_nothing() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("cut").await;
    student.put("cut", "big.bin", b"what was there").await;
    for declared in [true, false] {
        for pieces in [1, 5, 9] {
            assert!(trickle(&student, "cut", pieces, 2_000_000, declared).await.is_none());
            until("the upload to be given up", async || {
                // What was reserved comes back, what may have been written as a segment goes.
                fast_cloud::buckets::sync::sweep(&app.portal.app).await.unwrap();
                (app.database.count("uploads") == 0).then_some(())
            })
            .await;
            assert_eq!(student.download("cut", "big.bin").await.is(200).bytes, b"what was there");
            assert_eq!(names(&app, "cut").await, ["big.bin"]);
            until("no rest on the disk", async || (left_over(&app, "cut") == 0).then_some(())).await;
        }
    }
    for declared in [true, false] {
        assert_eq!(trickle(&student, "cut", 20, 2_000_000, declared).await.unwrap().status(), 201);
        assert_eq!(student.download("cut", "big.bin").await.is(200).bytes.len(), 2_000_000);
    }
    for container in app.files.containers().await.unwrap() {
        if container.name.starts_with("segments_") {
            until("no segments", async || {
                fast_cloud::buckets::sync::sweep(&app.portal.app).await.unwrap();
                names(&app, &container.name).await.is_empty().then_some(())
            })
            .await;
        }
    }
}

#[actix_web::test]
async fn the_largest_size_holds_with_and_without_a_declared_length() {
    let app = TestApp::with(|setup| setup.config.buckets.max_file_mb = 1).await;
    let student = app.student().await;
    student.make_bucket("limited").await;
    for declared in [true, false] {
        if let Some(answer) = trickle(&student, "limited", 20, 3_000_000, declared).await {
            assert_eq!(answer.status(), 413);
            assert!(answer.text().await.unwrap().contains("파일이 너무 커서"));
        }
        assert!(names(&app, "limited").await.is_empty());
    }
    student.put("limited", "fits", &vec![0; 1 << 20]).await;
    student.try_put("limited", "one-more", &vec![0; (1 << 20) + 1], "keep").await.is(413);
}

#[actix_web::test]
async fn twenty_uploads_at_once_never_exceed_the_quota() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.allow_storage(&student, 1);
    student.make_bucket("quota").await;
    // 20 times 100 KiB: ten fit into 1 MiB.
    let one = vec![7_u8; 100 * 1024];
    for declared in [true, false] {
        let tries = futures::future::join_all((0..20).map(|number| {
            let (student, one) = (&student, &one);
            async move {
                let (kind, body) = multipart(&[("file".to_owned(), Some("f".to_owned()), one.clone())]);
                let mut request = student
                    .request(Method::POST, &format!("/buckets/quota/objects?name={number}&existing=replace"))
                    .header("x-csrf-token", student.token().await)
                    .header("accept", "application/json")
                    .header("content-type", kind);
                request = if declared {
                    request.body(body)
                } else {
                    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
                        body.chunks(20_000).map(|piece| Ok(piece.to_vec())).collect();
                    request.body(reqwest::Body::wrap_stream(futures::stream::iter(pieces)))
                };
                student.try_send(request).await.map(|answer| answer.status.as_u16())
            }
        }))
        .await;
        let stored = names(&app, "quota").await.len();
        let bytes = app.files.container("quota").await.unwrap().bytes;
        assert!(bytes <= 1 << 20, "{bytes} bytes are more than the quota");
        assert!(tries.iter().flatten().all(|status| [201, 413].contains(status)), "{tries:?}");
        assert_eq!(tries.iter().filter(|status| **status == Some(201)).count(), stored);
        assert!(stored >= if declared { 9 } else { 1 }, "{stored} of 10 fit");
        until("what was reserved to come back", async || {
            fast_cloud::buckets::sync::sweep(&app.portal.app).await.unwrap();
            (app.database.count("uploads") == 0).then_some(())
        })
        .await;
        assert_eq!(app.database.text("bytes", "buckets"), bytes.to_string());
        let keys: Vec<String> = names(&app, "quota").await;
        let fields: Vec<(&str, &str)> = keys.iter().map(|key| ("key", key.as_str())).collect();
        student.post("/buckets/quota/objects/delete", &fields).await.is(303);
        assert_eq!(app.database.text("bytes", "buckets"), "0");
    }
    // To the byte.
    student.put("quota", "all", &vec![1; 1 << 20]).await;
    let refused = student.try_put("quota", "one", b"x", "keep").await.is(413);
    assert!(refused.body().contains("할당된 스토리지를 초과하여"));
    student.put("quota", "none", b"").await;
    // Replacing takes room until the new one is there.
    student.try_put("quota", "all", &vec![2; 1 << 20], "replace").await.is(413);
    assert_eq!(student.download("quota", "all").await.is(200).bytes[0], 1);
}

#[actix_web::test]
async fn a_failing_store_is_told_and_what_was_there_stays() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("failing").await;
    student.put("failing", "a.txt", b"before").await;
    let unavailable = CloudError::unavailable("gone away");
    for (fault, status, sentence) in [
        (ObjectFault::Put(0, unavailable.clone()), 503, "스토리지가 대답하지 않아요."),
        (ObjectFault::Put(500_000, unavailable), 503, "스토리지가 대답하지 않아요."),
        (ObjectFault::Put(500_000, CloudError::QuotaExceeded("507".to_owned())), 507, "스토리지가 가득 찼어요."),
    ] {
        app.files.script(fault);
        let answer = student.try_put("failing", "a.txt", &vec![b'x'; 1_000_000], "replace").await.is(status);
        assert!(answer.body().contains(sentence));
        assert_eq!(student.download("failing", "a.txt").await.is(200).bytes, b"before");
    }
    // What the store has, and what was sent, are compared.
    app.files.script(ObjectFault::WrongSum);
    student.try_put("failing", "wrong.txt", b"other bytes", "keep").await.is(503);
    assert_eq!(names(&app, "failing").await, ["a.txt"]);
    assert_eq!(app.database.count("uploads"), 0);
    assert_eq!(app.database.text("bytes", "buckets"), "6");
}

#[actix_web::test]
async fn what_a_dead_process_left_is_swept() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("swept").await;
    app.allow_storage(&student, 1);
    app.database.sql(
        "INSERT INTO uploads (id, account_id, bucket_id, object_key, key_hash, state, receiving, reserved, in_segments, leased_until, created_at) \
         SELECT UNHEX(REPLACE(UUID(), '-', '')), account_id, id, 'dead.bin', UNHEX(SHA2('dead.bin', 256)), 'receiving', 1, 1048576, FALSE, \
         UTC_TIMESTAMP(6) + INTERVAL 30 SECOND, UTC_TIMESTAMP(6) FROM buckets",
    );
    // While it may be alive: its room and its name are taken.
    student.try_put("swept", "other", b"x", "keep").await.is(413);
    student.try_put("swept", "dead.bin", b"", "replace").await.is(409);
    fast_cloud::buckets::sync::sweep(&app.portal.app).await.unwrap();
    assert_eq!(app.database.count("uploads"), 1);
    app.database.sql("UPDATE uploads SET leased_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND");
    fast_cloud::buckets::sync::sweep(&app.portal.app).await.unwrap();
    student.put("swept", "dead.bin", b"alive").await;
}

#[actix_web::test]
async fn who_tries_again_takes_the_place_of_the_try_before() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("again").await;
    app.allow_storage(&student, 1);
    // A try whose process has just died: it holds the name and all of the room.
    app.database.sql(
        "INSERT INTO uploads (id, account_id, bucket_id, object_key, key_hash, attempt, state, receiving, reserved, in_segments, leased_until, created_at) \
         SELECT UNHEX(REPLACE(UUID(), '-', '')), account_id, id, 'big.bin', UNHEX(SHA2('big.bin', 256)), UNHEX(SHA2('my-try', 256)), 'receiving', 1, \
         1048576, FALSE, UTC_TIMESTAMP(6) + INTERVAL 30 SECOND, UTC_TIMESTAMP(6) FROM buckets",
    );
    let send = async |attempt: &str| {
        let (kind, body) = multipart(&[("file".to_owned(), Some("f".to_owned()), b"again".to_vec())]);
        let request = student
            .request(Method::POST, &format!("/buckets/again/objects?name=big.bin&existing=keep&attempt={attempt}"))
            .header("x-csrf-token", student.token().await)
            .header("accept", "application/json")
            .header("content-type", kind);
        student.send(request.body(body)).await
    };
    send("").await.is(413);
    send("another-try").await.is(413);
    let answer = send("my-try").await.is(201);
    assert!(answer.body().contains("\"key\":\"big.bin\""), "{}", answer.body());
    assert_eq!(student.download("again", "big.bin").await.is(200).bytes, b"again");
    fast_cloud::buckets::sync::sweep(&app.portal.app).await.unwrap();
    assert_eq!(app.database.count("uploads"), 0);
}
