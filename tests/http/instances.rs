//! Mini PCs: renting, states, quota, clouds that fail, workers that die, keys, templates.

use std::collections::BTreeSet;

use fast_cloud::cloud::practice::Fault;
use fast_cloud::cloud::{CloudError, Compute, LaunchOrder, OwnerTag};
use fast_cloud::ids::{AccountId, InstanceId};
use ssh_key::PrivateKey;

use crate::support::person::PASSWORD;
use crate::support::portal::is_id;
use crate::support::{Answer, Person, TestApp, until};

const OVER_QUOTA: &str = "할당된 리소스를 초과하여 미니 PC 대여가 불가능합니다.";
const FAILED: &str = "미니 PC 대여에 실패했습니다. 잠시 후 다시 시도해주세요.";

fn fields<'f>(form: &'f [(&'f str, String)]) -> Vec<(&'f str, &'f str)> {
    form.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn down() -> CloudError {
    CloudError::unavailable("the practice cloud is off")
}

#[actix_web::test]
async fn who_rents_lands_on_the_list_and_sees_it_being_built() {
    let app = TestApp::with(|setup| setup.worker = false).await;
    let student = app.student().await;
    let empty = student.get("/instances").await.is(200);
    assert!(empty.said("#instance-list").contains("아직 미니 PC가 없어요"));
    student.rent("my-test-server").await.leads_to("/instances");
    let list = student.get("/instances").await.is(200);
    assert!(list.said("#toasts").contains("my-test-server 만들기를 시작했어요."));
    let id = student.id_of("my-test-server").await;
    assert_eq!(list.attribute(&format!("#instance-{id} .status-badge"), "data-status").unwrap(), "building");
    assert!(list.said(&format!("#instance-{id}")).contains("Nano"));
    assert!(list.has("#instance-list[hx-trigger]"), "the list looks again by itself");
    let detail = student.get(&format!("/instances/{id}")).await.is(200);
    assert_eq!(detail.attribute(&format!("#instance-{id} [data-status]"), "data-status").unwrap(), "building");
    assert_eq!(app.machines().await, 0, "nothing was asked of the cloud while somebody waited");
}

#[actix_web::test]
async fn a_mini_pc_is_built_and_has_an_address() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = student.launch("my-test-server").await;
    app.settle(&student, &id, "active").await;
    let machines = app.cloud.machines().await.unwrap();
    assert_eq!(machines.len(), 1);
    assert_eq!(machines[0].name, "my-test-server");
    assert_eq!(machines[0].owner.unwrap().instance.to_string(), id, "the machine carries its row's id");
    let address = machines[0].address.unwrap().to_string();
    let list = student.get("/instances").await.is(200);
    assert!(list.said(&format!("#instance-{id}")).contains(&address));
    assert_eq!(list.texts(".totals dd")[..2], ["1", "1"], "총 인스턴스, 실행 중인 인스턴스");
    let page = student.get(&format!("/instances/{id}")).await.is(200);
    let command = page.said(".copy__text");
    assert!(
        command.starts_with("ssh -i ~/Downloads/fast-cloud-") && command.ends_with(&format!("ubuntu@{address}")),
        "{command}"
    );
    let dashboard = student.get("/dashboard").await.is(200);
    assert_eq!(dashboard.attribute(&format!("#instance-{id} [data-status]"), "data-status").unwrap(), "active");
}

#[actix_web::test]
async fn htmx_gets_202_and_the_way_to_the_list() {
    let app = TestApp::with(|setup| setup.worker = false).await;
    let student = app.student().await;
    let form = student.launch_form("lab-1").await;
    let answer = student.post_part("/instances", &fields(&form)).await.is(202);
    assert_eq!(answer.header("hx-location"), "/instances");
    assert_eq!(student.status(&student.id_of("lab-1").await).await, "building");
}

#[actix_web::test]
async fn what_is_wrong_with_an_order_stands_at_its_field() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let form = student.launch_form("").await;
    let template = form[1].1.clone();
    let before = app.database.dump();
    let random = uuid::Uuid::now_v7().to_string();
    for (field, value, error) in [
        ("name", "", "미니 PC 이름을 입력해주세요."),
        ("name", "  ", "미니 PC 이름을 입력해주세요."),
        ("name", &"가".repeat(64), "이름이 너무 길어요. 63자까지 쓸 수 있어요."),
        (
            "name",
            "-rf",
            "이름에는 글자, 숫자, 빈칸, 점(.), 밑줄(_), 하이픈(-)만 쓸 수 있고, 글자나 숫자로 시작해야 해요.",
        ),
        ("template_id", "", "종류를 하나 골라 주세요."),
        ("template_id", "nano", "고른 종류가 이제 없어요. 다른 종류를 골라 주세요."),
        ("template_id", &random, "고른 종류가 이제 없어요. 다른 종류를 골라 주세요."),
        ("ssh_key", &random, "고른 접속 키가 이제 없어요. 다른 키를 골라 주세요."),
        ("ssh_key", "../x", "고른 접속 키가 이제 없어요. 다른 키를 골라 주세요."),
    ] {
        let mut order = vec![("name", "lab-1"), ("template_id", template.as_str()), ("ssh_key", "")];
        order.retain(|(name, _)| *name != field);
        order.push((field, value));
        for answer in [student.post("/instances", &order).await, student.post_part("/instances", &order).await] {
            let page = answer.is(422);
            assert_eq!(page.fields_with_errors(), [field], "{field}={value:?}");
            assert_eq!(page.error_of(field), error);
            assert!(page.has("#launch-form"), "the form comes back");
            if field != "name" {
                assert_eq!(page.value_of("name"), "lab-1");
            }
        }
    }
    assert_eq!(app.database.dump(), before, "nothing was stored");
}

#[actix_web::test]
async fn states_follow_each_other_with_what_is_in_between() {
    // The states in between last longer than the looks at them.
    let app = TestApp::with(|setup| setup.build = std::time::Duration::from_secs(3)).await;
    let student = app.student().await;
    let id = student.launch("lab-1").await;
    assert_eq!(student.offers(&id).await, ["delete"], "nothing else while it is built");
    app.settle(&student, &id, "active").await;
    assert_eq!(student.offers(&id).await, ["stop", "reboot", "delete"]);

    student.press("stop", &id).await.leads_to(&format!("/instances/{id}"));
    assert_eq!((student.status(&id).await.as_str(), student.label(&id).await.as_str()), ("active", "끄는 중"));
    assert_eq!(student.offers(&id).await, ["delete"]);
    app.settle(&student, &id, "stopped").await;
    until("the stop to be over", async || {
        app.compare().await.unwrap();
        (student.offers(&id).await == ["start", "delete"]).then_some(())
    })
    .await;
    assert_eq!(student.label(&id).await, "꺼짐");

    student.press("start", &id).await.leads_to(&format!("/instances/{id}"));
    assert_eq!((student.status(&id).await.as_str(), student.label(&id).await.as_str()), ("stopped", "켜는 중"));
    app.settle(&student, &id, "active").await;

    student.press("reboot", &id).await.leads_to(&format!("/instances/{id}"));
    assert_eq!((student.status(&id).await.as_str(), student.label(&id).await.as_str()), ("rebooting", "다시 시작 중"));
    app.settle(&student, &id, "active").await;

    student.press("delete", &id).await.leads_to("/instances");
    assert_eq!((student.status(&id).await.as_str(), student.label(&id).await.as_str()), ("deleting", "삭제 중"));
    assert!(student.offers(&id).await.is_empty());
    app.settle(&student, &id, "gone").await;
    assert_eq!(app.machines().await, 0, "the machine goes before the row");
    let history: Vec<String> = app.database.texts("kind", "instance_events ORDER BY id");
    for kind in [
        "requested",
        "launched",
        "active",
        "stop_requested",
        "stopped",
        "start_requested",
        "started",
        "reboot_requested",
        "rebooted",
        "delete_requested",
    ] {
        assert!(history.contains(&kind.to_owned()), "{kind} is not in {history:?}");
    }
}

#[actix_web::test]
async fn the_row_and_the_page_come_back_as_fragments() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    let row = student.post_part(&format!("/instances/{id}/stop"), &[("view", "row")]).await.is(200);
    assert_eq!(row.said(&format!("tr#instance-{id} .status-badge")), "끄는 중");
    assert!(!row.has("form[action='/logout']"), "the row alone");
    app.settle(&student, &id, "stopped").await;
    until("start to be offered", async || {
        app.compare().await.unwrap();
        student.offers(&id).await.contains(&"start".to_owned()).then_some(())
    })
    .await;
    let detail = student.post_part(&format!("/instances/{id}/start"), &[("view", "detail")]).await.is(200);
    assert!(detail.has("#instance-detail") && !detail.has("form[action='/logout']"));
    let deleted = student.post_part(&format!("/instances/{id}/delete"), &[]).await.is(202);
    assert_eq!(deleted.header("hx-location"), "/instances");
    app.settle(&student, &id, "gone").await;
    let gone = student.get_part(&format!("/instances/{id}/detail")).await.is(404);
    assert_eq!(gone.header("hx-redirect"), "/instances");
}

#[actix_web::test]
async fn what_can_t_be_done_now_is_refused_and_changes_nothing() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    let refuse = async |verbs: &[&str], state: &str| {
        let before = app.database.dump();
        for verb in verbs {
            let refused = student.press(verb, &id).await.is(409);
            assert!(refused.main().contains("지금은 할 수 없어요."), "{verb} while {state}: {}", refused.main());
            let toast = student.post_part(&format!("/instances/{id}/{verb}"), &[("view", "row")]).await.is(409);
            assert!(toast.has("[data-toast]"), "{verb} while {state}");
        }
        assert_eq!(app.database.dump(), before, "while {state}");
    };
    refuse(&["start"], "active").await;
    app.script(Fault::Hang);
    student.press("stop", &id).await;
    until("the stop to be under way", async || {
        (app.database.count("operations WHERE state = 'running'") == 1).then_some(())
    })
    .await;
    // The lease of the one that hangs is renewed meanwhile; it is not what this is about.
    let before = app.database.texts("CONCAT(status, IFNULL(transition, ''), version)", "instances");
    for verb in ["start", "stop", "reboot"] {
        student.press(verb, &id).await.is(409);
    }
    assert_eq!(app.database.texts("CONCAT(status, IFNULL(transition, ''), version)", "instances"), before);
    assert_eq!(app.database.count("operations WHERE action IN ('start', 'reboot')"), 0);
}

#[actix_web::test]
async fn one_that_is_stopped_can_be_started_or_deleted_only() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    student.press("stop", &id).await;
    until("start to be offered", async || {
        let _ = app.compare().await;
        (student.offers(&id).await == ["start", "delete"]).then_some(())
    })
    .await;
    let before = app.database.dump();
    for verb in ["stop", "reboot"] {
        student.press(verb, &id).await.is(409);
    }
    assert_eq!(app.database.dump(), before);
}

#[actix_web::test]
async fn deleting_asks_first_without_scripts_too() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    let question = student.get(&format!("/instances/{id}/delete")).await.is(200);
    assert!(question.said("h1").contains("lab-1"));
    assert!(question.has(&format!("form[method=post][action='/instances/{id}/delete'] input[name=csrf_token]")));
    assert_eq!(student.status(&id).await, "active", "asking is not deleting");
    student.press("delete", &id).await.leads_to("/instances");
    student.press("delete", &id).await.leads_to("/instances");
    assert_eq!(app.database.count("operations WHERE action = 'delete'"), 1, "pressed twice, asked once");
}

#[actix_web::test]
async fn a_row_goes_only_when_the_cloud_says_that_the_machine_is_gone() {
    let app = TestApp::with(|setup| setup.build = std::time::Duration::from_secs(1)).await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    app.script(Fault::Down(down()));
    student.press("delete", &id).await.leads_to("/instances");
    until("a try to fail", async || {
        (app.database.count("operations WHERE action = 'delete' AND error IS NOT NULL") == 1).then_some(())
    })
    .await;
    for _ in 0..3 {
        app.hurry();
        assert!(app.compare().await.is_err());
        assert_eq!(student.status(&id).await, "deleting");
    }
    assert_eq!(app.database.count("instances WHERE deleted_at IS NULL"), 1);
    app.cloud.heal();
    app.settle(&student, &id, "gone").await;
    assert_eq!(app.machines().await, 0);
    let quota = student.get("/dashboard").await.is(200).said(".quota");
    assert!(quota.contains("0 / 3대"), "the quota is free again: {quota}");
}

#[actix_web::test]
async fn one_that_is_still_being_made_can_be_deleted() {
    let mut app = TestApp::with(|setup| setup.worker = false).await;
    let student = app.student().await;
    let id = student.launch("never").await;
    student.press("delete", &id).await.leads_to("/instances");
    app.work();
    app.settle(&student, &id, "gone").await;
    assert_eq!(app.machines().await, 0);
    assert_eq!(app.database.texts("state", "operations WHERE action = 'create'"), ["cancelled"]);

    // One whose order is under way, and its answer lost.
    app.script(Fault::AnswerLost);
    let id = student.launch("half").await;
    until("the machine to be there", async || (app.machines().await == 1).then_some(())).await;
    student.press("delete", &id).await.leads_to("/instances");
    app.settle(&student, &id, "gone").await;
    assert_eq!(app.machines().await, 0, "nothing is left in the cloud");

    // One that is being built.
    let id = student.launch("built").await;
    until("the machine to be there", async || (app.machines().await == 1).then_some(())).await;
    student.press("delete", &id).await.leads_to("/instances");
    app.settle(&student, &id, "gone").await;
    assert_eq!(app.machines().await, 0);
}

#[actix_web::test]
async fn a_double_click_rents_one() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let form = student.launch_form("lab-1").await;
    student.post("/instances", &fields(&form)).await.leads_to("/instances");
    student.post("/instances", &fields(&form)).await.leads_to("/instances");
    assert_eq!(student.ids().await.len(), 1);

    let form = student.launch_form("lab-2").await;
    let (fields, tabs) = (fields(&form), (0..2).map(|_| student.again()).collect::<Vec<_>>());
    let both = futures::future::join_all(tabs.iter().map(|tab| tab.post("/instances", &fields))).await;
    both.iter().for_each(|answer| answer.leads_to("/instances"));
    assert_eq!(student.ids().await.len(), 2);
    let id = student.id_of("lab-2").await;
    app.settle(&student, &id, "active").await;
    assert_eq!(app.machines().await, 2);
    assert_eq!(app.database.count("ssh_keys"), 1, "and no key that fits nothing");
}

#[actix_web::test]
async fn the_same_form_key_of_two_people_is_two_mini_pcs() {
    let app = TestApp::with(|setup| setup.worker = false).await;
    let (one, two) = (app.student().await, app.student().await);
    let form = one.launch_form("lab-1").await;
    one.post("/instances", &fields(&form)).await.leads_to("/instances");
    two.post("/instances", &fields(&form)).await.leads_to("/instances");
    assert_eq!((one.ids().await.len(), two.ids().await.len()), (1, 1));
}

#[actix_web::test]
async fn the_quota_holds_under_twenty_orders_at_once() {
    let app = TestApp::with(|setup| setup.worker = false).await;
    let student = app.student().await;
    let template = app.template("Nano");
    let tabs: Vec<(Person, String)> = (0..20).map(|number| (student.again(), format!("lab-{number}"))).collect();
    let orders = tabs.iter().map(|(tab, name)| {
        let order = [("name", name.as_str()), ("template_id", template.as_str())];
        async move { tab.post("/instances", &order).await }
    });
    let answers = futures::future::join_all(orders).await;
    let (rented, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 303);
    assert_eq!(rented.len(), 3, "{:?}", refused.iter().map(|answer| answer.status).collect::<Vec<_>>());
    for answer in refused {
        assert_eq!(answer.is(422).said("#launch-error"), OVER_QUOTA);
    }
    assert_eq!(student.ids().await.len(), 3);
    assert_eq!(app.database.count("operations"), 3);
    assert!(student.get("/instances/new").await.is(200).said("#launch-error").contains(OVER_QUOTA));
}

#[actix_web::test]
async fn the_quota_counts_memory_and_processors_too() {
    let app = TestApp::with(|setup| setup.worker = false).await;
    let student = app.student().await;
    let pro = app.template("Pro");
    for name in ["lab-1", "lab-2"] {
        student.post("/instances", &[("name", name), ("template_id", &pro)]).await.leads_to("/instances");
    }
    let third = student.post("/instances", &[("name", "lab-3"), ("template_id", &pro)]).await.is(422);
    assert_eq!(third.said("#launch-error"), OVER_QUOTA);
    assert_eq!(third.value_of("name"), "lab-3");
    let page = student.get("/instances/new").await.is(200);
    assert!(page.has(&format!("input[name=template_id][value='{pro}'][disabled]")), "it is not offered");
    student
        .post("/instances", &[("name", "lab-3"), ("template_id", &app.template("Nano"))])
        .await
        .leads_to("/instances");
}

#[actix_web::test]
async fn a_quota_of_the_cloud_is_told_as_one() {
    let app = TestApp::with(|setup| setup.limit = Some(1)).await;
    let student = app.student().await;
    app.running(&student, "lab-1").await;
    let id = student.launch("lab-2").await;
    app.settle(&student, &id, "error").await;
    assert!(student.row(&id).await.said(".resource-row__why").contains(OVER_QUOTA));
    assert_eq!(student.offers(&id).await, ["delete"]);
    app.database.sql("DELETE FROM account_quotas");
    student.press("delete", &id).await;
    app.settle(&student, &id, "gone").await;
}

#[actix_web::test]
async fn an_order_that_the_cloud_refuses_is_told_and_costs_no_quota() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.allow(&student, 1);
    app.script(Fault::Launch(CloudError::Rejected("<b>Image is corrupt</b>".to_owned())));
    let id = student.launch("lab-1").await;
    app.settle(&student, &id, "error").await;
    assert_eq!(student.row(&id).await.said(".resource-row__why"), FAILED);
    let page = student.get(&format!("/instances/{id}")).await.is(200);
    assert_eq!(page.said("#problem h2"), FAILED);
    assert_eq!(page.said("#problem pre"), "<b>Image is corrupt</b>", "the cloud's words are shown as text");
    assert_eq!(app.machines().await, 0);
    let second = student.launch("lab-2").await;
    app.settle(&student, &second, "active").await;
}

#[actix_web::test]
async fn a_machine_that_can_t_be_built_is_told() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.script(Fault::Build("No valid host was found.".to_owned()));
    let id = student.launch("lab-1").await;
    app.settle(&student, &id, "error").await;
    let why = student.row(&id).await.said(".resource-row__why");
    assert!(why.starts_with(FAILED) && why.contains("더 작은 종류"), "{why}");
    app.script(Fault::Build("something else".to_owned()));
    let other = student.launch("lab-2").await;
    app.settle(&student, &other, "error").await;
    assert_eq!(student.row(&other).await.said(".resource-row__why"), FAILED);
    for id in [id, other] {
        student.press("delete", &id).await.leads_to("/instances");
        app.settle(&student, &id, "gone").await;
    }
    assert_eq!(app.machines().await, 0);
}

#[actix_web::test]
async fn a_lost_answer_makes_no_second_machine() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.script(Fault::AnswerLost);
    let id = student.launch("lab-1").await;
    until("the try to be written down", async || {
        (app.database.count("operations WHERE error IS NOT NULL") == 1).then_some(())
    })
    .await;
    assert_eq!(student.status(&id).await, "building");
    assert!(student.row(&id).await.said(".resource-row__why").contains("클라우드가 대답하지 않아요."));
    app.settle(&student, &id, "active").await;
    assert_eq!(app.machines().await, 1);
    assert_eq!(app.database.text("attempts", "operations WHERE action = 'create'"), "2");
    assert_eq!(app.cloud.heal(), 0, "the fault was hit");
}

#[actix_web::test]
async fn an_action_that_the_cloud_refuses_leaves_things_as_they_are() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    app.script(Fault::Action(CloudError::Rejected("not today".to_owned())));
    student.press("stop", &id).await;
    let row = until("the refusal to be told", async || {
        let row = student.row(&id).await;
        row.has(".resource-row__why").then_some(row)
    })
    .await;
    assert_eq!(row.said(".resource-row__why"), "시킨 일을 하지 못했어요. 다시 눌러 주세요.");
    app.compare().await.unwrap();
    assert_eq!(student.status(&id).await, "active");
    assert!(student.row(&id).await.has(".resource-row__why"), "it stays told");
    student.press("stop", &id).await;
    app.settle(&student, &id, "stopped").await;
    assert!(!student.row(&id).await.has(".resource-row__why"), "and is forgotten when it is overtaken");
}

#[actix_web::test]
async fn an_action_in_conflict_is_tried_again() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    app.script(Fault::Action(CloudError::Conflict("task_state image_snapshot".to_owned())));
    student.press("reboot", &id).await;
    until("the conflict", async || {
        (app.database.count("operations WHERE error LIKE '%image_snapshot%'") == 1).then_some(())
    })
    .await;
    assert_eq!(student.status(&id).await, "rebooting");
    app.settle(&student, &id, "active").await;
    assert_eq!(app.database.text("state", "operations WHERE action = 'reboot'"), "done");
}

#[actix_web::test]
async fn a_cloud_that_is_silent_makes_rows_unknown_and_never_stopped() {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    let running = app.running(&student, "runs").await;
    let stopped = app.running(&student, "stopped").await;
    student.press("stop", &stopped).await;
    app.settle(&student, &stopped, "stopped").await;
    app.script(Fault::Down(down()));
    assert!(app.compare().await.is_err());
    assert_eq!(student.status(&running).await, "active", "once is not yet told");
    app.database.sql("UPDATE cloud_services SET failing_since = failing_since - INTERVAL 6 SECOND");
    for (id, last) in [(&running, "실행 중"), (&stopped, "꺼짐")] {
        let row = student.row(id).await;
        assert_eq!(student.status(id).await, "unknown");
        let why = row.said(".resource-row__why");
        assert!(why.contains("부터 확인되지 않아요") && why.ends_with(&format!("마지막으로 본 상태: {last}")), "{why}");
        let page = student.get(&format!("/instances/{id}")).await.is(200);
        assert!(page.said("#problem").contains("꺼졌다는 뜻은 아니에요"));
    }
    assert!(student.get("/dashboard").await.is(200).main().contains("부터 응답이 없어요."));
    let admin = app.admin().await;
    let page = admin.get("/admin/cloud").await.is(200);
    assert!(page.main().contains("대답하지 않아요.") && page.main().contains("the practice cloud is off"));
    assert!(admin.get("/health").await.is(200).body().contains("degraded"));
    admin.get("/health/ready").await.is(200);
    assert_eq!(app.database.texts("status", "instances ORDER BY id"), ["active", "stopped"]);
    // It recovers by itself.
    app.work_and_sync();
    app.cloud.heal();
    until("the rows to be known again", async || {
        (student.status(&running).await == "active" && student.status(&stopped).await == "stopped").then_some(())
    })
    .await;
    assert!(student.get("/health").await.body().contains("ok"));
}

#[actix_web::test]
async fn what_is_asked_for_while_the_cloud_is_away_is_done_when_it_is_back() {
    let app = TestApp::new().await;
    let student = app.student().await;
    app.script(Fault::Down(down()));
    let id = student.launch("lab-1").await;
    until("a try to fail", async || (app.database.count("operations WHERE error IS NOT NULL") == 1).then_some(()))
        .await;
    assert_eq!(student.status(&id).await, "building");
    app.cloud.heal();
    app.settle(&student, &id, "active").await;
    assert_eq!(app.machines().await, 1);
}

#[actix_web::test]
async fn a_machine_that_was_lost_behind_our_back_is_told() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    app.cloud.lose(app.machine_of(&id)).await.unwrap();
    app.settle(&student, &id, "error").await;
    let why = student.row(&id).await.said(".resource-row__why");
    assert_eq!(why, "클라우드에서 사라졌어요. 누군가 밖에서 지웠을 수 있어요.");
    assert_eq!(student.offers(&id).await, ["delete"]);
    student.press("delete", &id).await.leads_to("/instances");
    app.settle(&student, &id, "gone").await;
}

#[actix_web::test]
async fn what_changed_outside_of_the_portal_is_taken_over() {
    let app = TestApp::with(|setup| setup.build = std::time::Duration::from_secs(2)).await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    app.cloud.stop(app.machine_of(&id)).await.unwrap();
    app.settle(&student, &id, "stopped").await;
    app.cloud.delete(app.machine_of(&id)).await.unwrap();
    // The deletion is seen under way more than once.
    for _ in 0..3 {
        app.compare().await.unwrap();
        assert_eq!(student.status(&id).await, "deleting");
        assert!(student.row(&id).await.said(".resource-row__why").contains("포털 밖에서 지워지고 있어요."));
    }
    app.settle(&student, &id, "error").await;
    assert!(student.row(&id).await.said(".resource-row__why").contains("클라우드에서 사라졌어요."));
}

#[actix_web::test]
async fn machines_that_are_nobody_s_are_listed_and_not_deleted() {
    let app = TestApp::new().await;
    let (student, admin) = (app.student().await, app.admin().await);
    let id = app.running(&student, "lab-1").await;
    let order = |instance: InstanceId, portal, name: &str| LaunchOrder {
        owner: OwnerTag { portal, instance, account: AccountId::new() },
        name: name.to_owned(),
        image: "Ubuntu 22.04".to_owned(),
        flavor: "m1.nano".to_owned(),
        network: String::new(),
        security_groups: Vec::new(),
        key_pair: None,
        user_data: None,
    };
    let portal = app.portal.app.shared.portal;
    let account = app.cloud.machines().await.unwrap()[0].owner.unwrap().account;
    app.cloud.launch(&order(InstanceId::new(), portal, "<script>alert(1)</script>")).await.unwrap();
    let mut twin = order(id.parse().unwrap(), portal, "a-twin");
    twin.owner.account = account;
    app.cloud.launch(&twin).await.unwrap();
    app.cloud.launch(&order(InstanceId::new(), uuid::Uuid::new_v4(), "of-another-portal")).await.unwrap();
    let summary = app.compare().await.unwrap();
    assert_eq!((summary.seen, summary.strays), (4, 2));
    let page = admin.get("/admin/cloud").await.is(200);
    let strays: Vec<String> = page.texts("section[aria-labelledby=strays] tbody tr");
    assert_eq!(strays.len(), 2, "{strays:?}");
    assert!(
        strays.iter().any(|row| row.contains("<script>alert(1)</script>") && row.contains("포털에 기록이 없어요."))
    );
    assert!(strays.iter().any(|row| row.contains("a-twin") && row.contains("같은 기록에 미니 PC가 둘이에요.")));
    assert!(!page.main().contains("of-another-portal"), "another portal's machines are not ours");
    app.compare().await.unwrap();
    assert_eq!(app.machines().await, 4, "none was deleted");
    assert_eq!(student.ids().await, [id]);
}

#[actix_web::test]
async fn ten_people_rent_at_once() {
    let app = TestApp::new().await;
    let mut people = Vec::new();
    for _ in 0..10 {
        people.push(app.student().await);
    }
    let answers = futures::future::join_all(people.iter().map(|person| person.rent("lab-1"))).await;
    answers.iter().for_each(|answer| answer.leads_to("/instances"));
    let mut addresses = BTreeSet::new();
    for person in &people {
        let id = person.id_of("lab-1").await;
        app.settle(person, &id, "active").await;
        addresses.insert(person.row(&id).await.said(".inline-copy code"));
    }
    assert_eq!((addresses.len(), app.machines().await), (10, 10));
}

#[actix_web::test]
async fn another_worker_goes_on_where_one_died() {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    // It dies while it waits for the cloud's answer.
    app.script(Fault::Hang);
    let id = student.launch("lab-1").await;
    until("the order to be taken", async || {
        (app.database.count("operations WHERE state = 'running'") == 1).then_some(())
    })
    .await;
    app.stop_working();
    app.cloud.heal();
    assert_eq!(app.database.text("state", "operations"), "running", "nothing was handed back");
    app.work();
    app.settle(&student, &id, "active").await;
    assert_eq!(app.machines().await, 1);
    assert_eq!(app.database.text("attempts", "operations"), "2");
}

#[actix_web::test]
async fn a_worker_that_died_before_it_wrote_the_machine_s_id_is_made_up_for() {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    app.stop_working();
    // As if it had died between the cloud's answer and its own write.
    app.database.sql(&format!(
        "UPDATE instances SET nova_id = NULL, status = 'building', ip_address = NULL, version = version + 1 WHERE {}",
        is_id(&id)
    ));
    app.database.sql(
        "UPDATE operations SET state = 'running', leased_by = 'dead', leased_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND",
    );
    app.compare().await.unwrap();
    assert_eq!(student.status(&id).await, "building", "the sync leaves those alone that are being created");
    app.work();
    app.settle(&student, &id, "active").await;
    assert_eq!(app.machines().await, 1, "the machine that was there is taken over");
}

#[actix_web::test]
async fn two_processes_carry_out_each_request_once() {
    let app = TestApp::new().await;
    let other = app.second_portal();
    let mut people = Vec::new();
    for _ in 0..6 {
        let person = app.student().await;
        let there = person.moved_to(&other.base);
        assert!(there.is_signed_in().await, "both processes know the session");
        people.push((person, there));
    }
    let orders = people.iter().map(|(here, there)| async move {
        let (one, two) = futures::future::join(here.rent("here"), there.rent("there")).await;
        one.leads_to("/instances");
        two.leads_to("/instances");
    });
    futures::future::join_all(orders).await;
    for (person, there) in &people {
        for name in ["here", "there"] {
            let id = person.id_of(name).await;
            app.settle(person, &id, "active").await;
            assert_eq!(there.status(&id).await, "active");
        }
    }
    assert_eq!(app.machines().await, 12);
    assert_eq!(app.database.count("operations WHERE attempts <> 1"), 0);
    assert_eq!(app.database.count("instance_events WHERE kind = 'launched'"), 12);
}

#[actix_web::test]
async fn a_process_alone_does_what_the_other_left() {
    let mut app = TestApp::new().await;
    let other = app.second_portal();
    let student = app.student().await;
    app.script(Fault::Hang);
    let id = student.launch("lab-1").await;
    until("the order to be taken", async || {
        (app.database.count("operations WHERE state = 'running'") == 1).then_some(())
    })
    .await;
    drop(other);
    app.stop_working();
    app.cloud.heal();
    let third = app.second_portal();
    let there = student.moved_to(&third.base);
    app.settle(&there, &id, "active").await;
    assert_eq!(app.machines().await, 1);
}

#[actix_web::test]
async fn a_search_and_the_filters_narrow_the_list() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let runs = app.running(&student, "web server").await;
    let off = app.running(&student, "db_1").await;
    student.press("stop", &off).await;
    app.settle(&student, &off, "stopped").await;
    app.compare().await.unwrap();
    let ids = async |query: &str| {
        let list = student.get(&format!("/instances?{query}")).await.is(200);
        list.attributes("tr.resource-row", "id")
            .iter()
            .map(|id| id.trim_start_matches("instance-").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("filter=running").await, std::slice::from_ref(&runs));
    assert_eq!(ids("filter=stopped").await, std::slice::from_ref(&off));
    assert_eq!(ids("filter=needs_look").await, Vec::<String>::new());
    assert_eq!(ids("search=WEB").await, std::slice::from_ref(&runs));
    assert_eq!(ids("search=_").await, std::slice::from_ref(&off), "an underscore is an underscore");
    assert_eq!(ids("search=%25").await, Vec::<String>::new(), "a percent sign is a percent sign");
    assert_eq!(ids("search=%5C").await, Vec::<String>::new());
    let address = student.row(&runs).await.said(".inline-copy code");
    assert_eq!(ids(&format!("search={address}")).await, [runs]);
    let none = student.get("/instances?search=%3Cb%3E%27%22").await.is(200);
    assert_eq!(none.value_of("search"), "<b>'\"");
    student.get("/instances?page=99999999999999&filter=zzz").await.is(200);
}

#[actix_web::test]
async fn a_long_list_has_pages() {
    let app = TestApp::with(|setup| setup.worker = false).await;
    let student = app.student().await;
    app.allow(&student, 100);
    let template = app.template("Nano");
    for number in 0..31 {
        let order = [("name", format!("lab-{number}")), ("template_id", template.clone())];
        student
            .post(
                "/instances",
                &[
                    ("name", &order[0].1),
                    ("template_id", &order[1].1),
                    ("ssh_key", if number == 0 { "new" } else { "" }),
                ],
            )
            .await
            .leads_to("/instances");
    }
    let first = student.get("/instances").await.is(200);
    assert_eq!(first.attributes("tr.resource-row", "id").len(), 30);
    let older = first.attribute("a[rel=next]", "href").expect("a way to the older ones");
    let second = student.get(&older).await.is(200);
    assert_eq!(second.attributes("tr.resource-row", "id").len(), 1);
    assert!(second.has("a[rel=prev]"));
}

// Keys.

#[actix_web::test]
async fn a_made_private_key_can_be_downloaded_once_and_is_kept_nowhere() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let id = student.launch("lab-1").await;
    let list = student.get("/instances").await.is(200);
    assert!(list.has("#secret form[action='/keys/pick-up']"), "the list offers it");
    assert!(student.get(&format!("/instances/{id}")).await.has("#secret form[action='/keys/pick-up']"));
    let (_, sealed) = student.waiting_key().expect("it waits in the browser");
    assert!(!sealed.contains("PRIVATE") && !sealed.contains("b3BlbnNza"), "it is sealed");
    let download = student.post("/keys/pick-up", &[]).await.is(200);
    let disposition = download.header("content-disposition");
    assert!(
        disposition.starts_with("attachment; filename=\"fast-cloud-") && disposition.ends_with(".pem\""),
        "{disposition}"
    );
    assert_eq!(download.header("cache-control"), "no-store");
    let private = PrivateKey::from_openssh(download.body()).unwrap();
    let public = private.public_key().to_openssh().unwrap();
    assert_eq!(app.database.text("public_key", "ssh_keys"), public);
    assert!(app.database.text("spec", "instances").contains(&public), "the mini PC has the same key");
    assert_eq!(student.waiting_key(), None, "it is gone from the browser");
    student.post("/keys/pick-up", &[]).await.is(404);
    assert!(!student.get("/instances").await.has("#secret"));
    app.settle(&student, &id, "active").await;
    let page = student.get(&format!("/instances/{id}")).await.is(200);
    let file = disposition.split('"').nth(1).unwrap();
    assert!(page.said(".copy__text").contains(&format!("~/Downloads/{file} ")), "the command names the file");
    assert!(app.database.holds(public.as_bytes()));
    assert!(!app.database.holds(b"PRIVATE KEY"));
    let body: String = download.body().lines().filter(|line| !line.starts_with('-')).collect();
    assert!(!app.database.holds(&body.as_bytes()[..60]));
    let seed = private.key_data().ed25519().unwrap().private.to_bytes();
    assert!(!app.database.holds(&seed));
}

#[actix_web::test]
async fn a_private_key_is_not_for_another_account() {
    let app = TestApp::new().await;
    let (student, other) = (app.student().await, app.student().await);
    student.launch("lab-1").await;
    let (name, sealed) = student.waiting_key().unwrap();
    other.set_cookie(&name, &sealed);
    assert!(!other.get("/instances").await.has("#secret"));
    other.post("/keys/pick-up", &[]).await.is(404);
    let anon = app.anon();
    anon.set_cookie(&name, &sealed);
    anon.post("/keys/pick-up", &[]).await.leads_to("/login");
    student.set_cookie(&name, &format!("{}AAAA", &sealed[..sealed.len() - 4]));
    student.post("/keys/pick-up", &[]).await.is(404);
}

#[actix_web::test]
async fn the_second_mini_pc_uses_the_same_key() {
    let app = TestApp::with(|setup| setup.worker = false).await;
    let student = app.student().await;
    student.launch("lab-1").await;
    student.post("/keys/pick-up", &[]).await.is(200);
    student.launch("lab-2").await;
    assert_eq!(student.waiting_key(), None);
    assert_eq!(app.database.count("ssh_keys"), 1);
    let template = app.template("Nano");
    let order = [("name", "lab-3"), ("template_id", template.as_str()), ("ssh_key", "new")];
    student.post("/instances", &order).await.leads_to("/instances");
    assert_eq!(app.database.count("ssh_keys"), 2, "unless another is wanted");
}

#[actix_web::test]
async fn keys_are_added_made_and_deleted() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let made = student.post("/keys/generate", &[("key_name", "내 노트북")]).await.is(200);
    let private = PrivateKey::from_openssh(made.body()).unwrap();
    assert!(!app.database.holds(b"PRIVATE KEY"));
    let page = student.get("/profile").await.is(200);
    let fingerprint = private.public_key().fingerprint(ssh_key::HashAlg::Sha256).to_string();
    assert!(page.said(".key-row").contains("내 노트북") && page.said(".key-row").contains(&fingerprint));
    let form = page.attribute(".key-row form", "action").unwrap();
    student.post(&form, &[]).await.leads_to("/profile");
    assert!(!student.get("/profile").await.has(".key-row"));

    let line = format!("{} kim@laptop", private.public_key().to_openssh().unwrap());
    let add = async |name: &str, key: &str| student.post("/keys", &[("key_name", name), ("public_key", key)]).await;
    add("laptop", &line).await.leads_to("/profile");
    assert!(student.get("/profile").await.said(".key-row").contains(&fingerprint));
    for (name, key, field, error) in [
        ("again", line.as_str(), "public_key", "이미 등록한 키예요."),
        ("", &line, "key_name", "키 이름을 적어 주세요."),
        ("k", "", "public_key", "공개 키를 붙여 넣어 주세요."),
        ("k", "hello", "public_key", "공개 키가 아니에요. ssh-ed25519로 시작하는 한 줄을 그대로 붙여 넣어 주세요."),
        (
            "k",
            &made.body(),
            "public_key",
            "이건 개인 키예요. 아무에게도 주지 말고, .pub 파일의 내용을 붙여 넣어 주세요.",
        ),
        ("<b>", &line, "key_name", "키 이름에 쓸 수 없는 글자가 있어요."),
    ] {
        let page = add(name, key).await.is(422);
        assert_eq!(
            (page.fields_with_errors(), page.error_of(field)),
            (vec![field.to_owned()], error.to_owned()),
            "{name:?}"
        );
    }
    assert!(!app.database.holds(b"PRIVATE KEY"));
    for number in 2..=10 {
        student.post("/keys/generate", &[("key_name", &format!("key {number}"))]).await.is(200);
    }
    let page = student.post("/keys/generate", &[]).await.is(422);
    assert_eq!(page.error_of("public_key"), "키는 10개까지 등록할 수 있어요. 안 쓰는 키를 지워 주세요.");
    assert_eq!(app.database.count("ssh_keys"), 10);
}

#[actix_web::test]
async fn a_private_key_that_was_pasted_by_mistake_is_not_sent_back() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let private = student.post("/keys/generate", &[]).await.is(200).body();
    let page = student.post("/keys", &[("key_name", "k"), ("public_key", &private)]).await.is(422);
    assert!(!page.body().contains("PRIVATE KEY"));
}

#[actix_web::test]
async fn a_key_of_one_s_own_is_used_without_a_download() {
    let app = TestApp::new().await;
    let student = app.student().await;
    let key = PrivateKey::random(&mut ssh_key::rand_core::OsRng, ssh_key::Algorithm::Ed25519).unwrap();
    let line = key.public_key().to_openssh().unwrap();
    student.post("/keys", &[("key_name", "laptop"), ("public_key", &line)]).await.leads_to("/profile");
    let id = app.running(&student, "lab-1").await;
    assert_eq!(student.waiting_key(), None);
    let page = student.get(&format!("/instances/{id}")).await.is(200);
    assert!(page.said(".copy__text").starts_with("ssh ubuntu@"), "{}", page.said(".copy__text"));
    assert!(page.main().contains("등록해 둔 내 키를 써요"));
}

// Templates.

#[actix_web::test]
async fn an_admin_edits_what_can_be_rented() {
    let app = TestApp::with(|setup| setup.worker = false).await;
    let (admin, student) = (app.admin().await, app.student().await);
    let names = async || student.get("/instances/new").await.is(200).texts(".template-card__name");
    assert_eq!(names().await, ["Nano", "Standard", "Pro"]);
    let nano = app.template("Nano");
    let form = admin.get(&format!("/admin/templates/{nano}/edit")).await.is(200);
    assert_eq!(form.value_of("name"), "Nano");
    let fields = |name: &'static str, flavor: &'static str, enabled: bool| {
        let mut fields = vec![
            ("name", name),
            ("purpose_ko", "실습"),
            ("purpose_en", "Lab"),
            ("image", "Ubuntu 22.04"),
            ("flavor", flavor),
            ("security_groups", "default"),
            ("ssh_user", "ubuntu"),
            ("user_data", "#cloud-config\n"),
            ("position", "1"),
        ];
        if enabled {
            fields.push(("enabled", "true"));
        }
        fields
    };
    let id = student.launch("before").await;
    admin
        .post(&format!("/admin/templates/{nano}"), &fields("Micro", "m1.small", true))
        .await
        .leads_to("/admin/templates");
    assert!(admin.get("/admin/templates").await.said("#toasts").contains("Micro 종류를 저장했어요."));
    assert_eq!(names().await, ["Micro", "Standard", "Pro"]);
    let card = student.get("/instances/new").await.said(".template-card");
    assert!(card.contains("2 vCPU") && card.contains("3 GB"), "sizes are the flavor's: {card}");
    assert!(student.row(&id).await.body().contains("Nano"), "what was rented stays what it was");
    admin
        .post(&format!("/admin/templates/{nano}"), &fields("Micro", "m1.small", false))
        .await
        .leads_to("/admin/templates");
    assert_eq!(names().await, ["Standard", "Pro"]);
    let refused = student.post("/instances", &[("name", "x"), ("template_id", &nano)]).await.is(422);
    assert_eq!(refused.fields_with_errors(), ["template_id"]);
    admin.post("/admin/templates", &fields("Big", "m1.large", true)).await.leads_to("/admin/templates");
    assert_eq!(names().await, ["Big", "Standard", "Pro"]);
    admin.post(&format!("/admin/templates/{nano}/delete"), &[]).await.leads_to("/admin/templates");
    admin.get(&format!("/admin/templates/{nano}/edit")).await.is(404);
    assert_eq!(student.status(&id).await, "building", "a mini PC outlives its template");
}

#[actix_web::test]
async fn what_is_wrong_with_a_template_stands_at_its_field() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let good = [
        ("name", "Big"),
        ("image", "Ubuntu 22.04"),
        ("flavor", "m1.large"),
        ("security_groups", "default"),
        ("ssh_user", "ubuntu"),
        ("position", "1"),
    ];
    let before = app.database.dump();
    for (field, value, error) in [
        ("name", "", "종류의 이름을 적어 주세요."),
        ("name", &"a".repeat(64), "63자까지 쓸 수 있어요."),
        ("name", "<b>", "쓸 수 없는 글자가 있어요."),
        ("image", "", "이미지를 골라 주세요."),
        ("flavor", "", "크기(flavor)를 골라 주세요."),
        ("flavor", "m1.none", "클라우드에 없는 크기(flavor)예요."),
        ("ssh_user", "Root!", "사용자 이름은 영어 소문자로 시작하고 소문자, 숫자, _, -만 쓸 수 있어요."),
        ("user_data", &"x".repeat(16_001), "시작 스크립트는 16000바이트까지 쓸 수 있고, 글자로만 되어 있어야 해요."),
        ("position", "-1", "순서는 0 이상의 숫자로 적어 주세요."),
    ] {
        let mut form: Vec<(&str, &str)> = good.iter().filter(|(name, _)| *name != field).copied().collect();
        form.push((field, value));
        let page = admin.post("/admin/templates", &form).await.is(422);
        assert_eq!(
            (page.fields_with_errors(), page.error_of(field)),
            (vec![field.to_owned()], error.to_owned()),
            "{value:?}"
        );
    }
    assert_eq!(app.database.dump(), before);
}

#[actix_web::test]
async fn what_the_cloud_lacks_can_t_be_rented_and_the_admin_sees_why() {
    let app = TestApp::new().await;
    let (admin, student) = (app.admin().await, app.student().await);
    app.database.sql("UPDATE instance_templates SET image = 'Windows 95' WHERE name = 'Nano'");
    let nano = app.template("Nano");
    let list = admin.get("/admin/templates").await.is(200);
    assert!(list.said(&format!("#template-{nano}")).contains("클라우드에 이미지가 없어요."));
    let page = student.get("/instances/new").await.is(200);
    assert!(page.has(&format!("input[value='{nano}'][disabled]")));
    let refused = student.post("/instances", &[("name", "x"), ("template_id", &nano)]).await.is(422);
    assert_eq!(refused.error_of("template_id"), "고른 종류는 지금 빌릴 수 없어요. 다른 종류를 골라 주세요.");
}

#[actix_web::test]
async fn an_address_from_outside_comes_and_is_given_back() {
    let app = TestApp::new().await;
    app.database.sql("UPDATE instance_templates SET floating_network = 'practice-external'");
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    let address = until("an address", async || {
        app.hurry();
        app.cloud.machines().await.unwrap()[0].floating_address
    })
    .await;
    until("it to be shown", async || student.row(&id).await.body().contains(&address.to_string()).then_some(())).await;
    assert!(student.get(&format!("/instances/{id}")).await.said(".copy__text").ends_with(&format!("ubuntu@{address}")));
    student.press("delete", &id).await;
    app.settle(&student, &id, "gone").await;
}

#[actix_web::test]
async fn the_practice_cloud_is_called_one_on_every_page() {
    let app = TestApp::new().await;
    let student = app.student().await;
    for path in ["/dashboard", "/instances", "/instances/new", "/profile"] {
        let banner = |answer: &Answer| answer.text(".banner").unwrap_or_default();
        assert!(banner(&student.get(path).await).contains("연습용 클라우드"), "{path}");
    }
    assert!(app.anon().log_in(&student.login_id, PASSWORD).await.status == 303);
}
