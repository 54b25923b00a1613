"""Results of tools by idempotency key: a repeated request gets the first one's answer and acts
once. Called by endpoints inside the transaction of the tool's effect.
"""

import asyncio

from protocol.ids import CallerId
from runtime import logging
from runtime.errors import Refused
from tool_runner import sql
from tool_runner.database import Connection, Database

_log = logging.get("idempotency")

FORGET_EVERY_S = 3600.0
_FORGET_WITHIN_S = 30.0


class Results:
    """The table tool_results, seen through one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = sql.load("tool_runner", "idempotency.sql")

    async def claim(self, key: str, caller_id: CallerId, tool: str) -> bytes | None:
        """None: ``key`` is new and this transaction's, to be followed by ``keep``. Else the stored
        result as JSON.

        Waits for another transaction that holds the key. Raises Refused(409) when the key belongs
        to another caller or tool.
        """
        if await self._connection.fetchrow(self._sql["claim"], key, caller_id, tool) is not None:
            return None
        row = await self._connection.fetchrow(self._sql["stored"], key)
        if row is None:
            raise Refused(409, "the idempotency key was just forgotten; it is too old to be used")
        if row["caller_id"] != caller_id or row["tool"] != tool:
            raise Refused(409, "the idempotency key was used for another tool or caller")
        return str(row["result"]).encode()

    async def keep(self, key: str, result: bytes) -> None:
        """Store the result (JSON) of the claimed ``key``."""
        await self._connection.execute(self._sql["keep"], key, result.decode())

    async def forget(self, days: int) -> None:
        """Remove results older than ``days``."""
        await self._connection.execute(self._sql["forget"], days)


async def forgetting(database: Database, days: int) -> None:
    """Remove old results every hour, for ever; a failed try is made up for by the next."""
    while True:
        try:
            async with database.transaction(_FORGET_WITHIN_S) as connection:
                await Results(connection).forget(days)
        except Refused as error:
            _log.warning("old tool results not removed", code=error.code)
        await asyncio.sleep(FORGET_EVERY_S)
