"""Calls from a browser, as part of the NATS service ``calls``: what can be called, opening a call,
and what follows when its media socket was closed. The page in the browser is what Twilio is to a
telephone call.
"""

from msgspec import Struct

from protocol import ids
from protocol.calls import (
    AskAgain,
    BrowserLine,
    BrowserLines,
    BrowserPhone,
    BrowserPhoneReply,
    BrowserStreamEnded,
    CallOver,
    CallRefused,
    OpenBrowserCall,
    OpenReply,
    StreamEndedReply,
)
from protocol.errors import StreamTokenError
from protocol.ids import Leg
from runtime import logging
from runtime.assistant import E164
from webhooks import metrics, twiml
from webhooks.after_stream import AfterStream, Asked
from webhooks.decision import Apologise, Decision, DialHuman, HangUp, NewStream, Wait
from webhooks.humans import Humans
from webhooks.numbers import Parties, masked, operator_number, refusal
from webhooks.profiles import Profiles
from webhooks.reconnect import parties_of
from webhooks.record import Record
from webhooks.settings import Settings
from webhooks.story import Story
from webhooks.stream_token import Offers

_log = logging.get("browser-calls")

LOG_S = 2.0
WAIT_MS = 1000
ANY = "+15550100000"
"""The number by which a browser calls a profile that answers every number, if we have none."""
NAME_BYTES = 63
"""An operator's name at most."""

_OFF = CallRefused(
    "not_allowed",
    "The phone in the browser is switched off. Set BROWSER_PHONE=1 for webhooks and stream-ingress "
    "and start them again.",
)
_NOT_YOURS = CallRefused("unknown_call", "You have opened no such call.")


class Ended(Struct, frozen=True):
    """How a decision that ends a call is said in a browser."""

    reason: str
    sentence: str = ""


class BrowserCalls:
    """Handlers of ``calls.browser_phone``, ``open_browser_call`` and ``stream_ended``."""

    def __init__(
        self,
        settings: Settings,
        profiles: Profiles,
        record: Record,
        offers: Offers,
        humans: Humans,
    ) -> None:
        self._on = settings.browser_phone
        self._our_number = settings.twilio_phone_number
        self._prefixes = settings.outbound_prefixes
        self._profiles = profiles
        self._record = record
        self._offers = offers
        self._humans = humans
        self._after = AfterStream(record)

    async def phone(self, ask: BrowserPhone) -> BrowserPhoneReply:
        """What can be called, the profile of our own number first."""
        if not self._on:
            return _OFF
        caller = operator_number(ask.operator)
        return BrowserLines(tuple(self._lines()), caller, self._offers.browser_url)

    async def open(self, ask: OpenBrowserCall) -> OpenReply:
        """Write ``ringing`` of a new call and offer its first stream. Raises NatsAway."""
        if not self._on:
            return _OFF
        if not 0 < len(ask.operator.encode()) <= NAME_BYTES:
            return CallRefused("not_allowed", "A call from a browser needs its operator's name.")
        caller = ask.caller or operator_number(ask.operator)
        lines = self._lines()
        called = ask.called or (lines[0].number if lines else "")
        if not E164.match(caller):
            return CallRefused(
                "not_allowed", "The number you call as is not international, like +15550100003."
            )
        if not E164.match(called) or self._profiles.answering(called) is None:
            return CallRefused("not_allowed", "No assistant answers this number.")
        call, who = ids.new_call_id(), Parties(caller, called, "inbound")
        try:
            offer = self._offers.browser(call, who, ask.operator, previous_leg=Leg(0), line_ms=0)
        except StreamTokenError as error:
            return CallRefused("not_allowed", str(error))
        await self._record.rang(call, who, operator=ask.operator, timeout=LOG_S)
        _log.info("browser call offered a stream", call_id=call)
        return offer

    async def stream_ended(self, ask: BrowserStreamEnded) -> StreamEndedReply:
        """What follows, by the decision that Twilio gets for a telephone call. Raises NatsAway."""
        if not self._on:
            return _OFF
        story = await self._after.story(ask.call)
        ringing = story.ringing
        if ringing is None or story.channel != "browser" or ringing.operator != ask.operator:
            return _NOT_YOURS
        asked = Asked(ask.call, ids.new_event_id())
        decision = await self._after.decide(asked, story, human_there=False)
        await self._after.write_end(asked, decision)
        metrics.decisions.labels(type(decision).__name__).inc()
        _log.info("browser stream ended", call_id=ask.call, decision=type(decision).__name__)
        match decision:
            case NewStream():
                return self._offers.browser(
                    ask.call,
                    parties_of(story),
                    ask.operator,
                    previous_leg=decision.previous_leg,
                    line_ms=decision.line_ms,
                )
            case Wait():
                return AskAgain(ask.call, WAIT_MS)
            case _:
                said = self._end(story, decision)
                return CallOver(ask.call, said.reason, said.sentence)

    def _end(self, story: Story, decision: Decision) -> Ended:
        match decision:
            case Apologise() if decision.apology == "no_transfer":
                return Ended(decision.reason, self._put_through(story))
            case Apologise():
                return Ended(decision.reason, twiml.SENTENCES[decision.apology])
            case HangUp() if decision.reason is not None:
                return Ended(decision.reason)
            case HangUp():
                return Ended(story.ended.reason if story.ended is not None else "completed")
            case NewStream() | Wait() | DialHuman():
                raise AssertionError("these do not end a browser call")

    def _put_through(self, story: Story) -> str:
        """Nobody can be dialled from a browser: who would have been."""
        called = parties_of(story).called
        target = self._humans.target(called)
        number = story.transferred.to if story.transferred else target.number if target else ""
        if refusal(number, self._prefixes) is not None:  # nor would it be dialled on the telephone
            return self._profiles.nobody(called)
        return (
            f"On the telephone you would now be put through to {masked(number)}. "
            "A call from the browser cannot be, so it ends here."
        )

    def _lines(self) -> list[BrowserLine]:
        lines: list[BrowserLine] = []
        for profile in self._profiles.all():
            named = next((number for number in profile.numbers if E164.match(number)), "")
            for number in (self._our_number, named, ANY):
                answering = self._profiles.answering(number) if number else None
                if answering is not None and answering.name == profile.name:
                    lines.append(BrowserLine(profile.name, number))
                    break
        return sorted(lines, key=lambda line: line.number != self._our_number)
