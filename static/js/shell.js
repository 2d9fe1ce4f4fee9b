"use strict";
// The frame: the account menu closes as menus do, and the theme changes without a new page.
{
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("[data-menu][open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("[data-menu][open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-theme-form]") || !event.submitter) return;
    event.preventDefault();
    const chosen = event.submitter;
    if (chosen.value) document.documentElement.dataset.theme = chosen.value; else delete document.documentElement.dataset.theme;
    for (const button of form.querySelectorAll("button")) {
      if (button === chosen) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
    }
    // Kept by the server; the page that it would lead to is the one we are on.
    fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, chosen)), redirect: "manual" }).catch(() => {});
  });
}
