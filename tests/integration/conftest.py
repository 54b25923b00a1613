"""Real servers for the integration tests: one NATS and one PostgreSQL a session.

Set TEST_NATS_URL or TEST_DATABASE_URL to use running ones. A test that kills or freezes a server
starts its own.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from testbed import infra
from testbed.nats_server import NatsServer
from testbed.postgres import Postgres


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that other users may pass through: PostgreSQL runs as another one under root,
    and pytest's own temporary folders are private."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def nats_server(server_folder: Path) -> AsyncIterator[NatsServer | infra.GivenNats]:
    """The shared NATS server; `.url`."""
    async with infra.nats(os.environ.get("TEST_NATS_URL"), server_folder / "nats") as server:
        yield server


@pytest.fixture(scope="session")
async def postgres_server(server_folder: Path) -> AsyncIterator[Postgres | infra.GivenPostgres]:
    """The shared PostgreSQL server; `.dsn`, `.create_database(name)`."""
    dsn = os.environ.get("TEST_DATABASE_URL")
    async with infra.postgres(dsn, server_folder / "postgres") as server:
        yield server


@pytest.fixture
async def database(postgres_server: Postgres | infra.GivenPostgres) -> str:
    """The dsn of an empty database for this test alone."""
    return await postgres_server.create_database(f"test_{secrets.token_hex(6)}")
