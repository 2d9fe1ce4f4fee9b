//! The program: configuration, commands, and the embedded database that it starts and stops.

use std::net::TcpListener;

use crate::support::person::PASSWORD;
use crate::support::program::{Place, signal};
use crate::support::{Person, until};

async fn sign_up(person: &Person, login_id: &str) {
    let fields = [
        ("login_id", login_id),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("name", "김하늘"),
        ("birth_date", "2008-02-29"),
    ];
    person.post("/signup", &fields).await.leads_to("/login");
}

#[actix_web::test]
async fn a_process_that_was_killed_leaves_its_data_to_the_next() {
    let mut place = Place::new();
    place.set("PRACTICE__BUILD_SECONDS", "1");
    place.set("SYNC__TRANSITION_SECONDS", "1");
    place.set("OPERATIONS__LEASE_SECONDS", "3");
    let person = Person::at(&place.base);
    let mut first = place.serve();
    assert!(first.said().contains("Nobody administers this portal yet."));
    sign_up(&person, "haneul").await;
    person.log_in("haneul", PASSWORD).await.leads_to("/dashboard");
    let id = person.launch("lab-1").await;
    let database = place.database_process().expect("it runs");
    first.kill();
    assert_eq!(place.database_process(), Some(database), "it goes on without its owner");

    // The next one takes it over, and the work with it.
    let mut second = place.serve();
    assert!(second.said().contains("taking over the embedded database"), "{}", second.said());
    assert_eq!(place.database_process(), Some(database));
    assert!(person.is_signed_in().await, "the session outlives the process");
    until("the mini PC to be built", async || (person.status(&id).await == "active").then_some(())).await;

    // One whose database was killed with it replaces it.
    second.kill();
    signal(database, "KILL");
    until("the database to end", async || place.database_process().is_none().then_some(())).await;
    let mut third = place.serve();
    assert!(place.database_process().is_some_and(|pid| pid != database));
    assert_eq!(person.status(&id).await, "active", "the data is there");

    // A server that ends under a portal that lives is started again.
    let database = place.database_process().unwrap();
    signal(database, "KILL");
    until("another server", async || place.database_process().filter(|pid| *pid != database)).await;
    until("the portal to recover", async || (person.get("/dashboard").await.status == 200).then_some(())).await;
    assert_eq!(person.status(&id).await, "active");

    // Asked to, it ends without a rest.
    third.stop();
    assert_eq!(place.database_process(), None);
    let mut fourth = place.serve();
    assert!(person.is_signed_in().await);
    fourth.signal("INT");
    assert_eq!(fourth.wait(), Some(0));
    assert_eq!(place.database_process(), None);
}

#[actix_web::test]
async fn a_left_database_that_hangs_is_replaced() {
    let place = Place::new();
    let mut first = place.serve();
    let database = place.database_process().unwrap();
    first.kill();
    signal(database, "STOP");
    let mut second = place.serve();
    assert!(place.database_process().is_some_and(|pid| pid != database));
    Person::at(&place.base).get("/health/ready").await.is(200);
    second.stop();
}

#[actix_web::test]
async fn a_second_process_on_the_same_data_uses_the_first_one_s_database() {
    let place = Place::new();
    let mut first = place.serve();
    let database = place.database_process();
    let beside = place.beside();
    let mut second = beside.serve();
    let (here, there) = (Person::at(&place.base), Person::at(&beside.base));
    sign_up(&here, "haneul").await;
    there.log_in("haneul", PASSWORD).await.leads_to("/dashboard");
    let id = there.launch("lab-1").await;
    assert!(there.moved_to(&place.base).row(&id).await.status == 200, "both know everything");
    assert_eq!(place.database_process(), database);
    second.stop();
    assert_eq!(place.database_process(), database, "it is not the second one's to stop");
    here.get("/health/ready").await.is(200);
    first.stop();
    assert_eq!(place.database_process(), None);
}

#[actix_web::test]
async fn a_path_too_long_for_a_socket_works() {
    let mut place = Place::new();
    place.set("DATA__DIR", &format!("{}/data-of-학교", "a-rather-long-name/".repeat(8)));
    let mut served = place.serve();
    Person::at(&place.base).get("/health/ready").await.is(200);
    served.stop();
    assert_eq!(place.database_process(), None);
    assert!(place.data().join("mysql/data").is_dir());
}

#[actix_web::test]
async fn a_path_with_blanks_and_quotes_works() {
    let mut place = Place::new();
    place.set("DATA__DIR", "my class's \"data\" $HOME & more; 학교");
    let mut served = place.serve();
    Person::at(&place.base).get("/health/ready").await.is(200);
    served.stop();
    let mut again = place.serve();
    again.stop();
    assert_eq!(place.database_process(), None);
    assert!(place.data().join("mysql/data/fast_cloud").is_dir());
}

#[test]
fn a_wrong_configuration_is_refused_by_the_name_of_its_key() {
    let place = Place::new();
    for (text, key) in [
        ("[server]\nlissten = \"x\"", "server.lissten"),
        ("[servers]\nlisten = \"x\"", "servers"),
        ("[server]\npublic_url = \"cloud.school.example\"", "server.public_url"),
        ("[cloud]\ncompute = \"aws\"", "cloud.compute"),
        ("[sync]\ninterval_seconds = 0", "sync.interval_seconds"),
        ("[database]\nurl = \"postgres://me:hunter42@db/x\"", "database.url"),
        ("this is not toml", "TOML"),
    ] {
        place.write("config.toml", text);
        let run = place.run(&["check"]).ended(1);
        assert!(run.err.contains(key), "{text}: {}", run.err);
        assert!(!run.err.contains("hunter42"));
        assert!(!place.data().exists(), "nothing was begun");
    }
    place.write("config.toml", "");
    let missing = place.run(&["--config", "none.toml"]).ended(1);
    assert!(missing.err.contains("none.toml"), "{}", missing.err);
}

#[test]
fn a_variable_overrides_a_key_and_is_named_when_wrong() {
    let mut place = Place::new();
    place.write("config.toml", "[sync]\ninterval_seconds = 0\n");
    place.set("SYNC__INTERVAL_SECONDS", "7");
    place.set("CLOUD__COMPUTE", "azure");
    let run = place.run(&["check"]).ended(1);
    assert!(run.err.contains("cloud.compute") && run.err.contains("FASTCLOUD_CLOUD__COMPUTE"), "{}", run.err);
    assert!(!run.err.contains("sync.interval_seconds"), "the variable counts");
    place.set("CLOUD__COMPUTE", "practice");
    place.set("CLOUD__COMPUTER", "practice");
    let run = place.run(&["check"]).ended(1);
    assert!(run.err.contains("cloud.computer"), "an unknown variable is refused: {}", run.err);
}

#[actix_web::test]
async fn the_commands_do_what_they_say() {
    let mut place = Place::new();
    let migrated = place.run(&["migrate"]).ended(0);
    let known = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    assert_eq!(migrated.out.lines().count(), known, "{}", migrated.out);
    assert!(place.run(&["migrate"]).ended(0).out.is_empty(), "a second time there is nothing to do");
    assert_eq!(place.database_process(), None, "nothing is left running");

    let fine = place.run(&["check"]).ended(0);
    for line in ["ok    Database", "ok    Practice cloud", "ok    Template Nano", "ok    Template Pro"] {
        assert!(fine.out.contains(line), "{line}: {}", fine.out);
    }
    assert!(fine.out.contains("skip  Registry docker.io"), "none was asked: {}", fine.out);
    assert!(!fine.out.contains("FAIL"));
    place.run_with_input(&["admin", "create", "--login-id", "teacher"], PASSWORD).ended(2);
    let short =
        place.run_with_input(&["admin", "create", "--login-id", "teacher", "--name", "선생님"], "short\n").ended(1);
    assert!(short.err.contains("8"), "{}", short.err);
    let made = place
        .run_with_input(&["admin", "create", "--login-id", "teacher", "--name", "선생님"], &format!("{PASSWORD}\n"))
        .ended(0);
    assert!(made.out.contains("teacher") && !made.out.contains(PASSWORD));
    let again =
        place.run_with_input(&["admin", "create", "--login-id", "teacher", "--name", "선생님"], PASSWORD).ended(1);
    assert!(!again.err.is_empty());
    let link = place.run(&["admin", "create"]).ended(0).out;
    let path =
        link.trim().strip_prefix(&place.base).unwrap_or_else(|| panic!("{link} is not of {}", place.base)).to_owned();

    let mut served = place.serve();
    assert!(!served.said().contains("Nobody administers this portal yet."));
    let teacher = Person::at(&place.base);
    teacher.log_in("teacher", PASSWORD).await.leads_to("/dashboard");
    teacher.get("/admin/cloud").await.is(200);
    Person::at(&place.base).get(&path).await.is(200);
    served.stop();

    // What can't work is said, with what to do.
    place.set("DATABASE__URL", "mysql://nobody:hunter42@127.0.0.1:1/none");
    let fails = place.run(&["check"]).ended(1);
    assert!(fails.out.contains("FAIL  Database") && fails.out.contains("-> "), "{}", fails.out);
    assert!(fails.out.contains("skip  Templates") && fails.out.contains("ok    Practice cloud"), "{}", fails.out);
    assert!(!fails.out.contains("hunter42") && !fails.err.contains("hunter42"));
    place.set("DATABASE__URL", "");
    place.set("CLOUD__COMPUTE", "openstack");
    let fails = place.run(&["check"]).ended(1);
    assert!(fails.out.contains("ok    Database") && fails.out.contains("FAIL  Cloud login"), "{}", fails.out);
    let refused = place.run(&[]).ended(1);
    assert!(refused.err.contains("cloud.compute"), "{}", refused.err);
    // Whether a registry answers is no matter of the cluster's.
    place.set("CLOUD__COMPUTE", "practice");
    place.set("CLOUD__APPLICATIONS", "kubernetes");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    place.set("REGISTRIES__MIRRORS", &format!("[\"docker.io=http://{closed}\"]"));
    let fails = place.run(&["check"]).ended(1);
    for line in ["FAIL  Cluster login", "FAIL  Mirror of docker.io", "or correct registries.mirrors"] {
        assert!(fails.out.contains(line), "{line}: {}", fails.out);
    }
    assert_eq!(place.database_process(), None);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let place = Place::new();
    let _taken = TcpListener::bind(place.base.trim_start_matches("http://")).unwrap();
    let run = place.run(&[]).ended(1);
    assert!(run.err.contains("server.listen"), "{}", run.err);
    assert!(!place.data().exists());
}

#[test]
fn what_is_no_command_is_refused() {
    let place = Place::new();
    place.run(&["migrat"]).ended(2);
    assert!(place.run(&["--help"]).ended(0).out.contains("migrate"));
    assert!(place.run(&["--version"]).ended(0).out.contains(env!("CARGO_PKG_VERSION")));
}

/// A place where what is asked for takes a moment, and a student in front of it.
async fn busy_place() -> (Place, Person) {
    let mut place = Place::new();
    place.set("PRACTICE__BUILD_SECONDS", "1");
    place.set("PRACTICE__INGRESS_LISTEN", "");
    place.set("SYNC__TRANSITION_SECONDS", "1");
    let person = Person::at(&place.base);
    (place, person)
}

#[actix_web::test]
async fn a_deploy_loses_nothing() {
    let (place, person) = busy_place().await;
    let mut first = place.serve();
    sign_up(&person, "haneul").await;
    person.log_in("haneul", PASSWORD).await.leads_to("/dashboard");
    // Asked to stop with three under way, and one that is asked for at the same moment.
    let mut ids = Vec::new();
    for name in ["lab-1", "lab-2"] {
        ids.push(person.launch(name).await);
    }
    let form = person.launch_form("lab-3").await;
    let fields: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let request = person.post_request("/instances", &fields).await;
    let (_, late) = futures::future::join(async { first.signal("TERM") }, person.try_send(request)).await;
    assert_eq!(first.wait(), Some(0), "{}", first.said());
    assert_eq!(place.database_process(), None, "the embedded database is ended");

    let mut second = place.serve();
    assert!(!second.said().contains("taking over the embedded database"), "it was ended in order");
    assert!(person.is_signed_in().await);
    for id in &ids {
        until("it to be built", async || (person.status(id).await == "active").then_some(())).await;
    }
    // Whoever was answered has a mini PC; whoever was not has none, or one.
    let rows = person.ids().await.len();
    let answered = late.is_some_and(|answer| answer.status == 303);
    assert!(rows == 3 || (rows == 2 && !answered), "{rows} rows; answered: {answered}");
    let all = person.ids().await;
    for id in &all {
        until("it to be built", async || (person.status(id).await == "active").then_some(())).await;
    }
    second.stop();
    let machines = std::fs::read_to_string(place.data().join("practice/compute.json")).unwrap();
    let machines: serde_json::Value = serde_json::from_str(&machines).unwrap();
    assert_eq!(machines["machines"].as_array().unwrap().len(), all.len(), "one machine each");
}

#[actix_web::test]
async fn streams_end_when_the_program_is_stopped() {
    let (place, person) = busy_place().await;
    let mut served = place.serve();
    sign_up(&person, "haneul").await;
    person.log_in("haneul", PASSWORD).await.leads_to("/dashboard");
    let id = person.deploy("web-1", "hello:1").await;
    until("it to run", async || (person.container_status(&id).await == "running").then_some(())).await;
    let mut log = person.follow(&format!("/applications/{id}/logs/stream")).await;
    log.until("start").await;
    served.signal("TERM");
    while log.next().await.is_some() {}
    assert_eq!(served.wait(), Some(0), "{}", served.said());
    assert_eq!(place.database_process(), None);
}
