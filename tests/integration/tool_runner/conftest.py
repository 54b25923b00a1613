"""tool-runner inside the test's loop, on the shared NATS server and a database of its own."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from protocol import codec, todos, tools
from protocol.ids import CallerId, new_event_id
from runtime import bus as nats
from runtime.admin import Health
from runtime.bus import Bus
from runtime.service import Shutdown
from runtime.settings import CommonSettings, Secret
from testbed.migrations import migrate, migrations_table
from tool_runner import app
from tool_runner.settings import Settings

MIGRATIONS = Path(__file__).parents[3] / "services/tool-runner/migrations"
PATIENCE_S = 20.0


@dataclass
class Running:
    """A tool-runner and a client of it."""

    bus: Bus
    health: Health
    dsn: str

    async def tool(
        self,
        name: str,
        arguments: Any,
        caller: CallerId,
        *,
        key: str | None = None,
        deadline_ms: int | None = None,
    ) -> Any:
        """The tool's answer, under a fresh key unless one is given. Raises Refused, NoAnswer."""
        headers = {tools.CALLER: caller, tools.IDEMPOTENCY_KEY: key or new_event_id()}
        if deadline_ms is not None:
            headers[tools.DEADLINE_MS] = str(deadline_ms)
        return await self.bus.request(
            f"tools.{name}", arguments, Any, timeout=PATIENCE_S, headers=headers
        )

    async def ask(self, subject: str, message: Any, answer: Any) -> Any:
        return await self.bus.request(subject, message, answer, timeout=PATIENCE_S)

    async def caller(self, number: str, time_zone: str = "UTC") -> CallerId:
        asked = todos.IdentifyCaller(number, time_zone)
        found: todos.Caller = await self.ask("callers.identify", asked, todos.Caller)
        return found.caller_id

    async def sql(self, statement: str, *args: Any) -> Any:
        """The first value of ``statement``, on a connection of the test's own."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(statement, *args)
        finally:
            await connection.close()


@dataclass
class Changes:
    """What was published on ``todo.*.changed``, in order."""

    seen: list[tuple[str, todos.TodoChanged]]

    async def wait(self, count: int) -> list[tuple[str, todos.TodoChanged]]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.seen) < count:
                await asyncio.sleep(0.005)
        return self.seen


@pytest.fixture(scope="session")
def migrations() -> Path:
    """The folder of tool-runner's migrations."""
    return MIGRATIONS


@pytest.fixture(scope="session")
async def migrated(postgres_server: Any) -> str:
    """The dsn of a migrated database, shared by the tests of this folder."""
    shared = await postgres_server.create_database(f"tools_{secrets.token_hex(6)}")
    await migrate(shared, MIGRATIONS, table=migrations_table("tool-runner"))
    return shared


@pytest.fixture
async def dsn(migrated: str) -> str:
    """A migrated database with empty tables."""
    connection = await asyncpg.connect(migrated)
    try:
        await connection.execute(
            "TRUNCATE callers, todos, tool_results, caller_pins, pin_failures, pin_attempts,"
            " admitted_calls, day_spend, spend_entries"
        )
    finally:
        await connection.close()
    return migrated


Serve = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def serve(nats_server: Any) -> Serve:
    """Run tool-runner on a database while the block runs; it must end by itself afterwards."""

    @asynccontextmanager
    async def running(dsn: str, **settings: Any) -> AsyncIterator[Running]:
        shutdown, health = Shutdown(), Health()
        chosen = Settings(
            nats_url=nats_server.url, database_url=Secret(dsn), startup_wait_s=20, **settings
        )
        common = CommonSettings(nats_url=nats_server.url)
        async with nats.connect(common, "test", Shutdown()) as bus:
            service = asyncio.create_task(app.serve(chosen, shutdown, health))
            await asyncio.sleep(0)  # its first step says that it is not ready yet
            try:
                await until(lambda: not health.failing() or service.done())
                if service.done():
                    service.result()
                yield Running(bus, health, dsn)
            finally:
                shutdown.ask()
                await asyncio.wait_for(service, PATIENCE_S)

    return running


@pytest.fixture
async def runner(serve: Serve, dsn: str) -> AsyncIterator[Running]:
    async with serve(dsn) as running:
        yield running


@pytest.fixture
async def changes(runner: Running) -> AsyncIterator[Changes]:
    """Everything published on todo.*.changed from now on."""
    collected = Changes([])

    async def take(message: Any) -> None:
        change = codec.decode(todos.TodoChanged, message.data)
        collected.seen.append((message.subject, change))

    subscription = await runner.bus.subscribe("todo.*.changed", take)
    await runner.bus.settle()
    yield collected
    await subscription.stop()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.01)


@pytest.fixture(name="until")
def _until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait until a condition holds."""
    return until
