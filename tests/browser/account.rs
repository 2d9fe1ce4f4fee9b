//! One's own account.

use fast_cloud::web::page::Lang;

use crate::support::{Browser, Portal, browse};

const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl haneul@laptop";

#[tokio::test]
async fn name_key_and_password_can_be_changed() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        let lang = Lang::Ko;
        page.join("profile", "처음이름").await;
        page.click("details.account summary").await;
        page.press(&lang.t("layout.profile")).await;
        page.at("/profile").await;

        page.fill("#name", "").await;
        page.click("form[action='/profile/name'] button").await;
        page.reads("#name-error", &lang.t("validation.name.missing")).await;
        page.fill("#name", "바뀐이름").await;
        page.click("form[action='/profile/name'] button").await;
        page.reads("#toasts", &lang.t("notice.name_changed")).await;
        page.reads(".account__who", "바뀐이름").await;

        // A private key pasted by mistake is told apart, and not repeated to anybody.
        page.press(&lang.t("profile.add")).await;
        page.fill("#key_name", "내 노트북").await;
        page.fill("#public_key", "not a key").await;
        page.press(&lang.t("profile.add_submit")).await;
        page.reads("#public_key-error", &lang.t("validation.public_key.invalid")).await;
        assert_eq!(page.value("#key_name").await, "내 노트북", "what was typed stays");
        page.fill("#public_key", PUBLIC_KEY).await;
        page.press(&lang.t("profile.add_submit")).await;
        page.reads("#toasts", &lang.t("notice.key_added")).await;
        page.reads(".key-row", "내 노트북").await;
        page.reads(".key-row__print", "SHA256:").await;
        // It is what a mini PC gets.
        page.goto("/instances/new").await;
        page.reads("#launch-form details.fold summary", "내 노트북").await;
        page.goto("/profile").await;
        page.click(".key-row details.sure summary").await;
        page.press(&lang.t("profile.key_delete_confirm")).await;
        page.reads("#toasts", &lang.t("notice.key_deleted")).await;
        assert_eq!(page.count(".key-row").await, 0);

        let password = async |current: &str, new: &str| {
            page.fill("#current_password", current).await;
            page.fill("#password", new).await;
            page.fill("#password_confirm", new).await;
            page.click("form[action='/profile/password'] .form__foot button").await;
        };
        password("wrong horse", "battery staple").await;
        page.reads("#current_password-error", &lang.t("validation.current_password.wrong")).await;
        password("correct horse", "short").await;
        page.reads("#password-error", &lang.t("validation.password.short")).await;
        password("correct horse", "battery staple").await;
        page.reads("#toasts", &lang.t("notice.password_changed")).await;
        page.log_out().await;
        page.log_in("profile", "correct horse").await;
        page.reads("#login-error", &lang.t("login.wrong")).await;
        page.log_in("profile", "battery staple").await;
        page.at("/dashboard").await;
        page.reads(".account__who", "바뀐이름").await;
    })
    .await;
}

#[tokio::test]
async fn a_password_can_be_looked_at_and_the_menu_closes() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.goto("/login").await;
        page.fill("#password", "secret words").await;
        page.click(".secret-input button").await;
        page.has("#password", "type", "text").await;
        page.click(".secret-input button").await;
        page.has("#password", "type", "password").await;
        page.join("menu", "메뉴").await;
        page.click("details.account summary").await;
        page.see("details.account .menu").await;
        page.key(fantoccini::key::Key::Escape).await;
        page.gone("details.account .menu").await;
        assert!(page.is_focused("details.account summary").await);
        page.click("details.account summary").await;
        page.see("details.account .menu").await;
        page.click("h1").await;
        page.gone("details.account .menu").await;
    })
    .await;
}
