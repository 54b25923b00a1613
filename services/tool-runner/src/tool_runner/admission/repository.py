"""Storage of admitted calls: the only user of admission/queries.sql. Refused calls are not kept."""

from datetime import datetime

from protocol.callers import Admission, AdmitCall, Admitted, NotAdmitted
from protocol.ids import CallId
from runtime import sql
from tool_runner.admission import rules
from tool_runner.database import Connection

MOST_ASKED = 100


class Admissions:
    """The admitted calls, seen through one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = sql.load("tool_runner.admission", "queries.sql")

    async def admit(self, asked: AdmitCall, number: str, now: datetime) -> Admission:
        """Count the call, or say which bound it breaks. A call that is in stays in."""
        await self._connection.execute(self._sql["in_turn"], number)
        row = await self._connection.fetchrow(self._sql["admitted"], asked.call)
        if row is not None:
            return Admitted(row["known"])
        counts = await self._connection.fetchrow(
            self._sql["counts"], number, now - rules.OPEN_FOR, rules.day_start(now)
        )
        assert counts is not None, "an aggregate gives one row"
        reason = rules.refusal(
            open=counts["open"], today=counts["today"], at_once=asked.at_once, a_day=asked.a_day
        )
        if reason is not None:
            return NotAdmitted(reason)
        known: bool = await self._connection.fetchval(self._sql["known"], number)
        await self._connection.execute(self._sql["add"], asked.call, number, known, now)
        return Admitted(known)

    async def open(self, number: str, now: datetime) -> tuple[CallId, ...]:
        """The number's open calls, oldest first, at most MOST_ASKED."""
        rows = await self._connection.fetch(
            self._sql["open"], number, now - rules.OPEN_FOR, MOST_ASKED
        )
        return tuple(row["call_id"] for row in rows)

    async def close(self, call: CallId, now: datetime) -> None:
        """The call has ended; closed ones and strange ones are left as they are."""
        await self._connection.execute(self._sql["close"], call, now)

    async def forget(self, days: int) -> None:
        """Remove calls older than ``days`` (at least 1: today's are counted)."""
        await self._connection.execute(self._sql["forget"], days)
