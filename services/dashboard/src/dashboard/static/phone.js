// The phone's page: a call from the first click to the reason of its end. Sound and line are in
// sound/; here is what a person sees and presses, and what Twilio would do around a call: ask what
// follows when a line was closed, and do that.
import { Line } from "./sound/line.js";
import { Microphone, MicrophoneError } from "./sound/microphone.js";
import { Speaker } from "./sound/speaker.js";

const by = (id) => document.getElementById(id);
const phone = by("phone"), form = by("phone-form");
const ASK_FOR_MS = 20000; // how long it is asked what follows while the desk does not answer
const KEYS = "0123456789*#";
const FLOOR_DB = 54;
const STATES = {
  idle: ["Ready", "Choose an assistant and call."],
  asking: ["Asking for the microphone", "The browser asks whether this page may hear you: allow it."],
  calling: ["Calling", "The call is being opened."],
  ringing: ["Ringing", "The line is open; the assistant is coming."],
  talking: ["Talking", "Speak, or use the keys. Keys are sent and not shown."],
  lost: ["Line lost", "The line broke; it is being opened again. The assistant waits."],
  ended: ["Ended", ""],
};
const REASONS = {
  caller_hung_up: "You hung up.",
  assistant_hung_up: "The assistant, or somebody at the desk, ended the call.",
  busy: "Nobody was free to take the call.",
  refused: "This number may not be served now: too many calls, or no stranger is.",
  failed: "Something failed; the call's page says what.",
  lost: "The line was lost and could not be opened again.",
  transferred: "The call was handed to a person.",
  canceled: "The call was taken back before it was answered.",
};

let call = null; // of the click on Call: context, microphone, speaker, line, id
let began = 0;

const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };

const show = (state, words = STATES[state][1]) => {
  phone.dataset.state = state;
  put(by("phone-state"), STATES[state][0]);
  put(by("phone-words"), words);
  const open = !["idle", "ended"].includes(state), heard = ["ringing", "talking"].includes(state);
  put(by("call").querySelector("span"), open ? "Hang up" : "Call");
  for (const key of phone.querySelectorAll(".key")) key.disabled = !heard;
  for (const name of ["called", "caller"]) form.elements[name].disabled = open;
};

const complain = (sentence) => {
  by("phone-problem").hidden = !sentence;
  put(by("phone-problem"), sentence);
};

const meter = (id, level) => {
  const share = level > 0 ? Math.max(0, Math.min(1, (20 * Math.log10(level) + FLOOR_DB) / FLOOR_DB)) : 0;
  by(id).setAttribute("width", (100 * share).toFixed(1));
};

const post = async (address, fields) => {
  const answer = await fetch(address, { method: "POST", body: new URLSearchParams(fields) });
  if (answer.status === 401) throw new Error("You are not logged in any more. Log in again in another tab.");
  const said = await answer.json().catch(() => ({ problem: "The desk could not answer; its log says why." }));
  if (!answer.ok) throw Object.assign(new Error(said.problem), { final: answer.status < 500 });
  return said;
};

// -- a call

const start = async () => {
  complain("");
  const mine = call = { context: new AudioContext({ latencyHint: "interactive" }), tries: 0, opened: false };
  show("asking");
  try {
    await mine.context.resume();
    mine.microphone = await Microphone.open(mine.context, { device: by("device").value });
    mine.speaker = await Speaker.open(mine.context);
  } catch (error) {
    const known = error instanceof MicrophoneError;
    stop(mine, "", known ? error.message : `The browser could not open its sound: ${error.message}`);
    return;
  }
  if (call !== mine) { release(mine); return; }
  wire(mine);
  show("calling");
  try {
    const offer = await post("/phone/calls", { called: by("called").value, caller: by("caller").value });
    if (call !== mine) return; // hung up meanwhile: without a line the call ends by itself
    mine.id = offer.call;
    by("phone-link").href = `/calls/${offer.call}`;
    by("phone-link").hidden = false;
    window.htmx.ajax("GET", `/phone/calls/${offer.call}`, { target: "#phone-call", swap: "innerHTML" });
    connect(mine, offer);
  } catch (error) {
    stop(mine, "", error.message);
  }
};

const wire = (mine) => {
  const { microphone, speaker, context } = mine;
  microphone.muted = by("mute").getAttribute("aria-pressed") === "true";
  microphone.addEventListener("frame", ({ detail }) => {
    if (call !== mine) return; // the last ones come behind the end
    mine.line?.frame(detail.frame);
    mine.level = Math.max(detail.level, (mine.level ?? 0) * 0.8);
    meter("meter-you", microphone.muted ? 0 : mine.level);
  });
  microphone.addEventListener("lost", () => complain("The microphone went away. Choose another one below; the call goes on."));
  speaker.addEventListener("stats", ({ detail }) => {
    if (call !== mine) return;
    meter("meter-assistant", detail.level);
    if (detail.played_ms > 0 && phone.dataset.state === "ringing") {
      began ||= performance.now();
      show("talking");
    }
    for (const name of ["played_ms", "loud_ms", "underruns", "gap_ms"]) phone.setAttribute(`data-${name}`, detail[name]);
    const line = mine.line;
    phone.setAttribute("data-sent_ms", line?.sent_ms ?? 0);
    phone.setAttribute("data-dropped", line?.dropped ?? 0);
    const gaps = detail.underruns === 0 ? "no drop-outs" : `${detail.underruns} drop-out${detail.underruns === 1 ? "" : "s"}, ${detail.gap_ms} ms`;
    by("phone-quality").hidden = false;
    put(by("phone-quality"), `${gaps}; ${line?.dropped ? `${line.dropped} frames not sent` : "every frame sent"}`);
  });
  context.onstatechange = () => {
    if (call === mine && context.state !== "running" && context.state !== "closed") {
      complain("The browser stopped this page's sound. Come back to the page; it goes on then.");
      context.resume().then(() => complain(""), () => {});
    }
  };
  listDevices();
};

const connect = (mine, { url, token }) => {
  const line = mine.line = new Line({ url, call: mine.id, token, speaker: mine.speaker });
  line.addEventListener("open", () => {
    mine.opened = true;
    complain("");
    show(mine.tries ? "talking" : "ringing");
  });
  line.addEventListener("closed", ({ detail }) => {
    if (call === mine && mine.line === line && !detail.ours) follow(mine);
  });
};

// The line was closed by the other side, or broke: ask what follows, as Twilio does.
const follow = async (mine) => {
  mine.line = null;
  mine.tries += 1;
  mine.speaker.clear();
  show("lost");
  const until = performance.now() + ASK_FOR_MS;
  while (call === mine) {
    let pause = 1000;
    try {
      const said = await post("/browser/stream-ended", { call: mine.id });
      if (call !== mine) return;
      if (said.type === "stream") { connect(mine, said); return; }
      if (said.type === "over") { over(mine, said); return; }
      pause = said.after_ms;
    } catch (error) {
      if (error.final || performance.now() > until) {
        stop(mine, REASONS.lost, error.message);
        return;
      }
    }
    await new Promise((done) => setTimeout(done, pause));
  }
};

const over = (mine, { reason, sentence }) => {
  const refused = mine.opened ? "" : " The line was not let in: stream-ingress needs BROWSER_PHONE=1 and the DASHBOARD_URL of this page.";
  const words = [sentence || REASONS[reason] || `The call is over (${reason}).`, refused].join("");
  if (sentence && window.speechSynthesis) window.speechSynthesis.speak(new SpeechSynthesisUtterance(sentence));
  stop(mine, words);
};

const release = (mine) => {
  mine.microphone?.close();
  mine.speaker?.close();
  mine.context.close().catch(() => {});
};

const stop = (mine, words, problem = "") => {
  if (call !== mine) return;
  call = null;
  release(mine);
  meter("meter-you", 0);
  meter("meter-assistant", 0);
  began = 0;
  show(words ? "ended" : "idle", words || STATES.idle[1]);
  complain(problem);
};

const hangUp = () => {
  const mine = call;
  mine.line?.hangUp();
  stop(mine, mine.id ? REASONS.caller_hung_up : "You hung up before the call was opened.");
};

// -- what is pressed

const BEEPS = { 1: [697, 1209], 2: [697, 1336], 3: [697, 1477], 4: [770, 1209], 5: [770, 1336], 6: [770, 1477], 7: [852, 1209], 8: [852, 1336], 9: [852, 1477], "*": [941, 1209], 0: [941, 1336], "#": [941, 1477] };

const beep = (context, digit) => {
  const gain = context.createGain();
  gain.gain.value = 0.04;
  gain.connect(context.destination);
  for (const hz of BEEPS[digit]) {
    const tone = context.createOscillator();
    tone.frequency.value = hz;
    tone.connect(gain);
    tone.start();
    tone.stop(context.currentTime + 0.12);
  }
};

const press = (digit) => {
  const key = phone.querySelector(`.key[data-digit="${CSS.escape(digit)}"]`);
  if (!call?.line || key.disabled) return;
  call.line.key(digit);
  beep(call.context, digit);
  key.classList.add("is-pressed");
  setTimeout(() => key.classList.remove("is-pressed"), 150);
};

const listDevices = async () => {
  const chosen = by("device").value, options = [new Option("the browser's choice", "")];
  for (const one of await Microphone.devices()) options.push(new Option(one.label || "microphone", one.deviceId));
  by("device").replaceChildren(...options);
  by("device").value = options.some((option) => option.value === chosen) ? chosen : "";
};

by("call").addEventListener("click", () => { if (call) hangUp(); else if (form.reportValidity()) start(); });
form.addEventListener("submit", (event) => { event.preventDefault(); by("call").click(); });
phone.querySelector(".keypad").addEventListener("click", (event) => {
  const key = event.target.closest(".key");
  if (key) press(key.dataset.digit);
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.length === 1 && KEYS.includes(event.key) && !event.repeat) press(event.key);
});
by("mute").addEventListener("click", () => {
  const muted = by("mute").getAttribute("aria-pressed") !== "true";
  by("mute").setAttribute("aria-pressed", String(muted));
  put(by("mute"), muted ? "Muted" : "Mute");
  if (call?.microphone) call.microphone.muted = muted;
});
by("device").addEventListener("change", async () => {
  try {
    await call?.microphone?.use(by("device").value);
    complain("");
  } catch (error) {
    complain(error.message);
  }
});
navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);
addEventListener("pagehide", () => { if (call) hangUp(); });
setInterval(() => {
  const s = began ? Math.floor((performance.now() - began) / 1000) : 0;
  if (call) put(by("phone-clock"), `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`);
}, 500);

if (location.origin !== phone.dataset.home) {
  complain(`Calls are only taken from ${phone.dataset.home} (DASHBOARD_URL). Open the desk there.`);
} else if (!window.isSecureContext) {
  complain(new MicrophoneError("insecure").message);
}
listDevices();
