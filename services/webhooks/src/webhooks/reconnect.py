"""Carrying a live call on over a new stream by REST, with the TwiML that stream_ended would answer.

Used by watchdog, for a leg that was lost, and by calls.redirect. ``resuming`` is the lock: of
several processes, and of Twilio's own request for the action, one goes on.
"""

from typing import Literal

from protocol import ids
from protocol.ids import CallId
from protocol.stream_token import LIFETIME_S
from runtime import clock, logging
from webhooks.decision import NewStream
from webhooks.numbers import Parties
from webhooks.record import Record
from webhooks.story import Story
from webhooks.stream_token import Offers
from webhooks.twilio_rest import TwilioRest

_log = logging.get("reconnect")

LOG_S = 2.0
AHEAD_MS = 1_000
"""A leg that is still carried goes on until Twilio has acted; the next one begins behind it."""


class Reconnect:
    """Redirects calls to a new stream."""

    def __init__(self, record: Record, rest: TwilioRest, offers: Offers) -> None:
        self._record = record
        self._rest = rest
        self._offers = offers

    async def to(
        self,
        call: CallId,
        story: Story,
        stream: NewStream,
        *,
        reason: Literal["watchdog", "operator"],
    ) -> bool:
        """Take the call and redirect it; False when somebody else took it first.

        Raises NatsAway (nothing was asked of Twilio), TwilioRefused, TwilioSilent.
        """
        assert stream.expected is not None, "a redirect has no request that could be repeated"
        taken = await self._record.resuming(
            call,
            ids.new_event_id(),
            previous_leg=stream.previous_leg,
            because=reason,
            expected=stream.expected,
            timeout=LOG_S,
        )
        if not taken:
            return False
        await self._record.redirecting(call, reason, timeout=LOG_S)
        live = story.closing is None and story.stopped is None and reason == "operator"
        document = self._offers.twiml(
            call,
            parties_of(story),
            previous_leg=stream.previous_leg,
            line_ms=stream.line_ms + (AHEAD_MS if live else 0),
            expires=int(clock.unix_now()) + LIFETIME_S,
        )
        await self._rest.redirect(call, document)
        _log.info("call redirected to a new stream", call_id=call, reason=reason)
        return True


def parties_of(story: Story) -> Parties:
    """Who is on a call, by its log; empty numbers when the log does not know."""
    ringing = story.ringing
    if ringing is None:
        return Parties("", "", "inbound")
    return Parties(ringing.caller, ringing.called, ringing.direction)
