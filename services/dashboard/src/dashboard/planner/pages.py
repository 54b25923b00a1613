"""The planner's pages and forms: everything works as plain forms and redirects; with htmx the same
handlers answer with the part of the page that changed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.form import form_of
from dashboard.html import Html
from dashboard.live.screen import Screen
from dashboard.planner import feed, forms, week
from dashboard.planner.forms import Draft
from dashboard.planner.records import Away, NotThere, Records
from dashboard.planner.week import Day
from dashboard.renewal import NOTHING, SEEN, stamp
from dashboard.sse import EventStream, Hub
from protocol import ids
from protocol.errors import InvalidToken
from protocol.ids import CallerId
from protocol.todos import (
    AddTodo,
    ChangeTodo,
    DeleteTodo,
    Refused,
    Todo,
    TodoReply,
    TodoScope,
)

_TO_LIST = {
    "hx-retarget": "#todos",
    "hx-reswap": "outerHTML",
    "hx-trigger-after-swap": "desk:saved",
}
"""Tells htmx to put the answer in the list's place, and the page to close its dialog."""

Handler = Callable[["Visit"], Awaitable[Response]]


@dataclass(frozen=True)
class Visit:
    """A request for something of one caller: ``show`` is the tab, ``since`` the day that its week
    begins with, as asked for (``""``: today), ``partial`` htmx asks.
    """

    request: Request
    caller: CallerId
    show: TodoScope
    since: str
    form: dict[str, str]

    @property
    def partial(self) -> bool:
        return self.request.headers.get("hx-request") == "true"

    @property
    def to_list(self) -> dict[str, str]:
        """The headers that send an answer to the list. None when htmx already aims there: the list
        may have been renewed since, and looking it up from the old one would fail.
        """
        return {} if self.request.headers.get("hx-target") == "todos" else _TO_LIST

    @property
    def todo_id(self) -> int:
        return int(self.request.path_params["todo_id"])

    @property
    def home(self) -> str:
        return f"/planner/{self.caller}?show={self.show}" + self.since_too

    @property
    def since_too(self) -> str:
        """The week, to be put behind an address."""
        return f"&from={quote(self.since)}" if self.since else ""


class PlannerPages:
    """Handlers of ``/planner/...``."""

    def __init__(self, records: Records, screen: Screen, html: Html, hub: Hub) -> None:
        self._records = records
        self._screen = screen
        self._html = html
        self._hub = hub

    def routes(self) -> list[BaseRoute]:
        one = "/planner/{caller}"
        todo = one + "/todos/{todo_id:int}"
        return [
            Route("/planner", self.planner),
            Route(one, self._visit(self.week)),
            Route(one + "/list", self._visit(self.list)),
            Route(one + "/live", self.live),
            Route(one + "/new", self._visit(self.new)),
            Route(one + "/new", self._visit(self.add), methods=["POST"]),
            Route(todo + "/edit", self._visit(self.edit)),
            Route(todo + "/edit", self._visit(self.change), methods=["POST"]),
            Route(todo + "/done", self._visit(self.done), methods=["POST"]),
            Route(todo + "/delete", self._visit(self.confirm)),
            Route(todo + "/delete", self._visit(self.delete), methods=["POST"]),
        ]

    async def planner(self, request: Request) -> Response:
        """To the caller whose todos changed last, or the empty state."""
        try:
            callers = await self._records.callers()
        except Away as away:
            return self._away_page(away, str(request.url.path), None)
        if callers:
            return RedirectResponse(f"/planner/{callers[0].caller_id}", status_code=303)
        return self._html.page("planner/empty.html", away_since=self._screen.away_since)

    async def live(self, request: Request) -> EventStream:
        """Hints that the list changed; the first one comes at once, for what was missed."""
        topics = [feed.ALL, feed.caller_topic(_caller(request))]
        return EventStream(self._hub, topics, lambda: [feed.LOOK_AGAIN, self._screen.notice()])

    async def week(self, visit: Visit) -> Response:
        return await self._week(visit)

    async def list(self, visit: Visit) -> Response:
        """The list alone, for updates; nothing when the browser has it already."""
        listed = await self._listed(visit)
        if visit.request.query_params.get(SEEN) == listed["stamp"]:
            return Response(status_code=NOTHING, headers={"cache-control": "no-store"})
        return self._html.page("planner/_list.html", **listed)

    async def new(self, visit: Visit) -> Response:
        """The form for a todo; its day is ``?day=``, else today for the caller."""
        listed = await self._records.todos(visit.caller, "current")
        day = visit.request.query_params.get("day") or listed.today.isoformat()
        return self._form(visit, Draft(deadline=day), None)

    async def add(self, visit: Visit) -> Response:
        typed = forms.draft(visit.form)
        day = typed.day
        if typed.problems or day is None:
            return self._form(visit, typed, None, status=422)
        todo = AddTodo(visit.caller, typed.description.strip(), day)
        return await self._save(visit, typed, None, lambda: self._records.add(todo))

    async def edit(self, visit: Visit) -> Response:
        today = (await self._records.todos(visit.caller, "current")).today
        days = week.week((), first=week.first_day(visit.since, today), today=today).days
        typed = forms.draft_of(await self._todo(visit))
        return self._form(visit, typed, visit.todo_id, days=days)

    async def change(self, visit: Visit) -> Response:
        """Set what, and when. Without a description only the day: a card was moved."""
        typed = forms.draft(visit.form)
        if "description" not in visit.form and typed.day is not None:
            moved = ChangeTodo(visit.caller, visit.todo_id, deadline=typed.day)
            return await self._settle(visit, await self._records.change(moved))
        if typed.problems:
            return self._form(visit, typed, visit.todo_id, status=422)
        change = ChangeTodo(visit.caller, visit.todo_id, typed.description.strip(), typed.day)
        return await self._save(visit, typed, visit.todo_id, lambda: self._records.change(change))

    async def done(self, visit: Visit) -> Response:
        """The checkbox: completed=1 ticks it, anything else takes it back."""
        completed = visit.form.get("completed") == "1"
        change = ChangeTodo(visit.caller, visit.todo_id, completed=completed)
        return await self._settle(visit, await self._records.change(change))

    async def confirm(self, visit: Visit) -> Response:
        """The question before a todo is deleted."""
        return self._page_or_part(visit, "planner/_delete.html", todo=await self._todo(visit))

    async def delete(self, visit: Visit) -> Response:
        reply = await self._records.delete(DeleteTodo(visit.caller, visit.todo_id))
        return await self._settle(visit, reply)

    async def _save(
        self,
        visit: Visit,
        typed: Draft,
        todo_id: int | None,
        send: Callable[[], Awaitable[TodoReply]],
    ) -> Response:
        """Send a form on; refused or not reached, it comes back as typed."""
        try:
            reply = await send()
        except Away as away:
            typed.problems[""] = f"Not saved: tool-runner cannot be reached ({away.why})."
            return self._form(visit, typed, todo_id, status=503)
        if isinstance(reply, Refused):
            typed.refuse(reply)
            return self._form(visit, typed, todo_id, status=422)
        return await self._settle(visit, reply)

    async def _settle(self, visit: Visit, reply: TodoReply) -> Response:
        """After a change: back to the list, with the reason where it was refused."""
        if isinstance(reply, Refused):
            if not visit.partial:
                return await self._week(visit, problem=reply.message, status=422)
            return await self._part(visit, problem=reply.message, status=422)
        if not visit.partial:
            return RedirectResponse(visit.home, status_code=303)
        return await self._part(visit)

    async def _part(self, visit: Visit, *, problem: str = "", status: int = 200) -> Response:
        listed = await self._listed(visit, problem)
        return self._html.page("planner/_list.html", status=status, headers=visit.to_list, **listed)

    async def _week(self, visit: Visit, *, problem: str = "", status: int = 200) -> Response:
        return self._html.page(
            "planner/week.html",
            status=status,
            callers=await self._records.callers(),
            away_since=self._screen.away_since,
            **await self._listed(visit, problem),
        )

    async def _listed(self, visit: Visit, problem: str = "") -> dict[str, Any]:
        tabs = {scope: await self._records.todos(visit.caller, scope) for scope, _ in week.TABS}
        shown = tabs[visit.show]
        values: dict[str, Any] = {
            "caller": shown.caller,
            "today": shown.today,
            "count": len(shown.todos),
            "counts": {scope: len(tab.todos) for scope, tab in tabs.items()},
            "show": visit.show,
            "since": visit.since,
            "since_too": visit.since_too,
            "tabs": week.TABS,
            "problem": problem,
            "week": None,
        }
        if visit.show == "current":
            first = week.first_day(visit.since, shown.today)
            last = first + timedelta(days=week.WEEK - 1)
            all_of_it = (await self._records.between(visit.caller, first, last)).todos
            after = shown.todos if first == shown.today else ()
            values["week"] = week.week((*after, *all_of_it), first=first, today=shown.today)
        else:
            values["days"] = week.by_day(shown.todos, scope=visit.show, today=shown.today)
        values["stamp"] = stamp(self._html.render("planner/_list.html", stamp="", **values))
        return values

    async def _todo(self, visit: Visit) -> Todo:
        todo = await self._records.todo(visit.caller, visit.todo_id, visit.show)
        if todo is None:
            raise HTTPException(404, "This todo is no longer there; somebody may have deleted it.")
        return todo

    def _form(
        self,
        visit: Visit,
        typed: Draft,
        todo_id: int | None,
        *,
        days: tuple[Day, ...] = (),
        status: int = 200,
    ) -> Response:
        """``days``: those that the todo can be moved to by a click."""
        return self._page_or_part(
            visit, "planner/_form.html", status=status, draft=typed, todo_id=todo_id, days=days
        )

    def _page_or_part(
        self, visit: Visit, template: str, *, status: int = 200, **values: Any
    ) -> Response:
        """A part for the dialog, or a page around it for a browser without scripts."""
        values |= {"caller_id": visit.caller, "show": visit.show, "home": visit.home}
        values["since"] = visit.since
        values["partial"] = visit.partial  # on a page of its own a form has no list to answer into
        if visit.partial:
            return self._html.page(template, status=status, **values)
        away = self._screen.away_since
        return self._html.page(
            "planner/single.html", status=status, part=template, away_since=away, **values
        )

    def _away_page(self, away: Away, again: str, visit: Visit | None) -> Response:
        """What is away, since when, and what to do; the page tries again by itself."""
        values: dict[str, Any] = {"away": away, "again": again}
        if visit is not None and visit.partial:
            headers = visit.to_list | {"hx-reselect": "#todos"}
            return self._html.page("planner/_away.html", status=503, headers=headers, **values)
        nats_away = self._screen.away_since
        return self._html.page("planner/away.html", status=503, away_since=nats_away, **values)

    def _visit(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            form = await form_of(request, forms.MAX_BYTES) if request.method == "POST" else {}
            show = form.get("show") or request.query_params.get("show", "")
            since = form.get("from") or request.query_params.get("from", "")
            visit = Visit(request, _caller(request), _scope(show), since[:10], form)
            try:
                return await handler(visit)
            except NotThere:
                raise HTTPException(404, "tool-runner knows no caller of this id.") from None
            except Away as away:
                return self._away_page(away, visit.home, visit)

        return handle


def _scope(text: str) -> TodoScope:
    scopes = {scope for scope, _ in week.TABS}
    return cast(TodoScope, text) if text in scopes else "current"  # checked in this line


def _caller(request: Request) -> CallerId:
    try:
        return CallerId(ids.token(request.path_params["caller"]))
    except InvalidToken as error:
        raise HTTPException(404, f"There is no such caller: {error}.") from None
