"""POST /twilio/stream-ended, the action of <Connect>: Twilio asks what follows a stream that ended.

The shell around after_stream that answers with TwiML, and dials a human where that was decided.
"""

from urllib.parse import parse_qs

from starlette.responses import Response

from protocol import ids
from protocol.ids import EventId
from protocol.stream_token import LIFETIME_S
from runtime import clock, logging
from runtime.errors import NatsAway
from webhooks import metrics, paths, twiml
from webhooks.after_stream import LOG_S, AfterStream, Asked
from webhooks.allowance import Barred
from webhooks.answers import document
from webhooks.decision import (
    TERMINAL,
    Apologise,
    Decision,
    DialHuman,
    HangUp,
    NewStream,
    Wait,
)
from webhooks.humans import Humans, Target
from webhooks.numbers import Parties, parties
from webhooks.record import Record
from webhooks.settings import Settings
from webhooks.signature import SignedForm
from webhooks.story import Story
from webhooks.stream_token import Offers

_log = logging.get("stream-ended")

ASKED_AGAIN = "asked_again"


class StreamEnded:
    """The action webhook."""

    def __init__(self, record: Record, offers: Offers, humans: Humans, settings: Settings) -> None:
        self._record = record
        self._after = AfterStream(record)
        self._offers = offers
        self._humans = humans
        self._action = settings.public_base + paths.STREAM_ENDED

    async def answer(self, form: SignedForm) -> Response:
        """The TwiML of what decision.decide says of the call's log.

        Without the log nobody knows which leg a new stream would succeed, and the ingress could
        not open it either: the caller is kept a moment and Twilio asks once more, then apology.
        """
        asked = Asked(form.call, _request(form), form.get("CallStatus"))
        who = parties(form)
        target = self._humans.target(who.called)
        try:
            story = await self._after.story(form.call)
            decision = await self._after.decide(asked, story, human_there=target is not None)
        except NatsAway:
            metrics.log_away.labels("stream-ended").inc()
            return self._without_log(form)
        if isinstance(decision, DialHuman) and target is not None:
            # A transfer that is written was counted: Twilio asks again for its answer.
            counted = story.transferred is not None
            barred = await self._humans.take(form.call, target, counted=counted)
            if barred is None:
                await self._write_transfer(form, story, target)
            else:
                decision = self._after.decided(asked, story, human_there=False)
                await self._write_barred(form, story, barred)
        await self._after.write_end(asked, decision)
        metrics.decisions.labels(type(decision).__name__).inc()
        _log.info("stream ended", call_id=form.call, decision=type(decision).__name__)
        return document(self._twiml(form, decision, who, target))

    def _twiml(
        self, form: SignedForm, decision: Decision, who: Parties, target: Target | None
    ) -> str:
        match decision:
            case HangUp():
                return twiml.hang_up()
            case DialHuman():
                assert target is not None, "a human is dialled only where one is there"
                return self._humans.dial(target, who)
            case Apologise() if decision.apology == "no_transfer":
                return self._humans.nobody(who.called)
            case Apologise():
                return twiml.apologise(decision.apology)
            case Wait():
                return twiml.wait(self._action)
            case NewStream():
                return self._offers.twiml(
                    form.call,
                    who,
                    previous_leg=decision.previous_leg,
                    line_ms=decision.line_ms,
                    expires=int(clock.unix_now()) + LIFETIME_S,
                )

    async def _write_transfer(self, form: SignedForm, story: Story, target: Target) -> None:
        """Write ``transferred``, once a leg; the answer does not wait for a log that is away."""
        try:
            await self._record.transferred(
                form.call, target.number, cause=str(story.leg), timeout=LOG_S
            )
        except NatsAway:
            _log.warning("transfer not written: the log is away", call_id=form.call)

    async def _write_barred(self, form: SignedForm, story: Story, barred: Barred) -> None:
        """Write why nobody is dialled, once a leg; the answer does not wait either."""
        try:
            await self._record.not_dialled(form.call, barred, cause=str(story.leg), timeout=LOG_S)
        except NatsAway:
            _log.warning("refused dial not written: the log is away", call_id=form.call)

    def _without_log(self, form: SignedForm) -> Response:
        _log.warning("stream ended while the log is away", call_id=form.call)
        if form.get("CallStatus") in TERMINAL:
            return document(twiml.hang_up())
        if ASKED_AGAIN in parse_qs(form.query):
            return document(self._humans.net(form))
        return document(twiml.ask_again(f"{self._action}?{ASKED_AGAIN}=1"))


def _request(form: SignedForm) -> EventId:
    """The id of the resuming that this request may write; a retry by Twilio has the same."""
    if not form.idempotency_token:
        return ids.new_event_id()
    return ids.caused_event_id("stream_ended", form.call, form.idempotency_token)
