"""The operators page, for admins: who there is, adding, roles, disabling, new one-time links."""

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.database import WITHIN_S, Connection
from dashboard.form import form_of
from dashboard.html import Html
from dashboard.live.screen import Screen
from dashboard.people import door, rules, trail
from dashboard.people.operator import MEANINGS, ROLES, Operator, operator_of, require, role_of
from dashboard.people.repository import People, Record
from dashboard.people.staff import Staff
from runtime.clock import utc_now

Change = Callable[[Connection, Operator, Record], Awaitable[None]]
_admin = require("admin")


class OperatorPages:
    """Handlers of ``/operators...``."""

    def __init__(self, staff: Staff, screen: Screen, html: Html) -> None:
        self._staff = staff
        self._screen = screen
        self._html = html

    def routes(self) -> list[BaseRoute]:
        one = "/operators/{name}"
        return [
            Route("/operators", _admin(self.page)),
            Route("/operators", _admin(self.add), methods=["POST"]),
            Route(one + "/role", _admin(self.set_role), methods=["POST"]),
            Route(one + "/disable", _admin(self.disable), methods=["POST"]),
            Route(one + "/enable", _admin(self.enable), methods=["POST"]),
            Route(one + "/link", _admin(self.link), methods=["POST"]),
        ]

    async def page(self, _: Request) -> Response:
        return await self._page()

    async def add(self, request: Request) -> Response:
        """Add an operator; the answer shows their first link, which is shown nowhere else."""
        form = await form_of(request)
        name, role = form.get("name", "").strip(), role_of(form.get("role", ""))
        problem = rules.name_problem(name)
        if problem is not None or role is None:
            return await self._page(
                status=422, typed=name[:64], problem=problem or "Choose a role."
            )
        by = operator_of(request)
        async with self._staff.db.transaction(WITHIN_S) as connection:
            await self._still_admin(connection, by)
            if not await door.add(connection, by, name, role):
                link = None
            else:
                link = await self._link(connection, by, name)
        if link is None:
            return await self._page(
                status=422, typed=name, problem=f"There is an operator {name} already."
            )
        return await self._page(link=link, of=name)

    async def set_role(self, request: Request) -> Response:
        """Another role; the operator's sessions end, so that it holds at once."""
        role = role_of((await form_of(request)).get("role", ""))
        if role is None:
            raise HTTPException(422, "There is no such role.")

        async def change(connection: Connection, by: Operator, record: Record) -> None:
            await People(connection).set_role(record.name, role)
            await trail.record(connection, by, "role_changed", subject=record.name, detail=role)

        return await self._change(request, change)

    async def disable(self, request: Request) -> Response:
        """Shut an operator out; their name stays in the trail."""

        async def change(connection: Connection, by: Operator, record: Record) -> None:
            await People(connection).set_disabled(record.name, disabled=True)
            await trail.record(connection, by, "operator_disabled", subject=record.name)

        return await self._change(request, change)

    async def enable(self, request: Request) -> Response:
        async def change(connection: Connection, by: Operator, record: Record) -> None:
            await People(connection).set_disabled(record.name, disabled=False)
            await trail.record(connection, by, "operator_enabled", subject=record.name)

        return await self._change(request, change)

    async def link(self, request: Request) -> Response:
        """A new one-time link, shown in this answer alone."""
        by = operator_of(request)
        async with self._staff.db.transaction(WITHIN_S) as connection:
            await self._still_admin(connection, by)
            record = await self._record(connection, request)
            if record.disabled:
                raise HTTPException(422, f"{record.name} is disabled: enable them first.")
            link = await self._link(connection, by, record.name)
        return await self._page(link=link, of=record.name)

    async def _change(self, request: Request, change: Change) -> Response:
        """``change`` somebody else, and end their sessions. Oneself is left alone, so that there
        is always an admin.
        """
        by = operator_of(request)
        async with self._staff.db.transaction(WITHIN_S) as connection:
            await self._still_admin(connection, by)
            record = await self._record(connection, request)
            if record.name == by.name:
                raise HTTPException(422, "Your own account is changed by another admin.")
            await change(connection, by, record)
            await People(connection).end_all(record.name)
        self._staff.sessions.drop_all(record.name)
        return RedirectResponse("/operators", status_code=303)

    async def _still_admin(self, connection: Connection, by: Operator) -> None:
        """Two admins who change each other at once come one after the other."""
        people = People(connection)
        await people.exclusively()
        record = await people.find(by.name)
        if record is None or record.disabled or record.role != "admin":
            raise HTTPException(403, "You are no admin any more.")

    async def _record(self, connection: Connection, request: Request) -> Record:
        name = str(request.path_params["name"])
        record = await People(connection).find(name) if rules.NAME.match(name) else None
        if record is None:
            raise HTTPException(404, "There is no operator of this name.")
        return record

    async def _link(self, connection: Connection, by: Operator, name: str) -> str:
        await trail.record(connection, by, "link_made", subject=name)
        return await door.make_link(connection, name, self._staff.url, utc_now())

    async def _page(
        self,
        *,
        status: int = 200,
        typed: str = "",
        problem: str = "",
        link: str = "",
        of: str = "",
    ) -> Response:
        async with self._staff.db.transaction(WITHIN_S) as connection:
            operators = await People(connection).all()
        return self._html.page(
            "people/operators.html",
            status=status,
            operators=operators,
            roles=ROLES,
            meanings=MEANINGS,
            typed=typed,
            problem=problem,
            link=link,
            of=of,
            away_since=self._screen.away_since,
        )
