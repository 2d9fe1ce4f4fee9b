//! Who may see and do what: the server's own table of routes, walked as everybody.

use fast_cloud::routes::Access;
use reqwest::Method;

use crate::support::map::{self, Ids, Route};
use crate::support::{Answer, Person, TestApp, encode};

async fn ask(person: &Person, route: &Route, ids: &Ids) -> Answer {
    let path = route.path_with(ids);
    if route.is_get() { person.get(&path).await } else { person.post(&path, &route.fields()).await }
}

async fn ask_part(person: &Person, route: &Route, ids: &Ids) -> Answer {
    let path = route.path_with(ids);
    if route.is_get() { person.get_part(&path).await } else { person.post_part(&path, &route.fields()).await }
}

/// A portal with a student who has things; nothing works in the background, so that every change is a request's.
async fn classroom() -> (TestApp, Person, Ids) {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    let ids = map::things_of(&app, &student).await;
    app.stop_working();
    (app, student, ids)
}

#[actix_web::test]
async fn who_is_not_signed_in_is_sent_to_log_in() {
    let (app, _, ids) = classroom().await;
    let anon = app.anon();
    anon.token().await;
    let before = app.database.dump();
    for route in map::known(&ids).iter().filter(|route| route.access != Access::Public) {
        let path = route.path_with(&ids);
        let answer = ask(&anon, route, &ids).await;
        if route.is_get() {
            let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
            answer.leads_to(&format!("/login?next={next}"));
        } else {
            answer.leads_to("/login");
        }
        let part = ask_part(&anon, route, &ids).await.is(401);
        assert_eq!(part.header("hx-redirect"), "/login", "{path}, for htmx");
        assert!(part.body().is_empty());
    }
    assert_eq!(app.database.dump(), before);
}

#[actix_web::test]
async fn what_is_somebody_else_s_does_not_exist() {
    let (app, owner, ids) = classroom().await;
    let (student, admin) = (app.student().await, app.admin().await);
    for person in [&student, &admin] {
        person.token().await;
    }
    let before = app.database.dump();
    let mut walked = 0;
    for route in map::known(&ids).iter().filter(|route| route.access == Access::Account && route.has_id()) {
        for person in [&student, &admin] {
            let random = map::random_ids();
            for (theirs, nobody_s) in [
                (ask(person, route, &ids).await, ask(person, route, &random).await),
                (ask_part(person, route, &ids).await, ask_part(person, route, &random).await),
            ] {
                let (theirs, nobody_s) = (theirs.is(404), nobody_s.is(404));
                let name = format!("{} {} as {}", route.method, route.path, person.login_id);
                let short = |answer: &Answer| {
                    let text = answer.comparable();
                    // The short form of htmx has the id in a line of its own.
                    answer.text("code.mono").map_or(text.clone(), |id| text.replace(&id, "…"))
                };
                assert_eq!(short(&theirs), short(&nobody_s), "{name}: the answers can be told apart");
                assert_eq!(headers(&theirs), headers(&nobody_s), "{name}: the answers can be told apart");
            }
        }
        walked += 1;
    }
    assert!(walked >= 9, "the table has routes with ids");
    assert_eq!(app.database.dump(), before, "something was changed by who may not");
    assert_eq!(owner.status(&ids["instance_id"]).await, "active");
}

/// Names and values of headers that are the same for the same answer.
fn headers(answer: &Answer) -> Vec<String> {
    let mut all: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    all.sort();
    all
}

#[actix_web::test]
async fn pages_show_nothing_of_others() {
    let (app, owner, ids) = classroom().await;
    let other = app.student().await;
    let hers = [owner.login_id.clone(), owner.name.clone(), ids["instance_id"].clone(), ids["key_id"].clone()];
    for route in
        map::known(&ids).iter().filter(|route| route.is_get() && route.access != Access::Admin && !route.has_id())
    {
        for answer in [ask(&other, route, &ids).await, ask_part(&other, route, &ids).await] {
            for secret in &hers {
                assert!(!answer.body().contains(secret), "{} shows {secret}", route.path);
            }
        }
    }
    assert!(owner.get("/instances").await.body().contains(&ids["instance_id"]), "her own list does");
}

#[actix_web::test]
async fn another_s_key_can_t_be_put_into_one_s_mini_pc() {
    let (app, _, ids) = classroom().await;
    let other = app.student().await;
    let before = app.database.dump();
    let template = ids["template_id"].as_str();
    let random = map::random_ids()["key_id"].clone();
    let mut answers = Vec::new();
    for key in [&ids["key_id"], &random] {
        let order = [("name", "lab-1"), ("template_id", template), ("ssh_key", key.as_str())];
        let page = other.post("/instances", &order).await.is(422);
        assert_eq!(page.fields_with_errors(), ["ssh_key"]);
        answers.push(page.error_of("ssh_key"));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(app.database.dump(), before);
}

#[actix_web::test]
async fn for_students_the_admin_s_pages_do_not_exist() {
    let (app, student, ids) = classroom().await;
    let before = app.database.dump();
    let nothing = student.get("/no/such/page").await.is(404);
    let mut walked = 0;
    for route in map::known(&ids).iter().filter(|route| route.access == Access::Admin) {
        let answer = ask(&student, route, &ids).await.is(404);
        assert_eq!(answer.comparable(), nothing.comparable(), "{} {}", route.method, route.path);
        ask_part(&student, route, &ids).await.is(404);
        walked += 1;
    }
    assert!(walked >= 7);
    assert_eq!(app.database.dump(), before);
    assert!(!student.get("/dashboard").await.body().contains("/admin"), "nor does the menu name them");
}

#[actix_web::test]
async fn for_their_owner_all_of_it_is_there() {
    // What makes the refusals above mean something: the same requests are answered to whom they belong.
    let (app, student, ids) = classroom().await;
    let admin = app.admin().await;
    for route in map::known(&ids).iter().filter(|route| route.is_get() && route.path != "/setup") {
        let person = if route.access == Access::Admin { &admin } else { &student };
        let answer = ask(person, route, &ids).await;
        assert!(matches!(answer.status.as_u16(), 200 | 303), "{}: {}", answer.what, answer.status);
        ask_part(person, route, &ids).await;
    }
}

#[actix_web::test]
async fn what_is_gone_is_like_what_never_was() {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    student.press("delete", &id).await;
    app.settle(&student, &id, "gone").await;
    app.stop_working();
    let random = map::random_ids();
    let ids = Ids::from([("instance_id", id)]);
    let before = app.database.dump();
    for route in map::known(&random).iter().filter(|route| route.path.contains("{instance_id}")) {
        let (gone, never) = (ask(&student, route, &ids).await.is(404), ask(&student, route, &random).await.is(404));
        assert_eq!(gone.comparable(), never.comparable(), "{} {}", route.method, route.path);
    }
    assert_eq!(app.database.dump(), before);
}

#[actix_web::test]
async fn an_id_of_another_form_does_not_exist() {
    let (app, student, ids) = classroom().await;
    let admin = app.admin().await;
    let before = app.database.dump();
    let upper = ids["instance_id"].to_uppercase();
    let plain = ids["instance_id"].replace('-', "");
    for id in [
        "1",
        "0",
        "-1",
        "null",
        "%00",
        "..%2f..",
        "%27%20OR%201%3D1",
        upper.as_str(),
        plain.as_str(),
        &"9".repeat(4000),
    ] {
        let names = ["instance_id", "key_id", "template_id", "bucket", "link_id", "token", "token_id", "key:.*"];
        let odd: Ids = names.map(|name| (name, id.to_owned())).into();
        for route in map::known(&ids).iter().filter(|route| route.has_id()) {
            let person = if route.access == Access::Admin { &admin } else { &student };
            ask(person, route, &odd).await.is(404);
        }
    }
    assert_eq!(app.database.dump(), before);
}

// Requests that no form of ours sends.

/// Sends a form to each POST route in a way that has to be refused with 403; nothing may change.
async fn refused(who: &str, send: impl AsyncFn(&Person, String, Vec<(&str, &str)>) -> Answer) {
    let (app, student, ids) = classroom().await;
    let admin = app.admin().await;
    student.token().await;
    admin.token().await;
    let before = app.database.dump();
    let mut sent = 0;
    for route in map::known(&ids).iter().filter(|route| !route.is_get()) {
        let person = if route.access == Access::Admin { &admin } else { &student };
        let answer = send(person, route.path_with(&ids), route.fields()).await;
        assert_eq!(answer.status, 403, "{who}: POST {}", route.path);
        assert!(
            answer.main().contains("페이지를 연 지 오래됐어요.") || answer.has("[data-toast]"),
            "{}",
            answer.main()
        );
        sent += 1;
    }
    assert!(sent >= 20, "the table has forms");
    assert_eq!(app.database.dump(), before, "{who}: something was changed");
    assert!(student.is_signed_in().await && admin.is_signed_in().await, "{who}: somebody was logged out");
}

fn form(person: &Person, path: &str, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let request = person.request(Method::POST, path);
    request.header("content-type", "application/x-www-form-urlencoded").body(encode(fields))
}

#[actix_web::test]
async fn forms_without_a_token_are_refused() {
    refused("no token", async |person, path, fields| person.send(form(person, &path, &fields)).await).await;
}

#[actix_web::test]
async fn forms_with_a_wrong_token_are_refused() {
    refused("a made-up token", async |person, path, mut fields| {
        let made_up = "0".repeat(64);
        fields.push(("csrf_token", &made_up));
        person.send(form(person, &path, &fields)).await
    })
    .await;
}

#[actix_web::test]
async fn forms_with_another_session_s_token_are_refused() {
    refused("another's token", async |person, path, mut fields| {
        // A stranger's token fits the stranger's cookie and nobody else's.
        let token = Person::at(&person.base).token().await;
        fields.push(("csrf_token", &token));
        person.send(form(person, &path, &fields)).await
    })
    .await;
}

#[actix_web::test]
async fn another_account_s_token_does_not_fit_even_with_its_cookie() {
    let (app, student, ids) = classroom().await;
    let attacker = app.student().await;
    let token = attacker.token().await;
    let victim = student.again();
    victim.set_cookie("fast-cloud-form", &attacker.cookie("fast-cloud-form").unwrap());
    let before = app.database.dump();
    let path = format!("/instances/{}/delete", ids["instance_id"]);
    victim.send(form(&victim, &path, &[("csrf_token", &token)])).await.is(403);
    assert_eq!(app.database.dump(), before);
}

#[actix_web::test]
async fn forms_from_another_site_are_refused() {
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        refused(&format!("{name}: {value}"), async |person, path, fields| {
            person.send(person.post_request(&path, &fields).await.header(name, value)).await
        })
        .await;
    }
}

#[actix_web::test]
async fn bodies_that_other_sites_can_send_are_refused() {
    for kind in ["text/plain", "multipart/form-data; boundary=x", "application/json", ""] {
        refused(kind, async |person, path, mut fields| {
            let token = person.token().await;
            fields.push(("csrf_token", &token));
            let mut request = person.request(Method::POST, &path).body(encode(&fields));
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            person.send(request).await
        })
        .await;
    }
}

#[actix_web::test]
async fn our_own_forms_are_taken() {
    // What makes the refusals above mean something.
    let app = TestApp::new().await;
    let student = app.student().await;
    for (number, (name, value)) in
        [("origin", student.base.clone()), ("sec-fetch-site", "same-origin".to_owned())].into_iter().enumerate()
    {
        let fields = [("name", format!("이름 {number}"))];
        let request = student.post_request("/profile/name", &[("name", &fields[0].1)]).await.header(name, value);
        student.send(request).await.leads_to("/profile");
        assert_eq!(student.get("/profile").await.value_of("name"), format!("이름 {number}"));
    }
    let token = student.token().await;
    let header = form(&student, "/profile/name", &[("name", "머리")]).header("x-csrf-token", token);
    student.send(header).await.leads_to("/profile");
}

#[actix_web::test]
async fn links_change_nothing() {
    let (app, student, ids) = classroom().await;
    let admin = app.admin().await;
    let before = app.database.dump();
    let routes = map::known(&ids);
    for route in routes.iter().filter(|route| !route.is_get()) {
        let person = if route.access == Access::Admin { &admin } else { &student };
        let path = route.path_with(&ids);
        let query = encode(&route.fields());
        let answer = person.get(&format!("{path}?{query}")).await;
        let also_a_page = routes.iter().any(|other| other.is_get() && other.path == route.path);
        // `/instances/generate` and the like would be a page with an id that is none.
        if !also_a_page {
            assert_eq!(answer.status, 405, "GET {path}");
            assert!(answer.main().contains("버튼을 눌러야 하는 곳을"), "{}", answer.main());
        }
    }
    assert_eq!(app.database.dump(), before);
    assert!(student.is_signed_in().await);
}

#[actix_web::test]
async fn other_methods_change_nothing() {
    let (app, student, ids) = classroom().await;
    let token = student.token().await;
    let before = app.database.dump();
    for route in map::known(&ids).iter().filter(|route| route.access != Access::Admin) {
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            let request = student.request(method, &route.path_with(&ids)).header("x-csrf-token", &token);
            student.send(request).await.is(405);
        }
    }
    assert_eq!(app.database.dump(), before);
}

#[actix_web::test]
async fn every_form_on_every_page_has_its_token() {
    let (app, student, ids) = classroom().await;
    let admin = app.admin().await;
    let html = |answer: &Answer| answer.html();
    let posts = scraper::Selector::parse("form[method=post]").unwrap();
    let field = scraper::Selector::parse("input[type=hidden][name=csrf_token]").unwrap();
    let mut forms = 0;
    let mut look = |answer: &Answer| {
        for form in html(answer).select(&posts) {
            let token = form.select(&field).next().and_then(|input| input.attr("value")).unwrap_or_default();
            assert_eq!(token.len(), 64, "{}: form {:?}", answer.what, form.attr("action"));
            forms += 1;
        }
    };
    for route in map::known(&ids).iter().filter(|route| route.is_get()) {
        for person in [&app.anon(), &student, &admin] {
            look(&ask(person, route, &ids).await);
            look(&ask_part(person, route, &ids).await);
        }
    }
    for person in [&app.anon(), &student] {
        look(&person.get("/no/such/page").await);
        look(&person.get("/logout").await);
    }
    assert!(forms > 50);
}
