"""Letting people in: by name and password with growing delays for failed tries, or by a one-time
link. It decides and stores; ``login_pages`` shows.
"""

import secrets
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from dashboard.database import WITHIN_S, Connection, Database
from dashboard.people import rules, trail
from dashboard.people.operator import Operator, Role
from dashboard.people.passwords import Passwords
from dashboard.people.repository import People
from dashboard.people.sessions import Sessions
from runtime.clock import utc_now
from runtime.settings import Secret

_NOBODY = Operator("(unknown)", "viewer")
"""Stands in the trail for names that nobody has: what was typed may be a password."""


class Wait(Struct, frozen=True):
    """Not even looked at: too many failed tries. ``seconds`` until the next one."""

    seconds: int


class Door:
    """Begins sessions. A session that the browser had before ends with each log-in, so that none
    which somebody else put there is ever logged in.
    """

    def __init__(
        self,
        db: Database,
        passwords: Passwords,
        sessions: Sessions,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._sessions = sessions
        self._now = now

    async def by_password(
        self, name: str, password: str, address: str, old: str
    ) -> str | Wait | None:
        """The token of a new session; Wait; None when name and password do not belong together.
        ``old`` is the token that the browser sent. Raises DatabaseAway, DeadlineMissed.
        """
        by_name, by_address = rules.name_key(name), rules.address_key(address)
        async with self._db.transaction(WITHIN_S) as connection:
            people = People(connection)
            left = await people.try_(by_address, self._now(), free=rules.FREE_BY_ADDRESS)
            left = left or await people.try_(by_name, self._now(), free=rules.FREE_BY_NAME)
            record = await people.find(name) if rules.NAME.match(name) else None
        if left:
            return Wait(left)
        hash = record.hash if record is not None and not record.disabled else None
        right = await self._passwords.matches(hash, Secret(rules.same_form(password)))
        async with self._db.transaction(WITHIN_S) as connection:
            if not right or record is None:
                known = _NOBODY if record is None else Operator(record.name, record.role)
                await trail.record(connection, known, "log_in_refused", detail=f"from {address}")
                return None
            await People(connection).succeeded(by_name, by_address, self._now())
            return await self._begin(connection, Operator(record.name, record.role), address, old)

    async def by_link(self, token: str, address: str, old: str) -> str | None:
        """The token of a new session; None when the link is used up or too old. Raises as
        ``by_password`` does.
        """
        hash = rules.token_hash(token)
        if hash is None:
            return None
        async with self._db.transaction(WITHIN_S) as connection:
            found = await People(connection).use_link(hash)
            if found is None:
                return None
            name, role = found
            return await self._begin(connection, Operator(name, role, by_link=True), address, old)

    async def _begin(
        self, connection: Connection, operator: Operator, address: str, old: str
    ) -> str:
        if (ended := rules.token_hash(old)) is not None:
            await People(connection).end(ended)
            self._sessions.drop(ended.hex())
        how = "one-time link" if operator.by_link else "password"
        await trail.record(connection, operator, "log_in", detail=f"{how}, from {address}")
        return await self._sessions.begin(connection, operator.name, by_link=operator.by_link)


async def make_link(connection: Connection, name: str, url: str, now: datetime) -> str:
    """A one-time link for ``name`` at the desk of ``url``; it works once, for LINK_LIVES.

    Its token stands behind ``#``: it reaches no server but in the form that a person sends, so
    neither proxies' logs nor programs that follow links use it up.
    """
    token = secrets.token_urlsafe(32)
    hash = rules.token_hash(token)
    assert hash is not None, "32 bytes make such a token"
    await People(connection).make_link(hash, name, now + rules.LINK_LIVES)
    return f"{url.rstrip('/')}/login#{token}"


async def add(connection: Connection, by: Operator, name: str, role: Role) -> bool:
    """Add an operator, who gets in by a link; False when there is one of this name."""
    added = await People(connection).add(name, role)
    if added:
        await trail.record(connection, by, "operator_added", subject=name, detail=role)
    return added
