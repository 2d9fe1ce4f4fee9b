//! The pictures in `docs/screenshots/`, made anew by
//! `cargo test --test browser -- --ignored screenshots` (with fonts-noto-cjk for the Korean letters).

use std::path::Path;
use std::time::Duration;

use fast_cloud::web::page::Lang;
use serde_json::json;

use crate::support::{Browser, Page, Portal, browse_for};

const WIDE: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

async fn take(page: &Page, name: &str, size: (u32, u32), theme: &str) {
    page.size(size.0, size.1).await;
    page.prefer(theme, "reduce").await;
    // A toast would be on every other picture, and the focus on some.
    let code = "
        const done = arguments[0];
        for (const toast of document.querySelectorAll('[data-toast]')) toast.remove();
        document.activeElement.blur();
        document.fonts.ready.then(() => requestAnimationFrame(() => requestAnimationFrame(() => done())));";
    page.later(code, vec![]).await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/screenshots/{name}.png"));
    let png = page.picture().await;
    assert!(png.len() < 200_000, "{name} has {} bytes", png.len());
    std::fs::write(path, png).unwrap();
}

/// The card of a template on the rent form.
fn card(name: &str) -> String {
    format!("//label[contains(@class,'template-card')][.//b[normalize-space()='{name}']]")
}

/// Machines of these names end in error the next time they are looked at.
fn fail(portal: &Portal, name: &str) {
    portal.with_machines(|machines| {
        for machine in machines.iter_mut().filter(|machine| machine["name"] == name) {
            machine["then"] = json!("error");
            machine["fault"] = json!("No valid host was found. There are not enough hosts available.");
        }
    });
}

#[tokio::test]
#[ignore = "writes docs/screenshots"]
async fn screenshots() {
    let portal = Portal::start(&[
        ("FASTCLOUD_PRACTICE__BUILD_SECONDS", "4"),
        ("FASTCLOUD_SYNC__INTERVAL_SECONDS", "3"),
        ("FASTCLOUD_QUOTA__INSTANCES", "5"),
    ]);
    browse_for(&portal, Browser::KOREAN, Duration::from_secs(280), async |page| {
        let soon = Duration::from_secs(20);
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/screenshots")).unwrap();
        page.goto("/").await;
        take(page, "landing", WIDE, "light").await;
        take(page, "landing-dark", WIDE, "dark").await;
        take(page, "landing-phone", PHONE, "dark").await;
        page.choose_language(Lang::En).await;
        take(page, "landing-en-phone", PHONE, "light").await;
        page.choose_language(Lang::Ko).await;
        page.goto("/login").await;
        take(page, "login", WIDE, "light").await;
        page.join("haneul", "김하늘").await;
        take(page, "dashboard-empty", WIDE, "light").await;
        page.goto("/instances").await;
        take(page, "instances-empty", WIDE, "light").await;
        page.log_out().await;
        page.goto("/signup").await;
        page.fill("#login_id", "haneul").await;
        page.see("#login_id-error").await;
        page.fill("#password", "1234").await;
        page.fill("#password_confirm", "12345").await;
        page.fill("#name", "김하늘").await;
        page.fill_date("#birth_date", "2004-05-17").await;
        page.press(&Lang::Ko.t("signup.submit")).await;
        page.see("#password-error").await;
        page.see("#login_id-error").await;
        take(page, "signup-errors", WIDE, "light").await;
        take(page, "signup-errors-phone", PHONE, "dark").await;

        page.log_in("haneul", "correct horse").await;
        page.at("/dashboard").await;
        page.size(WIDE.0, WIDE.1).await;
        for (name, template) in [("my-test-server", "Nano"), ("hackathon-api", "Standard"), ("os-homework", "Nano")] {
            page.goto("/instances/new").await;
            page.fill("#name", name).await;
            page.click(&card(template)).await;
            page.click("#launch-form button.btn--primary").await;
            page.at("/instances").await;
            page.settles(name, "active", soon).await;
            if template == "Nano" && name == "my-test-server" {
                let id = page.instance(name).await;
                page.goto(&format!("/instances/{id}")).await;
                take(page, "instance-new-key", WIDE, "light").await;
                page.click("#secret button").await;
                page.gone("#secret").await;
            }
        }
        page.click(&format!("#instance-{}-stop", page.instance("os-homework").await)).await;
        page.settles("os-homework", "stopped", soon).await;
        page.rent("too-big").await;
        page.settles("too-big", "active", soon).await;
        fail(&portal, "too-big");
        page.settles("too-big", "error", soon).await;
        page.goto("/instances/new").await;
        page.click(&card("Standard")).await;
        take(page, "instances-new", WIDE, "light").await;
        take(page, "instances-new-dark", WIDE, "dark").await;
        take(page, "instances-new-phone", PHONE, "light").await;
        page.size(WIDE.0, WIDE.1).await;
        page.rent("demo-day").await;
        portal.with_machines(|machines| {
            for machine in machines.iter_mut().filter(|machine| machine["name"] == "demo-day") {
                machine["settles_at"] = json!("2099-01-01T00:00:00Z");
            }
        });
        let building = page.instance("demo-day").await;
        let [running, broken] = [page.instance("my-test-server").await, page.instance("too-big").await];
        page.goto("/instances").await;
        take(page, "instances", WIDE, "light").await;
        take(page, "instances-dark", WIDE, "dark").await;
        take(page, "instances-phone", PHONE, "light").await;
        take(page, "instances-phone-dark", PHONE, "dark").await;
        page.goto("/dashboard").await;
        take(page, "dashboard", WIDE, "light").await;
        take(page, "dashboard-dark", WIDE, "dark").await;
        take(page, "dashboard-phone", PHONE, "light").await;
        page.goto(&format!("/instances/{building}")).await;
        take(page, "instance-building", WIDE, "light").await;
        page.goto(&format!("/instances/{running}")).await;
        take(page, "instance", WIDE, "light").await;
        take(page, "instance-phone-dark", PHONE, "dark").await;
        page.goto(&format!("/instances/{broken}")).await;
        take(page, "instance-error", WIDE, "light").await;
        page.goto("/instances").await;
        page.click(&format!("#instance-{running}-delete")).await;
        page.see("dialog[open]").await;
        take(page, "instance-delete", WIDE, "light").await;
        page.goto("/instances/new").await;
        take(page, "instances-new-full", WIDE, "light").await;
        page.goto("/profile").await;
        take(page, "profile", WIDE, "light").await;
        page.size(WIDE.0, WIDE.1).await;
        page.choose_language(Lang::En).await;
        page.goto("/instances").await;
        take(page, "instances-en", WIDE, "light").await;
        page.goto(&format!("/instances/{running}")).await;
        take(page, "instance-en-dark", WIDE, "dark").await;
        page.size(WIDE.0, WIDE.1).await;
        page.choose_language(Lang::Ko).await;

        portal.break_cloud();
        page.goto("/instances").await;
        page.settles("my-test-server", "unknown", Duration::from_secs(30)).await;
        take(page, "instances-cloud-silent", WIDE, "light").await;
        page.goto("/dashboard").await;
        page.see(".card__note").await;
        take(page, "dashboard-cloud-silent", WIDE, "light").await;
        take(page, "dashboard-cloud-silent-phone", PHONE, "dark").await;
        page.size(WIDE.0, WIDE.1).await;
        portal.mend_cloud();
        page.goto("/instances").await;
        page.settles("my-test-server", "active", Duration::from_secs(40)).await;
        page.goto("/nowhere").await;
        take(page, "error-404", WIDE, "light").await;
        page.goto("/dashboard").await;
        page.log_out().await;
        page.become_admin(portal.setup_link(), "teacher").await;
        page.goto("/admin/templates").await;
        take(page, "admin-templates", WIDE, "light").await;
        page.click("td a.resource-row__name").await;
        page.see("#ssh_user").await;
        take(page, "admin-template", WIDE, "light").await;
        page.goto("/admin/cloud").await;
        take(page, "admin-cloud", WIDE, "light").await;
        // It is soon started again, so it may take more than one try to see the portal without it.
        page.until("a portal without a database", async || {
            portal.kill_database();
            page.goto("/dashboard").await;
            (page.count(".fail__code").await > 0).then_some(())
        })
        .await;
        assert_eq!(page.text(".fail__code").await, "503");
        take(page, "error-503", WIDE, "light").await;
    })
    .await;
}

#[tokio::test]
#[ignore = "writes docs/screenshots"]
async fn screenshots_of_containers() {
    let portal = Portal::start(&[
        ("FASTCLOUD_SYNC__INTERVAL_SECONDS", "3"),
        ("FASTCLOUD_QUOTA__APPLICATIONS", "8"),
        ("FASTCLOUD_QUOTA__APP_CPU_MILLIS", "4000"),
        ("FASTCLOUD_APPLICATIONS__SILENT_SECONDS", "2"),
        // Nothing that changes from run to run stands on a picture.
        ("FASTCLOUD_APPLICATIONS__URL_PORT", "8001"),
    ]);
    browse_for(&portal, Browser::KOREAN, Duration::from_secs(280), async |page| {
        let soon = Duration::from_secs(60);
        page.join("haneul", "김하늘").await;
        page.goto("/applications").await;
        take(page, "containers-empty", WIDE, "light").await;
        page.goto("/applications/new").await;
        page.fill("#name", "Chat Bot").await;
        page.fill("#image", "ghost:5").await;
        page.see(".found").await;
        page.reads("#name-check", "chat-bot").await;
        take(page, "container-new", WIDE, "light").await;
        take(page, "container-new-dark", WIDE, "dark").await;
        take(page, "container-new-phone", PHONE, "light").await;
        page.size(WIDE.0, WIDE.1).await;
        page.fill("#image", "nginx-missing:1").await;
        page.see("#image-error").await;
        page.fill("#name", "www").await;
        page.see("#name-error").await;
        take(page, "container-new-errors", WIDE, "light").await;

        for (name, image) in [("my-portfolio", "nginx:1.27"), ("todo-api", "hello:1"), ("blog", "ghost:5")] {
            page.deploy(name, image).await;
            page.settles(name, "running", soon).await;
        }
        page.click(&format!("#application-{}-stop", page.container("blog").await)).await;
        page.settles("blog", "stopped", soon).await;
        let wrong = [("name", "chat-bot"), ("image", "haneul/express:1"), ("internal_port", "80")];
        page.goto("/applications/new").await;
        for (field, value) in wrong {
            page.fill(&format!("#{field}"), value).await;
        }
        page.click("#deploy-form button.btn--primary").await;
        page.at("/applications").await;
        page.settles("chat-bot", "failed", soon).await;
        page.deploy("homework", "haneul/crash:1").await;
        page.settles("homework", "failed", soon).await;
        page.deploy("flask-app", "haneul/loopback:1").await;
        page.settles("flask-app", "failed", soon).await;
        let ids = [
            page.container("my-portfolio").await,
            page.container("chat-bot").await,
            page.container("homework").await,
            page.container("flask-app").await,
            page.container("todo-api").await,
        ];
        let [portfolio, wrong, crash, loopback, todo] = &ids;
        page.goto(&format!("/applications/{todo}/edit")).await;
        page.click("details.fold summary").await;
        page.fill("#variables", "NODE_ENV=production").await;
        page.fill("#secrets", "DB_PASSWORD=hunter42").await;
        page.select("#size", "medium").await;
        page.select("#replicas", "2").await;
        take(page, "container-edit", WIDE, "light").await;
        page.size(WIDE.0, WIDE.1).await;
        page.click("#deploy-form button.btn--primary").await;
        page.at(&format!("/applications/{todo}")).await;
        page.reads(".facts", "2개 중 2개 준비됨").await;
        page.reads("#log-lines", "Still running").await;
        page.see("#cluster-events li").await;
        take(page, "container", WIDE, "light").await;
        take(page, "container-phone-dark", PHONE, "dark").await;
        page.size(WIDE.0, WIDE.1).await;
        page.goto("/applications").await;
        take(page, "containers", WIDE, "light").await;
        take(page, "containers-dark", WIDE, "dark").await;
        take(page, "containers-phone", PHONE, "light").await;
        page.goto("/dashboard").await;
        take(page, "dashboard-containers", WIDE, "light").await;
        page.goto(&format!("/applications/{wrong}")).await;
        page.see("#log-lines li").await;
        page.see("#cluster-events li").await;
        take(page, "container-wrong-port", WIDE, "light").await;
        take(page, "container-wrong-port-phone", PHONE, "light").await;
        page.size(WIDE.0, WIDE.1).await;
        page.goto(&format!("/applications/{crash}")).await;
        page.see("#cluster-events li").await;
        take(page, "container-crash", WIDE, "dark").await;
        page.goto(&format!("/applications/{loopback}")).await;
        page.click("#loopback summary").await;
        page.see("#cluster-events li").await;
        take(page, "container-loopback", WIDE, "light").await;
        page.size(WIDE.0, WIDE.1).await;
        page.goto(&format!("/applications/{portfolio}/logs")).await;
        page.see("#log-lines li").await;
        take(page, "container-logs", WIDE, "light").await;
        page.size(WIDE.0, WIDE.1).await;
        page.choose_language(Lang::En).await;
        page.goto("/applications").await;
        take(page, "containers-en", WIDE, "light").await;
        page.goto("/applications/new").await;
        take(page, "container-new-en-phone", PHONE, "dark").await;
        page.goto(&format!("/applications/{wrong}")).await;
        page.see("#log-lines li").await;
        page.see("#cluster-events li").await;
        take(page, "container-wrong-port-en-dark", WIDE, "dark").await;
        page.size(WIDE.0, WIDE.1).await;
        page.choose_language(Lang::Ko).await;
        page.goto("/applications").await;
        page.click(&format!("#application-{portfolio}-delete")).await;
        page.see("dialog[open]").await;
        take(page, "container-delete", WIDE, "light").await;
        portal.break_cluster();
        page.goto("/applications").await;
        page.settles("my-portfolio", "unknown", Duration::from_secs(40)).await;
        take(page, "containers-cluster-silent", WIDE, "light").await;
        page.goto(&format!("/applications/{portfolio}")).await;
        page.reads("#cluster-events", &Lang::Ko.t("applications.show.cluster_events_failed")).await;
        take(page, "container-unknown", WIDE, "light").await;
        page.goto("/dashboard").await;
        page.see("#dashboard-applications .card__note").await;
        take(page, "dashboard-cluster-silent", WIDE, "light").await;
        portal.mend_cluster();
    })
    .await;
}

#[tokio::test]
#[ignore = "writes docs/screenshots"]
async fn screenshots_of_files() {
    let portal = Portal::start(&[("FASTCLOUD_QUOTA__STORAGE_MB", "40"), ("FASTCLOUD_SYNC__INTERVAL_SECONDS", "2")]);
    let desk = crate::buckets::desk();
    browse_for(&portal, Browser::KOREAN, Duration::from_secs(200), async |page| {
        page.join("haneul-files", "김하늘").await;
        page.goto("/buckets").await;
        take(page, "buckets-empty", WIDE, "light").await;
        for name in ["hackathon-team7", "os-homework"] {
            page.goto("/buckets/new").await;
            page.fill("#name", name).await;
            page.click("#bucket-form button.btn--primary").await;
            page.at("/buckets").await;
            page.has(&format!("#bucket-{name} .status-badge"), "data-status", "active").await;
        }
        page.goto("/buckets/new").await;
        page.fill("#name", "os-homework").await;
        page.click("#bucket-form button.btn--primary").await;
        page.see("#name-error").await;
        take(page, "bucket-new-taken", WIDE, "light").await;
        page.goto("/buckets/hackathon-team7").await;
        take(page, "bucket-empty", WIDE, "light").await;
        take(page, "bucket-empty-phone", PHONE, "dark").await;
        page.size(WIDE.0, WIDE.1).await;
        let large = desk.path().join("demo.mp4");
        std::fs::write(&large, vec![1; 20_000_000]).unwrap();
        let over = desk.path().join("backup.zip");
        std::fs::write(&over, vec![2; 30_000_000]).unwrap();
        let file = |name: &str| desk.path().join(name).to_str().unwrap().to_owned();
        page.fill_keys("#upload-file", &["data.csv", "demo.mp4", "보고서 (최종).txt"].map(file).join("\n")).await;
        page.see("//div[@id='files']//tr[.//input[@value='demo.mp4']]").await;
        page.see("//div[@id='files']//tr[.//input[@value='보고서 (최종).txt']]").await;
        crate::buckets::drop_on(page, &[desk.path().join("사진")]).await;
        page.see("//div[@id='files']//tr[.//input[@value='사진/']]").await;
        page.fill_keys("#upload-file", &file("backup.zip")).await;
        page.see(".tray__item[data-status=failed]").await;
        take(page, "bucket-uploads", WIDE, "light").await;
        take(page, "bucket-uploads-dark", WIDE, "dark").await;
        take(page, "bucket-uploads-phone", PHONE, "light").await;
        page.size(WIDE.0, WIDE.1).await;
        page.goto("/buckets/hackathon-team7").await;
        page.click("#files tbody .check").await;
        take(page, "bucket", WIDE, "light").await;
        page.goto("/buckets").await;
        take(page, "buckets", WIDE, "light").await;
        take(page, "buckets-phone-dark", PHONE, "dark").await;
        page.goto("/buckets/hackathon-team7/file?key=%EB%B3%B4%EA%B3%A0%EC%84%9C%20(%EC%B5%9C%EC%A2%85).txt").await;
        page.press(&Lang::Ko.t("buckets.links.create")).await;
        page.see(".links__item").await;
        take(page, "file", WIDE, "light").await;
        take(page, "file-phone-dark", PHONE, "dark").await;
        page.size(WIDE.0, WIDE.1).await;
        page.goto("/buckets/hackathon-team7/tools").await;
        page.click("//form//button[contains(@class,'btn--primary')]").await;
        page.see(".links__item").await;
        take(page, "bucket-tools", WIDE, "light").await;
        page.choose_language(Lang::En).await;
        page.goto("/buckets/hackathon-team7").await;
        take(page, "bucket-en-dark", WIDE, "dark").await;
        page.size(WIDE.0, WIDE.1).await;
        page.choose_language(Lang::Ko).await;
        page.goto("/buckets").await;
        page.click("#bucket-hackathon-team7-delete").await;
        page.see("dialog[open] input[name=name]").await;
        take(page, "bucket-delete", WIDE, "light").await;
    })
    .await;
}
