"""Steering a call from a browser: Twilio knows nothing of it, so the ingress that holds its leg is
asked to close it with an intent, and the page is told what follows when it asks.

Used by calls and watchdog.
"""

from protocol import ids, subjects
from protocol.calls import CallDone, CallRefused, CallReply
from protocol.ids import CallId
from protocol.line import Intent
from protocol.placement import CloseLeg, CloseReply, LegClosing
from runtime import clock, logging
from runtime.bus import Bus
from runtime.errors import NoAnswer
from webhooks.decision import Apologise, HangUp, decide
from webhooks.record import Record
from webhooks.story import Story

_log = logging.get("browser-legs")

CLOSE_S = 2.0
LOG_S = 2.0
NOT_DIALLED = "browser"
"""Why the number of a transfer was not dialled: nothing that Twilio could join is on the call."""

_NO_LINE = CallRefused(
    "not_in_progress",
    "The browser has not opened its line yet; without one the call ends by itself.",
)
_SILENT = CallRefused(
    "unknown_outcome", "stream-ingress did not answer: look at the call before you retry."
)


class BrowserLegs:
    """Acts on calls whose story says ``browser`` and that have not ended. Every method raises
    NatsAway.
    """

    def __init__(self, bus: Bus, record: Record) -> None:
        self._bus = bus
        self._record = record

    async def hang_up(self, call: CallId, story: Story) -> CallReply:
        """End the call at once, also when nobody holds its leg any more."""
        if story.started is None:
            return _NO_LINE
        try:
            await self._close(call, story, "hangup")
        except NoAnswer as answer:
            if not answer.nobody:
                return _SILENT
        await self._record.ended(call, "assistant_hung_up", timeout=LOG_S)
        return CallDone(call)

    async def transfer(self, call: CallId, story: Story, number: str) -> CallReply:
        """End the call with a sentence about ``number``, which would be dialled on a telephone."""
        if story.started is None:
            return _NO_LINE
        await self._record.transferred(call, number, cause="rest", timeout=LOG_S)
        await self._record.not_dialled(call, NOT_DIALLED, cause=str(story.leg), timeout=LOG_S)
        return await self._closed(call, story, "transfer")

    async def redirect(self, call: CallId, story: Story) -> CallReply:
        """Close the leg so that the page opens a new one."""
        return await self._closed(call, story, "handoff")

    async def left(self, call: CallId, story: Story) -> None:
        """Write the end of a call whose page is gone: its last intent, or lost."""
        decision = decide(
            story, call_status="in-progress", request=ids.new_event_id(), now=clock.utc_now()
        )
        reason = decision.reason if isinstance(decision, HangUp | Apologise) else None
        await self._record.ended(call, reason or "lost", timeout=LOG_S)

    async def _closed(self, call: CallId, story: Story, intent: Intent) -> CallReply:
        try:
            closing = await self._close(call, story, intent)
        except NoAnswer as answer:
            closing = False
            if not answer.nobody:
                return _SILENT
        if closing:
            return CallDone(call)
        return CallRefused("not_in_progress", "The line of this call is gone.")

    async def _close(self, call: CallId, story: Story, intent: Intent) -> bool:
        """Whether the leg was there. Raises NoAnswer, NatsAway."""
        assert story.started is not None, "a leg was opened"
        subject = subjects.ingress_close(story.started.ingress)
        ask = CloseLeg(call, story.leg, intent)
        reply: CloseReply = await self._bus.request(subject, ask, CloseReply, timeout=CLOSE_S)
        closing = isinstance(reply, LegClosing)
        _log.info("leg asked to close", call_id=call, leg=story.leg, intent=intent, there=closing)
        return closing
