// G.711 mu-law, the telephone's sound: a byte a sample, 8,000 a second. Pure; runs in pages, in
// worklets and in node.
//
//   decode(bytes: Uint8Array) -> Float32Array      mu-law bytes as samples in [-1, 1]
//   encode(samples: Float32Array) -> Uint8Array    louder ones are clipped
//   ofSample(sample: number) -> number             one sample as a byte
//   DECODED: Float32Array(256)                     every byte's sample
//   SILENCE = 0xff, RATE = 8000, FRAME_BYTES = 160 (20 ms)
//   toBase64(bytes), fromBase64(text)              for JSON; in pages and node alone (btoa, atob)
"use strict";

export const RATE = 8000;
export const FRAME_BYTES = 160;
export const SILENCE = 0xff;

const BIAS = 0x84;
const CLIP = 32635;

export const DECODED = Float32Array.from({ length: 256 }, (_, byte) => {
  const code = ~byte & 0xff;
  const magnitude = (((code & 0x0f) << 3) + BIAS << (code >> 4 & 7)) - BIAS;
  return (code & 0x80 ? -magnitude : magnitude) / 32768;
});

export const ofSample = (sample) => {
  const value = Math.round(sample * 32768);
  const sign = value < 0 ? 0x80 : 0;
  const magnitude = Math.min(Math.abs(value), CLIP) + BIAS;
  const exponent = 31 - Math.clz32(magnitude) - 7;
  return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 0x0f) & 0xff;
};

export const encode = (samples) => Uint8Array.from(samples, ofSample);

export const decode = (bytes) => Float32Array.from(bytes, (byte) => DECODED[byte]);

export const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));

export const fromBase64 = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
