"""What follows a stream that ended: decision.decide over the call's log, and the locks and events
that it needs.

Called by stream_ended for Twilio and by browser_calls for browsers, which say the decision in their
own words.
"""

from msgspec import Struct

from protocol.ids import CallId, EventId
from runtime import clock, logging
from runtime.errors import NatsAway
from webhooks.decision import (
    BY_REST,
    TERMINAL,
    Decision,
    DialHuman,
    HangUp,
    NewStream,
    Wait,
    decide,
)
from webhooks.record import Record
from webhooks.story import Story

_log = logging.get("after-stream")

LOG_S = 1.0
"""Seconds that each of reading and writing the log may take: the caller hears silence meanwhile."""


class Asked(Struct, frozen=True):
    """Who asks what follows. ``request`` is the id of the ``resuming`` that may be written for it,
    the same when the request is repeated; ``status`` is Twilio's word for the call.
    """

    call: CallId
    request: EventId
    status: str = ""


class AfterStream:
    """Decides; every method raises NatsAway when the log does not answer, but ``write_end``."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def story(self, call: CallId) -> Story:
        return await self._record.story(call, timeout=LOG_S)

    def decided(self, asked: Asked, story: Story, *, human_there: bool) -> Decision:
        """By the log alone; nothing is written."""
        return decide(
            story,
            call_status=asked.status,
            request=asked.request,
            now=clock.utc_now(),
            human_there=human_there,
        )

    async def decide(self, asked: Asked, story: Story, *, human_there: bool) -> Decision:
        """What is done: a new stream is offered only once ``resuming`` is taken.

        Who loses against another such request offers the same stream, for the log lets one socket
        open it; who loses against a redirect by REST stands back.
        """
        decision = self.decided(asked, story, human_there=human_there)
        if not isinstance(decision, NewStream) or decision.expected is None:
            return decision
        first = await self._record.resuming(
            asked.call,
            asked.request,
            previous_leg=decision.previous_leg,
            because=decision.because,
            expected=decision.expected,
            timeout=LOG_S,
        )
        _log.info("call resumed", call_id=asked.call, because=decision.because, first=first)
        if first:
            return decision
        story = await self.story(asked.call)
        again = self.decided(asked, story, human_there=False)
        by_rest = story.resumed is not None and story.resumed.reason in BY_REST
        return again if isinstance(again, HangUp) or by_rest else decision

    async def write_end(self, asked: Asked, decision: Decision) -> None:
        """Write ``call_ended`` if decided; the answer does not wait for a log that is away."""
        if isinstance(decision, NewStream | DialHuman | Wait) or decision.reason is None:
            return
        try:
            await self._record.ended(
                asked.call,
                decision.reason,
                status=asked.status if asked.status in TERMINAL else "",
                timeout=LOG_S,
            )
        except NatsAway:
            # The status callback, or the watchdog, says it again.
            _log.warning("end of call not written: the log is away", call_id=asked.call)
