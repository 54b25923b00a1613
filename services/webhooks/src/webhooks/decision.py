"""What a call does next, decided from its log alone. Pure.

Called by stream_ended (Twilio asks after a stream) and status (why did the call end?). It never
reads the log, writes an event or builds TwiML.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from protocol.events import EndReason, Resuming, StreamStarted
from protocol.ids import EventId, Leg
from webhooks.story import Story, age_s

Apology = Literal["unavailable", "busy", "lost", "no_transfer", "refused"]
"""What the caller is told before we hang up; the sentences are in twiml."""
RESUMINGS = 4
"""New streams that one call is offered within WINDOW_S; a broken ingress must not loop for ever."""
WINDOW_S = 60
BY_REST = WATCHDOG, OPERATOR = "watchdog", "operator"
"""Reasons of a resuming whose stream is offered by REST, not as the answer to a request."""
ON_ITS_WAY_S = 3
"""How long an offered stream, or another REST update, may take to be there. An ingress that refuses
connections while it starts anew must not use up the offers in a moment.
"""
FAILED_S = 0.25
"""Who asks what follows so long after a stream was offered was not let in with it: the first one
that failed is offered again at once, as another ingress may take it. Requests nearer together are
one that came twice.
"""
REDIRECT_S = 15
"""How long a REST update may take to be felt, one way or the other."""
OUR_ENDS: dict[str, EndReason] = {
    "hang_up": "assistant_hung_up",
    "machine": "assistant_hung_up",
    "lost": "lost",
    "busy": "busy",
    "failed": "failed",
}
"""Reasons of a redirecting that ends the call, and the reason of that end."""
TERMINAL: dict[str, EndReason] = {
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no_answer",
    "canceled": "canceled",
    "failed": "failed",
}
"""Twilio's final call statuses and the reason each gives when the log knows no better."""


class HangUp(Struct, frozen=True):
    """End the call. ``reason``: what to write as call_ended; None when the log has it."""

    reason: EndReason | None = None


class Apologise(Struct, frozen=True):
    """Say ``apology``, end the call and write call_ended with ``reason``."""

    apology: Apology
    reason: EndReason


class NewStream(Struct, frozen=True):
    """Open a stream that succeeds ``previous_leg`` and begins at ``line_ms``.

    ``expected``: sequence of the resuming that must still be the last when ours is taken (0:
    none); None when this very request has taken it before.
    """

    previous_leg: Leg
    line_ms: int
    because: str
    expected: int | None


class DialHuman(Struct, frozen=True):
    """Connect the caller with the human of the profile. ``because``: what was intended, or what
    we would have to apologise for.
    """

    because: Literal["transfer", "unavailable", "busy", "lost"]


class Wait(Struct, frozen=True):
    """Keep the caller for a moment and ask again: what was offered last, or a REST update that
    will replace this answer, is on its way. Two streams offered at once would cut each other off.
    """


Decision = HangUp | Apologise | DialHuman | NewStream | Wait


class AfterDial(Struct, frozen=True):
    """What follows a ``<Dial>``: the call ends with ``reason``; unless somebody ``answered`` or
    the call is ``over``, the caller is told that nobody is there.
    """

    reason: EndReason
    answered: bool = False
    over: bool = False


def decide(
    story: Story,
    *,
    call_status: str,
    request: EventId,
    now: datetime,
    human_there: bool = False,
) -> Decision:
    """What follows a stream that has ended.

    ``call_status`` is Twilio's word in the request. ``request`` is the event id that a resuming
    made for this request has, the same when Twilio repeats it. ``human_there``: the profile names
    a human who may be dialled now, which is better than any apology; never for a browser call.
    """
    decision = _decide(story, call_status, request, now)
    if not isinstance(decision, Apologise) or not human_there or story.channel == "browser":
        return decision
    match decision.apology:
        case "refused":  # whoever may not speak with the assistant may not be put through either
            return decision
        case "no_transfer":
            return DialHuman("transfer")
        case because:
            return DialHuman(because)


def after_dial(status: str, *, call_status: str) -> AfterDial:
    """What follows a ``<Dial>`` that ended with Twilio's ``status`` (DialCallStatus)."""
    if status in ("completed", "answered"):
        return AfterDial("transferred", answered=True)
    if call_status in TERMINAL:  # the caller gave up while it rang
        return AfterDial("caller_hung_up", over=True)
    return AfterDial("failed")


def _decide(story: Story, call_status: str, request: EventId, now: datetime) -> Decision:
    if story.ended is not None:
        return HangUp()
    if call_status in TERMINAL:
        return HangUp(end_reason(call_status, story))
    if story.started is None:
        return Apologise("unavailable", "failed")
    if story.closing is None:
        return resume(story, story.started, "leg lost", request, now, asked=True)
    match story.closing.intent:
        case "hangup":
            return HangUp("assistant_hung_up")
        case "busy":
            return Apologise("busy", "busy")
        case "failed":
            return Apologise("unavailable", "failed")
        case "refused":
            return Apologise("refused", "refused")
        case "transfer":
            return Apologise("no_transfer", "failed")
        case "handoff":
            return resume(story, story.started, "handoff", request, now, asked=True)


def end_reason(status: str, story: Story) -> EndReason:
    """Why a call ended that Twilio reports as over with ``status``, a key of TERMINAL."""
    if status != "completed":
        return TERMINAL[status]
    if story.transferred is not None:
        dial = story.dial_ended
        return after_dial(dial.status, call_status="").reason if dial else "transferred"
    if story.redirecting is not None and story.redirecting.reason in OUR_ENDS:
        return OUR_ENDS[story.redirecting.reason]
    if story.closing is None and _left_without_a_leg(story):
        return "lost"
    match story.closing and story.closing.intent:
        case "hangup":
            return "assistant_hung_up"
        case "transfer":  # without a dial_ended, ``transferred`` may only not be written yet
            return "failed" if story.dial_ended is not None else "transferred"
        case "busy" | "failed" | "refused" as intent:
            return intent
        case _:
            return "caller_hung_up" if story.started is not None else "completed"


def _left_without_a_leg(story: Story) -> bool:
    """Whether a stream was offered and did not come. One that Twilio refused to redirect, and
    stopped much later, was carried to its end.
    """
    resumed, stopped = story.resumed, story.stopped
    if resumed is None or stopped is None or stopped.reason != "stop":
        return resumed is not None
    return age_s(resumed, stopped.at) < REDIRECT_S


def resume(
    story: Story,
    started: StreamStarted,
    because: str,
    request: EventId,
    now: datetime,
    *,
    asked: bool = False,
) -> NewStream | Apologise | Wait:
    """A stream that succeeds the newest leg, as often as the guard allows. ``asked``: what was
    offered in an answer is over, for the caller's side asks what follows.
    """
    expected: int | None = story.resumings[-1].sequence if story.resumings else 0
    if any(placed.event.id == request for placed in story.resumings):
        expected = None
    elif _on_its_way(story, now, asked=asked):
        return Wait()
    elif sum(_recent(placed.event, now) for placed in story.resumings) >= RESUMINGS:
        return Apologise("lost", "lost")
    return NewStream(story.leg, _line_ms(story, started, now), because, expected)


def _on_its_way(story: Story, now: datetime, *, asked: bool) -> bool:
    latest = story.resumed or story.redirecting
    if latest is None:
        return False
    offers = sum(placed.event.previous_leg == story.leg for placed in story.resumings)
    by_rest = story.redirecting is not None or latest.reason in BY_REST
    failed = asked and offers == 1 and not by_rest
    return age_s(latest, now) < (FAILED_S if failed else ON_ITS_WAY_S)


def _recent(event: Resuming, now: datetime) -> bool:
    return age_s(event, now) < WINDOW_S


def _line_ms(story: Story, started: StreamStarted, now: datetime) -> int:
    """Where the next leg begins on the call's line: never before a point that is known."""
    if story.stopped is None and story.closing is None:
        # Nobody saw the end of the leg: the wall clock is all there is to estimate it by.
        return max(story.line_ms, started.line_ms + int(age_s(started, now) * 1000))
    return story.line_ms
