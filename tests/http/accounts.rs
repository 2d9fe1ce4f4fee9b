//! Accounts: sign-up, log-in, log-out, sessions, throttling, the first admin, the profile, language and theme.

use actix_session::storage::SessionStore;
use actix_web::cookie::SameSite;
use actix_web::cookie::time::Duration;
use fast_cloud::accounts::model::Role;
use fast_cloud::accounts::setup;
use fast_cloud::session::MysqlStore;
use futures::StreamExt;
use reqwest::Method;
use sha2::{Digest, Sha256};

use crate::support::person::PASSWORD;
use crate::support::{Answer, Person, TestApp};

const SESSION: &str = "fast-cloud-session";

/// A sign-up without mistakes, but for the fields given.
async fn sign_up(person: &Person, changes: &[(&str, &str)]) -> Answer {
    let mut fields = vec![
        ("login_id", "haneul"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("name", "김하늘"),
        ("birth_date", "2008-02-29"),
    ];
    for (name, value) in changes {
        fields.retain(|(there, _)| there != name);
        fields.push((name, value));
    }
    person.post("/signup", &fields).await
}

#[actix_web::test]
async fn who_signs_up_can_log_in_and_out() {
    let app = TestApp::new().await;
    let person = app.anon();
    assert_eq!(person.get("/").await.is(200).attribute("html", "lang").unwrap(), "ko");
    sign_up(&person, &[]).await.leads_to("/login");
    let login = person.get("/login").await.is(200);
    assert!(login.said("#toasts").contains("가입했어요. 이제 로그인해 주세요."));
    assert!(!person.get("/login").await.said("#toasts").contains("가입했어요"), "a notice is shown once");
    person.log_in("haneul", PASSWORD).await.leads_to("/dashboard");
    let dashboard = person.get("/dashboard").await.is(200);
    assert!(dashboard.said(".account").contains("김하늘") && dashboard.said(".account").contains("haneul"));
    person.get("/").await.leads_to("/dashboard");
    person.get("/login").await.leads_to("/dashboard");
    person.log_out().await.leads_to("/login");
    person.get("/dashboard").await.leads_to("/login?next=%2Fdashboard");
    assert_eq!(app.database.text("role", "accounts"), "student");
    assert!(app.database.text("password_hash", "accounts").starts_with("$argon2id$v=19$"));
    assert!(!app.database.holds(PASSWORD.as_bytes()));
}

#[actix_web::test]
async fn capitals_in_an_id_are_the_same_id() {
    let app = TestApp::new().await;
    let person = app.anon();
    sign_up(&person, &[("login_id", " HaNeul ")]).await.leads_to("/login");
    assert_eq!(app.database.text("login_id", "accounts"), "haneul");
    person.log_in("HANEUL", PASSWORD).await.leads_to("/dashboard");
}

#[actix_web::test]
async fn an_id_can_be_checked_again_and_again() {
    let app = TestApp::new().await;
    app.enrol("taken", "누군가", Role::Student).await;
    let person = app.anon();
    for (id, error) in [
        ("free-id", ""),
        ("taken", "이미 사용 중인 아이디예요. 다른 아이디를 적고 다시 확인해 주세요."),
        (" TAKEN ", "이미 사용 중인 아이디예요. 다른 아이디를 적고 다시 확인해 주세요."),
        ("abc", "아이디는 4자 이상이어야 해요."),
        ("한글아이디", "아이디에는 영어 소문자, 숫자, 점(.), 밑줄(_), 하이픈(-)만 쓸 수 있어요."),
        ("", "아이디를 적어 주세요."),
        ("free-again", ""),
    ] {
        let query = url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>();
        let path = format!("/signup/check?login_id={query}");
        let part = person.get_part(&path).await.is(200);
        assert_eq!(part.error_of("login_id"), error, "{id:?}, as a fragment");
        assert!(!part.has("form"), "a fragment is not the page");
        let page = person.get(&path).await.is(200);
        assert_eq!(page.error_of("login_id"), error, "{id:?}, as a page");
        assert!(page.has("form[action='/signup']"));
        assert_eq!(page.value_of("login_id"), id);
        for answer in [part, page] {
            assert_eq!(answer.has(".field__ok"), error.is_empty(), "{id:?}");
        }
    }
}

#[actix_web::test]
async fn a_taken_id_keeps_what_was_typed_but_passwords() {
    let app = TestApp::new().await;
    app.enrol("haneul", "누군가", Role::Student).await;
    let person = app.anon();
    let page = sign_up(&person, &[]).await.is(422);
    assert_eq!(page.fields_with_errors(), ["login_id"]);
    assert_eq!(page.error_of("login_id"), "이미 사용 중인 아이디예요. 다른 아이디를 적고 다시 확인해 주세요.");
    assert_eq!(
        [page.value_of("login_id"), page.value_of("name"), page.value_of("birth_date")],
        ["haneul", "김하늘", "2008-02-29"]
    );
    assert!(!page.body().contains(PASSWORD), "passwords are not sent back");
    assert_eq!(app.database.count("accounts"), 1);
}

#[actix_web::test]
async fn two_who_want_the_same_id_at_once_are_told_apart() {
    let app = TestApp::new().await;
    let people: Vec<Person> = (0..6).map(|_| app.anon()).collect();
    let answers = futures::future::join_all(people.iter().map(|person| sign_up(person, &[]))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 422, 422, 422, 422, 422]);
    assert_eq!(app.database.count("accounts"), 1);
}

#[actix_web::test]
async fn each_field_of_sign_up_has_its_errors() {
    let app = TestApp::new().await;
    let person = app.anon();
    let before = app.database.dump();
    let tomorrow = (chrono::Utc::now() + chrono::TimeDelta::days(2)).format("%Y-%m-%d").to_string();
    for (field, value, error) in [
        ("login_id", "", "아이디를 적어 주세요."),
        ("login_id", "a", "아이디는 4자 이상이어야 해요."),
        ("login_id", &"a".repeat(33), "아이디는 32자까지 쓸 수 있어요."),
        ("login_id", "ha neul", "아이디에는 영어 소문자, 숫자, 점(.), 밑줄(_), 하이픈(-)만 쓸 수 있어요."),
        ("password", "", "비밀번호를 적어 주세요."),
        ("password", "1234567", "비밀번호는 8자 이상이어야 해요."),
        ("password", &"x".repeat(129), "비밀번호는 128자까지 쓸 수 있어요."),
        ("password", "12345678\0", "비밀번호에 쓸 수 없는 글자가 있어요."),
        ("password_confirm", "something else", "비밀번호가 서로 달라요. 다시 적어 주세요."),
        ("password_confirm", "", "비밀번호가 서로 달라요. 다시 적어 주세요."),
        ("name", " ", "이름을 적어 주세요."),
        ("name", &"가".repeat(51), "이름은 50자까지 쓸 수 있어요."),
        ("name", "<b>", "이름에 쓸 수 없는 글자가 있어요."),
        ("birth_date", "", "생년월일을 적어 주세요."),
        ("birth_date", "2009-02-29", "날짜를 2004-05-17처럼 적어 주세요."),
        ("birth_date", &tomorrow, "생년월일을 다시 확인해 주세요."),
    ] {
        let mut changes = vec![(field, value)];
        if field == "password" {
            changes.push(("password_confirm", value));
        }
        let page = sign_up(&person, &changes).await.is(422);
        assert_eq!(page.fields_with_errors(), [field], "{field}={value:?}");
        assert_eq!(page.error_of(field), error);
        assert!(page.has(&format!("#{field}[aria-invalid=true]")), "{field} is marked");
    }
    let all = person.post("/signup", &[]).await.is(422);
    assert_eq!(all.fields_with_errors(), ["login_id", "password", "name", "birth_date"]);
    assert_eq!(app.database.dump(), before, "nothing was stored");
}

#[actix_web::test]
async fn the_session_has_a_new_key_after_log_in() {
    let app = TestApp::new().await;
    let attacker = app.student().await;
    let planted = attacker.cookie(SESSION).unwrap();
    app.enrol("victim", "피해자", Role::Student).await;
    let victim = app.anon();
    victim.set_cookie(SESSION, &planted);
    victim.log_out().await;
    victim.set_cookie(SESSION, &planted);
    victim.log_in("victim", PASSWORD).await.leads_to("/dashboard");
    assert_ne!(victim.cookie(SESSION).unwrap(), planted);
    assert!(!attacker.is_signed_in().await, "the planted key is nobody's");
    let first = victim.cookie(SESSION).unwrap();
    victim.log_out().await;
    victim.log_in("victim", PASSWORD).await.leads_to("/dashboard");
    assert_ne!(victim.cookie(SESSION).unwrap(), first);
}

#[actix_web::test]
async fn logging_in_over_another_session_takes_that_one_s_key_away() {
    let app = TestApp::new().await;
    let (first, second) = (app.student().await, app.student().await);
    let thief = first.again();
    first.log_in(&second.login_id, PASSWORD).await.leads_to("/dashboard");
    assert!(first.get("/profile").await.said(".account").contains(&second.login_id));
    assert!(!thief.is_signed_in().await, "the key from before is dead");
}

#[actix_web::test]
async fn a_session_that_was_ended_stays_ended() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let replayed = student.again();
    assert!(replayed.is_signed_in().await);
    student.log_out().await.leads_to("/login");
    assert!(!student.is_signed_in().await);
    assert!(!replayed.is_signed_in().await, "the cookie works after the log-out");
    assert_eq!(app.database.count("sessions"), 0);
}

#[actix_web::test]
async fn a_late_answer_does_not_revive_a_session() {
    let app = TestApp::new().await;
    let store = MysqlStore::new(app.portal.app.db.clone());
    let (state, ttl) = (std::collections::HashMap::new(), Duration::hours(1));
    let key = store.save(state, &ttl).await.unwrap();
    let late = store.load(&key).await.unwrap().expect("it is there");
    store.delete(&key).await.unwrap();
    let key = store.update(key, late, &ttl).await.unwrap();
    store.update_ttl(&key, &ttl).await.unwrap();
    assert!(store.load(&key).await.unwrap().is_none(), "it is back");
    assert_eq!(app.database.count("sessions"), 0);
}

#[actix_web::test]
async fn requests_that_overlap_a_log_out_do_not_revive_the_session() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let tabs: Vec<Person> = (0..12).map(|_| student.again()).collect();
    let reads = futures::future::join_all(tabs.iter().map(|tab| tab.get("/dashboard")));
    let (answers, _) = futures::future::join(reads, student.log_out()).await;
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 303)));
    assert_eq!(app.database.count("sessions"), 0);
    assert!(!tabs[0].is_signed_in().await);
}

#[actix_web::test]
async fn the_database_has_the_hash_of_a_session_s_key_only() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let cookie = percent(&student.cookie(SESSION).unwrap());
    let key = &cookie[cookie.len() - 64..];
    assert!(key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    assert!(app.database.holds(&Sha256::digest(key.as_bytes())), "the hash is what sessions are found by");
    assert!(!app.database.holds(key.as_bytes()));
    assert!(!app.database.holds(&hex::decode(key).unwrap()));
}

fn percent(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes()).next().unwrap().1.into_owned()
}

#[actix_web::test]
async fn a_cookie_that_was_tampered_with_is_nobody_s() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let cookie = student.cookie(SESSION).unwrap();
    let last = if cookie.ends_with('0') { '1' } else { '0' };
    student.set_cookie(SESSION, &format!("{}{last}", &cookie[..cookie.len() - 1]));
    assert!(!student.is_signed_in().await);
}

#[actix_web::test]
async fn a_new_password_ends_the_other_sessions() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let (other, stolen) = (app.anon(), student.again());
    other.log_in(&student.login_id, PASSWORD).await.leads_to("/dashboard");
    let new = "another horse battery";
    let fields = [("current_password", PASSWORD), ("password", new), ("password_confirm", new)];
    student.post("/profile/password", &fields).await.leads_to("/profile");
    student.forget_token();
    assert!(student.is_signed_in().await, "this session goes on");
    assert!(!other.is_signed_in().await && !stolen.is_signed_in().await);
    assert_eq!(app.anon().log_in(&student.login_id, PASSWORD).await.status, 422);
    app.anon().log_in(&student.login_id, new).await.leads_to("/dashboard");
}

#[actix_web::test]
async fn a_new_password_needs_the_old_one() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let before = app.database.text("password_hash", "accounts");
    for (current, password, confirm, fields) in [
        ("wrong", "long enough", "long enough", vec!["current_password"]),
        (PASSWORD, "short", "short", vec!["password"]),
        (PASSWORD, "long enough", "another one", vec!["password_confirm"]),
        ("", "", "", vec!["current_password", "password"]),
    ] {
        let form = [("current_password", current), ("password", password), ("password_confirm", confirm)];
        let page = student.post("/profile/password", &form).await.is(422);
        assert_eq!(page.fields_with_errors(), fields);
        assert!(current.is_empty() || !page.body().contains(&format!("\"{current}\"")), "passwords are not sent back");
    }
    assert_eq!(app.database.text("password_hash", "accounts"), before);
    assert!(student.is_signed_in().await);
}

#[actix_web::test]
async fn a_name_can_be_changed() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.post("/profile/name", &[("name", "O'Brien")]).await.leads_to("/profile");
    let page = student.get("/profile").await.is(200);
    assert_eq!(page.value_of("name"), "O'Brien");
    assert!(page.said(".account").contains("O'Brien"));
    let page = student.post("/profile/name", &[("name", "<i>")]).await.is(422);
    assert_eq!((page.fields_with_errors(), page.value_of("name")), (vec!["name".to_owned()], "<i>".to_owned()));
}

#[actix_web::test]
async fn an_account_that_is_switched_off_is_out_at_once() {
    let app = TestApp::new().await;
    let student = app.student().await;
    assert!(student.is_signed_in().await);
    app.database.sql("UPDATE accounts SET active = 0");
    assert!(!student.is_signed_in().await);
    let refused = app.anon().log_in(&student.login_id, PASSWORD).await.is(422);
    assert_eq!(refused.said("#login-error"), "아이디나 비밀번호가 맞지 않아요.");
    app.database.sql("UPDATE accounts SET active = 1");
    app.anon().log_in(&student.login_id, PASSWORD).await.leads_to("/dashboard");
}

#[actix_web::test]
async fn a_role_that_was_taken_away_counts_at_once() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    admin.get("/admin/cloud").await.is(200);
    app.database.sql("UPDATE accounts SET role = 'student'");
    admin.get("/admin/cloud").await.is(404);
}

#[actix_web::test]
async fn an_unknown_id_and_a_wrong_password_get_the_same_answer() {
    let app = TestApp::new().await;
    app.enrol("haneul", "김하늘", Role::Student).await;
    let person = app.anon();
    let wrong = person.log_in("haneul", "wrong password").await.is(422);
    let unknown = person.log_in("nobody", "wrong password").await.is(422);
    assert_eq!(wrong.said("#login-error"), "아이디나 비밀번호가 맞지 않아요.");
    assert_eq!(wrong.comparable().replace("haneul", "…"), unknown.comparable().replace("nobody", "…"));
    assert_eq!(wrong.value_of("login_id"), "haneul");
    assert!(!wrong.body().contains("wrong password"));
    let empty = person.log_in("", "").await.is(422);
    assert_eq!(empty.fields_with_errors(), ["login_id", "password"]);
}

#[actix_web::test]
async fn who_guesses_one_account_has_to_wait_and_others_have_not() {
    let app = TestApp::with(|setup| setup.config.accounts.failures_per_account = 3).await;
    app.enrol("haneul", "김하늘", Role::Student).await;
    app.enrol("byeol", "이별", Role::Student).await;
    for id in ["haneul", "nobody"] {
        for _ in 0..3 {
            app.anon().log_in(id, "wrong password").await.is(422);
        }
        // The next failure makes the wait long enough for this test to be in it.
        app.database.sql("UPDATE throttles SET failures = failures + 5 WHERE subject LIKE 'login:%'");
        let waits = app.anon().log_in(id, PASSWORD).await.is(429);
        let seconds: u32 = waits.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert!(waits.said("#login-error").contains(&format!("{seconds}초 뒤에")));
    }
    app.anon().log_in("byeol", PASSWORD).await.leads_to("/dashboard");
    app.database.sql("UPDATE throttles SET last_at = last_at - INTERVAL 61 SECOND");
    app.anon().log_in("haneul", PASSWORD).await.leads_to("/dashboard");
    app.anon().log_in("haneul", "wrong password").await.is(422);
    app.anon().log_in("haneul", PASSWORD).await.leads_to("/dashboard");
}

#[actix_web::test]
async fn a_class_behind_one_address_gets_in_despite_its_mistakes() {
    let app = TestApp::new().await;
    for number in 0..40 {
        app.enrol(&format!("class-{number}"), "학생", Role::Student).await;
    }
    let let_in = futures::stream::iter(0..40).map(|number| {
        let (person, id) = (app.anon(), format!("class-{number}"));
        async move {
            for _ in 0..number % 5 {
                person.log_in(&id, "wrong password").await.is(422);
            }
            person.log_in(&id, PASSWORD).await.leads_to("/dashboard");
        }
    });
    assert_eq!(let_in.buffer_unordered(8).count().await, 40);
}

#[actix_web::test]
async fn a_class_behind_one_address_signs_up_at_once() {
    let app = TestApp::new().await;
    let class: Vec<(Person, String)> = (0..20).map(|number| (app.anon(), format!("class-{number}"))).collect();
    let answers = futures::future::join_all(class.iter().map(|(person, id)| async move {
        let changes = [("login_id", id.as_str())];
        sign_up(person, &changes).await
    }))
    .await;
    answers.iter().for_each(|answer| answer.leads_to("/login"));
    assert_eq!(app.database.count("accounts"), 20);
    assert_eq!(app.database.text("failures", "throttles WHERE subject LIKE 'signup:%'"), "20", "each is counted");
}

#[actix_web::test]
async fn an_address_that_guesses_is_refused_for_a_while() {
    let app = TestApp::with(|setup| setup.config.accounts.failures_per_address = 4).await;
    app.enrol("haneul", "김하늘", Role::Student).await;
    for number in 0..4 {
        app.anon().log_in(&format!("guess-{number}"), "wrong password").await.is(422);
    }
    let refused = app.anon().log_in("haneul", PASSWORD).await.is(429);
    assert!(!refused.header("retry-after").is_empty());
    // Whoever is not behind a proxy that we trust can't choose an address.
    let lies = app.anon().with_header("x-forwarded-for", "203.0.113.9");
    lies.log_in("haneul", PASSWORD).await.is(429);
    app.database.sql("UPDATE throttles SET window_started_at = window_started_at - INTERVAL 16 MINUTE");
    app.anon().log_in("haneul", PASSWORD).await.leads_to("/dashboard");
}

#[actix_web::test]
async fn behind_a_trusted_proxy_the_clients_are_told_apart() {
    let app = TestApp::with(|setup| {
        setup.config.accounts.failures_per_address = 2;
        setup.config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    app.enrol("haneul", "김하늘", Role::Student).await;
    // The last address is the proxy's word, those before it are the client's.
    let guesser = app.anon().with_header("x-forwarded-for", "198.51.100.1, 203.0.113.9");
    for number in 0..2 {
        guesser.log_in(&format!("guess-{number}"), "wrong password").await.is(422);
    }
    let elsewhere = app.anon().with_header("x-forwarded-for", "198.51.100.2, 203.0.113.9");
    elsewhere.log_in("haneul", PASSWORD).await.is(429);
    let other = app.anon().with_header("x-forwarded-for", "203.0.113.10");
    other.log_in("haneul", PASSWORD).await.leads_to("/dashboard");
}

#[actix_web::test]
async fn sign_ups_from_one_address_are_bounded() {
    let app = TestApp::with(|setup| setup.config.accounts.signups_per_address = 2).await;
    for id in ["first", "second"] {
        sign_up(&app.anon(), &[("login_id", id)]).await.leads_to("/login");
    }
    let refused = sign_up(&app.anon(), &[("login_id", "third")]).await.is(429);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(app.database.count("accounts"), 2);
}

#[actix_web::test]
async fn after_log_in_one_goes_on_to_where_one_wanted() {
    let app = TestApp::new().await;
    app.enrol("haneul", "김하늘", Role::Student).await;
    let person = app.anon();
    person.get("/instances?filter=running").await.leads_to("/login?next=%2Finstances%3Ffilter%3Drunning");
    let form = person.get("/login?next=%2Finstances%3Ffilter%3Drunning").await.is(200);
    let next = form.value_of("next");
    let fields = [("login_id", "haneul"), ("password", PASSWORD), ("next", next.as_str())];
    person.post("/login", &fields).await.leads_to("/instances?filter=running");
}

#[actix_web::test]
async fn next_leads_nowhere_else() {
    let app = TestApp::new().await;
    app.enrol("haneul", "김하늘", Role::Student).await;
    for next in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/\t/evil.example",
        "/%0d%0aset-cookie:x=1\r\nx: y",
        "///evil.example",
    ] {
        let person = app.anon();
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let page = person.get(&format!("/login?next={query}")).await.is(200);
        assert!(!page.has("form[action='/login'] input[name=next]"), "{next:?} is offered");
        let fields = [("login_id", "haneul"), ("password", PASSWORD), ("next", next)];
        person.post("/login", &fields).await.leads_to("/dashboard");
        person.forget_token();
        person.get(&format!("/login?next={query}")).await.leads_to("/dashboard");
        person.post("/preferences/theme", &[("theme", "dark"), ("next", next)]).await.leads_to("/");
    }
}

#[actix_web::test]
async fn the_first_admin_s_link_works_once() {
    let app = TestApp::new().await;
    let token = setup::create(&mut app.database.connect()).unwrap();
    let person = app.anon();
    assert!(!app.database.holds(token.as_bytes()));
    let form = person.get(&format!("/setup?token={token}")).await.is(200);
    assert_eq!(form.said("h1"), "첫 관리자 만들기");
    let mut fields = vec![
        ("token", token.as_str()),
        ("login_id", "teacher"),
        ("password", PASSWORD),
        ("password_confirm", "different"),
        ("name", "선생님"),
        ("birth_date", "1980-01-01"),
    ];
    let mistake = person.post("/setup", &fields).await.is(422);
    assert_eq!(
        (mistake.fields_with_errors(), mistake.value_of("token")),
        (vec!["password_confirm".to_owned()], token.clone())
    );
    fields[3] = ("password_confirm", PASSWORD);
    person.post("/setup", &fields).await.leads_to("/login");
    person.get(&format!("/setup?token={token}")).await.is(404);
    fields[1] = ("login_id", "intruder");
    person.post("/setup", &fields).await.is(404);
    assert_eq!(app.database.texts("CONCAT(login_id, ' ', role)", "accounts"), ["teacher admin"]);
    person.log_in("teacher", PASSWORD).await.leads_to("/dashboard");
    person.get("/admin/templates").await.is(200);
}

#[actix_web::test]
async fn a_wrong_or_old_link_of_the_first_admin_does_not_exist() {
    let app = TestApp::new().await;
    let token = setup::create(&mut app.database.connect()).unwrap();
    let person = app.anon();
    let wrong = format!("/setup?token={}", "0".repeat(64));
    for path in ["/setup", "/setup?token=", wrong.as_str()] {
        person.get(path).await.is(404);
    }
    person.post("/setup", &[("login_id", "intruder")]).await.is(404);
    app.database.sql("UPDATE setup_links SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND");
    person.get(&format!("/setup?token={token}")).await.is(404);
    assert_eq!(app.database.count("accounts"), 0);
}

#[actix_web::test]
async fn two_who_use_the_first_admin_s_link_at_once_make_one_admin() {
    let app = TestApp::new().await;
    let token = setup::create(&mut app.database.connect()).unwrap();
    let people: Vec<(Person, String)> = (0..5).map(|number| (app.anon(), format!("admin-{number}"))).collect();
    let answers = futures::future::join_all(people.iter().map(|(person, id)| {
        let token = token.as_str();
        async move {
            let fields = [
                ("token", token),
                ("login_id", id),
                ("password", PASSWORD),
                ("password_confirm", PASSWORD),
                ("name", "선생님"),
                ("birth_date", "1980-01-01"),
            ];
            person.post("/setup", &fields).await.status.as_u16()
        }
    }))
    .await;
    assert_eq!(answers.iter().filter(|status| **status == 303).count(), 1, "{answers:?}");
    assert_eq!(app.database.count("accounts"), 1);
}

#[actix_web::test]
async fn under_https_cookies_are_for_https_and_this_host_only() {
    let app = TestApp::with(|setup| setup.config.server.public_url = "https://cloud.school.example".to_owned()).await;
    app.enrol("haneul", "김하늘", Role::Student).await;
    let person = app.anon();
    let page = person.get("/login").await.is(200);
    assert!(page.header("strict-transport-security").contains("max-age="));
    let mut cookies = page.cookies();
    let login = person.log_in("haneul", PASSWORD).await;
    login.leads_to("/dashboard");
    cookies.extend(login.cookies());
    cookies.extend(person.rent("pc-1").await.cookies());
    let theme = person.post("/preferences/theme", &[("theme", "dark")]).await;
    cookies.extend(theme.cookies());
    for name in ["session", "form", "key", "device"] {
        let start = format!("__Host-fast-cloud-{name}");
        assert!(cookies.iter().any(|cookie| cookie.name().starts_with(&start)), "{start} is set");
    }
    for cookie in &cookies {
        assert_eq!((cookie.secure(), cookie.http_only()), (Some(true), Some(true)), "{cookie}");
        assert_eq!((cookie.path(), cookie.domain()), (Some("/"), None), "{cookie}");
        assert_eq!(cookie.same_site(), Some(SameSite::Lax), "{cookie}");
    }
}

#[actix_web::test]
async fn over_http_cookies_are_plain_and_log_in_works() {
    let app = TestApp::new().await;
    app.enrol("haneul", "김하늘", Role::Student).await;
    let person = app.anon();
    assert!(person.get("/login").await.header("strict-transport-security").is_empty());
    let login = person.log_in("haneul", PASSWORD).await;
    login.leads_to("/dashboard");
    let cookie = login.cookie(SESSION).expect("a session");
    assert_eq!((cookie.secure().unwrap_or(false), cookie.http_only()), (false, Some(true)));
    assert_eq!(cookie.same_site(), Some(SameSite::Lax));
    assert!(person.is_signed_in().await);
    assert!(person.cookies().keys().all(|name| !name.starts_with("__Host-")));
}

#[actix_web::test]
async fn visitors_leave_no_trace_in_the_database() {
    let app = TestApp::new().await;
    let before = app.database.dump();
    let person = app.anon();
    for path in ["/", "/login", "/signup", "/dashboard", "/nothing"] {
        person.get(path).await;
    }
    assert_eq!(app.database.dump(), before);
}

#[actix_web::test]
async fn the_language_is_the_browser_s_until_one_is_chosen() {
    let app = TestApp::new().await;
    let language = |answer: Answer| answer.attribute("html", "lang").unwrap();
    assert_eq!(language(app.anon().get("/").await), "ko", "Korean where nothing is said");
    for (header, lang) in
        [("en-US,en;q=0.9,ko;q=0.8", "en"), ("ko-KR,ko;q=0.9,en;q=0.8", "ko"), ("de-DE,de;q=0.9", "ko")]
    {
        let person = app.anon().with_header("accept-language", header);
        assert_eq!(language(person.get("/").await), lang, "{header}");
        assert_eq!(language(person.get("/nothing-here").await), lang, "an error page, too");
    }
    let person = app.anon().with_header("accept-language", "ko");
    let page = person.get("/signup?x=1").await.is(200);
    let next = page.attribute("form[action='/preferences/language'] input[name=next]", "value").unwrap();
    assert_eq!(next, "/signup?x=1");
    let answer = person.post("/preferences/language", &[("lang", "en"), ("next", &next)]).await;
    answer.leads_to("/signup?x=1");
    assert!(answer.cookie("fast-cloud-lang").unwrap().max_age().unwrap() >= Duration::days(300), "the choice sticks");
    let page = person.get("/signup").await;
    assert_eq!((language(page.clone()), page.said("h1")), ("en".to_owned(), "Sign up".to_owned()));
    person.post("/preferences/language", &[("lang", "fr")]).await.is(400);
    assert_eq!(language(person.get("/signup").await), "en");
}

#[actix_web::test]
async fn the_theme_is_the_device_s_until_one_is_chosen() {
    let app = TestApp::new().await;
    let person = app.anon();
    let theme = |answer: Answer| answer.attribute("html", "data-theme");
    assert_eq!(theme(person.get("/").await), None);
    for chosen in ["dark", "light"] {
        person.post("/preferences/theme", &[("theme", chosen), ("next", "/login")]).await.leads_to("/login");
        assert_eq!(theme(person.get("/login").await).as_deref(), Some(chosen));
        assert_eq!(theme(person.get("/nothing-here").await).as_deref(), Some(chosen));
    }
    person.post("/preferences/theme", &[("theme", "")]).await.leads_to("/");
    assert_eq!(theme(person.get("/").await), None);
    person.post("/preferences/theme", &[("theme", "neon")]).await.is(400);
}

#[actix_web::test]
async fn logging_out_by_a_link_is_not_possible() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.send(student.request(Method::GET, "/logout")).await.is(405);
    assert!(student.is_signed_in().await);
}
