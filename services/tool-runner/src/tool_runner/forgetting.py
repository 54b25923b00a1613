"""Removes what was kept only to answer repeated requests, every hour. Run by app as one task."""

import asyncio

from runtime import logging
from runtime.errors import Refused
from tool_runner.admission.repository import Admissions
from tool_runner.database import Database
from tool_runner.idempotency import Results
from tool_runner.pins.repository import Pins
from tool_runner.spend.ledger import Spending

_log = logging.get("forgetting")

EVERY_S = 3600.0
_WITHIN_S = 30.0


async def forgetting(database: Database, days: int) -> None:
    """Remove what is older than ``days``, for ever; a failed try is made up for by the next."""
    while True:
        for kept in (Results, Pins, Admissions, Spending):
            try:
                async with database.transaction(_WITHIN_S) as connection:
                    await kept(connection).forget(days)
            except Refused as error:
                _log.warning("old results not removed", kind=kept.__name__, code=error.code)
        await asyncio.sleep(EVERY_S)
