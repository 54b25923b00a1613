"""The doctor's look at real NATS servers: well, away, locked, without JetStream or the stream."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from protocol.streams import CALLS
from runtime import bus, doctor, doctor_nats
from runtime.bus import Bus
from runtime.doctor import Finding, ok
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.ports import free_port
from testbed.process import Process

STREAMS = {CALLS.name: "webhooks"}


@asynccontextmanager
async def server(folder: Path, config: str) -> AsyncIterator[str]:
    """A nats-server with these lines in its configuration; its host and port."""
    port = free_port()
    file = folder / "nats.conf"
    file.write_text(f'listen: "127.0.0.1:{port}"\n{config}\n')
    binary = Path(sys.executable).parent / "nats-server"
    process = Process("nats", [str(binary), "-c", str(file)])
    await process.start()
    try:
        await process.saw("Server is ready", 20)
        yield f"127.0.0.1:{port}"
    finally:
        await process.stop(5)


async def looked(url: str, **more: Any) -> list[Finding]:
    settings = CommonSettings(nats_url=url)
    return await doctor.examine([doctor_nats.check(settings, "webhooks", STREAMS, **more)])


def wrong(findings: list[Finding]) -> list[str]:
    return [finding.says for finding in findings if finding.verdict == "wrong"]


async def test_a_server_as_it_should_be(nats_server: Any) -> None:
    settings = CommonSettings(nats_url=nats_server.url)
    async with bus.connect(settings, "test", Shutdown()) as nats:
        await provision(nats, wait_s=10, shutdown=Shutdown())

    async def also(bus: Bus) -> list[Finding]:
        assert bus.connected
        return [ok("more", "Over the same connection.")]

    findings = await looked(nats_server.url, also=also)
    assert [f.check for f in findings] == ["nats", "nats version", "jetstream", "more"]
    assert wrong(findings) == []


async def test_nobody_there() -> None:
    port = free_port()
    async with asyncio.timeout(doctor.WITHIN_S):
        (found,) = await looked(f"nats://webhooks:a-password@127.0.0.1:{port}")
    assert found.says.startswith(f"NATS at 127.0.0.1:{port} does not answer")
    assert "a-password" not in found.says + found.remedy


async def test_a_wrong_password_is_refused(tmp_path: Path) -> None:
    users = 'authorization { users: [ { user: "webhooks", password: "right" } ] }'
    async with server(tmp_path, users) as where:
        for url in (f"nats://webhooks:wrong@{where}", f"nats://{where}"):
            (found,) = await looked(url)
            assert found.says == f"NATS at {where} refuses the user or its password."
        (found, *_) = await looked(f"nats://webhooks:right@{where}")
        assert found.verdict == "ok"


async def test_a_server_without_jetstream(tmp_path: Path) -> None:
    async with server(tmp_path, "") as where:
        assert wrong(await looked(f"nats://{where}")) == ["JetStream is off on this server."]


async def test_a_server_without_the_stream(tmp_path: Path) -> None:
    async with server(tmp_path, f'jetstream {{ store_dir: "{tmp_path}/js" }}') as where:
        findings = await looked(f"nats://{where}")
    assert wrong(findings) == ["The stream CALLS is not there."]
    assert findings[-1].remedy == "Start webhooks, which makes it."


async def test_a_stream_that_is_made_when_it_is_needed_may_be_missing(tmp_path: Path) -> None:
    async with server(tmp_path, f'jetstream {{ store_dir: "{tmp_path}/js" }}') as where:
        settings = CommonSettings(nats_url=f"nats://{where}")
        check = doctor_nats.check(settings, "ai-agent", {"OBJ_SPEECH": ""})
        findings = await doctor.examine([check])
    assert [f.verdict for f in findings if f.check == "jetstream"] == ["note"]


async def test_a_user_who_may_not_look(tmp_path: Path) -> None:
    config = (
        f'jetstream {{ store_dir: "{tmp_path}/js" }}\n'
        'authorization { users: [ { user: "w", password: "p",'
        ' permissions: { publish: ["nothing"], subscribe: ["_INBOX.webhooks.>"] } } ] }'
    )
    async with server(tmp_path, config) as where:
        findings = await looked(f"nats://w:p@{where}")
    assert wrong(findings) == ["This NATS user may not look at the stream CALLS."]


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = CommonSettings(nats_url="nats://127.0.0.1:1", nats_ca=str(tmp_path / "ca.pem"))
    (found,) = await doctor.examine([doctor_nats.check(settings, "webhooks", STREAMS)])
    assert "NATS_CA names" in found.says


async def test_a_server_that_accepts_and_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        done.set()

    done = asyncio.Event()
    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        async with asyncio.timeout(doctor.WITHIN_S + 1):
            (found,) = await looked(f"nats://127.0.0.1:{port}")
        assert "does not answer" in found.says
        await asyncio.wait_for(done.wait(), 20)


@pytest.mark.parametrize(("said", "fine"), [("2.10.29", False), ("2.11.0", True), ("2.15.1", True)])
def test_the_servers_version(said: str, fine: bool) -> None:
    class Server:
        connected_server_version = said

    found = doctor_nats._version(Server())  # type: ignore[arg-type]
    assert (found.verdict == "ok") is fine
    assert said in found.says
