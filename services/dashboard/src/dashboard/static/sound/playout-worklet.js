// A queue of telephone sound, played in order: an AudioWorkletProcessor "playout". Used through
// speaker.js.
//
//   page -> worklet   { mulaw: Uint8Array } or { pcm: Int16Array | Float32Array }   8 kHz, any length
//                     { mark: name }      reported once all sound before it has been played
//                     { clear: true }     drop what is unplayed; its marks are reported at once
//                     { end: true }       the processor goes
//   worklet -> page   { mark: name, cleared: boolean }
//                     { stats: {...} }    every 100 ms, see below
//
// Jitter buffer: sound that comes into an empty queue waits until `lead` ms of it are there, or have
// passed; an underrun makes the lead longer (60 to 300 ms), a minute without one shorter. An underrun is
// a queue that ran dry and got more within 300 ms: whoever hears it hears a drop-out. A longer pause
// is one of the speaker.
// processorOptions.live: sound of this moment, of which more than 500 ms is dropped down to the
// lead, so that nobody listens to the past. Without it nothing is ever dropped.
//
// stats: played_ms of the queue's sound so far, loud_ms of it above -50 dB, buffered_ms, underruns,
// gap_ms (of all underruns), dropped_ms (live), lead_ms, level (RMS since the last) and peak.
"use strict";
import { DECODED, RATE } from "./mulaw.js";
import { Resampler } from "./resample.js";

const LEAD_MS = 60, LEAD_MOST_MS = 300, LEAD_STEP_MS = 40;
const CALM_MS = 60000; // without an underrun: the lead shrinks by a step
const GAP_MS = 300; // a longer pause is no underrun
const LIVE_MOST_MS = 500;
const STATS_MS = 100;
const LOUD = 10 ** (-50 / 20);
const BLOCK = RATE / 50;
const A_MS = RATE / 1000;

class Playout extends AudioWorkletProcessor {
  constructor({ processorOptions = {} }) {
    super();
    this.live = processorOptions.live === true;
    this.resampler = new Resampler(RATE, sampleRate);
    this.ready = 0; // samples of the resampler that are not played yet
    this.next = 0;
    this.queue = []; // Float32Array, or the name of a mark
    this.offset = 0;
    this.buffered = 0; // samples
    this.playing = false;
    this.waited = 0; // samples since sound came into an empty queue
    this.dry = Infinity; // samples since the queue ran dry
    this.lead = LEAD_MS;
    this.calm = 0;
    this.block = 0;
    this.blockEnergy = 0;
    this.played = this.loud = this.underruns = this.gap = this.dropped = 0;
    this.since = 0;
    this.energy = this.peak = 0;
    this.ended = false;
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(data) {
    if (data.mulaw) this.add(Float32Array.from(data.mulaw, (byte) => DECODED[byte]));
    else if (data.pcm instanceof Int16Array) this.add(Float32Array.from(data.pcm, (value) => value / 32768));
    else if (data.pcm) this.add(data.pcm);
    else if ("mark" in data) this.queue.push(data.mark);
    else if (data.clear) this.clear();
    else if (data.end) this.ended = true;
  }

  add(samples) {
    if (!samples.length) return;
    if (!this.playing && this.buffered === 0) {
      this.waited = 0;
      if (this.dry <= GAP_MS * A_MS) {
        this.underruns += 1;
        this.gap += this.dry;
        this.lead = Math.min(LEAD_MOST_MS, this.lead + LEAD_STEP_MS);
        this.calm = 0;
      }
    }
    this.queue.push(samples);
    this.buffered += samples.length;
    if (this.live && this.buffered > LIVE_MOST_MS * A_MS) this.drop(this.buffered - this.lead * A_MS);
  }

  drop(count) {
    this.dropped += count;
    while (count > 0) {
      const head = this.head();
      const part = Math.min(count, head.length - this.offset);
      this.offset += part;
      this.buffered -= part;
      count -= part;
    }
  }

  // The oldest unplayed sound, or undefined; marks before it have been reached.
  head() {
    for (;;) {
      const head = this.queue[0];
      if (head === undefined || typeof head !== "string" && this.offset < head.length) return head;
      this.queue.shift();
      this.offset = 0;
      if (typeof head === "string") this.port.postMessage({ mark: head, cleared: false });
    }
  }

  clear() {
    const marks = this.queue.filter((entry) => typeof entry === "string");
    this.queue = [];
    this.offset = this.buffered = 0;
    this.playing = false;
    this.dry = Infinity; // what was taken away is not missing
    for (const mark of marks) this.port.postMessage({ mark, cleared: true });
  }

  sample() {
    this.since += 1;
    if (!this.playing) {
      this.dry += 1;
      if (this.buffered === 0) {
        this.head(); // marks behind nothing
        return 0;
      }
      this.waited += 1;
      if (Math.max(this.buffered, this.waited) < this.lead * A_MS) return 0;
      this.playing = true;
    }
    const head = this.head();
    const value = head[this.offset];
    this.offset += 1;
    this.buffered -= 1;
    this.count(value);
    if (this.buffered === 0) {
      this.playing = false;
      this.dry = 0;
    }
    return value;
  }

  count(value) {
    this.played += 1;
    this.energy += value * value;
    this.peak = Math.max(this.peak, Math.abs(value));
    this.blockEnergy += value * value;
    this.block += 1;
    if (this.block === BLOCK) {
      if (Math.sqrt(this.blockEnergy / BLOCK) > LOUD) this.loud += BLOCK;
      this.block = this.blockEnergy = 0;
    }
    this.calm += 1;
    if (this.calm > CALM_MS * A_MS) {
      this.calm = 0;
      this.lead = Math.max(LEAD_MS, this.lead - LEAD_STEP_MS);
    }
  }

  process(_, [output]) {
    const [first, ...others] = output;
    for (let i = 0; i < first.length; i += 1) {
      while (this.ready === 0) {
        this.ready = this.resampler.push(this.sample());
        this.next = 0;
      }
      first[i] = this.resampler.out[this.next];
      this.next += 1;
      this.ready -= 1;
    }
    for (const other of others) other.set(first);
    if (this.since >= STATS_MS * A_MS) this.tell();
    return !this.ended;
  }

  tell() {
    const ms = (samples) => Math.round(samples / A_MS);
    this.port.postMessage({
      stats: {
        played_ms: ms(this.played), loud_ms: ms(this.loud), buffered_ms: ms(this.buffered),
        underruns: this.underruns, gap_ms: ms(this.gap), dropped_ms: ms(this.dropped),
        lead_ms: this.lead, level: Math.sqrt(this.energy / this.since), peak: this.peak,
      },
    });
    this.since = 0;
    this.energy = this.peak = 0;
  }
}

registerProcessor("playout", Playout);
