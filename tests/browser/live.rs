//! What changes elsewhere comes to the open page by itself: through another process, into a page that somebody works on,
//! after the tab was hidden, after the portal was away.

use std::time::Duration;

use fantoccini::key::Key;
use fast_cloud::embedded::Embedded;
use fast_cloud::web::page::Lang;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::support::page::row;
use crate::support::{Browser, Folder, Page, Portal, browse};

/// Two portal processes on one database and one practice cloud. What the pages see between two looks of their own comes
/// by the stream: those are as rare as they can be.
struct Twins {
    one: Portal,
    two: Portal,
    _database: Embedded,
    _folder: Folder,
}

impl Twins {
    fn start() -> Self {
        let folder = Folder::new("twins");
        let database = Embedded::start(&folder.path().join("database")).unwrap();
        let data = folder.path().join("data");
        let settings = [
            ("FASTCLOUD_DATABASE__URL", database.url.expose_secret().to_owned()),
            ("FASTCLOUD_DATA__DIR", data.to_string_lossy().into_owned()),
        ];
        let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
        let (one, two) = (Portal::start(&settings), Portal::start(&settings));
        Self { one, two, _database: database, _folder: folder }
    }
}

/// Waits until the page has its stream.
async fn live(page: &Page) {
    page.has("[data-live]", "data-live", "live").await;
    page.reads("[data-live]", &Lang::Ko.t("layout.live_on")).await;
}

/// The tab goes into the background, as far as the page can tell; its streams from now on are remembered.
async fn hide(page: &Page, hidden: bool) {
    let code = "
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => arguments[0] });
        document.dispatchEvent(new Event('visibilitychange'));";
    page.script(code, vec![json!(hidden)]).await;
}

async fn remember_streams(page: &Page) {
    let code = "
        window.streams = [];
        window.EventSource = class extends EventSource {
          constructor(address) { super(address); window.streams.push(this); }
        };";
    page.script(code, vec![]).await;
}

/// How many streams the page has opened since they are remembered, and how many of them are not closed.
async fn streams(page: &Page) -> (u64, u64) {
    let code = "return [window.streams.length, window.streams.filter((stream) => stream.readyState !== 2).length]";
    let counts = page.script(code, vec![]).await;
    (counts[0].as_u64().unwrap(), counts[1].as_u64().unwrap())
}

#[tokio::test]
async fn a_change_through_another_process_comes_to_the_open_page() {
    let twins = Twins::start();
    browse(&twins.one, Browser::KOREAN, async |here| {
        here.join("twin", "쌍둥이").await;
        browse(&twins.two, Browser::KOREAN, async |there| {
            there.log_in("twin", "correct horse").await;
            there.at("/dashboard").await;
            there.goto("/instances").await;
            there.mark().await;
            live(there).await;
            // The empty list has neither rows nor totals.
            here.rent("far-away").await;
            there.see(&row("far-away")).await;
            there.settles("far-away", "active", Duration::from_secs(20)).await;
            here.goto("/applications").await;
            live(here).await;
            there.deploy("from-there", "hello:1").await;
            here.see(&row("from-there")).await;
            there.goto("/dashboard").await;
            live(there).await;
            here.goto("/instances").await;
            let id = here.instance("far-away").await;
            here.click(&format!("#instance-{id}-stop")).await;
            there.settles("far-away", "stopped", Duration::from_secs(20)).await;
            // The numbers above the list and the bars beside it go with it.
            let lang = Lang::Ko;
            let sum = lang.tv("dashboard.sum", &[("total", "1"), ("running", "0")]).into_owned();
            there.reads("#dashboard-instances .card__sum", &sum).await;
            here.rent("one-more").await;
            there.reads("#dashboard-quota", "2 / ").await;
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_change_does_not_disturb_who_works_on_the_page() {
    let twins = Twins::start();
    browse(&twins.one, Browser::KOREAN, async |here| {
        here.join("busy", "바쁨").await;
        here.rent("first").await;
        here.settles("first", "active", Duration::from_secs(20)).await;
        live(here).await;
        browse(&twins.two, Browser::KOREAN, async |there| {
            there.log_in("busy", "correct horse").await;
            there.at("/dashboard").await;
            here.fill("#search", "half a wo").await;
            there.rent("second").await;
            here.see(&row("second")).await;
            here.type_keys("rd").await;
            assert_eq!(here.value("#search").await, "half a word", "what is typed stays, and so does the focus");
            let id = here.instance("first").await;
            here.click(&format!("#instance-{id}-delete")).await;
            here.see("dialog#confirm[open]").await;
            there.rent("third").await;
            here.see(&row("third")).await;
            assert!(here.is_seen("dialog#confirm[open]").await, "the question is still asked");
            here.key(Key::Escape).await;
            here.gone("dialog#confirm[open]").await;
            // A menu that is open.
            here.click("details.account summary").await;
            there.goto("/instances").await;
            let second = there.instance("second").await;
            there.settles("second", "active", Duration::from_secs(20)).await;
            there.click(&format!("#instance-{second}-stop")).await;
            here.settles("second", "stopped", Duration::from_secs(20)).await;
            assert!(here.is_seen("details.account[open] .menu").await, "the menu is still open");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_hidden_tab_has_no_stream_and_catches_up_when_it_is_shown() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("hider", "숨김").await;
        page.rent("seen").await;
        page.settles("seen", "active", Duration::from_secs(20)).await;
        live(page).await;
        remember_streams(page).await;
        hide(page, true).await;
        page.has("[data-live]", "data-live", "off").await;
        hide(page, false).await;
        live(page).await;
        assert_eq!(streams(page).await, (1, 1));
        hide(page, true).await;
        assert_eq!(streams(page).await, (1, 0), "the stream is closed");
        let id = page.instance("seen").await;
        // Another tab of the same person.
        let code = "
            const [path, done] = arguments;
            const csrf_token = document.querySelector('[name=csrf_token]').value;
            fetch(path, { method: 'POST', body: new URLSearchParams({ csrf_token }) }).then((answer) => done(answer.status));";
        let stopped = page.later(code, vec![json!(format!("/instances/{id}/stop"))]).await;
        assert_eq!(stopped, json!(200));
        assert_eq!(streams(page).await, (1, 0));
        page.settles("seen", "active", Duration::from_secs(1)).await;
        hide(page, false).await;
        page.settles("seen", "stopped", Duration::from_secs(20)).await;
        live(page).await;
        assert_eq!(streams(page).await, (2, 1), "one stream, opened once");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_dies_is_told_and_comes_back_with_what_was_missed() {
    let twins = Twins::start();
    browse(&twins.one, Browser::KOREAN, async |here| {
        here.join("left", "끊김").await;
        here.rent("before").await;
        here.settles("before", "active", Duration::from_secs(20)).await;
        live(here).await;
        here.mark().await;
        browse(&twins.two, Browser::KOREAN, async |there| {
            there.log_in("left", "correct horse").await;
            there.at("/dashboard").await;
            twins.one.stop();
            here.has("[data-live]", "data-live", "trying").await;
            let said = Lang::Ko.t1("layout.live_trying", "n", 15).into_owned();
            here.reads("[data-live]", &said).await;
            here.reads("#said", &Lang::Ko.t("layout.live_lost")).await;
            there.rent("meanwhile").await;
            twins.one.run();
            live(here).await;
            here.see(&row("meanwhile")).await;
            here.reads("#said", &Lang::Ko.t("layout.live_back")).await;
            here.gone("#lost").await;
            assert!(here.is_marked().await, "without a new page");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn who_logs_out_in_one_tab_is_out_in_the_other() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("leaver", "나감").await;
        page.goto("/instances").await;
        live(page).await;
        let code = "
            const done = arguments[0];
            const csrf_token = document.querySelector('[name=csrf_token]').value;
            fetch('/logout', { method: 'POST', body: new URLSearchParams({ csrf_token }) }).then(() => done(true));";
        page.later(code, vec![]).await;
        page.at("/login").await;
    })
    .await;
}
