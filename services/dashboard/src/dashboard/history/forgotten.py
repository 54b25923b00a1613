"""The list of forgotten calls: keyed hashes of their ids, which tell nobody whose calls they were.

Taking in, rebuilding and the board obey it.
"""

import hmac
from collections.abc import Iterable

from dashboard.database import Connection
from protocol.ids import CallId
from runtime import sql


def hash_of(key: bytes, call: CallId) -> bytes:
    """What stands for ``call`` in the list."""
    return hmac.digest(key, call.encode(), "sha256")


async def key_of(connection: Connection) -> bytes:
    """The key of this desk's list; made by the migration, it never changes."""
    return await connection.fetchval(sql.load("dashboard.history", "intake.sql")["key"])


async def forgotten(connection: Connection, key: bytes, calls: Iterable[CallId]) -> set[CallId]:
    """Those of ``calls`` that are in the list."""
    by_hash = {hash_of(key, call): call for call in calls}
    statement = sql.load("dashboard.history", "intake.sql")["forgotten"]
    found = await connection.fetch(statement, list(by_hash))
    return {by_hash[row["hash"]] for row in found}
