//! What goes with every answer: security headers, nothing inline, static files that browsers keep.

use std::collections::BTreeSet;

use reqwest::Method;

use crate::support::map;
use crate::support::{Answer, TestApp};

fn is_guarded(answer: &Answer) {
    let what = format!("{} ({})", answer.what, answer.status);
    let policy = answer.header("content-security-policy");
    if answer.header("content-disposition").starts_with("attachment") {
        // What somebody stored may do nothing at all.
        assert_eq!(policy, "sandbox; default-src 'none'", "{what}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        return;
    }
    for part in
        ["default-src 'self'", "object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(part), "{what}: {part} is not in {policy:?}");
    }
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(answer.header("referrer-policy"), "same-origin", "{what}");
    assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{what}");
    assert!(answer.header("permissions-policy").contains("camera=()"), "{what}");
    assert_eq!(answer.headers.get_all("content-security-policy").iter().count(), 1, "{what}");
}

fn has_nothing_inline(answer: &Answer) {
    let what = &answer.what;
    let html = answer.html();
    let mut ids = BTreeSet::new();
    for element in html.root_element().descendent_elements() {
        let name = element.value().name();
        assert_ne!(name, "style", "{what}");
        if name == "script" {
            assert!(
                element.attr("src").is_some_and(|source| source.starts_with("/static/")),
                "{what}: an inline script"
            );
            assert!(element.text().all(|text| text.trim().is_empty()), "{what}: an inline script");
        }
        for (attribute, value) in element.value().attrs() {
            assert!(attribute != "style" && !attribute.starts_with("on"), "{what}: <{name} {attribute}>");
            assert!(!attribute.starts_with("hx-on"), "{what}: <{name} {attribute}>");
            assert!(!value.trim_start().to_ascii_lowercase().starts_with("javascript:"), "{what}: {value}");
        }
        if let Some(id) = element.attr("id") {
            assert!(ids.insert(id.to_owned()), "{what}: two elements have the id {id}");
        }
    }
}

fn is_a_page(answer: &Answer) {
    is_guarded(answer);
    if answer.header("content-type").starts_with("text/html") {
        has_nothing_inline(answer);
    }
    if answer.header("content-disposition").starts_with("attachment") {
        assert!(
            ["private, no-cache", "no-store"].contains(&answer.header("cache-control").as_str()),
            "{}",
            answer.what
        );
        return;
    }
    // The way to the log-in page has nothing to keep.
    if !matches!(answer.status.as_u16(), 303 | 401) {
        assert_eq!(answer.header("cache-control"), "no-store", "{} ({})", answer.what, answer.status);
    }
}

#[actix_web::test]
async fn every_page_and_fragment_is_guarded() {
    let app = TestApp::new().await;
    let (student, admin) = (app.student().await, app.admin().await);
    let ids = map::things_of(&app, &student).await;
    let mut pages = 0;
    for route in map::known(&ids).iter().filter(|route| route.is_get()) {
        let path = route.path_with(&ids);
        for person in [&app.anon(), &student, &admin] {
            for answer in [person.get(&path).await, person.get_part(&path).await] {
                is_a_page(&answer);
                let vary = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap().to_lowercase());
                let vary: Vec<String> = vary.collect();
                if answer.status == 200 {
                    assert!(vary.iter().any(|value| value.contains("hx-request")), "{path}: {vary:?}");
                    pages += 1;
                }
            }
        }
    }
    assert!(pages > 40, "{pages}");
}

#[actix_web::test]
async fn every_error_is_guarded() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    let cross = student.post_request("/profile/name", &[]).await.header("sec-fetch-site", "cross-site");
    for (status, answer) in [
        (404, student.get("/no/such/page").await),
        (404, student.get_part("/no/such/page").await),
        (404, student.get("/static/none.css").await),
        (405, student.get("/logout").await),
        (403, student.send(cross).await),
        (403, student.send(student.request(Method::POST, "/logout")).await),
        (409, student.press("start", &id).await),
        (400, student.post("/preferences/theme", &[("theme", "neon")]).await),
        (422, student.post("/instances", &[]).await),
        (303, app.anon().get("/dashboard").await),
        (401, app.anon().get_part("/dashboard").await),
    ] {
        let answer = answer.is(status);
        is_guarded(&answer);
        if status != 303 && status != 401 && !answer.what.contains("/static/") {
            is_a_page(&answer);
            assert!(!answer.bytes.is_empty(), "{}", answer.what);
        }
    }
    let page = student.get("/no/such/page").await;
    assert_eq!(page.said(".fail__code"), "404");
    let id = page.said(".fail__id code");
    assert!(uuid::Uuid::parse_str(&id).is_ok(), "a number to quote: {id}");
    assert_ne!(student.get("/no/such/page").await.said(".fail__id code"), id);
}

#[actix_web::test]
async fn every_error_has_a_number_and_tells_nothing_of_the_inside() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let id = app.running(&admin, "lab-1").await;
    let cross = admin.post_request("/profile/name", &[]).await.header("sec-fetch-site", "cross-site");
    // What is nobody's fault but ours.
    app.database.sql("RENAME TABLE strays TO lost");
    let mut numbers = BTreeSet::new();
    for (status, answer) in [
        (404, admin.get("/no/such/page").await),
        (403, admin.send(cross).await),
        (409, admin.press("start", &id).await),
        (500, admin.get("/admin/cloud").await),
    ] {
        let page = answer.is(status);
        assert_eq!(page.said(".fail__code"), status.to_string());
        assert!(!page.said("h1").is_empty() && page.has(".fail__links a"), "{}", page.main());
        assert!(numbers.insert(uuid::Uuid::parse_str(&page.said(".fail__id code")).unwrap()));
        for inside in ["strays", "SELECT", "diesel", "token"] {
            assert!(!page.main().contains(inside), "{inside}: {}", page.main());
        }
    }
    let toast = admin.get_part("/admin/cloud").await.is(500);
    assert!(uuid::Uuid::parse_str(&toast.said("[data-toast] code")).is_ok());
    assert!(!toast.body().contains("strays"));
}

#[actix_web::test]
async fn health_is_for_everybody_and_guarded() {
    let app = TestApp::new().await;
    for path in ["/health", "/health/live", "/health/ready"] {
        let answer = app.anon().get(path).await.is(200);
        is_guarded(&answer);
        assert!(answer.body().contains("\"ok\""), "{path}: {}", answer.body());
        assert!(answer.cookies().is_empty(), "{path}");
    }
}

#[actix_web::test]
async fn static_files_are_kept_by_browsers() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let page = student.get("/dashboard").await.is(200);
    let mut files = page.attributes("link[href^='/static/']", "href");
    files.extend(page.attributes("script[src]", "src"));
    assert!(files.len() > 5, "{files:?}");
    for file in &files {
        let answer = app.anon().get(file).await.is(200);
        is_guarded(&answer);
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable", "{file}");
        assert!(answer.cookies().is_empty(), "{file} sets a cookie");
        let tag = answer.header("etag");
        let again = app.anon().with_header("if-none-match", &tag).get(file).await.is(304);
        assert!(again.bytes.is_empty() && again.header("etag") == tag, "{file}");
        app.anon().with_header("if-none-match", "\"other\"").get(file).await.is(200);
        let plain = file.split('?').next().unwrap();
        assert_eq!(app.anon().get(plain).await.is(200).header("cache-control"), "no-cache", "{plain}");
        let old = app.anon().get(&format!("{plain}?v=0000000000000000")).await.is(200);
        assert_eq!(old.header("cache-control"), "no-cache", "what is not this version is not kept for ever");
    }
    let packed = app.anon().with_header("accept-encoding", "gzip").get(&files[1]).await.is(200);
    assert_eq!(packed.header("content-encoding"), "gzip");
    app.anon().get("/static/css/").await.is(404);
}

#[actix_web::test]
async fn every_link_of_every_page_leads_somewhere() {
    let app = TestApp::new().await;
    let (student, admin) = (app.student().await, app.admin().await);
    let ids = map::things_of(&app, &student).await;
    for person in [&app.anon(), &student, &admin] {
        let mut links = BTreeSet::new();
        for route in map::known(&ids).iter().filter(|route| route.is_get()) {
            let page = person.get(&route.path_with(&ids)).await;
            for (selector, name) in
                [("a[href]", "href"), ("[hx-get]", "hx-get"), ("link[href]", "href"), ("script[src]", "src")]
            {
                links.extend(page.attributes(selector, name));
            }
        }
        assert!(links.len() > 10);
        // Containers' own pages are elsewhere.
        for link in links.iter().filter(|link| !link.starts_with('#') && !link.starts_with("http://")) {
            let answer = person.get(link).await;
            assert!(matches!(answer.status.as_u16(), 200 | 303), "{}: {link}: {}", person.login_id, answer.status);
        }
    }
}
