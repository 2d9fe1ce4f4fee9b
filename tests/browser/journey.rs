//! From the landing page to a mini PC and back to none, as a person goes.

use std::time::Duration;

use fast_cloud::web::page::Lang;

use crate::support::page::row;
use crate::support::{Browser, Page, Portal, browse};

/// A practice machine does everything within this.
const SOON: Duration = Duration::from_secs(20);

const PASSWORD: &str = "correct horse";

/// Signs up by typing, with the check of the login id seen.
pub async fn sign_up(page: &Page, lang: Lang, login_id: &str, taken: &str) {
    page.goto("/").await;
    page.see("h1").await;
    page.press(&lang.t("landing.signup")).await;
    page.at("/signup").await;
    if !taken.is_empty() {
        // While typing, and again by the button.
        page.fill("#login_id", taken).await;
        page.reads("#login_id-error", &lang.t("validation.login_id.taken")).await;
        assert_eq!(page.attribute("#login_id", "aria-invalid").await.as_deref(), Some("true"));
    }
    page.fill("#login_id", login_id).await;
    page.reads("#login_id-check .field__ok", &lang.t("validation.login_id.free")).await;
    page.press(&lang.t("signup.check")).await;
    page.reads("#login_id-check .field__ok", &lang.t("validation.login_id.free")).await;
    page.fill("#password", PASSWORD).await;
    page.fill("#password_confirm", PASSWORD).await;
    page.fill("#name", "하늘").await;
    page.fill_date("#birth_date", "2004-05-17").await;
    page.press(&lang.t("signup.submit")).await;
    page.at("/login").await;
    page.reads("#toasts", &lang.t("notice.signed_up")).await;
}

/// From the log-in page to an empty list; as long as a real cloud needs, if that is what it runs on. `boots` waits until the
/// machine at an address is up: only then does it hear that it shall restart.
pub async fn rent_use_and_delete(page: &Page, lang: Lang, login_id: &str, limit: Duration, boots: impl AsyncFn(&str)) {
    page.log_in(login_id, PASSWORD).await;
    page.at("/dashboard").await;
    page.reads("h1", &lang.t("dashboard.headline_none")).await;

    // Two clicks and a field that is filled in already.
    page.press(&lang.t("instances.rent")).await;
    page.at("/instances/new").await;
    let name = page.value("#name").await;
    assert!(name.contains("-pc-"), "the name is filled in: {name:?}");
    page.mark().await;
    page.press(&lang.t("instances.new.submit")).await;
    page.at("/instances").await;
    page.settles(&name, "building", limit).await;
    page.settles(&name, "active", limit).await;
    let address = page.text(&format!("{}//code", row(&name))).await;
    assert!(address.parse::<std::net::IpAddr>().is_ok(), "an address: {address:?}");

    let id = page.instance(&name).await;
    let button = |verb: &str| format!("#instance-{id}-{verb}");
    page.click(&button("stop")).await;
    page.settles(&name, "stopped", limit).await;
    assert_eq!(page.count(&button("stop")).await, 0, "what is off can't be stopped");
    page.click(&button("start")).await;
    page.settles(&name, "active", limit).await;
    boots(&address).await;
    page.click(&button("reboot")).await;
    page.settles(&name, "rebooting", limit).await;
    page.settles(&name, "active", limit).await;

    // The question can be answered with no.
    page.click(&button("delete")).await;
    page.reads("dialog[open] h1", &name).await;
    page.press(&lang.t("layout.cancel")).await;
    page.gone("dialog[open]").await;
    page.settles(&name, "active", limit).await;
    page.click(&button("delete")).await;
    page.see("dialog[open]").await;
    page.press(&lang.t("instances.delete_page.submit")).await;
    page.until_for(limit, "the row to be gone", &mut async || (page.count(&row(&name)).await == 0).then_some(())).await;
    page.reads("#instance-list", &lang.t("instances.empty_title")).await;
    assert!(page.is_marked().await, "all of this happened without loading the page again");
}

#[tokio::test]
async fn in_korean() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        sign_up(page, Lang::Ko, "haneul", "").await;
        // The second of this name is told.
        sign_up(page, Lang::Ko, "haneul2", "haneul").await;
        rent_use_and_delete(page, Lang::Ko, "haneul", SOON, async |_| {}).await;
    })
    .await;
}

#[tokio::test]
async fn in_english() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.goto("/").await;
        assert_eq!(page.attribute("html", "lang").await.as_deref(), Some("ko"), "as the browser prefers");
        page.choose_language(Lang::En).await;
        sign_up(page, Lang::En, "sky.walker", "").await;
        rent_use_and_delete(page, Lang::En, "sky.walker", SOON, async |_| {}).await;
    })
    .await;
}

#[tokio::test]
async fn without_javascript() {
    let portal = Portal::shared();
    browse(&portal, Browser::WITHOUT_SCRIPTS, async |page| {
        let lang = Lang::Ko;
        page.goto("/signup").await;
        page.fill("#check_login_id", "noscript").await;
        page.click("form[action='/signup/check'] button").await;
        page.reads("#login_id-check .field__ok", &lang.t("validation.login_id.free")).await;
        page.fill("#password", PASSWORD).await;
        page.fill("#password_confirm", PASSWORD).await;
        page.fill("#name", "하늘").await;
        page.press(&lang.t("signup.submit")).await;
        // What is missing comes back from the server, and what was typed stays; but for the passwords.
        page.reads("#birth_date-error", &lang.t("validation.birth_date.missing")).await;
        assert_eq!(page.value("#login_id").await, "noscript");
        page.fill("#password", PASSWORD).await;
        page.fill("#password_confirm", PASSWORD).await;
        // In the order in which this browser's own language has it.
        page.fill_keys("#birth_date", "05172004").await;
        page.press(&lang.t("signup.submit")).await;
        page.at("/login").await;
        page.log_in("noscript", PASSWORD).await;
        page.at("/dashboard").await;

        page.press(&lang.t("instances.rent")).await;
        let name = page.value("#name").await;
        page.press(&lang.t("instances.new.submit")).await;
        page.at("/instances").await;
        page.settles_by_reloading(&name, "active", SOON).await;
        let id = page.instance(&name).await;
        for (verb, status) in [("stop", "stopped"), ("start", "active"), ("reboot", "active")] {
            page.click(&format!("#instance-{id}-{verb}")).await;
            page.at("/instances").await;
            page.settles_by_reloading(&name, status, SOON).await;
        }
        // The question is a page of its own.
        page.click(&format!("#instance-{id}-delete")).await;
        page.at(&format!("/instances/{id}/delete")).await;
        page.reads("#confirm-page h1", &name).await;
        page.press(&lang.t("instances.delete_page.submit")).await;
        page.at("/instances").await;
        page.until("the row to be gone", async || {
            if page.count(&row(&name)).await == 0 {
                return Some(());
            }
            page.reload().await;
            None
        })
        .await;
    })
    .await;
}
