"""The bus on a real server: requests and their errors, survival of a restart and of a freeze."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from protocol.errors import DecodeError
from protocol.line import Clock
from runtime.backlog import BOUND_BYTES
from runtime.bus import Bus, connect
from runtime.errors import AskedToStop, NoAnswer, Refused, ServiceError
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.nats_server import NatsServer
from testbed.ports import free_port

AUDIO = b"\xff" * 160


def dropped() -> float:
    return REGISTRY.get_sample_value("trunkline_audio_dropped_away_total") or 0


async def listening(bus: Bus, subject: str) -> list[bytes]:
    heard: list[bytes] = []

    async def take(message) -> None:
        heard.append(message.data)

    await bus.subscribe(subject, take)
    await bus.settle()
    return heard


async def test_settle_is_a_barrier(bus: Bus, peer: Bus, until) -> None:
    """What is published elsewhere after it arrives: every one of many."""
    heard = await listening(bus, "barrier.*")
    for i in range(500):
        await peer.publish("barrier.x", {"line_ms": i})
    await until(lambda: len(heard) == 500)
    assert heard[0] == b'{"line_ms":0}'


async def test_a_request_is_answered_and_decoded(bus: Bus, peer: Bus) -> None:
    async def answer(message) -> None:
        assert message.headers == {"Trunkline-Call": "CA1"}
        await message.respond(b'{"line_ms":40}')

    await peer.subscribe("ask.clock", answer)
    await peer.settle()
    reply = await bus.request(
        "ask.clock", Clock(20), Clock, timeout=20, headers={"Trunkline-Call": "CA1"}
    )
    assert reply == Clock(40)


async def test_nobody_listening_is_told_at_once(bus: Bus) -> None:
    async with asyncio.timeout(20):
        with pytest.raises(NoAnswer, match="nobody listens") as caught:
            await bus.request("ask.nobody", Clock(0), Clock, timeout=60)
    assert caught.value.nobody


async def test_silence_is_a_time_out(bus: Bus, peer: Bus) -> None:
    await listening(peer, "ask.silence")
    with pytest.raises(NoAnswer, match="timed out") as caught:
        await bus.request("ask.silence", Clock(0), Clock, timeout=0.05)
    assert not caught.value.nobody


@pytest.mark.parametrize(("code", "expected"), [("404", 404), ("strange", 500)])
async def test_an_error_reply_is_refused(bus: Bus, peer: Bus, code: str, expected: int) -> None:
    async def refuse(message) -> None:
        headers = {"Nats-Service-Error": "no such todo", "Nats-Service-Error-Code": code}
        await peer.client.publish(message.reply, b"", headers=headers)

    await peer.subscribe(f"ask.refused.{code}", refuse)
    await peer.settle()
    with pytest.raises(Refused) as caught:
        await bus.request(f"ask.refused.{code}", Clock(0), Clock, timeout=20)
    assert (caught.value.code, caught.value.description) == (expected, "no such todo")


async def test_an_answer_of_another_shape_is_a_decode_error(bus: Bus, peer: Bus) -> None:
    async def answer(message) -> None:
        await message.respond(b'{"line_ms":"soon"}')

    await peer.subscribe("ask.wrong", answer)
    await peer.settle()
    with pytest.raises(DecodeError):
        await bus.request("ask.wrong", Clock(0), Clock, timeout=20)


async def test_every_reply_of_a_discovery_is_collected(bus: Bus, peer: Bus) -> None:
    async def answer(message) -> None:
        await message.respond(b"here")

    for asked in (bus, peer):
        await asked.subscribe("who.is.there", answer)
        await asked.settle()
    assert [data for data, _ in await bus.request_many("who.is.there", b"", within=1)] == [
        b"here",
        b"here",
    ]
    async with asyncio.timeout(20):
        assert await bus.request_many("who.is.nobody", b"", within=60) == []


async def test_a_handler_that_fails_or_is_cancelled_gets_the_next_message(
    bus: Bus, peer: Bus, until
) -> None:
    seen: list[bytes] = []

    async def handle(message) -> None:
        seen.append(message.data)
        if message.data == b"1":
            raise ValueError("secret")
        if message.data == b"2":
            raise DecodeError("$.x")
        if message.data == b"3":
            raise asyncio.CancelledError

    await bus.subscribe("trouble", handle)
    await bus.settle()
    for i in range(1, 5):
        await peer.client.publish("trouble", str(i).encode())
    await until(lambda: seen == [b"1", b"2", b"3", b"4"])


async def test_a_stopped_subscription_hears_no_more_and_stops_twice(bus: Bus, peer: Bus) -> None:
    heard: list[bytes] = []

    async def take(message) -> None:
        heard.append(message.data)

    subscribed = await bus.subscribe("stopped", take)
    await subscribed.stop()
    await subscribed.stop()
    await bus.settle()
    await peer.publish("stopped", 1)
    await peer.settle()
    await bus.settle()
    assert heard == []


async def test_while_nats_is_away_audio_is_dropped_and_not_sent_later(
    own_server: NatsServer, own_bus: Bus, own_peer: Bus, until
) -> None:
    heard = await listening(own_peer, "line.>")
    back: list[int] = []
    forget = own_bus.on_reconnect(lambda: back.append(1))
    assert await own_bus.publish_audio("line.audio", AUDIO)
    await until(lambda: heard == [AUDIO])
    await own_server.kill()
    await until(lambda: not own_bus.connected)
    await until(lambda: not own_peer.connected)
    before = dropped()
    for _ in range(3):
        assert not await own_bus.publish_audio("line.audio", AUDIO)
    assert dropped() == before + 3
    await own_server.restart()
    await until(lambda: own_bus.connected and own_peer.connected and back)
    assert await own_bus.publish_audio("line.audio", b"again")
    await until(lambda: heard[-1:] == [b"again"])
    assert AUDIO not in heard[1:]
    forget()


async def test_control_published_while_away_is_delivered_after(
    own_server: NatsServer, own_bus: Bus, until
) -> None:
    """Heard by the same connection, whose subscriptions are renewed before its buffer is sent."""
    heard = await listening(own_bus, "line.control")
    await own_server.kill()
    await until(lambda: not own_bus.connected)
    for i in range(3):
        await own_bus.publish("line.control", i)
    await own_server.restart()
    await until(lambda: heard == [b"0", b"1", b"2"])


async def test_a_frozen_server_neither_blocks_audio_nor_the_end(own_server: NatsServer) -> None:
    settings = CommonSettings(nats_url=own_server.url, startup_wait_s=20)
    async with asyncio.timeout(9), connect(settings, "frozen", Shutdown()) as bus:
        own_server.suspend()
        block = b"\xff" * 32_000
        before, sent = dropped(), 0
        # Kernel and socket buffers take some; after that it must drop, not wait.
        while dropped() == before:
            await bus.publish_audio("line.audio", block)
            sent += 1
            assert sent < 2000
        assert bus.client.pending_data_size < BOUND_BYTES + 2 * len(block)
    own_server.resume()


async def test_an_unreachable_server_is_one_sentence() -> None:
    url = f"nats://user:hunter2@127.0.0.1:{free_port()}"
    settings = CommonSettings(nats_url=url, startup_wait_s=1)
    with pytest.raises(ServiceError, match=r"NATS at 127\.0\.0\.1:\d+ \(NATS_URL\)") as caught:
        async with connect(settings, "nobody", Shutdown()):
            pass
    assert "hunter2" not in str(caught.value)
    assert "STARTUP_WAIT_S" in str(caught.value)


async def test_asked_to_stop_it_waits_no_longer() -> None:
    shutdown = Shutdown()
    shutdown.ask()
    settings = CommonSettings(nats_url=f"nats://127.0.0.1:{free_port()}", startup_wait_s=0)
    with pytest.raises(AskedToStop):
        async with asyncio.timeout(20), connect(settings, "nobody", shutdown):
            pass
