//! What does not fit: by Nova's quota, and on Nova's hosts.

use crate::support::{FAILED, Home, Lab, OVER_QUOTA, STUDENTS, Setup, Watch, run, until};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn what_does_not_fit_is_said() {
    run(async |lab: &Lab| {
        // Others may have machines in this project: none more than there are now, and one.
        let now = i64::try_from(lab.students.servers().await.len()).unwrap();
        let before = lab.students.set_instances_quota(now + 1).await;
        let result = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(refusals(lab))).await;
        lab.students.set_instances_quota(before).await;
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    })
    .await;
}

async fn refusals(lab: &Lab) {
    let mut watch = Watch::start();
    let home = Home::new();
    let portal = Setup::new(&lab.clouds_yaml(), STUDENTS).quota(3).start(&home).await;
    let student = portal.person("river").await;
    let (small, huge) = (student.template("Nano").await, student.template("Pro").await);
    watch.lap("portal up");

    // Past the quota, refused by the scheduler: an ERROR server with a fault. It counts in Nova's quota.
    let id = student.rent(&lab.name("huge"), &huge).await;
    let (detail, way) = student.reaches(&id, "error", 60).await;
    assert_eq!(way.first().map(String::as_str), Some("building"));
    assert!(detail.text.contains(FAILED), "{}", detail.text);
    // Nova writes down the state first and why a moment later.
    until("explained", 30, async || match student.show(&id).await.text {
        text if text.contains("No valid host was found") => Ok(()),
        text => Err(text),
    })
    .await;
    assert_eq!(lab.students.server(&detail.cloud_id).await.unwrap().status, "ERROR");
    watch.lap("a machine that fits nowhere: error");

    let over = student.rent(&lab.name("over"), &small).await;
    let (detail, _) = student.reaches(&over, "error", 60).await;
    assert!(detail.text.contains(OVER_QUOTA), "{}", detail.text);
    assert!(detail.text.contains("Quota exceeded"), "the cloud's own words: {}", detail.text);
    let row = student.rows().await.into_iter().find(|row| row.id == over).unwrap();
    assert_eq!(row.why, OVER_QUOTA);
    assert_eq!(lab.keys_left(&lab.students).await, [] as [String; 0], "nothing stays of a refused order");
    watch.lap("Nova's quota: error");

    // The portal's own: a broken machine counts until it is deleted, an order that came to nothing does not.
    for name in ["second", "third"] {
        let page = student.ask(&lab.name(name), &small).await;
        assert_eq!(page.status, 303, "{}", page.text());
    }
    let page = student.ask(&lab.name("fourth"), &small).await;
    assert_eq!(page.status, 422);
    assert!(page.text().contains(OVER_QUOTA), "{}", page.text());
    assert_eq!(student.rows().await.len(), 4, "nothing is written for what is refused");

    for row in student.rows().await {
        student.press(&row.id, "delete").await;
    }
    until("empty", 60, async || match student.rows().await {
        rows if rows.is_empty() => Ok(()),
        rows => Err(format!("{rows:?}")),
    })
    .await;
    assert_eq!(lab.servers(&lab.students).await.len(), 0);
    watch.lap("all four deleted");
}
