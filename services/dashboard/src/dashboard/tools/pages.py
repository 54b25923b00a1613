"""The tools page, and the form that calls one. Only operators get the form, and only they can send
it; every call of it stands in the audit trail before it is made.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.assistants.shelf import Shelf
from dashboard.form import form_of
from dashboard.html import Html
from dashboard.live.board import Board
from dashboard.live.screen import Screen
from dashboard.people.operator import operator_of, require
from dashboard.people.staff import Staff
from dashboard.planner.records import Away, Records
from dashboard.renewal import part_or_nothing
from dashboard.tools import schema
from dashboard.tools.box import Box
from dashboard.tools.use import Tool, tools, used
from protocol import ids
from protocol.errors import InvalidToken
from protocol.ids import CallerId, EventId
from protocol.todos import Caller
from runtime import tool_request
from runtime.bus import Bus
from runtime.clock import monotonic_ms
from runtime.tool_request import ToolRequest

MOST_FORM = 64 * 1024
MOST_SHOWN = 32 * 1024
"""Characters of an answer that are shown."""
DEADLINE_MS = 5_000


class Result(Struct, frozen=True):
    """What came of a call: ``text`` is the answer, made readable; ``sent`` the arguments."""

    outcome: str
    text: str
    took_ms: int
    sent: str
    waited_ms: int

    @property
    def message(self) -> str:
        """What a tool says of its failure, if it says anything."""
        try:
            answer = msgspec.json.decode(self.text, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            return ""
        said = answer.get("message")
        return said if isinstance(said, str) else ""


@dataclass
class Try:
    """A form as typed, and what came of it. ``key``: this click's, so that it counts once."""

    typed: dict[str, str] = field(default_factory=dict[str, str])
    problems: dict[str, str] = field(default_factory=dict[str, str])
    result: Result | None = None
    key: EventId = field(default_factory=ids.new_event_id)


class ToolPages:
    """Handlers of ``/tools``."""

    def __init__(
        self,
        bus: Bus,
        box: Box,
        shelf: Shelf,
        board: Board,
        records: Records,
        staff: Staff,
        screen: Screen,
        html: Html,
    ) -> None:
        self._bus = bus
        self._box = box
        self._shelf = shelf
        self._board = board
        self._records = records
        self._staff = staff
        self._screen = screen
        self._html = html

    def routes(self) -> list[BaseRoute]:
        one = "/tools/call/{tool}"
        return [
            Route("/tools", self.page),
            Route("/tools/list", self.list),
            Route(one, require("operator")(self.form)),
            Route(one, require("operator")(self.call), methods=["POST"]),
        ]

    async def page(self, _: Request) -> Response:
        """Every tool: who serves it, how it did in calls, its schema."""
        away_since = self._screen.away_since
        return self._html.page("tools/tools.html", away_since=away_since, **self._values())

    async def list(self, request: Request) -> Response:
        """The list alone, for updates; nothing when the browser has it already."""
        return part_or_nothing(self._html, request, "tools/_list.html", **self._values())

    async def form(self, request: Request) -> Response:
        """The form that calls one tool."""
        return await self._form(request, self._tool(request), Try())

    async def call(self, request: Request) -> Response:
        """Call the tool for the chosen caller and show what it answered."""
        tool = self._tool(request)
        typed = await form_of(request, MOST_FORM)
        tried = Try(typed)
        values, tried.problems = schema.read(schema.fields_of(tool.schema), typed)
        caller = _token(typed.get("caller", ""))
        if typed.get("caller") and caller is None:
            tried.problems["caller"] = "There is no such caller."
        if not tool.groups or tool.refused:
            tried.problems[""] = "Not called: " + (
                "two services serve it." if tool.refused else "nobody serves it."
            )
        if tried.problems:
            return await self._form(request, tool, tried, status=422)
        operator = operator_of(request)
        subject = f"{tool.name} for {caller}" if caller else tool.name
        await self._staff.trail.note(operator, "call_tool", subject=subject)
        key = EventId(_token(typed.get("key", "")) or ids.new_event_id())
        tried.result = await self._ask(tool, values, CallerId(caller) if caller else None, key)
        return await self._form(request, tool, tried)

    async def _ask(
        self, tool: Tool, values: dict[str, Any], caller: CallerId | None, key: EventId
    ) -> Result:
        payload = msgspec.json.encode(values)
        began = monotonic_ms()
        asked = ToolRequest(tool.name, payload, caller, key, began + DEADLINE_MS)
        outcome, text = await tool_request.ask(self._bus, asked)
        shown = schema.pretty(text[:MOST_SHOWN])
        return Result(outcome, shown, monotonic_ms() - began, payload.decode(), DEADLINE_MS)

    async def _form(
        self, request: Request, tool: Tool, tried: Try, *, status: int = 200
    ) -> Response:
        callers: tuple[Caller, ...] = ()
        why = ""
        try:
            callers = await self._records.callers()
        except Away as away:
            why = f"Callers cannot be listed: {away.why}."
        partial = request.headers.get("hx-request") == "true"
        return self._html.page(
            "tools/_try.html" if partial else "tools/try.html",
            status=status,
            tool=tool,
            fields=schema.fields_of(tool.schema),
            pretty=schema.pretty(tool.schema),
            callers=callers,
            no_callers=why,
            tried=tried,
            away_since=self._screen.away_since,
        )

    def _tool(self, request: Request) -> Tool:
        name = request.path_params["tool"]
        for tool in self._tools():
            if tool.name == name:
                return tool
        raise HTTPException(404, "No service offers a tool of this name, and no call used one.")

    def _tools(self) -> tuple[Tool, ...]:
        wanted: dict[str, tuple[str, ...]] = {}
        for file in self._shelf.look().files:
            if file.loaded is not None:
                assistant = file.loaded.assistant
                for name in assistant.tools:
                    wanted[name] = (*wanted.get(name, ()), assistant.name)
        offer = self._box.offer
        return tools(offer.served, offer.counted, used(self._board.rows()), wanted)

    def _values(self) -> dict[str, Any]:
        return {"tools": self._tools(), "asked_at": self._box.offer.at, "pretty": schema.pretty}


def _token(text: str) -> str | None:
    try:
        return ids.token(text)
    except InvalidToken:
        return None
