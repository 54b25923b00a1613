"""The live board: its page with filters, its update stream, and its fold for machines."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.html import Html
from dashboard.live.board import Board, summaries
from dashboard.live.filters import MODES, STATES, filter_of
from dashboard.live.screen import BOARD, Screen
from dashboard.sse import EventStream, Hub
from protocol import codec

LAST = 10**18
"""More than any sequence of the log."""


class LivePages:
    """Handlers of ``/``, ``/live`` and ``/board.json``."""

    def __init__(self, board: Board, screen: Screen, html: Html, hub: Hub) -> None:
        self._board = board
        self._screen = screen
        self._html = html
        self._hub = hub

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.calls),
            Route("/live", self.live),
            Route("/board.json", self.board),
        ]

    async def calls(self, request: Request) -> Response:
        """The live page; ``state``, ``mode``, ``assistant`` and ``q`` choose calls."""
        return self._html.page(
            "live/calls.html",
            listing=self._screen.listing(filter_of(request.query_params)),
            states=STATES,
            modes=MODES,
            away_since=self._screen.away_since,
        )

    async def live(self, request: Request) -> EventStream:
        """Updates of the live page; the first one is the whole of it, or what is different since
        ``after``. All calls are sent: a browser hides what its filter does not let through.
        """
        after = number(request, "after", 0, LAST)
        return EventStream(self._hub, [BOARD], lambda: self._screen.board_now(after))

    async def board(self, _: Request) -> Response:
        """The fold of every call on the board, for tests and scripts."""
        return as_json(
            {"last_sequence": self._board.last_sequence, "calls": summaries(self._board.rows())}
        )


def number(request: Request, name: str, least: int, most: int) -> int:
    """A number of the address, bounded; what is none counts as ``least``."""
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return least
    return min(max(int(text), least), most)


def as_json(value: object, headers: dict[str, str] | None = None) -> Response:
    """``value`` as a JSON answer that no cache keeps."""
    return Response(
        codec.encode(value),
        media_type="application/json",
        headers={"cache-control": "no-store", **(headers or {})},
    )
