"""Keys that are taken and changed by expected revision."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime import bus
from runtime.bucket import Bucket
from runtime.bus import Bus
from runtime.errors import NatsAway
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.nats_server import NatsServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    server = await NatsServer.start(tmp_path / "nats")
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def nats(server: NatsServer) -> AsyncIterator[Bus]:
    async with bus.connect(CommonSettings(nats_url=server.url), "test", Shutdown()) as nats:
        yield nats


@pytest.fixture
async def bucket(nats: Bus) -> Bucket:
    made = Bucket(nats, "TEST", timeout=5)
    for _ in range(2):
        await made.provision("of a test", max_age_s=3600, max_bytes=1024**2)
    return made


async def test_one_of_many_takes_a_key(bucket: Bucket) -> None:
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(bucket.create("k", b"%d" % n)) for n in range(8)]
    winners = [n for n, task in enumerate(tries) if task.result() is not None]
    assert len(winners) == 1
    held = await bucket.get("k")
    assert held is not None
    assert held.value == b"%d" % winners[0]
    assert held.revision == tries[winners[0]].result()


async def test_a_change_expects_its_revision(bucket: Bucket) -> None:
    first = await bucket.create("k", b"1")
    assert first is not None
    second = await bucket.update("k", b"2", first)
    assert second is not None
    assert await bucket.update("k", b"3", first) is None
    assert not await bucket.delete("k", first)
    held = await bucket.get("k")
    assert held is not None
    assert (held.value, held.revision) == (b"2", second)


async def test_a_deleted_key_may_be_taken_again_by_one(bucket: Bucket) -> None:
    assert await bucket.get("k") is None
    first = await bucket.create("k", b"1")
    assert first is not None
    assert await bucket.delete("k", first)
    held = await bucket.get("k")
    assert held is not None
    assert held.value is None
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(bucket.create("k", b"2")) for _ in range(5)]
    assert sum(task.result() is not None for task in tries) == 1


async def test_other_tools_can_read_it(bucket: Bucket, nats: Bus) -> None:
    revision = await bucket.create("k", b"1")
    entry = await (await nats.jetstream.key_value("TEST")).get("k")
    assert (entry.value, entry.revision) == (b"1", revision)


async def test_without_a_server_it_says_so(server: NatsServer, nats: Bus) -> None:
    bucket = Bucket(nats, "TEST", timeout=0.4)
    await bucket.provision("of a test", max_age_s=3600, max_bytes=1024**2)
    server.suspend()
    try:
        for work in (
            bucket.get("k"),
            bucket.create("k", b"1"),
            bucket.update("k", b"1", 0),
            bucket.delete("k", 0),
            bucket.provision("of a test", max_age_s=3600, max_bytes=1024**2),
        ):
            with pytest.raises(NatsAway):
                await work
    finally:
        server.resume()
