// The book: one decision after the other, each written down with its idempotency key and its answer before
// it is told. Asked again under a key, the answer that stands there is given and nothing is booked.

import { open, readFile } from "node:fs/promises";

const TABLES = 5; // at each half hour

export class Late extends Error {}

export class Bookings {
  #file;
  #answers = new Map();
  #taken = new Map();
  #last = Promise.resolve();

  static async open(path) {
    const text = await readFile(path, "utf8").catch((error) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
    const bookings = new Bookings();
    for (const each of text.split("\n")) {
      try {
        bookings.#remember(JSON.parse(each));
      } catch {
        // The last line, if the program was killed while it wrote.
      }
    }
    bookings.#file = await open(path, "a", 0o600);
    if (text && !text.endsWith("\n")) await bookings.#file.write("\n");
    return bookings;
  }

  // The answer for the model. `until` is a reading of performance.now(): past it nothing is begun, and Late
  // is thrown.
  book(key, caller, payload, until) {
    const turn = this.#last.then(() => this.#decide(key, caller, payload, until));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #decide(key, caller, payload, until) {
    const stored = this.#answers.get(key);
    if (stored) return stored;
    const wish = read(payload);
    if (wish.problem) return { status: "failed", message: wish.problem };
    if (performance.now() >= until) throw new Late("too late to be of use: nothing was booked");
    const slot = `${wish.day} ${wish.time}`;
    const taken = this.#taken.get(slot) ?? 0;
    const answer =
      taken < TABLES
        ? { status: "booked", table: taken + 1, ...wish }
        : { status: "full", message: "No table is left then; offer another time.", ...wish };
    await this.#file.appendFile(`${JSON.stringify({ key, caller, answer })}\n`);
    await this.#file.datasync();
    this.#remember({ key, answer });
    return answer;
  }

  #remember({ key, answer }) {
    if (this.#answers.has(key)) return;
    this.#answers.set(key, answer);
    if (answer.status !== "booked") return;
    const slot = `${answer.day} ${answer.time}`;
    this.#taken.set(slot, (this.#taken.get(slot) ?? 0) + 1);
  }
}

// What is asked for, or the problem with it in words for the model. A model may send anything.
function read(payload) {
  let wish;
  try {
    wish = JSON.parse(payload);
  } catch {
    return { problem: "the arguments are not JSON" };
  }
  const { day, time, guests } = wish ?? {};
  if (typeof day !== "string" || !/^\d{4}-\d{2}-\d{2}$/.test(day) || !isDay(day))
    return { problem: "day must be a date like 2026-11-30" };
  if (typeof time !== "string" || !/^(17|18|19|20|21):[03]0$/.test(time))
    return { problem: "time must be from 17:00 to 21:30, on the half hour" };
  if (!Number.isInteger(guests) || guests < 1 || guests > 8)
    return { problem: "guests must be a number from 1 to 8" };
  return { day, time, guests };
}

function isDay(text) {
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.valueOf()) && date.toISOString().startsWith(text);
}
