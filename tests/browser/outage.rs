//! A page whose portal has gone: it says so, and never passes for up to date.

use std::time::Duration;

use fast_cloud::web::page::Lang;

use crate::support::{Browser, Page, Portal, browse};

const OFTEN: [(&str, &str); 1] = [("FASTCLOUD_SYNC__INTERVAL_SECONDS", "2")];

/// The number in "12초 전 기준".
async fn age(page: &Page) -> u64 {
    let text = page.text("#instance-list .age").await;
    text.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or_else(|_| panic!("an age: {text:?}"))
}

#[tokio::test]
async fn a_stopped_portal_is_told_and_the_page_recovers() {
    let portal = Portal::start(&OFTEN);
    browse(&portal, Browser::KOREAN, async |page| {
        let lang = Lang::Ko;
        page.join("patient", "기다림").await;
        page.rent("still-there").await;
        page.settles("still-there", "active", Duration::from_secs(20)).await;
        page.mark().await;
        assert!(!page.is_seen("#lost").await);

        portal.stop();
        page.reads("#lost", &lang.t("layout.lost")).await;
        let before = age(page).await;
        page.until("the age to count on", async || (age(page).await >= before + 3).then_some(())).await;
        page.see("#instance-list .age--stale").await;
        // What is pressed now is told not to have been sent, and nothing looks as if it had.
        let id = page.instance("still-there").await;
        page.click(&format!("#instance-{id}-stop")).await;
        page.reads("#toasts", &lang.t("layout.not_sent_title")).await;
        page.settles("still-there", "active", Duration::from_secs(1)).await;

        portal.run();
        page.gone("#lost").await;
        page.until("the age to be young again", async || (age(page).await < 5).then_some(())).await;
        page.gone("#instance-list .age--stale").await;
        // The same page, the same session: it works.
        page.click(&format!("#instance-{id}-stop")).await;
        page.settles("still-there", "stopped", Duration::from_secs(20)).await;
        assert!(page.is_marked().await);
    })
    .await;
}

#[tokio::test]
async fn a_portal_that_hangs_is_told() {
    let portal = Portal::start(&OFTEN);
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("hanging", "멈춤").await;
        page.rent("frozen").await;
        page.settles("frozen", "active", Duration::from_secs(20)).await;
        portal.freeze();
        let before = age(page).await;
        page.until("the age to count on", async || (age(page).await >= before + 4).then_some(())).await;
        page.see("#instance-list .age--stale").await;
        // The request's own limit is 20 seconds.
        page.until_for(Duration::from_secs(40), "it is told", &mut async || page.is_seen("#lost").await.then_some(()))
            .await;
        portal.thaw();
        page.gone("#lost").await;
        page.until("the age to be young again", async || (age(page).await < 5).then_some(())).await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_cloud_costs_only_what_it_is_asked_for() {
    let portal = Portal::start(&OFTEN);
    browse(&portal, Browser::KOREAN, async |page| {
        let lang = Lang::Ko;
        page.join("listener", "경청").await;
        page.rent("quiet").await;
        page.settles("quiet", "active", Duration::from_secs(20)).await;
        portal.break_cloud();
        // Never "stopped": nobody knows.
        page.settles("quiet", "unknown", Duration::from_secs(30)).await;
        page.reads("tr.resource-row", "확인되지 않아요").await;
        page.reads("tr.resource-row", &lang.t("status.active")).await;
        page.goto("/dashboard").await;
        page.reads("h1", &lang.t("dashboard.headline_cloud")).await;
        page.reads(".card__note", &lang.t("dashboard.problem_hint")).await;
        page.goto("/profile").await;
        page.reads("h1", &lang.t("profile.title")).await;
        portal.mend_cloud();
        page.goto("/instances").await;
        page.settles("quiet", "active", Duration::from_secs(40)).await;
    })
    .await;
}
