"""What browsers see of one call, in pieces: facts, transcript, bill, and word of a new score.

Of the pieces only those that changed are sent, so a word in a long call costs a line.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from markupsafe import Markup
from msgspec import Struct

from dashboard.html import Html
from dashboard.live.board import Row
from dashboard.live.screen import EVENT, Screen
from dashboard.live.view import Mark, timeline, view
from dashboard.score.parts import Part, clock
from dashboard.score.reading import parts_of
from dashboard.score.svg import sheet
from dashboard.sse import Message
from protocol.ids import CallId
from runtime.clock import utc_now

T = TypeVar("T")

WIDTH = 1200.0
"""Units of the score before a script says how wide its place is."""
SHORTEST_MS = 2000
"""The least that a score can be zoomed to."""
KEEP = 64
"""Calls whose pieces are remembered; of a forgotten one all pieces are sent again."""


def call_topic(call: CallId) -> str:
    """The topic of one call's page."""
    return f"call.{call}"


class Window(Struct, frozen=True):
    """The part of a score that is looked at, and where the buttons around it lead."""

    from_ms: int
    to_ms: int
    length_ms: int

    @property
    def zoomed(self) -> bool:
        return self.from_ms > 0 or self.to_ms < self.length_ms

    @property
    def words(self) -> str:
        return f"{clock(self.from_ms)} to {clock(self.to_ms)}"

    @property
    def steps(self) -> tuple[tuple[str, str, int, int], ...]:
        """Name, key, from and to of each button."""
        width = self.to_ms - self.from_ms
        quarter = width // 4
        earlier = max(0, self.from_ms - 2 * quarter)
        later = max(0, min(self.length_ms - width, self.from_ms + 2 * quarter))
        return (
            ("zoom in", "+", self.from_ms + quarter, self.to_ms - quarter),
            ("zoom out", "-", max(0, self.from_ms - 2 * quarter), self.to_ms + 2 * quarter),
            ("earlier", "left", earlier, earlier + width),
            ("later", "right", later, later + width),
        )


class ScoreView(Struct, frozen=True):
    """A call's score as its page shows it."""

    call_id: str
    svg: Markup
    window: Window
    parts: tuple[Part, ...]
    live: bool
    version: int

    @property
    def taken(self) -> bool:
        """Did an operator speak in this call?"""
        return any(part.kind == "taken" for part in self.parts)


class CallScreen:
    """Calls through the templates."""

    def __init__(self, html: Html, screen: Screen) -> None:
        self._html = html
        self._screen = screen
        self._sent: dict[CallId, dict[str, str]] = {}
        self._marks: dict[CallId, dict[str, tuple[Mark, int, str]]] = {}

    def values(self, row: Row) -> dict[str, Any]:
        """What the page of a call needs beside its score."""
        return {"call": view(row, utc_now()), "marks": timeline(row), "bill": row.bill.lines()}

    def score(self, row: Row, from_ms: int = 0, to_ms: int = 0, width: float = WIDTH) -> ScoreView:
        """The score in [from_ms, to_ms); 0 to 0 is the whole of it."""
        parts = parts_of(row.score, utc_now())
        window = bounded(from_ms, to_ms, parts.length_ms)
        drawn = sheet(parts, width, window.from_ms, window.to_ms)
        return ScoreView(
            row.call_id, drawn, window, parts.parts, parts.live, row.state.last_sequence
        )

    def now(self, row: Row | None) -> list[Message]:
        """The first message for a browser on a call's page."""
        pieces: dict[str, str] = {}
        if row is not None:
            pieces = self._pieces(row)
            self._sent.pop(row.call_id, None)  # this browser is ahead of what was sent before
        return [Message(EVENT, "\n".join([*pieces.values(), self._screen.first_notice()]))]

    def changes(self, row: Row, *, phase: bool) -> Message | None:
        """What a browser on this call's page must replace since the last time."""
        before: Mapping[str, str] = self._sent.get(row.call_id, {})
        pieces = self._pieces(row)
        changed = [text for name, text in pieces.items() if before.get(name) != text]
        changed += [
            self._html.render("live/_gone_mark.html", id=name) for name in before.keys() - pieces
        ]
        _remember(self._sent, row.call_id, pieces)
        if phase:
            changed.append(self._screen.announcement(row))
        return Message(EVENT, "\n".join(changed)) if changed else None

    def _pieces(self, row: Row) -> dict[str, str]:
        values = self.values(row)
        pieces = {
            "title": self._html.render("live/_title.html", **values),
            "facts": self._html.render("live/_facts.html", **values),
            "bill": self._html.render("live/_bill.html", **values),
        }
        known, marks = self._marks.get(row.call_id, {}), dict[str, tuple[Mark, int, str]]()
        for order, mark in enumerate(timeline(row)):
            before = known.get(mark.key)
            if before is not None and before[:2] == (mark, order):
                marks[mark.key] = before
            else:
                text = self._html.render("live/_mark.html", mark=mark, order=order)
                marks[mark.key] = (mark, order, text)
        pieces |= {f"mark-{key}": text for key, (_, _, text) in marks.items()}
        _remember(self._marks, row.call_id, marks)
        pieces["steer-now"] = self._html.render("steer/_now.html", state=row.state)
        ended = row.score.ended is not None
        version = row.state.last_sequence
        pieces["score-now"] = self._html.render("score/_now.html", version=version, ended=ended)
        return pieces


def _remember(kept: dict[CallId, T], call: CallId, value: T) -> None:
    """Keep ``value`` as the newest of at most ``KEEP``."""
    kept.pop(call, None)
    kept[call] = value
    while len(kept) > KEEP:
        del kept[next(iter(kept))]


def bounded(from_ms: int, to_ms: int, length_ms: int) -> Window:
    """A window inside a call of ``length_ms``, at least ``SHORTEST_MS`` wide."""
    length_ms = max(length_ms, SHORTEST_MS)
    if to_ms <= from_ms:
        return Window(0, length_ms, length_ms)
    from_ms = min(max(0, from_ms), length_ms - SHORTEST_MS)
    return Window(from_ms, min(max(to_ms, from_ms + SHORTEST_MS), length_ms), length_ms)
