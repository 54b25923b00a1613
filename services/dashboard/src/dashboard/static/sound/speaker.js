// What is heard: telephone sound through the playout worklet.
//
//   const speaker = await Speaker.open(context, { live: false })   context: a running AudioContext
//   speaker.play(bytes)          Uint8Array of mu-law 8 kHz, any length; the array is given away
//   speaker.playPcm(samples)     Int16Array or Float32Array, 8 kHz; given away as well
//   speaker.mark(name)           -> event "mark" { name, cleared } once what was before it is played
//   speaker.clear()              drop what is unplayed; pending marks come at once, cleared
//   speaker.stats                the newest of playout-worklet.js; event "stats" with each
//   speaker.close()
//
// Events are CustomEvents; their values are in `detail`. `live: true` for listening to a call: what is
// late is dropped. The context must have been made or resumed by a click (browsers' autoplay rule).
"use strict";

const loaded = new WeakMap(); // context -> the promise of its module

const address = new URL("./playout-worklet.js", import.meta.url);

export class Speaker extends EventTarget {
  static async open(context, { live = false } = {}) {
    if (!loaded.has(context)) loaded.set(context, context.audioWorklet.addModule(address));
    await loaded.get(context);
    return new Speaker(context, live);
  }

  constructor(context, live) {
    super();
    this.stats = { played_ms: 0, loud_ms: 0, buffered_ms: 0, underruns: 0, gap_ms: 0, dropped_ms: 0, lead_ms: 0, level: 0, peak: 0 };
    this.node = new AudioWorkletNode(context, "playout", {
      numberOfInputs: 0, outputChannelCount: [1], processorOptions: { live },
    });
    this.node.port.onmessage = ({ data }) => {
      if (data.stats) {
        this.stats = data.stats;
        this.dispatchEvent(new CustomEvent("stats", { detail: data.stats }));
      } else {
        this.dispatchEvent(new CustomEvent("mark", { detail: { name: data.mark, cleared: data.cleared } }));
      }
    };
    this.node.connect(context.destination);
  }

  play(bytes) { this.node.port.postMessage({ mulaw: bytes }, [bytes.buffer]); }

  playPcm(samples) { this.node.port.postMessage({ pcm: samples }, [samples.buffer]); }

  mark(name) { this.node.port.postMessage({ mark: name }); }

  clear() { this.node.port.postMessage({ clear: true }); }

  close() {
    this.node.port.postMessage({ end: true });
    this.node.disconnect();
  }
}
