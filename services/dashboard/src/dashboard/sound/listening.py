"""Listening to a call that goes on: ``/calls/{call_id}/listen``, a websocket.

To the browser: binary, a byte for the track (0 caller, 1 assistant), 8 bytes line_ms (big-endian),
then mu-law; text, a ``Told`` as JSON. From the browser nothing is read but the end.
"""

import asyncio
import struct

from starlette.websockets import WebSocket

from dashboard import metrics
from dashboard.live.call_pages import CallPages
from dashboard.people.trail import Trail
from dashboard.sound.attended import Attended, attended
from dashboard.sound.outgoing import Told
from dashboard.sse import Hub
from protocol import subjects
from protocol.errors import DecodeError
from protocol.line import LISTEN_S, Listen, Listening, ListenReply, NotNow
from runtime.bus import Bus
from runtime.errors import NatsAway, NoAnswer, Refused
from runtime.subscribed import Message, Subscribed
from runtime.tasks import Tasks
from runtime.tracks import line_ms_of

ANSWER_S = 2.0
RETRY_S = 1.0
"""Seconds until a call that cannot be listened to is asked about again."""
TRACKS = {"caller": 0, "assistant": 1}

LISTENING = Told("listening")
AT_GATE = Told("gate", "The caller stands at the gate: nobody may listen. It starts by itself.")
NOBODY = Told("nobody", "No line of this call answers; it is asked again.")
AWAY = Told("away", "NATS is away; it is asked again.")
UNWRITTEN = Told("refused", "The call's log does not answer, so nobody listens.")


class ListenSocket:
    """Serves one listener after the other, and many at once."""

    def __init__(self, bus: Bus, trail: Trail, calls: CallPages, hub: Hub) -> None:
        self._bus = bus
        self._trail = trail
        self._calls = calls
        self._hub = hub

    async def listen(self, socket: WebSocket) -> None:
        """Serve one listener to the end."""
        async with attended(socket, self._calls, self._hub, self._bus) as one:
            if one is None:
                return
            with metrics.listeners.track_inprogress():
                async with Tasks("listen") as tasks:
                    tasks.spawn(_until_gone(one), "gone")
                    tasks.spawn(self._ears(one), "ears")
                    await one.out.drain()
            if one.out.cut_off:
                metrics.listeners_cut_off.inc()

    async def _ears(self, one: Attended) -> None:
        ear: Subscribed | None = None
        told: Told | None = None
        try:
            while not one.out.ended:
                now = await self._ask(one)
                if now is LISTENING and ear is None:
                    # The tracks flow, but nobody hears them before the act is written.
                    try:
                        await self._trail.acted(one.operator, one.row.call_id, "listen")
                    except NatsAway:
                        one.out.end(UNWRITTEN)
                        return
                    ear = await self._hear(one)
                if now != told:
                    one.out.put(now)
                    told = now
                await asyncio.sleep(LISTEN_S / 3 if now is LISTENING else RETRY_S)
        finally:
            if ear is not None:
                await ear.stop()

    async def _ask(self, one: Attended) -> Told:
        subject = subjects.listen(one.row.call_id)
        try:
            reply: ListenReply = await self._bus.request(
                subject, Listen(one.operator.name), ListenReply, timeout=ANSWER_S
            )
        except (NoAnswer, Refused, DecodeError):
            return NOBODY
        except NatsAway:
            return AWAY
        match reply:
            case Listening():
                return LISTENING
            case NotNow():
                return AT_GATE

    async def _hear(self, one: Attended) -> Subscribed:
        async def came(message: Message) -> None:
            track = TRACKS.get(message.subject.rpartition(".")[2])
            line_ms = line_ms_of(message.headers)
            if track is not None and line_ms is not None:
                one.out.put(block(track, line_ms, message.data))

        return await self._bus.subscribe(subjects.call_ear(one.row.call_id), came)


def block(track: int, line_ms: int, mulaw: bytes) -> bytes:
    """A block of an ear track as a browser gets it."""
    return struct.pack(">BQ", track, line_ms) + mulaw


async def _until_gone(one: Attended) -> None:
    while (await one.socket.receive())["type"] != "websocket.disconnect":
        pass
    one.out.end()
