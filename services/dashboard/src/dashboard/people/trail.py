"""The audit trail: every act with its operator's name and role, in a table that only grows. Acts on
a call also stand in the call's log, as ``operator_acted``.

``record`` belongs into the transaction of the act itself: without its row the act does not happen.
``acted`` is for acts on calls, which must work while the database is away: the event in the log
comes first, and a row that cannot be written then is written later.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Generator
from contextvars import ContextVar
from datetime import datetime

from msgspec import Struct

from dashboard.database import WITHIN_S, Connection, Database, DatabaseAway, DeadlineMissed
from dashboard.people.operator import Operator
from protocol import events as e
from protocol import ids
from protocol.ids import CallId
from runtime import sql
from runtime.bus import Bus
from runtime.clock import utc_now
from runtime.names import process_name
from runtime.outbox import publish

PAGE = 100
KEPT = 1000
"""Rows that wait for the database; each is also in a call's log."""
RETRY_S = 5.0
_DETAIL = 1000
_END = 2**63 - 1


_acts: ContextVar[list[str] | None] = ContextVar("acts", default=None)


@contextlib.contextmanager
def watched() -> Generator[list[str]]:
    """Gives a list that gets every act written during the block."""
    acts: list[str] = []
    before = _acts.set(acts)
    try:
        yield acts
    finally:
        _acts.reset(before)


class Act(Struct, frozen=True):
    """One row to be. ``act`` is a word like ``hang_up``; ``subject`` to whom it was done."""

    operator: str
    role: str
    act: str
    subject: str = ""
    call_id: str | None = None
    detail: str = ""


class Row(Struct, frozen=True):
    """One row of the trail as shown."""

    id: int
    at: datetime
    operator: str
    role: str
    act: str
    subject: str
    call_id: str | None
    detail: str


async def record(
    connection: Connection,
    operator: Operator,
    act: str,
    *,
    subject: str = "",
    call: CallId | None = None,
    detail: str = "",
) -> None:
    """Write ``act`` of ``operator`` down, as a part of the transaction that does it."""
    await _write(connection, Act(operator.name, operator.role, act, subject, call, detail))
    _mark(act)


class Trail:
    """Acts on calls, and reading. ``run`` writes what could not be written at once."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus
        self._worker = process_name("dashboard")
        self._late: deque[Act] = deque(maxlen=KEPT)
        self._more = asyncio.Event()

    async def acted(self, operator: Operator, call: CallId, act: str, detail: str = "") -> None:
        """Write an act into the call's log and into the trail. Raises NatsAway and the like of
        ``runtime.outbox.publish`` when the log cannot be written: the act must not happen then.
        """
        event = e.OperatorActed(
            id=ids.new_event_id(),
            call_id=call,
            at=utc_now(),
            service="dashboard",
            worker=self._worker,
            operator=operator.name,
            act=act,
            detail=detail[:_DETAIL],
        )
        await publish(self._bus, event)
        await self._keep_or_wait(Act(operator.name, operator.role, act, "", call, detail))

    async def note(self, operator: Operator, act: str, *, subject: str = "") -> None:
        """Write down what has been done already; while the database is away, later."""
        await self._keep_or_wait(Act(operator.name, operator.role, act, subject))

    async def run(self) -> None:
        """Write late rows once the database is back, for ever."""
        while True:
            await self._more.wait()
            try:
                while self._late:
                    await self._keep(self._late[0])
                    self._late.popleft()
                self._more.clear()
            except (DatabaseAway, DeadlineMissed):
                await asyncio.sleep(RETRY_S)

    async def page(
        self, *, before: int | None = None, operator: str = "", call: str = ""
    ) -> tuple[list[Row], int | None]:
        """Up to PAGE rows older than ``before``, newest first, and where the next page begins."""
        statement = sql.load("dashboard.people", "trail.sql")["page"]
        async with self._db.transaction(WITHIN_S) as connection:
            found = await connection.fetch(statement, before or _END, operator, call, PAGE + 1)
        rows = [Row(**dict(row)) for row in found[:PAGE]]
        return rows, rows[-1].id if len(found) > PAGE else None

    async def _keep_or_wait(self, row: Act) -> None:
        _mark(row.act)
        try:
            await self._keep(row)
        except (DatabaseAway, DeadlineMissed):
            self._late.append(row)
            self._more.set()

    async def _keep(self, act: Act) -> None:
        async with self._db.transaction(WITHIN_S) as connection:
            await _write(connection, act)


async def forget(connection: Connection, calls: list[str]) -> int:
    """Blank what the trail says of these calls; how many rows. Who acted and when stays."""
    done = await connection.execute(sql.load("dashboard.people", "trail.sql")["forget"], calls)
    return int(done.rpartition(" ")[2])


def _mark(act: str) -> None:
    if (acts := _acts.get()) is not None:
        acts.append(act)


async def _write(connection: Connection, act: Act) -> None:
    statement = sql.load("dashboard.people", "trail.sql")["record"]
    await connection.execute(
        statement, act.operator, act.role, act.act, act.subject[:128], act.call_id,
        act.detail[:_DETAIL],
    )  # fmt: skip
