"""Results of tools by idempotency key: a repeated request gets the first one's answer and acts
once. Called by endpoints inside the transaction of the tool's effect.
"""

from protocol.ids import CallerId
from runtime import sql
from runtime.errors import Refused
from tool_runner.database import Connection


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
