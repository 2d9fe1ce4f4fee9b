//! Hostile text: in every field of every form, and in what is stored already.

use crate::support::map::{self, Ids};
use crate::support::{Answer, Person, TestApp};

const MARK: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7}}&amp;";

/// What a field has to refuse. A password, for example, may hold any character that can be typed.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A name of a thing or person, an id: letters and digits of some script.
    Name,
    /// A name in the cloud: printable, but no markup.
    CloudName,
    /// A password.
    Secret,
    /// A text of several lines.
    Text,
}

fn hostile(kind: Kind) -> Vec<(&'static str, String)> {
    let mut all = vec![("a NUL", "ab\0cdefgh".to_owned()), ("ten megabytes", "x".repeat(10 * 1024 * 1024))];
    if matches!(kind, Kind::Name | Kind::CloudName) {
        all.push(("markup", "<script>alert(1)</script>".to_owned()));
        all.push(("a right-to-left override", "lab\u{202E}gpj.exe".to_owned()));
        all.push(("too much", "x".repeat(300)));
        all.push(("a line break", "lab\r\nSet-Cookie: x".to_owned()));
    }
    if kind == Kind::Name {
        all.push(("template syntax", "{{7*7}}".to_owned()));
        all.push(("another template syntax", "${7*7}%{n}".to_owned()));
        all.push(("an emoji", "lab😀".to_owned()));
        all.push(("a zero-width space", "la\u{200B}b".to_owned()));
        all.push(("only invisible letters", "\u{3164}\u{115F}".to_owned()));
        all.push(("bytes that are no text", "\u{FFFD}".to_owned()));
        all.push(("SQL", "' OR 1=1 --".to_owned()));
    }
    all
}

/// The fields of each form that are checked, by path.
const FIELDS: [(&str, &[(&str, Kind)]); 11] = [
    (
        "/signup",
        &[("login_id", Kind::Name), ("password", Kind::Secret), ("name", Kind::Name), ("birth_date", Kind::Name)],
    ),
    ("/profile/name", &[("name", Kind::Name)]),
    ("/profile/password", &[("password", Kind::Secret), ("current_password", Kind::Secret)]),
    ("/keys", &[("key_name", Kind::Name), ("public_key", Kind::Name)]),
    ("/keys/generate", &[("key_name", Kind::Name)]),
    ("/instances", &[("name", Kind::Name), ("template_id", Kind::Name), ("ssh_key", Kind::Name)]),
    (
        "/applications",
        &[
            ("name", Kind::Name),
            ("image", Kind::Name),
            ("internal_port", Kind::Name),
            ("external_port", Kind::Name),
            ("variables", Kind::Text),
            ("secrets", Kind::Text),
            ("size", Kind::Name),
            ("replicas", Kind::Name),
        ],
    ),
    (
        "/applications/{application_id}/redeploy",
        &[
            ("image", Kind::Name),
            ("internal_port", Kind::Name),
            ("external_port", Kind::Name),
            ("variables", Kind::Text),
            ("secrets", Kind::Text),
            ("size", Kind::Name),
            ("replicas", Kind::Name),
        ],
    ),
    ("/buckets", &[("name", Kind::Name)]),
    ("/admin/templates", TEMPLATE),
    ("/admin/templates/{template_id}", TEMPLATE),
];

const TEMPLATE: &[(&str, Kind)] = &[
    ("name", Kind::Name),
    ("purpose_ko", Kind::CloudName),
    ("purpose_en", Kind::CloudName),
    ("image", Kind::CloudName),
    ("flavor", Kind::CloudName),
    ("network", Kind::CloudName),
    ("floating_network", Kind::CloudName),
    ("security_groups", Kind::CloudName),
    ("key_pair", Kind::CloudName),
    ("ssh_user", Kind::Name),
    ("user_data", Kind::Text),
    ("position", Kind::Name),
];

/// Forms and fields whose hostile values are answered in another way, each with a test below.
const OTHERS: [(&str, &[&str]); 12] = [
    ("/signup", &["password_confirm"]),
    ("/setup", &["login_id", "password", "password_confirm", "name", "birth_date"]),
    ("/login", &["login_id", "password"]),
    ("/preferences/language", &["lang"]),
    ("/preferences/theme", &["theme"]),
    ("/profile/password", &["password_confirm"]),
    ("/buckets/{bucket}/delete", &["name"]),
    ("/buckets/{bucket}/folders", &["prefix", "name"]),
    ("/buckets/{bucket}/move", &["key", "to"]),
    ("/buckets/{bucket}/links", &["key", "days"]),
    ("/buckets/{bucket}/tools", &["days", "writes"]),
    ("/buckets/{bucket}/objects/delete", &["key"]),
];

async fn classroom() -> (TestApp, Person, Person, Ids) {
    let mut app = TestApp::with(|setup| setup.config.accounts.failures_per_account = 1_000).await;
    let (student, admin) = (app.student().await, app.admin().await);
    let ids = map::things_of(&app, &student).await;
    app.stop_working();
    (app, student, admin, ids)
}

#[actix_web::test]
async fn every_field_of_every_form_is_thought_of() {
    let nothing = map::random_ids();
    for route in map::known(&nothing).iter().filter(|route| !route.is_get()) {
        for (field, _) in &route.form {
            let checked =
                FIELDS.iter().any(|(path, fields)| *path == route.path && fields.iter().any(|(name, _)| name == field));
            let other = OTHERS.iter().any(|(path, fields)| *path == route.path && fields.contains(field));
            assert!(checked || other || *field == "enabled", "{field} of {}", route.path);
        }
    }
}

#[actix_web::test]
async fn each_field_refuses_what_does_not_belong_in_it() {
    let (app, student, admin, ids) = classroom().await;
    let anon = app.anon();
    let routes = map::known(&ids);
    for (path, fields) in FIELDS {
        let route = routes.iter().find(|route| !route.is_get() && route.path == path).unwrap();
        let person = match path {
            "/signup" => &anon,
            _ if path.starts_with("/admin") => &admin,
            _ => &student,
        };
        person.token().await;
        let before = without_throttles(&app);
        for (field, kind) in fields {
            for (what, value) in hostile(*kind) {
                let mut form: Vec<(&str, &str)> =
                    route.fields().into_iter().filter(|(name, _)| name != field).collect();
                form.push((field, &value));
                if *field == "password" {
                    form.retain(|(name, _)| *name != "password_confirm");
                    form.push(("password_confirm", &value));
                }
                let answer = person.post(&route.path_with(&ids), &form).await;
                assert_eq!(answer.status, 422, "{path}: {what} in {field}: {}", answer.main());
                let errors = answer.fields_with_errors();
                assert!(errors.contains(&(*field).to_owned()), "{path}: {what} in {field}: errors of {errors:?}");
                assert!(answer.bytes.len() < 400_000, "{path}: {what} in {field} is sent back in full");
                is_harmless(&answer);
            }
        }
        assert_eq!(without_throttles(&app), before, "{path}: something was stored");
    }
}

/// Everything but the counters of failures, which failures do change.
fn without_throttles(app: &TestApp) -> String {
    app.database.dump().lines().filter(|line| !line.starts_with("throttles:")).collect::<Vec<_>>().join("\n")
}

/// No element, attribute or script that is not ours.
fn is_harmless(answer: &Answer) {
    let html = answer.html();
    for element in html.root_element().descendent_elements() {
        let (name, what) = (element.value().name(), &answer.what);
        assert!(!matches!(name, "iframe" | "object" | "embed" | "base" | "style" | "img"), "{what}: <{name}>");
        if name == "script" {
            let source = element.attr("src").unwrap_or_default();
            assert!(
                source.starts_with("/static/") && element.text().all(|text| text.trim().is_empty()),
                "{what}: an inline script"
            );
        }
        for (attribute, value) in element.value().attrs() {
            assert!(!attribute.starts_with("on") && attribute != "style", "{what}: <{name} {attribute}>");
            let is_link = matches!(attribute, "href" | "src" | "action" | "hx-get" | "hx-post" | "formaction");
            // A container's own page, in another tab that can't reach back.
            let out = value.starts_with("http://") && value.ends_with(".apps.localhost:8001");
            let leads_out = name == "a" && attribute == "href" && out && element.attr("rel") == Some("noopener");
            let ours = value.starts_with('/') || value.starts_with('#');
            assert!(!is_link || ours || leads_out, "{what}: {attribute}={value}");
        }
    }
}

#[actix_web::test]
async fn hostile_log_ins_are_wrong_ones() {
    let (app, ..) = classroom().await;
    let anon = app.anon();
    anon.token().await;
    let before = without_throttles(&app);
    for (what, value) in hostile(Kind::Name) {
        let answer = anon.log_in(&value, "some password").await;
        assert_eq!((answer.status.as_u16(), answer.has("#login-error")), (422, true), "{what}: {}", answer.main());
        is_harmless(&answer);
    }
    for (what, value) in hostile(Kind::Secret) {
        let answer = anon.log_in("student-1", &value).await;
        assert_eq!((answer.status.as_u16(), answer.has("#login-error")), (422, true), "{what}");
    }
    assert_eq!(without_throttles(&app), before);
}

#[actix_web::test]
async fn hostile_choices_are_no_choices() {
    let (app, student, ..) = classroom().await;
    for (what, value) in hostile(Kind::Name) {
        for (path, field) in [("/preferences/language", "lang"), ("/preferences/theme", "theme")] {
            let answer = student.post(path, &[(field, &value)]).await;
            assert_eq!((answer.status.as_u16(), answer.cookies().len()), (400, 0), "{path}: {what}");
        }
        let setup = student.post("/setup", &[("token", &value), ("login_id", &value)]).await;
        assert_eq!(setup.status, 404, "{what}");
    }
    assert_eq!(app.database.count("accounts"), 2);
}

#[actix_web::test]
async fn names_of_files_are_kept_as_text_or_refused() {
    // What a file may be called is more than what a thing of ours may: names are kept faithfully (see `buckets::names`).
    let (app, student, _, ids) = classroom().await;
    let path = |verb: &str| format!("/buckets/{}/{verb}", ids["bucket"]);
    for (what, value) in hostile(Kind::Name) {
        for (verb, fields) in [
            ("delete", vec![("name", value.as_str())]),
            ("folders", vec![("prefix", ""), ("name", &value)]),
            ("folders", vec![("prefix", &value), ("name", "x")]),
            ("move", vec![("key", &value), ("to", "x")]),
            ("move", vec![("key", "a.txt"), ("to", &value)]),
            ("links", vec![("key", &value)]),
            ("links", vec![("key", "a.txt"), ("days", &value)]),
            ("objects/delete", vec![("key", &value)]),
        ] {
            let answer = student.post(&path(verb), &fields).await;
            assert!(matches!(answer.status.as_u16(), 303 | 404 | 422), "{verb} with {what}: {}", answer.status);
            assert!(answer.bytes.len() < 400_000, "{verb}: {what} is sent back in full");
            is_harmless(&answer);
            if (verb, answer.status.as_u16()) == ("move", 303) {
                student.post(&path("move"), &[("key", &value), ("to", "a.txt")]).await.is(303);
            }
        }
        is_harmless(&student.get(&format!("/buckets/{}", ids["bucket"])).await.is(200));
        is_harmless(&student.get(&path("links")).await.is(200));
    }
    assert_eq!(student.download(&ids["bucket"], "a.txt").await.is(200).bytes, b"hello");
    assert_eq!(app.database.count("buckets WHERE transition IS NULL"), 1);
}

#[actix_web::test]
async fn hostile_questions_are_answered_as_harmlessly() {
    let (app, student, _, ids) = classroom().await;
    let container = &ids["application_id"];
    let (logs, stream) = (
        format!("/applications/{container}/logs?previous=true&pod="),
        format!("/applications/{container}/logs/stream?pod="),
    );
    let of_bucket =
        ["?prefix=", "?search=", "?marker=", "?sort=", "/file?key=", "/objects/delete?key=", "/archive?key="];
    let of_bucket = of_bucket.map(|query| format!("/buckets/{}{query}", ids["bucket"]));
    let before = app.database.dump();
    for (what, value) in hostile(Kind::Name).into_iter().filter(|(what, _)| *what != "ten megabytes") {
        let query: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        for path in [
            "/instances?search=",
            "/instances?filter=",
            "/instances?page=",
            "/applications?search=",
            "/applications?filter=",
            "/applications/check?name=",
            "/applications/image?image=",
            "/applications/new?name=",
            "/applications/new?image=",
            &logs,
            &stream,
            "/signup/check?login_id=",
            "/login?next=",
            "/setup?token=",
            "/buckets?page=",
            "/buckets?rows=",
        ]
        .into_iter()
        .chain(of_bucket.iter().map(String::as_str))
        {
            for answer in
                [student.get(&format!("{path}{query}")).await, student.get_part(&format!("{path}{query}")).await]
            {
                assert!(answer.status.as_u16() < 500, "{path} with {what}: {}", answer.status);
                is_harmless(&answer);
            }
        }
    }
    for path in [
        "/%00",
        "/instances/%ff",
        "/instances?search=%ff%fe",
        "/static/%2e%2e/Cargo.toml",
        "/static/..%2f..%2fCargo.toml",
    ] {
        let answer = student.get(path).await;
        assert!(answer.status.as_u16() < 500, "{path}: {}", answer.status);
    }
    assert_eq!(app.database.dump(), before);
}

#[actix_web::test]
async fn odd_cookies_are_no_cookies() {
    let app = TestApp::new().await;
    for (_, value) in
        hostile(Kind::Name).into_iter().filter(|(what, _)| !matches!(*what, "ten megabytes" | "a NUL" | "a line break"))
    {
        let person = app.anon();
        for name in [
            "fast-cloud-session",
            "fast-cloud-form",
            "fast-cloud-notice",
            "fast-cloud-lang",
            "fast-cloud-theme",
            "fast-cloud-key-0123456789ab",
        ] {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            person.set_cookie(name, &value);
        }
        let page = person.get("/login").await.is(200);
        is_harmless(&page);
        person.get("/dashboard").await.leads_to("/login?next=%2Fdashboard");
    }
    // A notice says sentences of ours only.
    let person = app.anon();
    person.set_cookie("fast-cloud-notice", "notice.key_added=x");
    assert!(person.get("/login").await.said("#toasts").contains("접속 키를 등록했어요."));
    for planted in ["login.wrong=x", "notice.none=x", "Your+account+is+closed=x"] {
        person.set_cookie("fast-cloud-notice", planted);
        assert!(!person.get("/login").await.has("#toasts .toast"), "{planted}");
    }
    person.set_cookie("fast-cloud-notice", "notice.requested=%3Cscript%3Ealert(1)%3C/script%3E");
    is_harmless(&person.get("/login").await);
}

#[actix_web::test]
async fn what_is_stored_is_shown_as_text() {
    let (mut app, student, admin, ids) = classroom().await;
    let second = student.launch("second").await;
    app.work();
    app.settle(&student, &second, "active").await;
    app.stop_working();
    let mark = MARK.replace('\'', "''");
    let short: String = MARK.chars().take(30).collect::<String>().replace('\'', "''");
    for statement in [
        format!("UPDATE accounts SET name = LEFT('{mark}', 64)"),
        format!(
            "UPDATE ssh_keys SET name = LEFT('{mark}', 64), fingerprint = '{mark}', algorithm = LEFT('{mark}', 64)"
        ),
        format!(
            "UPDATE instance_templates SET name = LEFT('{mark}', 64), purpose_ko = '{mark}', purpose_en = '{mark}', image = '{mark}', \
             flavor = '{mark}', network = '{mark}', security_groups = '{mark}', key_pair = '{mark}', ssh_user = '{short}', user_data = '{mark}'"
        ),
        format!(
            "UPDATE instances SET name = LEFT('{mark}', 64), template_name = LEFT('{mark}', 64), ip_address = LEFT('{mark}', 45), \
             floating_ip = LEFT('{mark}', 45), reason = 'build_failed', reason_text = '{mark}', status = 'error'"
        ),
        "UPDATE instances SET status = 'active', reason = NULL ORDER BY id DESC LIMIT 1".to_owned(),
        format!("UPDATE buckets SET address = '{mark}', reason = 'delete_failed', reason_text = '{mark}'"),
        format!("UPDATE share_links SET object_key = '{mark}'"),
        format!("UPDATE instance_events SET detail = '{mark}'"),
        format!(
            "UPDATE applications SET name = LEFT('{mark}', 64), status = 'failed', reason = 'port_loopback', \
             reason_text = '{mark}', findings = JSON_OBJECT('log', JSON_ARRAY('{mark}'), 'offers', JSON_ARRAY('{mark}'))"
        ),
        format!(
            "UPDATE application_configs SET image = '{mark}', secret_names = JSON_ARRAY('{mark}'), \
             variables = JSON_ARRAY(JSON_ARRAY('{mark}', '{mark}'))"
        ),
        format!("UPDATE application_events SET detail = '{mark}'"),
        format!("UPDATE cloud_services SET error = '{mark}', failing_since = UTC_TIMESTAMP(6)"),
        format!(
            "INSERT INTO strays VALUES (UNHEX(REPLACE(UUID(), '-', '')), '{mark}', 'no_row', NULL, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))"
        ),
    ] {
        app.database.sql(&statement);
    }
    let start = "<script>alert(1)</script>";
    let mut shown = 0;
    for route in map::known(&ids).iter().filter(|route| route.is_get()) {
        let path = route.path_with(&ids);
        for person in [&student, &admin] {
            for answer in [person.get(&path).await, person.get_part(&path).await] {
                is_harmless(&answer);
                assert!(answer.status.as_u16() < 500, "{path}: {}", answer.status);
                shown += answer.body().matches("&#60;script&#62;").count();
            }
        }
    }
    assert!(shown > 30, "the pages show what is stored: {shown}");
    let detail = student.get(&format!("/instances/{}", ids["instance_id"])).await.is(200);
    assert!(detail.said("h1").starts_with(start));
    assert_eq!(detail.said("#problem pre"), MARK);
    assert!(student.get(&format!("/instances/{second}")).await.is(200).said(".copy__text").contains("<script>"));
    assert!(student.get("/instances").await.said(&format!("#instance-{second} bdi")).starts_with(start));
    assert!(admin.get("/admin/cloud").await.main().contains(MARK));
    let container = student.container_page(&ids["application_id"]).await;
    assert!(container.said("h1").starts_with(start));
    assert_eq!((container.said("#problem-log"), container.said("#problem-detail pre")), (MARK.into(), MARK.into()));
    assert_eq!(container.said(".variables dd"), MARK);
    let form = student.get(&format!("/applications/{}/edit", ids["application_id"])).await.is(200);
    assert_eq!(form.value_of("image"), MARK);
    assert_eq!(form.value_of("remove_secret"), MARK);
}

#[actix_web::test]
async fn a_fault_of_the_cloud_is_shown_as_text() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.script(fast_cloud::cloud::practice::Fault::Build(MARK.to_owned()));
    let id = student.launch("lab-1").await;
    app.settle(&student, &id, "error").await;
    for path in [
        format!("/instances/{id}"),
        format!("/instances/{id}/detail"),
        "/instances".to_owned(),
        "/dashboard".to_owned(),
    ] {
        is_harmless(&student.get(&path).await);
        is_harmless(&student.get_part(&path).await);
    }
    assert_eq!(student.get(&format!("/instances/{id}")).await.said("#problem pre"), MARK);
}

#[actix_web::test]
async fn more_than_any_form_has_is_too_large() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let request =
        student.post_request("/profile/name", &[("name", "김하늘"), ("more", &"x".repeat(33 * 1024 * 1024))]).await;
    // The portal may close the connection before all of it is sent.
    if let Some(answer) = student.try_send(request).await {
        assert!(answer.is(413).main().contains("보낸 내용이 너무 커요."));
    }
    assert_eq!(student.get("/profile").await.value_of("name"), student.name);
}
