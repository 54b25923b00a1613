"""The events that ingress writes of one leg, in the order they happened.

leg calls it. Opening a leg and ending a call are takes (one writer wins); the rest goes through
the call's outbox.
"""

import asyncio
from datetime import datetime
from typing import TypedDict

from protocol import events, ids
from protocol.ids import CallId, EventId, IngressId, Leg, StreamId
from protocol.line import Intent
from protocol.stream_token import StreamToken
from runtime import clock, logging, outbox
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway, StaleWriter
from runtime.outbox import Outbox
from stream_ingress.playback import Finished

_log = logging.get("leg_log")

SERVICE = "stream-ingress"
CLOSING_ACK_S = 2.0
LAST_WORDS_S = 2.0


class _Common(TypedDict):
    id: EventId
    call_id: CallId
    at: datetime
    service: str
    worker: str


class LegLog:
    """Writer of one leg; ``leg`` is 0 until ``open`` gave it its number."""

    def __init__(self, bus: Bus, call: CallId, ingress: IngressId) -> None:
        self._bus = bus
        self._call = call
        self._ingress = ingress
        self._outbox: Outbox | None = None
        self.leg = Leg(0)

    async def open(self, stream: StreamId, token: StreamToken) -> bool:
        """Take the line for this socket: False when the token was used or a newer leg exists.

        Raises NatsAway.
        """
        event = events.StreamStarted(
            **self._common(),
            stream_id=stream,
            ingress=self._ingress,
            previous_leg=token.previous_leg,
            line_ms=token.line_ms,
            channel=token.channel,
        )
        taken = await outbox.take(self._bus, event, expected=token.previous_leg)
        self.leg = Leg(taken or 0)
        return taken is not None

    def write_to(self, box: Outbox) -> None:
        """The call's outbox runs: everything but takes goes through it."""
        self._outbox = box

    def heard(self, item: Finished, line_ms: int) -> None:
        """The last word on an item."""
        self._append(
            events.Heard(
                **self._common(),
                leg=self.leg,
                item_id=item.item_id,
                heard_ms=item.heard_ms,
                sent_ms=item.sent_ms,
                cut=item.cut,
                line_ms=line_ms,
            )
        )

    async def closing(self, intent: Intent, line_ms: int) -> None:
        """Say why the socket will be closed; returns once the log has it, or after 2 s."""
        done = self._append(
            events.StreamClosing(**self._common(), leg=self.leg, intent=intent, line_ms=line_ms)
        )
        try:
            async with asyncio.timeout(CLOSING_ACK_S):
                await asyncio.shield(done)
        except (TimeoutError, NatsAway, StaleWriter):
            _log.warning("closing is not in the log", call_id=self._call, intent=intent)

    async def stopped(self, reason: str, line_ms: int, frames: int, dropped: int) -> None:
        """The socket is gone; returns once the log has everything of this leg, or after 2 s."""
        self._append(
            events.StreamStopped(
                **self._common(),
                leg=self.leg,
                reason=reason,
                line_ms=line_ms,
                frames=frames,
                dropped_frames=dropped,
            )
        )
        assert self._outbox is not None, "stopped is written while the outbox runs"
        await self._outbox.flush(LAST_WORDS_S)

    async def hung_up(self) -> None:
        """Twilio said ``stop``: the call is over, unless a REST update replaced the stream."""
        try:
            redirecting = await CallLog(self._bus).last(self._call, "redirecting")
            if redirecting is not None and redirecting.sequence > self.leg:
                return
            ended = events.CallEnded(**self._common(), reason="caller_hung_up")
            await outbox.take(self._bus, ended, expected=0)
        except NatsAway:  # the status callback ends the call in the log then
            _log.warning("end of the call is not in the log", call_id=self._call)

    def _append(self, event: events.AnyEvent) -> "asyncio.Future[int]":
        assert self._outbox is not None, "events are written while the outbox runs"
        return self._outbox.append(event)

    def _common(self) -> _Common:
        return {
            "id": ids.new_event_id(),
            "call_id": self._call,
            "at": clock.utc_now(),
            "service": SERVICE,
            "worker": self._ingress,
        }
