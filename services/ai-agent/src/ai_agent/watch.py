"""When a worker must leave a call: it ended, its line is gone for good, or somebody newer holds it.

Follows the events live and asks the log again every 5 s and after a reconnect, because live
events may be missed while NATS is away.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from protocol import codec, subjects
from protocol.events import StreamStopped
from protocol.ids import CallId, Epoch, Leg
from protocol.streams import REPUBLISHED_SEQUENCE
from runtime.bus import Bus, Message, Subscribed
from runtime.calllog import CallLog
from runtime.clock import monotonic_ms
from runtime.errors import NatsAway

CHECK_S = 5.0
LINE_WAIT_MS = 10_000
"""How long a call is held without a line, for a new leg to come."""
LINE_SILENT_MS = 60_000
"""Twilio sends frames all the time: nothing for this long means that the ingress is gone."""

OnLine = Callable[[str, bytes], Awaitable[None]]


class Watch:
    """``over`` is set when the call is to be left, ``why`` says why."""

    def __init__(self, bus: Bus, call: CallId, leg: Leg, epoch: Epoch) -> None:
        self._bus = bus
        self._log = CallLog(bus)
        self._call = call
        self._leg = leg
        self._epoch = epoch
        self._subscribed: list[Subscribed] = []
        self._line_gone_ms: int | None = None
        self._line_heard_ms = monotonic_ms()
        self._look = asyncio.Event()
        self._forget = bus.on_reconnect(self._look.set)
        self.over = asyncio.Event()
        self.why = ""

    def leave(self, why: str) -> None:
        if not self.over.is_set():
            self.why = why
            self.over.set()

    async def listen(self, line: str, on_line: OnLine) -> None:
        """Subscribe to the line (``on_line`` gets the last token of the subject and the payload)
        and the events that end the call.
        """

        async def heard(message: Message) -> None:
            self._line_heard_ms = monotonic_ms()
            await on_line(message.subject.rpartition(".")[2], message.data)

        call = self._call
        for subject, handler in (
            (line, heard),
            (subjects.event(call, "call_ended"), self._ended),
            (subjects.event(call, "assigned"), self._assigned),
            (subjects.event(call, "stream_stopped"), self._stopped),
        ):
            self._subscribed.append(await self._bus.subscribe(subject, handler))

    async def run(self, stale: asyncio.Event) -> None:
        """Look again and again until the call is over."""
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self._look.wait()
            self._look.clear()
            now = monotonic_ms()
            if stale.is_set():
                self.leave("stale")
            elif self._line_gone_ms is not None and now - self._line_gone_ms >= LINE_WAIT_MS:
                self.leave("line gone")
            elif now - self._line_heard_ms >= LINE_SILENT_MS:
                self.leave("line silent")
            else:
                with contextlib.suppress(NatsAway):
                    await self._ask()

    async def stop(self) -> None:
        """End the subscriptions."""
        self._forget()
        for subscribed in self._subscribed:
            await subscribed.stop()

    async def _ask(self) -> None:
        if await self._log.last(self._call, "call_ended") is not None:
            self.leave("call ended")
        holder = await self._log.last(self._call, "assigned")
        if holder is not None and holder.sequence > self._epoch:
            self.leave("overtaken")

    async def _ended(self, _: Message) -> None:
        self.leave("call ended")

    async def _assigned(self, message: Message) -> None:
        if int((message.headers or {}).get(REPUBLISHED_SEQUENCE, "0")) > self._epoch:
            self.leave("overtaken")

    async def _stopped(self, message: Message) -> None:
        if codec.decode(StreamStopped, message.data).leg == self._leg:
            self._line_gone_ms = monotonic_ms()
