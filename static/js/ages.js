"use strict";
// "12초 전 기준" goes on counting between two answers of the server, and when no answer comes at all. What counts is the
// time since the page or fragment arrived, so a wrong clock on this computer doesn't matter.
{
  const born = new WeakMap();

  const anchor = (root) => {
    for (const age of root.querySelectorAll("[data-age]")) born.set(age, Date.now() - Number(age.dataset.age) * 1000);
  };

  const words = (seconds) => {
    const texts = document.body.dataset;
    const [text, n] = seconds < 60 ? [texts.ageSeconds, seconds]
      : seconds < 3600 ? [texts.ageMinutes, seconds / 60]
      : seconds < 86400 ? [texts.ageHours, seconds / 3600]
      : [texts.ageDays, seconds / 86400];
    return text.replace("%{n}", Math.floor(n));
  };

  const tick = () => {
    for (const age of document.querySelectorAll("[data-age]")) {
      if (!born.has(age)) born.set(age, Date.now() - Number(age.dataset.age) * 1000);
      const seconds = Math.max(0, Math.floor((Date.now() - born.get(age)) / 1000));
      const stale = seconds >= Number(age.dataset.ageStale);
      const text = words(seconds);
      const shown = age.querySelector("time, span");
      if (shown && shown.textContent !== text) shown.textContent = text;
      age.classList.toggle("age--stale", stale);
      age.classList.toggle("age--live", seconds < 60 && !stale);
    }
  };

  document.addEventListener("DOMContentLoaded", () => anchor(document));
  document.addEventListener("htmx:afterSwap", (event) => {
    const { target } = event.detail;
    anchor(target.isConnected ? target : document.getElementById(target.id) ?? document);
  });
  // Told while the page is open: a service answered so many seconds ago.
  document.addEventListener("ages", ({ detail }) => {
    for (const age of document.querySelectorAll("[data-age][data-age-of]")) {
      const seconds = detail[age.dataset.ageOf];
      if (seconds !== undefined) born.set(age, Date.now() - seconds * 1000);
    }
    tick();
  });
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 1000);
}
