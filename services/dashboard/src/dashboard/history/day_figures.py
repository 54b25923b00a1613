"""Figures of days that are over, kept so that a page of many days is as quick as one of few.

The database itself notes the days whose calls change (a trigger), so whatever is done to calls,
kept figures never say what is no longer so: such a day is worked out anew for who asks, until one
of the desks has put its new figures in place.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec

from dashboard.database import WITHIN_S, Connection, Database, DatabaseAway, DeadlineMissed
from dashboard.history import figures
from dashboard.history.figures import MOST_DAYS, Figure
from dashboard.live.figures import BAD_ENDS
from runtime import logging, sql
from runtime.clock import utc_now

_log = logging.get("history")

EVERY_S = 20.0
AT_ONCE = 7
"""Days that are worked out in one transaction."""
_FAILING = ",".join(sorted(BAD_ENDS))


async def between(connection: Connection, first: date, last: date, zone: ZoneInfo) -> list[Figure]:
    """From day ``first`` to ``last`` of ``zone``, newest first: kept ones, and the others worked
    out now.
    """
    found = await _kept(connection, first, last, zone)
    for begin, end in spans(_days(first, last), found):
        for one in await figures.figures(connection, begin, end, zone):
            found.setdefault(one.day, []).append(one)
    return [one for day in sorted(found, reverse=True) for one in found[day]]


async def keep(db: Database, zone: ZoneInfo) -> None:
    """Work out what is missing or stale, for ever; one desk at a time."""
    while True:
        try:
            while await keep_some(db, zone, utc_now().astimezone(zone).date()):
                pass
        except (DatabaseAway, DeadlineMissed) as error:
            _log.warning("figures not kept", code=error.code)
        await asyncio.sleep(EVERY_S)


async def keep_some(db: Database, zone: ZoneInfo, today: date) -> bool:
    """Work out up to AT_ONCE days before ``today``, the newest first; False when none is missing or
    another desk is at it. Raises DatabaseAway, DeadlineMissed.
    """
    statements = _sql()
    first, last = today - timedelta(days=MOST_DAYS), today - timedelta(days=1)
    async with db.transaction(WITHIN_S) as connection:
        if not await connection.fetchval(statements["mine"]):
            return False
        # Before anything is read: each statement sees what was committed when it began.
        await connection.execute(statements["renew"], first)
        kept = await _kept(connection, first, last, zone)
        missing = [day for day in _days(first, last) if day not in kept][-AT_ONCE:]
        for day in missing:
            rows = await figures.figures(connection, day, day, zone)
            text = msgspec.json.encode(rows).decode()
            await connection.execute(statements["keep"], day, zone.key, _FAILING, text)
    return bool(missing)


def spans(days: Iterable[date], known: Mapping[date, object]) -> list[tuple[date, date]]:
    """The days that are not ``known``, as (first, last) of those that follow each other."""
    found: list[tuple[date, date]] = []
    for day in days:
        if day in known:
            continue
        if found and found[-1][1] == day - timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


async def _kept(
    connection: Connection, first: date, last: date, zone: ZoneInfo
) -> dict[date, list[Figure]]:
    rows = await connection.fetch(_sql()["kept"], first, last, zone.key, _FAILING)
    return {row["day"]: msgspec.json.decode(row["figures"], type=list[Figure]) for row in rows}


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _sql() -> Mapping[str, str]:
    return sql.load("dashboard.history", "day_figures.sql")
