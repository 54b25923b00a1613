"""Which sessions count, remembered in this process and asked of the database again and again: a
session that was ended, here or at another desk, is out within WATCH_S, and its open streams with
it. While the database is away, sessions seen before keep counting for GRACE_S, so that nobody
loses sight of live calls.
"""

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from dashboard.database import WITHIN_S, Connection, Database, DatabaseAway, DeadlineMissed
from dashboard.people import rules
from dashboard.people.operator import Operator
from dashboard.people.repository import People
from dashboard.sse import Hub
from runtime.clock import utc_now

WATCH_S = 2.0
GRACE_S = 3600
FORGET_EVERY_S = 3600
KNOWN = 10_000
"""Sessions remembered; past it the oldest are asked of the database again."""


class _Known(Struct):
    operator: Operator
    expires_at: datetime
    checked_at: datetime


class Sessions:
    """Sessions by token; their keys (hex of the hash) name them where streams are ended."""

    def __init__(
        self, db: Database, hub: Hub, *, hours: int, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._db = db
        self._hub = hub
        self._lives = timedelta(hours=hours)
        self._now = now
        self._known: dict[bytes, _Known] = {}

    async def operator(self, token: str) -> tuple[Operator, str] | None:
        """Who is logged in with ``token``, and the session's key; None when nobody is. Raises
        DatabaseAway, DeadlineMissed when that cannot be found out.
        """
        hash = rules.token_hash(token)
        if hash is None:
            return None
        now = self._now()
        known = self._known.get(hash)
        if known is None or known.expires_at <= now:
            async with self._db.transaction(WITHIN_S) as connection:
                found = await People(connection).session(hash)
            if found is None:
                self.drop(hash.hex())
                return None
            known = self._known[hash] = _Known(*found, now)
            while len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]
        return known.operator, hash.hex()

    async def begin(self, connection: Connection, name: str, *, by_link: bool) -> str:
        """Begin a session of ``name``; its token, which is nowhere else."""
        token = secrets.token_urlsafe(32)
        hash = rules.token_hash(token)
        assert hash is not None, "32 bytes make such a token"
        await People(connection).begin(hash, name, by_link=by_link, until=self._now() + self._lives)
        return token

    def drop(self, key: str) -> None:
        """The session of this key counts no more here, and its open streams end."""
        self._known.pop(bytes.fromhex(key), None)
        self._hub.end_session(key)

    def drop_all(self, name: str, *, but: str = "") -> None:
        """The same for all sessions of an operator that are known here."""
        for hash, known in tuple(self._known.items()):
            if known.operator.name == name and hash.hex() != but:
                self.drop(hash.hex())

    def refresh(self, key: str) -> None:
        """Ask the database about this session at its next use: its operator changed."""
        self._known.pop(bytes.fromhex(key), None)

    async def watch(self) -> None:
        """Find out about ended sessions, for ever."""
        while True:
            await self.check()
            await asyncio.sleep(WATCH_S)

    async def check(self) -> None:
        """Ask the database about every session that is known or has an open stream."""
        asked = {*self._known, *(bytes.fromhex(key) for key in self._hub.sessions())}
        if not asked:
            return
        now = self._now()
        try:
            async with self._db.transaction(WITHIN_S) as connection:
                valid = await People(connection).valid(asked)
        except (DatabaseAway, DeadlineMissed):
            oldest = now - timedelta(seconds=GRACE_S)
            valid = {
                hash
                for hash, known in self._known.items()
                if known.expires_at > now and known.checked_at > oldest
            }
        else:
            for hash in valid & self._known.keys():
                self._known[hash].checked_at = now
        for hash in asked - valid:
            self.drop(hash.hex())

    async def forget(self) -> None:
        """Remove expired sessions, links and failures from the database, for ever."""
        while True:
            try:
                async with self._db.transaction(WITHIN_S) as connection:
                    await People(connection).forget()
            except (DatabaseAway, DeadlineMissed):
                pass
            await asyncio.sleep(FORGET_EVERY_S)
