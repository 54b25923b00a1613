"""Storage of operators, sessions, links and failed log-ins: the only user of people/queries.sql.
It sees hashes, never passwords or tokens.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from dashboard.database import Connection
from dashboard.people import rules
from dashboard.people.operator import Operator, Role
from runtime import sql


class Record(Struct, frozen=True):
    """An operator as stored."""

    name: str
    role: Role
    hash: str | None
    disabled: bool


class Listed(Struct, frozen=True):
    """An operator on the operators page."""

    name: str
    role: Role
    has_password: bool
    disabled_at: datetime | None
    created_at: datetime
    seen_at: datetime | None
    sessions: int


class People:
    """The tables, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = sql.load("dashboard.people", "queries.sql")

    async def exclusively(self) -> None:
        """Nobody else changes operators until the transaction ends."""
        await self._connection.execute(self._sql["lock_operators"])

    async def any(self) -> bool:
        """Is there anybody who could log in?"""
        return bool(await self._connection.fetchval(self._sql["any"]))

    async def find(self, name: str) -> Record | None:
        row = await self._connection.fetchrow(self._sql["operator"], name)
        if row is None:
            return None
        return Record(row["name"], row["role"], row["hash"], row["disabled_at"] is not None)

    async def all(self) -> list[Listed]:
        """Who is not disabled first, then by name."""
        rows = await self._connection.fetch(self._sql["operators"])
        return [Listed(**dict(row)) for row in rows]

    async def add(self, name: str, role: Role) -> bool:
        """Add an operator without a password; False when there is one of this name."""
        return await self._connection.fetchval(self._sql["add"], name, role) is not None

    async def set_role(self, name: str, role: Role) -> None:
        await self._connection.execute(self._sql["set_role"], name, role)

    async def set_disabled(self, name: str, *, disabled: bool) -> None:
        await self._connection.execute(self._sql["set_disabled"], name, disabled)

    async def set_hash(self, name: str, hash: str) -> None:
        await self._connection.execute(self._sql["set_hash"], name, hash)

    async def admins(self) -> int:
        """How many admins could log in."""
        return int(await self._connection.fetchval(self._sql["admins"]))

    async def begin(self, hash: bytes, name: str, *, by_link: bool, until: datetime) -> None:
        """Begin a session."""
        await self._connection.execute(self._sql["begin"], hash, name, by_link, until)

    async def session(self, hash: bytes) -> tuple[Operator, datetime] | None:
        """Whose session it is and when it expires; None when it is none that counts."""
        row = await self._connection.fetchrow(self._sql["session"], hash)
        if row is None:
            return None
        operator = Operator(row["name"], row["role"], row["by_link"], row["has_password"])
        return operator, row["expires_at"]

    async def valid(self, hashes: Iterable[bytes]) -> set[bytes]:
        """Those of ``hashes`` that are sessions which count."""
        rows = await self._connection.fetch(self._sql["valid"], list(hashes))
        return {row["hash"] for row in rows}

    async def end(self, hash: bytes) -> None:
        """End one session."""
        await self._connection.execute(self._sql["end"], hash)

    async def end_all(self, name: str, *, but: bytes | None = None) -> None:
        """End the sessions of an operator, and the links that would begin new ones."""
        await self._connection.execute(self._sql["end_all"], name, but)
        await self._connection.execute(self._sql["end_links"], name)

    async def make_link(self, hash: bytes, name: str, until: datetime) -> None:
        """Keep a one-time link; older ones of the operator end."""
        await self._connection.execute(self._sql["end_links"], name)
        await self._connection.execute(self._sql["make_link"], hash, name, until)

    async def use_link(self, hash: bytes) -> tuple[str, Role] | None:
        """Name and role behind a link, which is used up by it."""
        row = await self._connection.fetchrow(self._sql["use_link"], hash)
        return None if row is None else (row["name"], row["role"])

    async def try_(self, key: str, now: datetime, *, free: int) -> int:
        """Count a try under ``key`` as failed; seconds it must wait still, 0: it may be made."""
        row = await self._connection.fetchrow(self._sql["try"], key, now, rules.FORGET_AFTER)
        assert row is not None, "INSERT ... RETURNING gives its row"
        left: timedelta = row["locked_until"] - now
        if left > timedelta():
            return max(1, round(left.total_seconds()))
        delay = rules.delay_s(row["failures"], free=free)
        await self._connection.execute(self._sql["lock"], key, now + timedelta(seconds=delay))
        return 0

    async def succeeded(self, name_key: str, address_key: str, now: datetime) -> None:
        """A counted try was right: the name starts anew, the address gets its one try back."""
        await self.reset(name_key)
        await self._connection.execute(self._sql["take_back"], address_key, now)

    async def reset(self, key: str) -> None:
        """Failures under ``key`` are forgotten."""
        await self._connection.execute(self._sql["reset"], key)

    async def forget(self) -> None:
        """Remove what has expired."""
        await self._connection.execute(self._sql["forget_sessions"])
        await self._connection.execute(self._sql["forget_links"])
        await self._connection.execute(self._sql["forget_failures"], rules.FORGET_AFTER)
