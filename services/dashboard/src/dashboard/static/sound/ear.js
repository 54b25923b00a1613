// Listening to a call that goes on: both tracks over a websocket, each through a speaker of its own.
//
//   const ear = new Ear(call)
//   await ear.open(context)      context: a running AudioContext
//   ear.close()                  no more sound; it may be opened again
//   ear.deaf = true              the assistant's track is not played: it holds one's own voice
//   event "state" { state, words }   listening | gate | nobody | away | ended | refused | closed;
//                                the socket connects again by itself after a lost connection
//   event "level" { caller, assistant }   of the tracks in [0, 1], ten times a second
//   ear.loud_ms                  { caller, assistant }: ms played above -50 dB
//
// The caller is a little to the left, the assistant a little to the right: told apart with two ears,
// and nothing is lost with one.
"use strict";
import { Speaker } from "./speaker.js";
import { RATE, SILENCE } from "./mulaw.js";

const TRACKS = ["caller", "assistant"];
const PAN = { caller: -0.4, assistant: 0.4 };
const HEADER_BYTES = 9;
const A_MS = RATE / 1000;
const HOLE_MS = 2000; // a longer one is no hole: the tracks begin anew
const RETRY_MS = 1000;
const OVER = 1000; // close code of an orderly end
const FLOOR_DB = 50;

export const loudness = (level) => Math.max(0, 1 + 20 * Math.log10(Math.max(level, 1e-6)) / FLOOR_DB);

export class Ear extends EventTarget {
  #wanted = false;
  #socket = null;
  #speakers = {};
  #next = {}; // where on the line each track goes on
  #levels = { caller: 0, assistant: 0 };

  constructor(call) {
    super();
    this.call = call;
    this.deaf = false;
  }

  get open_() { return this.#wanted; }

  get loud_ms() {
    return Object.fromEntries(TRACKS.map((track) => [track, this.#speakers[track]?.stats.loud_ms ?? 0]));
  }

  async open(context) {
    if (this.#wanted) return;
    this.#wanted = true;
    for (const track of TRACKS) {
      const speaker = await Speaker.open(context, { live: true });
      const panner = new StereoPannerNode(context, { pan: PAN[track] });
      speaker.node.disconnect();
      speaker.node.connect(panner).connect(context.destination);
      speaker.addEventListener("stats", ({ detail }) => {
        this.#levels[track] = loudness(detail.level);
        if (track === TRACKS[0]) this.dispatchEvent(new CustomEvent("level", { detail: { ...this.#levels } }));
      });
      this.#speakers[track] = speaker;
    }
    if (this.#wanted) this.#connect();
    else this.#silence();
  }

  close() {
    this.#wanted = false;
    this.#socket?.close(OVER);
    this.#silence();
    this.#tell("closed", "");
  }

  #silence() {
    for (const speaker of Object.values(this.#speakers)) speaker.close();
    this.#speakers = {};
    this.#next = {};
  }

  #connect() {
    const url = new URL(`/calls/${this.call}/listen`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    let last = "";
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") { this.#block(data); return; }
      const told = JSON.parse(data);
      last = told.state;
      this.#tell(told.state, told.words);
    };
    socket.onclose = ({ code }) => {
      if (this.#socket !== socket || !this.#wanted) return;
      if (code === OVER && ["ended", "refused", "away"].includes(last)) {
        this.#wanted = false;
        this.#silence();
        return;
      }
      this.#tell("away", "The connection is gone; it is tried again.");
      setTimeout(() => { if (this.#wanted && this.#socket === socket) this.#connect(); }, RETRY_MS);
    };
  }

  #tell(state, words) { this.dispatchEvent(new CustomEvent("state", { detail: { state, words } })); }

  #block(data) {
    const view = new DataView(data);
    const track = TRACKS[view.getUint8(0)], speaker = this.#speakers[track];
    if (!speaker) return;
    const line_ms = Number(view.getBigUint64(1)), sound = new Uint8Array(data.slice(HEADER_BYTES));
    const hole = line_ms - (this.#next[track] ?? line_ms);
    this.#next[track] = line_ms + sound.length / A_MS;
    // What was lost on the way is silence, or this track would run ahead of the other.
    if (hole > 0 && hole <= HOLE_MS) speaker.play(new Uint8Array(hole * A_MS).fill(SILENCE));
    if (hole < 0 && -hole < HOLE_MS) return; // heard already
    speaker.play(track === "assistant" && this.deaf ? sound.fill(SILENCE) : sound);
  }
}
