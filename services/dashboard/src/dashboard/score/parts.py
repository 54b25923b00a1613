"""The parts of a score: what happened on a call's line, each with its place in line ms (pure)."""

from typing import Literal

from msgspec import Struct

PartKind = Literal[
    "caller",
    "assistant",
    "operator",
    "taken",
    "unheard",
    "announcement",
    "tool",
    "key",
    "rule",
    "gap",
    "response",
]
LONGEST_MS = 24 * 3600 * 1000
"""No call is longer (Twilio ends one after 24 hours); what claims to be is drawn at this end."""


class Part(Struct, frozen=True, kw_only=True):
    """One thing on the score, from ``from_ms`` to ``to_ms`` of the line.

    ``key`` is what it is in the transcript (an item's or an event's id), ``label`` the few letters
    drawn beside it, ``words`` what it was. ``tone`` is ``bad`` for what failed, ``open`` for what
    goes on, ``calm`` for a hand-over.
    """

    kind: PartKind
    key: str
    from_ms: int
    to_ms: int
    label: str
    words: str
    tone: str = ""


class Parts(Struct, frozen=True):
    """A whole call, in order of ``from_ms``; it reaches to ``length_ms``. ``live``: it goes on."""

    parts: tuple[Part, ...]
    length_ms: int
    live: bool


def clamp(ms: float, low: int = 0, high: int = LONGEST_MS) -> int:
    """``ms`` as a place on a line."""
    return int(min(max(ms, low), high))


def span(ms: int) -> str:
    """``0.8 s``, ``12.4 s``, ``3:20``."""
    return f"{ms / 1000:.1f} s" if ms < 60_000 else clock(ms)


def clock(ms: int) -> str:
    """``0:07``, ``12:40``, ``1:02:03``: a place on the line."""
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
