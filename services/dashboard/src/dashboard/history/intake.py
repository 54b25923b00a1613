"""Takes the log into the table of events: by one durable consumer that all dashboards share.

Each batch is one transaction, acknowledged after its commit. An event counts by its id, so one
that comes again changes nothing. What it means for a call is worked out later (``projection``).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta

from dashboard import metrics
from dashboard.database import Connection, Database, DatabaseAway, DeadlineMissed
from dashboard.history import forgotten, raw
from dashboard.history.raw import Message, Poison, Raw
from dashboard.history.stores import purge_call
from protocol import subjects
from protocol.ids import CallId
from protocol.streams import CALLS, HISTORY
from runtime import logging, sql
from runtime.bus import Bus
from runtime.durable import Delivered, Durable
from runtime.errors import NatsAway

_log = logging.get("history")

CONSUMER = HISTORY
BATCH = 256
ACK_WAIT_S = 30.0
WITHIN_S = 15.0
RETRY_S = 2.0
TOGETHER_S = 0.25
"""Events of so long share a transaction: its price hardly depends on their number."""
SOON = {"ringing", "session_opened", "call_ended"}
"""Events after which a call is worked out at once: by its number, its assistant, its end."""
SETTLE = timedelta(seconds=1)
GATHER = timedelta(seconds=30)
"""What is said meanwhile gathers so long: working out costs as much as the call is long."""


class Intake:
    """The log to the table ``call_events``."""

    def __init__(self, db: Database, bus: Bus, *, batch: int = BATCH) -> None:
        self._db = db
        self._bus = bus
        self._batch = batch
        self._durable = Durable(
            bus, CALLS.name, CONSUMER, subjects.ALL_LOGS, ack_wait_s=ACK_WAIT_S, most=batch
        )

    async def run(self, came: Callable[[], None]) -> None:
        """Take in for ever; ``came`` is told of each batch with something new."""
        try:
            while True:
                try:
                    delivered = await self._durable.fetch()
                except NatsAway:
                    await asyncio.sleep(RETRY_S)
                    continue
                if delivered and await self._take(delivered):
                    came()
                if len(delivered) < self._batch:
                    await asyncio.sleep(TOGETHER_S)
        finally:
            await self._durable.close()

    async def _take(self, delivered: list[Delivered]) -> int:
        try:
            new = await take(self._db, delivered, self._purge)
        except (DatabaseAway, DeadlineMissed):
            await self._durable.again(delivered, RETRY_S)
            await asyncio.sleep(RETRY_S)
            return 0
        await self._durable.ack(delivered)
        return new

    async def _purge(self, call: CallId) -> None:
        """A forgotten call's log came to life again: a late callback, say. It goes too, and what
        was recorded of the call until then.
        """
        try:
            await purge_call(self._bus, call)
        except NatsAway:
            _log.warning("late events of a forgotten call not removed")


async def take(
    db: Database, messages: Sequence[Message], on_forgotten: Callable[[CallId], Awaitable[None]]
) -> int:
    """Keep ``messages``; how many were new. Poison is skipped, counted and logged;
    ``on_forgotten`` is told of forgotten calls among them. Raises DatabaseAway, DeadlineMissed.
    """
    readable = [event for message in messages if (event := _readable(message)) is not None]
    if not readable:
        return 0
    new, gone = await _kept(db, readable)
    for call in gone:
        await on_forgotten(call)
    metrics.history_events.labels("new").inc(new)
    metrics.history_events.labels("repeated").inc(len(readable) - new)
    return new


async def _kept(db: Database, events: list[Raw]) -> tuple[int, set[CallId]]:
    """Keep them in one transaction; if the database refuses one, all but that one."""
    try:
        async with db.transaction(WITHIN_S) as connection:
            return await _keep(connection, events)
    except (DatabaseAway, DeadlineMissed):
        raise
    except Exception as error:
        if len(events) == 1:
            _poison(events[0].sequence, f"the database refused it ({type(error).__name__})")
            return 0, set()
    half = len(events) // 2
    first, gone = await _kept(db, events[:half])
    second, also = await _kept(db, events[half:])
    return first + second, gone | also


async def _keep(connection: Connection, events: list[Raw]) -> tuple[int, set[CallId]]:
    statements = sql.load("dashboard.history", "intake.sql")
    await connection.fetchval(statements["share"])
    key = await forgotten.key_of(connection)
    gone = await forgotten.forgotten(connection, key, {event.call_id for event in events})
    wanted = [event for event in events if event.call_id not in gone]
    if not wanted:
        return 0, gone
    begun: dict[CallId, datetime] = {}
    for event in wanted:
        begun[event.call_id] = min(event.at, begun.get(event.call_id, event.at))
    waits = [_wait(call, wanted) for call in begun]
    await connection.execute(statements["calls"], list(begun), list(begun.values()), waits)
    new = await connection.fetch(statements["events"], *_columns(wanted))
    return len(new), gone


def _wait(call: CallId, events: Iterable[Raw]) -> timedelta:
    """How long until a call with these new events is worked out."""
    soon = any(event.call_id == call and event.name in SOON for event in events)
    return SETTLE if soon else GATHER


def _columns(events: Iterable[Raw]) -> tuple[list[str], list[str], list[int], list[str], list[str]]:
    rows = [(e.event_id, e.call_id, e.sequence, e.name, e.data) for e in events]
    ids, calls, sequences, names, texts = map(list, zip(*rows, strict=True))
    return ids, calls, sequences, names, texts  # type: ignore[return-value]


def _readable(message: Message) -> Raw | None:
    try:
        return raw.read(message)
    except Poison as error:
        _poison(message.sequence, str(error))
        return None


def _poison(sequence: int, why: str) -> None:
    metrics.history_events.labels("skipped").inc()
    _log.error("event skipped", sequence=sequence, reason=why)
