// Parts that are asked for again keep what their reader unfolded.
"use strict";
(() => {
  let open = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    open = [...(event.detail.target?.querySelectorAll?.("details[id][open]") ?? [])].map((one) => one.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    open = [];
  });
})();
