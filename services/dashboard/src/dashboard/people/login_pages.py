"""Logging in and out."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard import metrics
from dashboard.database import WITHIN_S, DatabaseAway, DeadlineMissed
from dashboard.form import form_of
from dashboard.html import Html
from dashboard.live.screen import Screen
from dashboard.people import rules, trail
from dashboard.people.door import Wait
from dashboard.people.operator import operator_of
from dashboard.people.repository import People
from dashboard.people.staff import Staff

_WRONG = "Name and password do not belong together."
_USED = "This link is used up or older than 15 minutes. Ask for a new one."


class LoginPages:
    """Handlers of ``/login``, ``/login/link``, ``/logout`` and ``/session``."""

    def __init__(self, staff: Staff, screen: Screen, html: Html) -> None:
        self._staff = staff
        self._screen = screen
        self._html = html

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/login", self.page),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/login/link", self.by_link, methods=["POST"]),
            Route("/logout", self.log_out, methods=["POST"]),
            Route("/session", self.session),
        ]

    async def page(self, request: Request) -> Response:
        """The form; without any operator, how to make the first."""
        back = rules.way_back(request.query_params.get("next", "/"))
        if getattr(request.state, "operator", None) is not None:
            return RedirectResponse(back, status_code=303)
        try:
            async with self._staff.db.transaction(WITHIN_S) as connection:
                anybody = await People(connection).any()
        except (DatabaseAway, DeadlineMissed) as error:
            return self._page(back, status=503, away=error.description)
        return self._page(back, anybody=anybody)

    async def log_in(self, request: Request) -> Response:
        """By name and password."""
        form = await form_of(request)
        back = rules.way_back(form.get("next", "/"))
        name, old = form.get("name", "").strip().lower(), self._staff.cookie.read(request)
        try:
            token = await self._staff.door.by_password(
                name[:256], form.get("password", "")[:1024], _address(request), old
            )
        except (DatabaseAway, DeadlineMissed) as error:
            return self._page(back, status=503, away=error.description)
        if isinstance(token, Wait):
            metrics.logins.labels("waiting").inc()
            said = f"Too many failed tries. Wait {_span(token.seconds)}, then try again."
            wait = {"retry-after": str(token.seconds)}
            return self._page(back, status=429, name=name, problem=said, headers=wait)
        metrics.logins.labels("wrong" if token is None else "password").inc()
        if token is None:
            return self._page(back, status=422, name=name, problem=_WRONG)
        return self._in(back, token)

    async def by_link(self, request: Request) -> Response:
        """By the token of a one-time link, which the page takes from behind its ``#``."""
        form = await form_of(request)
        back = rules.way_back(form.get("next", "/"))
        token = form.get("token", "").strip().rpartition("#")[2][:64]
        old = self._staff.cookie.read(request)
        try:
            begun = await self._staff.door.by_link(token, _address(request), old)
        except (DatabaseAway, DeadlineMissed) as error:
            return self._page(back, status=503, away=error.description)
        metrics.logins.labels("used_link" if begun is None else "link").inc()
        if begun is None:
            return self._page(back, status=422, problem=_USED)
        return self._in(back, begun)

    async def log_out(self, request: Request) -> Response:
        """End this session, here and at the other desks."""
        operator, key = operator_of(request), str(request.state.session)
        async with self._staff.db.transaction(WITHIN_S) as connection:
            await People(connection).end(bytes.fromhex(key))
            await trail.record(connection, operator, "log_out")
        self._staff.sessions.drop(key)
        response = RedirectResponse("/login", status_code=303)
        self._staff.cookie.clear(response)
        return response

    async def session(self, _: Request) -> Response:
        """204 while the session counts, else the guard's 401; asked by pages whose updates end."""
        return Response(status_code=204, headers={"cache-control": "no-store"})

    def _in(self, back: str, token: str) -> Response:
        response = RedirectResponse(back, status_code=303)
        response.headers["cache-control"] = "no-store"
        self._staff.cookie.put(response, token)
        return response

    def _page(
        self,
        back: str,
        *,
        status: int = 200,
        anybody: bool = True,
        name: str = "",
        problem: str = "",
        away: str = "",
        headers: dict[str, str] | None = None,
    ) -> Response:
        return self._html.page(
            "people/login.html",
            status=status,
            headers=headers,
            back=back,
            anybody=anybody,
            name=name,
            problem=problem,
            away=away,
            database_away_since=self._staff.db.away_since,
            away_since=self._screen.away_since,
        )


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _span(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} seconds" if seconds > 1 else "a second"
    return f"{round(seconds / 60)} minutes"
