//! What may go wrong while renting, and the key that comes with it.

use std::time::Duration;

use fast_cloud::web::page::Lang;

use crate::support::page::row;
use crate::support::{Browser, Portal, browse};

const SUBMIT: &str = "#launch-form button.btn--primary";

#[tokio::test]
async fn a_double_click_rents_one() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("double", "두리").await;
        page.goto("/instances/new").await;
        page.fill("#name", "once-only").await;
        page.double_click(SUBMIT).await;
        page.at("/instances").await;
        page.settles("once-only", "active", Duration::from_secs(20)).await;
        page.reload().await;
        assert_eq!(page.count("tr.resource-row").await, 1);
        assert_eq!(portal.machines("once-only"), 1);
    })
    .await;
}

#[tokio::test]
async fn an_empty_name_is_said_and_not_sent() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("nameless", "무명").await;
        page.goto("/instances/new").await;
        page.fill("#name", "   ").await;
        page.mark().await;
        page.click(SUBMIT).await;
        page.reads("#name-error", "미니 PC 이름을 입력해주세요.").await;
        assert_eq!(page.attribute("#name", "aria-invalid").await.as_deref(), Some("true"));
        assert!(page.attribute("#name", "aria-describedby").await.unwrap().contains("name-error"));
        assert!(page.is_focused("#name").await);
        let below = "const [field, error] = ['name', 'name-error'].map((id) => document.getElementById(id));
            return error.getBoundingClientRect().top >= field.getBoundingClientRect().bottom";
        assert_eq!(page.script(below, vec![]).await, true, "the sentence stands below the field");
        let sent = "return performance.getEntriesByType('resource').filter((e) => e.initiatorType === 'xmlhttprequest' \
                    || e.initiatorType === 'fetch').length";
        assert_eq!(page.script(sent, vec![]).await, 0, "nothing was sent");
        assert!(page.is_marked().await);
        // What is typed then takes the sentence away.
        page.fill_keys("#name", "named").await;
        page.gone("#name-error").await;
        page.goto("/instances").await;
        assert_eq!(page.count("tr.resource-row").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_name_that_the_server_refuses_comes_back() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("refused", "거절").await;
        page.goto("/instances/new").await;
        page.mark().await;
        page.fill("#name", "<b>bold</b>").await;
        page.click(SUBMIT).await;
        page.reads("#name-error", &Lang::Ko.t("validation.instance_name.characters")).await;
        assert_eq!(page.value("#name").await, "<b>bold</b>");
        assert!(page.is_marked().await, "only the form came");
        page.until("the field to be focused", async || page.is_focused("#name").await.then_some(())).await;
        page.fill("#name", "plain").await;
        page.click(SUBMIT).await;
        page.at("/instances").await;
        page.see(&row("plain")).await;
    })
    .await;
}

#[tokio::test]
async fn a_full_quota_is_said_in_its_sentence() {
    const SENTENCE: &str = "할당된 리소스를 초과하여 미니 PC 대여가 불가능합니다.";
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("greedy", "욕심").await;
        page.rent("one").await;
        page.rent("two").await;
        // The form was opened while there was room; the room was taken in another tab.
        page.goto("/instances/new").await;
        page.fill("#name", "four").await;
        page.new_tab().await;
        page.rent("three").await;
        page.close_tab().await;
        page.click(SUBMIT).await;
        page.reads("#launch-error", SENTENCE).await;
        assert_eq!(page.value("#name").await, "four");
        // And from then on it is said at once.
        page.goto("/instances/new").await;
        page.reads("#launch-error", SENTENCE).await;
        assert_eq!(page.attribute(SUBMIT, "disabled").await.as_deref(), Some("true"));
        page.goto("/instances").await;
        assert_eq!(page.count("tr.resource-row").await, 3);
        assert_eq!(portal.machines("four"), 0);
    })
    .await;
}

#[tokio::test]
async fn the_private_key_is_given_once() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("keyholder", "열쇠").await;
        page.rent("locked").await;
        page.reads("#secret", "개인 키를 지금 내려받으세요").await;
        page.mark().await;
        page.click("#secret button").await;
        let key = page
            .until("the key's file", async || {
                let mut files = std::fs::read_dir(&page.downloads).ok()?.filter_map(Result::ok);
                let file = files.find(|file| file.path().extension().is_some_and(|end| end == "pem"))?;
                let text = std::fs::read_to_string(file.path()).ok()?;
                text.contains("END OPENSSH PRIVATE KEY").then(|| (file.file_name().into_string().unwrap(), text))
            })
            .await;
        assert!(key.1.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
        page.gone("#secret").await;
        assert!(page.is_marked().await, "the page stayed where it was");
        page.reload().await;
        page.settles("locked", "active", Duration::from_secs(20)).await;
        assert_eq!(page.count("#secret").await, 0, "not again");
        // The command names the file.
        let id = page.instance("locked").await;
        page.goto(&format!("/instances/{id}")).await;
        page.reads(".copy__text", &key.0).await;
        // The second one has the key already.
        page.rent("locked-too").await;
        assert_eq!(page.count("#secret").await, 0);
    })
    .await;
}

#[tokio::test]
async fn anothers_mini_pc_is_not_there() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("owner", "주인").await;
        page.rent("mine").await;
        let id = page.instance("mine").await;
        page.log_out().await;
        // Signed out, it leads to the log-in page.
        page.goto(&format!("/instances/{id}")).await;
        assert_eq!(page.here().await, format!("/login?next=%2Finstances%2F{id}"));
        page.join("stranger", "손님").await;
        for path in [format!("/instances/{id}"), format!("/instances/{id}/delete"), "/admin/templates".to_owned()] {
            page.goto(&path).await;
            assert_eq!(page.text(".fail__code").await, "404", "{path}");
            page.reads("h1", &Lang::Ko.t("errors.404.title")).await;
        }
        page.goto("/instances").await;
        assert_eq!(page.count("tr.resource-row").await, 0);
    })
    .await;
}
