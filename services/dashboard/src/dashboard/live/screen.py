"""What browsers see of the board, as HTML: whole lists and calls for pages, fragments for updates.

Both come from the same partials, so a reload shows what the updates built. It only reads the
board; the feed says when to render, the pages answer requests.
"""

from dataclasses import dataclass
from datetime import datetime

from dashboard.html import Html
from dashboard.live.board import Board, Changes, Row
from dashboard.live.view import CallView, Totals, totals, view
from dashboard.sse import Message
from protocol.ids import CallId
from runtime.clock import utc_now

BOARD = "board"
EVENT = "desk"
SHOW_ENDED = 50
"""Ended calls on the live page; the board holds more, and every call keeps its own page."""


def call_topic(call: CallId) -> str:
    """The topic of one call's page."""
    return f"call.{call}"


@dataclass(frozen=True)
class Listing:
    """What the live page shows. ``open_call`` stands open without being active: the newest call,
    when none is going on.
    """

    calls: tuple[CallView, ...]
    totals: Totals
    hidden: int
    open_call: str


class Screen:
    """The board through the templates."""

    def __init__(self, board: Board, html: Html) -> None:
        self._board = board
        self._html = html
        self.away_since: datetime | None = None
        """Since when NATS is away, so that what is shown may be old; None while it is there."""

    def listing(self) -> Listing:
        """The live page at this moment."""
        rows = self._board.rows()
        shown = self._shown(rows)
        now = utc_now()
        newest = max(shown, key=lambda r: r.first_sequence, default=None)
        quiet = newest is not None and all(row.ended for row in shown)
        return Listing(
            tuple(view(row, now) for row in shown),
            totals(rows),
            len(rows) - len(shown),
            newest.call_id if newest is not None and quiet else "",
        )

    def board_now(self) -> list[Message]:
        """The first message for a browser on the live page: all of it."""
        return [self._message(self._list(), self._notice())]

    def call_now(self, row: Row | None) -> list[Message]:
        """The first message for a browser on a call's page."""
        sheet = [] if row is None else [self._sheet(row)]
        return [self._message(*sheet, self._notice())]

    def board_changes(self, changes: Changes) -> Message:
        """What a browser on the live page must replace: the list when its order may differ, else
        the calls that changed.
        """
        if changes.listing:
            return self._message(self._list(), self._announcement(changes))
        listing = self.listing()
        calls = [
            self._html.render("live/_row.html", call=call, listing=listing, oob=True)
            for call in listing.calls
            if call.call_id in changes.calls
        ]
        return self._message(self._totals(listing), *calls)

    def call_changes(self, row: Row, changes: Changes) -> Message:
        """What a browser on this call's page must replace."""
        said = [self._announcement(changes)] if row.call_id in changes.phases else []
        return self._message(self._sheet(row), *said)

    def notice(self) -> Message:
        """The line that says whether the desk hears from NATS."""
        return self._message(self._notice())

    def _shown(self, rows: list[Row]) -> list[Row]:
        going = sum(not row.ended for row in rows)
        return rows[: going + SHOW_ENDED]

    def _list(self) -> str:
        listing = self.listing()
        return self._html.render("live/_list.html", listing=listing, oob=True) + self._totals(
            listing
        )

    def _totals(self, listing: Listing) -> str:
        return self._html.render("live/_totals.html", totals=listing.totals, oob=True)

    def _sheet(self, row: Row) -> str:
        return self._html.render("live/_sheet.html", call=view(row, utc_now()), oob=True)

    def _notice(self) -> str:
        return self._html.render("_notice.html", away_since=self.away_since, oob=True)

    def _announcement(self, changes: Changes) -> str:
        rows = [row for call in changes.phases if (row := self._board.get(call))]
        now = utc_now()
        return self._html.render("live/_announce.html", calls=[view(row, now) for row in rows])

    def _message(self, *fragments: str) -> Message:
        return Message(EVENT, "\n".join(fragments))
