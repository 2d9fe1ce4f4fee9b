"use strict";
// What refreshes itself ([data-refresh]) keeps what the person has open or in hand, rests while the tab is hidden, and
// says so when no answer comes. A list that has stopped must never look like one that is up to date.
{
  const refreshed = (event) => {
    const source = event.detail.requestConfig?.elt ?? event.detail.elt;
    return source?.matches?.("[data-refresh]") ? source : null;
  };

  if (window.Idiomorph) {
    const { defaults } = window.Idiomorph;
    defaults.callbacks.beforeAttributeUpdated = (name, element) => !(name === "open" && element.matches("details, dialog"));
    // A field that is being typed in stays as it is. (The library's own ignoreActiveValue would also keep what is in a
    // focused heading: the status that it speaks of.)
    const typed = (element) => element === document.activeElement && element.matches("input, textarea, select");
    defaults.callbacks.beforeNodeMorphed = (old) => !(old instanceof Element && (old.matches("[data-keep]") || typed(old)));
  }

  const lost = (yes) => {
    const line = document.getElementById("lost");
    if (!line || line.hidden === !yes) return;
    line.textContent = yes ? line.dataset.text : "";
    line.hidden = !yes;
  };

  const say = (title, text) => document.dispatchEvent(new CustomEvent("toast", { detail: { title, text } }));
  const failed = () => say(document.body.dataset.failedTitle, document.body.dataset.failedText);
  const notSent = () => say(document.body.dataset.notSentTitle, document.body.dataset.notSentText);

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (refreshed(event) && document.hidden) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("[data-refresh][hx-get]")) htmx.trigger(element, "refresh");
  });

  // Clicking twice asks once.
  document.addEventListener("submit", (event) => {
    if (!event.target.classList.contains("htmx-request")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  let focused = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { detail } = event;
    const { xhr } = detail;
    const source = refreshed(event);
    focused = document.activeElement?.closest("[data-refresh], tr[id]");
    if (xhr.status >= 400 && xhr.status !== 422) {
      if (source && xhr.status === 404 && source.dataset.gone) {
        detail.shouldSwap = false;
        window.location.assign(source.dataset.gone);
      } else if (source) {
        detail.shouldSwap = false;
      } else if (!xhr.getResponseHeader("HX-Retarget")) {
        // Not from the portal itself: a proxy's page, say.
        detail.shouldSwap = false;
        failed();
      }
      return;
    }
    // A whole page where a part was asked for: the session is over, or the portal was updated.
    const select = detail.requestConfig.elt.getAttribute?.("hx-select");
    const whole = /^\s*<!doctype/i.test(xhr.responseText);
    const fits = select ? xhr.responseText.includes(`id="${select.slice(1)}"`) : !whole;
    if (detail.target !== document.body && !fits) {
      detail.shouldSwap = false;
      window.location.reload();
    }
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target === document.body) {
      window.scrollTo(0, 0);
      document.getElementById("main")?.focus({ preventScroll: true });
    } else if (focused && document.activeElement === document.body) {
      const place = document.getElementById(focused.id);
      (place?.querySelector("[data-focus-home]") ?? place?.querySelector("a, button"))?.focus({ preventScroll: true });
    }
    focused = null;
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const { target, successful } = event.detail;
    if (refreshed(event)) {
      if (successful) lost(false);
    } else if (successful && target?.matches?.("tr[id]")) {
      // A row has begun to change: its list looks at once, and from then on as often as that needs.
      setTimeout(() => {
        const list = document.getElementById(target.id)?.closest("[data-refresh][hx-get]");
        if (list) htmx.trigger(list, "refresh");
      });
    }
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (refreshed(event)) lost(true);
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => (refreshed(event) ? lost(true) : notSent()));
  }
}
