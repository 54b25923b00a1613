"""Writes to a real NATS: few while there is much to say, at once in calm times, none lost."""

import asyncio
import time
from types import SimpleNamespace

from protocol.line import Clock
from runtime import paced_client
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.outbox import take


async def test_much_leaves_in_few_writes_in_order_and_whole(bus, monkeypatch):
    heard: list[bytes] = []
    subscribed = await bus.subscribe("calls.paced", lambda message: heard.append(message.data))
    await bus.settle()
    writes = watched(bus, monkeypatch)
    began = time.monotonic()
    for number in range(2_000):
        await bus.publish_audio("calls.paced", b"%d" % number)
        await asyncio.sleep(0)
    await bus.settle()
    took = time.monotonic() - began
    async with asyncio.timeout(10):
        while len(heard) < 2_000:
            await asyncio.sleep(0.01)
    await subscribed.stop()
    assert heard == [b"%d" % number for number in range(2_000)]
    allowed = paced_client.WRITE_BURST + 2 + took / paced_client.WRITE_EVERY_S
    assert len(writes) <= allowed
    assert allowed < 2_000, "it took too long to say anything about pace"


async def test_one_message_in_a_calm_is_written_at_once(bus, monkeypatch):
    await bus.settle()
    writes = watched(bus, monkeypatch)
    await bus.publish_audio("calls.paced", b"1")
    for _ in range(3):  # no time passes
        await asyncio.sleep(0)
    assert len(writes) == 1


async def test_what_is_waited_for_does_not_wait_for_the_pace(
    own_server, own_bus, events, monkeypatch
):
    """A question, a take and a look into the log, while the next write is not due for long."""
    due = asyncio.Event()

    async def answer(message) -> None:
        await message.respond(b'{"line_ms":40}')

    async def until_due(_: float) -> None:
        await due.wait()

    await own_bus.subscribe("ask.clock", answer)
    await own_bus.settle()
    client = paced_client.PacedClient()
    await client.connect(own_server.url)
    loops = SimpleNamespace(sleep=until_due, get_running_loop=asyncio.get_running_loop)
    monkeypatch.setattr(paced_client, "asyncio", loops)
    try:
        bus = Bus(client, "slow")
        while not client.pending_data_size:  # the burst is used up
            await bus.publish_audio("calls.paced", b"1")
            for _ in range(5):  # no time passes
                await asyncio.sleep(0)
        assert await bus.request("ask.clock", Clock(20), Clock, timeout=20) == Clock(40)
        taken = await take(bus, events.assigned(0), expected=0, timeout=20)
        (entry,) = await CallLog(bus).read(events.call, timeout=20)
        assert entry.sequence == taken
        assert client.stats["reconnects"] == 0, "the server gave up one that did not even say pong"
    finally:
        due.set()
        await client.close()


def watched(bus, monkeypatch) -> list[int]:
    """Sizes of the writes from now on."""
    transport = bus.client._transport
    writes: list[int] = []
    writelines = transport.writelines

    def counted(payload):
        writes.append(sum(map(len, payload)))
        writelines(payload)

    monkeypatch.setattr(transport, "writelines", counted)
    return writes
