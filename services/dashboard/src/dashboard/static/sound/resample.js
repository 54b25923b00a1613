// Changes the rate of a stream of samples with a proper low-pass: a Kaiser-windowed sinc in as many
// phases as the two rates need (48,000 to 8,000: one; 8,000 to 44,100: 441). Pure.
//
//   const resampler = new Resampler(from, to)      whole numbers of samples a second
//   const count = resampler.push(sample)           how many samples that one gave; they are in
//   resampler.out                                  Float32Array, valid until the next push
//
// The delay is 2 ms of the lower rate's 8,000 a second; nothing is allocated after construction.
"use strict";

const CROSSINGS = 16; // zero crossings of the sinc on each side, at the lower rate
const PASS = 0.94; // of the lower rate's half
const BETA = 8; // about 80 dB

const divisor = (a, b) => (b ? divisor(b, a % b) : a);

const bessel = (x) => {
  let sum = 1, term = 1;
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
};

export class Resampler {
  constructor(from, to) {
    const common = divisor(from, to);
    this.up = to / common;
    this.down = from / common;
    this.size = 2 * Math.ceil(CROSSINGS * Math.max(1, from / to));
    this.kernels = Array.from({ length: this.up }, (_, phase) => this.kernel(phase / this.up, Math.min(1, to / from)));
    this.held = new Float32Array(2 * this.size); // twice, so that the newest are in one piece
    this.at = 0;
    this.phase = 0;
    this.out = new Float32Array(Math.ceil(to / from) + 1);
  }

  kernel(fraction, ratio) {
    const half = this.size / 2, cut = PASS * ratio;
    const taps = Float64Array.from({ length: this.size }, (_, k) => {
      const x = k - (half - 1) - fraction;
      const place = x / half;
      if (Math.abs(place) >= 1) return 0;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * cut * x) / (Math.PI * cut * x);
      return sinc * bessel(BETA * Math.sqrt(1 - place * place));
    });
    const sum = taps.reduce((a, b) => a + b, 0);
    return Float32Array.from(taps, (tap) => tap / sum);
  }

  push(sample) {
    const { size, held, out } = this;
    held[this.at] = held[this.at + size] = sample;
    this.at = (this.at + 1) % size;
    let count = 0;
    for (; this.phase < this.up; this.phase += this.down) {
      const kernel = this.kernels[this.phase];
      let sum = 0;
      for (let k = 0; k < size; k += 1) sum += kernel[k] * held[this.at + k];
      out[count] = sum;
      count += 1;
    }
    this.phase -= this.up;
    return count;
  }
}
