//! Language and theme are kept.

use fast_cloud::web::page::Lang;

use crate::support::{Browser, Page, Portal, browse};

/// The colour of the headline: near black, or near white.
async fn ink(page: &Page) -> String {
    let code = "return getComputedStyle(document.querySelector('h1')).color";
    page.script(code, vec![]).await.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn theme_and_language_stick() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.prefer("light", "reduce").await;
        page.join("chooser", "고름").await;
        let light = ink(page).await;
        page.mark().await;
        page.click("button[name=theme][value=dark]").await;
        page.has("html", "data-theme", "dark").await;
        let dark = ink(page).await;
        assert_ne!(light, dark);
        page.has("button[name=theme][value=dark]", "aria-current", "true").await;
        assert!(page.is_marked().await, "without a new page");
        page.until("the choice to be kept", async || page.cookie("fast-cloud-theme").await).await;
        page.reload().await;
        assert_eq!(page.attribute("html", "data-theme").await.as_deref(), Some("dark"));
        assert_eq!(ink(page).await, dark);

        page.goto("/instances").await;
        page.choose_language(Lang::En).await;
        page.at("/instances").await;
        page.reads("h1", &Lang::En.t("instances.title")).await;
        page.log_out().await;
        assert_eq!(page.attribute("html", "data-theme").await.as_deref(), Some("dark"));
        assert_eq!(page.attribute("html", "lang").await.as_deref(), Some("en"));
        page.goto("/nowhere").await;
        assert_eq!(page.attribute("html", "data-theme").await.as_deref(), Some("dark"), "on error pages, too");
        page.reads("h1", &Lang::En.t("errors.404.title")).await;

        page.goto("/login").await;
        page.click("button[name=theme][value='']").await;
        page.until("the system's theme", async || page.attribute("html", "data-theme").await.is_none().then_some(()))
            .await;
        let system = ink(page).await;
        page.prefer("dark", "reduce").await;
        assert_ne!(ink(page).await, system, "it follows the system");
        page.choose_language(Lang::Ko).await;
        page.at("/login").await;
        page.reads("h1", &Lang::Ko.t("login.title")).await;
    })
    .await;
}

#[tokio::test]
async fn a_page_with_little_on_it_does_not_scroll() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        let longer =
            "const { scrollHeight, clientHeight } = document.documentElement; return scrollHeight - clientHeight";
        page.size(1280, 900).await;
        for path in ["/login", "/nowhere"] {
            page.goto(path).await;
            assert_eq!(page.script(longer, vec![]).await, 0, "{path}");
        }
        page.join("scroller", "두루마리").await;
        for path in ["/dashboard", "/instances"] {
            page.goto(path).await;
            assert_eq!(page.script(longer, vec![]).await, 0, "{path}");
        }
    })
    .await;
}
