// The filters, live: rows that they do not let through are hidden, by the rules of
// dashboard/live/filters.py, and the address says which filter is on.
"use strict";
(() => {
  const form = document.getElementById("filters");
  if (!form) return;
  const read = () => {
    const values = Object.fromEntries(new FormData(form));
    return { ...values, words: values.q.toLowerCase().split(/\s+/).filter(Boolean) };
  };
  const lets = (row, chosen) => {
    const data = row.dataset;
    return (!chosen.state || data.state === chosen.state)
      && (!chosen.mode || data.mode === chosen.mode)
      && (!chosen.assistant || data.assistant === chosen.assistant)
      && chosen.words.every((word) => data.find.includes(word));
  };
  const hide = (rows) => {
    const chosen = read();
    for (const row of rows) row.hidden = !lets(row, chosen);
    const on = Boolean(chosen.state || chosen.mode || chosen.assistant || chosen.words.length);
    form.querySelector(".clear").hidden = !on;
    document.getElementById("main").classList.toggle("filtered", on);
  };
  const all = () => hide(document.querySelectorAll(".call"));
  const changed = () => {
    all();
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
  };
  const names = () => {
    const select = document.getElementById("assistants");
    const known = new Set([...select.options].map((option) => option.text));
    for (const row of document.querySelectorAll(".call[data-assistant]")) {
      const name = row.dataset.assistant;
      if (name && !known.has(name)) { known.add(name); select.add(new Option(name)); }
    }
  };
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-unfilter]")) return;
    event.preventDefault();
    for (const field of form.elements) if (field.name) field.value = "";
    changed();
  });
  document.addEventListener("desk:pieces", (event) => {
    const kept = event.detail.find((piece) => piece.dataset.rows !== undefined);
    if (kept) {
      const ids = new Set(kept.dataset.rows.split(" "));
      for (const row of document.querySelectorAll(".call")) if (!ids.has(row.id.slice("call-".length))) row.remove();
    }
    const rows = event.detail.flatMap((piece) => (piece.matches(".call") ? [piece] : [...piece.querySelectorAll(".call")]));
    hide(rows.filter((row) => row.dataset.find !== undefined));
  });
  document.addEventListener("desk:patched", names);
  all();
})();
