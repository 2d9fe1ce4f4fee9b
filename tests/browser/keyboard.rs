//! Without a mouse.

use std::time::Duration;

use fantoccini::key::Key;

use crate::support::page::row;
use crate::support::{Browser, Page, Portal, browse};

/// Goes there, sees that it is there, and presses enter.
async fn enter(page: &Page, place: &str) {
    page.tab_to(place).await;
    let ring = "const style = getComputedStyle(document.activeElement);
        return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0";
    assert_eq!(page.script(ring, vec![]).await, true, "the focus on {place} can be seen");
    page.key(Key::Enter).await;
}

#[tokio::test]
async fn renting_and_deleting() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.join("keys-only", "건반").await;
        page.log_out().await;
        page.goto("/login").await;
        // The first field has the focus already.
        page.until("the first field", async || page.is_focused("#login_id").await.then_some(())).await;
        page.type_keys("keys-only").await;
        page.tab_to("#password").await;
        page.type_keys("correct horse").await;
        page.key(Key::Enter).await;
        page.at("/dashboard").await;

        // The first stop of the tab key leads past the menu.
        page.key(Key::Tab).await;
        assert!(page.is_focused(".skip-link").await);
        page.key(Key::Enter).await;
        enter(page, "main a[href='/instances/new']").await;
        page.at("/instances/new").await;
        enter(page, "#launch-form button.btn--primary").await;
        page.at("/instances").await;
        let name = "keysonly-pc-1".to_owned();
        page.settles(&name, "active", Duration::from_secs(20)).await;
        let id = page.instance(&name).await;

        // In the dialog the focus is inside, and escape leads back to where it was asked.
        let delete = format!("#instance-{id}-delete");
        enter(page, &delete).await;
        page.see("dialog[open]").await;
        let inside = "return document.activeElement.closest('dialog[open]') !== null";
        assert_eq!(page.script(inside, vec![]).await, true);
        page.key(Key::Escape).await;
        page.gone("dialog[open]").await;
        assert!(page.is_focused(&delete).await, "back at the button");
        page.key(Key::Enter).await;
        page.see("dialog[open]").await;
        enter(page, "dialog button.btn--danger").await;
        page.gone("dialog[open]").await;
        page.until("the row to be gone", async || (page.count(&row(&name)).await == 0).then_some(())).await;
    })
    .await;
}

#[tokio::test]
async fn on_a_phone_nothing_focused_hides_below_the_tab_bar() {
    let portal = Portal::shared();
    browse(&portal, Browser::KOREAN, async |page| {
        page.size(390, 844).await;
        page.join("phone", "전화").await;
        page.goto("/instances/new").await;
        let covered = "
            const covered = [];
            for (const element of document.querySelectorAll('main :is(a, button, summary, input:not([type=hidden]))')) {
              if (!element.checkVisibility()) continue;
              document.activeElement.blur();
              // As somebody may have scrolled: just behind the bar.
              window.scrollBy(0, element.getBoundingClientRect().bottom - window.innerHeight + 5);
              element.focus();
              const { left, bottom, width } = element.getBoundingClientRect();
              if (document.elementFromPoint(left + width / 2, bottom - 2)?.closest('.nav')) covered.push(element.outerHTML);
            }
            return covered";
        assert_eq!(page.script(covered, vec![]).await, serde_json::json!([]), "below the tab bar");
    })
    .await;
}
