"""The forms of the action panel: a POST for every act, and the panel as it stands now."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.form import form_of
from dashboard.html import Html
from dashboard.live.call_pages import CallPages
from dashboard.live.screen import Screen
from dashboard.people.operator import operator_of, require
from dashboard.sound.replay import replay_of
from dashboard.steer.acts import Unasked, asked, hindrance
from dashboard.steer.panel import panel_of
from dashboard.steer.steering import Outcome, Steering
from protocol.ids import CallId


class SteerPages:
    """Handlers of ``/calls/{call_id}/act`` and ``/calls/{call_id}/steer``."""

    def __init__(self, steering: Steering, calls: CallPages, screen: Screen, html: Html) -> None:
        self._steering = steering
        self._calls = calls
        self._screen = screen
        self._html = html

    def routes(self) -> list[BaseRoute]:
        allowed = require("operator")
        return [
            Route("/calls/{call_id}/act", allowed(self.act), methods=["POST"]),
            Route("/calls/{call_id}/steer", self.panel),
        ]

    async def act(self, request: Request) -> Response:
        """Do what the form asks and say what came of it: beside the button for scripts, else as a
        page. 422 when it was not done.
        """
        row = await self._calls.row(request)
        operator = operator_of(request)
        form = await form_of(request)
        try:
            wish = asked(form, operator.name)
        except Unasked as error:
            return self._answer(request, row.call_id, Outcome(False, str(error)))
        why = hindrance(row.state, wish.act, operator.name)
        if why:
            return self._answer(request, row.call_id, Outcome(False, why))
        outcome = await self._steering.do(operator, row.call_id, wish)
        return self._answer(request, row.call_id, outcome)

    async def panel(self, request: Request) -> Response:
        """The panel of a call that goes on; the player of one that is over."""
        row = await self._calls.row(request)
        operator = operator_of(request)
        return self._html.page(
            "steer/_slot.html",
            panel=panel_of(row.state, operator),
            replay=replay_of(row.state, operator),
        )

    def _answer(self, request: Request, call: CallId, outcome: Outcome) -> Response:
        values: dict[str, Any] = {"call_id": call, "outcome": outcome}
        status = 200 if outcome.done else 422
        if request.headers.get("hx-request") == "true":
            return self._html.page("steer/_said.html", status=status, **values)
        away = self._screen.away_since
        return self._html.page("steer/said.html", status=status, away_since=away, **values)
