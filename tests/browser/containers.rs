//! Containers, from the form to an address that answers and back to none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fast_cloud::web::page::Lang;
use serde_json::json;

use crate::support::page::row;
use crate::support::{Browser, Page, Portal, browse};

/// A practice container does everything within this.
const SOON: Duration = Duration::from_secs(25);

/// What a practice container logs at its start.
const LISTENS: &str = "Listening on 0.0.0.0:80";

const SUBMIT: &str = "#deploy-form button.btn--primary";

/// Asks a container again and again; every answer that it gave, and how often in a row.
async fn ask_all_the_time(portal: Arc<Portal>, label: String, stop: Arc<AtomicBool>) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (status, text) = portal.knock(&label).await;
        let said = if text.contains("Hello again from") {
            "2"
        } else if text.contains("Hello from") {
            "1"
        } else {
            "?"
        };
        answers.push((status, said.to_owned()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    answers
}

/// From an empty list to a container whose address answers, to its next version, and back to an empty list. `logged`
/// stands in its log after it was opened; everything happens within `limit`.
pub async fn deploy_use_change_and_delete(
    page: &Page,
    portal: &Arc<Portal>,
    lang: Lang,
    (name, label): (&str, &str),
    logged: &str,
    limit: Duration,
) {
    let address = portal.address_of(label);
    page.goto("/applications").await;
    page.reads("#application-list", &lang.t("applications.empty_title")).await;
    page.press(&lang.t("applications.start_one")).await;
    page.at("/applications/new").await;
    page.mark().await;
    // The address is shown while the name is typed, and the port while the image is.
    page.fill("#name", name).await;
    page.reads("#name-check", &address).await;
    page.reads("#name-check", &lang.t("applications.new.url_free")).await;
    page.reads("#route-url", &address).await;
    page.fill("#image", "hello:1").await;
    page.reads(".found__title", &lang.t1("applications.new.found", "port", 80)).await;
    page.reads("[data-echo=image]", "hello:1").await;
    page.reads("#internal_port-hint", &lang.t("applications.new.internal_found")).await;
    page.click(SUBMIT).await;
    page.at("/applications").await;
    page.settles(name, "pending", limit).await;
    page.settles(name, "running", limit).await;
    page.until_for(limit, "the address to answer", &mut async || {
        portal.knock(label).await.1.contains("Hello from").then_some(())
    })
    .await;

    // In a tab of its own, which can't reach back to the portal.
    let id = page.container(name).await;
    page.click(&format!("{}//a[contains(@class,'resource-row__name')]", row(name))).await;
    page.at(&format!("/applications/{id}")).await;
    page.click("#open-url").await;
    page.last_tab().await;
    page.reads("body", "Hello from").await;
    assert_eq!(page.script("return [window.opener, location.origin]", vec![]).await, json!([null, address]));
    page.close_tab().await;
    page.reads("#log-state", &lang.t("applications.log.following")).await;
    page.reads("#log-lines", logged).await;
    page.reads("#cluster-events", &lang.t("cluster_events.started")).await;

    // The next version: not one request fails in between.
    let stop = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn(ask_all_the_time(portal.clone(), label.to_owned(), stop.clone()));
    page.click(&format!("#application-{id}-edit")).await;
    page.at(&format!("/applications/{id}/edit")).await;
    page.fill("#image", "hello:2").await;
    page.see(".found").await;
    page.click(SUBMIT).await;
    page.at(&format!("/applications/{id}")).await;
    page.reads(".page__lead", "hello:2").await;
    page.until_for(limit, "the new version to answer", &mut async || {
        portal.knock(label).await.1.contains("Hello again from").then_some(())
    })
    .await;
    // Both answer until the rollout has ended; then the old one never does again.
    page.until_for(limit, "the rollout to end", &mut async || {
        (page.count(".page__title .status-badge--busy").await == 0).then_some(())
    })
    .await;
    page.has(".page__title [data-status]", "data-status", "running").await;
    page.until_for(limit, "the old version to be silent", &mut async || {
        for _ in 0..20 {
            if !portal.knock(label).await.1.contains("Hello again from") {
                return None;
            }
        }
        Some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let answers = asking.await.unwrap();
    assert!(answers.len() > 20, "{}", answers.len());
    let failed: Vec<_> = answers.iter().filter(|(status, said)| *status != 200 || said == "?").collect();
    assert!(failed.is_empty(), "{failed:?} of {} requests", answers.len());
    let (first, last) = (&answers[0].1, &answers[answers.len() - 1].1);
    assert_eq!((first.as_str(), last.as_str()), ("1", "2"));
    page.reads(".facts", &lang.t1("applications.show.revision_text", "n", 2)).await;

    page.click(&format!("#application-{id}-delete")).await;
    page.reads("dialog[open] h1", name).await;
    page.click("dialog[open] button.btn--danger").await;
    page.until_for(limit, "the list", &mut async || (page.here().await == "/applications").then_some(())).await;
    page.until_for(limit, "the row to be gone", &mut async || (page.count(&row(name)).await == 0).then_some(())).await;
    page.until_for(limit, "its address to be nobody's", &mut async || {
        (portal.knock(label).await.0 == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn in_korean() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("container-ko", "하늘").await;
        page.press(&Lang::Ko.t("applications.start_one")).await;
        page.at("/applications/new").await;
        deploy_use_change_and_delete(page, &portal, Lang::Ko, ("Hello World_1", "hello-world-1"), LISTENS, SOON).await;
    })
    .await;
}

#[tokio::test]
async fn in_english() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.goto("/").await;
        page.choose_language(Lang::En).await;
        page.join("container-en", "Sky").await;
        deploy_use_change_and_delete(page, &portal, Lang::En, ("hello-en", "hello-en"), LISTENS, SOON).await;
    })
    .await;
}

#[tokio::test]
async fn without_javascript() {
    let portal = Portal::shared();
    browse(&portal, Browser::WITHOUT_SCRIPTS, async |page| {
        let lang = Lang::Ko;
        page.goto("/signup").await;
        page.fill("#login_id", "container-plain").await;
        page.fill("#password", "correct horse").await;
        page.fill("#password_confirm", "correct horse").await;
        page.fill("#name", "하늘").await;
        page.fill_keys("#birth_date", "05172004").await;
        page.press(&lang.t("signup.submit")).await;
        page.at("/login").await;
        page.log_in("container-plain", "correct horse").await;
        page.at("/dashboard").await;
        page.press(&lang.t("applications.start_one")).await;
        page.at("/applications/new").await;
        assert_eq!(
            (page.value("#internal_port").await, page.value("#external_port").await),
            ("80".into(), "80".into())
        );
        page.fill("#name", "plain").await;
        page.fill("#image", "ngnix").await;
        page.click(SUBMIT).await;
        page.reads("#image-error", "컨테이너 이미지를 찾을 수 없습니다. 이미지 주소를 확인해주세요.").await;
        assert_eq!(page.value("#name").await, "plain");
        page.fill("#image", "hello:1").await;
        page.click(SUBMIT).await;
        page.at("/applications").await;
        page.settles_by_reloading("plain", "running", SOON).await;
        assert!(portal.knock("plain").await.1.contains("Hello from"));
        let id = page.container("plain").await;
        page.goto(&format!("/applications/{id}")).await;
        page.press(&lang.t("applications.log.without_script")).await;
        page.reads("#log-lines", "Listening on 0.0.0.0:80").await;
        page.goto(&format!("/applications/{id}")).await;
        page.press(&lang.t("applications.show.cluster_events_open")).await;
        page.reads("#cluster-events", &lang.t("cluster_events.started")).await;
        page.goto(&format!("/applications/{id}/edit")).await;
        page.fill("#image", "hello:2").await;
        page.click(SUBMIT).await;
        page.at(&format!("/applications/{id}")).await;
        page.until_for(SOON, "the new version to answer", &mut async || {
            portal.knock("plain").await.1.contains("Hello again from").then_some(())
        })
        .await;
        for (verb, status) in [("stop", "stopped"), ("start", "running")] {
            page.goto("/applications").await;
            page.until("it to be offered", async || {
                if page.count(&format!("#application-{id}-{verb}")).await > 0 {
                    return Some(());
                }
                page.reload().await;
                None
            })
            .await;
            page.click(&format!("#application-{id}-{verb}")).await;
            page.at("/applications").await;
            page.settles_by_reloading("plain", status, SOON).await;
        }
        page.click(&format!("#application-{id}-delete")).await;
        page.at(&format!("/applications/{id}/delete")).await;
        page.press(&lang.t("applications.delete_page.submit")).await;
        page.at("/applications").await;
        page.until("the row to be gone", async || {
            if page.count(&row("plain")).await == 0 {
                return Some(());
            }
            page.reload().await;
            None
        })
        .await;
        assert_eq!(portal.knock("plain").await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_port_is_found_and_mended_by_a_click() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("wrong-port", "항구").await;
        page.goto("/applications/new").await;
        page.fill("#name", "chat-bot").await;
        page.fill("#image", "me/express:1").await;
        page.see(".found").await;
        page.fill("#internal_port", "81").await;
        page.reads("[data-echo=internal_port]", "81").await;
        page.click(SUBMIT).await;
        page.at("/applications").await;
        page.settles("chat-bot", "failed", Duration::from_secs(60)).await;
        let sentence = "앱은 3000번 포트에서 기다리는데, 주소는 81번 포트로 이어져 있어요.";
        page.reads(".resource-row__why", sentence).await;
        let id = page.container("chat-bot").await;
        page.goto(&format!("/applications/{id}")).await;
        page.mark().await;
        page.reads("#problem h2", sentence).await;
        page.reads(".route [data-status=failed]", "내부 포트 81").await;
        page.press("내부 포트를 3000번으로 바꾸고 다시 배포").await;
        page.has(".page__title [data-status]", "data-status", "running").await;
        let label = Lang::Ko.t("status.running");
        page.reads(".page__title [data-status]", &label).await;
        page.gone("#problem").await;
        assert!(page.is_marked().await, "on the same page");
        assert_eq!(portal.knock("chat-bot").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn a_hostile_log_stays_text() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("loud", "소리").await;
        page.deploy("loud", "me/loud:1").await;
        page.settles("loud", "running", SOON).await;
        let id = page.container("loud").await;
        for path in [format!("/applications/{id}"), format!("/applications/{id}/logs")] {
            page.goto(&path).await;
            page.reads("#log-state", &Lang::Ko.t("applications.log.following")).await;
            page.reads("#log-lines", "<script>alert('from a log')</script><img src=x onerror=alert(1)>").await;
            let made = "return document.querySelectorAll('#log-lines :not(li, time, span)').length";
            assert_eq!(page.script(made, vec![]).await, 0, "nothing but lines");
            assert_ne!(page.script("return document.title", vec![]).await, "another title");
        }
        // It goes on, rests at a click, and goes on from there.
        page.reads("#log-lines", "Still running").await;
        page.click("#log-pause").await;
        page.reads("#log-state", &Lang::Ko.t("applications.log.paused")).await;
        let lines = page.count("#log-lines li").await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(page.count("#log-lines li").await, lines, "it rests");
        page.click("#log-pause").await;
        page.reads("#log-state", &Lang::Ko.t("applications.log.following")).await;
        page.until("more lines", async || (page.count("#log-lines li").await > lines).then_some(())).await;
    })
    .await;
}

#[tokio::test]
async fn a_log_ends_when_its_reader_logs_out_elsewhere() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("two-tabs", "두탭").await;
        page.deploy("talker", "hello:1").await;
        page.settles("talker", "running", SOON).await;
        let id = page.container("talker").await;
        page.goto(&format!("/applications/{id}/logs")).await;
        page.reads("#log-state", &Lang::Ko.t("applications.log.following")).await;
        let leave = "
            const done = arguments[0];
            const csrf_token = document.querySelector('form[action=\"/logout\"] [name=csrf_token]').value;
            fetch('/logout', { method: 'POST', body: new URLSearchParams({ csrf_token }) }).then(() => done(true));";
        page.later(leave, vec![]).await;
        page.reads("#log-message", &Lang::Ko.t("applications.log.signed_out")).await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_cluster_is_unknown_and_recovers() {
    let portal = Portal::start(&[("FASTCLOUD_SYNC__INTERVAL_SECONDS", "2")]);
    browse(&portal, Browser::KOREAN, async |page| {
        let lang = Lang::Ko;
        page.join("patient", "기다림").await;
        page.deploy("quiet", "hello:1").await;
        page.settles("quiet", "running", SOON).await;
        portal.break_cluster();
        page.settles("quiet", "unknown", Duration::from_secs(40)).await;
        page.reads("tr.resource-row", "확인되지 않아요").await;
        let id = page.container("quiet").await;
        page.goto(&format!("/applications/{id}")).await;
        page.reads("#problem", &lang.t("applications.show.unknown_hint")).await;
        page.reads("#cluster-events", &lang.t("applications.show.cluster_events_failed")).await;
        page.reads("#log-message", &lang.t("applications.log.trouble")).await;
        // Only its card.
        page.goto("/dashboard").await;
        page.see("#dashboard-applications .card__note").await;
        assert_eq!(page.count("#dashboard-instances .card__note").await, 0);
        portal.mend_cluster();
        page.goto("/applications").await;
        page.settles("quiet", "running", Duration::from_secs(60)).await;
    })
    .await;
}
