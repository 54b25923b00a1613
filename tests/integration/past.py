"""What the tests of the history share: a log and a database of their own, and looks into both."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from desk_calls import Writer, call_id

from dashboard.database import Database
from dashboard.history.archive import ALL
from dashboard.history.intake import Intake
from dashboard.history.projection import Projection, work_out_next
from protocol import codec, subjects
from protocol import events as e
from protocol.streams import CALLS, MSG_ID
from runtime import scan
from runtime.bus import Bus
from runtime.clock import utc_now
from runtime.outbox import publish

PATIENCE_S = 30.0


@dataclass
class Past:
    """A history under test."""

    bus: Bus
    db: Database
    dsn: str

    async def write(self, *calls: Writer) -> None:
        """Put the events of these calls into the log."""
        for call in calls:
            for _, event in call.entries:
                await publish(self.bus, event)

    async def publish_raw(self, subject: str, data: bytes, message_id: str) -> None:
        await self.bus.jetstream.publish(subject, data, headers={MSG_ID: message_id})

    async def sql(self, statement: str, *values: Any) -> Any:
        """The first value of a statement."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    async def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()

    async def taken_in(self, n: int) -> None:
        """Take the log in until ``n`` events are kept, and work all of them out."""
        await self.taken_in_only(n)
        await self.worked_out()

    async def taken_in_only(self, n: int) -> None:
        """Take the log in until ``n`` events are kept."""
        intake = Intake(self.db, self.bus)
        task = asyncio.create_task(intake.run(lambda: None))
        try:
            await until(lambda: self.holds(n))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def holds(self, n: int) -> bool:
        return await self.sql("SELECT count(*) FROM call_events") == n

    async def worked_out(self) -> None:
        while await work_out_next(self.db, ALL):
            pass

    async def log(self) -> list[scan.Stored]:
        return [m async for m in scan.scan(self.bus, CALLS.name, subjects.ALL_LOGS)]

    async def tables_with(self, needle: str) -> list[str]:
        """Every table of the database with ``needle`` anywhere in a row."""
        tables = await self.rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
            "AND table_type = 'BASE TABLE'"
        )
        found: list[str] = []
        for (table,) in tables:
            like = f'SELECT count(*) FROM "{table}" AS t WHERE t::text ILIKE $1'
            if await self.sql(like, f"%{needle}%"):
                found.append(table)
        return found

    async def streams_with(self, needle: str) -> list[str]:
        """Every stream (log, buckets, objects) with ``needle`` in a message or a subject."""
        found: list[str] = []
        for info in await self.bus.jetstream.streams_info():
            name = info.config.name or ""
            async for message in scan.scan(self.bus, name):
                if needle.encode() in message.data or needle in message.subject:
                    found.append(name)
                    break
        return found


def running(past: Past) -> tuple[Intake, Projection]:
    """What one desk runs."""
    return Intake(past.db, past.bus), Projection(past.db, ahead=ALL)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():
            await asyncio.sleep(0.05)


def ended_call(
    n: int,
    *,
    began: datetime | None = None,
    caller: str = "+12125553456",
    words: str = "I would like to order a pizza",
    reason: str = "caller_hung_up",
    seconds: int = 20,
    assistant: str = "front-desk",
) -> Writer:
    """A call with one question, one answer and one tool."""
    call = Writer(n, began or utc_now() - timedelta(minutes=10 + n), n * 1000)
    call.ring(caller)
    call.start()
    call.session(300, assistant)
    call.asks(1000, "c1", words, 2000)
    call.tool(3200, "add_todo", f'{{"description":"{words}"}}', 150)
    call.timed(4000, "c1", "a1", 700 + n % 100)
    call.says(4000, "a1", f"You said: {words}", 2500)
    call.used(4100, 0.01)
    call.ends(seconds * 1000, reason)
    return call


def count(calls: Iterable[Writer]) -> int:
    return sum(len(call.entries) for call in calls)


def event_of(call: Writer, n: int) -> tuple[str, bytes]:
    """The subject and the bytes of an event, as the log holds them."""
    event = call.entries[n][1]
    return subjects.log(call_id(call.n), e.name_of(event)), codec.encode(event)
