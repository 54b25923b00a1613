// Speaking to a caller in the assistant's place: the microphone's frames over a websocket.
//
//   const voice = new Voice(call)
//   await voice.open(context)    asks for the microphone, then for the call; throws MicrophoneError
//   voice.muted = true           the caller hears silence, and the call stays taken
//   voice.close()                gives the call back
//   event "state" { state, words }   speaking | given_back | refused | ended | away
//   event "level" { level }      of the microphone in [0, 1]
"use strict";
import { Microphone } from "./microphone.js";
import { loudness } from "./ear.js";

const STUCK_BYTES = 16 * 1024; // two seconds: what is older is not worth saying
const OVER = 1000;

export class Voice extends EventTarget {
  #socket = null;
  #microphone = null;

  constructor(call) {
    super();
    this.call = call;
    this.sent = 0; // frames
  }

  get open_() { return this.#microphone !== null; }

  get muted() { return this.#microphone?.muted ?? false; }

  set muted(muted) { if (this.#microphone) this.#microphone.muted = muted; }

  async open(context) {
    if (this.#microphone) return;
    const microphone = await Microphone.open(context);
    this.#microphone = microphone;
    const url = new URL(`/calls/${this.call}/voice`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    let speaking = false, last = "";
    socket.onmessage = ({ data }) => {
      const told = JSON.parse(data);
      last = told.state;
      speaking = told.state === "speaking";
      this.#tell(told.state, told.words);
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#end();
      // Whoever lost the socket has lost the call, too: the desk's server gave it back.
      if (!last || last === "speaking") this.#tell("given_back", "The connection is gone, so the assistant goes on.");
    };
    microphone.addEventListener("frame", ({ detail }) => {
      this.dispatchEvent(new CustomEvent("level", { detail: { level: loudness(detail.level) } }));
      if (!speaking || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > STUCK_BYTES) return;
      socket.send(detail.frame);
      this.sent += 1;
    });
  }

  close() {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send("give_back");
    else { this.#socket?.close(OVER); this.#end(); }
  }

  #end() {
    this.#microphone?.close();
    this.#microphone = null;
    this.#socket = null;
  }

  #tell(state, words) { this.dispatchEvent(new CustomEvent("state", { detail: { state, words } })); }
}
