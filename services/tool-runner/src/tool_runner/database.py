"""tool-runner's database: which tables it needs, and under which name it is known at the server.
The pool, its transactions and how an absence is noticed are ``runtime.database``.
"""

from contextlib import AbstractAsyncContextManager

from runtime import database
from runtime.database import Connection, Database, DeadlineMissed
from runtime.service import Shutdown
from runtime.settings import Secret

__all__ = ["NEWEST_MIGRATION", "TABLES", "Connection", "Database", "DeadlineMissed", "connect"]

TABLES = (
    *("callers", "todos", "tool_results"),
    *("caller_pins", "pin_failures", "pin_attempts"),
    *("admitted_calls", "day_spend", "spend_entries"),
)
NEWEST_MIGRATION = "20260201000200"
"""The last of ``migrations/`` that this code was written for."""


def connect(
    url: Secret, *, size: int, wait_s: int, shutdown: Shutdown
) -> AbstractAsyncContextManager[Database]:
    """The database once it answers and has its tables. Raises ServiceError (see
    ``runtime.database.connect``).
    """
    return database.connect(
        url, name="tool-runner", tables=TABLES, size=size, wait_s=wait_s, shutdown=shutdown
    )
