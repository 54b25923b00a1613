"""The object store wrapper on a real JetStream: what comes back, and what NATS being away does."""

import asyncio
import secrets

import pytest

from protocol.buckets import BucketDefinition
from runtime.bus import Bus
from runtime.errors import NatsAway
from runtime.objects import MAX_BYTES, Objects


def definition(*, max_bytes: int = 8 * 1024**2, age_s: int = 3_600) -> BucketDefinition:
    return BucketDefinition(f"T{secrets.token_hex(4)}", "test", age_s, max_bytes)


@pytest.mark.parametrize("size", [1, 80_000, MAX_BYTES])
async def test_what_was_put_comes_back_to_others(bus: Bus, peer: Bus, size: int) -> None:
    bucket = definition()
    data = secrets.token_bytes(size)
    await Objects(bus, bucket).put("a", data, timeout=10)
    assert await Objects(peer, bucket).get("a", timeout=10) == data


async def test_the_newest_one_counts(bus: Bus) -> None:
    objects = Objects(bus, definition())
    for data in (b"old", b"new"):
        await objects.put("a", data, timeout=10)
    assert await objects.get("a", timeout=10) == b"new"


async def test_what_is_not_there_is_none(bus: Bus) -> None:
    assert await Objects(bus, definition()).get("nothing", timeout=10) is None


async def test_a_name_whose_chunk_is_gone_is_none(bus: Bus) -> None:
    bucket = definition()
    objects = Objects(bus, bucket)
    await objects.put("a", b"data", timeout=10)
    await bus.jetstream.purge_stream(f"OBJ_{bucket.name}", subject=f"$O.{bucket.name}.C.>")
    assert await objects.get("a", timeout=10) is None


async def test_a_damaged_one_is_none(bus: Bus) -> None:
    bucket = definition()
    objects = Objects(bus, bucket)
    await objects.put("a", b"data", timeout=10)
    store = await bus.jetstream.object_store(bucket.name)
    info = await store.get_info("a")
    await bus.jetstream.publish(f"$O.{bucket.name}.C.{info.nuid}", b"other")
    assert await objects.get("a", timeout=10) is None


async def test_the_bucket_has_the_bounds_of_its_definition(bus: Bus) -> None:
    first = definition()
    await Objects(bus, first).put("a", b"data", timeout=10)
    changed = BucketDefinition(first.name, "test", 7_200, 4 * 1024**2)
    objects = Objects(bus, changed)
    assert await objects.get("a", timeout=10) == b"data"
    config = (await bus.jetstream.stream_info(f"OBJ_{first.name}")).config
    assert (config.max_age, config.max_bytes) == (7_200, 4 * 1024**2)


async def test_a_full_bucket_refuses_and_keeps_what_it_has(bus: Bus) -> None:
    objects = Objects(bus, definition(max_bytes=200_000))
    await objects.put("a", bytes(100_000), timeout=10)
    with pytest.raises(NatsAway):
        await objects.put("b", bytes(150_000), timeout=10)
    assert await objects.get("a", timeout=10) == bytes(100_000)
    assert await objects.get("b", timeout=10) is None


async def test_a_deleted_bucket_is_made_again(bus: Bus) -> None:
    bucket = definition()
    objects = Objects(bus, bucket)
    await objects.put("a", b"data", timeout=10)
    await bus.jetstream.delete_object_store(bucket.name)
    assert await objects.get("a", timeout=10) is None
    for _ in range(2):  # the first may find out that the bucket is gone
        try:
            await objects.put("a", b"again", timeout=10)
        except NatsAway:
            continue
    assert await objects.get("a", timeout=10) == b"again"


async def test_too_much_is_an_error_of_the_caller(bus: Bus) -> None:
    with pytest.raises(ValueError, match="at most"):
        await Objects(bus, definition()).put("a", bytes(MAX_BYTES + 1), timeout=10)


async def test_many_at_first_make_one_bucket(bus: Bus) -> None:
    objects = Objects(bus, definition())
    async with asyncio.TaskGroup() as group:
        for n in range(8):
            group.create_task(objects.put(f"o{n}", bytes([n]), timeout=20))
    assert [await objects.get(f"o{n}", timeout=10) for n in range(8)] == [
        bytes([n]) for n in range(8)
    ]


async def test_a_frozen_server_costs_no_more_than_the_timeout(own_server, own_bus: Bus) -> None:
    objects = Objects(own_bus, definition())
    await objects.put("a", b"data", timeout=10)
    own_server.suspend()
    try:
        with pytest.raises(NatsAway):
            await objects.get("a", timeout=0.1)
        with pytest.raises(NatsAway):
            await objects.put("a", b"new", timeout=0.1)
    finally:
        own_server.resume()


async def test_away_fails_at_once(own_server, own_bus: Bus, until) -> None:
    objects = Objects(own_bus, definition())
    await own_server.kill()
    await until(lambda: not own_bus.connected)
    with pytest.raises(NatsAway):
        await objects.get("a", timeout=60)
    with pytest.raises(NatsAway):
        await objects.put("a", b"", timeout=60)
    await own_server.restart()
    await until(lambda: own_bus.connected)
    assert await objects.get("a", timeout=10) is None
