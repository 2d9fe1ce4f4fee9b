//! Two portal processes on one database.

use futures::future::join_all;

use crate::support::{Home, Lab, SCALE, Setup, Watch, run, until};

const MANY: usize = 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn two_processes_share_the_work() {
    run(async |lab: &Lab| {
        let mut watch = Watch::start();
        let home = Home::new();
        let setup = Setup::new(&lab.clouds_yaml(), SCALE).quota(u32::try_from(MANY).unwrap());
        let first = setup.start(&home).await;
        // The same folder: it finds the first one's database there, and uses it.
        let second = setup.start(&home).await;
        assert!(second.logged("another portal process has the embedded database"), "{}", second.log());
        let here = first.person("twins").await;
        let there = here.also_at(&second.base);
        assert_eq!(there.rows().await.len(), 0, "one session serves at both");
        let template = here.template("Nano").await;
        watch.lap("two portals up");

        let asks = (0..MANY).map(|n| (if n % 2 == 0 { &here } else { &there }, lab.name(&format!("twin-{n:02}"))));
        let answers = join_all(asks.map(async |(person, name)| person.ask(&name, &template).await)).await;
        let refused: Vec<_> = answers.iter().filter(|page| page.status != 303).map(|page| page.text()).collect();
        assert!(refused.is_empty(), "{refused:?}");
        // Nobody had a key before: one was made, and all of the machines have it.
        let keys = here.get("/profile").await.body.matches("action=\"/keys/").count();
        assert_eq!(keys, 2, "one form for the key, one to make another");
        assert_eq!(there.ask(&lab.name("one-too-many"), &template).await.status, 422, "one quota for both");
        until("active", 120, async || {
            let rows = there.rows().await;
            if rows.len() == MANY && rows.iter().all(|row| row.status == "active") {
                return Ok(());
            }
            Err(format!("{rows:?}"))
        })
        .await;
        watch.lap("20 rented at both, all active");
        let servers = lab.servers(&lab.scale).await;
        let rows: std::collections::BTreeSet<_> = servers.iter().map(|server| server.instance.clone()).collect();
        assert_eq!((servers.len(), rows.len()), (MANY, MANY), "one machine for each row");
        let done =
            |portal: &crate::support::Portal| portal.count("action=\"create\"}: fast_cloud::operations::worker: done");
        println!("    the first made {}, the second {}", done(&first), done(&second));
        assert!(done(&first) > 0 && done(&second) > 0, "both worked");

        for row in here.rows().await {
            there.press(&row.id, "delete").await;
        }
        // One of them goes; the other does all of what is left.
        drop(second);
        until("gone", 120, async || match here.rows().await.len() {
            0 => Ok(()),
            n => Err(format!("{n} are left")),
        })
        .await;
        assert_eq!(lab.servers(&lab.scale).await.len(), 0);
        assert_eq!(lab.keys_left(&lab.scale).await, [] as [String; 0]);
        watch.lap("all deleted, one portal stopped meanwhile");
    })
    .await;
}
