"""The page on which an admin forgets a caller: what would go, and after it what went."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.database import WITHIN_S, Database
from dashboard.form import form_of
from dashboard.history.forget import Forgetter, NoNumber, NotForgotten, number_of
from dashboard.html import Html
from dashboard.live.screen import Screen
from dashboard.masking import mask
from dashboard.people.operator import operator_of, require
from protocol import ids
from protocol.errors import InvalidToken
from runtime import sql


class ForgetPages:
    """Handlers of ``/history/forget``."""

    def __init__(self, db: Database, forgetter: Forgetter, screen: Screen, html: Html) -> None:
        self._db = db
        self._forgetter = forgetter
        self._screen = screen
        self._html = html

    def routes(self) -> list[BaseRoute]:
        path = "/history/forget"
        return [
            Route(path, require("admin")(self.form)),
            Route(path, require("admin")(self.forget), methods=["POST"]),
        ]

    async def form(self, request: Request) -> Response:
        """Asks for the number, or takes the caller of ``?call=``."""
        call = request.query_params.get("call", "")
        return await self._form(call=call)

    async def forget(self, request: Request) -> Response:
        """Forget them: the number of the form, or the caller of its call, when it was confirmed."""
        given = await form_of(request)
        call, typed = given.get("call", ""), given.get("number", "")
        number = await self._number_of(call) if call else typed
        try:
            number = number_of(number)
        except NoNumber as error:
            return await self._form(call=call, typed=typed, problem=str(error), status=422)
        if given.get("sure") != "yes":
            return await self._form(
                call=call, typed=typed, problem="Say that you are sure first.", status=422
            )
        try:
            report = await self._forgetter.forget(number, operator_of(request))
        except NotForgotten as error:
            return await self._form(call=call, typed=typed, problem=str(error), status=503)
        return self._html.page(
            "history/forgotten.html", lines=report.lines(), away_since=self._screen.away_since
        )

    async def _form(
        self, *, call: str = "", typed: str = "", problem: str = "", status: int = 200
    ) -> Response:
        number = await self._number_of(call) if call else ""
        return self._html.page(
            "history/forget.html",
            status=status,
            call=call if number else "",
            masked=mask(number) if number else "",
            typed=typed,
            problem=problem,
            away_since=self._screen.away_since,
        )

    async def _number_of(self, call: str) -> str:
        """The caller of a call as the history knows it, or ""."""
        try:
            call = ids.call_id(call)
        except InvalidToken:
            return ""
        statement = sql.load("dashboard.history", "retention.sql")["number_of"]
        async with self._db.transaction(WITHIN_S) as connection:
            return await connection.fetchval(statement, call) or ""
