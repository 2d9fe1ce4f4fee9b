//! Stop, start, restart, delete; and what others do behind the portal's back.

use serde_json::json;

use crate::support::{Home, Lab, Person, STUDENTS, Setup, Watch, run, until};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn a_machine_lives_and_others_meddle() {
    run(life).await;
}

/// Waits for a settled status after a press, and says which labels and statuses were seen on the way.
async fn after(person: &Person, id: &str, verb: &str, wanted: &str) -> Vec<String> {
    person.press(id, verb).await;
    let at_once = person.show(id).await;
    let mut way = vec![at_once.status.clone()];
    // The status of a machine on its way is the one that it comes from: settled is when the next thing can be pressed.
    let next = if wanted == "stopped" { "start" } else { "stop" };
    until(wanted, 180, async || {
        let page = person.get(&format!("/instances/{id}")).await;
        let detail = person.show(id).await;
        if way.last() != Some(&detail.status) {
            way.push(detail.status.clone());
        }
        let settled = page.body.contains(&format!("action=\"/instances/{id}/{next}\""));
        if detail.status == wanted && settled { Ok(()) } else { Err(detail.text) }
    })
    .await;
    way
}

async fn life(lab: &Lab) {
    let mut watch = Watch::start();
    let home = Home::new();
    let portal = Setup::new(&lab.clouds_yaml(), STUDENTS).start(&home).await;
    let admin = portal.admin().await;
    let student = portal.person("hill").await;
    let nano = student.template("Nano").await;
    let id = student.rent(&lab.name("life"), &nano).await;
    let key = student.pick_up_key().await;
    let second = student.rent(&lab.name("taken"), &nano).await;
    let (detail, _) = student.reaches(&id, "active", 120).await;
    let server = async || lab.students.server(&detail.cloud_id).await.unwrap();
    watch.lap("active");

    println!("    stop: {:?}", after(&student, &id, "stop", "stopped").await);
    assert_eq!(server().await.status, "SHUTOFF");
    println!("    start: {:?}", after(&student, &id, "start", "active").await);
    assert_eq!(server().await.status, "ACTIVE");
    watch.lap("stopped and started");
    // A soft restart is the guest's to carry out: one that is still booting is given two minutes by Nova.
    lab.ssh(lab.var("LAB_DHCP_NS"), &key, &detail.ip, "true").await;
    watch.lap("ssh");
    let way = after(&student, &id, "reboot", "active").await;
    assert_eq!(way, ["rebooting", "active"]);
    watch.lap("restarted");
    let page = student.post(&format!("/instances/{id}/start"), &[]).await;
    assert_eq!(page.status, 409, "starting what runs");

    lab.students.action(&detail.cloud_id, "os-stop").await;
    let (seen, way) = student.reaches(&id, "stopped", 60).await;
    assert!(seen.text.contains("켜면 다시 들어갈 수 있어요"), "{way:?} {}", seen.text);
    watch.lap("stopped behind our back, seen");

    let (taken, _) = student.reaches(&second, "active", 60).await;
    lab.students.delete_server(&taken.cloud_id).await;
    let (lost, way) = student.reaches(&second, "error", 60).await;
    assert!(lost.text.contains("클라우드에서 사라졌어요"), "{way:?} {}", lost.text);
    watch.lap("deleted behind our back, seen");

    strays(lab, &admin, &server().await).await;
    watch.lap("two strays reported");

    student.press(&second, "delete").await;
    student.press(&id, "delete").await;
    let page = student.find(&id).await;
    assert!(page.is_none_or(|detail| detail.status == "deleting"));
    student.gone(&id, 60).await;
    student.gone(&second, 60).await;
    assert!(lab.students.server(&detail.cloud_id).await.is_none());
    watch.lap("both deleted");
}

/// Two that carry this portal's mark and fit no row, and one of another portal, which is none of its business.
async fn strays(lab: &Lab, admin: &Person, known: &crate::support::Server) {
    let portal = known.portal.clone().unwrap();
    let parts = [lab.var("LAB_IMAGE_ID"), "tiny", lab.var("LAB_NET_ID")];
    let make = async |name: &str, portal: &str, instance: &str, account: &str| {
        let metadata = json!({
            "fast_cloud_portal": portal, "fast_cloud_instance": instance, "fast_cloud_account": account,
        });
        lab.students.create_server(&lab.name(name), parts, metadata).await
    };
    let (nobody, row) = (uuid::Uuid::new_v4().to_string(), known.instance.clone().unwrap());
    let account = known.account.clone().unwrap();
    let rowless = make("rowless", &portal, &nobody, &account).await;
    let foreign = make("foreign", &portal, &row, &nobody).await;
    let other_portal = make("neighbour", &nobody, &nobody, &nobody).await;
    let page = until("reported", 60, async || {
        let page = admin.get("/admin/cloud").await;
        let text = page.text();
        if text.contains(&rowless) && text.contains(&foreign) { Ok(text) } else { Err(text) }
    })
    .await;
    assert!(page.contains("포털에 기록이 없어요.") && page.contains("다른 사람의 것이라고 적혀 있어요."), "{page}");
    assert!(!page.contains(&other_portal), "another portal's machine: {page}");
    // Two whole comparisons later they are still there.
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    for id in [&rowless, &foreign, &other_portal] {
        let server = lab.students.server(id).await.unwrap_or_else(|| panic!("the portal deleted {id}"));
        assert_ne!(server.status, "DELETED");
        lab.students.delete_server(id).await;
    }
}
