//! The database goes away and comes back, under requests.

use std::process::Command;

use fast_cloud::embedded::Embedded;

use crate::support::database::{Database, Folder};
use crate::support::{Person, TestApp, until};

/// A database server of this test's own.
struct Server {
    folder: Folder,
    embedded: Option<Embedded>,
    stopped: bool,
}

impl Server {
    fn start() -> Self {
        let folder = Folder::new();
        let embedded = Some(Embedded::start(folder.path()).unwrap());
        Self { folder, embedded, stopped: false }
    }

    fn database(&self) -> Database {
        Database::of_own_server(self.embedded.as_ref().unwrap().url.clone())
    }

    fn signal(&mut self, name: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("mysql/pid")).unwrap();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(pid.trim()).status().unwrap().success());
        self.stopped = name == "STOP";
    }

    fn kill(&mut self) {
        self.signal("KILL");
        // Reaps it.
        drop(self.embedded.take());
    }

    fn start_again(&mut self) {
        self.embedded = Some(Embedded::start(self.folder.path()).unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stopped {
            self.signal("CONT");
        }
        drop(self.embedded.take());
    }
}

async fn portal(server: &Server) -> TestApp {
    let database = server.database();
    TestApp::with(|setup| {
        setup.database = Some(database);
        setup.config.database.timeout_seconds = 1;
    })
    .await
}

/// What needs no database still answers.
async fn the_rest_answers(person: &Person) {
    person.get("/health/live").await.is(200);
    person.get("/static/css/app.css").await.is(200);
    let (ready, health) = futures::future::join(person.get("/health/ready"), person.get("/health")).await;
    ready.is(503);
    health.is(503);
    // A scrape goes on without what the database knows.
    let metrics = person.get("/metrics").await.is(200).body();
    assert!(metrics.contains("\nfastcloud_database_up 0\n") && !metrics.contains("fastcloud_operations"), "{metrics}");
    assert!(metrics.contains("fastcloud_http_requests_total{"));
}

async fn is_told(person: &Person) {
    for path in ["/dashboard", "/instances"] {
        let page = person.get(path).await.is(503);
        assert!(page.main().contains("지금은 포털이 대답할 수 없어요."), "{}", page.main());
        assert!(uuid::Uuid::parse_str(&page.said(".fail__id code")).is_ok());
        assert_eq!(page.attribute(".fail__links a", "href").as_deref(), Some(path), "the way to try again");
        assert!(!page.header("retry-after").is_empty());
        assert!(page.header("content-security-policy").contains("default-src 'self'"));
    }
    let part = person.get_part("/instances/rows").await.is(503);
    assert!(part.has("[data-toast] code"));
    assert!(person.cookies().contains_key("fast-cloud-session"), "nobody is logged out by it");
}

#[actix_web::test]
async fn a_database_that_was_killed_is_told_and_recovered_from() {
    let mut server = Server::start();
    let app = portal(&server).await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    student.token().await;
    server.kill();
    is_told(&student).await;
    student.press("stop", &id).await.is(503);
    the_rest_answers(&app.anon()).await;
    app.anon().get("/").await.is(200);
    server.start_again();
    until("the portal to recover", async || (student.get("/dashboard").await.status == 200).then_some(())).await;
    assert_eq!(student.status(&id).await, "active", "nothing was lost, and the stop was not half taken");
    student.get("/health/ready").await.is(200);
    // The worker recovers, too.
    student.press("stop", &id).await;
    app.settle(&student, &id, "stopped").await;
    drop(app);
}

#[actix_web::test]
async fn a_database_that_restarts_under_load_costs_pages_of_503_only() {
    let mut server = Server::start();
    let app = portal(&server).await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    let tabs: Vec<Person> = (0..12).map(|_| student.again()).collect();
    let over = std::cell::Cell::new(false);
    // Each tab asks for one page after the other until it has seen the portal well again.
    let load = futures::future::join_all(tabs.iter().map(async |tab| {
        let (mut fine, mut told) = (0, 0);
        loop {
            let ended = over.get();
            let page = tab.get("/instances").await;
            match page.status.as_u16() {
                200 => fine += 1,
                503 => {
                    assert_eq!(page.said(".fail__code"), "503");
                    told += 1;
                }
                status => panic!("{status}: {}", page.main()),
            }
            if ended && page.status == 200 {
                return (fine, told);
            }
        }
    }));
    let restart = async {
        until("some load", async || app.portal.app.db.state().0.gt(&0).then_some(())).await;
        server.kill();
        // For as long as it takes to be noticed by a request that comes now.
        student.get("/dashboard").await.is(503);
        server.start_again();
        over.set(true);
    };
    let (counts, ()) = futures::future::join(load, restart).await;
    assert!(counts.iter().all(|(fine, _)| *fine > 0), "{counts:?}");
    assert!(counts.iter().any(|(_, told)| *told > 0), "{counts:?}");
    assert_eq!(student.status(&id).await, "active");
    drop(app);
}

#[actix_web::test]
async fn a_database_that_hangs_is_told_and_recovered_from() {
    let mut server = Server::start();
    let app = portal(&server).await;
    let student = app.student().await;
    let id = app.running(&student, "lab-1").await;
    server.signal("STOP");
    let tabs: Vec<Person> = (0..24).map(|_| student.again()).collect();
    let answers = futures::future::join_all(tabs.iter().map(|tab| tab.get("/dashboard"))).await;
    for answer in answers {
        assert_eq!(answer.is(503).said(".fail__code"), "503");
    }
    the_rest_answers(&app.anon()).await;
    server.signal("CONT");
    until("the portal to recover", async || (student.get("/dashboard").await.status == 200).then_some(())).await;
    assert_eq!(student.status(&id).await, "active");
    student.press("stop", &id).await;
    app.settle(&student, &id, "stopped").await;
    drop(app);
}
