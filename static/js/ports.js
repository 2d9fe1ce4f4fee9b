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
    if (input.name !== "internal_port") return;
    document.getElementById("port_guess").value = "";
    hint(input, false);
  });

  // What the hint below the port says, and whether it comes from the image.
  const hint = (input, found) => {
    const place = document.getElementById("internal_port-hint");
    if (!place) return;
    place.dataset.usual ??= place.textContent;
    place.classList.toggle("field__hint--found", found);
    place.textContent = found ? input.dataset.found : place.dataset.usual;
  };

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id !== "image-check") return;
    const input = document.getElementById("internal_port");
    const guess = document.getElementById("port_guess");
    const typed = input.value.trim();
    if (typed && typed !== guess.value) return;
    const found = event.detail.target.querySelector("[data-port]")?.dataset.port;
    // Without a word of the image there is the usual one to begin with.
    guess.value = input.value = found ?? input.dataset.usual;
    echo(input);
    hint(input, Boolean(found));
  });
}
