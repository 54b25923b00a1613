// The action panel of a call: it follows the call's state without losing what is typed, listens (also
// by the key l) and speaks to the caller. Its forms work without any of this.
"use strict";
import { Ear } from "./sound/ear.js";
import { Voice } from "./sound/voice.js";

const find = (id) => document.getElementById(id);
const slot = () => find("steer");
const call = slot()?.dataset.call;
let ear = null, voice = null, context = null, words = "";

// -- the forms

const typed = () => Object.fromEntries([...slot().querySelectorAll("input:not([type=hidden])")].map((field) => [field.id, field.value]));

const refresh = async () => {
  const answer = await fetch(`/calls/${call}/steer`).catch(() => null);
  if (!answer?.ok) return;
  const template = document.createElement("template");
  template.innerHTML = await answer.text();
  const fresh = template.content.firstElementChild, old = slot();
  const forms = fresh.querySelector("#steer-forms");
  if (!forms || !find("steer-forms")) {
    stop();
    old.replaceWith(fresh);
    document.dispatchEvent(new CustomEvent("desk:steer"));
    return;
  }
  const kept = typed(), focused = document.activeElement?.id;
  const said = ["said-words", "said-moves"].map((id) => [id, [...find(id).childNodes]]);
  const folds = [...old.querySelectorAll("details[open]")].map((fold) => fold.id);
  find("steer-forms").replaceWith(forms);
  for (const [id, value] of Object.entries(kept)) if (find(id)) find(id).value = value;
  for (const [id, nodes] of said) find(id).replaceChildren(...nodes);
  for (const id of folds) find(id)?.setAttribute("open", "");
  if (focused) find(focused)?.focus({ preventScroll: true });
  old.dataset.whyVoice = fresh.dataset.whyVoice;
  old.classList.toggle("is-taken", fresh.classList.contains("is-taken"));
  window.htmx.process(forms);
  paint();
};

let seen = JSON.stringify(find("steer-now")?.dataset ?? {});
document.addEventListener("desk:patched", ({ detail }) => {
  const now = detail.find((piece) => piece.id === "steer-now");
  if (!now || JSON.stringify(now.dataset) === seen) return;
  seen = JSON.stringify(now.dataset);
  refresh();
});

// What was whispered or said is done with; what was refused stays in its field.
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.elt.closest?.("#steer-forms")) return;
  if (detail.successful && detail.elt.matches(".steer-words")) find("steer-text").value = "";
  if (detail.successful) for (const fold of slot().querySelectorAll("details[open]")) fold.removeAttribute("open");
});

// -- sound

const running = async () => {
  context ??= new AudioContext({ latencyHint: "interactive" });
  await context.resume();
  return context;
};

const meter = (name) => slot().querySelector(`[data-meter="${name}"]`);
const level = (name, value) => { if (meter(name)) meter(name).value = value; };

const paint = () => {
  const box = slot();
  if (!find("listen")) return;
  const listening = ear?.open_ ?? false, speaking = voice?.speaking ?? false;
  const button = find("listen");
  button.classList.toggle("is-on", listening);
  button.textContent = listening ? "Stop listening" : "Listen";
  box.querySelector(".ear-meters").hidden = !listening;
  find("ear-state").textContent = words;
  find("steer-voice").hidden = !speaking;
  box.classList.toggle("is-speaking", speaking);
  const take = find("take-over"), why = speaking ? "" : box.dataset.whyVoice;
  take.hidden = speaking;
  take.disabled = Boolean(why) || Boolean(voice);
  take.title = why;
  find("mute").setAttribute("aria-pressed", String(voice?.muted ?? false));
};

const say = (text) => { words = text; paint(); };

const listen = async () => {
  if (ear?.open_) return;
  ear ??= new Ear(call);
  const mine = ear;
  if (!mine.known) {
    mine.known = true;
    mine.addEventListener("state", ({ detail }) => {
      slot().dataset.ear = detail.state;
      say(detail.state === "listening" ? "" : detail.words);
    });
    mine.addEventListener("level", ({ detail }) => {
      level("caller", detail.caller);
      level("assistant", detail.assistant);
      slot().dataset.loud = JSON.stringify(mine.loud_ms);
    });
  }
  say("Connecting…");
  await mine.open(await running());
};

const speak = async () => {
  if (voice) return;
  voice = new Voice(call);
  const mine = voice;
  mine.speaking = false;
  mine.addEventListener("level", (event) => level("you", event.detail.level));
  mine.addEventListener("state", ({ detail }) => {
    mine.speaking = detail.state === "speaking";
    if (ear) ear.deaf = mine.speaking;
    if (!mine.speaking) voice = null;
    say(mine.speaking ? "" : detail.words);
    if (mine.speaking) find("give-back").focus();
  });
  paint();
  try {
    await listen();
    await mine.open(await running());
  } catch (error) {
    voice = null;
    say(error.why ? error.message : "The sound could not be opened.");
  }
};

const stop = () => {
  voice?.close();
  ear?.close();
};

const toggle = () => (ear?.open_ ? ear.close() : listen().catch(() => say("The sound could not be opened.")));

const begin = () => {
  for (const part of document.querySelectorAll("#steer[data-scripts], #steer [data-scripts]")) part.hidden = false;
  paint();
};

document.addEventListener("click", ({ target }) => {
  if (target.closest("#listen")) toggle();
  else if (target.closest("#take-over")) speak();
  else if (target.closest("#give-back")) voice?.close();
  else if (target.closest("#mute") && voice) { voice.muted = !voice.muted; paint(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "l" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, [contenteditable], dialog") || !find("listen")) return;
  event.preventDefault();
  toggle();
});
addEventListener("pagehide", stop);
begin();
