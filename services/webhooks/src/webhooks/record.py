"""The log as webhooks reads and writes it: one method an event, one read for decisions.

Called by the handlers. Every method raises NatsAway when the log does not answer in its time; the
handlers say what the caller hears then.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from protocol import ids
from protocol.errors import DecodeError
from protocol.events import (
    AnyEvent,
    CallEnded,
    EndReason,
    Resuming,
    Ringing,
    StatusChanged,
    StreamClosing,
    StreamStarted,
    name_of,
)
from protocol.ids import CallId, EventId, Leg
from runtime import clock, outbox
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway
from webhooks.decision import Story, tell

_SERVICE = "webhooks"
_RETRY_S = 0.1
_DECIDING = tuple(name_of(kind) for kind in (StreamStarted, StreamClosing, Resuming, CallEnded))


class Record:
    """Reads and writes the log of any call; ``worker`` is this process's name."""

    def __init__(self, bus: Bus, worker: str) -> None:
        self._bus = bus
        self._log = CallLog(bus)
        self._worker = worker

    async def rang(
        self, call: CallId, *, caller: str, called: str, direction: str, timeout: float
    ) -> Story:
        """Write ``ringing`` unless the log has it, and read the call's story with it."""
        event = Ringing(
            id=ids.caused_event_id("voice", call),
            call_id=call,
            at=clock.utc_now(),
            service=_SERVICE,
            worker=self._worker,
            caller=caller,
            called=called,
            direction=direction,
        )
        async with _within(timeout):
            sequence = await outbox.take(self._bus, event, expected=0, timeout=timeout)
            return await self._read(call, at_least=sequence or 0, timeout=timeout)

    async def story(self, call: CallId, *, timeout: float) -> Story:
        """The call's story, at least as new as the log's leader was when asked.

        Batches may be answered by a replica that lags; a closing it does not know yet would make
        a finished call look lost. So the leader says first how far to read.
        """
        async with _within(timeout):
            newest = 0
            for name in _DECIDING:
                with contextlib.suppress(DecodeError):  # of a newer version: read skips it too
                    last = await self._log.last(call, name, timeout=timeout)
                    newest = max(newest, last.sequence if last is not None else 0)
            return await self._read(call, at_least=newest, timeout=timeout)

    async def status_changed(
        self,
        call: CallId,
        cause: str,
        *,
        status: str,
        sequence: int | None,
        duration_s: int | None,
        timeout: float,
    ) -> None:
        """Write ``status_changed``; the same ``cause`` is written once."""
        event = StatusChanged(
            id=ids.caused_event_id("status", call, cause),
            call_id=call,
            at=clock.utc_now(),
            service=_SERVICE,
            worker=self._worker,
            status=status,
            sequence=sequence,
            duration_s=duration_s,
        )
        async with _within(timeout):
            await self._publish(event)

    async def ended(
        self, call: CallId, reason: EndReason, *, status: str = "", timeout: float
    ) -> None:
        """Write ``call_ended`` unless somebody has: the first reason stays."""
        event = CallEnded(
            id=ids.caused_event_id("call_ended", _SERVICE, call),
            call_id=call,
            at=clock.utc_now(),
            service=_SERVICE,
            worker=self._worker,
            reason=reason,
            status=status,
        )
        async with _within(timeout):
            await outbox.take(self._bus, event, expected=0, timeout=timeout)

    async def resuming(
        self,
        call: CallId,
        request: EventId,
        *,
        previous_leg: Leg,
        because: str,
        expected: int,
        timeout: float,
    ) -> bool:
        """Take ``resuming`` after the one at ``expected``; False when somebody else was first."""
        event = Resuming(
            id=request,
            call_id=call,
            at=clock.utc_now(),
            service=_SERVICE,
            worker=self._worker,
            previous_leg=previous_leg,
            reason=because,
        )
        async with _within(timeout):
            taken = await outbox.take(self._bus, event, expected=expected, timeout=timeout)
        return taken is not None

    async def _read(self, call: CallId, *, at_least: int, timeout: float) -> Story:
        entries = await self._log.read(call, at_least=at_least, timeout=timeout)
        return tell((entry.sequence, entry.event) for entry in entries)

    async def _publish(self, event: AnyEvent) -> None:
        while True:
            try:
                await outbox.publish(self._bus, event)
            except NatsAway:
                await asyncio.sleep(_RETRY_S)
            else:
                return


@contextlib.asynccontextmanager
async def _within(timeout: float) -> AsyncGenerator[None]:
    """One bound in seconds over all steps of a method. Raises NatsAway when it passes."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError:
        raise NatsAway("the log does not answer") from None
