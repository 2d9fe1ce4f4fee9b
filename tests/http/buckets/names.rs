//! Names that were chosen to do harm, or that just are as they are: kept and returned faithfully, or refused with the
//! reason; never another file, another bucket or another account.

use crate::support::TestApp;

const KEPT: &[&str] = &[
    "a//b",
    "//",
    "/lead",
    " lead ",
    "%2e%2e%2f",
    "%2e%2e/x",
    "%00",
    "?x",
    "#",
    "a#b?c=d&e",
    "a+b c",
    "quote\"s",
    "it's",
    "<script>alert(1)</script>",
    "back\\slash\\..\\x",
    "...",
    "..a/b..",
    "한글",
    "\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}",
    "emoji 🎉👩‍👩‍👧",
    "ｆｕｌｌ",
    "{{ 7*7 }}",
    "a;b",
    "a:b",
    "*",
    "delete/x",
    "CON",
    ".hidden",
    "tail.",
    "~root",
];

const REFUSED: &[&str] =
    &["..", ".", "../../etc/passwd", "a/../b", "a/./b", "a/..", "x\r\nset-cookie: y", "tab\tx", "nul\0x"];

#[actix_web::test]
async fn odd_names_are_kept_or_refused() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("names").await;
    student.make_bucket("beside").await;
    student.put("beside", "untouched", b"untouched").await;
    let long = ["x".repeat(1024), "가".repeat(341)];
    let kept: Vec<&str> = KEPT.iter().copied().chain(long.iter().map(String::as_str)).collect();
    for name in &kept {
        student.put("names", name, name.as_bytes()).await;
    }
    for name in &kept {
        let got = student.download("names", name).await.is(200);
        assert_eq!(got.body(), *name, "{name:?} is another file");
        assert_eq!(got.headers.get_all("content-disposition").iter().count(), 1);
    }
    let mut listed = Vec::new();
    for entry in app.database.texts("1", "buckets LIMIT 1") {
        let _ = entry;
        use fast_cloud::cloud::objects::{ListQuery, ObjectStore};
        let query = ListQuery { limit: 10_000, ..ListQuery::default() };
        listed.extend(app.files.list("names", &query).await.unwrap().iter().map(|entry| entry.name().to_owned()));
    }
    let mut wanted: Vec<String> = kept.iter().map(|name| (*name).to_owned()).collect();
    wanted.sort();
    assert_eq!(listed, wanted);
    let (over, over_korean) = ("x".repeat(1025), "가".repeat(342));
    for name in REFUSED.iter().copied().chain([over.as_str(), over_korean.as_str()]) {
        let answer = student.try_put("names", name, b"x", "keep").await.is(422);
        assert!(answer.body().contains("이름"), "{name:?}: {}", answer.body());
        let raw: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for path in [format!("/buckets/names/objects/{raw}"), format!("/buckets/names/file?key={raw}")] {
            student.get(&path).await.is(404);
        }
        for (path, field) in [("objects/delete", "key"), ("links", "key"), ("move", "key")] {
            student.post(&format!("/buckets/names/{path}"), &[(field, name)]).await.is(404);
        }
    }
    // Each page of them is harmless, and each can be deleted by its own name alone.
    for name in &kept {
        let folder = name.rfind('/').map_or("", |at| &name[..=at]);
        let page =
            student.get(&format!("/buckets/names?prefix={}", fast_cloud::buckets::in_query(folder))).await.is(200);
        assert!(!page.has("main script:not([src])"), "{name}");
    }
    let before = wanted.len();
    student.post("/buckets/names/objects/delete", &[("key", "%2e%2e%2f")]).await.is(303);
    student.download("names", "%2e%2e%2f").await.is(404);
    assert_eq!(student.download("names", "%2e%2e/x").await.is(200).body(), "%2e%2e/x");
    assert_eq!(app.database.text("objects", "buckets WHERE name = 'names'"), (before - 1).to_string());
    assert_eq!(student.download("beside", "untouched").await.is(200).bytes, b"untouched");
    // Nothing outside of the store's folder, and nothing in it that a name made.
    for entry in std::fs::read_dir(app.files_dir().join("names/files")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(uuid::Uuid::parse_str(&name).is_ok(), "{name}");
    }
}
