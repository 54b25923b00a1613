"""Who holds the call of one leg: finds an agent, follows the log to newer ones, and finds another
as soon as the pinger says that this one is lost.

A part of leg, which runs its tasks. It never ends the leg: it asks for an end when nobody has
room. What the caller hears meanwhile is patience's.
"""

import asyncio
import contextlib
from collections.abc import Callable

from protocol import codec, subjects
from protocol.events import Assigned
from protocol.ids import CallId, Epoch, Leg, WorkerId
from protocol.line import Intent
from protocol.placement import AssignCall, AttachCall
from protocol.streams import REPUBLISHED_SEQUENCE
from runtime import clock, logging
from runtime.errors import NatsAway
from runtime.subscribed import Subscribed
from stream_ingress import metrics
from stream_ingress.feed import Feed
from stream_ingress.house import House
from stream_ingress.line_in import LineIn
from stream_ingress.line_out import LineOut, Message
from stream_ingress.patience import Patience
from stream_ingress.pinger import Loss
from stream_ingress.placement import Placed

_log = logging.get("holder")

RETRY_S = 0.1


class Holder:
    """``over`` says whether the leg has ended or is ending."""

    def __init__(
        self,
        house: House,
        call: CallId,
        line_in: LineIn,
        line_out: LineOut,
        patience: Patience,
        *,
        end: Callable[[Intent], None],
        over: Callable[[], bool],
    ) -> None:
        self.call = call
        self.epoch = Epoch(0)
        """The newest assignment seen of this call."""
        self._house = house
        self._line_in = line_in
        self._line_out = line_out
        self._patience = patience
        self._end = end
        self._over = over
        self._leg = Leg(0)
        self._previous_leg = Leg(0)
        self._worker: WorkerId | None = None
        self._elsewhere: Placed | None = None
        self._avoid: WorkerId | None = None
        self._feed = Feed()
        self._began_ms = clock.monotonic_ms()
        self._held = asyncio.Event()
        self._wanted = asyncio.Event()
        self._wanted.set()

    @property
    def worker(self) -> WorkerId | None:
        """Who holds the call on this leg, where that is known."""
        return self._worker if self._held.is_set() else None

    @property
    def nameless(self) -> bool:
        """A holder is heard whose ``assigned`` was not seen."""
        return self._held.is_set() and self._worker is None

    async def begin(self, leg: Leg, *, previous_leg: Leg) -> list[Subscribed]:
        """Listen to whoever may hold the call. ``previous_leg`` 0: nobody held it before.

        The subscriptions are the caller's to stop.
        """
        self._leg, self._previous_leg = leg, previous_leg
        while previous_leg and not self._over():
            try:
                self._elsewhere = await self._house.agents.holder(self.call)
            except NatsAway:
                await asyncio.sleep(RETRY_S)
                continue
            break
        if self._elsewhere is not None:
            self.epoch = self._elsewhere.epoch
            self._patience.was_held = True
        self._line_out.open(leg, self.epoch)
        subscribe = self._house.bus.subscribe
        return [
            await subscribe(subjects.event(self.call, "assigned"), self._assigned),
            await subscribe(
                subjects.line_out(self.call), self._line_out.handle, quick=self._line_out.quick
            ),
        ]

    async def seek(self) -> None:
        """Find somebody whenever nobody holds the call, for ever."""
        while True:
            await self._wanted.wait()
            left_s = self._house.place_for_s
            while not self._held.is_set() and not self._over():
                if not self._house.reach.near.is_set():
                    await self._house.reach.near.wait()  # how long, patience knows
                    left_s = self._house.place_for_s
                began_ms = clock.monotonic_ms()
                try:
                    async with asyncio.timeout(left_s):
                        await self._find()
                except TimeoutError:
                    if self._seeking():
                        _log.warning("nobody has room", call_id=self.call, leg=self._leg)
                        self._end("busy")
                        return
                left_s -= (clock.monotonic_ms() - began_ms) / 1000
            if self._over():
                return

    def lost(self, epoch: Epoch, loss: Loss) -> None:
        """The pinger found that nobody lives under this epoch any more."""
        if epoch != self.epoch or not self._held.is_set() or self._over():
            return
        metrics.lost.labels(loss).inc()
        _log.warning("call lost its worker", call_id=self.call, epoch=epoch, loss=loss)
        self._avoid = self._worker
        self._let_go()

    def spoke(self, epoch: Epoch) -> None:
        """A newer epoch is heard on the line before its ``assigned`` was seen."""
        self._hold(epoch, None)

    def look(self, now_ms: int) -> None:
        """The pinger's look: is the holder given the caller's audio?"""
        self._feed.look(self._line_in.frames, self._line_in.dropped, now_ms)

    def steadily_fed(self, now_ms: int) -> bool:
        """Whether the holder was given the caller's audio for the whole last 2 s."""
        return self._feed.steady(now_ms)

    async def reread(self) -> None:
        """Look up who holds the call, after NATS was away. Raises NatsAway."""
        found = await self._house.agents.holder(self.call)
        if found is not None:
            await self._take_note(found)

    async def rejoin(self) -> bool:
        """After NATS was away: have the holder find out what of its words was lost, by asking it to
        attach to the leg that it has. True when it does.
        """
        if self.worker is None or not self._line_out.may_miss_something:
            return False
        here = Placed(self.epoch, self.worker, self._leg)
        request = self._attach_request(here, self._leg)
        return await self._house.agents.attach(here.worker, request) == "accepted"

    async def _assigned(self, message: Message) -> None:
        event = codec.decode_event(message.data)
        if isinstance(event, Assigned):
            sequence = int((message.headers or {}).get(REPUBLISHED_SEQUENCE, "0"))
            await self._take_note(Placed(Epoch(sequence), WorkerId(event.worker), event.leg))

    async def _take_note(self, placed: Placed) -> None:
        """The log says who holds the call: heard at once if it took this leg, else to be asked."""
        if placed.epoch < self.epoch or placed.leg > self._leg:
            return
        if placed.leg == self._leg:
            self._line_out.obey(placed.epoch)
            if placed.epoch > self.epoch or self._held.is_set():
                self._hold(placed.epoch, placed.worker)
        elif placed.epoch > self.epoch or self.nameless:
            self.epoch, self._elsewhere = placed.epoch, placed
            self._let_go()

    async def _find(self) -> None:
        agents = self._house.agents
        while self._seeking():
            if self._elsewhere is not None:
                await self._attach(self._elsewhere)
                continue
            placed = await agents.place(self._request, self._seeking, avoid=self._avoid)
            if placed is None or placed.epoch < self.epoch:
                continue
            if placed.leg == self._leg:
                self._line_out.let_in(placed.epoch)
                self._hold(placed.epoch, placed.worker)
            else:
                await self._take_note(placed)
                await asyncio.sleep(RETRY_S)

    async def _attach(self, holder: Placed) -> None:
        self._line_out.let_in(holder.epoch)
        answer = await self._house.agents.attach(
            holder.worker, self._attach_request(holder, self._previous_leg)
        )
        if self._elsewhere is not holder or self._held.is_set():
            return  # somebody newer holds the call meanwhile
        if answer == "accepted":
            self._hold(holder.epoch, holder.worker)
        elif answer == "taken":
            with contextlib.suppress(NatsAway):
                await self.reread()
            if self._elsewhere is holder:
                self._elsewhere = None
        elif answer == "unknown":
            await asyncio.sleep(RETRY_S)
        else:
            self._avoid, self._elsewhere = holder.worker, None

    def _hold(self, epoch: Epoch, worker: WorkerId | None) -> None:
        """The line obeys this worker from now on: it hears the caller, too."""
        if epoch < self.epoch or self._over():
            return
        if epoch == self.epoch and self._held.is_set():  # told twice: by the worker and by the log
            self._worker = self._worker or worker
            return
        self.epoch, self._worker = epoch, worker
        self._elsewhere = self._avoid = None
        self._feed.restart()
        self._line_in.go_live(self._leg)
        if not self._held.is_set():
            waited = metrics.moved_ms if self._patience.was_held else metrics.placed_ms
            waited.observe(clock.monotonic_ms() - self._began_ms)
        self._held.set()
        self._wanted.clear()
        self._patience.held(held=True)
        _log.info("call held", call_id=self.call, leg=self._leg, epoch=epoch, holder=worker)

    def _let_go(self) -> None:
        self._worker = None
        self._began_ms = clock.monotonic_ms()
        self._held.clear()
        self._wanted.set()
        self._patience.held(held=False)

    def _seeking(self) -> bool:
        return not self._held.is_set() and not self._over() and self._house.reach.near.is_set()

    def _request(self) -> AssignCall:
        return AssignCall(
            call=self.call,
            leg=self._leg,
            ingress=self._house.name,
            previous_epoch=self.epoch,
            ring_from_ms=self._line_in.ring.from_ms,
            items=self._line_out.ledger(),
        )

    def _attach_request(self, holder: Placed, previous_leg: Leg) -> AttachCall:
        return AttachCall(
            call=self.call,
            epoch=holder.epoch,
            leg=self._leg,
            ingress=self._house.name,
            previous_leg=previous_leg,
            ring_from_ms=self._line_in.ring.from_ms,
        )
