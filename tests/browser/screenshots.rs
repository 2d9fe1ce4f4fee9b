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
