// Keeps a page up to date. Everything works without it, by loading the page again.
"use strict";
(() => {
  const page = document.body.dataset.watch || "";
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  const news = document.getElementById("news");
  const PAUSE = 1000;

  // ---- What changed, put into the page without touching what somebody is doing there ----

  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
  const typing = (node) => node === document.activeElement || node.dataset.touched === "";

  function attributes(now, next) {
    for (const { name } of [...now.attributes]) {
      if (next.hasAttribute(name)) continue;
      if (name === "open" || name === "data-touched") continue;
      now.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) {
      if (name === "open" || (name === "value" && now.nodeName === "INPUT" && typing(now))) continue;
      if (now.getAttribute(name) !== value) now.setAttribute(name, value);
    }
  }

  function children(now, next) {
    const wanted = [...next.childNodes];
    const named = new Map();
    for (const child of now.children) if (child.id) named.set(child.id, child);
    let at = now.firstChild;
    for (const child of wanted) {
      const known = child.id ? named.get(child.id) : undefined;
      if (known && known !== at && same(known, child)) {
        now.insertBefore(known, at);
        morph(known, child);
        continue;
      }
      if (at && same(at, child)) {
        const following = at.nextSibling;
        morph(at, child);
        at = following;
        continue;
      }
      const fresh = document.importNode(child, true);
      now.insertBefore(fresh, at);
      if (fresh.nodeType === 1 && fresh.hasAttribute("data-record")) fresh.classList.add("fresh");
    }
    while (at) {
      const following = at.nextSibling;
      at.remove();
      at = following;
    }
  }

  function morph(now, next) {
    if (now.nodeType !== 1) {
      if (now.data !== next.data) now.data = next.data;
      return;
    }
    // What was shown on demand stays until the page is left.
    if (now.hasAttribute("data-keep")) return;
    attributes(now, next);
    if (now.nodeName === "SELECT" && typing(now)) return;
    if (now.nodeName === "svg") {
      if (now.outerHTML !== next.outerHTML) now.replaceWith(document.importNode(next, true));
      return;
    }
    children(now, next);
  }

  document.addEventListener("input", (event) => {
    if (event.target.closest("main")) event.target.dataset.touched = "";
  });

  // ---- Times ----

  const roughly = (seconds) =>
    seconds < 60 ? seconds + " s" : seconds < 3600 ? Math.floor(seconds / 60) + " m"
      : seconds < 172800 ? Math.floor(seconds / 3600) + " h" : Math.floor(seconds / 86400) + " d";
  // By the gateway's clock, not by this machine's.
  let skew = 0;
  const clock = () => {
    const asOf = document.getElementById("as-of");
    if (asOf) skew = Date.parse(asOf.dateTime) - Date.now();
  };
  function times() {
    const now = Date.now() + skew;
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const seconds = Math.floor((now - Date.parse(time.dateTime)) / 1000);
      const text = seconds < -1 ? "in " + roughly(-seconds) : seconds < 5 ? "just now" : roughly(seconds) + " ago";
      if (time.textContent !== text) time.textContent = text;
    }
    for (const count of document.querySelectorAll("[data-until]")) {
      const left = Math.max(0, Math.ceil((Date.parse(count.dataset.until) - now) / 1000));
      const text = left === 0 ? "its time is over" : "decide within " +
        (left < 60 ? left + " s" : Math.floor(left / 60) + " m" + (left % 60 ? " " + (left % 60) + " s" : ""));
      if (count.textContent !== text) count.textContent = text;
    }
  }
  clock();
  setInterval(times, 1000);

  // ---- News ----

  let wanted = false;
  let busy = false;
  let last = 0;

  async function renew() {
    if (busy || document.hidden) { wanted = true; return; }
    busy = true;
    wanted = false;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
      if (answer.redirected || answer.status === 401) { location.reload(); return; }
      if (!answer.ok) return;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = next.getElementById("main");
      if (!fresh) return;
      const before = main.querySelector("[data-news]")?.dataset.news;
      morph(main, fresh);
      for (const part of [".top nav", "footer"]) {
        const [now, then] = [document.querySelector(part), next.querySelector(part)];
        if (now && then) {
          const keys = now.querySelector("#keys-open");
          if (part === "footer") document.getElementById("as-of").replaceWith(document.importNode(next.getElementById("as-of"), true));
          else morph(now, then);
          if (keys) keys.hidden = false;
        }
      }
      if (document.title !== next.title) document.title = next.title;
      const after = main.querySelector("[data-news]")?.dataset.news;
      if (after && after !== before) news.textContent = after;
      clock();
      times();
    } catch { /* It is said to be lost by the stream. */ } finally {
      busy = false;
      if (wanted) later();
    }
  }

  let timer = 0;
  function later() {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; renew(); }, Math.max(0, last + PAUSE - Date.now()));
  }

  let stream = null;
  let wait = 1000;
  function say(state, words) {
    if (!live) return;
    live.hidden = false;
    if (live.dataset.state === state) return;
    live.dataset.state = state;
    live.textContent = words;
  }
  function listen() {
    if (stream || document.hidden) return;
    stream = new EventSource("/events");
    stream.addEventListener("open", () => { wait = 1000; say("live", "Live"); });
    stream.addEventListener("hello", () => { if (last) later(); });
    stream.addEventListener("change", (event) => {
      let runs = null;
      try { runs = JSON.parse(event.data).runs; } catch { /* All may have changed. */ }
      if (page === "all" || !runs || runs.includes(page)) later();
    });
    stream.addEventListener("error", () => {
      say("lost", "Disconnected, trying again");
      stream.close();
      stream = null;
      setTimeout(listen, wait);
      wait = Math.min(wait * 2, 30000);
      last = last || 1;
      // Where the session is over, and not the gateway, this leads to signing in.
      later();
    });
  }
  function pause() {
    if (stream) { stream.close(); stream = null; }
    say("paused", "Paused");
  }
  if (page && live) {
    listen();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) pause();
      else { last = last || 1; listen(); later(); }
    });
    window.addEventListener("pagehide", pause);
    window.addEventListener("pageshow", (event) => { if (event.persisted) { listen(); later(); } });
  }

  // ---- What is shown on demand, in its place ----

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const place = form.dataset.fragment && document.getElementById(form.dataset.fragment);
    if (!place) return;
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST", credentials: "same-origin", headers: { "x-fragment": "1" }, body: new URLSearchParams(new FormData(form)),
      });
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const shown = next.querySelector(".payload-shown") || next.querySelector(".trouble");
      place.replaceChildren(...(shown ? [document.importNode(shown, true)] : []));
      place.tabIndex = -1;
      place.focus();
      form.hidden = answer.ok;
    } catch {
      place.textContent = "It could not be fetched; try again.";
    } finally {
      button.disabled = false;
    }
  });

  // ---- Keys ----

  const keys = document.getElementById("keys");
  const on = document.getElementById("keys-on");
  const open = document.getElementById("keys-open");
  if (open) { open.hidden = false; open.addEventListener("click", () => keys.showModal()); }
  try { on.checked = localStorage.getItem("keys") !== "off"; } catch { /* Then they are on. */ }
  on.addEventListener("change", () => {
    try { localStorage.setItem("keys", on.checked ? "on" : "off"); } catch { /* For this page only. */ }
  });
  let prefix = 0;
  function step(by) {
    const items = [...document.querySelectorAll("[data-item]")];
    if (!items.length) return;
    const at = items.findIndex((item) => item.contains(document.activeElement));
    const next = items[Math.min(items.length - 1, Math.max(0, at + by))];
    (next.querySelector("a[href]") || next).focus();
    next.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || keys.open) return;
    // For a moment after it is closed, the list of keys still has the focus.
    if (event.target.closest("input, select, textarea, [contenteditable]") && !keys.contains(event.target)) return;
    if (event.key === "?") { keys.showModal(); event.preventDefault(); return; }
    if (!on.checked) return;
    if (event.key === "/" ) {
      const field = document.querySelector("main input[type=search]");
      if (field) field.focus(); else location.assign("/search");
      event.preventDefault();
      return;
    }
    if (Date.now() - prefix < 1500) {
      prefix = 0;
      const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { link.click(); event.preventDefault(); }
      return;
    }
    if (event.key === "g") prefix = Date.now();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
  });
})();
