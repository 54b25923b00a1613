// The microphone as the telephone's frames.
//
//   const microphone = await Microphone.open(context, { device: "" })   asks the person; device: a
//                                deviceId of Microphone.devices(), "" the browser's choice
//     throws MicrophoneError: `.why` is insecure | refused | missing | busy, `.message` a sentence for a
//     person
//   event "frame" { frame: Uint8Array(160), level, peak }   mu-law 8 kHz, every 20 ms, silence included
//   event "lost"                 the device went away; frames go on, with silence
//   microphone.muted = true      the line hears silence; the level still tells of the microphone
//   await microphone.use(device) another one, without a gap in the frames
//   microphone.device            the deviceId in use
//   microphone.close()           frames end, the browser's sign of recording goes out
//   await Microphone.devices()   [{ deviceId, label }]; labels only after somebody has allowed one
"use strict";

const loaded = new WeakMap();

const address = new URL("./capture-worklet.js", import.meta.url);

const SENTENCES = {
  insecure: "The browser gives no page the microphone over plain http. Open the desk over https, or on this machine as http://127.0.0.1 or http://localhost.",
  refused: "The browser refused the microphone. Allow it for this page (the sign beside the address), then call again.",
  missing: "No microphone was found. Plug one in, or choose another one, then call again.",
  busy: "The microphone could not be opened; another program may hold it. Close that program, then call again.",
};

const WHY = {
  NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing", OverconstrainedError: "missing",
};

export class MicrophoneError extends Error {
  constructor(why) {
    super(SENTENCES[why]);
    this.why = why;
  }
}

const stream = async (device) => {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new MicrophoneError("insecure");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  if (device) audio.deviceId = { exact: device };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new MicrophoneError(WHY[error.name] ?? "busy");
  }
};

export class Microphone extends EventTarget {
  static async open(context, { device = "" } = {}) {
    const opened = await stream(device);
    try {
      if (!loaded.has(context)) loaded.set(context, context.audioWorklet.addModule(address));
      await loaded.get(context);
    } catch (error) {
      for (const track of opened.getTracks()) track.stop();
      throw error;
    }
    return new Microphone(context, opened);
  }

  static async devices() {
    if (!navigator.mediaDevices) return [];
    const all = await navigator.mediaDevices.enumerateDevices();
    return all.filter((one) => one.kind === "audioinput" && one.deviceId);
  }

  #muted = false;

  constructor(context, opened) {
    super();
    this.context = context;
    this.node = new AudioWorkletNode(context, "capture", { numberOfInputs: 1, outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("frame", { detail: data }));
    this.node.connect(context.destination); // an unconnected node is not run; its output is silence
    this.#take(opened);
  }

  get muted() { return this.#muted; }

  set muted(muted) {
    this.#muted = muted;
    this.node.port.postMessage({ muted });
  }

  get device() { return this.track?.getSettings().deviceId ?? ""; }

  async use(device) { this.#take(await stream(device)); }

  close() {
    this.node.port.postMessage({ end: true });
    this.node.disconnect();
    this.#release();
  }

  #take(opened) {
    this.#release();
    [this.track] = opened.getAudioTracks();
    this.track.onended = () => this.dispatchEvent(new CustomEvent("lost"));
    this.source = this.context.createMediaStreamSource(opened);
    this.source.connect(this.node);
  }

  #release() {
    this.source?.disconnect();
    if (this.track) {
      this.track.onended = null;
      this.track.stop();
    }
    this.source = this.track = null;
  }
}
