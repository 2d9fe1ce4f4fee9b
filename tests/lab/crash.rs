//! Killed at every point of creation and deletion: what the portal has asked for is found again, nothing is doubled,
//! nothing stays behind.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{Home, Lab, Person, Portal, SCALE, STUDENTS, Setup, Stack, Watch, run, until};

/// What is under way when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum During {
    Create,
    Stop,
    Delete,
    /// A creation with a floating address.
    Address,
}

use During::{Address, Create, Delete, Stop};

/// Every failpoint of the portal, and what leads to it. On a line of their own: those that need real guests.
const POINTS: [(&str, During); 17] = [
    ("request_written", Create),
    ("operation_taken", Create),
    ("create_key_imported", Create),
    ("create_launched", Create),
    ("create_recorded", Create),
    ("create_key_removed", Create),
    ("operation_ending", Create),
    ("action_asked", Stop),
    ("operation_ending", Stop),
    ("request_written", Delete),
    ("operation_taken", Delete),
    ("delete_asked", Delete),
    ("delete_gone", Delete),
    ("delete_addresses_released", Delete),
    ("delete_key_removed", Delete),
    ("delete_recorded", Delete),
    ("address_attached", Address),
];

#[test]
fn every_point_of_the_source_is_in_the_table() {
    fn points(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                points(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let rest = text.split("fail_point!(\"").skip(1);
                found.extend(rest.map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    let mut found = BTreeSet::new();
    points(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let machines = POINTS.iter().map(|(name, _)| *name);
    let containers = crate::containers::crash::POINTS.iter().map(|(name, _)| *name);
    let files = crate::buckets::crash::POINTS.iter().map(|(name, _)| *name);
    let table: BTreeSet<String> = machines.chain(containers).chain(files).map(str::to_owned).collect();
    assert_eq!(found, table, "left: the points in src, right: those that the tests kill the portal at");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn killed_at_every_point() {
    run(async |lab: &Lab| {
        let fake = POINTS.iter().filter(|(_, during)| *during != Address).copied().collect::<Vec<_>>();
        walk(lab, SCALE, &fake).await;
        let real = POINTS.iter().filter(|(name, during)| *during == Address || *name == "create_launched");
        walk(lab, STUDENTS, &real.copied().collect::<Vec<_>>()).await;
    })
    .await;
}

/// One data folder and one person for a row of murders.
async fn walk(lab: &Lab, cloud: &str, points: &[(&str, During)]) {
    let stack = if cloud == SCALE { &lab.scale } else { &lab.students };
    let mut watch = Watch::start();
    let home = Home::new();
    let floating = if cloud == STUDENTS { "ext-net" } else { "" };
    let setup = Setup::new(&lab.clouds_yaml(), cloud)
        .quota(30)
        .set("FASTCLOUD_INSTANCE_TEMPLATES__FLOATING_NETWORK", floating)
        .set("FASTCLOUD_SYNC__INTERVAL_SECONDS", "3");
    let portal = setup.start(&home).await;
    let mut person = portal.person("phoenix").await;
    let template = person.template("Nano").await;
    let mut rented = Vec::new();
    portal.kill();
    for (number, (point, during)) in points.iter().enumerate() {
        // Only the first creation finds no key with the account; a key of its own is imported for each machine.
        let name = lab.name(&format!("crash-{number}"));
        if matches!(during, Stop | Delete) && rented.is_empty() {
            let portal = setup.start(&home).await;
            person.moved(&portal.base);
            let id = person.rent(&name, &template).await;
            person.reaches(&id, "active", 60).await;
            rented.push(id);
            portal.kill();
        }
        let portal = setup.clone().set("FREEZE_AT", point).start(&home).await;
        person.moved(&portal.base);
        let victim = rented.last().cloned().unwrap_or_default();
        let (path, fields) = match during {
            Create | Address => {
                ("/instances".to_owned(), vec![("name", name.as_str()), ("template_id", &template), ("ssh_key", "new")])
            }
            Stop => (format!("/instances/{victim}/stop"), vec![]),
            Delete => (format!("/instances/{victim}/delete"), vec![]),
        };
        Death { portal: &portal, person: &person, point, unanswered: *point == "request_written" }
            .by(&path, &fields)
            .await;

        let portal = setup.start(&home).await;
        person.moved(&portal.base);
        match during {
            Create | Address => {
                let row = until("in the list", 10, async || {
                    let rows = person.rows().await;
                    rows.iter().find(|row| row.name == name).cloned().ok_or_else(|| format!("{rows:?}"))
                })
                .await;
                person.reaches(&row.id, "active", 60).await;
                rented.push(row.id);
            }
            Stop => {
                let id = rented.pop().unwrap();
                person.reaches(&id, "stopped", 60).await;
                // It can be deleted all the same, later.
                rented.insert(0, id);
            }
            Delete => person.gone(&rented.pop().unwrap(), 60).await,
        }
        settled(lab, stack, &person, !floating.is_empty()).await;
        portal.kill();
        watch.lap(&format!("killed at {point} ({during:?}), recovered"));
    }
    let portal = setup.start(&home).await;
    person.moved(&portal.base);
    for id in &rented {
        person.press(id, "delete").await;
    }
    for id in &rented {
        person.gone(id, 60).await;
    }
    settled(lab, stack, &person, false).await;
    assert_eq!(lab.servers(stack).await.len(), 0);
    watch.lap(&format!("the {} that were left, deleted", rented.len()));
}

/// A death at a point that a request leads to.
pub struct Death<'a> {
    pub portal: &'a Portal,
    pub person: &'a Person,
    pub point: &'a str,
    /// The thread that should answer the request is the one that freezes.
    pub unanswered: bool,
}

impl Death<'_> {
    /// Asks for what leads to the point, and kills the portal there.
    pub async fn by(&self, path: &str, fields: &[(&str, &str)]) {
        let asked = self.person.try_post(path, fields);
        let frozen = until("frozen", 60, async || {
            if self.portal.logged(&format!("frozen at {}", self.point)) { Ok(()) } else { Err(self.portal.log()) }
        });
        if self.unanswered {
            tokio::select! {
                answer = asked => panic!("answered {:?}", answer.map(|page| page.status)),
                () = frozen => {}
            }
        } else {
            let (answer, ()) = tokio::join!(asked, frozen);
            // Handlers live on other threads than the one that froze.
            let page = answer.unwrap();
            assert_eq!(page.status, 303, "{}", page.text());
        }
        self.portal.kill();
    }
}

/// Rows and machines are the same; nothing is under way; no key pair or address of ours is left.
async fn settled(lab: &Lab, stack: &Stack, person: &Person, with_addresses: bool) {
    until("settled", 60, async || {
        let mut rows = BTreeSet::new();
        let mut addresses = 0;
        for row in person.rows().await {
            let detail = person.show(&row.id).await;
            addresses += usize::from(!detail.floating.is_empty());
            rows.insert((detail.cloud_id, row.id));
        }
        let servers = lab.servers(stack).await;
        let there: BTreeSet<_> =
            servers.iter().map(|server| (server.id.clone(), server.instance.clone().unwrap_or_default())).collect();
        let (keys, given) = (lab.keys_left(stack).await, lab.addresses_left(stack).await);
        for server in &servers {
            assert_eq!(server.tags, [format!("fast-cloud-{}", server.instance.as_deref().unwrap_or_default())]);
        }
        let expected = if with_addresses { rows.len() } else { addresses };
        let fits = rows == there && keys.is_empty() && given.len() == expected && addresses == expected;
        if fits { Ok(()) } else { Err(format!("rows {rows:?}, in Nova {there:?}, keys {keys:?}, addresses {given:?}")) }
    })
    .await;
}
