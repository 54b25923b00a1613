"""What comes in a rush is sent, and who does not read harms itself alone."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from runtime.backlog import BOUND_BYTES, STUCK_S
from runtime.bus import Bus, connect
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.nats_server import NatsServer
from testbed.sleeper import Sleeper

DELTA = b"\x55" * 1_600
Until = Callable[..., Awaitable[None]]


async def test_a_rush_within_one_turn_of_the_loop_is_sent_whole(
    own_bus: Bus, own_peer: Bus, until: Until
) -> None:
    """As after a pause of a process: every call's audio at once, and NATS is well."""
    calls = 16 * BOUND_BYTES // len(DELTA)
    heard: list[str] = []

    async def listen(message) -> None:
        heard.append(message.subject)

    await own_peer.subscribe("line.>", listen)
    await own_peer.settle()
    sent = [await own_bus.publish_audio(f"line.{n}", DELTA) for n in range(calls)]
    assert all(sent)
    await until(lambda: len(heard) == calls)
    assert heard == [f"line.{n}" for n in range(calls)]


async def test_a_server_that_takes_nothing_is_waited_for_once(own_server: NatsServer) -> None:
    """Not by every message of every call: speech that is late is dropped at once."""
    settings = CommonSettings(nats_url=own_server.url, startup_wait_s=20)
    async with asyncio.timeout(20), connect(settings, "frozen", Shutdown()) as bus:
        own_server.suspend()
        block = b"\xff" * 32_000
        while await bus.publish_audio("line.audio", block):
            pass
        began = time.monotonic()
        later = [await bus.publish_audio("line.audio", DELTA) for _ in range(100)]
        assert not any(later)
        assert time.monotonic() - began < 100 * STUCK_S / 10
        own_server.resume()
        async with asyncio.timeout(10):
            while not await bus.publish_audio("line.audio", DELTA):
                await asyncio.sleep(0.01)


async def test_a_subscriber_that_does_not_read_holds_up_no_publisher(
    own_server: NatsServer, own_bus: Bus, own_peer: Bus, until: Until
) -> None:
    heard: list[bytes] = []

    async def listen(message) -> None:
        heard.append(message.data)

    subject, spoken = "call.CA1.in.1.audio", [b"%d" % n for n in range(300)]
    await own_peer.subscribe(subject, listen)
    await own_peer.settle()
    async with Sleeper(own_server) as sleeper:
        await sleeper.overwhelm(own_bus.client)
        for word in spoken:
            assert await own_bus.publish_audio(subject, word)
            await asyncio.sleep(0)
        await until(lambda: len(heard) == len(spoken))
        assert heard == spoken
        assert await sleeper.waiting_bytes() is not None, "it was there all the time"
        assert await sleeper.held_up() == 0
        await sleeper.cut_off()
        assert await own_bus.publish_audio(subject, b"after")
        await until(lambda: heard[-1] == b"after")
