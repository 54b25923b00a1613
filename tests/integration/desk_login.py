"""The desk's database for tests, and being logged in there.

dsn = await desk_database(await postgres_server.create_database("..."))
http = httpx2.AsyncClient(base_url=url, headers=OURS, cookies=await cookies(dsn))
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2

from dashboard.app import serve
from dashboard.database import WITHIN_S, opened
from dashboard.people import rules
from dashboard.people.operator import Role
from dashboard.people.repository import People
from dashboard.settings import Settings
from runtime.admin import Health
from runtime.clock import utc_now
from runtime.service import Shutdown
from runtime.settings import Secret
from testbed.migrations import migrate, migrations_table
from testbed.ports import free_port

MIGRATIONS = Path(__file__).parents[2] / "services/dashboard/migrations"
PATIENCE_S = 20.0
OURS = {"sec-fetch-site": "same-origin"}
"""What a browser sends with a change that one of our pages asks for."""


async def desk_database(dsn: str) -> str:
    """``dsn``, with the desk's tables made."""
    await migrate(dsn, MIGRATIONS, table=migrations_table("dashboard"))
    return dsn


async def cookies(dsn: str, name: str = "mira", role: Role = "admin") -> dict[str, str]:
    """What a browser sends in which ``name`` is logged in; the operator is made if need be."""
    token = secrets.token_urlsafe(32)
    hash = rules.token_hash(token)
    assert hash is not None
    async with (
        opened(Secret(dsn), size=1) as db,
        db.transaction(WITHIN_S) as connection,
    ):
        people = People(connection)
        if not await people.add(name, role):
            await people.set_role(name, role)
        until = utc_now() + rules.FORGET_AFTER
        await people.begin(hash, name, by_link=False, until=until)
    return {"desk": token}


@contextlib.asynccontextmanager
async def desk_served(nats_url: str, dsn: str, **more: Any) -> AsyncGenerator[str]:
    """A desk's address while the block runs; ``more`` are its settings. It answers by then."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        **{
            "nats_url": nats_url,
            "database_url": Secret(dsn),
            "dashboard_port": port,
            "dashboard_url": url,
        }
        | more
    )
    shutdown = Shutdown()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(settings, shutdown, Health()))
        try:
            async with asyncio.timeout(PATIENCE_S), httpx2.AsyncClient() as http:
                while True:
                    with contextlib.suppress(httpx2.TransportError):
                        await http.get(f"{url}/static/desk.css")
                        break
                    await asyncio.sleep(0.02)
            yield url
        finally:
            shutdown.ask()
