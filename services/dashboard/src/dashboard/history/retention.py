"""Removes calls from the history that are older than HISTORY_DAYS, and their recordings; one of
the desks does it.
"""

import asyncio

from dashboard import metrics
from dashboard.database import Database, DatabaseAway, DeadlineMissed
from dashboard.history.stores import purge_recording
from protocol.ids import CallId
from runtime import logging, sql
from runtime.bus import Bus
from runtime.errors import NatsAway

_log = logging.get("history")

EVERY_S = 3600.0
BATCH = 500
WITHIN_S = 30.0


async def retention(db: Database, bus: Bus, days: int) -> None:
    """Remove what is older than ``days``, for ever; a failed try is made up for by the next."""
    while True:
        try:
            while removed := await remove_old(db, bus, days):
                _log.info("old calls removed", calls=removed)
                if removed < BATCH:
                    break
        except (DatabaseAway, DeadlineMissed) as error:
            _log.warning("old calls not removed", code=error.code)
        except NatsAway:
            _log.warning("old calls not removed", code="nats_away")
        await asyncio.sleep(EVERY_S)


async def remove_old(db: Database, bus: Bus, days: int) -> int:
    """Remove up to BATCH calls that began more than ``days`` ago; how many. 0 too when another desk
    is at it. Raises DatabaseAway, DeadlineMissed, NatsAway; then none is removed, for a recording
    must not outlive its call.
    """
    statements = sql.load("dashboard.history", "retention.sql")
    async with db.transaction(WITHIN_S) as connection:
        if not await connection.fetchval(statements["mine"]):
            return 0
        removed = await connection.fetch(statements["old"], days, BATCH)
        for row in removed:
            await purge_recording(bus, CallId(row["call_id"]))
    metrics.history_removed.inc(len(removed))
    return len(removed)
