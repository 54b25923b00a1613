"""Subscriptions that take most messages as they are read, and hand on the rest."""

import asyncio

from prometheus_client import REGISTRY

from protocol.errors import DecodeError
from runtime.bus import Bus


async def test_what_is_quick_never_overtakes_what_waits(bus: Bus, peer: Bus, until) -> None:
    """Numbers that 7 divides are waited for, all others are taken at once."""
    seen: list[int] = []
    at_once: list[int] = []

    def quick(message) -> bool:
        number = int(message.data)
        if number % 7 == 0:
            return False
        at_once.append(number)
        seen.append(number)
        return True

    async def handle(message) -> None:
        await asyncio.sleep(0.001 if int(message.data) % 7 == 0 else 0)
        seen.append(int(message.data))

    await bus.subscribe("numbers.*", handle, quick=quick)
    await bus.settle()
    for number in range(1, 1001):
        await peer.client.publish("numbers.x", b"%d" % number)
        if number % 50 == 0:
            await until(lambda n=number: len(seen) == n)
    assert seen == list(range(1, 1001))
    assert len(at_once) >= 10, "the first of each fifty at least, if 7 does not divide it"


async def test_quick_ones_that_fail_are_survived_and_counted(bus: Bus, peer: Bus, until) -> None:
    seen: list[bytes] = []

    def bad() -> float:
        return REGISTRY.get_sample_value("trunkline_messages_undecodable_total") or 0

    def quick(message) -> bool:
        seen.append(message.data)
        if message.data == b"1":
            raise ValueError("secret")
        if message.data == b"2":
            raise DecodeError("$.x")
        return True

    before = bad()
    await bus.subscribe("trouble.quick", lambda _: None, quick=quick)
    await bus.settle()
    for i in range(1, 4):
        await peer.client.publish("trouble.quick", str(i).encode())
    await until(lambda: seen == [b"1", b"2", b"3"])
    assert bad() == before + 1


async def test_a_message_with_headers_goes_the_whole_way(bus: Bus, peer: Bus, until) -> None:
    taken: list[bytes] = []
    handled: list[dict[str, str]] = []

    def quick(message) -> bool:
        taken.append(message.data)
        return True

    await bus.subscribe("headed", lambda message: handled.append(message.headers), quick=quick)
    await bus.settle()
    await peer.client.publish("headed", b"1", headers={"A": "b"})
    await until(lambda: len(handled) == 1)
    await peer.client.publish("headed", b"2")
    await until(lambda: len(taken) + len(handled) == 2)
    assert (taken, handled) == ([b"2"], [{"A": "b"}])


async def test_stopped_or_drained_it_takes_nothing_more(bus: Bus, peer: Bus) -> None:
    seen: list[bytes] = []

    def quick(message) -> bool:
        seen.append(message.data)
        return True

    for ending in ("stop", "drain"):
        subscribed = await bus.subscribe("ending", lambda _: None, quick=quick)
        await bus.settle()
        await peer.publish("ending", 1)
        await peer.settle()
        await getattr(subscribed, ending)()
        await bus.settle()
        before = len(seen)
        await peer.publish("ending", 2)
        await peer.settle()
        await bus.settle()
        assert len(seen) == before
    assert bus.client.quick == {}
    assert seen == [b"1", b"1"]


async def test_it_goes_on_after_a_reconnect(own_server, own_bus: Bus, own_peer: Bus, until) -> None:
    seen: list[bytes] = []

    def quick(message) -> bool:
        seen.append(message.data)
        return True

    await own_bus.subscribe("again", lambda _: None, quick=quick)
    await own_bus.settle()
    await own_server.restart()
    await until(lambda: own_bus.connected and own_peer.connected)
    await own_bus.settle()
    await own_peer.publish("again", 1)
    await until(lambda: seen == [b"1"])
