"""Writing the log on a real JetStream: order, the lock, fencing, nothing lost and nothing twice."""

import asyncio

import pytest

from protocol import subjects
from protocol.streams import REPUBLISHED_SEQUENCE
from runtime import outbox as outbox_module
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway, Refused, StaleWriter
from runtime.outbox import Outbox, publish, take, writing
from runtime.tasks import Tasks
from testbed.nats_server import NatsServer


async def texts(bus: Bus, events) -> list[str]:
    return [entry.event.text for entry in await CallLog(bus).read(events.call)]


async def watching(bus: Bus, call: str) -> list[tuple[str, int]]:
    """Event names and sequences that subscribers of the call see."""
    seen: list[tuple[str, int]] = []

    async def take_in(message) -> None:
        name = message.subject.rsplit(".", 1)[-1]
        seen.append((name, int(message.headers[REPUBLISHED_SEQUENCE])))

    await bus.subscribe(subjects.call_events(call), take_in)
    await bus.settle()
    return seen


async def test_events_stand_in_the_order_of_append(bus: Bus, events) -> None:
    async with Tasks("call") as tasks, writing(bus, events.call, tasks) as outbox:
        waits = [outbox.append(events.said(str(i))) for i in range(100)]
        sequences = [await wait for wait in waits]
    assert sequences == sorted(set(sequences))
    assert await texts(bus, events) == [str(i) for i in range(100)]


async def test_what_is_queued_at_the_end_of_the_block_is_written(bus: Bus, events) -> None:
    async with Tasks("call") as tasks, writing(bus, events.call, tasks) as outbox:
        for i in range(20):
            outbox.append(events.said(str(i)))
    assert len(await texts(bus, events)) == 20


async def test_the_last_words_are_written_also_when_the_call_fails(bus: Bus, events) -> None:
    """A failing sibling cancels every task of the call, the outbox's runner among them."""

    class Boom(Exception):
        pass

    async def fail() -> None:
        raise Boom

    async def call() -> None:
        async with Tasks("call") as tasks, writing(bus, events.call, tasks) as outbox:
            for i in range(20):
                outbox.append(events.said(str(i)))
            tasks.spawn(fail(), "sibling")
            await asyncio.Event().wait()

    with pytest.raises(Boom):
        await call()
    assert len(await texts(bus, events)) == 20


async def test_a_waiter_that_gives_up_does_not_stop_the_outbox(bus: Bus, events) -> None:
    async with Tasks("call") as tasks, writing(bus, events.call, tasks) as outbox:
        epoch = await take(bus, events.assigned(0), expected=0)
        await take(bus, events.assigned(epoch), expected=epoch)
        outbox.fence(epoch)
        outbox.append(events.said("refused, and nobody waits for it")).cancel()
        assert await outbox.append(events.usage(epoch))
        assert outbox.stale.is_set()


async def test_a_restart_of_nats_loses_and_doubles_nothing(
    own_server: NatsServer, own_bus: Bus, events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "ACK_TIMEOUT_S", 0.3)
    async with Tasks("call") as tasks, writing(own_bus, events.call, tasks) as outbox:
        waits = [outbox.append(events.said(str(i))) for i in range(200)]
        await waits[20]
        await own_server.kill()
        waits += [outbox.append(events.said(str(i))) for i in range(200, 220)]
        assert not await outbox.flush(0.05)
        await own_server.restart()
        async with asyncio.timeout(30):
            sequences = [await wait for wait in waits]
        assert await outbox.flush(30)
    assert sequences == list(range(1, 221)), "each once, in order, under its own sequence"
    assert await texts(own_bus, events) == [str(i) for i in range(220)]


async def test_the_end_is_bounded_while_nats_is_away(
    own_server: NatsServer, own_bus: Bus, events, until
) -> None:
    await own_server.kill()
    await until(lambda: not own_bus.connected)
    async with asyncio.timeout(20):
        async with Tasks("call") as tasks, writing(own_bus, events.call, tasks, flush_s=0.1) as out:
            wait = out.append(events.said("never"))
    assert not wait.done()
    await own_server.restart()


async def test_a_full_outbox_refuses(
    own_server: NatsServer, own_bus: Bus, events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BOUND", 3)
    outbox = Outbox(own_bus, events.call)
    waits = [outbox.append(events.said(str(i))) for i in range(4)]
    assert [wait.done() for wait in waits] == [False, False, False, True]
    with pytest.raises(NatsAway, match="full"):
        await waits[3]


async def test_an_event_too_large_does_not_block_those_behind_it(bus: Bus, events) -> None:
    async with Tasks("call") as tasks, writing(bus, events.call, tasks) as outbox:
        large = outbox.append(events.said("x" * (bus.client.max_payload + 1)))
        after = outbox.append(events.said("after"))
        with pytest.raises(Refused):
            await large
        assert await after
        assert not outbox.stale.is_set()
    assert await texts(bus, events) == ["after"]


async def test_a_stale_writer_is_refused_and_only_its_usage_is_taken(bus: Bus, events) -> None:
    one = await take(bus, events.assigned(0), expected=0)
    async with Tasks("call") as tasks, writing(bus, events.call, tasks) as outbox:
        outbox.fence(one)
        assert await outbox.append(events.said("mine", one))
        two = await take(bus, events.assigned(one, worker="w2"), expected=one)
        assert two
        refused = outbox.append(events.said("stale", one))
        with pytest.raises(StaleWriter):
            await refused
        assert outbox.stale.is_set()
        spent = await outbox.append(events.usage(one))
        with pytest.raises(StaleWriter):
            await outbox.append(events.said("later", one))
    log = await CallLog(bus).read(events.call)
    assert [type(entry.event).__name__ for entry in log] == [
        "Assigned",
        "Said",
        "Assigned",
        "UsageReported",
    ]
    assert log[-1].sequence == spent


async def test_the_repeat_of_a_fenced_event_is_kept_once_and_refused_after_a_takeover(
    bus: Bus, events
) -> None:
    """The server looks at the expectation before the id: whose ack was lost and who was then
    overtaken is told to leave, and what it wrote stands."""
    epoch = await take(bus, events.assigned(0), expected=0)
    outbox, event = Outbox(bus, events.call), events.said("once", epoch)
    outbox.fence(epoch)
    first = await outbox._send(event)
    assert await outbox._send(event) == first
    assert await take(bus, events.assigned(epoch, worker="w2"), expected=epoch)
    with pytest.raises(StaleWriter):
        await outbox._send(event)
    assert [e.sequence for e in await CallLog(bus).read(events.call)].count(first) == 1
    assert len(await CallLog(bus).read(events.call)) == 3


@pytest.mark.parametrize("round_", range(20))
async def test_of_three_workers_taking_at_once_exactly_one_wins(
    bus: Bus, peer: Bus, events, round_: int
) -> None:
    won: list[int | None] = []

    async def worker(on: Bus, name: str) -> None:
        won.append(await take(on, events.assigned(0, worker=name), expected=0, timeout=20))

    async with asyncio.TaskGroup() as group:
        for on, name in ((bus, "w1"), (peer, "w2"), (bus, "w3")):
            group.create_task(worker(on, name))
    (epoch,) = [sequence for sequence in won if sequence is not None]
    last = await CallLog(bus).last(events.call, "assigned")
    assert last is not None
    assert last.sequence == epoch
    assert len(await CallLog(bus).read(events.call)) == 1


async def test_a_take_whose_ack_was_lost_is_settled_as_won(
    bus: Bus, events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repeat is refused where the stream has forgotten the id; the last word decides."""
    event = events.assigned(0)
    real, tries = outbox_module.publish, 0

    async def losing_the_ack(*args, **kwargs) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            await real(*args, **kwargs)
            raise NatsAway("the ack was lost")
        raise StaleWriter

    monkeypatch.setattr(outbox_module, "publish", losing_the_ack)
    epoch = await take(bus, event, expected=0, timeout=20)
    last = await CallLog(bus).last(events.call, "assigned")
    assert last is not None
    assert (epoch, tries) == (last.sequence, 2)


async def test_a_repeated_take_gives_the_same_epoch(bus: Bus, events) -> None:
    event = events.assigned(0)
    assert await take(bus, event, expected=0) == await take(bus, event, expected=0)


async def test_a_lost_take_is_none_and_one_without_answer_is_away(
    own_server: NatsServer, own_bus: Bus, events, until, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = await take(own_bus, events.assigned(0), expected=0, timeout=20)
    assert epoch == 1
    assert await take(own_bus, events.assigned(0, worker="w2"), expected=0, timeout=20) is None
    await own_server.kill()
    await until(lambda: not own_bus.connected)
    with pytest.raises(NatsAway):
        await take(own_bus, events.assigned(epoch), expected=epoch, timeout=0.2)
    await own_server.restart()


async def test_a_take_survives_a_restart_of_nats(
    own_server: NatsServer, own_bus: Bus, events, until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "ACK_TIMEOUT_S", 0.3)
    await own_server.kill()
    await until(lambda: not own_bus.connected)
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(take(own_bus, events.assigned(0), expected=0, timeout=30))
        await own_server.restart()
    assert taking.result() == 1
    assert len(await CallLog(own_bus).read(events.call)) == 1


async def test_a_refused_event_is_seen_by_no_subscriber(bus: Bus, peer: Bus, events, until) -> None:
    seen = await watching(peer, events.call)
    one = await take(bus, events.assigned(0), expected=0)
    assert await take(bus, events.assigned(0, worker="w2"), expected=0) is None
    stale = {"Nats-Expected-Last-Subject-Sequence": "1"}
    with pytest.raises(StaleWriter):
        await publish(bus, events.assigned(1), stale)
    last = await publish(bus, events.said("after"))
    await until(lambda: ("said", last) in seen)
    assert seen == [("assigned", one), ("said", last)]


async def test_an_event_published_twice_is_seen_and_kept_once(
    bus: Bus, peer: Bus, events, until
) -> None:
    seen = await watching(peer, events.call)
    event = events.ringing()
    first = await publish(bus, event)
    assert await publish(peer, event) == first
    last = await publish(bus, events.said("after"))
    await until(lambda: ("said", last) in seen)
    assert seen == [("ringing", first), ("said", last)]
    assert len(await CallLog(bus).read(events.call)) == 2
