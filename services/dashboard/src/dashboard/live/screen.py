"""What browsers see of the board, as HTML: whole lists for pages, pieces for updates.

Both come from the same partials, so a reload shows what the updates built. A piece is an element
with an id that takes the place of the one with the same id; ``data-in`` and ``data-order`` say
where a new one goes, ``data-gone`` that it goes away (``static/patch.js``). However much happens,
one update holds at most ``ROWS_A_TICK`` calls; the others follow in the next ones.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from markupsafe import Markup
from msgspec import Struct

from dashboard.html import Html, length
from dashboard.live.board import Board, Changes, Row
from dashboard.live.filters import Filter
from dashboard.live.fleet import Meter
from dashboard.live.totals import Totals, totals
from dashboard.live.view import CallView, Mark, view
from dashboard.score.layout import STRIP
from dashboard.score.parts import LONGEST_MS
from dashboard.score.reading import parts_of
from dashboard.score.svg import STRIP_MS, strip
from dashboard.sse import Message
from protocol.ids import CallId
from runtime.clock import utc_now

BOARD = "board"
EVENT = "desk"
SHOW_ENDED = 50
"""Ended calls on the live page; the board holds more, and every call keeps its own page."""
ROWS_A_TICK = 25
"""Calls in one update: at five updates a second 200 busy calls are each renewed every 1.6 s."""
FRESH = timedelta(seconds=1)
"""So much older a row may be as it is; then it is moved on by the time since it was drawn."""
DRAWN_ANEW = timedelta(seconds=60)
"""A row of a call in which nothing happens is drawn anew then: its strip has moved out of sight."""
_FLOW = '<g class="score-flow">'
KEEP_ROWS = 500
"""Rows that are kept as they were drawn."""
SAY_AT_MOST = 3
"""Calls that one announcement names; more would keep a screen reader talking for ever."""


class Listing(Struct, frozen=True):
    """What the live page shows. ``rows`` are rendered rows of calls that go on, then ended ones."""

    going: tuple[Markup, ...]
    ended: tuple[Markup, ...]
    totals: Totals
    meters: tuple[Meter, ...]
    hidden: int
    assistants: tuple[str, ...]
    chosen: Filter
    sequence: int


class Drawn(Struct, frozen=True):
    """A row as it was drawn at ``at``. ``moves``: its strip is full, so that time moves it."""

    sequence: int
    last: Mark | None
    at: datetime
    text: Markup
    elapsed_ms: int
    moves: bool

    def shows(self, row: Row, call: CallView, now: datetime) -> bool:
        """Would it look the same if it were drawn again?"""
        same = (self.sequence, self.last) == (row.state.last_sequence, call.last)
        return same and (row.ended or now - self.at < DRAWN_ANEW)

    def moved_on(self, row: Row, call: CallView, now: datetime) -> Markup:
        """The row at ``now``, as scripts have moved it where it is looked at since: its length is
        right and its strip lies further left.
        """
        age = now - self.at
        if row.ended or age < FRESH:
            return self.text
        text = str(self.text).replace(_length(self.elapsed_ms), _length(call.elapsed_ms), 1)
        if self.moves:
            ms = age // timedelta(milliseconds=1)
            left = ms * STRIP.width / STRIP_MS
            flow = f'<g class="score-flow" data-age="{ms}" transform="translate({-left:.2f} 0)">'
            text = text.replace(_FLOW, flow, 1)
        return Markup(text)  # noqa: S704 (numbers of ours in what the template escaped)


def _length(ms: int) -> str:
    """A running length as ``live/_row.html`` has it."""
    return f'data-elapsed-ms="{ms}">{length(ms)}<'


class Screen:
    """The board through the templates."""

    def __init__(self, board: Board, html: Html) -> None:
        self._board = board
        self._html = html
        self._due: dict[CallId, None] = {}
        self._told: set[CallId] = set()
        self._rows: dict[CallId, Drawn] = {}
        self._pieces: dict[str, str] = {}
        self.away_since: datetime | None = None
        """Since when NATS is away, so that what is shown may be old; None while it is there."""

    @property
    def due(self) -> bool:
        """Are there calls whose change no update has held yet?"""
        return bool(self._due)

    def listing(self, chosen: Filter | None = None) -> Listing:
        """The live page at this moment, of calls that ``chosen`` lets through."""
        now, chosen = utc_now(), chosen or Filter()
        rows = self._board.rows()
        shown = self._shown(rows)
        views = [(row, view(row, now)) for row in shown]
        kept = [(row, call) for row, call in views if chosen.lets(call)]
        return Listing(
            tuple(self._row(row, call, now) for row, call in kept if not row.ended),
            tuple(self._row(row, call, now) for row, call in kept if row.ended),
            totals(self._board, now),
            self._board.fleet.meters(self._board.held()),
            len(rows) - len(shown),
            tuple(sorted({call.assistant for _, call in views} - {""})),
            chosen,
            self._board.last_sequence,
        )

    def board_now(self, after: int = 0) -> list[Message]:
        """The first message for a browser on the live page: all of it, or, for one that has the
        page as it was at ``after`` in the log, what is different since and which calls remain.
        """
        self._pieces.clear()  # this browser is ahead of what was sent before
        now = utc_now()
        if not 0 < after <= self._board.last_sequence:
            listing = self.listing()
            pieces = [self._html.render("live/_board.html", listing=listing)]
        else:
            shown = self._shown(self._board.rows())
            newer = [r for r in shown if r.partial or r.state.last_sequence > after]
            pieces = [self._row(row, view(row, now), now) for row in newer]
            pieces += [self._html.render("live/_kept.html", rows=[r.call_id for r in shown])]
            pieces.append(self._workers())
        figures = self._html.render("live/_totals.html", totals=totals(self._board, now))
        return [Message(EVENT, "\n".join([*pieces, figures, self._notice()]))]

    def board_changes(self, changes: Changes, *, figures: bool) -> Message | None:
        """What browsers on the live page must replace; None when nothing. ``figures``: look at the
        totals, too, which every word spoken may change.
        """
        now = utc_now()
        self._due |= dict.fromkeys(changes.phases) | dict.fromkeys(changes.calls)
        rows = self._board.rows()
        shown = {row.call_id: row for row in self._shown(rows)}
        gone = sorted(self._told - shown.keys())
        first = [call for call in changes.phases if call in shown]
        first += [call for call in self._due if call in shown and call not in first]
        renewed = first[:ROWS_A_TICK]
        self._due = dict.fromkeys(first[ROWS_A_TICK:])
        self._told = set(shown) - self._due.keys()
        pieces = [self._html.render("live/_gone.html", call_id=call) for call in gone]
        pieces += [self._row(row, view(row, now), now) for row in map(shown.__getitem__, renewed)]
        if figures or changes.listing:
            pieces += self._figures(now)
        if changes.phases:
            pieces.append(self._announcement(changes.phases))
        return Message(EVENT, "\n".join(pieces)) if pieces else None

    def workers(self) -> Message | None:
        """The workers, if they look different from the last time."""
        piece = self._workers()
        return Message(EVENT, piece) if piece else None

    def notice(self) -> Message:
        """The line that says whether the desk hears from NATS."""
        return Message(EVENT, self._notice())

    def first_notice(self) -> str:
        """The same, for the first message of another page."""
        return self._notice()

    def announcement(self, row: Row) -> str:
        """What a screen reader is told of one call's new phase."""
        return self._announcement([row.call_id])

    def _shown(self, rows: list[Row]) -> list[Row]:
        going = sum(not row.ended for row in rows)
        return rows[: going + SHOW_ENDED]

    def _row(self, row: Row, call: CallView, now: datetime) -> Markup:
        known = self._rows.get(row.call_id)
        if known is not None and known.shows(row, call, now):
            return known.moved_on(row, call, now)
        parts = parts_of(row.score, now, last_ms=LONGEST_MS if row.ended else STRIP_MS)
        drawn = strip(parts)
        text = self._html.render("live/_row.html", call=call, strip=drawn)
        text = Markup(text)  # noqa: S704 (the template escaped it)
        self._rows.pop(row.call_id, None)
        moves = parts.live and parts.length_ms > STRIP_MS
        self._rows[row.call_id] = Drawn(
            row.state.last_sequence, call.last, now, text, call.elapsed_ms, moves
        )
        while len(self._rows) > KEEP_ROWS:
            del self._rows[next(iter(self._rows))]
        return text

    def _figures(self, now: datetime) -> Iterable[str]:
        figures = self._html.render("live/_totals.html", totals=totals(self._board, now))
        return [x for x in (self._if_new("totals", figures), self._workers()) if x]

    def _workers(self) -> str:
        meters = self._board.fleet.meters(self._board.held())
        return self._if_new("workers", self._html.render("live/_workers.html", meters=meters))

    def _if_new(self, name: str, piece: str) -> str:
        if self._pieces.get(name) == piece:
            return ""
        self._pieces[name] = piece
        return piece

    def _notice(self) -> str:
        return self._html.render("_notice.html", away_since=self.away_since, oob=True)

    def _announcement(self, calls: Iterable[CallId]) -> str:
        rows = [row for call in calls if (row := self._board.get(call))]
        now = utc_now()
        named = [view(row, now) for row in rows[:SAY_AT_MOST]]
        more = len(rows) - len(named)
        return self._html.render("live/_announce.html", calls=named, more=more)
