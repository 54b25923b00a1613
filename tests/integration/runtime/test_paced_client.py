"""Writes to a real NATS: few while there is much to say, at once in calm times, none lost."""

import asyncio
import time

from runtime import paced_client


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
