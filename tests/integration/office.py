"""Webhooks with the service ``calls``, a simulated Twilio around it and a NATS of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from protocol import events as e
from protocol import ids, subjects
from protocol.calls import (
    CallReply,
    HangUpCall,
    PlaceCall,
    PlaceReply,
    RedirectCall,
    TransferCall,
)
from protocol.ids import CallId, EventId, IngressId, Leg, StreamId
from protocol.line import Intent
from runtime import bus, outbox
from runtime.admin import serving
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.clock import utc_now
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import load
from testbed.nats_server import NatsServer
from testbed.ports import free_ports
from testbed.twilio import Call, Faults, SimulatedTwilio, Timing, TwilioAccount, serve_rest
from webhooks.app import opened
from webhooks.settings import Settings

PUBLIC = "https://voice.example.com"
ACCOUNT, TOKEN = "AC" + "a" * 32, "t" * 32
OURS, PERSON, HUMAN = "+15550100002", "+15550100003", "+15550100009"
TIMEOUT = 20.0
PROFILE = f"""
name = "office"
numbers = ["*"]
instructions = "i"
greeting = "g"
[transfer]
number = "{HUMAN}"
ring_s = 7
whisper = "A caller with a question."
nobody = "Nobody is in the office."
"""


@dataclass
class Office:
    """What a test holds in its hands."""

    twilio: SimulatedTwilio
    nats: Bus
    server: NatsServer
    web: str
    """The local address behind PUBLIC."""
    settings: Settings
    sockets: set[ServerConnection] = field(default_factory=set)

    @property
    def dialled(self) -> list[Call]:
        """Every call that Twilio was made to dial."""
        return [c for c in self.twilio.calls.values() if c.facts.direction == "outbound-api"]

    async def ask(self, verb: str, message: Any, answer: Any) -> Any:
        return await self.nats.request(subjects.calls(verb), message, answer, timeout=TIMEOUT)

    async def place(self, key: str = "k", to: str = PERSON, **more: Any) -> Any:
        return await self.ask("place", PlaceCall(EventId(key), to, **more), PlaceReply)

    async def hang_up(self, call: str) -> Any:
        return await self.ask("hang_up", HangUpCall(CallId(call)), CallReply)

    async def transfer(self, call: str, to: str = "") -> Any:
        return await self.ask("transfer", TransferCall(CallId(call), to), CallReply)

    async def redirect(self, call: str) -> Any:
        return await self.ask("redirect", RedirectCall(CallId(call)), CallReply)

    async def events(self, call: str) -> list[e.AnyEvent]:
        return [entry.event for entry in await CallLog(self.nats).read(CallId(call))]

    async def written(self, call: str, kind: type[Any]) -> list[Any]:
        return [event for event in await self.events(call) if isinstance(event, kind)]

    async def until_written(self, call: str, kind: type[Any]) -> Any:
        """The first event of a kind, waited for."""
        async with asyncio.timeout(TIMEOUT):
            while not (found := await self.written(call, kind)):
                await asyncio.sleep(0.02)
        return found[0]

    # What stream-ingress would write and do.
    async def talking(self, call: Call) -> Leg:
        """The call is connected with its stream, and the log has it."""
        await call.wait_until(lambda c: c.stream and c.stream.started, TIMEOUT)
        return await self.write_started(call.sid)

    async def write_started(self, call: str, *, ingress: str = "i1", **more: Any) -> Leg:
        event = e.StreamStarted(
            **_common(call),
            stream_id=StreamId("MZ" + "0" * 32),
            ingress=IngressId(ingress),
            previous_leg=Leg(0),
            **more,
        )
        return Leg(await outbox.publish(self.nats, event))

    async def write_ringing(self, call: str, **more: Any) -> None:
        await outbox.publish(
            self.nats, e.Ringing(**_common(call), caller=PERSON, called=OURS, **more)
        )

    async def close(self, call: str, leg: Leg, intent: Intent) -> None:
        """Close the stream with an intent, as ingress does when the agent said so."""
        event = e.StreamClosing(**_common(call), leg=leg, intent=intent, line_ms=1_000)
        await outbox.publish(self.nats, event)
        for socket in tuple(self.sockets):
            await socket.close()


def _common(call: str) -> dict[str, Any]:
    return {
        "id": ids.new_event_id(),
        "call_id": CallId(call),
        "at": utc_now(),
        "service": "stream-ingress",
        "worker": "i1",
    }


@asynccontextmanager
async def running(
    folder: Path,
    *,
    replicas: int = 1,
    timing: Timing | None = None,
    faults: Faults | None = None,
    profile: str = PROFILE,
    watching: bool = False,
    media: Callable[[ServerConnection], Awaitable[None]] | None = None,
    **environ: str,
) -> AsyncIterator[Office]:
    """The office; ``environ`` adds settings. All replicas answer ``calls``, the first the web.

    ``watching``: they look after lost legs, too. ``media`` carries the sockets, if not silence.
    """
    profiles = folder / "assistants"
    profiles.mkdir()
    (profiles / "office.toml").write_text(profile, "utf-8")
    account = TwilioAccount(
        ACCOUNT, TOKEN, OURS, f"{PUBLIC}/twilio/voice", status_callback=f"{PUBLIC}/twilio/status"
    )
    timing = timing or Timing(speech_ms=5, ring_ms=5, close_ms=500)
    sockets: set[ServerConnection] = set()

    async def silence(socket: ServerConnection) -> None:
        sockets.add(socket)
        async for _ in socket:
            pass
        sockets.discard(socket)

    server = await NatsServer.start(folder / "nats")
    try:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            websockets = await enter(serve(media or silence, "127.0.0.1", 0))
            media_port = websockets.sockets[0].getsockname()[1]
            routes = {"wss://voice.example.com": f"ws://127.0.0.1:{media_port}"}
            shutdown = Shutdown()
            (rest_port,) = free_ports(1)
            settings = load(
                Settings,
                {
                    "NATS_URL": server.url,
                    "PUBLIC_URL": PUBLIC,
                    "TWILIO_ACCOUNT_SID": ACCOUNT,
                    "TWILIO_AUTH_TOKEN": TOKEN,
                    "TWILIO_PHONE_NUMBER": OURS,
                    "TWILIO_API_URL": f"http://127.0.0.1:{rest_port}",
                    "ASSISTANTS_DIR": str(profiles),
                    "OUTBOUND_PREFIXES": "+1555",
                    "OUTBOUND_PER_MINUTE": "100",
                    "STREAM_TOKEN_SECRET": "a-secret-of-stream-tokens",
                }
                | environ,
            )
            for n in range(replicas):
                nats = await enter(bus.connect(settings, f"webhooks-{n}", shutdown))
                await provision(nats, wait_s=10, shutdown=shutdown)
                app = await enter(opened(settings, nats, f"webhooks-{n}", watching=watching))
                port = await enter(
                    serving(app, host="127.0.0.1", port=0, what="webhooks", setting="-")
                )
                routes.setdefault(PUBLIC, f"http://127.0.0.1:{port}")
            desk = await enter(bus.connect(settings, "desk", shutdown))
            twilio = await enter(
                SimulatedTwilio(account, routes=routes, timing=timing, faults=faults)
            )
            await enter(serve_rest(twilio, port=rest_port))
            yield Office(twilio, desk, server, routes[PUBLIC], settings, sockets)
    finally:
        await server.stop()
