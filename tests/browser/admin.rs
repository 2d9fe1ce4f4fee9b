//! The first admin, and what an admin changes for everybody.

use fast_cloud::web::page::Lang;

use crate::support::page::row;
use crate::support::{Browser, Portal, browse};

#[tokio::test]
async fn the_first_admin_edits_a_template_and_students_see_it() {
    let portal = Portal::start(&[]);
    browse(&portal, Browser::KOREAN, async |page| {
        let lang = Lang::Ko;
        // The link that the binary printed.
        let link = portal.setup_link();
        page.goto(link).await;
        page.reads("h1", &lang.t("setup.title")).await;
        page.fill("#login_id", "teacher").await;
        page.fill("#password", "chalk and talk").await;
        page.fill("#password_confirm", "chalk and talk").await;
        page.fill("#name", "선생님").await;
        page.fill_date("#birth_date", "1980-01-01").await;
        page.press(&lang.t("setup.submit")).await;
        page.at("/login").await;
        page.reads("#toasts", &lang.t("notice.admin_created")).await;
        page.goto(link).await;
        assert_eq!(page.text(".fail__code").await, "404", "the link works once");

        page.log_in("teacher", "chalk and talk").await;
        page.at("/dashboard").await;
        page.press(&lang.t("nav.templates")).await;
        page.at("/admin/templates").await;
        page.press("Nano").await;
        page.fill("#purpose_ko", "운영체제 수업").await;
        page.fill("#purpose_en", "Operating systems class").await;
        page.select("#flavor", "m1.tiny").await;
        page.press(&lang.t("templates.submit")).await;
        page.at("/admin/templates").await;
        page.reads(&row("Nano"), "운영체제 수업").await;
        page.press("Pro").await;
        page.click("[name=enabled]").await;
        page.press(&lang.t("templates.submit")).await;
        page.at("/admin/templates").await;
        page.reads(&row("Pro"), &lang.t("templates.state_off")).await;
        page.press(&lang.t("templates.new")).await;
        page.press(&lang.t("templates.submit")).await;
        page.reads("#name-error", &lang.t("validation.template_form.name_missing")).await;
        page.fill("#name", "Class <1>").await;
        page.press(&lang.t("templates.submit")).await;
        page.reads("#name-error", &lang.t("validation.template_form.characters")).await;
        page.press(&lang.t("nav.cloud")).await;
        page.at("/admin/cloud").await;
        page.reads("h1", &lang.t("cloud.answering")).await;
        page.log_out().await;

        page.join("pupil", "학생").await;
        assert_eq!(page.count(".nav a[href^='/admin']").await, 0, "no menu for students");
        page.goto("/instances/new").await;
        assert_eq!(page.count(".template-card").await, 2, "what is hidden is not offered");
        page.reads(".template-card", "운영체제 수업").await;
        page.reads(".template-card", "1 GB").await;
        page.choose_language(Lang::En).await;
        page.reads(".template-card", "Operating systems class").await;
        page.at("/instances/new").await;
    })
    .await;
}
