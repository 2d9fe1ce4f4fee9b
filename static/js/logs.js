"use strict";
// The log of a container, followed. One stream a tab: browsers open only a few connections to a host, over all tabs. It
// is closed while the tab is hidden and when the page is left. Lines are foreign text, and only written as text.
{
  const MOST = 1000;
  // The server gives a sign of life more often than that.
  const SILENCE = 35_000;

  let source = null;
  // Where the stream that is wanted comes from; it may have ended for good.
  let address = "";
  let over = false;
  let paused = false;
  // What the server said last about the end of the stream: "reconnecting" would tell less.
  let told = false;
  let watchdog = 0;

  const section = () => document.getElementById("application-log");

  const state = (name) => {
    const place = document.getElementById("log-state");
    const text = name ? section()?.dataset[`text${name[0].toUpperCase()}${name.slice(1)}`] ?? "" : "";
    if (place && place.textContent !== text) place.textContent = text;
  };

  const message = (text) => {
    const place = document.getElementById("log-message");
    if (place) place.textContent = text;
  };

  const label = () => {
    const button = document.getElementById("log-pause");
    const place = section();
    if (!button || !place) return;
    const { textAgain, textResume, textPause } = place.dataset;
    button.querySelector("span").textContent = over ? textAgain : paused ? textResume : textPause;
    button.querySelector("use").setAttribute("href", over || paused ? "#i-play" : "#i-pause");
  };

  const close = () => {
    clearTimeout(watchdog);
    source?.close();
    source = null;
  };

  const end = (text) => {
    close();
    over = true;
    state("");
    message(text);
    label();
  };

  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => {
      close();
      state("reconnecting");
      sync();
    }, SILENCE);
  };

  const show = (batch) => {
    const list = document.getElementById("log-lines");
    if (!list) return;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const added = document.createDocumentFragment();
    for (const { time, text, tone } of batch.slice(-MOST)) {
      const line = document.createElement("li");
      if (tone === "warn" || tone === "bad") line.className = `is-${tone}`;
      const [at, words] = [document.createElement("time"), document.createElement("span")];
      at.textContent = time;
      words.textContent = text;
      line.append(at, words);
      added.append(line);
    }
    list.append(added);
    while (list.childElementCount > MOST) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
    if (list.childElementCount) message("");
  };

  const listen = (stream) => {
    const on = (name, work) => stream.addEventListener(name, (event) => {
      if (stream !== source) return;
      alive();
      work(event);
    });
    on("beat", () => {});
    on("start", () => {
      told = false;
      document.getElementById("log-lines")?.replaceChildren();
      message(section()?.dataset.textNone ?? "");
      state("following");
    });
    on("lines", ({ data }) => show(JSON.parse(data)));
    // It ended and begins again: the container went off, or the cluster does not answer.
    on("pause", ({ data }) => {
      told = true;
      state("");
      message(JSON.parse(data));
    });
    // It ended for good: too many streams, logged out.
    on("over", ({ data }) => end(JSON.parse(data)));
    stream.onerror = () => {
      if (stream !== source) return;
      clearTimeout(watchdog);
      if (stream.readyState === EventSource.CLOSED) end(section()?.dataset.textGone ?? "");
      else if (!told) state("reconnecting");
    };
  };

  const sync = () => {
    const wanted = section()?.dataset.logStream ?? "";
    if (wanted !== address) {
      close();
      [address, over, told] = [wanted, false, false];
      label();
    }
    if (!address || over || paused || document.hidden) {
      close();
      if (address && paused) state("paused");
      return;
    }
    if (source) return;
    if (!told) state("connecting");
    source = new EventSource(address);
    alive();
    listen(source);
  };

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-log-pause]")) return;
    if (over) [over, paused] = [false, false];
    else paused = !paused;
    label();
    sync();
  });
  document.addEventListener("DOMContentLoaded", sync);
  document.addEventListener("htmx:afterSettle", sync);
  document.addEventListener("visibilitychange", sync);
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", sync);
}
