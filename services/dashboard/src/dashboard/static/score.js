// Scores: strips of calls that go on move with time; on a call's page the score is drawn as wide
// as its place, zooms by dragging and by keys, and walks in step with the transcript.
"use strict";
(() => {
  const seen = new WeakMap(); // a strip -> when it came, on this page's clock
  const UNITS_A_MS = 420 / 60000;
  const flow = () => {
    const now = performance.now();
    for (const strip of document.querySelectorAll(".score--strip[data-live]")) {
      const moving = strip.querySelector(".score-flow");
      if (!seen.has(strip)) seen.set(strip, now - Number(moving.dataset.age ?? 0)); // drawn before it came
      // Before its first minute is full a strip grows and does not move.
      const full = Number(strip.dataset.to) > 60000 ? now - seen.get(strip) : 0;
      moving.setAttribute("transform", `translate(${(-full * UNITS_A_MS).toFixed(2)} 0)`);
    }
  };
  setInterval(flow, 1000);

  const sheet = () => document.getElementById("score");
  if (!sheet()) return;
  const roll = () => document.getElementById("score-roll");
  const view = { from: 0, to: 0 };
  const number = (name) => Number(sheet().dataset[name]);
  if ("zoomed" in sheet().dataset) { view.from = number("from"); view.to = number("to"); }

  let asking = false, again = false, width = 0;
  const draw = async () => {
    if (asking) { again = true; return; }
    asking = true; again = false;
    const began = performance.now();
    width = Math.round(Math.max(280, roll().clientWidth - 24));
    const query = new URLSearchParams({ from: view.from, to: view.to, width });
    try {
      const answer = await fetch(`/calls/${sheet().dataset.call}/score?${query}`);
      if (answer.ok) swap(await answer.text());
    } catch { /* the page says that the server is not reached */ }
    // A long call's score is no cheap drawing: at most a tenth of the time goes into it.
    setTimeout(() => { asking = false; if (again) draw(); }, Math.max(1000, 10 * (performance.now() - began)));
  };
  const swap = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    const fresh = template.content.firstElementChild, old = sheet();
    const held = old.contains(document.activeElement) ? document.activeElement : null;
    const key = held?.closest(".part")?.dataset.key, zoom = held?.dataset?.zoom, onRoll = held === roll();
    const open = document.getElementById("score-table").open, words = document.getElementById("score-words").textContent;
    // Before it is in the page, or the same words would be announced again.
    fresh.querySelector("#score-words").textContent = words;
    fresh.querySelector("#score-table").open = open;
    old.replaceWith(fresh);
    mark();
    document.dispatchEvent(new CustomEvent("desk:score"));
    if (onRoll) roll().focus();
    else if (key) (part(key) ?? roll()).focus({ preventScroll: true });
    else if (zoom) (fresh.querySelector(`[data-zoom="${CSS.escape(zoom)}"]`) ?? roll()).focus();
  };
  const look = (from, to) => {
    const whole = from <= 0 && to >= number("length");
    view.from = whole ? 0 : Math.max(0, Math.round(from));
    view.to = whole ? 0 : Math.round(to);
    asking = false;
    draw();
  };
  const part = (key) => sheet().querySelector(`.part[data-key="${CSS.escape(key)}"]`);

  let linked = "";
  const mark = () => {
    for (const other of document.querySelectorAll(".is-linked")) other.classList.remove("is-linked");
    if (!linked) return;
    for (const other of document.querySelectorAll(`[data-key="${CSS.escape(linked)}"]`)) other.classList.add("is-linked");
  };
  // In step: what is pointed at or focused on one side is marked on the other.
  const link = (key, words) => {
    linked = key ?? "";
    mark();
    document.getElementById("score-words").textContent = words ?? part(key)?.getAttribute("aria-label") ?? "";
  };
  const over = (event) => {
    const found = event.target.closest?.("[data-key]");
    if (found) link(found.dataset.key, found.matches(".part") ? found.getAttribute("aria-label") : null);
  };
  document.addEventListener("pointerover", over);
  document.addEventListener("focusin", over);

  const keys = { "+": "+", "=": "+", "-": "-", 0: "0" };
  const walk = (by) => {
    const parts = [...roll().querySelectorAll(".part")].sort((a, b) => a.getBBox().x - b.getBBox().x);
    const at = parts.indexOf(document.activeElement);
    parts[at < 0 ? (by > 0 ? 0 : parts.length - 1) : Math.min(parts.length - 1, Math.max(0, at + by))]?.focus();
  };
  document.addEventListener("keydown", (event) => {
    if (!event.target.closest("#score-roll") || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) walk(by);
    else if (keys[event.key]) press(keys[event.key]);
    else if (event.key === "Enter") show(event.target.dataset.key);
    else return;
    event.preventDefault();
  });
  const press = (key) => {
    const link = sheet().querySelector(`[data-zoom="${CSS.escape(key)}"]`);
    if (!link) return;
    const query = new URLSearchParams(link.search);
    look(Number(query.get("from") ?? 0), Number(query.get("to") ?? Infinity));
  };
  const show = (key) => {
    const line = key && document.getElementById(`mark-${key}`);
    if (line) { line.scrollIntoView({ block: "nearest" }); link(key); }
  };
  document.addEventListener("click", (event) => {
    const zoom = event.target.closest("[data-zoom]");
    if (zoom) { event.preventDefault(); press(zoom.dataset.zoom); return; }
    const clicked = event.target.closest(".score--page .part");
    if (clicked) show(clicked.dataset.key);
  });

  // Dragging over the score zooms to what was dragged over.
  let drag = null;
  const at = (event) => {
    const svg = roll().querySelector("svg"), box = svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const stretch = (share) => {
    const svg = roll().querySelector("svg"), units = svg.viewBox.baseVal.width;
    drag.rect ??= svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "rect"));
    const rect = { class: "score-drag", x: Math.min(drag.share, share) * units, width: Math.abs(drag.share - share) * units, y: 0, height: 152 };
    for (const [name, value] of Object.entries(rect)) drag.rect.setAttribute(name, value);
  };
  document.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType !== "touch" && event.target.closest(".score--page")) drag = { share: at(event), x: event.clientX };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag || Math.abs(event.clientX - drag.x) < 5) return;
    roll().classList.add("is-dragging");
    stretch(at(event));
  });
  document.addEventListener("pointerup", (event) => {
    const held = drag;
    drag = null;
    roll().classList.remove("is-dragging");
    held?.rect?.remove();
    if (!held?.rect) return;
    const from = number("from"), width = number("to") - from, ends = [held.share, at(event)].sort((a, b) => a - b);
    look(from + ends[0] * width, from + ends[1] * width);
  });

  document.addEventListener("desk:patched", (event) => {
    const now = event.detail.find((piece) => piece.id === "score-now");
    if (now && now.dataset.version !== drawn) { drawn = now.dataset.version; draw(); }
  });
  let drawn = document.getElementById("score-now")?.dataset.version;
  // A call that goes on grows also while nothing is said.
  setInterval(() => { if ("live" in sheet().dataset && !view.to) draw(); }, 5000);
  addEventListener("resize", () => { if (Math.abs(roll().clientWidth - 24 - width) > 40) draw(); });
  if (Math.abs(roll().clientWidth - 24 - 1200) > 40) draw();
})();
