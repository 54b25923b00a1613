"""The log as webhooks reads and writes it: one method an event, one read for decisions.

Called by the handlers. Every method raises NatsAway when the log does not answer in its time; the
handlers say what the caller hears then.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TypedDict

from protocol import ids
from protocol.errors import DecodeError
from protocol.events import (
    AnyEvent,
    CallEnded,
    DialEnded,
    EndReason,
    MachineDetected,
    Redirecting,
    Resuming,
    Ringing,
    StatusChanged,
    StreamClosing,
    StreamStarted,
    Transferred,
    name_of,
)
from protocol.ids import CallId, EventId, Leg
from runtime import clock, outbox
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway
from webhooks.numbers import Parties
from webhooks.story import Story, tell

_SERVICE = "webhooks"
_RETRY_S = 0.1
_DECIDING = tuple(
    name_of(kind)
    for kind in (StreamStarted, StreamClosing, Resuming, Redirecting, Transferred, CallEnded)
)


class _Common(TypedDict):
    """What every event of ours carries."""

    id: EventId
    call_id: CallId
    at: datetime
    service: str
    worker: str


class Record:
    """Reads and writes the log of any call; ``worker`` is this process's name."""

    def __init__(self, bus: Bus, worker: str) -> None:
        self._bus = bus
        self._log = CallLog(bus)
        self._worker = worker

    async def rang(
        self, call: CallId, who: Parties, *, operator: str = "", timeout: float
    ) -> Story:
        """Write ``ringing`` unless the log has it, and read the call's story with it.

        ``operator``: who calls from a browser; empty for a telephone.
        """
        event = Ringing(
            **self._common(call, ids.caused_event_id("voice", call)),
            caller=who.caller,
            called=who.called,
            direction=who.direction,
            channel="browser" if operator else "phone",
            operator=operator,
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
            **self._common(call, ids.caused_event_id("status", call, cause)),
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
            **self._common(call, ids.caused_event_id("call_ended", _SERVICE, call)),
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
            **self._common(call, request),
            previous_leg=previous_leg,
            reason=because,
        )
        async with _within(timeout):
            taken = await outbox.take(self._bus, event, expected=expected, timeout=timeout)
        return taken is not None

    async def redirecting(self, call: CallId, reason: str, *, timeout: float) -> None:
        """Say ahead that a REST update replaces what the call does."""
        event = Redirecting(**self._common(call, ids.new_event_id()), reason=reason)
        async with _within(timeout):
            await self._publish(event)

    async def redirecting_after(
        self, call: CallId, reason: str, *, expected: int, timeout: float
    ) -> bool:
        """``redirecting``, if the one at ``expected`` is still the last; False when it is not."""
        event = Redirecting(**self._common(call, ids.new_event_id()), reason=reason)
        async with _within(timeout):
            return (
                await outbox.take(self._bus, event, expected=expected, timeout=timeout) is not None
            )

    async def transferred(self, call: CallId, to: str, *, cause: str, timeout: float) -> None:
        """Write ``transferred``; the same ``cause`` is written once."""
        id = ids.new_event_id() if cause == "rest" else ids.caused_event_id("dial", call, cause)
        async with _within(timeout):
            await self._publish(Transferred(**self._common(call, id), to=to))

    async def machine_detected(
        self, call: CallId, answered_by: str, *, took_ms: int, timeout: float
    ) -> None:
        """Write ``machine_detected``, once a call."""
        id = ids.caused_event_id("amd", call)
        event = MachineDetected(**self._common(call, id), answered_by=answered_by, took_ms=took_ms)
        async with _within(timeout):
            await self._publish(event)

    async def dial_ended(
        self,
        call: CallId,
        dialled: str,
        *,
        status: str,
        duration_s: int,
        reason: EndReason,
        timeout: float,
    ) -> None:
        """Write ``dial_ended``, once a ``dialled`` call (its CallSid), and the call's end."""
        id = ids.caused_event_id("dial_ended", call, dialled)
        event = DialEnded(**self._common(call, id), status=status, duration_s=duration_s)
        async with _within(timeout):
            await self._publish(event)
        await self.ended(call, reason, timeout=timeout)

    async def not_dialled(self, call: CallId, why: str, *, cause: str, timeout: float) -> None:
        """Write ``dial_ended`` for a number that was not dialled; the same ``cause`` once."""
        id = ids.caused_event_id("not_dialled", call, cause)
        async with _within(timeout):
            await self._publish(DialEnded(**self._common(call, id), status=why))

    def _common(self, call: CallId, id: EventId) -> _Common:
        return {
            "id": id,
            "call_id": call,
            "at": clock.utc_now(),
            "service": _SERVICE,
            "worker": self._worker,
        }

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
