"""What a call does next, decided from its log alone. Pure.

Called by stream_ended (Twilio asks after a stream) and status (why did the call end?). It never
reads the log, writes an event or builds TwiML.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct, field

from protocol.events import (
    AnyEvent,
    CallEnded,
    Channel,
    DialEnded,
    EndReason,
    Redirecting,
    Resuming,
    Ringing,
    StreamClosing,
    StreamStarted,
    StreamStopped,
    Transferred,
)
from protocol.ids import EventId, Leg

Apology = Literal["unavailable", "busy", "lost", "no_transfer", "refused"]
"""What the caller is told before we hang up; the sentences are in twiml."""
RESUMINGS = 3
"""New streams that one call is offered within WINDOW_S; a broken ingress must not loop for ever."""
WINDOW_S = 60
OUR_HANG_UPS = ("hang_up", "machine")
"""Reasons of a redirecting that ends the call."""
TERMINAL: dict[str, EndReason] = {
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no_answer",
    "canceled": "canceled",
    "failed": "failed",
}
"""Twilio's final call statuses and the reason each gives when the log knows no better."""


class Placed(Struct, frozen=True):
    """A resuming and its place in the log."""

    sequence: int
    event: Resuming


class Story(Struct):
    """The part of a call's log that decisions hang on. ``leg`` 0: no stream was ever opened.

    ``closing`` and ``stopped`` are those of the newest leg: an older one may still write.
    ``redirecting``, ``transferred`` and ``dial_ended`` are newer than it. ``known``: the log has
    anything of this call.
    """

    known: bool = False
    ringing: Ringing | None = None
    leg: Leg = Leg(0)
    started: StreamStarted | None = None
    closing: StreamClosing | None = None
    stopped: StreamStopped | None = None
    redirecting: Redirecting | None = None
    transferred: Transferred | None = None
    dial_ended: DialEnded | None = None
    ended: CallEnded | None = None
    resumings: list[Placed] = field(default_factory=list[Placed])

    @property
    def channel(self) -> Channel:
        """How the call came: by telephone or from a browser."""
        if self.started is not None:
            return self.started.channel
        return self.ringing.channel if self.ringing is not None else "phone"


def tell(entries: Iterable[tuple[int, AnyEvent]]) -> Story:
    """The story of one call from its log in order; an event resent under its id counts once."""
    story = Story()
    seen: set[EventId] = set()
    for sequence, event in entries:
        if event.id in seen:
            continue
        seen.add(event.id)
        story.known = True
        match event:
            case Ringing():
                story.ringing = event
            case StreamStarted():
                story.leg, story.started = Leg(sequence), event
                story.closing = story.stopped = None
                story.redirecting = story.transferred = story.dial_ended = None
            case StreamClosing() if event.leg == story.leg:
                story.closing = event
            case StreamStopped() if event.leg == story.leg:
                story.stopped = event
            case Resuming():
                story.resumings.append(Placed(sequence, event))
            case Redirecting():
                story.redirecting = event
            case Transferred():
                story.transferred = event
            case DialEnded():
                story.dial_ended = event
            case CallEnded():
                story.ended = story.ended or event
            case _:
                pass
    return story


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


Decision = HangUp | Apologise | DialHuman | NewStream


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
        return _successor(story, story.started, "leg lost", request, now)
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
            return _successor(story, story.started, "handoff", request, now)


def end_reason(status: str, story: Story) -> EndReason:
    """Why a call ended that Twilio reports as over with ``status``, a key of TERMINAL."""
    if status != "completed":
        return TERMINAL[status]
    if story.transferred is not None:
        dial = story.dial_ended
        return after_dial(dial.status, call_status="").reason if dial else "transferred"
    if story.redirecting is not None and story.redirecting.reason in OUR_HANG_UPS:
        return "assistant_hung_up"
    match story.closing and story.closing.intent:
        case "hangup":
            return "assistant_hung_up"
        case "transfer":  # without a dial_ended, ``transferred`` may only not be written yet
            return "failed" if story.dial_ended is not None else "transferred"
        case "busy" | "failed" | "refused" as intent:
            return intent
        case _:
            return "caller_hung_up" if story.started is not None else "completed"


def _successor(
    story: Story, started: StreamStarted, because: str, request: EventId, now: datetime
) -> Decision:
    expected: int | None = story.resumings[-1].sequence if story.resumings else 0
    if any(placed.event.id == request for placed in story.resumings):
        expected = None
    elif sum(_recent(placed.event, now) for placed in story.resumings) >= RESUMINGS:
        return Apologise("lost", "lost")
    return NewStream(story.leg, _line_ms(story, started, now), because, expected)


def _recent(event: Resuming, now: datetime) -> bool:
    return (now - event.at).total_seconds() < WINDOW_S


def _line_ms(story: Story, started: StreamStarted, now: datetime) -> int:
    """Where the next leg begins on the call's line: never before a point that is known."""
    known = [e.line_ms for e in (story.stopped, story.closing) if e is not None]
    if not known:
        # Nobody saw the end of the leg: the wall clock is all there is to estimate it by.
        elapsed = int((now - started.at).total_seconds() * 1000)
        known.append(started.line_ms + elapsed)
    return max(started.line_ms, *known)
