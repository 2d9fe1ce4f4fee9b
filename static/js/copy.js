"use strict";
// A button with data-copy copies the text of the code beside it, or all of it (data-whole) where only a part is shown.
{
  const copy = async (code) => {
    // The prompt is drawn by the style sheet, so it isn't part of the text.
    const shown = code.textContent;
    const text = code.dataset.whole ?? shown.trim();
    try {
      return await navigator.clipboard.writeText(text);
    } catch {
      // Plain http on a lab's network, or not allowed: there is still the old way.
    }
    const range = document.createRange();
    code.textContent = text;
    range.selectNodeContents(code);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    const copied = document.execCommand("copy");
    selection.removeAllRanges();
    code.textContent = shown;
    if (!copied) throw new Error("not copied");
  };

  const done = (button) => {
    const use = button.querySelector("use");
    const label = button.querySelector("[data-copy-label]");
    const before = [use.getAttribute("href"), label?.textContent];
    use.setAttribute("href", "#i-check");
    if (label) label.textContent = document.body.dataset.copied;
    button.dataset.copied = "";
    setTimeout(() => {
      use.setAttribute("href", before[0]);
      if (label) label.textContent = before[1];
      delete button.dataset.copied;
    }, 2000);
    const said = document.getElementById("said");
    if (said) { said.textContent = ""; requestAnimationFrame(() => { said.textContent = document.body.dataset.copied; }); }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button || "copied" in button.dataset) return;
    try {
      await copy(button.parentElement.querySelector("code"));
      done(button);
    } catch {
      document.dispatchEvent(new CustomEvent("toast", { detail: { title: document.body.dataset.copyFailed } }));
    }
  });
}
