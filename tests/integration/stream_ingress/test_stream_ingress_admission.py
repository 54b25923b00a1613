"""Who gets in, and that bad input ends one socket alone with a clear reason."""

import asyncio
import base64
import json
import secrets
import socket

import pytest
from websockets.exceptions import InvalidStatus

from protocol import events as e
from protocol.ids import CallId, Leg
from protocol.stream_token import StreamToken, mint
from runtime.clock import unix_now
from stream_ingress import connection
from testbed.twilio.signature import sign_get


async def until(holds, what: str) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


URL = "wss://voice.example.com/twilio/media"
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("path", "signature", "status"),
    [
        ("/twilio/media", "", 403),
        ("/twilio/media", sign_get(URL, "another-token"), 403),
        ("/twilio/media", sign_get(URL.replace("wss", "https"), AUTH_TOKEN), 403),
        ("/twilio/media", "é", 403),
        ("/", None, 404),
        ("/twilio/media?token=x", None, 404),
        ("/browser/media", None, 404),
    ],
)
async def test_upgrades_refused(world, path, signature, status) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await world.socket(path, signature)
    assert refused.value.response.status_code == status


@pytest.mark.parametrize(
    "signature",
    [
        sign_get(URL, AUTH_TOKEN),
        sign_get(URL + "/", AUTH_TOKEN),
        sign_get(URL, "an-older-token"),
    ],
)
async def test_upgrades_let_in(world, signature) -> None:
    socket = await world.socket(signature=signature)
    await socket.close()


@pytest.mark.parametrize("asked", ["Upgrade", "keep-alive, Upgrade", "Upgrade,keep-alive"])
async def test_upgrades_are_taken_as_browsers_and_proxies_word_them(world, asked) -> None:
    assert await first_line(world, asked) == b"HTTP/1.1 101 Switching Protocols"


async def test_what_asks_for_no_upgrade_gets_none(world) -> None:
    assert (await first_line(world, "keep-alive")).startswith(b"HTTP/1.1 400 ")


async def first_line(world, connection_header: str) -> bytes:
    """Of the answer to an upgrade request that is good but for this header."""
    port = world.settings.ingress_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = (
        "GET /twilio/media HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: WebSocket",
        f"Connection: {connection_header}",
        f"X-Twilio-Signature: {sign_get(URL, AUTH_TOKEN)}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}",
    )
    writer.write("\r\n".join((*request, "", "")).encode())
    try:
        async with asyncio.timeout(10):
            return (await reader.readline()).rstrip()
    finally:
        writer.close()


async def test_beyond_its_slots_it_says_busy_and_then_nothing(start_world) -> None:
    world = await start_world(INGRESS_SLOTS="1")
    phone = await world.dial()
    second = await world.dial()
    with pytest.raises(InvalidStatus) as refused:
        await world.socket()
    assert refused.value.response.status_code == 503
    await second.start(world.token(second.call))
    await second.closed()
    await world.logged(second.call, e.StreamStopped)
    (closing,) = await world.logged(second.call, e.StreamClosing)
    assert closing.intent == "busy"
    await phone.leave()
    again = await world.dial()
    await again.start(world.token(again.call))
    await world.logged(again.call, e.StreamStarted)
    await again.talk(200)
    assert not await world.logged(again.call, e.StreamClosing, 0)


async def test_a_call_under_way_goes_on_beyond_the_slots(start_world) -> None:
    world = await start_world(INGRESS_SLOTS="1")
    first, agent = await world.placed()
    agent.attaches = "accept"
    count, old_leg = len(agent.audio), agent.leg
    second = await world.call(first.call, previous_leg=old_leg, line_ms=first.now_ms)
    await second.talk_until(
        lambda: agent.leg > old_leg and len(agent.audio) > count, "the agent hears the new stream"
    )


@pytest.mark.parametrize(
    ("frames", "code", "reason"),
    [
        (["{"], 1007, "malformed message"),
        (['{"event":"media","media":{"timestamp":"x"}}'], 1007, "malformed media message"),
        ([b"\x00\x01"], 1003, "binary frame"),
        (
            ['{"event":"media","media":{"timestamp":"0","payload":"//8="}}'],
            1008,
            "media before start",
        ),
        (["x" * 70_000], 1009, None),
    ],
)
async def test_bad_input_before_start(world, frames, code, reason) -> None:
    other, agent = await world.placed()
    phone = await world.dial()
    for frame in frames:
        await phone.socket.send(frame)
    closed = await phone.closed()
    assert closed[0] == code
    assert reason is None or closed[1] == reason
    count = len(agent.audio)
    await other.talk_until(lambda: len(agent.audio) > count, "the other call goes on")


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"accountSid": "AC" + "b" * 32}, 1008, "foreign account"),
        (
            {"mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 8000, "channels": 1}},
            1003,
            "unsupported media format",
        ),
        ({"callSid": "CA1"}, 1008, "malformed call or stream id"),
    ],
)
async def test_bad_start(world, changes, code, reason) -> None:
    phone = await world.dial()
    await phone.start(world.token(phone.call), **changes)
    assert await phone.closed() == (code, reason)
    assert await world.log(phone.call) == []


@pytest.mark.parametrize("fault", ["missing", "expired", "foreign", "other call", "browser"])
async def test_bad_tokens(world, fault) -> None:
    phone = await world.dial()
    good = {
        "previous_leg": Leg(0),
        "caller": "+15550100001",
        "called": "+15550100002",
        "channel": "phone",
        "expires": int(unix_now()) + 60,
    }
    token, reason = {
        "missing": (None, "no token"),
        "expired": (world.token(phone.call, expires=int(unix_now()) - 1), "expired token"),
        "foreign": (
            mint(StreamToken(call=CallId(phone.call), **good), "another-secret"),
            "token with a foreign signature",
        ),
        "other call": (world.token(world.new_call()), "token of another call"),
        "browser": (world.token(phone.call, channel="browser"), "token of another channel"),
    }[fault]
    await phone.start(token)
    assert await phone.closed() == (1008, reason)
    assert await world.log(phone.call) == []


async def test_a_token_works_once(world) -> None:
    phone, agent = await world.placed()
    token = world.token(phone.call)
    again = await world.dial(phone.call)
    await again.start(token)
    assert await again.closed() == (1008, "used token")
    count = len(agent.audio)
    await phone.talk_until(lambda: len(agent.audio) > count, "the first stream goes on")
    assert len(await world.logged(phone.call, e.StreamStarted)) == 1


async def test_a_socket_without_start_is_closed(world, monkeypatch) -> None:
    monkeypatch.setattr(connection, "START_WITHIN_S", 0.1)
    phone = await world.dial()
    await phone.say(event="connected", protocol="Call", version="1.0.0")
    assert await phone.closed() == (1008, "no start in time")


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        ("second start", 1008, "second start"),
        ("not json", 1007, "malformed message"),
        (b"\x00", 1003, "binary frame"),
        ("x" * 70_000, 1009, "message too big"),
    ],
)
async def test_bad_input_in_a_call_ends_its_leg(world, frame, code, reason) -> None:
    phone, _ = await world.placed()
    if frame == "second start":
        await phone.start(world.token(phone.call))
        code, reason = 1008, "second connected"
    else:
        await phone.socket.send(frame)
    assert (await phone.closed())[0] == code
    (stopped,) = await world.logged(phone.call, e.StreamStopped)
    assert stopped.reason == reason
    assert not [x for x in await world.log(phone.call) if isinstance(x.event, e.CallEnded)]


async def test_unknown_events_are_ignored(world) -> None:
    phone, agent = await world.placed()
    for _ in range(3):
        await phone.socket.send(json.dumps({"event": "weather", "x": secrets.token_hex(4)}))
    count = len(agent.audio)
    await phone.talk_until(lambda: len(agent.audio) > count, "the call goes on")


async def test_a_drain_lets_calls_finish_and_takes_no_new_ones(start_world) -> None:
    world = await start_world(INGRESS_DRAIN_S="30")
    phone, agent = await world.placed()
    world.shutdown.ask()
    await until(lambda: "listening" in world.health.failing(), "it takes no new calls")
    with pytest.raises(OSError):  # noqa: PT011 -- refused or reset, as the system says it
        await world.socket()
    count = len(agent.audio)
    await phone.talk_until(lambda: len(agent.audio) > count, "the call goes on")
    await phone.hang_up()
    await phone.closed()
    await world.serving
    await world.logged(phone.call, e.CallEnded)


async def test_who_is_connected_when_a_drain_begins_is_let_in(start_world) -> None:
    world = await start_world(INGRESS_DRAIN_S="30")
    first, _ = await world.placed()
    early = socket.create_connection(("127.0.0.1", world.settings.ingress_port))
    await (await world.socket()).close()  # what came before it was accepted, too
    world.shutdown.ask()
    await until(lambda: "listening" in world.health.failing(), "it takes no new calls")
    phone = await world.dial(socket=await world.socket(over=early))
    await phone.start(world.token(phone.call))
    await world.logged(phone.call, e.Assigned)
    for each in (first, phone):
        await each.hang_up()
        await each.closed()
    await world.serving


async def test_what_is_left_after_the_drain_is_handed_off(world) -> None:
    phone, _ = await world.placed()
    world.shutdown.ask()
    assert await phone.closed() == (1000, "handoff")
    await world.serving
    (closing,) = await world.logged(phone.call, e.StreamClosing)
    assert closing.intent == "handoff"
