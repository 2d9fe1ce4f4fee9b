//! Every page in both languages and both themes, checked by axe-core; and that none has to be scrolled sideways.

use std::time::Duration;

use fast_cloud::web::page::Lang;
use serde_json::{Value, json};

use crate::support::{Browser, Page, Portal, browse_for};

const AXE: &str = include_str!("vendor/axe-core-4.14.1/axe.min.js");

/// What axe finds on the page as it is, in both themes.
async fn check(page: &Page, what: &str, found: &mut Vec<String>) {
    let wide = "const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth - clientWidth";
    let wide = page.script(wide, vec![]).await;
    if wide != 0 {
        found.push(format!("{what}: {wide} pixels wider than the window"));
    }
    for theme in ["light", "dark"] {
        let code = "
            const [theme, done] = arguments;
            document.documentElement.dataset.theme = theme;
            axe.run({ resultTypes: ['violations'] }).then(
              ({ violations }) => done(violations.map(({ id, help, nodes }) => `${id}: ${help}: ` + nodes.map((node) =>
                `${node.target} ${node.any.map((check) => check.message).join(' ')}`).join(' | '))),
              (error) => done([`axe failed: ${error}`]));";
        let violations = page.later(code, vec![json!(theme)]).await;
        for violation in violations.as_array().expect("a list").iter().filter_map(Value::as_str) {
            found.push(format!("{what}, {theme}: {violation}"));
        }
    }
}

/// The pages of containers: empty, full, failing.
async fn containers(page: &Page, found: &mut Vec<String>) {
    let soon = Duration::from_secs(40);
    page.goto("/applications").await;
    check(page, "containers, empty", found).await;
    page.goto("/applications/new").await;
    check(page, "start a container", found).await;
    page.fill("#name", "web").await;
    page.see("#name-check b").await;
    page.fill("#image", "ghost:5").await;
    page.see(".found").await;
    page.click("details.fold summary").await;
    check(page, "start a container, looked at", found).await;
    page.fill("#name", "www").await;
    page.see("#name-error").await;
    page.fill("#image", "limited").await;
    page.see(".found--warn").await;
    check(page, "start a container, with a warning", found).await;
    page.fill("#variables", "no value").await;
    page.fill("#image", "nginx-missing").await;
    page.see("#image-error").await;
    page.click("#deploy-form button.btn--primary").await;
    page.see("#variables-error").await;
    check(page, "start a container, with errors", found).await;
    page.deploy("web", "hello:1").await;
    page.settles("web", "running", soon).await;
    page.goto("/applications/new").await;
    for (field, value) in [("#name", "wrong"), ("#image", "me/express:1"), ("#internal_port", "81")] {
        page.fill(field, value).await;
    }
    page.click("#deploy-form button.btn--primary").await;
    page.at("/applications").await;
    page.settles("wrong", "failed", soon).await;
    page.deploy("crash", "me/crash:1").await;
    page.settles("crash", "failed", soon).await;
    page.deploy("loopback", "me/loopback:1").await;
    page.settles("loopback", "failed", soon).await;
    check(page, "containers", found).await;
    let mut ids = Vec::new();
    for name in ["web", "wrong", "crash", "loopback"] {
        ids.push((name, page.container(name).await));
    }
    page.goto("/applications?search=nothing").await;
    check(page, "containers, nothing found", found).await;
    for (name, id) in &ids {
        page.goto(&format!("/applications/{id}")).await;
        page.see("#cluster-events li").await;
        page.see("#log-lines li").await;
        page.script("for (const fold of document.querySelectorAll('main details')) fold.open = true", vec![]).await;
        check(page, &format!("container {name}"), found).await;
    }
    let web = &ids[0].1;
    for part in ["edit", "logs", "events", "delete"] {
        page.goto(&format!("/applications/{web}/{part}")).await;
        page.script("for (const fold of document.querySelectorAll('main details')) fold.open = true", vec![]).await;
        check(page, &format!("container, {part}"), found).await;
    }
    page.goto("/applications").await;
    page.click(&format!("#application-{web}-delete")).await;
    page.see("dialog[open]").await;
    check(page, "container, delete, in the dialog", found).await;
    page.goto("/dashboard").await;
    check(page, "dashboard with containers", found).await;
}

async fn every_page(lang: Lang, size: (u32, u32)) {
    let settings = [("FASTCLOUD_PRACTICE__BUILD_SECONDS", "3"), ("FASTCLOUD_SYNC__INTERVAL_SECONDS", "2")];
    let portal = Portal::start(&settings);
    browse_for(&portal, Browser::KOREAN, Duration::from_secs(400), async |page| {
        let mut found = Vec::new();
        page.chromium("Page.addScriptToEvaluateOnNewDocument", json!({ "source": AXE })).await;
        page.prefer("light", "reduce").await;
        page.size(size.0, size.1).await;
        page.goto("/").await;
        page.choose_language(lang).await;
        check(page, "landing", &mut found).await;
        page.goto("/signup").await;
        check(page, "sign-up", &mut found).await;
        page.fill("#login_id", "A!").await;
        page.fill("#password", "short").await;
        page.press(&lang.t("signup.submit")).await;
        page.see("#birth_date-error").await;
        check(page, "sign-up with errors", &mut found).await;
        page.log_in("nobody", "nothing").await;
        page.see("#login-error").await;
        check(page, "log-in", &mut found).await;
        page.goto("/nowhere").await;
        check(page, "404", &mut found).await;

        page.join("axe-student", "접근성").await;
        check(page, "dashboard, empty", &mut found).await;
        page.goto("/instances").await;
        check(page, "list, empty", &mut found).await;
        page.goto("/instances/new").await;
        check(page, "rent", &mut found).await;
        page.fill("#name", "<>").await;
        page.click("#launch-form button.btn--primary").await;
        page.see("#name-error").await;
        check(page, "rent with an error", &mut found).await;
        page.rent("first").await;
        let first = page.instance("first").await;
        page.goto(&format!("/instances/{first}")).await;
        check(page, "detail", &mut found).await;
        page.goto("/instances").await;
        page.settles("first", "active", Duration::from_secs(20)).await;
        page.rent("second").await;
        page.rent("third").await;
        page.settles("second", "active", Duration::from_secs(20)).await;
        page.settles("third", "active", Duration::from_secs(20)).await;
        portal.with_machines(|machines| {
            for machine in machines.iter_mut().filter(|machine| machine["name"] == "second") {
                machine["then"] = json!("error");
                machine["fault"] = json!("No valid host was found. There are not enough hosts available.");
            }
        });
        page.settles("second", "error", Duration::from_secs(20)).await;
        check(page, "list", &mut found).await;
        page.click(&format!("#instance-{first}-delete")).await;
        page.see("dialog[open]").await;
        check(page, "delete, in the dialog", &mut found).await;
        page.goto(&format!("/instances/{first}/delete")).await;
        check(page, "delete, the page", &mut found).await;
        page.goto(&format!("/instances/{first}")).await;
        check(page, "detail, running", &mut found).await;
        page.goto("/instances").await;
        let second = page.instance("second").await;
        page.goto(&format!("/instances/{second}")).await;
        check(page, "detail, error", &mut found).await;
        page.goto("/instances/new").await;
        check(page, "rent, quota full", &mut found).await;
        page.goto("/instances?search=nothing").await;
        check(page, "list, nothing found", &mut found).await;
        page.goto("/dashboard").await;
        check(page, "dashboard", &mut found).await;
        containers(page, &mut found).await;
        page.goto("/buckets").await;
        check(page, "buckets, empty", &mut found).await;
        page.goto("/buckets/new").await;
        check(page, "new bucket", &mut found).await;
        page.fill("#name", "axe-bucket").await;
        page.click("#bucket-form button.btn--primary").await;
        page.at("/buckets").await;
        check(page, "buckets", &mut found).await;
        page.goto("/buckets/axe-bucket").await;
        check(page, "bucket, empty", &mut found).await;
        let desk = crate::buckets::desk();
        let files = ["data.csv", "big.bin"].map(|name| desk.path().join(name).to_str().unwrap().to_owned());
        page.fill_keys("#upload-file", &files.join("\n")).await;
        page.until("the files", async || (page.count("#files tbody tr").await == 2).then_some(())).await;
        check(page, "bucket, with the tray", &mut found).await;
        page.click("#files tbody .check").await;
        check(page, "bucket, one chosen", &mut found).await;
        page.goto("/buckets/axe-bucket/file?key=data.csv").await;
        page.click("//section[@id='links']//form//button").await;
        page.see(".links__item").await;
        check(page, "file", &mut found).await;
        page.goto("/buckets/axe-bucket/links").await;
        check(page, "links", &mut found).await;
        page.goto("/buckets/axe-bucket/tools").await;
        page.click("//form//button[contains(@class,'btn--primary')]").await;
        page.see(".links__item").await;
        check(page, "tools", &mut found).await;
        page.goto("/buckets/axe-bucket/objects/delete?key=data.csv&key=x/").await;
        check(page, "delete files", &mut found).await;
        page.goto("/buckets/axe-bucket/delete").await;
        check(page, "delete a bucket", &mut found).await;
        page.goto("/profile").await;
        let open = "for (const fold of document.querySelectorAll('details')) fold.open = true";
        page.script(open, vec![]).await;
        check(page, "profile", &mut found).await;

        portal.break_cloud();
        page.goto("/instances").await;
        page.settles("first", "unknown", Duration::from_secs(30)).await;
        check(page, "list, cloud silent", &mut found).await;
        page.goto("/dashboard").await;
        check(page, "dashboard, cloud silent", &mut found).await;
        page.goto(&format!("/instances/{first}")).await;
        check(page, "detail, unknown", &mut found).await;
        portal.break_cluster();
        page.goto("/applications").await;
        page.settles("web", "unknown", Duration::from_secs(30)).await;
        check(page, "containers, cluster silent", &mut found).await;
        let web = page.container("web").await;
        page.goto(&format!("/applications/{web}")).await;
        page.see("#cluster-events").await;
        check(page, "container, unknown", &mut found).await;
        page.log_out().await;

        let link = portal.setup_link();
        page.goto(link).await;
        check(page, "first admin", &mut found).await;
        page.become_admin(link, "axe-admin").await;
        page.goto("/admin/cloud").await;
        check(page, "cloud, silent", &mut found).await;
        portal.mend_cloud();
        page.goto("/admin/templates").await;
        check(page, "templates", &mut found).await;
        page.click("td a.resource-row__name").await;
        page.script(open, vec![]).await;
        check(page, "template", &mut found).await;
        page.goto("/admin/cloud").await;
        check(page, "cloud", &mut found).await;
        assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
    })
    .await;
}

#[tokio::test]
async fn no_page_has_violations_in_korean() {
    every_page(Lang::Ko, (1280, 900)).await;
}

#[tokio::test]
async fn no_page_has_violations_in_english_on_a_phone() {
    every_page(Lang::En, (390, 844)).await;
}
