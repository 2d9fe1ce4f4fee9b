//! The pages of containers, from the form to the log.

use std::time::Duration;

use fast_cloud::cloud::CloudError;
use fast_cloud::cloud::practice::{ClusterFault, Reply};

use crate::support::{TestApp, until};

const NOT_FOUND: &str = "컨테이너 이미지를 찾을 수 없습니다. 이미지 주소를 확인해주세요.";

#[actix_web::test]
async fn two_fields_and_a_click_put_a_container_online() {
    let app = TestApp::new().await;
    let student = app.student().await;
    assert!(student.get("/applications").await.is(200).has(".empty a[href='/applications/new']"));
    student.start_container("My App", "hello:1").await.leads_to("/applications");
    let list = student.get("/applications").await.is(200);
    assert_eq!(list.said("#toasts"), "My App 배포를 시작했어요.");
    let id = student.container("My App").await;
    assert_eq!(list.attribute(&format!("#application-{id} [data-status]"), "data-status").unwrap(), "pending");
    app.container_settles(&student, &id, "running").await;
    let list = student.get("/applications").await.is(200);
    assert_eq!(list.texts(".totals dt")[..2], ["총 컨테이너", "실행 중인 컨테이너"]);
    assert_eq!(list.texts(".totals dd")[..2], ["1", "1"]);
    let link = "a[href='http://my-app.apps.localhost:8001']";
    assert_eq!(list.attribute(link, "rel").unwrap(), "noopener");
    assert_eq!(list.attribute(link, "target").unwrap(), "_blank");
    let page = student.container_page(&id).await;
    assert_eq!(page.said("h1"), "My App 실행 중");
    assert_eq!(page.said(".copy__text"), "http://my-app.apps.localhost:8001");
    assert_eq!(
        page.texts(".route b"),
        ["http://my-app.apps.localhost:8001", "외부 포트 80", "내부 포트 80", "hello:1"]
    );
    assert!(!page.has("#problem") && !page.has(".route [data-status=failed]"));
    assert!(page.said(".timeline").contains("배포를 부탁했어요"));
    assert!(matches!(app.cluster.reply("my-app.apps.localhost").await.unwrap(), Reply::Page(_)));
    let dashboard = student.get("/dashboard").await.is(200);
    assert_eq!(dashboard.attribute(&format!("#application-{id} [data-status]"), "data-status").unwrap(), "running");
    assert!(dashboard.said("h1").contains("컨테이너 1개가 모두 켜져 있어요."));
}

#[actix_web::test]
async fn htmx_is_answered_with_202_and_a_plain_form_with_303() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let answer = student.post_part("/applications", &[("name", "one"), ("image", "nginx")]).await.is(202);
    assert_eq!(answer.header("hx-location"), "/applications");
    student.post("/applications", &[("name", "two"), ("image", "nginx")]).await.leads_to("/applications");
    assert_eq!(app.database.count("applications"), 2);
}

#[actix_web::test]
async fn a_double_click_deploys_one() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let form = student.deploy_form("twice", "hello:1").await;
    let fields: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let (one, two) = futures::join!(student.post("/applications", &fields), student.post("/applications", &fields));
    one.leads_to("/applications");
    two.leads_to("/applications");
    assert_eq!(app.database.count("applications"), 1);
}

#[actix_web::test]
async fn the_address_that_is_shown_is_the_one_that_is_got() {
    let app = TestApp::new().await;
    let (student, other) = (app.student().await, app.student().await);
    for (name, sentence) in [
        ("My App_2", "주소가 이렇게 돼요. 아직 아무도 쓰지 않아요."),
        ("  블로그  ", "한글은 주소에 쓸 수 없어서 이런 주소를 만들었어요. 영어 이름을 적으면 바꿀 수 있어요."),
        ("a__b", "주소가 이렇게 돼요. 아직 아무도 쓰지 않아요."),
    ] {
        let query: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let path = format!("/applications/check?name={query}");
        let check = student.get_part(&path).await.is(200);
        let shown = check.said(".field__hint b");
        assert_eq!(check.said(".field__hint"), format!("{shown} {sentence}"));
        assert_eq!(check.said("#route-url"), shown);
        assert_eq!(check.attribute("#route-url", "hx-swap-oob").unwrap(), "true");
        student.start_container(name, "hello:1").await.leads_to("/applications");
        let id = student.container(name.trim()).await;
        assert_eq!(student.container_page(&id).await.said(".copy__text"), shown);
        // From now on it is taken, for everybody.
        for person in [&student, &other] {
            let check = person.get_part(&path).await.is(200);
            assert_eq!(check.error_of("name"), "이미 다른 컨테이너가 쓰고 있는 주소예요. 다른 이름을 적어 주세요.");
            let refused = person.start_container(name, "hello:1").await.is(422);
            assert_eq!(refused.fields_with_errors(), ["name"]);
            assert_eq!(refused.value_of("image"), "hello:1");
        }
        student.ask_container("delete", &id, &[]).await.leads_to("/applications");
        app.container_settles(&student, &id, "gone").await;
        assert!(student.get_part(&path).await.is(200).error_of("name").is_empty(), "the host is free again");
    }
    for (name, error) in [
        ("www", "포털이 쓰는 주소라서 이 이름은 쓸 수 없어요. 다른 이름을 적어 주세요."),
        ("", "컨테이너 이름을 입력해주세요."),
        ("<b>", "이름에는 글자, 숫자, 빈칸, 점(.), 밑줄(_), 하이픈(-)만 쓸 수 있고, 글자나 숫자로 시작해야 해요."),
    ] {
        let query: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let check = student.get_part(&format!("/applications/check?name={query}")).await.is(200);
        assert_eq!(check.error_of("name"), error, "{name}");
        assert_eq!(
            student.post("/applications", &[("name", name), ("image", "nginx")]).await.is(422).error_of("name"),
            error
        );
    }
}

#[actix_web::test]
async fn what_is_known_of_an_image_is_said_at_once() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let ask = async |image: &str| student.get_part(&format!("/applications/image?image={image}")).await.is(200);
    let found = ask("ghost:5").await;
    assert_eq!(found.said(".found__title"), "이미지를 찾았어요. 2368번 포트를 쓰는 앱이에요.");
    assert_eq!(found.attribute(".found", "data-port").unwrap(), "2368");
    assert_eq!(ask("python").await.said(".found__title"), "이미지를 찾았어요. 어느 포트를 쓰는지는 적혀 있지 않아요.");
    for (image, sentence) in [
        ("ngnix", NOT_FOUND),
        ("nginx-missing:1", NOT_FOUND),
        (
            "https://nginx",
            "웹 페이지 주소가 아니라 이미지 주소를 적어 주세요. https:// 없이 nginx나 someone/app:v1처럼 적어요.",
        ),
    ] {
        assert_eq!(ask(image).await.error_of("image"), sentence, "{image}");
        // Without scripts it is said when the form is sent, and what was typed stays.
        let refused = student.start_container("some-app", image).await.is(422);
        assert_eq!(refused.error_of("image"), sentence);
        assert_eq!((refused.value_of("name"), refused.value_of("image")), ("some-app".into(), image.into()));
    }
    assert_eq!(ask("foreign:1").await.fields_with_errors(), ["image"]);
    assert_eq!(ask("ghcr.io/me/app").await.fields_with_errors(), ["image"]);
    assert_eq!(app.database.count("applications"), 0);
    // Who can't be asked does not stand in the way.
    let limited = ask("limited").await;
    assert!(limited.said(".found--warn").contains("30분 뒤에 다시 시도해 주세요."), "{}", limited.body());
    student.deploy("patient", "limited").await;
    // By a plain link, it leads to the form.
    student.get("/applications/image?image=ghost").await.leads_to("/applications/new?image=ghost");
    let form = student.get("/applications/new?image=ghost&name=Blog").await.is(200);
    assert_eq!((form.value_of("internal_port"), form.value_of("port_guess")), ("2368".into(), "2368".into()));
    assert_eq!(form.said("#route-url"), "http://blog.apps.localhost:8001");
}

#[actix_web::test]
async fn the_port_that_an_image_exposes_is_taken_unless_one_was_typed() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let form = student.get("/applications/new").await.is(200);
    assert_eq!((form.value_of("internal_port"), form.value_of("external_port")), ("80".into(), "80".into()));
    let ports = async |id: &str| student.container_page(id).await.texts(".route b")[1..3].to_vec();
    // The form's own 80 is no more than a guess.
    let guessed = student.deploy("guessed", "ghost:5").await;
    assert_eq!(ports(&guessed).await, ["외부 포트 80", "내부 포트 2368"]);
    for (name, internal, expected) in [("empty", "", "2368"), ("typed", "80", "80"), ("other", "3000", "3000")] {
        let fields = [("name", name), ("image", "ghost:5"), ("internal_port", internal), ("external_port", "8080")];
        student.post("/applications", &fields).await.leads_to("/applications");
        let id = student.container(name).await;
        assert_eq!(ports(&id).await, ["외부 포트 8080".to_owned(), format!("내부 포트 {expected}")], "{name}");
    }
}

#[actix_web::test]
async fn a_wrong_port_is_explained_and_mended_by_a_click() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let fields = [("name", "chat-bot"), ("image", "me/express:1"), ("internal_port", "80"), ("external_port", "80")];
    student.post("/applications", &fields).await.leads_to("/applications");
    let id = student.container("chat-bot").await;
    app.container_settles(&student, &id, "failed").await;
    let sentence = "앱은 3000번 포트에서 기다리는데, 주소는 80번 포트로 이어져 있어요.";
    assert_eq!(student.get("/applications").await.said(".resource-row__why"), sentence);
    let page = student.container_page(&id).await;
    assert_eq!(page.said("#problem h2"), sentence);
    assert_eq!(page.said("#fix-1"), "내부 포트를 3000번으로 바꾸고 다시 배포");
    assert_eq!(page.texts(".route [data-status=failed] b"), ["내부 포트 80"]);
    assert!(page.said(".route").contains("켜져 있어요 · 3000번에서 기다려요"));
    assert_eq!(page.attributes("main .btn--primary", "id"), ["fix-1"], "one primary button a page");
    let field = page.attribute("#problem input[name=internal_port]", "value").unwrap();
    let fields = [("internal_port", field.as_str()), ("view", "detail")];
    let answer = student.post_part(&format!("/applications/{id}/redeploy"), &fields).await.is(200);
    assert!(answer.has("#application-detail"));
    app.container_settles(&student, &id, "running").await;
    let page = student.container_page(&id).await;
    assert!(!page.has("#problem") && page.said(".route").contains("내부 포트 3000"));
}

#[actix_web::test]
async fn each_thing_that_goes_wrong_has_its_sentences() {
    let app = TestApp::with(|setup| {
        setup.config.quota.applications = 20;
        setup.config.quota.app_cpu_millis = 20_000;
        setup.config.quota.app_memory_mb = 20_000;
        setup.config.applications.silent_seconds = 1;
        setup.config.applications.unschedulable_seconds = 1;
    })
    .await;
    let student = app.student().await;
    for (name, image, title, fixes, evidence) in [
        ("crash", "me/crash:1", "앱이 켜지자마자 꺼지기를 되풀이해요.", vec![], "Exiting with code 1"),
        ("ended", "me/exit0", "앱이 할 일을 마치고 스스로 꺼졌어요.", vec![], "종료 코드 0"),
        ("hog", "me/hog", "메모리가 모자라서 앱이 꺼졌어요.", vec!["보통 크기로 다시 배포"], "128 MB"),
        ("silent", "me/silent", "80번 포트에서 응답이 없어요.", vec![], "어느 포트에서도 기다리지 않아요"),
        (
            "loop",
            "me/loopback",
            "앱이 컨테이너 안에서만 들리는 127.0.0.1에서 기다려요.",
            vec![],
            "flask run --host=0.0.0.0",
        ),
        ("slow", "limited", "이미지 저장소가 이곳의 요청을 잠시 막았어요.", vec!["다시 시도"], "기다리면 저절로"),
    ] {
        let id = student.deploy(name, image).await;
        app.container_settles(&student, &id, "failed").await;
        // The log is read after the crash is seen.
        let page = until(&format!("{name}: {evidence}"), async || {
            let page = student.container_page(&id).await;
            page.said("#problem").contains(evidence).then_some(page)
        })
        .await;
        assert_eq!(page.said("#problem h2"), title, "{name}");
        assert_eq!(page.texts("#problem form .btn"), fixes, "{name}");
        assert!(!page.said("#problem").contains("%{"), "{name}: {}", page.said("#problem"));
        assert_eq!(page.texts("main .btn--primary").len(), 1, "{name}: one primary button");
        assert!(page.has(".route [data-status=failed]"), "{name}");
    }
    // A missing image is refused by the form; one that has gone since is told by its page.
    let id = app.running_container(&student, "was-there", "me/app").await;
    app.database.sql("UPDATE applications SET status = 'failed', reason = 'image_not_found' WHERE name = 'was-there'");
    assert_eq!(student.container_page(&id).await.said("#problem h2"), NOT_FOUND);
    app.database.sql("UPDATE applications SET reason = 'unschedulable' WHERE name = 'was-there'");
    assert_eq!(student.container_page(&id).await.said("#problem h2"), "클러스터 리소스가 부족하여 배포할 수 없습니다.");
}

#[actix_web::test]
async fn redeploying_without_fields_is_the_same_again() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let fields = [
        ("name", "same"),
        ("image", "hello:1"),
        ("external_port", "8080"),
        ("variables", "GREETING=안녕"),
        ("secrets", "TOKEN=hunter42"),
        ("size", "medium"),
        ("replicas", "2"),
    ];
    student.post("/applications", &fields).await.leads_to("/applications");
    let id = student.container("same").await;
    app.container_settles(&student, &id, "running").await;
    student.ask_container("redeploy", &id, &[]).await.leads_to(&format!("/applications/{id}"));
    app.look_at_cluster().await;
    until("both replicas of the second deployment", async || {
        app.look_at_cluster().await;
        let page = student.container_page(&id).await;
        (page.said(".page__title .status-badge") == "실행 중" && page.said(".facts").contains("2개 중 2개"))
            .then_some(())
    })
    .await;
    let page = student.container_page(&id).await;
    assert!(page.said(".facts").contains("2번째") && page.said(".facts").contains("보통 · 0.5 vCPU · 256 MB"));
    assert_eq!(page.texts(".variables dt"), ["GREETING", "TOKEN"]);
    assert_eq!(page.texts(".variables dd"), ["안녕", "다시 볼 수 없어요"]);
    assert!(page.said(".route").contains("외부 포트 8080"));
    for path in ["", "/edit", "/detail", "/logs", "/events"] {
        let body = student.get(&format!("/applications/{id}{path}")).await.body();
        assert!(!body.contains("hunter42"), "{path} shows a secret");
    }
    assert!(!app.database.holds(b"hunter42"), "the cluster has it, the database does not");
}

#[actix_web::test]
async fn a_change_changes_what_it_says() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let fields = [("name", "mine"), ("image", "hello:1"), ("variables", "A=1\nB=2"), ("secrets", "OLD=x\nKEPT=y")];
    student.post("/applications", &fields).await.leads_to("/applications");
    let id = student.container("mine").await;
    app.container_settles(&student, &id, "running").await;
    let form = student.get(&format!("/applications/{id}/edit")).await.is(200);
    assert_eq!((form.value_of("image"), form.value_of("internal_port")), ("hello:1".into(), "80".into()));
    assert_eq!(form.said("textarea[name=variables]"), "A=1 B=2");
    assert_eq!(form.said("textarea[name=secrets]"), "");
    assert_eq!(form.attributes("input[name=remove_secret]", "value"), ["OLD", "KEPT"]);
    let change =
        [("image", "hello:2"), ("variables", "A=3"), ("secrets", "NEW=z"), ("remove_secret", "OLD"), ("replicas", "2")];
    student.ask_container("redeploy", &id, &change).await.leads_to(&format!("/applications/{id}"));
    let page = student.container_page(&id).await;
    assert!(page.said(".page__lead").starts_with("hello:2 · "));
    assert_eq!(page.texts(".variables dt"), ["A", "KEPT", "NEW"]);
    assert_eq!(page.texts(".variables dd")[0], "3");
    until("the change to be taken", async || {
        app.look_at_cluster().await;
        student.container_page(&id).await.has(&format!("#application-{id}-edit")).then_some(())
    })
    .await;
    // A secret and a plain one can't have the same name.
    let refused = student.ask_container("redeploy", &id, &[("variables", "KEPT=1")]).await.is(422);
    assert_eq!(refused.fields_with_errors(), ["secrets"]);
    // What is wrong comes back in the form, and changes nothing.
    let refused =
        student.ask_container("redeploy", &id, &[("image", "nginx-missing"), ("replicas", "1")]).await.is(422);
    assert_eq!((refused.error_of("image"), refused.value_of("image")), (NOT_FOUND.into(), "nginx-missing".into()));
    let toast = student
        .post_part(&format!("/applications/{id}/redeploy"), &[("image", "nginx-missing"), ("view", "detail")])
        .await
        .is(409);
    assert!(toast.said("[data-toast]").contains(NOT_FOUND));
    assert!(student.container_page(&id).await.said(".page__lead").starts_with("hello:2 · "));
}

#[actix_web::test]
async fn a_version_that_does_not_come_up_leaves_the_former_one_and_a_way_back() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running_container(&student, "steady", "hello:1").await;
    student.ask_container("redeploy", &id, &[("image", "me/crash:2")]).await.leads_to(&format!("/applications/{id}"));
    until("the failure to be told", async || {
        app.look_at_cluster().await;
        student.container_page(&id).await.has("#problem").then_some(())
    })
    .await;
    let page = student.container_page(&id).await;
    assert_eq!(page.attribute(".page__title [data-status]", "data-status").unwrap(), "running");
    assert!(page.said("#problem").contains("이전 버전이 계속 대답하고 있어요."), "{}", page.said("#problem"));
    assert!(page.has("#open-url") && !page.has(".route [data-status=failed]"));
    let back = page.texts("#problem form .btn");
    assert!(back.contains(&"이전 버전으로 되돌리기".to_owned()), "{back:?}");
    let revision = page.attribute("#problem input[name=revision]", "value").unwrap();
    assert_eq!(revision, "1");
    student.ask_container("redeploy", &id, &[("revision", "1")]).await.leads_to(&format!("/applications/{id}"));
    until("it to be as before", async || {
        app.look_at_cluster().await;
        let page = student.container_page(&id).await;
        (!page.has("#problem") && page.said(".page__lead").starts_with("hello:1 · ")).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn stopping_starting_and_deleting() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running_container(&student, "toggle", "hello:1").await;
    let offers = async |id: &str| {
        let row = student.get_part(&format!("/applications/{id}/row")).await.is(200);
        let start = format!("application-{id}-");
        let ids = row.attributes("[id]", "id");
        ids.iter().filter_map(|button| button.strip_prefix(&start)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offers(&id).await, ["stop", "delete"]);
    student.ask_container("stop", &id, &[]).await.leads_to(&format!("/applications/{id}"));
    app.container_settles(&student, &id, "stopped").await;
    assert_eq!(offers(&id).await, ["start", "delete"]);
    let page = student.container_page(&id).await;
    assert!(!page.has("#open-url") && page.said("main").contains("꺼져 있어요. 켜면 이 주소로 다시 열려요."));
    student.ask_container("start", &id, &[("view", "row")]).await.leads_to("/applications");
    app.container_settles(&student, &id, "running").await;
    let question = student.get(&format!("/applications/{id}/delete")).await.is(200);
    assert!(question.said("#confirm-page").contains("toggle · 컨테이너를 삭제할까요?"));
    let row = student.post_part(&format!("/applications/{id}/delete"), &[("view", "row")]).await.is(200);
    assert_eq!(row.attribute("[data-status]", "data-status").unwrap(), "deleting");
    app.container_settles(&student, &id, "gone").await;
    assert!(app.cluster.objects().await.unwrap().is_empty());
    let gone = student.get_part(&format!("/applications/{id}/detail")).await.is(404);
    assert_eq!(gone.header("hx-redirect"), "/applications");
}

#[actix_web::test]
async fn a_silent_cluster_is_unknown_and_never_stopped() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running_container(&student, "quiet", "hello:1").await;
    app.cluster.script(ClusterFault::Down(CloudError::unavailable("down")));
    app.database.sql(
        "UPDATE cloud_services SET failing_since = UTC_TIMESTAMP(6) - INTERVAL 60 SECOND WHERE name = 'applications'",
    );
    assert_eq!(student.container_status(&id).await, "unknown");
    let page = student.container_page(&id).await;
    assert!(page.has("#problem.problem--warn"));
    assert!(
        page.said("#problem").contains("부터 확인되지 않아요. 마지막으로 본 상태: 실행 중"),
        "{}",
        page.said("#problem")
    );
    assert!(page.said("#problem").contains("꺼졌다는 뜻은 아니에요."));
    assert!(page.said(".facts").contains("hello:1"), "what was known stays");
    // What the cluster is asked for while somebody looks says so, and costs nothing else.
    let events = student.get_part(&format!("/applications/{id}/events")).await.is(200);
    assert!(events.said("#cluster-events").contains("클러스터가 대답하지 않아서"), "{}", events.body());
    let logs = student.get(&format!("/applications/{id}/logs")).await.is(200);
    assert!(logs.said("#log-message").contains("클러스터에서 로그를 가져오지 못했어요."), "{}", logs.main());
    let dashboard = student.get("/dashboard").await.is(200);
    assert!(dashboard.has("#dashboard-applications .card__note") && !dashboard.has("#dashboard-instances .card__note"));
    app.cluster.heal();
}

#[actix_web::test]
async fn the_banner_names_what_is_pretended() {
    let app = TestApp::new().await;
    let student = app.student().await;
    assert!(student.get("/dashboard").await.said(".banner").contains("미니 PC와 컨테이너는 흉내만 내요."));
}

#[actix_web::test]
async fn a_full_quota_is_said_in_the_form() {
    let app = TestApp::with(|setup| setup.config.quota.applications = 1).await;
    let student = app.student().await;
    let form = student.deploy_form("second", "hello:1").await;
    student.deploy("first", "hello:1").await;
    let fields: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let refused = student.post("/applications", &fields).await.is(422);
    assert_eq!(refused.said("#deploy-error"), "할당된 리소스를 초과하여 컨테이너를 배포할 수 없어요.");
    assert_eq!(refused.value_of("name"), "second");
    let form = student.get("/applications/new").await.is(200);
    assert!(form.has("#deploy-error") && form.has("#deploy-form .btn--primary[disabled]"));
}

// Logs.

#[actix_web::test]
async fn a_log_is_a_page_and_a_stream() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running_container(&student, "talker", "me/loud:1").await;
    let page = student.get(&format!("/applications/{id}/logs")).await.is(200);
    let lines = page.texts("#log-lines li span");
    assert!(lines[0].contains("<script>alert('from a log')</script>"), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains('\u{1b}') && !line.contains('\u{202e}')), "{lines:?}");
    let stream = page.attribute("#application-log", "data-log-stream").unwrap();
    let mut following = student.follow(&stream).await;
    following.until("start").await;
    let sent = following.until("lines").await;
    let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
    assert!(sent[0]["text"].as_str().unwrap().contains("<script>"), "{sent}");
    assert!(sent[0]["time"].as_str().unwrap().len() == 12, "{sent}");
    // It goes on.
    let next = following.until("lines").await;
    assert!(next.contains("Still running"), "{next}");
}

#[actix_web::test]
async fn only_the_container_s_own_pods_can_be_named() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running_container(&student, "mine", "hello:1").await;
    let other = app.running_container(&student, "other", "hello:1").await;
    let page = student.get(&format!("/applications/{other}/logs")).await.is(200);
    let foreign = page.attribute("#application-log", "data-log-stream").unwrap();
    let pod = foreign.split_once("pod=").unwrap().1;
    for pod in [pod, "x", "..%2f..%2fsecrets", "%00"] {
        for path in ["logs?pod=", "logs?previous=true&pod=", "logs/stream?pod="] {
            student.get(&format!("/applications/{id}/{path}{pod}")).await.is(404);
        }
    }
}

#[actix_web::test]
async fn a_stream_ends_soon_after_the_session_the_account_or_the_container() {
    let app = TestApp::new().await;
    let (one, two, three) = (app.student().await, app.student().await, app.student().await);
    let mut streams = Vec::new();
    for (number, person) in [&one, &two, &three].into_iter().enumerate() {
        let id = app.running_container(person, &format!("log-{number}"), "hello:1").await;
        let mut stream = person.follow(&format!("/applications/{id}/logs/stream")).await;
        stream.until("start").await;
        streams.push((id, stream));
    }
    let ended = std::time::Instant::now();
    one.log_out().await;
    app.database.sql(&format!("UPDATE accounts SET active = FALSE WHERE login_id = '{}'", two.login_id));
    three.ask_container("delete", &streams[2].0, &[]).await;
    app.container_settles(&three, &streams[2].0, "gone").await;
    for (number, (_, stream)) in streams.iter_mut().enumerate() {
        while let Some((event, data)) = stream.next().await {
            let ends = matches!(event.as_str(), "over" | "pause");
            assert!(ends || matches!(event.as_str(), "lines" | "beat"), "{number}: {event} {data}");
            if event == "over" && number < 2 {
                assert!(data.contains("로그인이 끝나서"), "{data}");
            }
        }
    }
    assert!(ended.elapsed() < Duration::from_secs(20), "{:?}", ended.elapsed());
    assert_eq!(one.get(&format!("/applications/{}/logs/stream", streams[0].0)).await.status, 303);
}

#[actix_web::test]
async fn an_account_follows_four_logs_at_once() {
    let app = TestApp::new().await;
    let (student, other) = (app.student().await, app.student().await);
    let id = app.running_container(&student, "busy", "hello:1").await;
    let path = format!("/applications/{id}/logs/stream");
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = student.follow(&path).await;
        stream.until("start").await;
        streams.push(stream);
    }
    let mut fifth = student.follow(&path).await;
    assert!(fifth.until("over").await.contains("4곳까지만"));
    assert!(fifth.next().await.is_none());
    let theirs = app.running_container(&other, "theirs", "hello:1").await;
    other.follow(&format!("/applications/{theirs}/logs/stream")).await.until("start").await;
    // Who leaves makes room.
    streams.pop();
    until("a seat", async || {
        let mut stream = student.follow(&path).await;
        matches!(stream.next().await, Some((event, _)) if event == "start").then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_stopping_portal_does_not_wait_for_who_reads_a_log() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running_container(&student, "open", "hello:1").await;
    let mut stream = student.follow(&format!("/applications/{id}/logs/stream")).await;
    stream.until("start").await;
    app.portal.app.close();
    while stream.next().await.is_some() {}
}

#[actix_web::test]
async fn what_the_cluster_tells_is_said_in_plain_words() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running_container(&student, "told", "hello:1").await;
    let events = student.get_part(&format!("/applications/{id}/events")).await.is(200);
    let told = events.texts("#cluster-events li span");
    for sentence in ["이미지를 받았어요", "컨테이너를 켰어요"] {
        assert!(told.contains(&sentence.to_owned()), "{told:?}");
    }
    assert!(student.get(&format!("/applications/{id}/events")).await.is(200).has("main #cluster-events"));
}
