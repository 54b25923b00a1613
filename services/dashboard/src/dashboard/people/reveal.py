"""The numbers of a call, unmasked: an act of an operator, written into the call's log and into the
trail before it is shown.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.html import Html
from dashboard.live.call_pages import CallPages
from dashboard.live.screen import Screen
from dashboard.people.operator import operator_of, require
from dashboard.people.staff import Staff


class RevealPages:
    """Handler of ``/calls/{call_id}/reveal``."""

    def __init__(self, staff: Staff, calls: CallPages, screen: Screen, html: Html) -> None:
        self._staff = staff
        self._calls = calls
        self._screen = screen
        self._html = html

    def routes(self) -> list[BaseRoute]:
        path = "/calls/{call_id}/reveal"
        return [Route(path, require("operator")(self.reveal), methods=["POST"])]

    async def reveal(self, request: Request) -> Response:
        """The caller's number and the called one; they stay until the page is left."""
        row = await self._calls.row(request)
        await self._staff.trail.acted(operator_of(request), row.call_id, "reveal_number")
        values: dict[str, Any] = {
            "call_id": row.call_id,
            "caller": row.state.caller or "unknown",
            "called": row.state.called or "unknown",
        }
        if request.headers.get("hx-request") == "true":
            return self._html.page("people/_revealed.html", **values)
        return self._html.page("people/revealed.html", away_since=self._screen.away_since, **values)
