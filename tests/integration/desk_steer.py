"""A desk with calls to steer, and stand-ins for who answers: a worker and an ingress that speak the
contract over a real NATS.

async with world(nats_url, dsn) as it: ...
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
from desk_login import OURS, PATIENCE_S, cookies, desk_served
from websockets.asyncio.client import ClientConnection, connect

from dashboard.people.operator import Role
from protocol import codec, commands, ids, subjects
from protocol import events as e
from protocol.calls import CallDone, CallRefused, HangUpCall, TransferCall
from protocol.ids import CallId, Epoch, IngressId, Leg, StreamId
from protocol.line import Listen, Listening, ListenReply, Track
from runtime import bus, micro
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.clock import utc_now
from runtime.micro import Endpoint
from runtime.outbox import publish
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from runtime.subscribed import Message
from runtime.tracks import show

NUMBER = "+12125553456"


@dataclass
class SteeredCall:
    """A call in the log. ``obey`` makes a worker hold it, ``heard`` an ingress its line."""

    bus: Bus
    id: CallId = field(default_factory=ids.new_call_id)
    epoch: Epoch = field(default=Epoch(0))
    leg: Leg = field(default=Leg(0))
    obeyed: list[Any] = field(default_factory=list)
    asked_by: list[str] = field(default_factory=list)

    async def write(self, kind: type[e.Event], **values: object) -> int:
        if issubclass(kind, e.AgentEvent):
            values["epoch"] = self.epoch
        at, common = utc_now(), {"service": "test", "worker": "agent-1"}
        event = kind(id=ids.new_event_id(), call_id=self.id, at=at, **common, **values)
        return await publish(self.bus, event)  # type: ignore[arg-type]

    async def ring(self) -> None:
        await self.write(e.Ringing, caller=NUMBER, called="+15557001122")

    async def begin(self, mode: str = "conversation") -> None:
        await self.ring()
        stream = {"stream_id": StreamId("MZ" + "0" * 32), "ingress": IngressId("i")}
        self.leg = Leg(await self.write(e.StreamStarted, previous_leg=Leg(0), **stream))
        self.epoch = Epoch(await self.write(e.Assigned, leg=self.leg, previous_epoch=Epoch(0)))
        await self.write(e.ModeChanged, mode=mode)

    async def end(self) -> None:
        await self.write(e.CallEnded, reason="caller_hung_up")

    async def acts(self) -> list[tuple[str, str, str]]:
        """What the log says that operators did: operator, act, detail."""
        entries = await CallLog(self.bus).read(self.id)
        events = [entry.event for entry in entries]
        return [(x.operator, x.act, x.detail) for x in events if isinstance(x, e.OperatorActed)]

    @contextlib.asynccontextmanager
    async def obey(
        self, reply: Callable[[Any], commands.Reply | None] = lambda _: commands.Done()
    ) -> AsyncGenerator[None]:
        """A worker that answers every command with ``reply``; None: it stays silent."""

        async def came(message: Message) -> None:
            command: Any = codec.decode_as(commands.Command, message.data)
            self.obeyed.append(command)
            said = reply(command)
            if said is not None:
                await self.bus.publish(message.reply, said)

        subscribed = await self.bus.subscribe(subjects.command(self.id), came)
        await self.bus.settle()
        try:
            yield
        finally:
            await subscribed.stop()

    @contextlib.asynccontextmanager
    async def heard(
        self, reply: Callable[[], ListenReply] = lambda: Listening(0)
    ) -> AsyncGenerator[None]:
        """An ingress that answers whoever wants to listen."""

        async def came(message: Message) -> None:
            self.asked_by.append(codec.decode_as(Listen, message.data).by)
            await self.bus.publish(message.reply, reply())

        subscribed = await self.bus.subscribe(subjects.listen(self.id), came)
        await self.bus.settle()
        try:
            yield
        finally:
            await subscribed.stop()

    async def sound(self, track: Track, line_ms: int, audio: bytes) -> None:
        """A block of an ear track, as ingress sends it."""
        assert await show(self.bus, self.id, track, line_ms, audio)


@dataclass
class Webhooks:
    """The service ``calls`` as far as the desk asks it."""

    asked: list[Any] = field(default_factory=list)
    refusal: CallRefused | None = None

    async def answer(self, ask: Any, _: micro.Request) -> CallDone | CallRefused:
        self.asked.append(ask)
        return self.refusal or CallDone(ask.call)

    @contextlib.asynccontextmanager
    async def serving(self, bus: Bus) -> AsyncGenerator[None]:
        handlers = {
            "hang_up": micro.json_handler(HangUpCall, self.answer),
            "transfer": micro.json_handler(TransferCall, self.answer),
        }
        endpoints = [
            Endpoint(f"calls-{verb}", subjects.calls(verb), handler)
            for verb, handler in handlers.items()
        ]
        async with micro.serving(bus, name="calls", description="stand-in", endpoints=endpoints):
            await bus.settle()
            yield


@dataclass
class World:
    """``http`` is mira's browser; she is an operator."""

    url: str
    dsn: str
    bus: Bus
    http: httpx2.AsyncClient

    async def call(self, mode: str = "conversation") -> SteeredCall:
        """A call that goes on, on the board."""
        call = SteeredCall(self.bus)
        await call.begin(mode)
        await self.shown(call, "active")
        return call

    async def shown(self, call: SteeredCall, phase: str, **facts: object) -> None:
        """Wait until the board has the call so."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                page = await self.http.get(f"/calls/{call.id}")
                if f'data-phase="{phase}"' in page.text and all(
                    f'data-{name}="{value}"' in page.text for name, value in facts.items()
                ):
                    return
                await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def browser(self, name: str, role: Role) -> AsyncGenerator[httpx2.AsyncClient]:
        jar = await cookies(self.dsn, name, role)
        async with httpx2.AsyncClient(base_url=self.url, headers=OURS, cookies=jar) as http:
            yield http

    def socket(
        self, call: SteeredCall, what: str, *, origin: str | None = None, **more: Any
    ) -> connect:
        """A websocket of mira's browser."""
        jar = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        return connect(
            f"{self.url.replace('http', 'ws', 1)}/calls/{call.id}/{what}",
            origin=origin or self.url,  # type: ignore[arg-type]
            additional_headers={"cookie": jar},
            proxy=None,
            **more,
        )


@contextlib.asynccontextmanager
async def world(nats_url: str, dsn: str) -> AsyncGenerator[World]:
    """The desk on this NATS and this database."""
    async with (
        desk_served(nats_url, dsn) as url,
        bus.connect(CommonSettings(nats_url=nats_url), "test", Shutdown()) as nats,
        httpx2.AsyncClient(
            base_url=url,
            headers=OURS,
            cookies=await cookies(dsn, "mira", "operator"),
            timeout=PATIENCE_S,
        ) as http,
    ):
        yield World(url, dsn, nats, http)


async def told(socket: ClientConnection) -> dict[str, str]:
    """The next text message."""
    async with asyncio.timeout(PATIENCE_S):
        while isinstance(message := await socket.recv(), bytes):
            pass
        return codec.decode(dict[str, str], message.encode())


async def until(check: Callable[[], object]) -> None:
    """Wait for ``check``."""
    async with asyncio.timeout(PATIENCE_S):
        while not check():
            await asyncio.sleep(0.01)
