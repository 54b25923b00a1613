"""A phone and agents around a running stream-ingress, on a real NATS.

The phone speaks Media Streams by hand and plays with the testbed's play-out buffer; its clock is
the line's: it moves only when frames are sent, so a test does not depend on the machine's speed.
The agents speak raw JSON and bytes. Neither uses our structs for what it says.
"""

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from protocol import events as e
from protocol import stream_token
from protocol.ids import CallId, Leg
from protocol.stream_token import StreamToken
from runtime import bus as runtime_bus
from runtime.admin import Health
from runtime.bus import Bus
from runtime.calllog import CallLog, Entry
from runtime.clock import unix_now
from runtime.service import Shutdown
from runtime.settings import load
from stream_ingress import app
from stream_ingress.settings import Settings
from testbed.ports import free_port
from testbed.twilio.ear import Ear
from testbed.twilio.playout import Echo, Playout
from testbed.twilio.signature import sign_get

ACCOUNT = "AC" + "a" * 32
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
SECRET = "a-secret-of-stream-tokens"
URL = "wss://voice.example.com/twilio/media"
FRAME = 160
WITHIN_S = 20.0


async def until(holds: Callable[[], Any], what: str) -> None:
    """Wait for a condition; the bound is for a hung test only."""
    try:
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                await asyncio.sleep(0.002)
    except TimeoutError:
        pytest.fail(f"never happened: {what}")


@dataclass
class Phone:
    """One media socket as Twilio opens it."""

    socket: ClientConnection
    call: str
    stream: str
    ear: Ear = field(default_factory=Ear)
    now_ms: int = 0
    sent: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.playout = Playout(self.stream, self.ear, 0)
        self.received: list[dict[str, Any]] = []
        self._number = 0
        self._reader = asyncio.create_task(self._read())

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def start(self, token: str | None = None, **changes: Any) -> None:
        await self.say(event="connected", protocol="Call", version="1.0.0")
        start: dict[str, Any] = {
            "streamSid": self.stream,
            "accountSid": ACCOUNT,
            "callSid": self.call,
            "tracks": ["inbound"],
            "customParameters": {} if token is None else {"token": token},
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        await self.say(
            event="start", sequenceNumber="1", streamSid=self.stream, start={**start, **changes}
        )

    async def frame(self, payload: bytes | None = None) -> None:
        """20 ms of the line pass: one frame of the caller, and what is due of the play-out."""
        self._number += 1
        payload = secrets.token_bytes(FRAME) if payload is None else payload
        self.sent += payload
        await self.say(
            event="media",
            sequenceNumber=str(self._number + 1),
            streamSid=self.stream,
            media={
                "track": "inbound",
                "chunk": str(self._number),
                "timestamp": str(self.now_ms),
                "payload": base64.b64encode(payload).decode(),
            },
        )
        self.now_ms += 20
        await self._echo(self.playout.advance(self.now_ms))

    async def talk(self, ms: int) -> None:
        """Let time pass on the line, or until the server closed the socket."""
        with contextlib.suppress(ConnectionClosed):
            for _ in range(ms // 20):
                await self.frame()
                await asyncio.sleep(0.001)

    async def talk_until(self, holds: Callable[[], Any], what: str) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                while not holds():
                    await self.frame()
                    await asyncio.sleep(0.005)
        except TimeoutError:
            pytest.fail(f"never happened: {what}")

    async def talk_until_closed(self, payload: bytes | None = None) -> tuple[int, str]:
        """Go on until the server closes the socket: code and reason."""
        try:
            async with asyncio.timeout(2 * WITHIN_S):
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await self.frame(payload)
                        await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail("the socket was never closed")
        return await self.closed()

    async def press(self, digit: str) -> None:
        await self.say(
            event="dtmf", streamSid=self.stream, dtmf={"track": "inbound_track", "digit": digit}
        )

    async def hang_up(self) -> None:
        await self.say(
            event="stop", streamSid=self.stream, stop={"accountSid": ACCOUNT, "callSid": self.call}
        )

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the server's close."""
        async with asyncio.timeout(WITHIN_S):
            await self.socket.wait_closed()
            await self._reader
        return self.socket.close_code or 0, self.socket.close_reason or ""

    async def leave(self) -> None:
        await self.socket.close()
        await self._reader

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in self.socket:
                self.received.append(json.loads(message))
                await self._echo(self.playout.receive(message, self.now_ms))

    async def _echo(self, effects: list[Any]) -> None:
        with contextlib.suppress(ConnectionClosed):
            for effect in effects:
                assert isinstance(effect, Echo), effect
                await self.say(event="mark", streamSid=self.stream, mark={"name": effect.name})


@dataclass
class Agent:
    """A worker by hand. ``answer`` to an assignment: accept, full, draining, taken, false alarm
    or silent; ``attaches``: accept, a reason to decline, or silent. It holds what it took.
    """

    client: Client
    name: str
    answer: str
    free: int
    attaches: str = "not_held"
    ping: str = "honest"  # or silent, or stuck
    asked: list[dict[str, Any]] = field(default_factory=list)
    attached: list[dict[str, Any]] = field(default_factory=list)
    pinged: list[dict[str, int]] = field(default_factory=list)
    holds: dict[str, int] = field(default_factory=dict)
    heard: list[tuple[str, Any]] = field(default_factory=list)
    audio: bytearray = field(default_factory=bytearray)
    epoch: int = 0
    call: str = ""
    leg: int = 0

    async def begin(self) -> None:
        self._subscriptions = [
            await self.client.subscribe(f"agent.{self.name}.assign", cb=self._assign),
            await self.client.subscribe(f"agent.{self.name}.attach", cb=self._attach),
            await self.client.subscribe(f"agent.{self.name}.ping", cb=self._ping),
        ]
        await self.client.flush()
        await self.client.flush()
        self._loads = asyncio.create_task(self._tell_load())

    async def stop(self) -> None:
        self._loads.cancel()
        await asyncio.wait([self._loads])

    async def die(self) -> None:
        """As after a kill: nobody listens on its subjects any more."""
        self._loads.cancel()
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        await self.client.flush()
        await self.client.flush()

    def freeze(self) -> None:
        """As after SIGSTOP: NATS still delivers, nobody answers."""
        self._loads.cancel()
        self.ping = self.answer = self.attaches = "silent"

    async def listen(self, call: str, leg: int) -> None:
        self.call, self.leg = call, leg
        await self.client.subscribe(f"call.{call}.in.{leg}.*", cb=self._line)
        await self.client.flush()
        await self.client.flush()

    async def take(self, call: str, leg: int, previous: int) -> int:
        """Write ``assigned``; its sequence."""
        event_id = secrets.token_hex(16)
        event = {
            "event": "assigned",
            "id": event_id,
            "call_id": call,
            "at": "2026-01-01T00:00:00Z",
            "service": "ai-agent",
            "worker": self.name,
            "leg": leg,
            "previous_epoch": previous,
        }
        ack = await self.client.jetstream().publish(
            f"call.{call}.log.assigned",
            json.dumps(event).encode(),
            headers={
                "Nats-Msg-Id": event_id,
                "Nats-Expected-Last-Subject-Sequence": str(previous),
            },
        )
        self.holds[call] = ack.seq
        return ack.seq

    async def out(self, kind: str, epoch: int | None = None, **message: Any) -> None:
        epoch = self.epoch if epoch is None else epoch
        await self.client.publish(
            f"call.{self.call}.out.{epoch}.{kind}", json.dumps(message).encode()
        )

    async def speak(self, audio: bytes, epoch: int | None = None) -> None:
        epoch = self.epoch if epoch is None else epoch
        await self.client.publish(f"call.{self.call}.out.{epoch}.audio", audio)

    def of(self, kind: str) -> list[Any]:
        return [message for what, message in self.heard if what == kind]

    async def replay(self, **request: Any) -> tuple[dict[str, Any] | None, dict[str, str]]:
        reply = await self.client.request(
            f"ingress.{self.asked[-1]['ingress']}.replay", json.dumps(request).encode(), timeout=5
        )
        return json.loads(reply.data), dict(reply.headers or {})

    async def _assign(self, message: Msg) -> None:
        request = json.loads(message.data)
        self.asked.append(request)
        if self.answer == "silent":
            return
        if self.answer == "false alarm":
            held = {"type": "accepted", "epoch": request["previous_epoch"]}
            await message.respond(json.dumps(held).encode())
            return
        if self.answer != "accept":
            await message.respond(json.dumps({"type": "declined", "reason": self.answer}).encode())
            return
        await self.listen(request["call"], request["leg"])
        try:
            self.epoch = await self.take(request["call"], request["leg"], request["previous_epoch"])
        except APIError:
            await message.respond(b'{"type":"declined","reason":"taken"}')
            return
        await message.respond(json.dumps({"type": "accepted", "epoch": self.epoch}).encode())

    async def _attach(self, message: Msg) -> None:
        request = json.loads(message.data)
        self.attached.append(request)
        if self.attaches == "silent":
            return
        if self.attaches != "accept":
            declined = {"type": "declined", "reason": self.attaches}
            await message.respond(json.dumps(declined).encode())
            return
        await self.listen(request["call"], request["leg"])
        self.epoch = request["epoch"]
        await message.respond(json.dumps({"type": "accepted", "epoch": self.epoch}).encode())

    async def _ping(self, message: Msg) -> None:
        calls = json.loads(message.data)["calls"]
        self.pinged.append(calls)
        if self.ping == "silent":
            return
        lost = [call for call, epoch in calls.items() if self.holds.get(call) != epoch]
        stuck = list(calls) if self.ping == "stuck" else []
        await message.respond(json.dumps({"lost": lost, "stuck": stuck}).encode())

    async def _line(self, message: Msg) -> None:
        kind = message.subject.rsplit(".", 1)[-1]
        if kind == "audio":
            self.audio += message.data
            self.heard.append((kind, len(message.data)))
        else:
            self.heard.append((kind, json.loads(message.data)))

    async def _tell_load(self) -> None:
        while True:
            load_now = {
                "worker": self.name,
                "free": self.free,
                "draining": self.answer == "draining",
                "build": "test",
            }
            if self.answer == "draining":  # a worker whose last word came before it began to drain
                load_now["draining"] = False
            await self.client.publish("agents.load", json.dumps(load_now).encode())
            await asyncio.sleep(0.05)


@dataclass
class World:
    """A running ingress and whoever talks to it."""

    settings: Settings
    shutdown: Shutdown
    health: Health
    bus: Bus
    client: Client
    serving: asyncio.Task[None]
    phones: list[Phone] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)

    def new_call(self) -> str:
        return "CA" + secrets.token_hex(16)

    def token(self, call: str, **changes: Any) -> str:
        facts: dict[str, Any] = {
            "call": CallId(call),
            "previous_leg": Leg(0),
            "caller": "+15550100001",
            "called": "+15550100002",
            "channel": "phone",
            "expires": int(unix_now()) + 60,
        }
        return stream_token.mint(StreamToken(**{**facts, **changes}), SECRET)

    async def socket(
        self, path: str = "/twilio/media", signature: str | None = None, *, over: Any = None
    ):
        """A WebSocket; ``over`` a connection that stands already."""
        signature = sign_get(URL, AUTH_TOKEN) if signature is None else signature
        return await connect(
            f"ws://127.0.0.1:{self.settings.ingress_port}{path}",
            additional_headers={"x-twilio-signature": signature} if signature else {},
            compression=None,
            sock=over,
        )

    async def dial(self, call: str | None = None, *, socket: Any = None) -> Phone:
        """A socket whose upgrade was let in; nothing is said on it yet."""
        socket = socket or await self.socket()
        phone = Phone(socket, call or self.new_call(), "MZ" + secrets.token_hex(16))
        self.phones.append(phone)
        return phone

    async def call(self, call: str | None = None, **token: Any) -> Phone:
        """A started stream with a good token."""
        phone = await self.dial(call)
        await phone.start(self.token(phone.call, **token))
        return phone

    async def agent(self, answer: str = "accept", free: int = 4) -> Agent:
        agent = Agent(self.client, f"w-{secrets.token_hex(4)}", answer, free)
        await agent.begin()
        self.agents.append(agent)
        return agent

    async def placed(self, **token: Any) -> tuple[Phone, Agent]:
        """A call that an agent holds, whose line is live."""
        agent = await self.agent()
        phone = await self.call(**token)
        await until(lambda: agent.epoch, "the agent holds the call")
        await phone.talk_until(lambda: agent.audio, "the line is live")
        return phone, agent

    async def log(self, call: str) -> list[Entry]:
        return await CallLog(self.bus).read(CallId(call))

    async def logged(self, call: str, kind: type[e.Event], count: int = 1) -> list[Any]:
        """The events of a kind, once there are ``count``."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                found = [x.event for x in await self.log(call) if isinstance(x.event, kind)]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.01)


async def _quiet(_: Exception) -> None:
    """A test that takes NATS away expects errors; nats-py would print each."""


Start = Callable[..., Any]


@pytest.fixture
async def start_world(nats_server: Any) -> AsyncIterator[Start]:
    """Starts an ingress with changed settings; it is drained at the end of the test."""
    worlds: list[World] = []
    stack = contextlib.AsyncExitStack()

    async def start(**changes: str) -> World:
        environ = {
            "NATS_URL": nats_server.url,
            "PUBLIC_URL": "https://voice.example.com",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": f"an-older-token,{AUTH_TOKEN}",
            "STREAM_TOKEN_SECRET": SECRET,
            "INGRESS_HOST": "127.0.0.1",
            "INGRESS_PORT": str(free_port()),
            "INGRESS_NAME": f"ingress-{secrets.token_hex(4)}",
            "INGRESS_DRAIN_S": "0",
            **changes,
        }
        settings = load(Settings, environ)
        shutdown, health = Shutdown(), Health()
        bus = await stack.enter_async_context(runtime_bus.connect(settings, "test", Shutdown()))
        client = await nats.connect(
            settings.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_quiet
        )
        stack.push_async_callback(client.close)
        serving = asyncio.create_task(app.serve(settings, shutdown, health))
        world = World(settings, shutdown, health, bus, client, serving)
        worlds.append(world)
        await until(lambda: "listening" in health._checks or serving.done(), "ingress listens")
        assert not serving.done() or serving.result() is None
        assert health.failing() == []
        return world

    yield start
    for world in worlds:
        for agent in world.agents:
            await agent.stop()
        for phone in world.phones:
            await phone.leave()
        world.shutdown.ask()
        async with asyncio.timeout(20):
            await world.serving
    await stack.aclose()


@pytest.fixture
async def world(start_world: Start) -> World:
    """An ingress with default settings."""
    return await start_world()
