"use strict";
// Uploads of a bucket's page: files and folders, chosen or dropped anywhere, each with its progress. What is listed is
// what the server has confirmed. Without this script the plain form uploads.
{
  const AT_ONCE = 3;
  const tray = () => document.getElementById("tray");
  const jobs = [];
  let running = 0;

  const fill = (text, values) => text.replace(/%\{(\w+)\}/g, (_, name) => values[name] ?? "");
  const size = (bytes) => {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let unit = 0;
    while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
    return `${unit && bytes < 99.95 ? bytes.toFixed(1).replace(/\.0$/, "") : Math.round(bytes)} ${units[unit]}`;
  };

  const draw = (job) => {
    const texts = tray().dataset;
    const { item } = job;
    const [icon, status] = { done: ["st-on", "active"], failed: ["st-err", "failed"], going: ["file", "building"] }[job.state] ?? ["file", ""];
    item.dataset.status = status;
    item.querySelector("use").setAttribute("href", `#i-${icon}`);
    const percent = job.file.size ? Math.floor((job.sent / job.file.size) * 100) : 100;
    const bar = item.querySelector("progress");
    bar.value = percent;
    bar.hidden = job.state !== "going" && job.state !== "waits";
    const note = {
      waits: () => `${texts.waits} · ${size(job.file.size)}`,
      going: () => percent >= 100 ? texts.checking
        : [fill(texts.going, { percent, speed: `${size(job.speed)}/s` }), job.speed > 0 ? fill(texts.left, { n: Math.ceil((job.file.size - job.sent) / job.speed) }) : ""].filter(Boolean).join(" · "),
      done: () => `${texts.done} · ${size(job.file.size)}`,
      failed: () => job.error,
    }[job.state];
    item.querySelector(".tray__note").textContent = note();
    const retry = item.querySelector("[data-retry]");
    retry.hidden = job.state !== "failed" || job.final === true;
    const cancel = item.querySelector("[data-cancel]");
    const label = fill(job.state === "done" || job.state === "failed" ? texts.removeLabel : texts.cancelLabel, { file: job.name });
    cancel.ariaLabel = cancel.title = label;
    sum();
  };

  const sum = () => {
    const listed = jobs.filter((job) => job.item.isConnected);
    const done = listed.filter((job) => job.state === "done").length;
    const text = fill(tray().dataset.sum, { all: listed.length, done });
    const place = tray().querySelector("[data-tray-sum]");
    if (place.textContent !== text) place.textContent = text;
    tray().hidden = !listed.length;
  };

  const add = (file, path, batch) => {
    const box = tray();
    const item = document.getElementById("tray-item").content.firstElementChild.cloneNode(true);
    // The same for each try, so that the server knows that it is no second upload.
    const attempt = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const job = { attempt, file, name: path, batch, item, state: "waits", sent: 0, speed: 0, error: "", prefix: box.dataset.prefix };
    item.querySelector("bdi").textContent = path;
    item.querySelector("progress").ariaLabel = fill(box.dataset.progressLabel, { file: path });
    item.querySelector("[data-retry] span").textContent = box.dataset.retryLabel;
    item.querySelector("[data-retry]").addEventListener("click", () => { job.state = "waits"; job.sent = 0; draw(job); next(); });
    item.querySelector("[data-cancel]").addEventListener("click", () => {
      if (job.state === "going") job.xhr?.abort();
      if (job.state === "waits") job.state = "failed";
      job.gone = true;
      item.remove();
      sum();
    });
    box.querySelector("ul").append(item);
    box.hidden = false;
    jobs.push(job);
    if (file.size > Number(box.dataset.max)) fail(job, box.dataset.tooLarge, true); else draw(job);
  };

  const fail = (job, error, final = false) => { Object.assign(job, { state: "failed", error, final }); draw(job); };

  const next = () => {
    while (running < AT_ONCE) {
      const job = jobs.find((job) => job.state === "waits" && !job.gone);
      if (!job) return;
      running += 1;
      job.state = "going";
      draw(job);
      upload(job).catch(() => { if (job.state === "going") fail(job, tray().dataset.lost); }).finally(() => { running -= 1; next(); });
    }
  };

  const path = (key) => key.split("/").map(encodeURIComponent).join("/");

  const upload = async (job) => {
    const texts = tray().dataset;
    let existing = job.batch.existing;
    if (!existing) {
      const there = await fetch(`${texts.url}/${path(job.prefix + job.name)}`, { method: "HEAD", redirect: "manual" }).catch(() => null);
      if (there?.status === 200) existing = await ask(job);
    }
    if (job.gone) return;
    if (existing === "skip") return fail(job, texts.skipped, true);
    await send(job, existing ?? "keep");
  };

  // One question at a time.
  let asking = Promise.resolve();
  const ask = (job) => {
    asking = asking.then(() => job.batch.existing ?? question(job));
    return asking;
  };
  const question = (job) => new Promise((resolve) => {
    const box = document.getElementById("confirm");
    box.replaceChildren(document.getElementById("existing-question").content.cloneNode(true));
    box.querySelector("h2").textContent = fill(document.getElementById("existing-title").textContent, { file: job.name });
    let answer = "skip";
    box.addEventListener("click", (event) => {
      const button = event.target.closest("button[value]");
      if (!button) return;
      answer = button.value;
      if (box.querySelector("[data-all]").checked) job.batch.existing = answer;
      box.close();
    });
    box.addEventListener("close", () => { box.replaceChildren(); resolve(answer); }, { once: true });
    box.showModal();
  });

  const send = (job, existing) => new Promise((resolve) => {
    const texts = tray().dataset;
    const xhr = new XMLHttpRequest();
    job.xhr = xhr;
    const query = new URLSearchParams({ prefix: job.prefix, name: job.name, existing, attempt: job.attempt });
    xhr.open("POST", `${texts.url}?${query}`);
    xhr.setRequestHeader("Accept", "application/json");
    xhr.setRequestHeader("X-CSRF-Token", texts.csrf);
    let [at, before] = [performance.now(), 0];
    xhr.upload.addEventListener("progress", (event) => {
      job.sent = Math.min(event.loaded, job.file.size);
      const now = performance.now();
      if (now - at >= 400) {
        const speed = ((job.sent - before) * 1000) / (now - at);
        job.speed = job.speed ? job.speed * 0.7 + speed * 0.3 : speed;
        [at, before] = [now, job.sent];
      }
      draw(job);
    });
    xhr.addEventListener("load", () => {
      let said;
      try { [said] = JSON.parse(xhr.responseText).files; } catch { said = null; }
      if (xhr.status === 201 && said?.key) {
        Object.assign(job, { state: "done", sent: job.file.size });
        draw(job);
        refresh();
      } else {
        fail(job, said?.error ?? (xhr.responseURL.includes("/login") || xhr.status === 403 ? texts.signedOut : texts.lost));
      }
      resolve();
    });
    xhr.addEventListener("error", () => {
      const percent = job.file.size ? Math.floor((job.sent / job.file.size) * 100) : 0;
      fail(job, fill(texts.lost, { percent }));
      resolve();
    });
    xhr.addEventListener("abort", () => { fail(job, texts.cancelled); resolve(); });
    const form = new FormData();
    form.append("file", job.file, "file");
    xhr.send(form);
  });

  let soon = 0;
  const refresh = () => {
    clearTimeout(soon);
    soon = setTimeout(() => {
      const files = document.getElementById("files");
      if (files) htmx.ajax("GET", files.dataset.url, { target: "#files", swap: "morph:outerHTML", source: files, event: new CustomEvent("refresh") });
    }, 300);
  };

  const take = (files) => {
    const batch = {};
    for (const [file, name] of files) add(file, name, batch);
    next();
  };

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.matches("[data-check-all]")) {
      for (const box of document.querySelectorAll("#files .check[name=key]")) box.checked = input.checked;
    }
    if (input.id !== "upload-file" || !tray() || !input.files.length) return;
    take([...input.files].map((file) => [file, file.webkitRelativePath || file.name]));
    input.value = "";
  });

  // Folders that were dropped, with everything in them.
  const read = async (entry, into, found) => {
    if (entry.isFile) {
      const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
      if (file) found.push([file, into + file.name]);
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
      if (!some.length) return;
      for (const child of some) await read(child, `${into}${entry.name}/`, found);
    }
  };

  const drags = (event) => tray() && [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!drags(event)) return;
    event.preventDefault();
    document.body.classList.add("is-dropping");
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("is-dropping"); });
  document.addEventListener("drop", async (event) => {
    document.body.classList.remove("is-dropping");
    if (!drags(event)) return;
    event.preventDefault();
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const plain = [...event.dataTransfer.files];
    const found = [];
    for (const entry of entries) await read(entry, "", found);
    take(entries.length ? found : plain.map((file) => [file, file.name]));
  });

  window.addEventListener("beforeunload", (event) => {
    if (jobs.some((job) => !job.gone && (job.state === "going" || job.state === "waits"))) event.preventDefault();
  });
}
