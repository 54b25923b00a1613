// What the desk adds to the server's HTML: clocks that tick, rows that stay as they were left,
// the dialog, and the word that the server is not reached. Without it every page still works.
"use strict";
(() => {
  const seen = new WeakMap(); // when an element with data-elapsed-ms came, on this page's clock
  const folds = new Map(); // id of a <details> -> open or not, as the person left it
  const scrolled = new Map(); // id of a transcript -> distance from its end

  const length = (ms) => {
    const s = Math.floor(ms / 1000), two = (n) => String(n).padStart(2, "0");
    const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
    return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
  };
  const ago = (ms) => {
    const s = ms / 1000;
    if (s < 60) return "just now";
    if (s < 3600) return `${Math.floor(s / 60)} min ago`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
    return `${Math.floor(s / 86400)} d ago`;
  };
  const dialog = () => document.getElementById("dialog"); // the page's main part may be replaced
  const put = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const tick = () => {
    const now = performance.now();
    for (const element of document.querySelectorAll("[data-elapsed-ms]")) {
      if (!seen.has(element)) seen.set(element, now);
      put(element, length(Number(element.dataset.elapsedMs) + now - seen.get(element)));
    }
    for (const element of document.querySelectorAll("[data-ago]")) {
      put(element, ago(Date.now() - Date.parse(element.dateTime)));
    }
  };
  setInterval(tick, 1000);
  tick();

  // Only a person's click counts: a fold that the server opened or closed is not theirs.
  document.addEventListener("click", (event) => {
    const summary = event.target.closest("summary");
    if (summary && summary.parentElement.id) {
      folds.set(summary.parentElement.id, !summary.parentElement.open);
    }
    if (event.target.closest("[data-close]") && dialog()?.open) {
      event.preventDefault();
      dialog().close();
    }
  });
  document.addEventListener("scroll", (event) => {
    if (event.target.id && event.target.classList?.contains("scroll")) {
      scrolled.set(event.target.id, event.target.scrollTop);
    }
  }, true);
  const asLeft = (root) => {
    for (const fold of root.querySelectorAll("details[id]")) {
      if (folds.has(fold.id)) fold.open = folds.get(fold.id);
    }
  };
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    for (const element of event.detail.target.querySelectorAll("details[id][open]")) {
      // A call that ends under the eyes of its reader does not close.
      if (!folds.has(element.id)) folds.set(element.id, true);
    }
    asLeft(event.detail.fragment);
  });
  document.addEventListener("htmx:oobAfterSwap", () => {
    for (const [id, top] of scrolled) {
      const element = document.getElementById(id);
      if (element) element.scrollTop = top;
      else scrolled.delete(id);
    }
    tick();
  });

  const offline = document.getElementById("offline");
  document.addEventListener("htmx:sseError", () => { offline.hidden = false; });
  document.addEventListener("htmx:sseOpen", () => { offline.hidden = true; });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id === "dialog-body" && !dialog().open) dialog().showModal();
    tick();
  });
  document.addEventListener("desk:saved", () => { if (dialog()?.open) dialog().close(); });

  document.addEventListener("keydown", (event) => {
    const rows = [...document.querySelectorAll(".call summary")].filter((s) => s.id.startsWith("head-"));
    const typing = event.target.closest("input, textarea, select, [contenteditable], dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !rows.length) return;
    const step = { j: 1, k: -1 }[event.key];
    if (!step) return;
    const at = rows.indexOf(document.activeElement?.closest(".call")?.querySelector("summary"));
    rows[Math.min(rows.length - 1, Math.max(0, at + step))].focus();
    event.preventDefault();
  });
})();
