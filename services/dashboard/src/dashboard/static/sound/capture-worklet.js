// The microphone as the telephone's frames: an AudioWorkletProcessor "capture". Used through
// microphone.js.
//
//   page -> worklet   { muted: boolean }   a muted line goes on, with silence
//                     { end: true }        no more frames; the processor goes
//   worklet -> page   { frame: Uint8Array(160), level, peak }   every 20 ms of the context's time:
//                     mu-law 8 kHz; level (RMS) and peak in [0, 1] as the microphone gives it, also
//                     while muted
//
// Several channels are mixed to one. An input that gives nothing gives frames of silence: the clock
// of a line is its frames.
"use strict";
import { FRAME_BYTES, RATE, SILENCE, ofSample } from "./mulaw.js";
import { Resampler } from "./resample.js";

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.muted = false;
    this.ended = false;
    this.begin();
    this.port.onmessage = ({ data }) => {
      if ("muted" in data) this.muted = data.muted;
      if (data.end) this.ended = true;
    };
  }

  begin() {
    this.frame = new Uint8Array(FRAME_BYTES);
    this.count = 0;
    this.energy = 0;
    this.peak = 0;
  }

  process([channels], [output]) {
    const length = channels.length ? channels[0].length : output[0].length;
    for (let i = 0; i < length; i += 1) {
      let sample = 0;
      for (let c = 0; c < channels.length; c += 1) sample += channels[c][i];
      const count = this.resampler.push(channels.length ? sample / channels.length : 0);
      for (let k = 0; k < count; k += 1) this.take(this.resampler.out[k]);
    }
    return !this.ended;
  }

  take(sample) {
    this.energy += sample * sample;
    this.peak = Math.max(this.peak, Math.abs(sample));
    this.frame[this.count] = this.muted ? SILENCE : ofSample(sample);
    this.count += 1;
    if (this.count < FRAME_BYTES) return;
    const { frame, peak } = this;
    const level = Math.sqrt(this.energy / FRAME_BYTES);
    if (!this.ended) this.port.postMessage({ frame, level, peak: Math.min(1, peak) }, [frame.buffer]);
    this.begin();
  }
}

registerProcessor("capture", Capture);
