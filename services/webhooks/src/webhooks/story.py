"""The part of a call's log that webhooks decides by. Pure.

Made by record from the log; read by decision, lost_legs and the handlers.
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct, field

from protocol.events import (
    AnyEvent,
    CallEnded,
    Channel,
    DialEnded,
    Event,
    Heard,
    Redirecting,
    Resuming,
    Ringing,
    StreamClosing,
    StreamStarted,
    StreamStopped,
    Transferred,
    TurnCommitted,
)
from protocol.ids import EventId, Leg


class Placed(Struct, frozen=True):
    """A resuming and its place in the log."""

    sequence: int
    event: Resuming


class Story(Struct):
    """The part of a call's log that decisions hang on. ``leg`` 0: no stream was ever opened.

    ``closing`` and ``stopped`` are those of the newest leg: an older one may still write.
    ``redirecting``, ``transferred`` and ``dial_ended`` are newer than it; ``redirected`` is the
    sequence of the last redirecting of all, 0 when there is none. ``line_ms`` is the newest point
    of the line that the log knows. ``known``: the log has anything of this call.
    """

    known: bool = False
    ringing: Ringing | None = None
    leg: Leg = Leg(0)
    started: StreamStarted | None = None
    closing: StreamClosing | None = None
    stopped: StreamStopped | None = None
    redirecting: Redirecting | None = None
    redirected: int = 0
    transferred: Transferred | None = None
    dial_ended: DialEnded | None = None
    ended: CallEnded | None = None
    resumings: list[Placed] = field(default_factory=list[Placed])
    line_ms: int = 0

    @property
    def resumed(self) -> Resuming | None:
        """The last offer of a stream that was to succeed the newest leg."""
        last = self.resumings[-1].event if self.resumings else None
        return last if last is not None and last.previous_leg == self.leg else None

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
                story.line_ms = max(story.line_ms, event.line_ms)
                story.closing = story.stopped = None
                story.redirecting = story.transferred = story.dial_ended = None
            case StreamClosing() if event.leg == story.leg:
                story.closing = event
                story.line_ms = max(story.line_ms, event.line_ms)
            case StreamStopped() if event.leg == story.leg:
                story.stopped = event
                story.line_ms = max(story.line_ms, event.line_ms)
            case Heard() if event.leg == story.leg:
                story.line_ms = max(story.line_ms, event.line_ms)
            case TurnCommitted() if story.started is not None:
                story.line_ms = max(story.line_ms, event.to_ms)
            case Resuming():
                story.resumings.append(Placed(sequence, event))
            case Redirecting():
                story.redirecting, story.redirected = event, sequence
            case Transferred():
                story.transferred = event
            case DialEnded():
                story.dial_ended = event
            case CallEnded():
                story.ended = story.ended or event
            case _:
                pass
    return story


def age_s(event: Event, now: datetime) -> float:
    """Seconds since the event by the wall clock of whoever wrote it."""
    return (now - event.at).total_seconds()
