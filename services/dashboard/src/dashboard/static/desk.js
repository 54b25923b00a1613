// What the desk adds to the server's HTML: clocks that tick, the dialog, and the word that the
// server is not reached. Without it every page still works.
"use strict";
(() => {
  const seen = new WeakMap(); // when an element with data-elapsed-ms came, on this page's clock

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

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]") && dialog()?.open) {
      event.preventDefault();
      dialog().close();
    }
  });
  document.addEventListener("desk:patched", tick);

  // On a narrow screen the way to other pages is longer than the screen: this page's place is seen.
  const place = document.querySelector(".top nav [aria-current]");
  if (place) place.parentElement.scrollLeft = place.offsetLeft - place.parentElement.clientWidth / 2;

  const offline = document.getElementById("offline");
  document.addEventListener("htmx:sseError", () => {
    offline.hidden = false;
    // The stream may have ended with the session: then the way goes over the log-in.
    fetch("/session").then((answer) => {
      if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
    }).catch(() => {});
  });
  document.addEventListener("htmx:sseOpen", () => { offline.hidden = true; });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id === "dialog-body" && !dialog().open) dialog().showModal();
    tick();
  });
  document.addEventListener("desk:saved", () => { if (dialog()?.open) dialog().close(); });
})();
