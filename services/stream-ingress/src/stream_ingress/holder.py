"""Who holds the call of one leg: finds an agent, follows the log to newer ones, and lets the
caller hear a sentence while there is none.

A part of leg, which runs its tasks. It never ends the leg: it asks for an end when nobody has
room.
"""

import asyncio
import contextlib
from collections.abc import Callable

from protocol import codec, subjects
from protocol.events import Assigned
from protocol.ids import CallId, Epoch, Leg
from protocol.line import Intent
from protocol.placement import AssignCall
from protocol.streams import REPUBLISHED_SEQUENCE
from runtime import clock, logging
from runtime.bus import Subscribed
from runtime.errors import NatsAway
from runtime.tasks import Tasks
from stream_ingress import metrics
from stream_ingress.house import House
from stream_ingress.line_in import LineIn
from stream_ingress.line_out import LineOut, Message

_log = logging.get("holder")

HOLD_EVERY_S = 10.0
RETRY_S = 0.1


class Holder:
    """``over`` says whether the leg has ended or is ending."""

    def __init__(
        self,
        house: House,
        call: CallId,
        line_in: LineIn,
        line_out: LineOut,
        *,
        end: Callable[[Intent], None],
        over: Callable[[], bool],
    ) -> None:
        self._house = house
        self._call = call
        self._line_in = line_in
        self._line_out = line_out
        self._end = end
        self._over = over
        self._leg = Leg(0)
        self._previous = Epoch(0)
        self._began_ms = clock.monotonic_ms()
        self._held = asyncio.Event()

    async def begin(self, leg: Leg, *, first: bool) -> list[Subscribed]:
        """Listen to whoever may hold the call. ``first``: no leg was before, so nobody held it.

        The subscriptions are the caller's to stop.
        """
        self._leg = leg
        while not first and not self._over():
            try:
                found = await self._house.agents.holder(self._call)
            except NatsAway:
                await asyncio.sleep(RETRY_S)
                continue
            self._previous = found.epoch if found is not None else Epoch(0)
            break
        self._line_out.open(leg, self._previous)
        subscribe = self._house.bus.subscribe
        return [
            await subscribe(subjects.event(self._call, "assigned"), self._assigned),
            await subscribe(subjects.line_out(self._call), self._line_out.handle),
        ]

    def run(self, tasks: Tasks) -> None:
        """Look for an agent, in tasks of the leg."""
        tasks.spawn(self._placing(), "placing")
        tasks.spawn(self._holding(), "holding")

    def held_by(self, epoch: Epoch) -> None:
        """The line obeys a worker from now on: it hears the caller, too."""
        self._line_in.go_live(self._leg)
        if not self._held.is_set():
            metrics.placed_ms.observe(clock.monotonic_ms() - self._began_ms)
        self._held.set()
        _log.info("call held", call_id=self._call, leg=self._leg, epoch=epoch)

    async def reread(self) -> None:
        """Look up who holds the call, after NATS was away. Raises NatsAway."""
        found = await self._house.agents.holder(self._call)
        if found is not None:
            await self._line_out.obey(found.epoch)

    async def _assigned(self, message: Message) -> None:
        event = codec.decode_event(message.data)
        if isinstance(event, Assigned) and event.leg == self._leg:
            sequence = int((message.headers or {}).get(REPUBLISHED_SEQUENCE, "0"))
            await self._line_out.obey(Epoch(sequence))

    async def _placing(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._house.place_for_s):
                placed = await self._house.agents.place(
                    self._request, lambda: not self._held.is_set() and not self._over()
                )
                if placed is not None:
                    await self._line_out.obey(placed.epoch)
                return
        if self._held.is_set() or self._over():
            return
        _log.warning("nobody has room", call_id=self._call, leg=self._leg)
        self._end("busy")

    async def _holding(self) -> None:
        pause = self._house.hold_after_s
        while not self._held.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._held.wait()
                    return
            if self._over():
                return
            await self._line_out.play("hold", self._house.sentences["hold"])
            pause = HOLD_EVERY_S

    def _request(self) -> AssignCall:
        return AssignCall(
            call=self._call,
            leg=self._leg,
            ingress=self._house.name,
            previous_epoch=self._previous,
            ring_from_ms=self._line_in.ring.from_ms,
            items=self._line_out.ledger(),
        )
