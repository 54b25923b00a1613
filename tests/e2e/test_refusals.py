"""What is not Twilio's, or not as Twilio speaks, is turned away; nobody else notices."""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from protocol import stream_token
from protocol.ids import CallId, Leg
from protocol.stream_token import StreamToken
from testbed.realtime import OnResponse, Say, tone
from testbed.twilio.signature import sign_get, sign_post
from testbed.twilio.wire import CONNECTED, StreamMessages

HELLO = Say("Hello.", 700)
SILENCE = "/w8="


def new_sid(kind: str) -> str:
    return kind + secrets.token_hex(16)


class RawPhone:
    """Twilio's side of a call that only says what the test tells it to."""

    def __init__(self, world) -> None:
        self.account = world.twilio.account
        self.secret = world.secret
        self.sid = new_sid("CA")
        self.stream_sid = new_sid("MZ")
        self.url = f"{world.stack.public_stream_url}/twilio/media"

    def token(self, *, secret: str = "", **changes: Any) -> str:
        """A token as webhooks mints it, but for `changes`."""
        claims = {
            "call": CallId(self.sid),
            "previous_leg": Leg(0),
            "caller": "+15550130001",
            "called": self.account.number,
            "channel": "phone",
            "expires": int(time.time()) + 60,
        }
        return stream_token.mint(StreamToken(**(claims | changes)), secret or self.secret)

    def messages(self, token: str | None) -> StreamMessages:
        parameters = {} if token is None else {"token": token}
        return StreamMessages(self.account.sid, self.sid, self.stream_sid, parameters)

    async def open(self) -> ClientConnection:
        signature = sign_get(self.url, self.account.auth_token)
        return await connect(
            self.url,
            additional_headers={"X-Twilio-Signature": signature},
            compression=None,
            proxy=None,
            max_size=None,
        )

    async def outcome(self, *frames: str | bytes) -> tuple[int, str]:
        """Send the frames on a fresh socket; the code and reason that the server closes with."""
        socket = await self.open()
        for frame in frames:
            await socket.send(frame)
        return await end_of(socket)


async def end_of(socket: ClientConnection) -> tuple[int, str]:
    """Read a socket to its end; the code and reason that the server closed it with."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed:
        assert socket.close_code is not None
        return socket.close_code, socket.close_reason or ""


def form_of(world, call_id: str) -> dict[str, str]:
    account = world.twilio.account
    return {
        "CallSid": call_id,
        "AccountSid": account.sid,
        "From": "+15550130002",
        "To": account.number,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ForwardedFrom": "",
    }


@pytest.mark.parametrize("path", ["voice", "status", "stream-status", "stream-ended"])
async def test_a_webhook_that_twilio_did_not_sign_is_refused(world, path: str) -> None:
    url = f"{world.stack.public_url}/twilio/{path}"
    token = world.twilio.account.auth_token
    form = form_of(world, new_sid("CA"))
    signatures = {
        "none": None,
        "of another token": sign_post(url, form.items(), "f" * 32),
        "of another path": sign_post(f"{url}x", form.items(), token),
        "of another form": sign_post(url, (form | {"From": "+1"}).items(), token),
        "garbage": "é".encode("latin-1"),
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        for kind, signature in signatures.items():
            headers = {} if signature is None else {"X-Twilio-Signature": signature}
            answer = await client.post(url, data=form, headers=headers)
            assert answer.status_code == 403, kind
            assert "<Response" not in answer.text
        right = {"X-Twilio-Signature": sign_post(url, form.items(), token)}
        assert (await client.post(url, data=form, headers=right)).status_code in (200, 204)
    # Only the signed one may have left a trace.
    assert len(world.follower.events[form["CallSid"]]) <= 2


async def test_a_socket_that_twilio_did_not_sign_is_refused(world) -> None:
    url = f"{world.stack.public_stream_url}/twilio/media"
    token = world.twilio.account.auth_token
    for headers in (
        {},
        {"X-Twilio-Signature": sign_get(url, "f" * 32)},
        {"X-Twilio-Signature": sign_get(f"{url}?x=1", token)},
    ):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=headers, proxy=None)
        assert refused.value.response.status_code == 403


TOKENS: dict[str, tuple[Callable[[RawPhone], str | None], str]] = {
    "none": (lambda phone: None, "no token"),
    "garbage": (lambda phone: "garbage", "malformed token"),
    "expired": (lambda phone: phone.token(expires=int(time.time()) - 1), "expired token"),
    "foreign": (
        lambda phone: phone.token(secret="a-secret-of-somebody-else"),
        "token with a foreign signature",
    ),
    "another call": (
        lambda phone: phone.token(call=CallId(new_sid("CA"))),
        "token of another call",
    ),
    "another channel": (lambda phone: phone.token(channel="browser"), "token of another channel"),
    "overtaken": (lambda phone: phone.token(previous_leg=Leg(7)), "used token"),
}


@pytest.mark.parametrize("kind", TOKENS)
async def test_a_token_that_does_not_fit_is_refused(world, kind: str) -> None:
    make, reason = TOKENS[kind]
    phone = RawPhone(world)
    messages = phone.messages(make(phone))
    assert await phone.outcome(CONNECTED, messages.start()) == (1008, reason)
    assert world.follower.events[phone.sid] == []
    assert any(reason in line and phone.sid in line for _, line in world.stack.lines)


async def test_a_used_token_opens_nothing_and_harms_nobody(world) -> None:
    script = world.script(OnResponse(Say(HELLO.text, 4_000)))
    call = await world.dial()
    await call.wait_until(lambda c: c.ear.heard_ms() > 300, world.patience_s)
    thief = RawPhone(world)
    thief.sid = call.sid
    messages = thief.messages(call.stream.parameters["token"])
    assert await thief.outcome(CONNECTED, messages.start()) == (1008, "used token")
    await world.heard(call, tone(HELLO.text, 4_000))
    await script.finished()
    events = await world.hung_up(call)
    assert [e["event"] for e in events].count("stream_started") == 1
    assert len(call.streams) == 1


def edited(message: str, **body: Any) -> str:
    """A message with other values in its body."""
    decoded = json.loads(message)
    decoded[decoded["event"]] |= body
    return json.dumps(decoded)


def before_start(phone: RawPhone) -> dict[str, tuple[list[str | bytes], tuple[int, str]]]:
    """What ends a socket that carries no call yet: frames, close code and reason."""
    good = phone.messages(phone.token())
    start = good.start()
    return {
        "not json": ([CONNECTED, "{not json"], (1007, "malformed message")),
        "a number": ([CONNECTED, "17"], (1007, "malformed message")),
        "a lone surrogate": ([CONNECTED, '{"event":"\\ud800"'], (1007, "malformed message")),
        "wrong types": (
            [CONNECTED, '{"event":"start","start":[]}'],
            (1007, "malformed start message"),
        ),
        "binary": ([CONNECTED, b"\x00\x01"], (1003, "binary frame")),
        "oversize": ([CONNECTED, "x" * 70_000], (1009, "")),
        "media first": ([CONNECTED, good.media(SILENCE, 0)], (1008, "media before start")),
        "a key first": ([CONNECTED, good.dtmf("1")], (1008, "dtmf before start")),
        "stop first": ([CONNECTED, good.stop()], (1008, "stop before start")),
        "start first": ([start], (1008, "start before connected")),
        "foreign account": (
            [CONNECTED, edited(start, accountSid=new_sid("AC"))],
            (1008, "foreign account"),
        ),
        "another format": (
            [
                CONNECTED,
                edited(
                    start,
                    mediaFormat={"encoding": "audio/l16", "sampleRate": 16000, "channels": 1},
                ),
            ],
            (1003, "unsupported media format"),
        ),
        "bad call id": (
            [CONNECTED, edited(start, callSid="CA.*.>")],
            (1008, "malformed call or stream id"),
        ),
    }


async def test_bad_input_ends_its_socket_and_the_call_beside_it_hears_every_byte(world) -> None:
    story = Say("A long story.", 60_000)
    script = world.script(OnResponse(story))
    call = await world.dial()
    await call.wait_until(lambda c: c.ear.heard_ms() > 300, world.patience_s)

    for kind in before_start(RawPhone(world)):
        phone = RawPhone(world)
        frames, (code, reason) = before_start(phone)[kind]
        got = await phone.outcome(*frames)
        assert got[0] == code, kind
        assert reason in got[1], kind
        assert world.follower.events[phone.sid] == [], kind

    # On a socket that carries a call: it ends, and the log says why.
    for frames, (code, reason) in (
        (lambda m: [m.start()], (1008, "second start")),
        (lambda m: [m.media(SILENCE, 0), "{not json"], (1007, "malformed message")),
        (lambda m: [b"\x00"], (1003, "binary frame")),
        (lambda m: ['{"event":"dtmf","dtmf":{"digit":"99"}}'], (1007, "malformed dtmf message")),
        (lambda m: ["x" * 70_000], (1009, "")),
    ):
        world.script(OnResponse(HELLO))
        phone = RawPhone(world)
        messages = phone.messages(phone.token())
        socket = await phone.open()
        for frame in (CONNECTED, messages.start(), messages.media(SILENCE, 0)):
            await socket.send(frame)
        assert "media" in await socket.recv()
        for frame in frames(messages):
            await socket.send(frame)
        closed = await end_of(socket)
        assert closed[0] == code, reason
        assert reason in closed[1]
        await world.follower.wait(
            phone.sid, lambda es: any(e["event"] == "stream_stopped" for e in es), world.patience_s
        )
        (stopped,) = world.follower.of(phone.sid, "stream_stopped")
        assert stopped["reason"] == (reason or "message too big")
        await over(world, phone)

    # An unknown event is no fault: Twilio may add some.
    call.stream.send_raw('{"event":"weather","weather":{"is":"fine"}}')
    so_far = call.ear.heard_ms()
    await call.wait_until(lambda c: c.ear.heard_ms() > so_far + 500, world.patience_s)
    await script.finished()
    events = await world.hung_up(call)
    assert len(call.streams) == 1
    assert len(call.ear.sounds) == 1, "without the shortest gap"
    assert tone(story.text, story.audio_ms).startswith(call.ear.audio())
    (stopped,) = [e for e in events if e["event"] == "stream_stopped"]
    assert (stopped["reason"], stopped["dropped_frames"]) == ("stop", 0)
    assert stopped["frames"] == call.streams[0].frames_sent


async def over(world, phone: RawPhone) -> None:
    """Twilio reports the end of the raw phone's call, and its worker lets go of it."""
    url = f"{world.stack.public_url}/twilio/status"
    form = form_of(world, phone.sid) | {"CallStatus": "completed", "SequenceNumber": "0"}
    headers = {"X-Twilio-Signature": sign_post(url, form.items(), phone.account.auth_token)}
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(url, data=form, headers=headers)).status_code == 204
