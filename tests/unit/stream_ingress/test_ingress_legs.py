"""When an ingress says which legs are open."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from protocol.ids import IngressId
from protocol.placement import IngressAlive
from runtime.bus import Bus
from stream_ingress import legs
from stream_ingress.metrics import Tally


class FakeBus:
    connected = True

    def __init__(self) -> None:
        self.said: asyncio.Queue[tuple[str, IngressAlive]] = asyncio.Queue()
        self.after_reconnect: list[Callable[[], None]] = []

    async def publish(self, subject: str, message: Any) -> None:
        await self.said.put((subject, message))

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.after_reconnect.append(callback)
        return lambda: self.after_reconnect.remove(callback)


async def test_after_a_reconnect_it_does_not_wait_for_the_next_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(legs, "ALIVE_EVERY_S", 3_600)
    bus = FakeBus()
    name = IngressId("i1")
    beating = asyncio.create_task(legs.Legs(cast("Bus", bus), name, Tally()).beat())
    async with asyncio.timeout(20):
        await bus.said.get()
        assert bus.said.empty()
        for callback in bus.after_reconnect:
            callback()
        assert await bus.said.get() == ("ingress.i1.alive", IngressAlive(name, (), ()))
    beating.cancel()
    await asyncio.wait({beating})
    assert bus.after_reconnect == [], "nothing of it is left behind"
