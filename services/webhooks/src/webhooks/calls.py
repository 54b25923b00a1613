"""The NATS service ``calls``: place, hang up, transfer, redirect. Also how our side ends a call by
REST.

Refusals are answers with a message for a person. Browser calls are never sent to Twilio: they are
opened by browser_calls and steered through browser_legs.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from protocol import ids, subjects
from protocol.calls import (
    BrowserPhone,
    BrowserStreamEnded,
    CallDone,
    CallRefused,
    CallReply,
    HangUpCall,
    OpenBrowserCall,
    PlaceCall,
    RedirectCall,
    TransferCall,
)
from protocol.events import EndReason
from protocol.ids import CallId
from runtime import clock, logging
from runtime.errors import NatsAway, Refused
from runtime.micro import Endpoint, Request, json_handler
from webhooks.browser_calls import BrowserCalls
from webhooks.browser_legs import BrowserLegs
from webhooks.decision import RESUMINGS, NewStream, resume
from webhooks.humans import Humans, Target
from webhooks.numbers import Parties, refusal
from webhooks.outbound import Outbound, refused_by_twilio, too_many
from webhooks.reconnect import Reconnect
from webhooks.record import Record
from webhooks.settings import Settings
from webhooks.story import Story
from webhooks.twilio_rest import TwilioRefused, TwilioRest, TwilioSilent
from webhooks.wishes import Wishes

_log = logging.get("calls")

LOG_S = 2.0
DESCRIPTION = "Places telephone calls, ends, transfers and redirects them"

_NOT_IN_PROGRESS = CallRefused("not_in_progress", "This call is over.")
_SILENT = CallRefused(
    "unknown_outcome", "Twilio did not answer: look at the call before you retry."
)


class Calls:
    """Answers ``calls.*``."""

    def __init__(
        self,
        settings: Settings,
        record: Record,
        rest: TwilioRest,
        wishes: Wishes,
        humans: Humans,
        reconnect: Reconnect,
        browsers: BrowserCalls,
        legs: BrowserLegs,
    ) -> None:
        self._settings = settings
        self._record = record
        self._rest = rest
        self._wishes = wishes
        self._humans = humans
        self._reconnect = reconnect
        self._browsers = browsers
        self._legs = legs
        self._outbound = Outbound(settings, wishes, rest, record)

    def endpoints(self) -> list[Endpoint]:
        """For runtime.micro."""
        return [
            _endpoint("place", PlaceCall, self._outbound.place),
            _endpoint("hang_up", HangUpCall, self.hang_up),
            _endpoint("transfer", TransferCall, self.transfer),
            _endpoint("redirect", RedirectCall, self.redirect),
            _endpoint("browser_phone", BrowserPhone, self._browsers.phone),
            _endpoint("open_browser_call", OpenBrowserCall, self._browsers.open),
            _endpoint("stream_ended", BrowserStreamEnded, self._browsers.stream_ended),
        ]

    async def hang_up(self, ask: HangUpCall) -> CallReply:
        """End a call, ringing or answered. Raises NatsAway."""
        story = await self._record.story(ask.call, timeout=LOG_S)
        if (problem := _problem(story)) is not None:
            return problem
        if story.channel == "browser":
            return await self._legs.hang_up(ask.call, story)
        await self._record.redirecting(ask.call, "hang_up", timeout=LOG_S)
        reason: EndReason = "canceled" if story.started is None else "assistant_hung_up"
        return await self._hang_up(ask.call, reason)

    async def hang_up_on_machine(self, call: CallId) -> None:
        """End a call that a machine answered, also while the log is away."""
        try:
            await self._record.redirecting(call, "machine", timeout=LOG_S)
        except NatsAway:
            _log.warning("redirecting not written: the log is away", call_id=call)
        reply = await self._hang_up(call, "assistant_hung_up")
        _log.info("machine hung up on", call_id=call, done=isinstance(reply, CallDone))

    async def transfer(self, ask: TransferCall) -> CallReply:
        """Connect an answered call with another number. Raises NatsAway."""
        story = await self._record.story(ask.call, timeout=LOG_S)
        if (problem := _problem(story)) is not None:
            return problem
        ringing = story.ringing
        if ringing is None:
            return CallRefused("unknown_call", "The log does not know who is on this call.")
        who = Parties(ringing.caller, ringing.called, ringing.direction)
        target = self._humans.target(ringing.called)
        if ask.to:
            target = Target(ask.to)
        if target is None:
            return CallRefused("not_allowed", "Nobody is there to take this call now.")
        if (reason := refusal(target.number, self._settings.outbound_prefixes)) is not None:
            return CallRefused("not_allowed", reason)
        if story.channel == "browser":  # nobody is dialled
            return await self._legs.transfer(ask.call, story, target.number)
        if not await self._wishes.slot(self._settings.outbound_per_minute):
            return too_many(self._settings.outbound_per_minute)
        await self._record.redirecting(ask.call, "transfer", timeout=LOG_S)
        try:
            await self._rest.redirect(ask.call, self._humans.dial(target, who))
        except TwilioRefused as error:
            _log.warning("transfer refused by twilio", call_id=ask.call, code=error.code)
            return _NOT_IN_PROGRESS if error.over else refused_by_twilio(error)
        except TwilioSilent:
            return _SILENT
        try:
            await self._record.transferred(ask.call, target.number, cause="rest", timeout=LOG_S)
        except NatsAway:
            _log.warning("transfer not written: the log is away", call_id=ask.call)
        return CallDone(ask.call)

    async def redirect(self, ask: RedirectCall) -> CallReply:
        """Carry a live call on over a new stream. Raises NatsAway."""
        story = await self._record.story(ask.call, timeout=LOG_S)
        if (problem := _problem(story)) is not None:
            return problem
        if story.started is None or story.closing is not None or story.transferred is not None:
            return CallRefused("not_in_progress", "This call has no stream that could be replaced.")
        if story.channel == "browser":
            return await self._legs.redirect(ask.call, story)
        stream = resume(story, story.started, "redirect", ids.new_event_id(), clock.utc_now())
        if not isinstance(stream, NewStream):
            return CallRefused(
                "too_many",
                f"A call gets at most {RESUMINGS} new streams a minute: try again later.",
            )
        try:
            first = await self._reconnect.to(ask.call, story, stream, reason="operator")
        except TwilioRefused as error:
            _log.warning("redirect refused by twilio", call_id=ask.call, code=error.code)
            return _NOT_IN_PROGRESS if error.over else refused_by_twilio(error)
        except TwilioSilent:
            return _SILENT
        _log.info("call redirected", call_id=ask.call, first=first, pii_reason=ask.reason[:200])
        if not first:
            return CallRefused("too_many", "This call is being redirected already.")
        return CallDone(ask.call)

    async def _hang_up(self, call: CallId, reason: EndReason) -> CallReply:
        try:
            await self._rest.hang_up(call)
        except TwilioRefused as error:
            _log.warning("hang-up refused by twilio", call_id=call, code=error.code)
            return _NOT_IN_PROGRESS if error.over else refused_by_twilio(error)
        except TwilioSilent:
            return _SILENT
        try:
            await self._record.ended(call, reason, timeout=LOG_S)
        except NatsAway:
            # The status callback says it again.
            _log.warning("end of call not written: the log is away", call_id=call)
        return CallDone(call)


def _problem(story: Story) -> CallRefused | None:
    """Why nothing can be done with a call, by its log."""
    if not story.known:
        return CallRefused("unknown_call", "There is no such call.")
    if story.ended is not None:
        return _NOT_IN_PROGRESS
    return None


def _endpoint(verb: str, kind: type[Struct], work: Callable[[Any], Awaitable[Struct]]) -> Endpoint:
    async def handle(ask: Any, request: Request) -> Struct:
        try:
            return await work(ask)
        except NatsAway:
            raise Refused(503, "the log does not answer; ask again with the same key") from None

    return Endpoint(verb, subjects.calls(verb), json_handler(kind, handle))
