"""Which legs are in no heartbeat any more, and what is to be done for their calls. Pure.

Fed by watchdog. A leg's silence counts only in time in which the log answered us: when it did
not, the silence may be our own. Times are ms of one process's monotonic clock.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from protocol.ids import CallId, Leg
from protocol.placement import IngressAlive
from webhooks.decision import BY_REST, REDIRECT_S
from webhooks.story import Story, age_s

LOST_MS = 2_500
"""Silence after which a leg is looked at: two heartbeats missed, and the third is late."""
SETTLE_MS = 2_500
"""An ingress may find back to NATS that much later than we do."""
LATE_MS = 2_000
"""Looks further apart than this: this process slept, and what it did not hear says nothing."""
CLOSING_MS = 6_000
"""How long Twilio has to ask what follows a stream that was closed with an intent."""
LONGEST_MS = 24 * 3_600_000
"""No call lasts longer at Twilio."""
UNOPENED_MS = 70_000
"""A browser call without a leg by then never gets one: its token is good for a minute."""
RANG_MS = 20_000
"""After its voice webhook a call has a leg by then, unless it still rings or failed."""
OFFERED_S = 10
"""How long an offered stream may take to open."""

Step = Literal["forget", "ask", "act"]


class Lost(Struct, frozen=True):
    """A leg in no heartbeat for ``silent_ms``; ``leg`` 0: the call never had one."""

    call: CallId
    leg: Leg
    silent_ms: int


class _Seen(Struct):
    leg: Leg
    at_ms: int
    look_ms: int = 0
    """When it may be looked at again."""


class Roll:
    """The newest leg of every call, and when it was last heard of."""

    def __init__(self) -> None:
        self._calls: dict[CallId, _Seen] = {}
        self._looked_ms: int | None = None
        self._trusted_ms: int | None = None

    def __len__(self) -> int:
        return len(self._calls)

    def heartbeat(self, alive: IngressAlive, now_ms: int) -> None:
        """An ingress named its legs."""
        for leg, call in zip(alive.legs, alive.calls, strict=False):
            self.seen(call, leg, now_ms)

    def seen(self, call: CallId, leg: Leg, now_ms: int) -> None:
        """A leg is open; an older one of its call counts no more."""
        known = self._calls.get(call)
        if known is None or leg > known.leg:
            self._calls[call] = _Seen(leg, now_ms)
        elif leg == known.leg:
            known.at_ms, known.look_ms = now_ms, 0

    def forget(self, call: CallId, leg: Leg | None = None) -> None:
        """The call is over, or ``leg`` needs no more care."""
        known = self._calls.get(call)
        if known is not None and leg in (None, known.leg):
            del self._calls[call]

    def rang(self, call: CallId, now_ms: int) -> None:
        """A call began; its first leg is still to come."""
        if call not in self._calls:
            self._calls[call] = _Seen(Leg(0), now_ms, now_ms + RANG_MS)

    def postpone(self, lost: Lost, until_ms: int) -> None:
        """Do not name this leg before then."""
        known = self._calls.get(lost.call)
        if known is not None and known.leg == lost.leg:
            known.look_ms = max(known.look_ms, until_ms)

    def doubt(self) -> None:
        """The connection was away, be it ever so short: heartbeats may have passed unheard."""
        self._trusted_ms = None

    def look(self, now_ms: int, *, near: bool) -> list[Lost]:
        """The legs that are lost now. ``near``: the log has just answered."""
        slept = self._looked_ms is None or now_ms - self._looked_ms > LATE_MS
        self._looked_ms = now_ms
        if not near:
            self._trusted_ms = None
            return []
        if self._trusted_ms is None or slept:
            self._trusted_ms = now_ms + SETTLE_MS
        trusted = self._trusted_ms
        return [
            Lost(call, seen.leg, now_ms - seen.at_ms)
            for call, seen in self._calls.items()
            if now_ms - max(seen.at_ms, trusted) >= LOST_MS and now_ms >= seen.look_ms
        ]


def still_open(started: Iterable[tuple[CallId, Leg]], ended: Iterable[CallId]) -> dict[CallId, Leg]:
    """The newest leg of every call that has not ended."""
    over, legs = set(ended), dict[CallId, Leg]()
    for call, leg in started:
        if call not in over:
            legs[call] = max(leg, legs.get(call, leg))
    return legs


def next_step(story: Story, lost: Lost, now: datetime) -> Step:
    """What to do for a lost leg by its call's log: nothing more, ask Twilio whether the call is
    over, or carry on what the log says.
    """
    over = story.ended is not None or lost.silent_ms > LONGEST_MS
    if over or not story.known or story.leg > lost.leg:
        return "forget"
    if story.channel == "browser":
        return _browser_step(story, lost, now)
    if story.started is None:
        return "ask"  # it may ring for long, or be with a human
    if story.transferred is not None:
        return "ask"  # two people talk without us
    if story.resumed is not None and age_s(story.resumed, now) < OFFERED_S:
        return "ask"
    other = story.redirecting  # the resuming of one by REST has spoken for it
    if other and other.reason not in BY_REST and age_s(other, now) < REDIRECT_S:
        return "ask"
    moved = story.redirecting is not None or story.resumed is not None
    if story.stopped is not None and story.stopped.reason == "stop" and not moved:
        return "ask"  # Twilio's own word for the end of a call that nobody redirected
    if story.closing is not None and lost.silent_ms < CLOSING_MS:
        return "ask"
    return "act"


def _browser_step(story: Story, lost: Lost, now: datetime) -> Step:
    """``ask``: the page has time left to ask what follows, or to open what it was offered."""
    if story.started is None:
        return "act" if lost.silent_ms >= UNOPENED_MS else "ask"
    offered = story.resumed is not None and age_s(story.resumed, now) < OFFERED_S
    return "act" if lost.silent_ms >= CLOSING_MS and not offered else "ask"
