"""One's own account: the password, and the sessions elsewhere."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.database import WITHIN_S
from dashboard.form import form_of
from dashboard.html import Html
from dashboard.live.screen import Screen
from dashboard.people import rules, trail
from dashboard.people.operator import MEANINGS, operator_of
from dashboard.people.repository import People
from dashboard.people.staff import Staff
from runtime.clock import utc_now
from runtime.settings import Secret


class AccountPages:
    """Handlers of ``/account...``."""

    def __init__(self, staff: Staff, screen: Screen, html: Html) -> None:
        self._staff = staff
        self._screen = screen
        self._html = html

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/account", self.page),
            Route("/account/password", self.change, methods=["POST"]),
            Route("/account/sessions", self.end_others, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Who one is, and the forms."""
        return self._page(request)

    async def change(self, request: Request) -> Response:
        """Set the password; sessions elsewhere and links end with it. The old one is asked for,
        unless this session came by a link or there is none.
        """
        operator, key = operator_of(request), str(request.state.session)
        form = await form_of(request)
        new = rules.same_form(form.get("new", ""))
        problems: dict[str, str] = {}
        if problem := rules.password_problem(new, operator.name):
            problems["new"] = problem
        elif rules.same_form(form.get("again", "")) != new:
            problems["again"] = "The two are not the same."
        if problem := await self._old_problem(request, form.get("old", "")):
            problems["old"] = problem
        if problems:
            return self._page(request, status=422, problems=problems)
        hash = await self._staff.passwords.hash(Secret(new))
        async with self._staff.db.transaction(WITHIN_S) as connection:
            people = People(connection)
            await people.set_hash(operator.name, hash)
            await people.end_all(operator.name, but=bytes.fromhex(key))
            await trail.record(connection, operator, "password_changed", subject=operator.name)
        self._staff.sessions.drop_all(operator.name, but=key)
        self._staff.sessions.refresh(key)
        return self._page(request, done="Your password is changed. Other sessions have ended.")

    async def end_others(self, request: Request) -> Response:
        """End one's sessions in other browsers."""
        operator, key = operator_of(request), str(request.state.session)
        async with self._staff.db.transaction(WITHIN_S) as connection:
            await People(connection).end_all(operator.name, but=bytes.fromhex(key))
            await trail.record(connection, operator, "sessions_ended", subject=operator.name)
        self._staff.sessions.drop_all(operator.name, but=key)
        return self._page(request, done="Your sessions in other browsers have ended.")

    async def _old_problem(self, request: Request, old: str) -> str | None:
        """What is wrong with the old password as typed. It is guessed here at the pace of the
        log-in: who sits down at a desk left open does not get more tries than at the door.
        """
        operator = operator_of(request)
        key = rules.name_key(f"account:{operator.name}")
        now = utc_now()
        async with self._staff.db.transaction(WITHIN_S) as connection:
            people = People(connection)
            record = await people.find(operator.name)
            if operator.by_link or record is None or record.hash is None:
                return None
            left = await people.try_(key, now, free=rules.FREE_BY_NAME)
        if left:
            return f"Too many failed tries. Wait {left} seconds, then try again."
        if not await self._staff.passwords.matches(record.hash, Secret(rules.same_form(old))):
            return "This is not your password."
        async with self._staff.db.transaction(WITHIN_S) as connection:
            await People(connection).reset(key)
        return None

    def _page(
        self,
        request: Request,
        *,
        status: int = 200,
        problems: dict[str, str] | None = None,
        done: str = "",
    ) -> Response:
        operator = operator_of(request)
        return self._html.page(
            "people/account.html",
            status=status,
            meaning=MEANINGS[operator.role],
            ask_old=operator.has_password and not operator.by_link,
            problems={"old": "", "new": "", "again": "", **(problems or {})},
            done=done,
            shortest=rules.MIN_PASSWORD,
            away_since=self._screen.away_since,
        )
