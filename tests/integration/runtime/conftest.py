"""What the tests of the chassis share: buses on the session's NATS or on a server of the test's
own that it may restart or freeze, and small events to write."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from protocol import events as e
from protocol import ids
from protocol.ids import CallId, Epoch, ItemId, Leg
from runtime.bus import Bus, connect
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed import infra
from testbed.nats_server import NatsServer

PATIENCE_S = 30


class Events:
    """Events of one call."""

    def __init__(self, call: CallId) -> None:
        self.call = call

    def _common(self, event_id: str | None, worker: str) -> dict[str, Any]:
        return {
            "id": event_id or ids.new_event_id(),
            "call_id": self.call,
            "at": datetime.now(UTC),
            "service": "test",
            "worker": worker,
        }

    def ringing(self, *, event_id: str | None = None) -> e.Ringing:
        return e.Ringing(**self._common(event_id, "w1"), caller="+1", called="+2")

    def assigned(
        self, previous: int, *, worker: str = "w1", event_id: str | None = None
    ) -> e.Assigned:
        return e.Assigned(
            **self._common(event_id, worker), leg=Leg(1), previous_epoch=Epoch(previous)
        )

    def said(self, text: str, epoch: int = 0, *, event_id: str | None = None) -> e.Said:
        return e.Said(
            **self._common(event_id, "w1"),
            epoch=Epoch(epoch),
            item_id=ItemId("item_1"),
            response_id="r",
            text=text,
            generated_ms=1,
            done=True,
        )

    def usage(self, epoch: int) -> e.UsageReported:
        return e.UsageReported(
            **self._common(None, "w1"),
            epoch=Epoch(epoch),
            source="response",
            reference="r",
            model="m",
            tokens=e.Tokens(),
        )


@pytest.fixture
def events() -> Events:
    """Events of a new call."""
    return Events(ids.new_call_id())


@pytest.fixture
def more_events() -> Callable[[], Events]:
    """Makes events of further new calls."""
    return lambda: Events(ids.new_call_id())


@pytest.fixture
def until() -> Callable[..., Any]:
    """``await until(lambda: ...)``: wait until it is true, within a bound no machine reaches."""

    async def wait(true: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                await asyncio.sleep(0.005)

    return wait


async def _connected(url: str, name: str, *, streams: bool) -> AsyncIterator[Bus]:
    shutdown = Shutdown()
    async with connect(CommonSettings(nats_url=url, startup_wait_s=20), name, shutdown) as bus:
        if streams:
            await provision(bus, wait_s=20, shutdown=shutdown)
        yield bus


@pytest.fixture
async def bus(nats_server: NatsServer | infra.GivenNats) -> AsyncIterator[Bus]:
    """A bus on the shared server, with the streams."""
    async for bus in _connected(nats_server.url, "bus", streams=True):
        yield bus


@pytest.fixture
async def peer(nats_server: NatsServer | infra.GivenNats) -> AsyncIterator[Bus]:
    """Another connection to the shared server."""
    async for bus in _connected(nats_server.url, "peer", streams=False):
        yield bus


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A server of this test alone, which it may kill, restart and freeze."""
    server = await NatsServer.start(tmp_path / "nats")
    yield server
    await server.stop()


@pytest.fixture
async def own_bus(own_server: NatsServer) -> AsyncIterator[Bus]:
    """A bus on the test's own server, with the streams."""
    async for bus in _connected(own_server.url, "bus", streams=True):
        yield bus


@pytest.fixture
async def own_peer(own_server: NatsServer) -> AsyncIterator[Bus]:
    """Another connection to the test's own server."""
    async for bus in _connected(own_server.url, "peer", streams=False):
        yield bus
