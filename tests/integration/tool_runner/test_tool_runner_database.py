"""PostgreSQL goes, comes back, freezes or is wrong from the start; migrations; the seed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from protocol import todos
from protocol.ids import new_event_id
from runtime import clock
from runtime.errors import Refused, ServiceError
from runtime.service import Shutdown
from runtime.settings import Secret
from testbed.migrations import migrate, migrations_table
from testbed.ports import free_port
from testbed.postgres import Postgres
from testbed.process import run
from tool_runner import database as databases
from tool_runner import seed
from tool_runner.callers.repository import Callers

MIGRATIONS = Path(__file__).parents[3] / "services/tool-runner/migrations"
TABLE = migrations_table("tool-runner")
NUMBER = "+15550100001"
NEW = {"date": "2999-01-01", "description": "buy milk"}
TABLES = {
    *("callers", "todos", "tool_results"),
    *("caller_pins", "pin_failures", "pin_attempts"),
    *("admitted_calls", "day_spend", "spend_entries"),
}


@pytest.fixture
async def own_postgres(server_folder: Path) -> AsyncIterator[Postgres]:
    """A server of the test's own, to be stopped and frozen."""
    server = await Postgres.start(server_folder / f"own-{new_event_id()}")
    try:
        await migrate(server.dsn, MIGRATIONS, table=TABLE)
        yield server
    finally:
        await server.stop()


async def test_a_stopped_database_is_said_at_once_and_found_again(
    own_postgres: Postgres, serve: Any, until: Any
) -> None:
    async with serve(own_postgres.dsn) as runner:
        caller, key = await runner.caller(NUMBER), new_event_id()
        created = await runner.tool("create_task", NEW, caller, key=key)
        await own_postgres.stop()
        for ask in (
            runner.tool("create_task", NEW, caller, key=key),
            runner.tool("get_tasks", {"period": "today"}, caller),
            runner.ask("todos.list", todos.ListTodos(caller), Any),
            runner.caller(NUMBER),
        ):
            with pytest.raises(Refused) as refused:
                await ask
            assert (refused.value.code, refused.value.description) == (
                *(503, "the database is away"),
            )
        await until(lambda: runner.health.failing() == ["database"])
        await own_postgres.restart()
        await until(lambda: not runner.health.failing())
        assert await runner.tool("create_task", NEW, caller, key=key) == created
        assert await runner.sql("SELECT count(*) FROM todos") == 1


async def test_a_frozen_database_holds_nobody_past_the_deadline(
    own_postgres: Postgres, serve: Any, until: Any
) -> None:
    async with serve(own_postgres.dsn) as runner:
        caller, key = await runner.caller(NUMBER), new_event_id()
        own_postgres.suspend()
        # Far above 400 ms for slow machines, far below the 10 s that a command may take.
        async with asyncio.timeout(6):
            with pytest.raises(Refused) as refused:
                await runner.tool("create_task", NEW, caller, key=key, deadline_ms=400)
        assert refused.value.code == 504
        await until(lambda: runner.health.failing() == ["database"])
        own_postgres.resume()
        await until(lambda: not runner.health.failing())
        assert (await runner.tool("create_task", NEW, caller, key=key))["status"] == "created"
        assert await runner.sql("SELECT count(*) FROM todos") == 1


async def test_a_database_that_freezes_inside_a_transaction_keeps_nothing_of_it(
    own_postgres: Postgres,
) -> None:
    url = Secret(own_postgres.dsn)
    async with databases.connect(url, size=1, wait_s=5, shutdown=Shutdown()) as db:

        async def freeze_midway() -> None:
            async with db.transaction(0.4) as connection:
                await Callers(connection).identify(NUMBER, "UTC")
                own_postgres.suspend()
                await connection.fetchval("SELECT 1")

        # Far above 400 ms for slow machines, far below the 10 s that a ROLLBACK would wait.
        async with asyncio.timeout(6):
            with pytest.raises(databases.DeadlineMissed):
                await freeze_midway()
        own_postgres.resume()
        async with db.transaction(10) as connection:
            assert await Callers(connection).recent(10) == ()


async def test_more_requests_than_connections_are_all_answered(serve: Any, dsn: str) -> None:
    async with serve(dsn, database_pool=1) as runner:
        caller = await runner.caller(NUMBER)
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(runner.tool("create_task", NEW, caller))
        assert await runner.sql("SELECT count(*) FROM todos") == 30


async def test_old_results_are_forgotten(serve: Any, dsn: str, until: Any) -> None:
    async with serve(dsn) as runner:
        caller = await runner.caller(NUMBER)
        for age in ("29 days", "31 days"):
            await runner.sql(
                "INSERT INTO tool_results VALUES ($1::text, $2, 'create_task', 'null',"
                " now() - $1::interval)",
                *(age, caller),
            )
    async with serve(dsn) as runner, asyncio.timeout(20):
        while await runner.sql("SELECT count(*) FROM tool_results") != 1:
            await asyncio.sleep(0.02)
        assert await runner.sql("SELECT key FROM tool_results") == "29 days"


async def unusable(url: str) -> str:
    """What connecting to ``url`` says within a second of waiting."""
    with pytest.raises(ServiceError) as stopped:
        async with databases.connect(Secret(url), size=1, wait_s=1, shutdown=Shutdown()):
            pass
    return str(stopped.value)


async def test_what_cannot_be_used_at_start_is_one_sentence(
    postgres_server: Any, database: str
) -> None:
    where = r"PostgreSQL at {}:{} (DATABASE_URL)"
    server, _, name = database.rpartition("/")
    host, _, port = server.rpartition("@")[2].partition(":")
    here = where.format(host, port)
    user, _, _ = server.partition("@")[0].rpartition(":")
    absent = free_port()
    gave_up = "; gave up after 1 s (STARTUP_WAIT_S)"
    assert await unusable(f"postgres://u:p@127.0.0.1:{absent}/x") == (
        where.format("127.0.0.1", absent)
        + ": nothing answers there; start it, or correct DATABASE_URL"
        + gave_up
    )
    assert await unusable(f"{user}:wrong@{host}:{port}/{name}") == (
        f"{here} refuses the user or the password: correct DATABASE_URL"
    )
    assert await unusable(f"{server}/absent") == (
        f"{here}: it has no database of that name; create it, or correct DATABASE_URL{gave_up}"
    )
    assert await unusable(database) == (
        f"{here}: the tables {', '.join(sorted(TABLES))} are missing; "
        f"run the migrations: make migrate{gave_up}"
    )
    for broken in ("nonsense", "mysql://u:secret@h/x", "postgres://u:secret@h:port/x"):
        said = await unusable(broken)
        assert said.startswith("DATABASE_URL cannot be used: it must be like postgresql://")
        assert "secret" not in said


async def test_migrations_go_up_down_and_up_again(database: str) -> None:
    async def tables() -> set[str]:
        connection = await asyncpg.connect(database)
        try:
            rows = await connection.fetch(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            )
        finally:
            await connection.close()
        return {row["tablename"] for row in rows} - {TABLE}

    await migrate(database, MIGRATIONS, table=TABLE)
    assert await tables() == TABLES
    for _ in MIGRATIONS.glob("*.sql"):
        down = await run(
            "dbmate",
            [
                *(Path(sys.executable).parent / "dbmate", "--no-dump-schema"),
                *("--migrations-dir", MIGRATIONS, "--migrations-table", TABLE, "down"),
            ],
            env={"PATH": os.defpath, "DATABASE_URL": f"{database}?sslmode=disable"},
            cwd=MIGRATIONS,
        )
        assert down.returncode == 0, down.tail()
    assert await tables() == set()
    await migrate(database, MIGRATIONS, table=TABLE)
    assert await tables() == TABLES


async def test_the_seed_is_the_same_run_twice_and_starts_over(dsn: str) -> None:
    async with databases.connect(Secret(dsn), size=1, wait_s=5, shutdown=Shutdown()) as db:

        async def sow(*, reset: bool) -> tuple[todos.Caller, int]:
            return await seed.seed(
                db, number=NUMBER, name="Alex", time_zone="Europe/Berlin", reset=reset
            )

        day = clock.utc_now().date()
        caller, added = await sow(reset=False)
        assert (caller.name, caller.time_zone, added) == ("Alex", "Europe/Berlin", 6)
        _, again = await sow(reset=False)
        if clock.utc_now().date() == day:
            assert again == 0
        _, anew = await sow(reset=True)
        assert anew == 6
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM todos") == 6
        assert await connection.fetchval("SELECT count(completed_at) FROM todos") == 1
    finally:
        await connection.close()


async def test_the_seed_command_says_what_it_did_and_what_is_wrong(dsn: str) -> None:
    async def command(url: str, *args: str) -> Any:
        return await run(
            "seed",
            [sys.executable, "-m", "tool_runner.seed", *args],
            env={"PATH": os.defpath, "DATABASE_URL": url, "STARTUP_WAIT_S": "1"},
        )

    good = await command(dsn, "--number", NUMBER)
    assert (good.returncode, list(good.lines)) == (0, ["seeded 6 todos"])
    bad = await command(dsn, "--number", NUMBER, "--time-zone", "Mars")
    assert bad.returncode == 1
    assert bad.tail() == "seed: the time zone is no IANA name such as Europe/Berlin"
    unset = await command("", "--number", NUMBER)
    assert unset.returncode == 2
    assert "DATABASE_URL is not set" in unset.tail()
