//! Files that are stored in segments: here from 1 MiB on, in segments of 1 MiB.

use fast_cloud::cloud::objects::{ListQuery, ObjectStore};

use crate::support::{Person, TestApp, until};

async fn large() -> (TestApp, Person) {
    let app = TestApp::with(|setup| {
        setup.config.buckets.large_file_mb = 1;
        setup.config.buckets.segment_mb = 1;
    })
    .await;
    let student = app.student().await;
    student.make_bucket("large").await;
    (app, student)
}

fn bytes(megabytes: usize, seed: u8) -> Vec<u8> {
    (0..megabytes * (1 << 20) + 12_345).map(|n| (n % 251) as u8 ^ seed).collect()
}

/// All that is in containers for segments.
async fn segments(app: &TestApp) -> Vec<String> {
    let mut all = Vec::new();
    for container in app.files.containers().await.unwrap() {
        if container.name.starts_with("segments_") {
            let query = ListQuery { limit: 10_000, ..ListQuery::default() };
            all.extend(
                app.files.list(&container.name, &query).await.unwrap().iter().map(|entry| entry.name().to_owned()),
            );
        }
    }
    all
}

async fn segments_become(app: &TestApp, wanted: usize) {
    until("the segments to be swept", async || {
        fast_cloud::buckets::sync::sweep(&app.portal.app).await.unwrap();
        (segments(app).await.len() == wanted).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_large_file_comes_back_byte_by_byte() {
    let (app, student) = large().await;
    let sent = bytes(3, 0);
    student.put("large", "folder/big.bin", &sent).await;
    assert_eq!(segments(&app).await.len(), 4);
    let got = student.download("large", "folder/big.bin").await.is(200);
    assert!(got.bytes == sent, "the same bytes");
    let part = student.again().with_header("range", "bytes=1048570-1048585");
    let part = part.download("large", "folder/big.bin").await.is(206);
    assert_eq!(part.bytes, sent[1_048_570..=1_048_585], "across two segments");
    assert_eq!(app.database.text("bytes", "buckets"), sent.len().to_string());
    let page = student.get("/buckets/large?prefix=folder/").await.is(200);
    assert!(page.main().contains("3 MB"), "{}", page.main());
    // Measured, it is as large as counted.
    app.database.sql("UPDATE buckets SET changed_at = UTC_TIMESTAMP(6) - INTERVAL 10 SECOND, measured_at = NULL");
    fast_cloud::buckets::sync::measure_changed(&app.portal.app).await.unwrap();
    assert_eq!(app.database.text("bytes", "buckets"), sent.len().to_string());
}

#[actix_web::test]
async fn segments_go_with_their_file_and_stay_with_it() {
    let (app, student) = large().await;
    student.put("large", "a", &bytes(2, 1)).await;
    student.put("large", "b", &bytes(2, 2)).await;
    segments_become(&app, 6).await;
    // Replaced: the old ones go.
    student.put("large", "a", &bytes(3, 3)).await;
    segments_become(&app, 7).await;
    student.put("large", "a", b"small now").await;
    segments_become(&app, 3).await;
    // Renamed: they stay.
    student.post("/buckets/large/move", &[("key", "b"), ("to", "c/d")]).await.is(303);
    segments_become(&app, 3).await;
    assert!(student.download("large", "c/d").await.is(200).bytes == bytes(2, 2));
    student.download("large", "b").await.is(404);
    // Deleted, alone and with a folder.
    student.put("large", "c/e", &bytes(2, 4)).await;
    student.post("/buckets/large/objects/delete", &[("key", "c/d")]).await.is(303);
    segments_become(&app, 3).await;
    assert!(student.download("large", "c/e").await.is(200).bytes == bytes(2, 4));
    student.post("/buckets/large/objects/delete", &[("key", "c/")]).await.is(303);
    until("the folder to be gone", async || {
        app.hurry();
        student.listed("/buckets/large?prefix=c/").await.is_empty().then_some(())
    })
    .await;
    segments_become(&app, 0).await;
    // With the bucket, all of it goes.
    student.put("large", "f", &bytes(2, 5)).await;
    student.post("/buckets/large/delete", &[("name", "large")]).await.is(303);
    until("everything to be gone", async || {
        app.hurry();
        app.files.containers().await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(app.database.count("uploads"), 0);
}

#[actix_web::test]
async fn a_crash_leaves_no_segments_and_loses_no_file() {
    let (app, student) = large().await;
    student.put("large", "kept", &bytes(2, 1)).await;
    let id = app.database.text("HEX(id)", "uploads");
    // Died after its segments, before the manifest: they go, as nothing uses them.
    student.put("large", "dead", &bytes(2, 2)).await;
    app.files.delete("large", &"dead".parse().unwrap()).await.unwrap();
    app.database.sql(&format!(
        "UPDATE uploads SET state = 'receiving', receiving = 1, leased_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE id <> UNHEX('{id}')"
    ));
    // Died after the manifest, before it was written down: the file is there, and so are its segments.
    app.database.sql(&format!(
        "UPDATE uploads SET state = 'receiving', receiving = 1, leased_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE id = UNHEX('{id}')"
    ));
    segments_become(&app, 3).await;
    assert!(student.download("large", "kept").await.is(200).bytes == bytes(2, 1));
    assert_eq!(app.database.texts("state", "uploads"), ["large"]);
    // Died in a renaming, between the copy and the deletion of the old name; then the old one is deleted.
    let key = |name: &str| name.parse::<fast_cloud::cloud::objects::ObjectKey>().unwrap();
    app.database.sql("UPDATE uploads SET other_key = 'moved'");
    app.files.copy(("large", &key("kept")), ("large", &key("moved")), true).await.unwrap();
    student.post("/buckets/large/objects/delete", &[("key", "kept")]).await.is(303);
    segments_become(&app, 3).await;
    until("the row to follow its file", async || {
        fast_cloud::buckets::sync::sweep(&app.portal.app).await.unwrap();
        (app.database.texts("object_key", "uploads WHERE state = 'large'") == ["moved"]).then_some(())
    })
    .await;
    assert!(student.download("large", "moved").await.is(200).bytes == bytes(2, 1));
}
