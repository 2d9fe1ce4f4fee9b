//! A bucket for tools: Swift's own API with a credential of the bucket's.

use reqwest::{Client, Method, StatusCode};

use crate::support::{TestApp, until};

struct Tool {
    http: Client,
    base: String,
    token: String,
}

impl Tool {
    fn new(app: &TestApp, token: &str) -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        Self { http, base: format!("{}/swift/v1", app.portal.base), token: token.to_owned() }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).header("x-auth-token", &self.token)
    }

    async fn status(&self, method: Method, path: &str) -> u16 {
        self.request(method, path).send().await.unwrap().status().as_u16()
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }
}

#[actix_web::test]
async fn tools_put_list_get_and_delete() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("tools").await;
    let (_, secret) = student.bucket_token("tools", true).await;
    assert!(!app.database.holds(secret.as_bytes()), "the database has no credentials");
    let tool = Tool::new(&app, &secret);
    assert_eq!(tool.status(Method::PUT, "/tools").await, 202);
    let put = tool.request(Method::PUT, "/tools/a/%EA%B0%80%20%3F.txt").body("hello").send().await.unwrap();
    assert_eq!(
        (put.status().as_u16(), put.headers()["etag"].to_str().unwrap()),
        (201, "5d41402abc4b2a76b9719d911017c592")
    );
    assert_eq!(student.download("tools", "a/가 ?.txt").await.is(200).bytes, b"hello");
    assert_eq!(tool.text("/tools/a/%EA%B0%80%20%3F.txt").await, "hello");
    let part =
        tool.request(Method::GET, "/tools/a/%EA%B0%80%20%3F.txt").header("range", "bytes=1-2").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.text().await.unwrap().as_str()), (206, "el"));
    assert_eq!(tool.request(Method::PUT, "/tools/b").body("x").send().await.unwrap().status(), 201);
    assert_eq!(tool.text("/tools").await, "a/가 ?.txt\nb\n");
    let rows: serde_json::Value = serde_json::from_str(&tool.text("/tools?format=json&delimiter=/").await).unwrap();
    assert_eq!((&rows[0]["subdir"], &rows[1]["name"], &rows[1]["bytes"]), (&"a/".into(), &"b".into(), &1.into()));
    let rows: serde_json::Value =
        serde_json::from_str(&tool.text("/tools?format=json&prefix=a/&limit=1").await).unwrap();
    assert_eq!(rows[0]["hash"], "5d41402abc4b2a76b9719d911017c592");
    let head = tool.request(Method::HEAD, "/tools").send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["x-container-object-count"].to_str().unwrap()), (204, "2"));
    let account: serde_json::Value = serde_json::from_str(&tool.text("").await).unwrap();
    assert_eq!((account.as_array().unwrap().len(), &account[0]["name"]), (1, &"tools".into()));
    // The sum that the tool says has to be what arrived.
    let wrong =
        tool.request(Method::PUT, "/tools/wrong").header("etag", "0".repeat(32)).body("x").send().await.unwrap();
    assert_eq!(wrong.status(), 422);
    assert_eq!(tool.status(Method::HEAD, "/tools/wrong").await, 404);
    assert_eq!(tool.status(Method::DELETE, "/tools/b").await, 204);
    assert_eq!(tool.status(Method::DELETE, "/tools/b").await, 404);
    assert_eq!(app.database.text("objects", "buckets"), "1");
    for path in ["/tools/..%2f..%2fetc", "/tools/%2e%2e/x", "/tools/a%0d%0ab", "/tools/%ff"] {
        let status = tool.status(Method::PUT, path).await;
        assert!(matches!(status, 404 | 412), "{path}: {status}");
    }
}

#[actix_web::test]
async fn a_credential_opens_its_bucket_alone_and_not_for_ever() {
    let app = TestApp::new().await;
    let (student, other) = (app.student().await, app.student().await);
    for (person, bucket) in [(&student, "mine"), (&student, "mine-too"), (&other, "theirs")] {
        person.make_bucket(bucket).await;
        person.put(bucket, "a.txt", bucket.as_bytes()).await;
    }
    let (id, secret) = student.bucket_token("mine", false).await;
    let tool = Tool::new(&app, &secret);
    assert_eq!(tool.text("/mine/a.txt").await, "mine");
    for bucket in ["mine-too", "theirs", "none", "segments_x", "..", "MINE"] {
        for path in [format!("/{bucket}"), format!("/{bucket}/a.txt")] {
            let status = tool.status(Method::GET, &path).await;
            assert!(matches!(status, 404 | 401), "{path}: {status}");
        }
    }
    // It can only read.
    for (method, path) in
        [(Method::PUT, "/mine/b"), (Method::DELETE, "/mine/a.txt"), (Method::POST, "/mine"), (Method::DELETE, "/mine")]
    {
        assert_eq!(tool.status(method, path).await, 403);
    }
    // Not the portal's login, and no login at all.
    for token in [
        "",
        "x",
        &secret[..secret.len() - 1],
        &format!("{secret}0"),
        &secret.to_uppercase(),
        &secret.replace("fcb_", "fcb-"),
    ] {
        assert_eq!(Tool::new(&app, token).status(Method::GET, "/mine/a.txt").await, 401, "{token}");
    }
    let with_cookie = student.get("/swift/v1/mine/a.txt").await;
    assert_eq!(with_cookie.status, 401, "a browser's session is no credential here");
    // A writing one deletes no bucket, and another account's credential can't be revoked.
    let (_, writing) = student.bucket_token("mine", true).await;
    assert_eq!(Tool::new(&app, &writing).status(Method::DELETE, "/mine").await, 405);
    for bucket in ["mine", "theirs"] {
        other.post(&format!("/buckets/{bucket}/tools/{id}/delete"), &[]).await.is(404);
    }
    assert_eq!(tool.status(Method::GET, "/mine/a.txt").await, 200);
    student.post(&format!("/buckets/mine/tools/{id}/delete"), &[]).await.leads_to("/buckets/mine/tools");
    assert_eq!(tool.status(Method::GET, "/mine/a.txt").await, 401);
    app.database.sql("UPDATE bucket_tokens SET expires_at = UTC_TIMESTAMP(6)");
    assert_eq!(Tool::new(&app, &writing).status(Method::GET, "/mine/a.txt").await, 401);
    // Gone with its bucket.
    let (_, last) = student.bucket_token("mine-too", true).await;
    student.post("/buckets/mine-too/delete", &[("name", "mine-too")]).await.is(303);
    until("the credential to be gone", async || {
        app.hurry();
        (Tool::new(&app, &last).status(Method::GET, "/mine-too/a.txt").await == 401).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn the_quota_holds_for_tools() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.allow_storage(&student, 1);
    student.make_bucket("small").await;
    let (_, secret) = student.bucket_token("small", true).await;
    let tool = Tool::new(&app, &secret);
    let full = tool.request(Method::PUT, "/small/full").body(vec![0; 1 << 20]).send().await.unwrap();
    assert_eq!(full.status(), 201);
    let more = tool.request(Method::PUT, "/small/more").body("x").send().await.unwrap();
    assert_eq!(more.status(), 413);
    student.download("small", "more").await.is(404);
}
