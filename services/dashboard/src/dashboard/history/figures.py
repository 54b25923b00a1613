"""Figures of the history per day and assistant."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from dashboard.database import Connection
from dashboard.live.figures import BAD_ENDS
from runtime import sql

DAYS = 14
MOST_DAYS = 92


class Figure(Struct, frozen=True):
    """One day of one assistant ('' where no session was opened)."""

    day: date
    assistant: str
    calls: int
    length_ms: int
    cost_usd: float
    failed: int
    p50_ms: int | None
    p95_ms: int | None

    @property
    def minutes(self) -> float:
        return self.length_ms / 60_000


async def figures(connection: Connection, first: date, last: date, zone: ZoneInfo) -> list[Figure]:
    """From day ``first`` to ``last`` of ``zone``, newest first."""
    since = datetime.combine(first, time(), zone)
    until = datetime.combine(last + timedelta(days=1), time(), zone)
    statements = sql.load("dashboard.history", "search.sql")
    await connection.fetchval(statements["plan"])
    rows = await connection.fetch(statements["figures"], since, until, zone.key, sorted(BAD_ENDS))
    return [Figure(**dict(row)) for row in rows]


def days(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """The days to show: what was asked for, in order and at most MOST_DAYS; else the last two
    weeks.
    """
    last = min(last or today, today + timedelta(days=1))
    first = first or last - timedelta(days=DAYS - 1)
    if first > last:
        first, last = last, first
    return max(first, last - timedelta(days=MOST_DAYS - 1)), last
