"""Storage of callers: the only user of callers/queries.sql. It checks nothing; rules.py does."""

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from protocol.ids import CallerId
from protocol.todos import Caller
from runtime import sql
from tool_runner.database import Connection


class Callers:
    """The callers, seen through one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = sql.load("tool_runner.callers", "queries.sql")

    async def identify(self, number: str, time_zone: str) -> Caller:
        """The caller with this number, made with ``time_zone`` when there is none yet.

        Two at once get the same one: the second waits for the first one's commit.
        """
        found = await self._connection.fetchrow(self._sql["by_number"], number)
        if found is None:
            await self._connection.execute(
                self._sql["add"], "c" + uuid.uuid4().hex, number, time_zone
            )
            found = await self._connection.fetchrow(self._sql["by_number"], number)
        assert found is not None, "the number was inserted or was there"
        return _caller(found)

    async def find(self, number: str) -> Caller | None:
        """The caller with this number, or None."""
        row = await self._connection.fetchrow(self._sql["by_number"], number)
        return None if row is None else _caller(row)

    async def get(self, caller_id: CallerId) -> Caller | None:
        """The caller of that id, or None."""
        row = await self._connection.fetchrow(self._sql["by_id"], caller_id)
        return None if row is None else _caller(row)

    async def recent(self, limit: int) -> tuple[Caller, ...]:
        """At most ``limit`` callers, those whose todos are newest first."""
        return tuple(
            _caller(row) for row in await self._connection.fetch(self._sql["recent"], limit)
        )

    async def rename(self, caller_id: CallerId, name: str) -> Caller | None:
        """Give the caller a name; None when there is no such caller."""
        row = await self._connection.fetchrow(self._sql["rename"], caller_id, name)
        return None if row is None else _caller(row)


def _caller(row: Mapping[str, Any]) -> Caller:
    return msgspec.convert(dict(row), Caller)
