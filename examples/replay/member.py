"""One member of a group that reads the log of all calls again, from a point in time on, and then
follows it: `python member.py GROUP --since 2026-11-01T00:00:00Z`. nats-py and sqlite3 alone.

Members of one group share the work; another group gets everything again. What it makes of the log:
a bill per day, and with `--report` a line per call.
"""

import argparse
import asyncio
import json
import os
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

NATS_URL = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
SUBJECT = "call.*.log.*"
BATCH = 50
ACK_WAIT_S = 5
"""What a member took and did not acknowledge is given to another one after this."""
TABLES = """
create table if not exists events (
  sequence integer primary key, call_id text not null, event text not null, member text not null
);
create table if not exists days (day text primary key, events integer, usd real);
"""


class Store:
    """The group's own memory. An event and what it adds to the bill are written in one transaction,
    and an event that is there already adds nothing: so it counts once, however often it comes.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=30)
        self._database.execute("pragma journal_mode = wal")
        self._database.executescript(TABLES)

    def take(self, messages: list[tuple[int, dict[str, Any]]], member: str) -> None:
        """Keep events by their place in the stream."""
        with self._database:  # one transaction
            for sequence, event in messages:
                row = (sequence, event["call_id"], json.dumps(event), member)
                new = self._database.execute(
                    "insert into events values (?, ?, ?, ?) on conflict do nothing", row
                )
                if new.rowcount:
                    self._database.execute(
                        "insert into days values (?, 1, ?) on conflict (day) do update"
                        " set events = events + 1, usd = usd + excluded.usd",
                        (event["at"][:10], event.get("cost_usd") or 0.0),
                    )

    def report(self) -> list[str]:
        """A line per call, folded from its events in their order."""
        calls: dict[str, dict[str, Any]] = {}
        rows = self._database.execute("select call_id, event from events order by sequence")
        for call, event in rows:
            fold(calls.setdefault(call, {"turns": 0, "tools": [], "usd": 0.0}), json.loads(event))
        return [
            f"{call}  {state.get('caller', 'unknown')}  {state.get('reason', 'open')}"
            f"  turns: {state['turns']}  tools: {', '.join(state['tools']) or 'none'}"
            f"  ${state['usd']:.4f}"
            for call, state in calls.items()
        ]


def fold(state: dict[str, Any], event: dict[str, Any]) -> None:
    """What an event changes; fields as in docs/reference/messages.md."""
    match event["event"]:
        case "ringing":
            state["caller"] = f"{event['caller'][:3]}****{event['caller'][-4:]}"
        case "turn_transcribed":
            state["turns"] += bool(event["text"])
        case "tool_returned":
            state["tools"].append(event["outcome"])
        case "usage_reported":
            state["usd"] += event.get("cost_usd") or 0.0
        case "call_ended":
            state["reason"] = event["reason"]
        case _:
            pass  # not of interest, or of a newer version


async def group(log: nats.js.JetStreamContext, name: str, since: datetime) -> Any:
    """The group's place in the log. It is made by its first member; `since` counts only then."""
    try:
        await log.consumer_info("CALLS", name)
    except NotFoundError:
        begin = ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=SUBJECT,
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=since,
            ack_wait=ACK_WAIT_S,
        )
        try:
            await log.add_consumer("CALLS", begin)
        except APIError as error:
            print(f"another member made the group: {error.description}", flush=True)
    return await log.pull_subscribe_bind(name, "CALLS")


async def follow(name: str, since: datetime, store: Store, member: str) -> None:
    """Take a share of the group's events until interrupted."""
    client = await nats.connect(
        NATS_URL, name=member, inbox_prefix="_INBOX.subscriber", max_reconnect_attempts=-1
    )
    share = await group(client.jetstream(), name, since)
    while True:
        try:
            messages = await share.fetch(BATCH, timeout=30)
        except TimeoutError:
            continue
        places = [(m.metadata.sequence.stream, json.loads(m.data)) for m in messages]
        store.take(places, member)
        for message in messages:  # only now that they are kept
            await message.ack()
        print(f"{member}: {len(places)} events, up to {places[-1][0]}", flush=True)


def main() -> None:
    """Read the arguments and go."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", help="its name is its place in the log")
    parser.add_argument("--since", type=datetime.fromisoformat, help="ISO 8601, with a time zone")
    parser.add_argument("--store", type=Path, help="by default GROUP.sqlite")
    parser.add_argument("--report", action="store_true", help="say what was found, and end")
    given = parser.parse_args()
    store = Store(given.store or Path(f"{given.group}.sqlite"))
    if given.report:
        print("\n".join(store.report()))
        return
    if given.since is None or given.since.tzinfo is None:
        parser.error("--since is needed, with a time zone: 2026-11-01T00:00:00Z")
    asyncio.run(follow(given.group, given.since, store, f"{given.group}-{os.getpid()}"))


if __name__ == "__main__":
    main()
