"""A call's events as the history keeps them, for when the log has dropped them; and all of them
taken in anew from the log.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

from dashboard.database import WITHIN_S, Database, DatabaseAway, DeadlineMissed
from dashboard.history import raw
from dashboard.history.intake import BATCH, take
from dashboard.history.projection import work_out_next
from dashboard.history.stores import purge_call
from protocol import events as e
from protocol import subjects
from protocol.ids import CallId
from protocol.streams import CALLS
from runtime import sql
from runtime.bus import Bus
from runtime.calllog import Entry
from runtime.scan import Stored, scan

_REBUILD_S = 600.0
ALL = timedelta(days=1)
"""Ahead of all that is due."""


class Log(Protocol):
    """The part of ``runtime.calllog.CallLog`` that is used here."""

    async def read(self, call: CallId) -> list[Entry]: ...


class LogOrArchive:
    """Reads a call from the log; what the log has dropped, from the history."""

    def __init__(self, log: Log, db: Database) -> None:
        self._log = log
        self._db = db

    async def read(self, call: CallId) -> list[Entry]:
        """All events of a call in order. Raises NatsAway, and DatabaseAway when only the history
        may know the call.
        """
        entries = await self._log.read(call)
        # The log drops the oldest events first: what has its beginning is whole.
        if entries and isinstance(entries[0].event, e.Ringing | e.StreamStarted):
            return entries
        try:
            archived = await self._archived(call)
        except (DatabaseAway, DeadlineMissed):
            if not entries:
                raise
            return entries
        return archived if len(archived) > len(entries) else entries

    async def _archived(self, call: CallId) -> list[Entry]:
        statement = sql.load("dashboard.history", "projection.sql")["events"]
        async with self._db.transaction(WITHIN_S) as connection:
            rows = await connection.fetch(statement, call)
        kept, _ = raw.entries(call, ((row["sequence"], row["data"]) for row in rows))
        return [Entry(sequence, event) for sequence, event in kept]


async def rebuild(
    db: Database, bus: Bus | None, said: Callable[[str], Awaitable[None]] | None = None
) -> tuple[int, int]:
    """Work out every call anew, from the events kept and from what the log still holds (``bus``;
    None: without it). Gives how many events came from the log, and how many calls were worked out.

    Desks may run meanwhile. Raises NatsAway, DatabaseAway, DeadlineMissed; it may be run again.
    """
    added = 0
    if bus is not None:
        log = bus

        async def gone(call: CallId) -> None:
            await purge_call(log, call)

        batch: list[Stored] = []
        async for message in scan(bus, CALLS.name, subjects.ALL_LOGS):
            batch.append(message)
            if len(batch) == BATCH:
                added += await take(db, batch, gone)
                batch = []
        added += await take(db, batch, gone)
    async with db.transaction(_REBUILD_S) as connection:
        await connection.execute(sql.load("dashboard.history", "projection.sql")["all_again"])
    calls = 0
    while await work_out_next(db, ALL):
        calls += 1
        if said is not None and calls % 1000 == 0:
            await said(f"{calls} calls")
    return added, calls
