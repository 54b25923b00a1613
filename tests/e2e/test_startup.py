"""The five services as processes: they wait for what they need and say so, and end in good order.

No system is shared here: a service must be able to start long before its servers do.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from testbed.layout import SERVICES, Service, migration_folders
from testbed.migrations import migrate, migrations_table
from testbed.nats_server import NatsServer
from testbed.ports import LOOPBACK, free_port
from testbed.postgres import Postgres
from testbed.process import Process

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 60
NAMES = [service.name for service in SERVICES]
BY_NAME = {service.name: service for service in SERVICES}


@pytest.fixture
def folder() -> Iterator[Path]:
    """PostgreSQL runs as another user under root: pytest's own folders are closed to it."""
    path = Path(tempfile.mkdtemp(prefix="trunkline-startup-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def environment(**changes: str) -> dict[str, str]:
    """Settings that suit all five, on ports of their own; an empty change takes one away."""
    env = {
        "PATH": os.environ["PATH"],
        "NATS_URL": f"nats://{LOOPBACK}:{free_port()}",
        "DATABASE_URL": f"postgresql://postgres:a-password@{LOOPBACK}:{free_port()}/postgres",
        "PUBLIC_URL": "http://127.0.0.1:8081",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "a" * 32,
        "STREAM_TOKEN_SECRET": "a-secret-of-stream-tokens",
        "OPENAI_API_KEY": "a-key",
        "OPENAI_BASE_URL": f"http://{LOOPBACK}:{free_port()}/v1",
        "ASSISTANTS_DIR": str(REPOSITORY / "assistants"),
    }
    for service in SERVICES:
        for variable, _ in filter(None, (service.admin, service.public)):
            env[variable] = str(free_port())
    return {name: value for name, value in (env | changes).items() if value}


def program(service: Service, env: dict[str, str]) -> Process:
    return Process(service.name, [sys.executable, "-m", service.module], env=env)


@contextlib.asynccontextmanager
async def started(env: dict[str, str], names: list[str]) -> AsyncIterator[dict[str, Process]]:
    """These services, started at once; killed at the end if they still run."""
    processes = {name: program(BY_NAME[name], env) for name in names}
    try:
        for process in processes.values():
            await process.start()
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            if process.pid:
                await process.wait()


async def complaints(env: dict[str, str], names: list[str], code: int) -> dict[str, str]:
    """Start the services, which must all end with `code`: the last line of each."""
    async with started(env, names) as processes, asyncio.timeout(PATIENCE_S):
        for name, process in processes.items():
            assert await process.wait() == code, f"{name}: {process.tail()}"
            assert not any("Traceback" in line for line in process.lines), process.tail(20)
    return {name: process.lines[-1] for name, process in processes.items()}


async def readiness(env: dict[str, str], service: Service) -> tuple[int, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{LOOPBACK}:{env[service.admin[0]]}/readyz")
        return answer.status_code, answer.text


async def test_services_started_first_wait_for_their_servers_say_so_and_stop_when_asked(
    folder: Path,
) -> None:
    postgres = await Postgres.start(folder / "postgres")  # its password is known only now
    dsn, nats_port = postgres.dsn, free_port()
    await postgres.stop()
    env = environment(NATS_URL=f"nats://{LOOPBACK}:{nats_port}", DATABASE_URL=dsn)
    nats = None
    async with started(env, NAMES) as processes:
        try:
            for name, process in processes.items():
                await process.saw('"waiting"', PATIENCE_S)
                (line,) = [line for line in process.lines if '"waiting"' in line][:1]
                wanted = "PostgreSQL" if name == "tool-runner" else "NATS"
                assert wanted in line, "which server it waits for"
                code, why = await readiness(env, BY_NAME[name])
                assert (code, "starting" in why) == (503, True)
            # The database comes first, then NATS: tool-runner and ai-agent still wait for each
            # other's sake.
            await postgres.restart()
            for service, migrations in migration_folders(REPOSITORY).items():
                await migrate(dsn, migrations, table=migrations_table(service))
            nats = await NatsServer.start(folder / "nats", nats_port)
            for name, process in processes.items():
                url = f"http://{LOOPBACK}:{env[BY_NAME[name].admin[0]]}/readyz"
                await process.ready(url, PATIENCE_S)
            # SIGTERM while everything runs: a clean end of each.
            for process in processes.values():
                os.kill(process.pid, signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                codes = {name: await process.wait() for name, process in processes.items()}
            assert codes == dict.fromkeys(NAMES, 0)
            for process in processes.values():
                text = "\n".join(process.lines)
                assert "Traceback" not in text
                assert '"level": "error"' not in text, process.tail(20)
        finally:
            await postgres.stop()
            if nats is not None:
                await nats.stop()


async def test_an_agent_waits_for_the_tools_of_its_profiles(folder: Path) -> None:
    nats = await NatsServer.start(folder / "nats")
    try:
        env = environment(NATS_URL=nats.url, STARTUP_WAIT_S="1")
        last = (await complaints(env, ["ai-agent"], 1))["ai-agent"]
        assert "create_task" in last
        assert "start tool-runner" in last
    finally:
        await nats.stop()


async def test_an_unreachable_server_is_named_in_one_sentence(folder: Path) -> None:
    env = environment(STARTUP_WAIT_S="1")
    address = env["NATS_URL"].removeprefix("nats://")
    without_nats = [name for name in NAMES if name != "tool-runner"]
    for name, line in (await complaints(env, without_nats, 1)).items():
        assert address in line, f"{name}: {line}"
        assert "NATS_URL" in line, f"{name}: {line}"
        assert "STARTUP_WAIT_S" in line, f"{name}: {line}"
    line = (await complaints(env, ["tool-runner"], 1))["tool-runner"]
    assert env["DATABASE_URL"].split("@")[1].split("/")[0] in line
    assert "DATABASE_URL" in line
    assert "a-password" not in line
    # A database without a NATS.
    postgres = await Postgres.start(folder / "postgres")
    try:
        for service, migrations in migration_folders(REPOSITORY).items():
            await migrate(postgres.dsn, migrations, table=migrations_table(service))
        env["DATABASE_URL"] = postgres.dsn
        line = (await complaints(env, ["tool-runner"], 1))["tool-runner"]
        assert address in line
        assert "NATS_URL" in line
    finally:
        await postgres.stop()


async def test_settings_that_cannot_be_used_are_each_named(folder: Path) -> None:
    wrong = environment(LOG_FORMAT="yaml", STARTUP_WAIT_S="soon")
    async with started(wrong, NAMES) as processes, asyncio.timeout(PATIENCE_S):
        for name, process in processes.items():
            assert await process.wait() == 2, f"{name}: {process.tail()}"
            assert len(process.lines) == 2
            assert {line.split(":")[0] for line in process.lines} == {name}
            assert "LOG_FORMAT" in "".join(process.lines)
            assert "STARTUP_WAIT_S" in "".join(process.lines)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("webhooks", "PUBLIC_URL"),
        ("stream-ingress", "TWILIO_AUTH_TOKEN"),
        ("ai-agent", "OPENAI_API_KEY"),
        ("tool-runner", "DATABASE_URL"),
    ],
)
async def test_a_missing_setting_is_named(name: str, variable: str) -> None:
    line = (await complaints(environment(**{variable: ""}), [name], 2))[name]
    assert line.startswith(f"{name}: {variable} is not set: ")


async def test_a_taken_port_is_named_with_its_setting() -> None:
    env = environment()
    with contextlib.ExitStack() as stack:
        for service in SERVICES:
            stack.enter_context(socket.create_server((LOOPBACK, int(env[service.admin[0]]))))
        for name, line in (await complaints(env, NAMES, 1)).items():
            variable = BY_NAME[name].admin[0]
            assert f"set {variable} to a free one" in line
            assert env[variable] in line
