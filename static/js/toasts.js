"use strict";
// Messages in the corner: a success leaves by itself, an error stays until it is closed.
{
  const arm = (root) => {
    for (const toast of root.querySelectorAll("[data-toast]:not([data-armed])")) {
      toast.dataset.armed = "";
      const wait = Number(toast.dataset.toast);
      if (!wait) continue;
      let timer = setTimeout(() => toast.remove(), wait);
      const hold = () => clearTimeout(timer);
      const go = () => { hold(); timer = setTimeout(() => toast.remove(), wait); };
      toast.addEventListener("pointerenter", hold);
      toast.addEventListener("focusin", hold);
      toast.addEventListener("pointerleave", go);
      toast.addEventListener("focusout", go);
    }
    const toasts = document.querySelectorAll("#toasts [data-toast]");
    for (const old of [...toasts].slice(0, -4)) old.remove();
  };

  const icon = (name) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
    svg.firstChild.setAttribute("href", `#i-${name}`);
    return svg;
  };

  const show = (title, text, tone) => {
    const places = document.getElementById("toasts");
    if (!places || [...places.querySelectorAll("b")].some((shown) => shown.textContent === title)) return;
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.dataset.toast = tone === "good" ? "6000" : "";
    toast.dataset.tone = tone;
    const body = document.createElement("div");
    body.append(document.createElement("b"), document.createElement("p"));
    body.firstChild.textContent = title;
    body.lastChild.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn btn--ghost btn--icon";
    close.dataset.toastClose = "";
    close.ariaLabel = close.title = document.body.dataset.close;
    close.append(icon("x"));
    toast.append(icon(tone === "good" ? "st-on" : "st-err"), body, close);
    places.append(toast);
    arm(places);
  };

  document.addEventListener("toast", ({ detail }) => show(detail.title, detail.text ?? "", detail.tone ?? "bad"));
  document.addEventListener("DOMContentLoaded", () => arm(document));
  document.addEventListener("htmx:load", () => arm(document));
  document.addEventListener("click", (event) => event.target.closest("[data-toast-close]")?.closest("[data-toast]").remove());
}
