"""NATS and PostgreSQL for whoever needs them: the given ones, else the embedded ones.

Used by the stack and by test fixtures. It never reads the environment: the caller passes what
the user gave.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.nats_server import NatsServer
from testbed.postgres import Postgres, create_database


@dataclass(frozen=True)
class GivenNats:
    """A server that somebody else runs."""

    url: str


@dataclass(frozen=True)
class GivenPostgres:
    """A server that somebody else runs; `dsn` may create databases where tests ask for one."""

    dsn: str

    async def create_database(self, name: str, *, template: str | None = None) -> str:
        """As `Postgres.create_database`."""
        return await create_database(self.dsn, name, template=template)


@asynccontextmanager
async def nats(
    url: str | None, store_dir: Path, *, port: int = 0, monitor_port: int = 0
) -> AsyncGenerator[NatsServer | GivenNats]:
    """The server at `url`, or an embedded one with its store in `store_dir` while in use."""
    if url:
        yield GivenNats(url)
        return
    server = await NatsServer.start(store_dir, port, monitor_port=monitor_port)
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def postgres(
    dsn: str | None, data_dir: Path, *, port: int = 0
) -> AsyncGenerator[Postgres | GivenPostgres]:
    """The server at `dsn`, or an embedded one with its data in `data_dir` while in use."""
    if dsn:
        yield GivenPostgres(dsn)
        return
    server = await Postgres.start(data_dir, port)
    try:
        yield server
    finally:
        await server.stop()
