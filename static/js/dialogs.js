"use strict";
// A link with data-dialog shows the question of the page it leads to (#confirm-page) in a dialog. Without this script, or
// when the page can't be had, the link just leads there.
{
  const dialog = () => document.getElementById("confirm");

  const open = async (link) => {
    const answer = await fetch(link.href, { signal: AbortSignal.timeout(5000) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("confirm-page");
    if (!answer.ok || !page) throw new Error("no question there");
    const box = dialog();
    box.replaceChildren(...[...page.childNodes].map((node) => document.importNode(node, true)));
    const form = box.querySelector("form[data-row]");
    const row = form && document.getElementById(form.dataset.row);
    const list = row?.closest("[data-refresh]");
    if (list && !row.matches("li")) {
      const view = document.createElement("input");
      view.type = "hidden";
      view.name = "view";
      view.value = row.matches("tr") ? "row" : "detail";
      form.append(view);
      form.setAttribute("hx-post", form.getAttribute("action"));
      form.setAttribute("hx-target", `#${row.matches("tr") ? row.id : list.id}`);
      form.setAttribute("hx-swap", "morph:outerHTML");
      form.setAttribute("hx-sync", `#${list.id}:replace`);
      htmx.process(form);
    }
    box.showModal();
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (link && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      open(link).catch(() => window.location.assign(link.href));
      return;
    }
    if (event.target.closest("dialog [data-dialog-close]")) {
      event.preventDefault();
      dialog().close();
    }
  });
  // Beside the dialog is the backdrop.
  document.addEventListener("mousedown", (event) => {
    if (event.target.matches("dialog[open]")) event.target.close();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.closest?.("dialog[open]")) dialog().close();
  });
}
