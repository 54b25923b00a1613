"""The audit trail as a page, for admins."""

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.html import Html
from dashboard.live.screen import Screen
from dashboard.people.operator import require
from dashboard.people.staff import Staff

_PLACE = re.compile(r"[0-9]{1,18}\Z")


class AuditPages:
    """Handler of ``/audit``."""

    def __init__(self, staff: Staff, screen: Screen, html: Html) -> None:
        self._staff = staff
        self._screen = screen
        self._html = html

    def routes(self) -> list[BaseRoute]:
        return [Route("/audit", require("admin")(self.page))]

    async def page(self, request: Request) -> Response:
        """Acts, newest first; ``?operator=`` and ``?call=`` filter, ``?before=`` goes on."""
        asked = request.query_params
        operator, call = asked.get("operator", "")[:64], asked.get("call", "")[:64]
        if "\0" in operator + call:
            raise HTTPException(404, "There is nothing of this name.")
        before = asked.get("before", "")
        rows, older = await self._staff.trail.page(
            before=int(before)
            if before.isascii() and before.isdigit() and len(before) < 19
            else None,
            operator=operator,
            call=call,
        )
        return self._html.page(
            "people/audit.html",
            rows=rows,
            older=older,
            by=operator,
            call=call,
            away_since=self._screen.away_since,
        )
