"""Real servers for the integration tests: one NATS and one PostgreSQL a session.

Set TEST_NATS_URL or TEST_DATABASE_URL to use running ones, or TEST_CONTAINERS=1 for containers
where a Docker engine answers; else they are embedded. The head of the run says which. A test that
kills or freezes a server starts its own.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import containers
import pytest

from testbed import infra
from testbed.nats_server import NatsServer
from testbed.postgres import Postgres


def _way(url: str | None) -> str:
    """Where a server comes from: given, container or embedded."""
    if url:
        return "given"
    return "container" if containers.asked_for() and containers.engine_answers() else "embedded"


def pytest_report_header() -> list[str]:
    given = {
        "NATS": os.environ.get("TEST_NATS_URL"),
        "PostgreSQL": os.environ.get("TEST_DATABASE_URL"),
    }
    ways = {name: _way(url) for name, url in given.items()}
    lines = ["servers: " + ", ".join(f"{name} {way}" for name, way in ways.items())]
    if containers.asked_for() and "embedded" in ways.values():
        lines.append("TEST_CONTAINERS is set, but no Docker engine answers")
    return lines


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
    url = os.environ.get("TEST_NATS_URL")
    started = (
        containers.nats_container()
        if _way(url) == "container"
        else infra.nats(url, server_folder / "nats")
    )
    async with started as server:
        yield server


@pytest.fixture(scope="session")
async def postgres_server(server_folder: Path) -> AsyncIterator[Postgres | infra.GivenPostgres]:
    """The shared PostgreSQL server; `.dsn`, `.create_database(name)`."""
    dsn = os.environ.get("TEST_DATABASE_URL")
    started = (
        containers.postgres_container()
        if _way(dsn) == "container"
        else infra.postgres(dsn, server_folder / "postgres")
    )
    async with started as server:
        yield server


@pytest.fixture
async def database(postgres_server: Postgres | infra.GivenPostgres) -> str:
    """The dsn of an empty database for this test alone."""
    return await postgres_server.create_database(f"test_{secrets.token_hex(6)}")
