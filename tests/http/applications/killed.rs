//! The program itself, killed at every point of an application's life, with the practice cloud's containers.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fast_cloud::cloud::practice::PracticeCluster;

use crate::support::person::PASSWORD;
use crate::support::program::Place;
use crate::support::{Person, until};

/// What is under way when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum During {
    Create,
    Redeploy,
    Stop,
    Delete,
    /// One that ends again and again is looked into.
    Investigate,
}

use During::{Create, Delete, Investigate, Redeploy, Stop};

/// Every failpoint of applications, and what leads to it.
const POINTS: [(&str, During); 18] = [
    ("app_namespace", Create),
    ("app_secret", Create),
    ("app_deployment", Create),
    ("app_service", Create),
    ("app_ingress", Create),
    ("app_verified", Create),
    ("app_recorded", Create),
    ("app_deployment", Redeploy),
    ("app_verified", Redeploy),
    ("app_recorded", Redeploy),
    ("app_scaled", Stop),
    ("app_delete_ingress", Delete),
    ("app_delete_service", Delete),
    ("app_delete_deployment", Delete),
    ("app_delete_secret", Delete),
    ("app_gone", Delete),
    ("app_delete_recorded", Delete),
    ("app_looked_into", Investigate),
];

#[test]
fn every_point_of_the_source_is_in_the_table() {
    fn points(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                points(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = text.split("fail_point!(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
                found.extend(names);
            }
        }
    }
    let mut found = BTreeSet::new();
    points(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/applications"), &mut found);
    found.retain(|name| name.starts_with("app_"));
    let table: BTreeSet<String> = POINTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, table, "left: the points in src, right: those that this test kills the portal at");
}

async fn reaches(person: &Person, id: &str, status: &str) {
    until(&format!("{id} to be {status}"), async || (person.container_status(id).await == status).then_some(())).await;
}

/// The kinds of objects of the only application that there is.
async fn kinds(place: &Place) -> BTreeSet<String> {
    let cluster = PracticeCluster::new(&place.data().join("practice"), Duration::from_millis(500)).unwrap();
    let objects = cluster.objects().await.unwrap();
    let all: Vec<String> = objects.iter().map(|object| object.split('/').nth(1).unwrap().to_owned()).collect();
    let kinds: BTreeSet<String> = all.iter().filter(|kind| *kind != "pod").cloned().collect();
    assert_eq!(kinds.len(), all.iter().filter(|kind| *kind != "pod").count(), "doubled: {all:?}");
    kinds
}

#[actix_web::test]
async fn killed_at_every_point_of_an_application_s_life() {
    let mut place = Place::new();
    for (key, value) in [
        ("PRACTICE__BUILD_SECONDS", "1"),
        ("PRACTICE__INGRESS_LISTEN", ""),
        ("SYNC__TRANSITION_SECONDS", "1"),
        ("OPERATIONS__LEASE_SECONDS", "3"),
    ] {
        place.set(key, value);
    }
    let mut person = Person::at(&place.base);
    let mut portal = place.serve();
    let fields = [
        ("login_id", "phoenix"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("name", "불사조"),
        ("birth_date", "2008-02-29"),
    ];
    person.post("/signup", &fields).await.leads_to("/login");
    person.log_in("phoenix", PASSWORD).await.leads_to("/dashboard");
    person.login_id = "phoenix".to_owned();
    let whole: BTreeSet<String> = ["deployment", "service", "ingress"].map(str::to_owned).into();
    for (number, (point, during)) in POINTS.into_iter().enumerate() {
        let before = if matches!(during, Redeploy | Stop | Delete) {
            let id = person.deploy("blog", "hello:1").await;
            reaches(&person, &id, "running").await;
            Some(id)
        } else {
            None
        };
        portal.kill();
        place.freeze_at(Some(point));
        portal = place.serve();
        let id = match (&before, during) {
            (Some(id), Redeploy) => {
                person.ask_container("redeploy", id, &[("image", "hello:2")]).await;
                id.clone()
            }
            (Some(id), Stop) => {
                person.ask_container("stop", id, &[]).await;
                id.clone()
            }
            (Some(id), _) => {
                person.ask_container("delete", id, &[]).await;
                id.clone()
            }
            (None, Investigate) => person.deploy("blog", "crash:1").await,
            (None, _) => person.deploy("blog", "hello:1").await,
        };
        portal.wait_for(&format!("frozen at {point}"));
        portal.kill();
        place.freeze_at(None);
        portal = place.serve();
        match during {
            Create => reaches(&person, &id, "running").await,
            Redeploy => {
                until("the change", async || {
                    let page = person.container_page(&id).await;
                    (page.main().contains("hello:2") && person.container_status(&id).await == "running").then_some(())
                })
                .await;
            }
            Stop => reaches(&person, &id, "stopped").await,
            Investigate => reaches(&person, &id, "failed").await,
            Delete => {}
        }
        if during != Delete {
            assert_eq!(kinds(&place).await, whole, "{number}: {point} {during:?}");
            person.ask_container("delete", &id, &[]).await;
        }
        until("it to be gone", async || {
            (person.container_status(&id).await == "gone" && kinds(&place).await.is_empty()).then_some(())
        })
        .await;
    }
    portal.stop();
}
