"""When a worker must leave a call: it ended, its line is gone for good, or somebody newer holds it.

Follows the events live and asks the log again every 5 s and after a reconnect, because live
events may be missed while NATS is away.
"""

import asyncio
import contextlib

from protocol import codec, subjects
from protocol.events import Assigned, StreamStopped
from protocol.ids import CallId, Epoch, EventId, Leg
from protocol.streams import REPUBLISHED_SEQUENCE
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.clock import monotonic_ms
from runtime.errors import NatsAway
from runtime.subscribed import Message, Subscribed

CHECK_S = 5.0
RETRY_S = 0.5
LINE_SILENT_MS = 60_000
"""Twilio sends frames all the time: nothing for this long means that the ingress is gone."""
STUCK_MS = 2000


class Watch:
    """``over`` is set when the call is to be left, ``why`` says why.

    ``epoch`` is the newest assignment that is no reason to leave: our own or, as long as the call
    is only prepared for (``held`` False), the one we wait to follow. A prepared call is left as
    soon as its line ends; a held one waits ``line_wait_ms`` for a new leg.
    """

    def __init__(
        self,
        bus: Bus,
        call: CallId,
        leg: Leg,
        epoch: Epoch,
        *,
        held: bool = True,
        line_wait_ms: int = 15_000,
    ) -> None:
        self._bus = bus
        self._log = CallLog(bus)
        self._call = call
        self._leg = leg
        self._epoch = epoch
        self._held = held
        self._line_wait_ms = line_wait_ms
        self._own: EventId | None = None
        self._subscribed: list[Subscribed] = []
        self._line_gone_ms: int | None = None
        self._handled_ms = monotonic_ms()
        self._look = asyncio.Event()
        self._forget = bus.on_reconnect(self._look.set)
        self.over = asyncio.Event()
        self.why = ""

    def leave(self, why: str) -> None:
        if not self.over.is_set():
            self.why = why
            self.over.set()
            self._look.set()

    # -- what the owner tells

    def handled(self) -> None:
        """A message of the line was handled to its end."""
        self._handled_ms = monotonic_ms()

    @property
    def stuck(self) -> bool:
        """Nothing from the line was handled for 2 s."""
        return monotonic_ms() - self._handled_ms >= STUCK_MS

    def taking(self, own: EventId) -> None:
        """``own`` is about to be written as the next ``assigned``: it is no stranger's."""
        self._own = own

    def hold(self, epoch: Epoch) -> None:
        """The call is ours under ``epoch``."""
        self._epoch, self._held = epoch, True

    def moved(self, leg: Leg) -> None:
        """The call has a new line."""
        self._leg = leg
        self._line_gone_ms = None
        self.handled()

    # -- following

    async def listen(self) -> None:
        """Subscribe to the events that may end the call for this worker."""
        call = self._call
        for name, handler in (
            ("call_ended", self._ended),
            ("assigned", self._assigned),
            ("stream_stopped", self._stopped),
        ):
            subject = subjects.event(call, name)
            self._subscribed.append(await self._bus.subscribe(subject, handler))

    async def run(self) -> None:
        """Look at once, for what came before ``listen``, then again and again until the call is
        over.
        """
        pause = 0.0
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, self._line_left_s())):
                    await self._look.wait()
            self._look.clear()
            pause = CHECK_S
            if self._line_left_s() <= 0:
                self.leave("line gone")
            elif monotonic_ms() - self._handled_ms >= LINE_SILENT_MS:
                self.leave("line silent")
            else:
                try:
                    await self._ask()
                except NatsAway:
                    pause = RETRY_S

    async def stop(self) -> None:
        """End the subscriptions."""
        self._forget()
        for subscribed in self._subscribed:
            await subscribed.stop()

    def _line_left_s(self) -> float:
        if self._line_gone_ms is None:
            return CHECK_S
        return max(0, self._line_gone_ms + self._line_wait_ms - monotonic_ms()) / 1000

    async def _ask(self) -> None:
        if await self._log.last(self._call, "call_ended") is not None:
            return self.leave("call ended")
        holder = await self._log.last(self._call, "assigned")
        if holder is not None:
            self._holder(holder.sequence, holder.event.id)
        stopped = await self._log.last(self._call, "stream_stopped")
        if stopped is not None and isinstance(stopped.event, StreamStopped):
            self._line_ended(stopped.event.leg)
        return None

    async def _ended(self, _: Message) -> None:
        self.leave("call ended")

    async def _assigned(self, message: Message) -> None:
        sequence = int((message.headers or {}).get(REPUBLISHED_SEQUENCE, "0"))
        self._holder(sequence, codec.decode(Assigned, message.data).id)

    async def _stopped(self, message: Message) -> None:
        self._line_ended(codec.decode(StreamStopped, message.data).leg)

    def _holder(self, sequence: int, event: EventId) -> None:
        if sequence > self._epoch and event != self._own:
            self.leave("overtaken")

    def _line_ended(self, leg: Leg) -> None:
        if leg != self._leg or self._line_gone_ms is not None:
            return
        if self._held:
            self._line_gone_ms = monotonic_ms()
            self._look.set()
        else:
            self.leave("line gone")
