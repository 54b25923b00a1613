// The keyboard on pages with calls: j and k go from row to row, Enter opens, / filters, ? helps.
"use strict";
(() => {
  document.documentElement.classList.add("has-scripts");
  const help = document.getElementById("help");
  for (const button of document.querySelectorAll("[data-help]")) {
    button.hidden = false;
    button.addEventListener("click", () => help.showModal());
  }
  const step = (by) => {
    const rows = [...document.querySelectorAll(".call:not([hidden]) .who a")];
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement);
    const to = at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by));
    rows[to].focus();
    rows[to].closest(".call").scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const field = event.target.closest("input, textarea, select, [contenteditable], dialog");
    if (field) {
      if (event.key === "Escape" && field.id === "q") field.blur();
      return;
    }
    const act = {
      j: () => step(1),
      k: () => step(-1),
      "/": () => document.getElementById("q")?.focus(),
      "?": () => help?.showModal(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  // The whole row opens its call, also where a score covers the link.
  document.addEventListener("click", (event) => {
    if (event.target.closest(".strip") && !getSelection().toString()) {
      event.target.closest(".call")?.querySelector(".who a")?.click();
    }
  });
})();
