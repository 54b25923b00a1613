"""Works out what the events of a call mean: the rows that pages search and count.

A call is worked out anew from all its events, one call a transaction, by whichever desk comes to
it first. What is said in a call gathers for a while, so that a talkative one costs no more than a
quiet one.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import timedelta

from dashboard import metrics
from dashboard.database import Connection, Database, DatabaseAway, DeadlineMissed
from dashboard.history import raw
from dashboard.history.record import Record, record
from protocol.ids import CallId
from runtime import logging, sql

_log = logging.get("history")

LOOK_S = 1.0
WITHIN_S = 20.0
RETRY_S = 5.0


class Projection:
    """The table ``call_events`` to the rows of the history."""

    def __init__(self, db: Database, *, ahead: timedelta = timedelta()) -> None:
        self._db = db
        self._ahead = ahead
        self._came = asyncio.Event()

    def came(self) -> None:
        """There is something new."""
        self._came.set()

    async def run(self) -> None:
        """Work out what changed, for ever."""
        while True:
            try:
                while await work_out_next(self._db, self._ahead):
                    pass
                waiting = await self._waiting()
            except (DatabaseAway, DeadlineMissed):
                await asyncio.sleep(RETRY_S)
                continue
            if not waiting:
                self._came.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S * 5):  # another desk may have died over it
                        await self._came.wait()
            await asyncio.sleep(LOOK_S)

    async def _waiting(self) -> int:
        async with self._db.transaction(WITHIN_S) as connection:
            waiting: int = await connection.fetchval(_sql()["waiting"])
        metrics.history_waiting.set(waiting)
        return waiting


async def work_out_next(db: Database, ahead: timedelta) -> bool:
    """Work out one call that is due, or will be within ``ahead``; False when there is none.

    A call that cannot be worked out is counted, logged and left as it was, until it changes again.
    Raises DatabaseAway, DeadlineMissed.
    """
    failed: CallId | None = None
    try:
        async with db.transaction(WITHIN_S) as connection:
            call: CallId | None = await connection.fetchval(_sql()["due"], ahead)
            if call is None:
                return False
            failed = call
            await work_out(connection, call)
    except (DatabaseAway, DeadlineMissed):
        raise
    except Exception:
        metrics.history_failures.inc()
        _log.exception("call not worked out", call_id=failed)
        async with db.transaction(WITHIN_S) as connection:
            await connection.execute(_sql()["unreadable"], failed)
    return True


async def work_out(connection: Connection, call: CallId) -> None:
    """Bring the rows of one call up to date with its events."""
    rows = await connection.fetch(_sql()["events"], call)
    entries, strange = raw.entries(call, ((row["sequence"], row["data"]) for row in rows))
    if strange:
        metrics.history_events.labels("strange").inc(strange)
    await write(connection, record(call, entries))


async def write(connection: Connection, one: Record) -> None:
    """Put the rows of a call in place of what they were."""
    statements = _sql()
    await connection.execute(
        statements["call"],
        *(one.call_id, one.started_at, one.ended_at, one.outcome, one.caller, one.digits),
        *(one.called, one.direction, one.channel, one.assistant, one.length_ms, one.cost_usd),
        *(list(one.response_ms), list(one.tools), one.last_words, one.words, one.score),
    )
    await connection.execute(statements["drop_utterances"], one.call_id)
    if one.said:
        await connection.execute(
            statements["utterances"],
            one.call_id,
            list(range(len(one.said))),
            [said.party for said in one.said],
            [said.at for said in one.said],
            [said.text for said in one.said],
        )
    await connection.execute(statements["drop_tools"], one.call_id)
    if one.used:
        await connection.execute(
            statements["tools"],
            one.call_id,
            list(range(len(one.used))),
            [use.name for use in one.used],
            [use.at for use in one.used],
            [use.outcome for use in one.used],
            [use.took_ms for use in one.used],
            [use.arguments for use in one.used],
            [use.result for use in one.used],
        )


def _sql() -> Mapping[str, str]:
    return sql.load("dashboard.history", "projection.sql")
