"use strict";
// What changes in the account, told by the server as it happens: one stream a tab, because browsers open only a few
// connections to a host over all tabs. It is closed while the tab is hidden, and begins again where it ended. It says
// that something changed; what changed is asked for as ever. While there is no stream, pages look by themselves as often
// as their hx-trigger says, and say so.
{
  // The server gives a sign of life more often than that.
  const SILENCE = 12_000;
  // Between two requests of one part of the page.
  const REST = 500;
  // Also while all is told, each part asks once in a while: what it says of times grows old.
  const LONGEST = 60_000;
  // How often a part that has no hx-trigger asks while nothing is told, in seconds.
  const SELDOM = 15;
  // After that long without a stream it is said aloud.
  const PATIENCE = 4_000;

  // off: hidden, or nothing to show; opening; live; trying: it broke; polling: there is no room for a stream.
  let state = "off";
  let source = null;
  let since = "";
  let tries = 0;
  let announced = false;
  const timers = {};

  const after = (name, wait, work) => {
    clearTimeout(timers[name]);
    timers[name] = setTimeout(work, wait);
  };

  const regions = () => [...document.querySelectorAll("[data-refresh][data-topics]")];
  const isLive = () => state === "live";

  // Asking.

  const wanted = new Set();
  // When a part was asked for last: with the page, at first; what failed counts as never.
  const asked = new Map();
  const begun = Date.now();
  const age = (region) => Date.now() - (asked.get(region.id) ?? begun);

  // A choice that somebody is making is left alone, until it is made.
  const isBusy = (region) => region.matches(".htmx-request") || region.querySelector(".htmx-request, .check:checked");

  const ask = (region) => {
    const event = new CustomEvent("refresh");
    if (region.hasAttribute("hx-get")) htmx.trigger(region, "refresh");
    else htmx.ajax("GET", region.dataset.url, { source: region, target: `#${region.id}`, swap: "morph:outerHTML", event }).catch(() => {});
  };

  const work = () => {
    if (document.hidden) return;
    for (const id of [...wanted]) {
      const region = document.getElementById(id);
      if (region && (isBusy(region) || age(region) < REST)) continue;
      wanted.delete(id);
      if (region) ask(region);
    }
    if (wanted.size) after("work", 100, work);
  };

  const want = (region) => {
    wanted.add(region.id);
    work();
  };

  const part = (event) => {
    const source = event.detail.requestConfig?.elt;
    return source?.matches?.("[data-refresh][data-topics]") ? source : null;
  };

  document.addEventListener("htmx:beforeRequest", (event) => {
    const region = part(event);
    if (!region || event.defaultPrevented) return;
    // What comes by its hx-trigger's clock has no event.
    const byClock = !event.detail.requestConfig.triggeringEvent;
    if (byClock && isLive() && age(region) < LONGEST) event.preventDefault();
    else asked.set(region.id, Date.now());
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const region = part(event);
    if (!region || event.detail.successful || event.detail.xhr?.status === 404) return;
    asked.set(region.id, 0);
    // Broken off by what the person did, or failed: it is still to be asked for.
    if (isLive()) after(region.id, 2_000, () => want(region));
  });

  // Saying how it stands.

  const seconds = (region) => Number(/every (\d+)s/.exec(region?.getAttribute("hx-trigger") ?? "")?.[1] ?? SELDOM);

  const show = () => {
    const texts = document.body.dataset;
    const n = Math.min(...regions().map(seconds));
    const text = { live: texts.liveOn, trying: texts.liveTrying, polling: texts.livePolling }[state] ?? "";
    for (const place of document.querySelectorAll("[data-live]")) {
      const words = text.replace("%{n}", n);
      if (place.textContent !== words) place.textContent = words;
      place.dataset.live = state;
    }
  };

  const say = (text) => {
    const place = document.getElementById("said");
    if (place) place.textContent = text;
  };

  const become = (next) => {
    state = next;
    if (state === "trying" && !timers.say) {
      timers.say = setTimeout(() => {
        announced = true;
        say(document.body.dataset.liveLost);
      }, PATIENCE);
    } else if (state !== "trying" && state !== "opening") {
      clearTimeout(timers.say);
      timers.say = 0;
      if (announced && isLive()) say(document.body.dataset.liveBack);
      announced = false;
    }
    show();
  };

  // The stream.

  const close = () => {
    clearTimeout(timers.silence);
    clearTimeout(timers.again);
    source?.close();
    source = null;
  };

  const again = (wait) => {
    close();
    // Not all at once: a whole class has lost its streams together.
    after("again", wait * (1 + Math.random()), open);
  };

  const broke = () => {
    tries += 1;
    become("trying");
    again(Math.min(500 * 2 ** tries, 15_000));
  };

  const alive = () => after("silence", SILENCE, broke);

  const open = () => {
    close();
    if (document.hidden || !regions().length) return;
    // Where nothing was read yet, everything since this page was asked for is new.
    const place = since ? `since=${since}` : `ago=${performance.now() / 1000}`;
    const stream = new EventSource(`/live?${place}`);
    source = stream;
    if (state === "off") become("opening");
    alive();
    const on = (name, work) => stream.addEventListener(name, ({ data, lastEventId }) => {
      if (stream !== source) return;
      alive();
      since = lastEventId || since;
      work(data);
    });
    const ages = (data) => document.dispatchEvent(new CustomEvent("ages", { detail: JSON.parse(data) }));
    on("hello", (data) => {
      tries = 0;
      become("live");
      ages(data);
    });
    on("beat", ages);
    on("change", (data) => {
      const topics = data.split(" ");
      for (const region of regions()) {
        if (region.dataset.topics.split(" ").some((topic) => topics.includes(topic))) want(region);
      }
    });
    on("end", (reason) => {
      if (reason === "full") {
        become("polling");
        again(60_000);
        return;
      }
      broke();
      if (reason !== "signed_out") return;
      // Whose session is over is led to the login page by the next answer.
      again(5_000);
      regions().forEach(want);
    });
    stream.onerror = () => { if (stream === source) broke(); };
  };

  const sync = () => {
    if (document.hidden || !regions().length) {
      close();
      become("off");
    } else if (!source && state === "off") {
      open();
      work();
    }
    show();
  };

  setInterval(() => {
    if (document.hidden || isLive()) return;
    for (const region of regions()) if (!region.hasAttribute("hx-get")) want(region);
  }, SELDOM * 1000);

  document.addEventListener("DOMContentLoaded", sync);
  document.addEventListener("htmx:afterSettle", sync);
  document.addEventListener("htmx:afterSwap", show);
  document.addEventListener("visibilitychange", sync);
  window.addEventListener("pagehide", () => {
    close();
    become("off");
  });
  window.addEventListener("pageshow", sync);
  window.addEventListener("online", () => { if (state === "trying") open(); });
}
