"""Connections that the server ends at any moment: who asks is refused, and sees no other error."""

import asyncio

import asyncpg

from runtime import database as databases
from runtime.database import Database, DatabaseAway, DeadlineMissed
from runtime.service import Shutdown
from runtime.settings import Secret

ENOUGH = 150
"""Ends of connections; of a hundred some come in each state of the protocol."""
END_ALL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def test_a_connection_ended_in_any_state_is_the_database_away(database: str) -> None:
    refused = done = 0
    over = False

    async def ask(db: Database) -> None:
        nonlocal refused, done
        while not over:  # a cancellation may be swallowed below (asyncpg, before Python 3.12)
            try:
                async with db.transaction(2) as connection:
                    await connection.fetchval("SELECT 1")
            except (DatabaseAway, DeadlineMissed):
                refused += 1
            else:
                done += 1
            await asyncio.sleep(0)

    url = Secret(database)
    killer = await asyncpg.connect(database)
    async with databases.connect(
        url, name="loss", tables=(), size=3, wait_s=10, shutdown=Shutdown()
    ) as db:
        asking = {asyncio.ensure_future(ask(db)) for _ in range(3)}
        ended = 0
        async with asyncio.timeout(60):
            while ended < ENOUGH and not any(task.done() for task in asking):
                ended += await killer.fetchval(END_ALL)
                await asyncio.sleep(0.002)
        over = True
        async with asyncio.timeout(60):
            await asyncio.wait(asking)
        assert [task.exception() for task in asking] == [None] * 3
    await killer.close()
    assert ended >= ENOUGH
    assert refused > 0
    assert done > 0
