// A call's line: the websocket to stream-ingress, in the protocol that Twilio speaks there ("Media
// Streams"): connected, start, media, dtmf, mark, stop; and media, mark, clear from the other side.
//
//   const line = new Line({ url, call, token, speaker })   speaker: speaker.js, or anything with
//                                play(bytes), mark(name), clear() and event "mark"
//   event "open"                 connected and start are sent; frames may come
//   event "closed" { code, reason, ours }   once; ours: hangUp() or leave() was asked for
//   line.frame(bytes)            160 bytes of mu-law, one each 20 ms, silence included; what comes
//                                before "open" is dropped, and so is what a stuck socket cannot take
//   line.key("7")                0-9 * # A-D
//   line.hangUp()                says stop, as Twilio does when a caller hangs up: the call is over
//   line.leave()                 only the socket goes; the call may go on over another one
//   line.sent_ms, line.dropped   of the line; frames that were not sent
"use strict";
import { toBase64, fromBase64, FRAME_BYTES, RATE } from "./mulaw.js";

const NO_ACCOUNT = "AC" + "0".repeat(32); // what stream-ingress expects of a browser
const STUCK_BYTES = 64 * 1024; // about 3 s of frames
const FRAME_MS = FRAME_BYTES * 1000 / RATE;

const streamSid = () => "MZ" + Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Line extends EventTarget {
  #sequence = 0;
  #chunk = 0;
  #ours = false;
  #started = false;

  constructor({ url, call, token, speaker }) {
    super();
    this.call = call;
    this.sid = streamSid();
    this.sent_ms = 0;
    this.dropped = 0;
    this.speaker = speaker;
    this.onmark = ({ detail }) => this.#send("mark", { name: detail.name });
    speaker.addEventListener("mark", this.onmark);
    this.socket = new WebSocket(url);
    this.socket.onopen = () => this.#start(token);
    this.socket.onmessage = ({ data }) => this.#receive(data);
    this.socket.onclose = ({ code, reason }) => {
      speaker.removeEventListener("mark", this.onmark);
      this.#started = false;
      this.dispatchEvent(new CustomEvent("closed", { detail: { code, reason, ours: this.#ours } }));
    };
  }

  frame(bytes) {
    if (!this.#started || this.socket.readyState !== WebSocket.OPEN) return;
    const timestamp = this.sent_ms;
    this.sent_ms += FRAME_MS; // also of one that is dropped: the gap is seen by its time
    if (this.socket.bufferedAmount > STUCK_BYTES) {
      this.dropped += 1;
      return;
    }
    this.#chunk += 1;
    this.#send("media", { track: "inbound", chunk: String(this.#chunk), timestamp: String(timestamp), payload: toBase64(bytes) });
  }

  key(digit) { this.#send("dtmf", { track: "inbound_track", digit }); }

  hangUp() {
    this.#send("stop", { accountSid: NO_ACCOUNT, callSid: this.call });
    this.leave();
  }

  leave() {
    this.#ours = true;
    this.#started = false;
    this.socket.close(1000);
  }

  #start(token) {
    this.socket.send(JSON.stringify({ event: "connected", protocol: "Call", version: "1.0.0" }));
    this.#started = true;
    this.#send("start", {
      streamSid: this.sid, accountSid: NO_ACCOUNT, callSid: this.call, tracks: ["inbound"],
      customParameters: { token },
      mediaFormat: { encoding: "audio/x-mulaw", sampleRate: RATE, channels: 1 },
    });
    this.dispatchEvent(new CustomEvent("open"));
  }

  #send(event, body) {
    if (!this.#started || this.socket.readyState !== WebSocket.OPEN) return;
    this.#sequence += 1;
    this.socket.send(JSON.stringify({ event, sequenceNumber: String(this.#sequence), streamSid: this.sid, [event]: body }));
  }

  #receive(data) {
    const message = JSON.parse(data);
    if (message.event === "media") this.speaker.play(fromBase64(message.media.payload));
    else if (message.event === "mark") this.speaker.mark(message.mark.name);
    else if (message.event === "clear") this.speaker.clear();
  }
}
