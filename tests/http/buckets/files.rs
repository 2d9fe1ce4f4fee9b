//! Files on their way out, and what can be done with them.

use fast_cloud::cloud::objects::ObjectStore;
use fast_cloud::cloud::practice::ObjectFault;
use reqwest::Method;

use crate::support::person::object_path;
use crate::support::{Person, TestApp, until};

async fn with_files(files: &[(&str, &str)]) -> (TestApp, Person) {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("files").await;
    for (name, text) in files {
        student.put("files", name, text.as_bytes()).await;
    }
    (app, student)
}

#[actix_web::test]
async fn a_download_is_the_file_and_can_do_nothing() {
    let (_app, student) = with_files(&[("a/보고서 \"1\".html", "<script>alert(1)</script>")]).await;
    let answer = student.download("files", "a/보고서 \"1\".html").await.is(200);
    assert_eq!(answer.body(), "<script>alert(1)</script>");
    for (name, value) in [
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("content-type", "text/html"),
        ("content-length", "25"),
        ("accept-ranges", "bytes"),
        (
            "content-disposition",
            "attachment; filename=\"___ _1_.html\"; filename*=UTF-8''%EB%B3%B4%EA%B3%A0%EC%84%9C%20%221%22%2Ehtml",
        ),
    ] {
        assert_eq!(answer.header(name), value);
    }
    assert!(answer.header("content-encoding").is_empty());
    // Not packed on its way, whatever the browser takes.
    let packed =
        student.again().with_header("accept-encoding", "gzip, br").download("files", "a/보고서 \"1\".html").await;
    assert!(packed.header("content-encoding").is_empty() && packed.bytes == answer.bytes);
    // Its page shows it as text.
    let page = student
        .get(&format!("/buckets/files/file?key={}", "a%2F%EB%B3%B4%EA%B3%A0%EC%84%9C%20%221%22.html"))
        .await
        .is(200);
    assert_eq!(page.said(".preview--text"), "<script>alert(1)</script>");
    assert!(!page.has("main script:not([src])"));
}

#[actix_web::test]
async fn conditions_and_ranges_are_obeyed() {
    let (_app, student) = with_files(&[("n", "0123456789")]).await;
    let whole = student.download("files", "n").await.is(200);
    let (tag, modified) = (whole.header("etag"), whole.header("last-modified"));
    assert_eq!(tag, "\"781e5e245d69b566979b86e28d23f2c7\"");
    let ask = async |headers: &[(&'static str, &str)]| {
        let mut person = student.again();
        for (name, value) in headers {
            person = person.with_header(name, value);
        }
        person.download("files", "n").await
    };
    let part = ask(&[("range", "bytes=2-4")]).await.is(206);
    assert_eq!((part.body().as_str(), part.header("content-range").as_str()), ("234", "bytes 2-4/10"));
    assert_eq!(ask(&[("range", "bytes=-3")]).await.is(206).body(), "789");
    assert_eq!(ask(&[("range", "bytes=7-")]).await.is(206).body(), "789");
    assert_eq!(ask(&[("range", "bytes=10-")]).await.is(416).header("content-range"), "bytes */10");
    assert!(ask(&[("if-none-match", &tag)]).await.is(304).bytes.is_empty());
    assert!(ask(&[("if-modified-since", &modified)]).await.is(304).bytes.is_empty());
    ask(&[("if-none-match", "\"other\"")]).await.is(200);
    ask(&[("if-match", "\"other\"")]).await.is(412);
    assert_eq!(ask(&[("range", "bytes=2-4"), ("if-range", &tag)]).await.is(206).body(), "234");
    assert_eq!(ask(&[("range", "bytes=2-4"), ("if-range", "\"other\"")]).await.is(200).body(), "0123456789");
    let head = student.send(student.request(Method::HEAD, &object_path("files", "n"))).await.is(200);
    assert!(head.bytes.is_empty());
    assert_eq!((head.header("content-length"), head.header("etag")), ("10".to_owned(), tag));
    student.send(student.request(Method::HEAD, &object_path("files", "none"))).await.is(404);
    student.download("files", "none").await.is(404);
}

#[actix_web::test]
async fn a_body_that_breaks_off_is_no_shorter_file() {
    let (app, student) = with_files(&[("n", &"x".repeat(500_000))]).await;
    app.files.script(ObjectFault::Broken(100_000));
    let response = student.request(Method::GET, &object_path("files", "n")).send().await.unwrap();
    assert!(response.bytes().await.is_err(), "the connection breaks off, too");
    assert_eq!(student.download("files", "n").await.is(200).bytes.len(), 500_000);
}

#[actix_web::test]
async fn a_folder_and_a_choice_are_one_archive() {
    let (app, student) =
        with_files(&[("캡/a.txt", "one"), ("캡/b/c.txt", "two"), ("other.txt", "three"), ("캡x", "four")]).await;
    student.post("/buckets/files/folders", &[("prefix", "캡/"), ("name", "empty")]).await.is(303);
    let archive = student.get("/buckets/files/archive?key=%EC%BA%A1/&key=other.txt").await.is(200);
    assert_eq!(archive.header("content-type"), "application/zip");
    let read = unzip(&archive.bytes);
    assert_eq!(
        read,
        [
            ("other.txt".to_owned(), b"three".to_vec()),
            ("캡/a.txt".to_owned(), b"one".to_vec()),
            ("캡/b/c.txt".to_owned(), b"two".to_vec())
        ]
    );
    let all = unzip(&student.get("/buckets/files/archive?key=").await.is(200).bytes);
    assert_eq!(all.len(), 4);
    student.get("/buckets/files/archive").await.is(404);
    student.get("/buckets/files/archive?key=..").await.is(404);
    // One that breaks off is no archive.
    student.put("files", "big", &vec![b'x'; 600_000]).await;
    app.files.script(ObjectFault::Broken(100_000));
    let response = student.request(Method::GET, "/buckets/files/archive?key=big").send().await.unwrap();
    assert!(response.bytes().await.is_err());
}

/// Names and contents, by name, as Python's reader finds them.
fn unzip(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let dir = std::env::temp_dir().join(format!("fast-cloud-zip-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("a.zip"), bytes).unwrap();
    let script = "import zipfile,sys,json\nz=zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                  print(json.dumps(sorted([n, list(z.read(n))] for n in z.namelist())))";
    let output = std::process::Command::new("python3").args(["-c", script]).arg(dir.join("a.zip")).output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[actix_web::test]
async fn deleting_a_folder_is_deleting_exactly_it() {
    let (app, student) = with_files(&[
        ("a/x", "1"),
        ("a/b/y", "2"),
        ("ab.txt", "3"),
        ("abc/x", "4"),
        ("a", "5"),
        ("A/x", "6"),
        ("%61/x", "7"),
        ("c/a/x", "8"),
    ])
    .await;
    student.make_bucket("other").await;
    student.put("other", "a/x", b"9").await;
    student.post("/buckets/files/folders", &[("prefix", ""), ("name", "a")]).await.is(303);
    let question = student.get("/buckets/files/objects/delete?key=a/&key=ab.txt").await.is(200);
    assert!(question.main().contains("파일 1개와 폴더 1개") && question.main().contains("되돌릴 수 없어요."));
    student.post("/buckets/files/objects/delete", &[("key", "a/")]).await.leads_to("/buckets/files");
    until("the folder to be gone", async || {
        app.hurry();
        app.database.texts("removed", "bucket_removals WHERE ended_at IS NOT NULL").first().cloned()
    })
    .await;
    assert_eq!(app.database.text("removed", "bucket_removals"), "3", "two files and what stood for the folder");
    let left: Vec<String> = student.listed("/buckets/files").await;
    assert_eq!(left, ["%61/", "A/", "abc/", "c/", "a", "ab.txt"]);
    assert_eq!(student.download("files", "c/a/x").await.is(200).bytes, b"8");
    assert_eq!(student.download("other", "a/x").await.is(200).bytes, b"9");
    // One, and many.
    student.post("/buckets/files/objects/delete", &[("key", "a")]).await.leads_to("/buckets/files");
    student.post("/buckets/files/objects/delete", &[("key", "abc/x"), ("key", "A/x"), ("key", "gone")]).await.is(303);
    assert_eq!(student.listed("/buckets/files").await, ["%61/", "c/", "ab.txt"]);
    assert_eq!(app.database.text("objects", "buckets WHERE name = 'files'"), "3");
    assert_eq!(app.database.text("bytes", "buckets WHERE name = 'files'"), "3");
    student.post("/buckets/files/objects/delete", &[]).await.is(400);
    student.post("/buckets/files/objects/delete", &[("key", "../x")]).await.is(404);
    // A file of the question's own name is there for the asking.
    student.put("files", "delete", b"me").await;
    assert_eq!(student.get("/buckets/files/objects/delete").await.is(200).bytes, b"me");
}

#[actix_web::test]
async fn a_file_is_renamed_and_moved() {
    let (_app, student) = with_files(&[("a.txt", "one"), ("b.txt", "two")]).await;
    let rename = async |key: &str, to: &str| student.post("/buckets/files/move", &[("key", key), ("to", to)]).await;
    rename("a.txt", "사진/소풍.txt")
        .await
        .leads_to("/buckets/files/file?key=%EC%82%AC%EC%A7%84/%EC%86%8C%ED%92%8D%2Etxt".replace("%2E", ".").as_str());
    assert_eq!(student.download("files", "사진/소풍.txt").await.is(200).bytes, b"one");
    student.download("files", "a.txt").await.is(404);
    let page = rename("b.txt", "사진/소풍.txt").await.is(422);
    assert_eq!(
        (page.error_of("to").as_str(), page.value_of("to").as_str()),
        ("같은 이름의 파일이 이미 있어요.", "사진/소풍.txt")
    );
    assert_eq!(student.download("files", "사진/소풍.txt").await.is(200).bytes, b"one", "nothing was written over");
    rename("b.txt", "사진/").await.is(303);
    assert_eq!(student.download("files", "사진/b.txt").await.is(200).bytes, b"two");
    for (to, sentence) in [
        ("", "이름을 적어 주세요."),
        ("x/../y", "이름의 한 부분이 . 이나 .. 이면 안 돼요."),
        (&"x".repeat(1025), "이름이 너무 길어요. 폴더까지 합쳐 1,024바이트까지 쓸 수 있어요."),
    ] {
        assert_eq!(rename("사진/b.txt", to).await.is(422).error_of("to"), sentence);
    }
    rename("none", "x").await.is(404);
    assert_eq!(student.download("files", "사진/b.txt").await.is(200).bytes, b"two");
}

#[actix_web::test]
async fn a_link_works_until_it_does_not() {
    let (app, student) = with_files(&[("a.txt", "shared"), ("secret.txt", "not shared")]).await;
    let link = student.share("files", "a.txt").await;
    let anybody = app.anon();
    let got = anybody.get(&link).await.is(200);
    assert_eq!(got.body(), "shared");
    assert_eq!(got.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(anybody.send(anybody.request(Method::HEAD, &link)).await.is(200).header("content-length"), "6");
    assert_eq!(anybody.again().with_header("range", "bytes=3-").get(&link).await.is(206).body(), "red");
    assert!(student.get("/buckets/files/links").await.main().contains("1번 내려받음"), "one download");
    // Not another's, not guessed.
    let (head, token) = link.rsplit_once('/').unwrap();
    for other in [
        format!("{head}/{}", "0".repeat(40)),
        format!("{head}/{}", token.to_uppercase()),
        format!("/share/{}/{token}", uuid::Uuid::now_v7()),
    ] {
        anybody.get(&other).await.is(404);
    }
    assert!(!app.database.holds(token.as_bytes()), "the database has no links");
    // Expired.
    app.database.sql("UPDATE share_links SET expires_at = UTC_TIMESTAMP(6)");
    anybody.get(&link).await.is(404);
    assert!(student.links("files").await.is_empty());
    // Taken back, by its owner alone.
    let link = student.share("files", "a.txt").await;
    let id = link.split('/').nth(2).unwrap();
    let other = app.student().await;
    other.make_bucket("other").await;
    for bucket in ["files", "other"] {
        other.post(&format!("/buckets/{bucket}/links/{id}/delete"), &[]).await.is(404);
    }
    anybody.get(&link).await.is(200);
    student.post(&format!("/buckets/files/links/{id}/delete"), &[]).await.leads_to("/buckets/files/links");
    anybody.get(&link).await.is(404);
    // To something that is there, for a bounded time.
    student.post("/buckets/files/links", &[("key", "none.txt")]).await.is(404);
    student.post("/buckets/files/links", &[("key", "a.txt"), ("days", "99999")]).await.is(303);
    assert_eq!(
        app.database
            .text("TIMESTAMPDIFF(DAY, created_at, expires_at)", "share_links WHERE expires_at > UTC_TIMESTAMP(6)"),
        "30"
    );
    // With the file, and with the bucket, it ends.
    let link = student.share("files", "secret.txt").await;
    student.post("/buckets/files/objects/delete", &[("key", "secret.txt")]).await.is(303);
    anybody.get(&link).await.is(404);
    let link = student.share("files", "a.txt").await;
    student.post("/buckets/files/delete", &[("name", "files")]).await.is(303);
    anybody.get(&link).await.is(404);
    let _ = app.files.containers().await;
}
