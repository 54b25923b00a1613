"""NATS and PostgreSQL in containers for the integration tests, when TEST_CONTAINERS=1 asks for it
and an engine answers.

The images are those of docker-compose.yml. testcontainers removes them through its own helper
container, unless TESTCONTAINERS_RYUK_DISABLED=true says that only we do.
"""

import asyncio
import contextlib
import functools
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import asyncpg
import yaml
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from testbed.infra import GivenNats, GivenPostgres

ROOT = Path(__file__).parents[2]
READY_S = 60.0


def asked_for() -> bool:
    return os.environ.get("TEST_CONTAINERS", "") not in ("", "0")


@functools.cache
def engine_answers() -> bool:
    """Whether a Docker engine can be used from here."""
    try:
        return bool(DockerClient().client.ping())
    except DockerException:
        return False


def image(service: str) -> str:
    """The image that docker-compose.yml runs for a service, or that its variable names."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    variable, _, default = services[service]["image"].strip("${}").partition(":-")
    return os.environ.get(variable, default)


@contextlib.asynccontextmanager
async def nats_container() -> AsyncGenerator[GivenNats]:
    """A NATS server with JetStream while the block runs."""
    made = DockerContainer(image("nats")).with_command("-js").with_exposed_ports(4222)
    with made as running:
        server = f"nats://{running.get_container_host_ip()}:{running.get_exposed_port(4222)}"
        await _until(lambda: _nats_answers(server))
        yield GivenNats(server)


@contextlib.asynccontextmanager
async def postgres_container() -> AsyncGenerator[GivenPostgres]:
    """A PostgreSQL while the block runs; its data are gone afterwards."""
    password = secrets.token_hex(16)
    made = (
        DockerContainer(image("postgres"))
        .with_env("POSTGRES_PASSWORD", password)
        .with_exposed_ports(5432)
    )
    with made as running:
        host, port = running.get_container_host_ip(), running.get_exposed_port(5432)
        dsn = f"postgresql://postgres:{password}@{host}:{port}/postgres"
        # Its folder is set up without a port, so the first answer is the server's.
        await _until(lambda: _postgres_answers(dsn))
        yield GivenPostgres(dsn)


async def _until(attempt: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            try:
                await attempt()
            except (OSError, TimeoutError, asyncpg.PostgresError):
                await asyncio.sleep(0.2)
            else:
                return


async def _nats_answers(url: str) -> None:
    host, _, port = url.removeprefix("nats://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        # The engine's proxy accepts before the server does; only the server says INFO.
        async with asyncio.timeout(2):
            if not (await reader.readline()).startswith(b"INFO "):
                raise ConnectionError("no NATS server yet")
    finally:
        writer.close()
        await writer.wait_closed()


async def _postgres_answers(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=5)
    await connection.close()
