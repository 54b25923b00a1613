"""What the pages about people share, put together: sessions, the door, the trail."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from dashboard.database import Database
from dashboard.people.cookies import Cookie
from dashboard.people.door import Door
from dashboard.people.passwords import Passwords, hashing
from dashboard.people.sessions import Sessions
from dashboard.people.trail import Trail
from dashboard.settings import Settings
from dashboard.sse import Hub
from runtime.bus import Bus
from runtime.tasks import Tasks


@dataclass(frozen=True)
class Staff:
    """``url`` is where browsers find the desk."""

    db: Database
    passwords: Passwords
    sessions: Sessions
    door: Door
    trail: Trail
    cookie: Cookie
    url: str


@contextlib.asynccontextmanager
async def staffed(settings: Settings, db: Database, bus: Bus, hub: Hub) -> AsyncGenerator[Staff]:
    """The staff's part of the desk, with its tasks, while the block runs."""
    hours = settings.dashboard_session_hours
    sessions = Sessions(db, hub, hours=hours)
    trail = Trail(db, bus)
    async with hashing() as passwords, Tasks("people") as tasks:
        tasks.spawn(sessions.watch(), "sessions")
        tasks.spawn(sessions.forget(), "forget")
        tasks.spawn(trail.run(), "trail")
        yield Staff(
            db,
            passwords,
            sessions,
            Door(db, passwords, sessions),
            trail,
            Cookie(settings.dashboard_url, hours=hours),
            settings.dashboard_url,
        )
