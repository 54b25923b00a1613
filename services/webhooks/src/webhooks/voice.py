"""POST /twilio/voice: Twilio asks what to do with a call. Answers at once, the same each time."""

import asyncio

from starlette.responses import Response

from protocol.ids import Leg
from protocol.stream_token import LIFETIME_S
from runtime import clock, logging
from runtime.errors import NatsAway
from webhooks import metrics, twiml
from webhooks.answers import document
from webhooks.humans import Humans
from webhooks.numbers import parties
from webhooks.record import Record
from webhooks.signature import SignedForm
from webhooks.story import Story
from webhooks.stream_token import Offers
from webhooks.wishes import Wishes, wish_in

_log = logging.get("voice")

LOG_S = 1.5
"""Seconds that the log may take; the caller hears an apology within 2 s."""
BIND_S = 0.5
LEFT_S = 30
"""A repeated request gets the first one's token while that lives at least this long."""


class Voice:
    """The voice webhook."""

    def __init__(self, record: Record, offers: Offers, humans: Humans, wishes: Wishes) -> None:
        self._record = record
        self._offers = offers
        self._humans = humans
        self._wishes = wishes

    async def answer(self, form: SignedForm) -> Response:
        """The stream's TwiML; when the log is away the profile's human or an apology; a hang-up
        for a call that is over. A call that we placed carries its wish in the path.

        Twilio may ask twice for one call (a retry): the token is the same then, and only one of
        two sockets can use it.
        """
        who = parties(form)
        try:
            story = await self._record.rang(form.call, who, timeout=LOG_S)
        except NatsAway:
            metrics.log_away.labels("voice").inc()
            _log.warning("call not taken: the log is away", call_id=form.call)
            return document(self._humans.net(form))
        await self._bind(form)
        if story.ended is not None:
            _log.info("call is over already", call_id=form.call)
            return document(twiml.hang_up())
        _log.info("call offered a stream", call_id=form.call)
        return document(
            self._offers.twiml(
                form.call, who, previous_leg=Leg(0), line_ms=0, expires=_expires(story)
            )
        )

    async def _bind(self, form: SignedForm) -> None:
        wish = wish_in(form.path)
        if wish is None:
            return
        try:
            async with asyncio.timeout(BIND_S):
                await self._wishes.bind(wish, form.call)
        except (NatsAway, TimeoutError):
            # The status callbacks say it again.
            _log.warning("call not bound to its wish: the log is away", call_id=form.call)


def _expires(story: Story) -> int:
    now = int(clock.unix_now())
    first = int(story.ringing.at.timestamp()) + LIFETIME_S if story.ringing is not None else 0
    return first if now + LEFT_S <= first <= now + LIFETIME_S else now + LIFETIME_S
