"""Removes calls from the history that are older than HISTORY_DAYS; one of the desks does it."""

import asyncio

from dashboard import metrics
from dashboard.database import Database, DatabaseAway, DeadlineMissed
from runtime import logging, sql

_log = logging.get("history")

EVERY_S = 3600.0
BATCH = 500
WITHIN_S = 30.0


async def retention(db: Database, days: int) -> None:
    """Remove what is older than ``days``, for ever; a failed try is made up for by the next."""
    while True:
        try:
            while removed := await remove_old(db, days):
                _log.info("old calls removed", calls=removed)
                if removed < BATCH:
                    break
        except (DatabaseAway, DeadlineMissed) as error:
            _log.warning("old calls not removed", code=error.code)
        await asyncio.sleep(EVERY_S)


async def remove_old(db: Database, days: int) -> int:
    """Remove up to BATCH calls that began more than ``days`` ago; how many. 0 too when another desk
    is at it. Raises DatabaseAway, DeadlineMissed.
    """
    statements = sql.load("dashboard.history", "retention.sql")
    async with db.transaction(WITHIN_S) as connection:
        if not await connection.fetchval(statements["mine"]):
            return 0
        removed = len(await connection.fetch(statements["old"], days, BATCH))
    metrics.history_removed.inc(removed)
    return removed
