"""POST /twilio/voice: Twilio asks what to do with a call. Answers at once, the same each time."""

from starlette.responses import Response

from protocol.ids import Leg
from protocol.stream_token import LIFETIME_S
from runtime import clock, logging
from runtime.errors import NatsAway
from webhooks import metrics, twiml
from webhooks.answers import document
from webhooks.decision import Story
from webhooks.record import Record
from webhooks.signature import SignedForm
from webhooks.stream_token import Offers, number

_log = logging.get("voice")

LOG_S = 1.5
"""Seconds that the log may take; the caller hears an apology within 2 s."""
LEFT_S = 30
"""A repeated request gets the first one's token while that lives at least this long."""


class Voice:
    """The voice webhook."""

    def __init__(self, record: Record, offers: Offers) -> None:
        self._record = record
        self._offers = offers

    async def answer(self, form: SignedForm) -> Response:
        """The stream's TwiML; an apology when the log is away; a hang-up for a call that is over.

        Twilio may ask twice for one call (a retry): the token is the same then, and only one of
        two sockets can use it.
        """
        try:
            story = await self._record.rang(
                form.call,
                caller=number(form.get("From")),
                called=number(form.get("To")),
                direction=form.get("Direction")[:32] or "inbound",
                timeout=LOG_S,
            )
        except NatsAway:
            metrics.log_away.labels("voice").inc()
            _log.warning("call not taken: the log is away", call_id=form.call)
            return document(twiml.apologise("unavailable"))
        if story.ended is not None:
            _log.info("call is over already", call_id=form.call)
            return document(twiml.hang_up())
        _log.info("call offered a stream", call_id=form.call)
        return document(
            self._offers.twiml(form, previous_leg=Leg(0), line_ms=0, expires=_expires(story))
        )


def _expires(story: Story) -> int:
    now = int(clock.unix_now())
    first = int(story.ringing.at.timestamp()) + LIFETIME_S if story.ringing is not None else 0
    return first if now + LEFT_S <= first <= now + LIFETIME_S else now + LIFETIME_S
