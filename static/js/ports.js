"use strict";
// The form of a container: the drawing of its route says what is typed, and the port that its image exposes is filled
// in, unless a person has typed one.
{
  const echo = (input) => {
    const text = input.value.trim();
    for (const place of document.querySelectorAll(`[data-echo="${input.dataset.echoTo}"]`)) {
      place.textContent = text || (place.dataset.empty ?? "…");
    }
  };

  document.addEventListener("input", (event) => {
    const input = event.target;
    if (!input.matches?.("[data-echo-to]")) return;
    echo(input);
    if (input.name === "internal_port") document.getElementById("port_guess").value = "";
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id !== "image-check") return;
    const port = event.detail.target.querySelector("[data-port]")?.dataset.port;
    const input = document.getElementById("internal_port");
    const guess = document.getElementById("port_guess");
    const typed = input.value.trim();
    if (!port || (typed && typed !== guess.value)) return;
    input.value = port;
    guess.value = port;
    echo(input);
    const hint = document.getElementById("internal_port-hint");
    if (hint) hint.textContent = input.dataset.found;
  });
}
