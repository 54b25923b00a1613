"""The events that ingress writes of one leg, in the order they happened.

leg calls it. Opening a leg and ending a call are takes (one writer wins); the rest goes through
the call's outbox. What could not be written before the leg was gone, ``write_rest`` writes when
NATS is back.
"""

import asyncio
import contextlib
from datetime import datetime
from typing import TypedDict

from protocol import events, ids
from protocol.ids import CallId, EventId, IngressId, Leg, StreamId
from protocol.line import Intent
from protocol.stream_token import StreamToken
from runtime import clock, logging, outbox
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway, Refused, StaleWriter
from runtime.outbox import Outbox
from stream_ingress.playback import Finished

_log = logging.get("leg_log")

SERVICE = "stream-ingress"
REST_S = 600
"""How long unwritten events are kept; less than the log's duplicate window."""
REST_RETRY_S = 0.5


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
        self._unwritten: dict[EventId, events.AnyEvent] = {}
        self._call_ended: events.CallEnded | None = None
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

    async def closing(self, intent: Intent, line_ms: int, *, within_s: float) -> None:
        """Say why the socket will be closed; returns once the log has it, or after ``within_s``."""
        done = self._append(
            events.StreamClosing(**self._common(), leg=self.leg, intent=intent, line_ms=line_ms)
        )
        try:
            async with asyncio.timeout(within_s):
                await asyncio.shield(done)
        except (TimeoutError, NatsAway, StaleWriter):
            _log.warning("closing is not in the log", call_id=self._call, intent=intent)

    async def stopped(
        self, reason: str, line_ms: int, frames: int, dropped: int, *, within_s: float
    ) -> None:
        """The socket is gone; returns once the log has everything of this leg, or after
        ``within_s``.
        """
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
        await self._outbox.flush(within_s)

    def hung_up(self) -> None:
        """Twilio said ``stop``: the call is over, unless it goes on on another stream. To be
        written by ``write_end``, or as a part of the rest.
        """
        self._call_ended = events.CallEnded(**self._common(), reason="caller_hung_up")

    async def write_end(self) -> None:
        """Write that the call is over, if it is. Raises NatsAway."""
        if self._call_ended is not None:
            if not await self._goes_on():
                await outbox.take(self._bus, self._call_ended, expected=0)
            self._call_ended = None

    @property
    def has_rest(self) -> bool:
        """Something of this leg is not in the log."""
        return bool(self._unwritten) or self._call_ended is not None

    async def write_rest(self) -> None:
        """Write what is not in the log yet, in order, as soon as NATS answers; the outbox is gone.

        Given up after 10 minutes. Repeats have the same ids: nothing is written twice.
        """
        _log.warning("events are written later", call_id=self._call, waiting=len(self._unwritten))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                while self.has_rest:
                    try:
                        for event in list(self._unwritten.values()):
                            with contextlib.suppress(StaleWriter, Refused):
                                await outbox.publish(self._bus, event)
                            self._unwritten.pop(event.id, None)
                        await self.write_end()
                    except NatsAway:
                        await asyncio.sleep(REST_RETRY_S)
                _log.info("events were written later", call_id=self._call)
                return
        _log.error("events are lost", call_id=self._call, waiting=len(self._unwritten))

    async def _goes_on(self) -> bool:
        log = CallLog(self._bus)
        for name in ("redirecting", "resuming", "stream_started"):
            last = await log.last(self._call, name)
            if last is not None and last.sequence > self.leg:
                return True
        return False

    def _append(self, event: events.AnyEvent) -> "asyncio.Future[int]":
        assert self._outbox is not None, "events are written while the outbox runs"
        self._unwritten[event.id] = event
        done = self._outbox.append(event)
        done.add_done_callback(lambda done: self._appended(event.id, done))
        return done

    def _appended(self, event: EventId, done: "asyncio.Future[int]") -> None:
        if not done.cancelled() and not isinstance(done.exception(), NatsAway):
            self._unwritten.pop(event, None)

    def _common(self) -> _Common:
        return {
            "id": ids.new_event_id(),
            "call_id": self._call,
            "at": clock.utc_now(),
            "service": SERVICE,
            "worker": self._ingress,
        }
