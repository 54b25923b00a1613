// Puts the pieces of an update ("desk" events) into the page: an element takes the place of the
// one with its id; a new one goes into its data-in, the highest data-order first; data-gone goes.
"use strict";
(() => {
  const place = (element) => {
    const list = document.getElementById(element.dataset.in);
    if (!list) return;
    const order = Number(element.dataset.order);
    let after = list.firstElementChild;
    while (after && Number(after.dataset.order) > order) after = after.nextElementSibling;
    list.insertBefore(element, after);
  };
  const focusIn = (element) => {
    const focused = document.activeElement;
    return focused && focused.id && element.contains(focused) ? focused.id : null;
  };
  const put = (element) => {
    const old = document.getElementById(element.id);
    if ("gone" in element.dataset) { old?.remove(); return; }
    if (!old) { place(element); return; }
    if (old.isEqualNode(element)) return;
    if (old.hasAttribute("aria-live")) { // a live region speaks only while it stays itself
      old.replaceChildren(...element.childNodes);
      return;
    }
    const focused = focusIn(old);
    for (const fold of old.querySelectorAll("details[id][open]")) {
      element.querySelector(`#${CSS.escape(fold.id)}`)?.setAttribute("open", "");
    }
    if (old.classList.contains("is-linked")) element.classList.add("is-linked");
    const moved = element.dataset.in && (element.dataset.in !== old.dataset.in || element.dataset.order !== old.dataset.order);
    if (moved) { old.remove(); place(element); } else old.replaceWith(element);
    if (element.querySelector("[hx-post], [hx-get]")) window.htmx.process(element);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    if (event.detail.type !== "desk") return;
    event.preventDefault();
    const template = document.createElement("template");
    template.innerHTML = event.detail.data;
    const pieces = [...template.content.children];
    document.dispatchEvent(new CustomEvent("desk:pieces", { detail: pieces }));
    pieces.forEach(put);
    document.dispatchEvent(new CustomEvent("desk:patched", { detail: pieces }));
  });
})();
