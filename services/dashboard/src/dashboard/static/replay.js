// A call that is over, in time: play, pause and seek (a click on the score, the slider, Space), slower
// and faster, the transcript in step; with sound where it was kept. Also the waveform behind the
// score.
"use strict";
const find = (id) => document.getElementById(id);
const player = () => document.querySelector("#steer.player");
const SVG = "http://www.w3.org/2000/svg";

const clock = (ms) => {
  const s = Math.floor(ms / 1000), two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
};

// -- the waveform

let kept = null; // { start, end } of the sound, in line ms
let asked = "";
const wave = async () => {
  const sheet = find("score"), drawing = document.querySelector("#score-roll svg");
  if (!player() || !sheet || !drawing || !find("player-sound").dataset.recorded) return;
  const query = new URLSearchParams({ from: sheet.dataset.from, to: sheet.dataset.to, width: drawing.viewBox.baseVal.width });
  asked = String(query);
  const answer = await fetch(`/calls/${sheet.dataset.call}/wave?${query}`).catch(() => null);
  if (!answer?.ok) { if (answer?.status === 404) find("player-sound").textContent = "No sound is kept of this call any more."; return; }
  const text = await answer.text();
  const now = document.querySelector("#score-roll svg");
  if (asked !== String(query) || !now) return;
  const group = new DOMParser().parseFromString(text, "image/svg+xml").querySelector("g");
  kept = { start: Number(group.dataset.start), end: Number(group.dataset.end) };
  now.querySelector(".wave")?.remove();
  now.classList.add("has-wave");
  now.querySelector(".score-flow").prepend(document.importNode(group, true));
};

// -- the player

let at = 0, playing = false, speed = 1, last = 0, rows = [], length = 0;
const sound = () => (kept ? find("sound") : null);
const heard = () => kept && at >= kept.start && at < kept.end;

const draw = () => {
  find("seek").value = at;
  find("seek").setAttribute("aria-valuetext", clock(at));
  const text = `${clock(at)} / ${clock(length)}`;
  if (find("play-at").textContent !== text) find("play-at").textContent = text;
  head();
  follow();
};

const head = () => {
  const svg = document.querySelector("#score-roll svg");
  if (!svg) return;
  const from = Number(svg.dataset.from), to = Number(svg.dataset.to);
  let line = svg.querySelector(".score-playhead");
  if (!line) {
    line = svg.appendChild(document.createElementNS(SVG, "path"));
    line.setAttribute("class", "score-playhead");
  }
  const inside = at >= from && at <= to;
  line.toggleAttribute("hidden", !inside);
  const x = svg.viewBox.baseVal.width * (at - from) / (to - from);
  if (inside) line.setAttribute("d", `M${x.toFixed(1)} 16V152`);
};

let spoken = null;
const follow = () => {
  const now = rows.filter((row) => row.from <= at && at < row.to).at(-1)?.key ?? null;
  if (now === spoken) return;
  if (spoken) find(`mark-${spoken}`)?.classList.remove("is-now");
  spoken = now;
  const mark = now && find(`mark-${now}`);
  if (!mark) return;
  mark.classList.add("is-now");
  if (playing) mark.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
};

const step = (now) => {
  if (!playing) return;
  const audio = sound();
  if (audio?.ended && heard()) at = kept.end;
  if (audio && heard() && !audio.error) {
    if (audio.paused && audio.readyState > 2) audio.play().catch(() => {});
    // The sound is the clock while there is some: the line waits for it.
    if (!audio.paused && !audio.seeking) at = Math.max(at, kept.start + audio.currentTime * 1000);
  } else {
    at += (now - last) * speed;
    if (audio && heard() && !audio.error) cue();
  }
  last = now;
  if (at >= length) { at = length; pause(); }
  draw();
  if (playing) requestAnimationFrame(step);
};

const cue = () => {
  const audio = sound();
  if (!audio) return;
  if (!audio.getAttribute("src")) audio.src = audio.dataset.src;
  audio.playbackRate = speed;
  if (!heard()) { audio.pause(); return; }
  audio.currentTime = (at - kept.start) / 1000;
  if (playing) audio.play().catch(() => {});
};

const play = () => {
  if (at >= length) at = 0;
  playing = true;
  last = performance.now();
  cue();
  requestAnimationFrame(step);
  tell();
};
const pause = () => {
  playing = false;
  sound()?.pause();
  tell();
};
const tell = () => {
  const button = find("play");
  button.textContent = playing ? "Pause" : "Play";
  player().dataset.playing = playing ? "yes" : "";
};
const seek = (ms) => {
  at = Math.min(length, Math.max(0, ms));
  cue();
  draw();
};
const hasten = (rate) => {
  speed = rate;
  if (sound()) sound().playbackRate = rate;
  for (const button of player().querySelectorAll("[data-speed]")) button.setAttribute("aria-pressed", String(Number(button.dataset.speed) === rate));
};

const read = () => {
  length = Number(find("score").dataset.length);
  find("seek").max = length;
  rows = [...document.querySelectorAll("#score-table tr[data-at]")]
    .filter((row) => ["caller", "assistant", "operator", "announcement", "tool"].includes(row.dataset.kind))
    .map((row) => ({ key: row.dataset.at, from: Number(row.dataset.from), to: Number(row.dataset.to) }));
};

const begin = () => {
  if (!player()) return;
  player().hidden = false;
  read();
  draw();
  wave();
  find("sound")?.addEventListener("error", () => { find("player-sound").textContent = "The sound could not be loaded; the score plays without it."; });
};

document.addEventListener("desk:score", () => { if (player()) { read(); draw(); wave(); } });
document.addEventListener("desk:steer", begin);
// An update may have put a fresh line in the place of the marked one.
document.addEventListener("desk:patched", () => { spoken = null; if (player()) follow(); });
document.addEventListener("input", ({ target }) => { if (target.id === "seek" && player()) seek(Number(target.value)); });
let pressed = null;
document.addEventListener("pointerdown", (event) => { pressed = event.target.closest("#score-roll svg") ? event.clientX : null; });
document.addEventListener("click", (event) => {
  if (!player()) return;
  const rate = event.target.closest("[data-speed]");
  if (rate) hasten(Number(rate.dataset.speed));
  else if (event.target.closest("#play")) (playing ? pause : play)();
  const svg = event.target.closest("#score-roll svg");
  if (!svg || pressed === null || Math.abs(event.clientX - pressed) >= 5) return; // dragging zooms
  const box = svg.getBoundingClientRect(), from = Number(svg.dataset.from), to = Number(svg.dataset.to);
  seek(from + (to - from) * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !player() || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input:not([type=range]), textarea, select, button, summary, a, [contenteditable], dialog")) return;
  event.preventDefault();
  (playing ? pause : play)();
});
begin();
