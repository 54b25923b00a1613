"""The service API on a real server: a bound on concurrency, a drain that loses nothing, and
error replies that hold no exception's text."""

import asyncio
import json

import pytest

from protocol.line import Clock
from runtime import micro
from runtime.bus import Bus
from runtime.errors import NoAnswer, Refused
from runtime.micro import Endpoint, Request, json_handler, serving

PRIVATE = "+447700900123"


def endpoint(handler, *, name: str = "work", subject: str = "example.work", **more) -> Endpoint:
    return Endpoint(name=name, subject=subject, handler=handler, **more)


def example(bus: Bus, *endpoints: Endpoint):
    return serving(bus, name="example", description="An example", endpoints=list(endpoints))


async def echo(request: Request) -> bytes:
    return request.data


async def test_a_request_is_served_with_payload_and_headers(bus: Bus, peer: Bus) -> None:
    async def work(asked: Clock, request: Request) -> Clock:
        assert request.subject == "example.work"
        assert request.headers["Trunkline-Caller"] == "c1"
        return Clock(asked.line_ms + 1)

    async with example(bus, endpoint(json_handler(Clock, work))):
        headers = {"Trunkline-Caller": "c1"}
        answer = await peer.request("example.work", Clock(1), Clock, timeout=20, headers=headers)
    assert answer == Clock(2)


async def test_discovery_shows_endpoints_with_their_metadata(bus: Bus, peer: Bus) -> None:
    async with example(bus, endpoint(echo, metadata={"description": "works", "schema": "{}"})):
        info = json.loads(await peer.request_raw("$SRV.INFO.example", b"", timeout=20))
        stats = json.loads(await peer.request_raw("$SRV.STATS.example", b"", timeout=20))
    (shown,) = info["endpoints"]
    assert (shown["subject"], shown["metadata"]["description"]) == ("example.work", "works")
    assert stats["endpoints"][0]["name"] == "work"
    with pytest.raises(NoAnswer):
        await peer.request_raw("$SRV.INFO.example", b"", timeout=1)


async def test_requests_run_at_once_up_to_the_bound(
    bus: Bus, peer: Bus, until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro, "CONCURRENT", 3)
    running = most = 0
    release = asyncio.Event()

    async def work(request: Request) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        return b"done"

    async with example(bus, endpoint(work)), asyncio.TaskGroup() as group:
        asked = [
            group.create_task(peer.request_raw("example.work", b"", timeout=30)) for _ in range(10)
        ]
        await until(lambda: running == 3)
        await bus.settle()
        assert running == 3
        release.set()
    assert [task.result() for task in asked] == [b"done"] * 10
    assert most == 3


async def test_one_slow_endpoint_does_not_hold_up_another(bus: Bus, peer: Bus, until) -> None:
    release, began = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> bytes:
        began.set()
        await release.wait()
        return b"slow"

    endpoints = endpoint(slow), endpoint(echo, name="quick", subject="example.quick")
    async with example(bus, *endpoints), asyncio.TaskGroup() as group:
        waiting = group.create_task(peer.request_raw("example.work", b"", timeout=30))
        await began.wait()
        assert await peer.request_raw("example.quick", b"1", timeout=20) == b"1"
        assert not waiting.done()
        release.set()


async def test_leaving_finishes_what_runs_and_what_is_queued(
    bus: Bus, peer: Bus, until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro, "CONCURRENT", 2)
    release, left = asyncio.Event(), asyncio.Event()
    began = 0

    async def work(request: Request) -> bytes:
        nonlocal began
        began += 1
        await release.wait()
        return request.data

    async def serve() -> None:
        async with example(bus, endpoint(work)):
            ready.set()
            await left.wait()

    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        service = group.create_task(serve())
        await ready.wait()
        asked = [
            group.create_task(peer.request_raw("example.work", str(i).encode(), timeout=30))
            for i in range(8)
        ]
        await until(lambda: began == 2)
        await peer.settle()
        await bus.settle()
        left.set()
        # From here on it takes no new request, while the old ones wait for the release.
        async with asyncio.timeout(30):
            while True:
                try:
                    await peer.request_raw("example.work", b"late", timeout=0.2)
                except NoAnswer as error:
                    if error.nobody:
                        break
        assert not service.done()
        release.set()
    results = [task.result() for task in asked]
    assert results == [str(i).encode() for i in range(8)]


@pytest.mark.parametrize("round_", range(3))
async def test_a_replica_that_leaves_under_load_loses_no_request(
    bus: Bus, peer: Bus, round_: int
) -> None:
    """Two replicas in one queue group: what the server gave to the leaving one is answered."""
    asking, answered = True, 0

    async def load() -> None:
        nonlocal answered
        while asking:
            assert await peer.request_raw("example.work", b"x", timeout=10) == b"x"
            answered += 1

    async with example(peer, endpoint(echo)), asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(load())
        for _ in range(10):
            async with example(bus, endpoint(echo)):
                seen = answered
                while answered < seen + 60:
                    await asyncio.sleep(0)
        asking = False


async def test_no_text_of_an_exception_reaches_the_peer(bus: Bus, peer: Bus) -> None:
    async def fail(request: Request) -> bytes:
        raise ValueError(PRIVATE)

    async with example(bus, endpoint(fail)):
        reply = await peer.client.request("example.work", b"", timeout=20)
        stats = await peer.request_raw("$SRV.STATS.example", b"", timeout=20)
        with pytest.raises(Refused) as caught:
            await peer.request_raw("example.work", b"", timeout=20)
    assert caught.value.code == 500
    for shown in (repr(reply.headers), repr(reply.data), stats.decode(), str(caught.value)):
        assert PRIVATE not in shown
        assert "ValueError" not in shown


async def test_refusals_and_unreadable_requests_are_told_apart(bus: Bus, peer: Bus) -> None:
    async def work(asked: Clock, request: Request) -> Clock:
        raise Refused(404, "no such todo:\nnumber 7 – gone")

    async with example(bus, endpoint(json_handler(Clock, work))):
        with pytest.raises(Refused) as refused:
            await peer.request("example.work", Clock(1), Clock, timeout=20)
        assert refused.value.code == 404
        assert refused.value.description.startswith("no such todo:")
        for bad in (b'{"line_ms":"' + PRIVATE.encode() + b'"}', b"\xff", b"", b"[" * 100_000):
            with pytest.raises(Refused) as unreadable:
                await peer.request_raw("example.work", bad, timeout=20)
            assert unreadable.value.code == 400
            assert PRIVATE not in unreadable.value.description


async def test_a_message_without_a_reply_address_does_no_harm(bus: Bus, peer: Bus) -> None:
    async with example(bus, endpoint(echo)):
        for _ in range(micro.CONCURRENT + 5):
            await peer.client.publish("example.work", b"nobody waits")
        assert await peer.request_raw("example.work", b"x", timeout=20) == b"x"


async def test_a_frozen_server_does_not_hold_up_the_end(own_server, own_bus: Bus) -> None:
    async with asyncio.timeout(9):
        async with example(own_bus, endpoint(echo)):
            own_server.suspend()
    own_server.resume()


async def test_a_bus_that_is_closed_first_does_not_hold_up_the_end(own_bus: Bus) -> None:
    async with asyncio.timeout(9), example(own_bus, endpoint(echo)):
        await own_bus.client.close()
