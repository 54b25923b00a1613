// The planner's cards: dragged to another day with the mouse or by the grip with a finger, moved by
// the grip's arrow keys; what came from elsewhere is pointed out. Every move is sent as the form of
// a todo sends a new day, so the server's answer shows what is so.
"use strict";
(() => {
  const START_PX = 6, EDGE_PX = 48, STEP_PX = 12;
  const list = () => document.getElementById("todos");
  const say = (text) => { document.getElementById("announce").textContent = text; };
  let drag = null; // the card under the pointer, and whether it left its place already
  let missed = false; // the list was to be renewed while a card was held

  document.documentElement.classList.add("can-drag");

  const send = (card, column) => {
    const todos = list();
    say(`${card.dataset.what}: moved to ${column.dataset.name}`);
    column.querySelector("ul").append(card); // at once; the answer puts it where it belongs
    card.classList.add("is-sent");
    window.htmx.ajax("POST", card.dataset.move, {
      source: todos, target: "#todos", swap: "outerHTML",
      values: { deadline: column.dataset.drop, show: todos.dataset.show, from: todos.dataset.from },
    });
  };

  const over = (x, y) => document.elementFromPoint(x, y)?.closest("[data-drop]") ?? null;
  const mark = (column) => {
    if (drag.column === column) return;
    drag.column?.classList.remove("is-over");
    column?.classList.add("is-over");
    drag.column = column;
  };
  const end = () => {
    const held = drag;
    drag = null;
    if (held?.moving) {
      held.column?.classList.remove("is-over");
      held.card.classList.remove("is-dragged");
      // htmx copies attributes, and the policy refuses a copied style, an empty one too: Chromium
      // removes a style that scripts changed only after it was looked at.
      if (held.card.hasAttribute("style")) held.card.removeAttribute("style");
      document.documentElement.classList.remove("is-dragging");
    }
    if (missed) {
      missed = false;
      window.htmx.trigger(list(), "sse:todos");
    }
    return held;
  };

  document.addEventListener("pointerdown", (event) => {
    const card = event.target.closest(".todo[data-move]");
    if (!card || !card.closest("#days") || event.button !== 0) return;
    const grip = event.target.closest(".grip");
    if (!grip && (event.pointerType === "touch" || event.target.closest("a, button, input"))) return;
    drag = { card, id: event.pointerId, x: event.pageX, y: event.pageY, moving: false, column: null };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    const dx = event.pageX - drag.x, dy = event.pageY - drag.y;
    if (!drag.moving) {
      if (Math.hypot(dx, dy) < START_PX) return;
      drag.moving = true;
      drag.card.classList.add("is-dragged");
      document.documentElement.classList.add("is-dragging");
      window.getSelection()?.removeAllRanges();
    }
    drag.card.style.transform = `translate(${dx}px, ${dy}px)`;
    if (event.clientY < EDGE_PX) window.scrollBy(0, -STEP_PX);
    if (event.clientY > window.innerHeight - EDGE_PX) window.scrollBy(0, STEP_PX);
    mark(over(event.clientX, event.clientY));
  });
  document.addEventListener("pointerup", (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    const column = drag.column;
    const held = end();
    if (!held.moving || !column || column.dataset.drop === held.card.dataset.day) return;
    send(held.card, column);
  });
  document.addEventListener("pointercancel", end);
  window.addEventListener("blur", end);
  document.addEventListener("dragstart", (event) => { if (drag) event.preventDefault(); });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && drag?.moving) { end(); return; }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const grip = event.target.closest?.(".grip");
    if (!step || !grip || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const card = grip.closest(".todo");
    const columns = [...document.querySelectorAll("#days > [data-drop]")];
    const at = columns.findIndex((column) => column.contains(card));
    const column = columns[at + step];
    if (!column) { say("There is no further day in this week; use Edit."); return; }
    if (!card.classList.contains("is-sent")) send(card, column);
    grip.focus();
  });

  // Another's change renews the list: not under a held card, and the new ones are pointed out.
  const names = () => new Set([...document.querySelectorAll("#todos .todo")].map((card) => card.id));
  let known = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target?.id !== "todos") return;
    if (drag) {
      event.detail.shouldSwap = false;
      missed = true;
      return;
    }
    known = event.detail.requestConfig?.verb === "get" ? names() : null;
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (!known) return;
    const before = known;
    known = null;
    const came = [...document.querySelectorAll("#todos .todo")].filter((card) => !before.has(card.id));
    for (const card of came) card.classList.add("is-new");
    if (came.length === 1) {
      say(`New: ${came[0].dataset.what}, ${came[0].closest("[data-name]")?.dataset.name ?? ""}`);
    } else if (came.length > 1) say(`${came.length} new todos`);
  });

  // A menu of callers closes by a click beside it and by Escape.
  document.addEventListener("click", (event) => {
    const who = document.getElementById("who");
    if (who?.open && !who.contains(event.target)) who.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const who = document.getElementById("who");
    if (event.key === "Escape" && who?.open) { who.open = false; who.querySelector("summary").focus(); }
  });
})();
