// Shows what is said in all calls while it is said: `node live_transcripts.js`, at NATS_URL.
//
// Words so far (`live.transcript`) are shown behind three dots and may be lost. A line without dots is
// what the log holds: `turn_transcribed` of the caller, `said` of the assistant once it is done.

import { connect } from "@nats-io/transport-node";

const PATIENCE_MS = 5_000; // how long a line waits for the words of an earlier turn
const calls = new Map(); // call id -> its open items, in the order of the talk

function item(call, id, party) {
  if (!calls.has(call)) calls.set(call, new Map());
  const items = calls.get(call);
  if (!items.has(id)) items.set(id, { party, text: "", ready: false, shown: false });
  return items.get(id);
}

function line(call, party, text) {
  return `${call.slice(-6)}  ${party.padEnd(9)}  ${text}`;
}

function print(text, { partial = false } = {}) {
  const terminal = process.stdout.isTTY;
  const shown = terminal ? text.slice(0, process.stdout.columns - 1) : text;
  if (partial) process.stdout.write(terminal ? `\r\x1b[2K\x1b[2m${shown}\x1b[0m` : `${text}\n`);
  else process.stdout.write(terminal ? `\r\x1b[2K${text}\n` : `${text}\n`);
}

// The caller's words may come after the answer to them: a line waits for those before it.
function settle(call, everything = false) {
  for (const each of calls.get(call)?.values() ?? []) {
    if (each.shown) continue;
    if (!each.ready && !everything) return;
    if (each.text) print(line(call, each.party, each.text));
    each.shown = true;
  }
}

function ready(call, id, party, text) {
  Object.assign(item(call, id, party), { text, ready: true });
  settle(call);
  setTimeout(() => {
    for (const [other, each] of calls.get(call) ?? []) {
      if (other === id) break;
      each.ready = true; // its words do not come any more
    }
    settle(call);
  }, PATIENCE_MS).unref();
}

function live(call, { item_id, party, text }) {
  const spoken = item(call, item_id, party);
  if (!spoken.ready) print(line(call, party, `… ${text}`), { partial: true });
}

function happened(call, event) {
  switch (event.event) {
    case "ringing":
      return print(line(call, "", "a call comes in"));
    case "turn_committed":
      return item(call, event.item_id, "caller");
    case "turn_transcribed":
      return ready(call, event.item_id, "caller", event.text);
    case "said":
      item(call, event.item_id, "assistant");
      return event.done && ready(call, event.item_id, "assistant", event.text);
    case "barged_in":
      return print(line(call, "caller", `(interrupts after ${event.heard_ms} ms)`));
    case "call_ended":
      settle(call, true);
      calls.delete(call);
      return print(line(call, "", `the call is over: ${event.reason}`));
    default: // many others, and those of newer versions
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
  name: "live-transcripts",
  inboxPrefix: "_INBOX.subscriber",
  maxReconnectAttempts: -1,
});

function follow(subject, handle) {
  client.subscribe(subject, {
    callback: (error, message) => {
      if (error) return console.error(error.message);
      handle(message.subject.split(".")[1], message.json());
    },
  });
}

follow("call.*.event.>", happened);
follow("call.*.live.transcript", live);
await client.flush();
console.log(`listening to all calls at ${address.host}`);
await client.closed();
