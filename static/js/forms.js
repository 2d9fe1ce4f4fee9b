"use strict";
// What a form can say before it is sent. The server checks everything again.
{
  const describe = (input, id) => {
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", id);
  };

  const complain = (input, text) => {
    const id = `${input.name}-error`;
    let error = document.getElementById(id);
    if (!error) {
      error = document.createElement("p");
      error.className = "field__error";
      error.id = id;
      error.innerHTML = '<svg class="icon" aria-hidden="true"><use href="#i-st-err"/></svg><span></span>';
      const place = document.getElementById(`${input.name}-check`);
      if (place) place.replaceChildren(error); else (input.closest(".field__line") ?? input).after(error);
    }
    error.querySelector("span").textContent = text;
    describe(input, id);
  };

  // An empty field that is needed: said, and nothing is sent.
  document.addEventListener("submit", (event) => {
    const empty = [...event.target.querySelectorAll("[data-missing]")].filter((input) => !input.value.trim());
    // What the field does not take, such as capitals in a bucket's name.
    const unfit = [...event.target.querySelectorAll("[data-pattern]")]
      .filter((input) => !empty.includes(input) && !new RegExp(input.dataset.pattern).test(input.value.trim()));
    if (!empty.length && !unfit.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    for (const input of empty) complain(input, input.dataset.missing);
    for (const input of unfit) complain(input, input.dataset.unfit);
    [...empty, ...unfit][0].focus();
  }, true);

  document.addEventListener("input", (event) => {
    const input = event.target;
    if (!input.matches("[data-missing]:not([data-check])") || input.getAttribute("aria-invalid") !== "true") return;
    document.getElementById(`${input.name}-error`)?.remove();
    input.removeAttribute("aria-invalid");
    const hint = document.getElementById(`${input.name}-hint`);
    if (hint) input.setAttribute("aria-describedby", hint.id);
  });

  // The server's answer below a field that is checked while typing.
  document.addEventListener("htmx:afterSwap", (event) => {
    const place = event.detail.target;
    const input = place.id?.endsWith("-check") && document.querySelector(`[data-check][aria-describedby~="${place.id}"]`);
    if (!input) return;
    if (place.querySelector(".field__error")) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    const { elt } = event.detail;
    if (elt.matches("[data-check]") && !elt.value.trim()) event.preventDefault();
  });

  // A plain form is sent once; a download leaves the page where it is, so its form may be sent again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    const download = form.matches("[data-download]");
    setTimeout(() => {
      delete form.dataset.sent;
      if (!download) return;
      const region = form.closest("[data-refresh][hx-get]");
      if (region) htmx.trigger(region, "refresh"); else window.location.reload();
    }, download ? 1500 : 5000);
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // A password can be looked at.
  const addEyes = () => {
    for (const input of document.querySelectorAll("[data-password]:not([data-eye])")) {
      input.dataset.eye = "";
      const line = document.createElement("span");
      line.className = "secret-input";
      const button = document.createElement("button");
      button.type = "button";
      button.className = "btn btn--ghost btn--icon";
      button.ariaPressed = "false";
      button.ariaLabel = button.title = document.body.dataset.showPassword;
      button.innerHTML = '<svg class="icon" aria-hidden="true"><use href="#i-eye"/></svg>';
      button.addEventListener("click", () => {
        const shown = input.type === "text";
        input.type = shown ? "password" : "text";
        button.ariaPressed = String(!shown);
      });
      input.replaceWith(line);
      line.append(input, button);
    }
  };
  document.addEventListener("DOMContentLoaded", addEyes);
  document.addEventListener("htmx:load", addEyes);
}
