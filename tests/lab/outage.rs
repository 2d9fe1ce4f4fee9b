//! The cloud is away, or out of its mind: pages answer from the database, say how old they are, and call nothing
//! stopped that only can't be seen.

use std::time::{Duration, Instant};

use crate::support::{Detail, Fault, Home, Lab, Person, Proxy, SCALE, Setup, UNKNOWN_SINCE, Watch, run, until};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn an_outage_is_told_and_outlived() {
    run(outages).await;
}

async fn outages(lab: &Lab) {
    let mut watch = Watch::start();
    let home = Home::new();
    let proxy = Proxy::start(lab, SCALE).await;
    let portal = Setup::new(&proxy.clouds_yaml(lab, SCALE, &home), SCALE)
        .quota(10)
        .set("FASTCLOUD_OPENSTACK__REQUEST_SECONDS", "3")
        .set("FASTCLOUD_OPENSTACK__CONNECT_SECONDS", "2")
        .set("FASTCLOUD_SYNC__INTERVAL_SECONDS", "3")
        .start(&home)
        .await;
    let admin = portal.admin().await;
    let person = portal.person("storm").await;
    let template = person.template("Nano").await;
    let on = person.rent(&lab.name("on"), &template).await;
    let off = person.rent(&lab.name("off"), &template).await;
    person.reaches(&on, "active", 60).await;
    person.reaches(&off, "active", 60).await;
    person.press(&off, "stop").await;
    person.reaches(&off, "stopped", 60).await;
    watch.lap("one on, one off");

    for fault in [Fault::Refuse, Fault::Hang, Fault::Status500, Fault::Html, Fault::Big] {
        proxy.break_it(fault);
        for id in [&on, &off] {
            let detail = until("told as unknown", 40, async || {
                let detail = quickly(&person, id).await;
                if detail.status == "unknown" { Ok(detail) } else { Err(format!("{} {}", detail.status, detail.text)) }
            })
            .await;
            assert!(detail.text.contains(UNKNOWN_SINCE), "{}", detail.text);
            assert!(detail.age.contains("기준"), "its age: {:?}", detail.age);
        }
        let rows = person.rows().await;
        assert!(rows.iter().all(|row| row.status != "stopped" && row.why.contains(UNKNOWN_SINCE)), "{rows:?}");
        for path in ["/dashboard", "/instances/new", "/profile"] {
            let began = Instant::now();
            assert_eq!(person.get(path).await.status, 200, "{path}");
            assert!(began.elapsed() < HANGS, "{path} hangs");
        }
        let page = admin.get("/admin/cloud").await.text();
        assert!(page.contains("부터 응답이 없어요"), "the admin is told: {page}");

        // What is asked for now is kept. Twice is enough: a second try waits long, lest it doubles the first.
        let ordered =
            if [Fault::Hang, Fault::Html].contains(&fault) { Some(order(lab, &person, fault).await) } else { None };
        proxy.break_it(Fault::None);
        person.reaches(&on, "active", 90).await;
        person.reaches(&off, "stopped", 90).await;
        if let Some((id, name)) = ordered {
            person.reaches(&id, "active", 90).await;
            let servers = lab.servers(&lab.scale).await;
            assert_eq!(servers.iter().filter(|server| server.name == name).count(), 1, "made once");
            person.press(&id, "delete").await;
            person.gone(&id, 60).await;
        }
        watch.lap(&format!("{fault:?}: told and outlived"));
    }

    proxy.break_it(Fault::OddStatus);
    let (odd, _) = person.reaches(&on, "unknown", 30).await;
    assert!(odd.text.contains("클라우드가 포털이 모르는 상태를 알려 왔어요"), "{}", odd.text);
    assert!(odd.text.contains("FROZZEN"), "the cloud's own word: {}", odd.text);
    assert_eq!(person.show(&off).await.status, "stopped", "the others are seen as they are");
    proxy.break_it(Fault::None);
    person.reaches(&on, "active", 30).await;
    watch.lap("a status never seen: told, gone again");
    assert_eq!(lab.servers(&lab.scale).await.len(), 2);
    assert_eq!(lab.keys_left(&lab.scale).await, [] as [String; 0]);
}

/// Rents while the cloud is away; returns the row's id and name.
async fn order(lab: &Lab, person: &Person, fault: Fault) -> (String, String) {
    let name = lab.name(&format!("during-{fault:?}").to_lowercase());
    let began = Instant::now();
    let id = person.rent(&name, &person.template("Nano").await).await;
    assert!(began.elapsed() < HANGS, "renting hangs");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(quickly(person, &id).await.status, "building", "kept while the cloud is away");
    (id, name)
}

/// More than this is a page that waits for the cloud.
const HANGS: Duration = Duration::from_secs(5);

async fn quickly(person: &Person, id: &str) -> Detail {
    let began = Instant::now();
    let detail = person.show(id).await;
    assert!(began.elapsed() < HANGS, "the page hangs");
    detail
}
