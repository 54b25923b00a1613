"""The stack's own work, with small stand-in programs for the five services."""

import asyncio
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest

from testbed.data_folder import DataFolder
from testbed.layout import SERVICES, Ports, StackConfig, migration_folders
from testbed.nats_server import NatsServer
from testbed.ports import LOOPBACK, is_free
from testbed.process import Process, StartError
from testbed.stack import Stack

# Serves its own environment as the body of /readyz, on the port that the named variable gives.
STAND_IN = """
import http.server, json, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: (print("stopping", flush=True), os._exit(0)))
print("serving", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ[sys.argv[1]])), Handler).serve_forever()
"""


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    migrations = tmp_path / "services/tool-runner/migrations"
    migrations.mkdir(parents=True)
    (migrations / "20260101000000_one.sql").write_text(
        "-- migrate:up\nCREATE TABLE IF NOT EXISTS one (id int);\n-- migrate:down\n"
    )
    commands = {s.name: [sys.executable, "-c", STAND_IN, s.admin[0]] for s in SERVICES}
    return StackConfig(
        twilio_account_sid="AC1",
        twilio_auth_token="token",
        twilio_phone_number="+15550100",
        openai_api_key="key",
        stream_token_secret="secret",
        assistants_dir=tmp_path,
        migrations=migration_folders(tmp_path),
        openai_base_url="http://127.0.0.1:1/v1",
        ports=Ports.free(),
        agents=2,
        overrides={"ai-agent": {"SLOTS": "3"}, "ai-agent-2": {"SLOTS": "4"}},
        commands=commands,
    )


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="trunkline-test-") as name:
        os.chmod(name, 0o711)
        yield Path(name) / "run"


async def environment_of(stack: Stack, name: str) -> dict[str, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{stack.admin_url(name)}/readyz")).json()


async def test_everything_starts_with_its_settings_and_stops_in_order(
    config: StackConfig, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATS_URL", "nats://of-the-shell:4222")
    monkeypatch.setenv("BROWSER_PHONE", "1")
    said: list[tuple[str, str]] = []
    config = replace(config, data_dir=data_dir, on_line=lambda *line: said.append(line))
    async with Stack(config) as stack:
        names = {"dashboard", "webhooks", "stream-ingress", "tool-runner"}
        assert set(stack.processes) == names | {"ai-agent-1", "ai-agent-2"}
        env = await environment_of(stack, "webhooks")
        assert env["NATS_URL"] == stack.nats_url
        assert env["DATABASE_URL"] == stack.database_url
        assert env["PUBLIC_URL"] == f"http://127.0.0.1:{config.ports.webhooks}"
        assert env["PUBLIC_STREAM_URL"] == f"ws://127.0.0.1:{config.ports.ingress}"
        assert env["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
        assert "BROWSER_PHONE" not in env, "the shell's settings stay out"
        assert "SLOTS" not in env
        agents = [await environment_of(stack, f"ai-agent-{n}") for n in (1, 2)]
        assert [agent["AGENT_WORKER"] for agent in agents] == ["ai-agent-1", "ai-agent-2"]
        assert [agent["SLOTS"] for agent in agents] == ["3", "4"]
        assert len({agent["AGENT_ADMIN_PORT"] for agent in agents}) == 2
        connection = await asyncpg.connect(stack.database_url)
        assert await connection.fetchval("SELECT count(*) FROM tool_runner_migrations") == 1
        await connection.close()
        pids = [process.pid for process in stack.processes.values()]
    order = [name for name, line in said if line == "stopping"]
    assert set(order[:2]) == {"dashboard", "webhooks"}
    assert order[2] == "stream-ingress"
    assert set(order[3:5]) == {"ai-agent-1", "ai-agent-2"}
    assert order[5] == "tool-runner"
    assert list(stack.lines) == said
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert all(is_free(port) for port in vars(config.ports).values())

    async with Stack(config) as again:
        assert again.database_url == stack.database_url, "a second start finds its data"


async def test_single_processes_are_killed_restarted_and_added(config: StackConfig) -> None:
    async with Stack(replace(config, ports=Ports(**dict.fromkeys(vars(Ports()), 0)))) as stack:
        failed = asyncio.create_task(stack.failed())
        await asyncio.sleep(0)
        stack.processes["ai-agent-1"].kill()
        assert "ai-agent-1 ended with code -9: serving" in await failed
        await stack.restart("ai-agent-1")
        failed = asyncio.create_task(stack.failed())
        await asyncio.sleep(0)
        assert isinstance(stack.nats, NatsServer)
        await stack.nats.kill()
        assert "nats-server ended with code -9" in await failed
        await stack.nats.restart()
        assert (await environment_of(stack, "ai-agent-1"))["AGENT_WORKER"] == "ai-agent-1"
        assert await stack.add_agent() == "ai-agent-3"
        assert (await environment_of(stack, "ai-agent-3"))["AGENT_WORKER"] == "ai-agent-3"


async def test_several_ingresses_have_ports_of_their_own(config: StackConfig) -> None:
    url = "ws://127.0.0.1:1"
    async with Stack(replace(config, ingresses=2, public_stream_url=url)) as stack:
        assert list(stack.ingress_ports) == ["stream-ingress", "stream-ingress-2"]
        for name, port in stack.ingress_ports.items():
            env = await environment_of(stack, name)
            assert (env["INGRESS_PORT"], env["PUBLIC_STREAM_URL"]) == (str(port), url)
        assert stack.ingress_ports["stream-ingress"] == config.ports.ingress
        assert len(set(stack.ingress_ports.values())) == 2
        await stack.restart("stream-ingress-2")


async def test_a_folder_in_use_is_refused_until_its_holder_dies(
    config: StackConfig, data_dir: Path
) -> None:
    code = (
        "import sys,time;from pathlib import Path;from testbed.data_folder import DataFolder;"
        "held=DataFolder.hold(Path(sys.argv[1]));print('held',flush=True);time.sleep(99)"
    )
    holder = Process("holder", [sys.executable, "-c", code, data_dir])
    await holder.start()
    await holder.saw("held", 20)
    with pytest.raises(
        StartError, match=rf"is in use by another running instance \(process {holder.pid}\)"
    ):
        await Stack(replace(config, data_dir=data_dir)).start()
    holder.kill()
    await holder.wait()
    held = DataFolder.hold(data_dir)
    held.release()
    assert os.listdir(data_dir) == ["lock"]


async def test_tool_services_come_with_the_system(config: StackConfig, tmp_path: Path) -> None:
    program = tmp_path / "alien.py"
    program.write_text(
        "import json, os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('stopping', flush=True), os._exit(0)))\n"
        "print(json.dumps(dict(os.environ)), flush=True)\n"
        "signal.pause()\n"
    )
    said: list[tuple[str, str]] = []
    config = replace(config, tools={"tool-alien": program}, on_line=lambda *line: said.append(line))
    async with Stack(config) as stack:
        process = stack.processes["tool-alien"]
        await process.saw("NATS_URL", 30)
        env = json.loads(process.lines[0])
        assert env["NATS_URL"] == stack.nats_url
        assert not {"TWILIO_AUTH_TOKEN", "OPENAI_API_KEY", "DATABASE_URL"} & set(env)
        process.kill()
        await process.wait()
        await stack.restart("tool-alien")
        assert process.running
        await process.saw("NATS_URL", 30)
    assert [name for name, line in said if line == "stopping"][-1] == "tool-alien"
    assert not process.running


async def test_a_taken_port_is_named_with_its_setting(config: StackConfig) -> None:
    taken = pytest.raises(StartError, match=r"for stream-ingress is taken.*set INGRESS_PORT")
    with socket.create_server((LOOPBACK, config.ports.ingress)), taken:
        await Stack(config).start()


async def test_a_service_that_dies_at_start_stops_the_rest(config: StackConfig) -> None:
    broken = [sys.executable, "-c", "import sys; sys.exit('ASSISTANTS_DIR holds no assistant')"]
    stack = Stack(replace(config, commands={**config.commands, "ai-agent": broken}))
    with pytest.raises(StartError, match=r"(?s)ai-agent-. exited with code 1.*holds no assistant"):
        await stack.start()
    assert not any(process.running for process in stack.processes.values())
    assert is_free(config.ports.nats)
    assert is_free(config.ports.postgres)
