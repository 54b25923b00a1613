"""Reading the log on a real JetStream: whole calls, and following all of them through outages."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from protocol import subjects
from protocol.ids import new_call_id
from runtime import calllog
from runtime.bus import Bus
from runtime.calllog import CallLog, Entry
from runtime.errors import NatsAway
from runtime.outbox import publish
from testbed.nats_server import NatsServer

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@contextlib.asynccontextmanager
async def following(bus: Bus, since: datetime = LONG_AGO):
    """What a follower was given so far, in the order it was given."""
    entries: list[Entry] = []

    async def follow() -> None:
        async with contextlib.aclosing(CallLog(bus).follow(since)) as batches:
            async for batch in batches:
                entries.extend(batch)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(follow())
        yield entries
        task.cancel()


async def write(bus: Bus, events, count: int) -> list[str]:
    made = [events.said(str(i)) for i in range(count)]
    for event in made:
        await publish(bus, event)
    return [event.id for event in made]


def ids(entries: list[Entry]) -> list[str]:
    return [entry.event.id for entry in entries]


async def test_a_calls_events_in_order_and_no_other_calls(bus: Bus, events, more_events) -> None:
    other = more_events()
    written: list[str] = []
    for _ in range(5):
        written += await write(bus, events, 1)
        await write(bus, other, 1)
    entries = await CallLog(bus).read(events.call)
    assert ids(entries) == written
    assert [e.sequence for e in entries] == sorted({e.sequence for e in entries})


async def test_a_long_call_is_read_in_several_batches(
    bus: Bus, events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calllog, "BATCH", 4)
    written = await write(bus, events, 13)
    assert ids(await CallLog(bus).read(events.call)) == written


async def test_a_call_nobody_heard_of_is_empty(bus: Bus) -> None:
    assert await CallLog(bus).read(new_call_id()) == []
    assert await CallLog(bus).last(new_call_id(), "assigned") is None


async def test_a_read_waits_for_the_sequence_it_must_have(bus: Bus, events) -> None:
    await write(bus, events, 2)
    first = await CallLog(bus).read(events.call)
    reading = CallLog(bus).read(events.call, at_least=first[-1].sequence + 1, timeout=20)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(reading)
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await publish(bus, events.said("third"))
    assert len(waiting.result()) == 3
    with pytest.raises(NatsAway):
        await CallLog(bus).read(events.call, at_least=2**50, timeout=0.1)


async def test_the_last_of_a_name(bus: Bus, events) -> None:
    written = await write(bus, events, 3)
    await publish(bus, events.ringing())
    last = await CallLog(bus).last(events.call, "said")
    assert last is not None
    assert last.event.id == written[-1]


async def test_events_of_a_newer_version_are_skipped(
    bus: Bus, events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calllog, "BATCH", 2)
    newer = b'{"event":"from_a_newer_version","id":"1"}'
    log = subjects.log(events.call, "from_a_newer_version")
    written = await write(bus, events, 1)
    for _ in range(5):
        await bus.jetstream.publish(log, newer)
    written += await write(bus, events, 2)
    assert ids(await CallLog(bus).read(events.call)) == written


async def test_reading_is_bounded_while_nats_is_away(
    own_server: NatsServer, own_bus: Bus, events, until
) -> None:
    written = await write(own_bus, events, 3)
    await own_server.kill()
    await until(lambda: not own_bus.connected)
    with pytest.raises(NatsAway):
        await CallLog(own_bus).read(events.call, timeout=0.1)
    with pytest.raises(NatsAway):
        await CallLog(own_bus).last(events.call, "said", timeout=0.1)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(CallLog(own_bus).read(events.call, timeout=30))
        await own_server.restart()
    assert ids(reading.result()) == written, "an outage shorter than the patience is survived"


async def test_following_gives_the_past_and_then_what_comes_each_once(
    own_bus: Bus, own_peer: Bus, events, more_events, until
) -> None:
    written = await write(own_peer, events, 30)
    async with following(own_bus) as entries:
        written += await write(own_peer, more_events(), 30)
        await until(lambda: len(entries) >= 60)
        assert ids(entries) == written
        assert [e.sequence for e in entries] == list(range(1, 61))


async def test_following_begins_at_its_time(own_bus: Bus, own_peer: Bus, events, until) -> None:
    await write(own_peer, events, 2)
    stored = await own_bus.jetstream.get_msg("CALLS", 2)
    assert stored.time is not None
    await asyncio.sleep(0.01)
    written = await write(own_peer, events, 2)
    async with following(own_bus, stored.time + timedelta(milliseconds=2)) as entries:
        await until(lambda: len(entries) >= 2)
        assert ids(entries) == written


async def test_following_while_writing_misses_nothing(
    own_bus: Bus, own_peer: Bus, events, until
) -> None:
    """The seam between past and live."""
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write(own_peer, events, 300))
        for _ in range(5):
            await asyncio.sleep(0.01)
            async with following(own_bus) as entries:
                await until(lambda entries=entries: len(entries) >= 40)
                assert [e.sequence for e in entries] == list(range(1, len(entries) + 1))
        await writing


async def test_following_survives_a_restart_of_nats(
    own_server: NatsServer, own_bus: Bus, own_peer: Bus, events, more_events, until
) -> None:
    async with following(own_bus) as entries:
        written = await write(own_peer, events, 5)
        await until(lambda: len(entries) == 5)
        await own_server.kill()
        await until(lambda: not own_bus.connected and not own_peer.connected)
        await own_server.restart()
        await until(lambda: own_peer.connected)
        # Written possibly before the follower is back: it has to look into the stream.
        written += await _patiently_write(own_peer, more_events())
        await until(lambda: len(entries) >= len(written))
        assert ids(entries) == written


async def _patiently_write(bus: Bus, events) -> list[str]:
    made = [events.said(str(i)) for i in range(5)]
    for event in made:
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(NatsAway):
                    await publish(bus, event)
                    break
    return [event.id for event in made]


async def burst(bus: Bus, events, count: int) -> None:
    """Written at once, so that a follower gets many in one turn of the loop."""
    async with asyncio.TaskGroup() as group:
        for i in range(count):
            group.create_task(publish(bus, events.said(str(i))))


@pytest.mark.parametrize("past", [0, 3])
async def test_a_flood_beyond_the_queue_is_fetched_from_the_stream(
    own_bus: Bus, own_peer: Bus, events, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calllog, "QUEUE", 4)
    await write(own_peer, events, past)
    async with following(own_bus) as entries:
        await asyncio.sleep(0.2)  # let it come to where it waits for live events
        await burst(own_peer, events, 200)
        async with asyncio.timeout(30):
            while len(entries) < 200 + past:
                await asyncio.sleep(0.005)
    assert [e.sequence for e in entries] == list(range(1, 201 + past))


async def test_a_reader_that_falls_behind_is_given_everything(
    own_bus: Bus, own_peer: Bus, events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calllog, "QUEUE", 4)
    written = await write(own_peer, events, 3)
    async with contextlib.aclosing(CallLog(own_bus).follow(LONG_AGO)) as batches:
        given = await anext(batches)
        written += await write(own_peer, events, 50)  # while the reader holds its first batch
        await own_bus.settle()
        while len(given) < len(written):
            async with asyncio.timeout(30):
                given += await anext(batches)
    assert ids(given) == written


async def test_a_long_past_is_given_in_batches(
    own_bus: Bus, events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calllog, "BATCH", 4)
    written = await write(own_bus, events, 10)
    given: list[list[Entry]] = []
    async with contextlib.aclosing(CallLog(own_bus).follow(LONG_AGO)) as batches:
        async for batch in batches:
            given.append(batch)
            if sum(len(part) for part in given) == 10:
                break
    assert max(len(part) for part in given) <= 4
    assert [event for part in given for event in ids(part)] == written


async def test_a_follower_passes_events_of_a_newer_version(
    own_bus: Bus, own_peer: Bus, events, until
) -> None:
    log = subjects.log(events.call, "from_a_newer_version")
    async with following(own_bus) as entries:
        written = await write(own_peer, events, 1)
        await own_peer.jetstream.publish(log, b'{"event":"from_a_newer_version"}')
        written += await write(own_peer, events, 1)
        await until(lambda: len(entries) >= 2)
        assert ids(entries) == written


async def test_the_recent_events_of_a_name_over_all_calls(
    bus: Bus, events, more_events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calllog, "BATCH", 2)
    other = more_events()
    await write(bus, other, 1)
    before = datetime.now(UTC)
    written: list[str] = []
    for _ in range(3):
        written += await write(bus, events, 1)
        written += await write(bus, other, 1)
    log = CallLog(bus)
    assert ids(await log.recent("said", before)) == written
    assert await log.recent("heard", before) == []
    assert await log.recent("said", datetime.now(UTC) + timedelta(hours=1)) == []
