"""The assistants page: read-only, numbers masked until an operator asks to see them."""

from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.assistants.shelf import LOOK_AGAIN, TOPIC, Look, Shelf
from dashboard.assistants.versions import Running, Version, running, version_of
from dashboard.html import Html
from dashboard.live.board import Board
from dashboard.live.screen import Screen
from dashboard.masking import mask
from dashboard.people.operator import operator_of, require
from dashboard.people.staff import Staff
from dashboard.renewal import part_or_nothing
from dashboard.sse import EventStream, Hub
from runtime.assistant import Assistant
from runtime.assistants import ANY_NUMBER, Problem


class Shown(Struct, frozen=True):
    """One file as the page shows it. ``versions``: what it held, the present one last."""

    file: str
    sha256: str
    assistant: Assistant | None
    problems: tuple[Problem, ...]
    versions: tuple[Version, ...]
    running: tuple[Running, ...]


class AssistantPages:
    """Handlers of ``/assistants``."""

    def __init__(
        self, shelf: Shelf, board: Board, staff: Staff, screen: Screen, html: Html, hub: Hub
    ) -> None:
        self._shelf = shelf
        self._board = board
        self._staff = staff
        self._screen = screen
        self._html = html
        self._hub = hub

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/assistants", self.page),
            Route("/assistants", require("operator")(self.reveal), methods=["POST"]),
            Route("/assistants/list", self.list),
            Route("/assistants/live", self.live),
        ]

    async def page(self, request: Request) -> Response:
        return self._page(reveal=False)

    async def reveal(self, request: Request) -> Response:
        """The same page with the numbers of profiles; the trail says so."""
        await self._staff.trail.note(operator_of(request), "reveal_number", subject="assistants")
        return self._page(reveal=True)

    def _page(self, *, reveal: bool) -> Response:
        away_since = self._screen.away_since
        values = self._values(reveal=reveal)
        return self._html.page("assistants/assistants.html", away_since=away_since, **values)

    async def list(self, request: Request) -> Response:
        """The list alone, for updates; nothing when the browser has it already."""
        return part_or_nothing(
            self._html, request, "assistants/_list.html", **self._values(reveal=False)
        )

    async def live(self, _: Request) -> EventStream:
        """Hints that a file changed."""
        return EventStream(self._hub, [TOPIC], lambda: [LOOK_AGAIN, self._screen.notice()])

    def _values(self, *, reveal: bool) -> dict[str, Any]:
        look = self._shelf.look()
        used = running(self._board.rows())
        shown = _shown(look, used)
        names = {one.assistant.name for one in shown if one.assistant}
        return {
            "look": look,
            "files": shown,
            "broken": any(one.problems for one in shown),
            "elsewhere": {name: runs for name, runs in used.items() if name not in names},
            "revealed": reveal,
            "number": str if reveal else mask,
            "any_number": ANY_NUMBER,
        }


def _shown(look: Look, used: dict[str, tuple[Running, ...]]) -> tuple[Shown, ...]:
    return tuple(
        Shown(
            one.file,
            version_of(one),
            one.loaded.assistant if one.loaded else None,
            one.problems,
            look.versions[one.file],
            used.get(one.loaded.assistant.name, ()) if one.loaded else (),
        )
        for one in look.files
    )
