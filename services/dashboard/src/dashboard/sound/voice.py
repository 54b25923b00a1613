"""Speaking to a caller in the assistant's place: ``/calls/{call_id}/voice``, a websocket.

From the browser: binary, a frame of 160 bytes mu-law each 20 ms, silence too. To the browser: text,
a ``Told`` as JSON. The end of the socket gives the call back, however it ends; a desk that dies is
noticed by the worker, which gets no audio any more (``protocol.commands.LEASE_S``).
"""

import asyncio
import contextlib
from collections.abc import Callable

from starlette.websockets import WebSocket

from dashboard import metrics
from dashboard.live.call_pages import CallPages
from dashboard.people.trail import Trail
from dashboard.sound.attended import Attended, attended
from dashboard.sound.outgoing import Told
from dashboard.sse import Hub
from dashboard.steer.acts import give_back, hindrance, take_over
from dashboard.steer.steering import Steering
from protocol import codec, subjects
from protocol import events as e
from protocol.audio import FRAME_BYTES, FRAME_MS
from runtime.bus import Bus
from runtime.errors import NatsAway
from runtime.subscribed import Message
from runtime.tasks import Tasks

AHEAD = 25
"""Frames that a browser may be ahead of the clock, having been held up; more are dropped."""

SPEAKING = Told("speaking", "You are speaking to the caller.")
SILENT = Told("given_back", "Nothing was heard of you, so the assistant goes on.")
GIVEN_BACK = Told("given_back", "The assistant goes on.")
WATCH_S = 1.0
"""Seconds between looks at the board: while NATS is away the worker's word may be missed."""

STRANGE = Told("refused", "What came was no frame of sound.")


class Pace:
    """Lets through as many frames as there is time for, and AHEAD more (pure but for ``now``)."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._due = now()

    def lets(self) -> bool:
        """May another frame pass?"""
        now = self._now()
        self._due = max(self._due, now - FRAME_MS / 1000)
        if self._due > now + AHEAD * FRAME_MS / 1000:
            return False
        self._due += FRAME_MS / 1000
        return True


class VoiceSocket:
    """Serves operators who speak."""

    def __init__(
        self, bus: Bus, steering: Steering, trail: Trail, calls: CallPages, hub: Hub
    ) -> None:
        self._bus = bus
        self._steering = steering
        self._trail = trail
        self._calls = calls
        self._hub = hub

    async def voice(self, socket: WebSocket) -> None:
        """Serve one operator to the end."""
        async with attended(socket, self._calls, self._hub, self._bus) as one:
            if one is None:
                return
            name = one.operator.name
            why = hindrance(one.row.state, "take_over", name)
            if why:
                one.out.end(Told("refused", why))
                await one.out.drain()
                return
            await self._taken(one)

    async def _taken(self, one: Attended) -> None:
        call, name = one.row.call_id, one.operator.name

        holds = True

        async def came(message: Message) -> None:
            nonlocal holds
            event = codec.decode_as(e.AnyEvent, message.data)
            if isinstance(event, e.GivenBack) and event.operator == name:
                holds = False
                one.out.end(SILENT if event.reason == "silent" else GIVEN_BACK)

        outcome = await self._steering.do(one.operator, call, take_over(name))
        if not outcome.done:
            one.out.end(Told("refused", outcome.words))
            await one.out.drain()
            return
        subscribed = await self._bus.subscribe(subjects.event(call, "given_back"), came)
        try:
            one.out.put(SPEAKING)
            with metrics.speakers.track_inprogress():
                async with Tasks("voice") as tasks:
                    tasks.spawn(self._speak(one), "speak")
                    tasks.spawn(self._watch(one), "watch")
                    await one.out.drain()
        finally:
            await subscribed.stop()
            if holds:
                await self._steering.tell(call, give_back(name))

    async def _speak(self, one: Attended) -> None:
        subject = subjects.operator_audio(one.row.call_id)
        pace = Pace(asyncio.get_running_loop().time)
        while True:
            message = await one.socket.receive()
            if message["type"] == "websocket.disconnect":
                one.out.end()
                return
            frame = message.get("bytes")
            if message.get("text") == "give_back":
                # A call must not stay taken because that cannot be written down.
                with contextlib.suppress(NatsAway):
                    await self._trail.acted(one.operator, one.row.call_id, "give_back")
                one.out.end(GIVEN_BACK)
                return
            if not frame or len(frame) != FRAME_BYTES:
                one.out.end(STRANGE)
                return
            if pace.lets():
                await self._bus.publish_audio(subject, frame)

    async def _watch(self, one: Attended) -> None:
        """End when the call, once it was theirs, is not any more."""
        name, seen = one.operator.name, False
        while True:
            await asyncio.sleep(WATCH_S)
            # Looked up each time: the row that the socket began with may not be the board's.
            row = self._calls.live_row(one.row.call_id)
            theirs = row is not None and row.state.operator == name
            if seen and not theirs:
                one.out.end(GIVEN_BACK)
                return
            seen = seen or theirs
