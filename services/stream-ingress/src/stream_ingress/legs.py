"""The legs that this process carries: answers ``replay`` from their rings and ``listen`` for their
calls, closes them when asked to, and says every second which they are.

app runs it; each leg adds itself while it is open.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Protocol

from protocol import codec, subjects
from protocol.errors import DecodeError
from protocol.ids import CallId, IngressId, Leg
from protocol.line import Intent, Listen
from protocol.placement import CloseLeg, IngressAlive, LegClosing, NoSuchLeg, ReplayRequest
from runtime.bus import ERROR_CODE_HEADER, ERROR_HEADER, Bus
from runtime.errors import NatsAway
from stream_ingress import metrics
from stream_ingress.ear_tracks import EarTracks
from stream_ingress.line_out import Message
from stream_ingress.metrics import Tally
from stream_ingress.quiet import Turns
from stream_ingress.ring import Ring

ALIVE_EVERY_S = 1.0
HAND_OFF_S = 3.0
"""How long a leg that is asked to hand off waits for a quiet moment."""


class OpenLeg(Protocol):
    """What is used of a leg here."""

    @property
    def call(self) -> CallId: ...
    @property
    def ring(self) -> Ring: ...
    @property
    def ear(self) -> EarTracks: ...
    def hand_off(self, *, within_s: float) -> None: ...
    @property
    def ending(self) -> bool: ...
    def end(self, intent: Intent, *, within_s: float | None = None) -> None: ...


class Legs:
    """Registry of open legs by number."""

    def __init__(self, bus: Bus, name: IngressId, tally: Tally) -> None:
        self._bus = bus
        self._name = name
        self._tally = tally
        self._open: dict[Leg, OpenLeg] = {}
        self.turns = Turns()
        self.hand_off_within_s: float | None = None
        """Set once all legs were asked to hand off: what opens now is to do so, too."""

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def holding(self, number: Leg, leg: OpenLeg) -> Generator[None]:
        """``leg`` is open during the block."""
        self._open[number] = leg
        metrics.legs_open.set(len(self._open))
        try:
            yield
        finally:
            del self._open[number]
            metrics.legs_open.set(len(self._open))

    def hand_off(self, *, within_s: float) -> None:
        """Ask every open leg to leave its call to another socket at a quiet moment, or after
        ``within_s``.
        """
        self.hand_off_within_s = within_s
        self.turns = Turns(len(self._open), round(1000 * within_s))
        for leg in tuple(self._open.values()):
            leg.hand_off(within_s=within_s)

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncGenerator[None]:
        """Answer ``replay``, ``close`` and ``listen`` during the block."""
        handlers = {
            subjects.ingress_replay(self._name): self._replay,
            subjects.ingress_close(self._name): self._close,
            subjects.ALL_LISTEN: self._listen,
        }
        async with contextlib.AsyncExitStack() as stack:
            for subject, handler in handlers.items():
                subscription = await self._bus.subscribe(subject, handler)
                stack.push_async_callback(subscription.stop)
            yield

    async def beat(self) -> None:
        """Say every second and after each reconnect, for ever, which legs are open; flush the
        audio path's counts.
        """
        subject = subjects.ingress_alive(self._name)
        back = asyncio.Event()
        forget = self._bus.on_reconnect(back.set)
        try:
            while True:
                back.clear()
                calls = tuple(leg.call for leg in self._open.values())
                if self._bus.connected:  # a word of the past, told later, would be a lie
                    with contextlib.suppress(NatsAway):
                        alive = IngressAlive(self._name, tuple(self._open), calls)
                        await self._bus.publish(subject, alive)
                self._tally.flush()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(back.wait(), ALIVE_EVERY_S)
        finally:
            forget()

    async def _replay(self, message: Message) -> None:
        if not message.reply:
            return
        try:
            wanted = codec.decode(ReplayRequest, message.data)
        except DecodeError:
            await self._fail(message.reply, 400, "cannot read the request")
            return
        leg = self._open.get(wanted.leg)
        if leg is None or leg.call != wanted.call:
            await self._fail(message.reply, 404, "no such leg here")
            return
        await self._bus.publish(message.reply, leg.ring.between(wanted.from_ms, wanted.to_ms))

    async def _close(self, message: Message) -> None:
        if not message.reply:
            return
        try:
            wanted = codec.decode(CloseLeg, message.data)
        except DecodeError:
            await self._fail(message.reply, 400, "cannot read the request")
            return
        leg = self._open.get(wanted.leg)
        if leg is None or leg.call != wanted.call:
            await self._bus.publish(message.reply, NoSuchLeg(wanted.leg))
            return
        if wanted.intent == "handoff":
            leg.hand_off(within_s=HAND_OFF_S)
        else:
            leg.end(wanted.intent, within_s=0)
        if wanted.intent != "handoff" and not leg.ending:
            await self._fail(message.reply, 503, "the leg is just being opened")
            return
        await self._bus.publish(message.reply, LegClosing(wanted.leg))

    async def _listen(self, message: Message) -> None:
        """Asked of every ingress: the one that holds the call's newest line answers."""
        call = message.subject.split(".")[1]
        carried = [number for number, leg in self._open.items() if leg.call == call]
        if carried and message.reply:
            codec.decode(Listen, message.data)
            await self._bus.publish(message.reply, self._open[max(carried)].ear.listen())

    async def _fail(self, reply: str, code: int, description: str) -> None:
        headers = {ERROR_HEADER: description, ERROR_CODE_HEADER: str(code)}
        await self._bus.publish(reply, None, headers=headers)
