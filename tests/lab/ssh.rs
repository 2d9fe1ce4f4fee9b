//! Into the machine: with the key that the portal made, at its own address and at one from outside.

use crate::support::{Home, Lab, STUDENTS, Setup, Watch, run};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn a_rented_machine_lets_its_person_in() {
    run(enters).await;
}

async fn enters(lab: &Lab) {
    let mut watch = Watch::start();
    let home = Home::new();
    let portal = Setup::new(&lab.clouds_yaml(), STUDENTS).start(&home).await;
    let admin = portal.admin().await;
    let student = portal.person("skylark").await;
    watch.lap("portal up, two accounts");

    // The form of templates takes what the cloud has: that is read in the background at the start.
    let saved = crate::support::until("saved", 30, async || {
        let page = admin
            .post(
                "/admin/templates",
                &[
                    ("name", "Outside"),
                    ("image", "tiny-linux"),
                    ("flavor", "tiny"),
                    ("network", "lab-net"),
                    ("floating_network", "ext-net"),
                    ("security_groups", "ssh"),
                    ("ssh_user", "root"),
                    ("position", "9"),
                    ("enabled", "true"),
                ],
            )
            .await;
        if page.status == 303 { Ok(page) } else { Err(page.text()) }
    })
    .await;
    assert_eq!(saved.location, "/admin/templates");

    let inside = student.rent(&lab.name("inside"), &student.template("Nano").await).await;
    let key = student.pick_up_key().await;
    assert_eq!(student.post("/keys/pick-up", &[]).await.status, 404, "a private key is handed out once");
    // The key that the account has by now goes into this one.
    let outside = student.rent(&lab.name("outside"), &student.template("Outside").await).await;
    let (at_home, way) = student.reaches(&inside, "active", 120).await;
    assert!(way.iter().all(|status| ["building", "active"].contains(&status.as_str())), "{way:?}");
    assert!(at_home.ip.starts_with("10.99."), "{at_home:?}");
    watch.lap("rented two, the first is active");

    let server = lab.students.server(&at_home.cloud_id).await.unwrap();
    assert_eq!(server.instance.as_deref(), Some(inside.as_str()), "Nova's metadata has our row's id");
    assert!(server.account.is_some() && server.portal.is_some(), "{server:?}");
    assert_eq!(server.tags, [format!("fast-cloud-{inside}")]);
    assert_eq!(server.name, lab.name("inside"));

    let said = lab.ssh(lab.var("LAB_DHCP_NS"), &key, &at_home.ip, "hostname; echo entered").await;
    assert!(said.contains("entered"), "{said}");
    watch.lap("ssh from inside");
    assert!(at_home.text.contains(&format!("root@{}", at_home.ip)), "the command to copy: {}", at_home.text);

    let out = crate::support::until("reachable from outside", 60, async || {
        let detail = student.show(&outside).await;
        if detail.floating.is_empty() { Err(detail.text) } else { Ok(detail) }
    })
    .await;
    assert!(out.floating.starts_with("172.24.4."), "{out:?}");
    assert!(out.text.contains(&format!("root@{}", out.floating)), "the command has the outer address: {}", out.text);
    let said = lab.ssh(lab.var("LAB_EXT_NS"), &key, &out.floating, "echo entered").await;
    assert!(said.contains("entered"), "{said}");
    watch.lap("floating address, ssh from outside");

    assert_eq!(
        lab.keys_left(&lab.students).await,
        [] as [String; 0],
        "pairs are gone as soon as the machines are made"
    );
    assert_eq!(lab.addresses_left(&lab.students).await.len(), 1);
    student.press(&inside, "delete").await;
    student.press(&outside, "delete").await;
    student.gone(&inside, 60).await;
    student.gone(&outside, 60).await;
    watch.lap("deleted");
    assert_eq!(lab.addresses_left(&lab.students).await, [] as [String; 0], "the address is given back");
    assert_eq!(lab.servers(&lab.students).await.len(), 0);
}
