"""The desk's own database: which tables it needs. Opened without waiting, because live calls are
shown without it; a page that needs it and finds it away raises DatabaseAway, which ``app`` turns
into a page that says so.

A repository takes a Connection and loads its statements with ``runtime.sql``; a handler writes
``async with database.transaction(WITHIN_S) as connection:``.
"""

from contextlib import AbstractAsyncContextManager

from runtime import database
from runtime.database import Connection, Database, DatabaseAway, DeadlineMissed
from runtime.settings import Secret

__all__ = [
    "NEWEST_MIGRATION",
    "TABLES",
    "WITHIN_S",
    "Connection",
    "Database",
    "DatabaseAway",
    "DeadlineMissed",
    "opened",
]

WITHIN_S = 5.0
"""Seconds that a page waits for one transaction."""
TABLES = (
    *("operators", "sessions", "login_links", "login_failures", "audit"),
    *("day_figures", "stale_figures"),
    *("calls", "call_events", "call_utterances", "call_tools", "forgotten_calls", "forgotten_key"),
)
NEWEST_MIGRATION = "20260301000300"
"""The last of ``migrations/`` that this code was written for."""


def opened(url: Secret, *, size: int) -> AbstractAsyncContextManager[Database]:
    """The desk's database, there or not. Raises ServiceError (see ``runtime.database.opened``)."""
    return database.opened(url, name="dashboard", tables=TABLES, size=size)
