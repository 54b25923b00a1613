// A tool service: `node table_booking.js`, at NATS_URL. It adds the tool book_table to the assistants
// whose profile names it. Bookings are kept in BOOKINGS_FILE, one JSON a line.

import { randomUUID } from "node:crypto";
import { Svcm } from "@nats-io/services";
import { connect } from "@nats-io/transport-node";
import { Bookings, Late } from "./bookings.js";

const DESCRIPTION = "Book a table at the restaurant. Ask for the day, the time and the number of guests first.";
const SCHEMA = {
  type: "object",
  properties: {
    day: { type: "string", description: "The day, YYYY-MM-DD." },
    time: { type: "string", description: "The time, HH:MM, from 17:00 to 21:30 on the half hour." },
    guests: { type: "integer", minimum: 1, maximum: 8 },
  },
  required: ["day", "time", "guests"],
  additionalProperties: false,
};

const bookings = await Bookings.open(process.env.BOOKINGS_FILE ?? "bookings.jsonl");

async function answer(request) {
  // The deadline is counted from here: only its length travels, clocks differ.
  const wait_ms = Number(request.headers?.get("Trunkline-Deadline-Ms") || Infinity);
  const until = performance.now() + wait_ms;
  const key = request.headers?.get("Trunkline-Idempotency-Key") || randomUUID();
  const caller = request.headers?.get("Trunkline-Caller") || null;
  try {
    const result = await bookings.book(key, caller, request.string(), until);
    request.respond(JSON.stringify(result));
  } catch (error) {
    if (error instanceof Late) return request.respondError(504, error.message);
    console.error(`not booked: ${error.message}`);
    request.respondError(503, "the book cannot be written right now"); // asked again, under its key
  }
}

const address = new URL(process.env.NATS_URL ?? "nats://127.0.0.1:4222");
const client = await connect({
  servers: address.host,
  ...(address.username && {
    user: decodeURIComponent(address.username),
    pass: decodeURIComponent(address.password),
  }),
  ...(address.protocol === "tls:" && { tls: {} }),
  name: "table-booking",
  inboxPrefix: "_INBOX.tools",
  maxReconnectAttempts: -1,
});
const service = await new Svcm(client).add({
  name: "table-booking",
  version: "1.0.0",
  description: "The restaurant's tables",
});
service.addEndpoint("book_table", {
  subject: "tools.book_table",
  metadata: { description: DESCRIPTION, schema: JSON.stringify(SCHEMA) },
  handler: (error, request) => (error ? console.error(error.message) : answer(request)),
});
await client.flush();
console.log("serving tools.book_table");
process.once("SIGTERM", () => client.drain());
await client.closed();
