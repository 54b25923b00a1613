"""Who may come in: an ASGI middleware that asks each request for a session and puts its operator
into ``request.state.operator``. What it does not know to be open is closed.

Viewers may only read. A change that no handler wrote into the audit trail is written there by its
address, so nothing is done by nobody.
"""

from collections.abc import Callable
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.database import DatabaseAway, DeadlineMissed
from dashboard.people import rules, trail
from dashboard.people.cookies import Cookie
from dashboard.people.operator import MACHINE, Operator, current
from dashboard.people.sessions import Sessions
from dashboard.people.trail import Trail
from runtime.settings import Secret

OPEN = {"/login", "/login/link", "/favicon.ico"}
FOR_MACHINES = {"/board.json"}
"""Addresses that DASHBOARD_TOKEN opens, for reading."""
OWN = {"/logout", "/account/password", "/account/sessions"}
"""Changes that everybody may make: they concern oneself."""
_READING = {"GET", "HEAD", "OPTIONS"}

Say = Callable[[Request, int, str], Response]


class Guard:
    """``say`` renders a refusal in words."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        cookie: Cookie,
        token: Secret,
        log: Trail,
        say: Say,
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._cookie = cookie
        self._token = token
        self._trail = log
        self._say = say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        # A Request reads headers and cookies of both kinds alike.
        request = Request({**scope, "type": "http", "method": scope.get("method", "WEBSOCKET")})
        allowed = await self._allowed(request)
        if isinstance(allowed, Response):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await allowed(scope, receive, send)
            return
        operator, session = allowed
        scope.setdefault("state", {}).update(operator=operator, session=session)
        before = current.set(operator)
        try:
            if operator is None or request.method in {*_READING, "WEBSOCKET"}:
                await self._app(scope, receive, send)
            else:
                await self._change(operator, scope, receive, send)
        finally:
            current.reset(before)

    async def _allowed(self, request: Request) -> tuple[Operator | None, str] | Response:
        """Who asks, and the key of their session; or the refusal."""
        path = request.url.path
        if path.startswith("/static/"):
            return None, ""
        if path in FOR_MACHINES and request.method in _READING:
            kind, _, given = request.headers.get("authorization", "").partition(" ")
            if kind.casefold() == "bearer":
                right = rules.is_token(given.strip(), self._token.reveal())
                return (MACHINE, "") if right else _unauthorized("This token is not right.")
        try:
            found = await self._sessions.operator(self._cookie.read(request))
        except (DatabaseAway, DeadlineMissed):
            found, why, code = None, "Nobody can be logged in while PostgreSQL is away.", 503
        else:
            why, code = "Log in first.", 401
        if path in OPEN:
            return found or (None, "")
        if found is None:
            return self._to_login(request, code, why)
        operator, _ = found
        if request.method not in _READING and path not in OWN and not operator.may("operator"):
            return self._say(
                request, 403, f"You are {operator.name}, a viewer: you may look, not change."
            )
        return found

    def _to_login(self, request: Request, code: int, why: str) -> Response:
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        login = f"/login?{urlencode({'next': rules.way_back(back)})}"
        if request.headers.get("hx-request") == "true":
            return PlainTextResponse(why, 401, {"hx-redirect": "/login"})
        wants_page = "text/html" in request.headers.get("accept", "text/html")
        machine = request.url.path.endswith((".json", ".csv", "/live", "/session"))
        if request.method == "GET" and wants_page and not machine:
            return RedirectResponse(login, status_code=303)
        return _unauthorized(why) if code == 401 else PlainTextResponse(f"{why}\n", code)

    async def _change(self, operator: Operator, scope: Scope, receive: Receive, send: Send) -> None:
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with trail.watched() as acts:
            await self._app(scope, receive, watched)
        if status < 400 and not acts:
            await self._trail.note(operator, "change", subject=scope["path"])


def _unauthorized(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", 401, {"www-authenticate": 'Bearer realm="desk"'})
