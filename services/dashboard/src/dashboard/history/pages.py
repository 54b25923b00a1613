"""The pages of the history: search, CSV, figures."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from markupsafe import Markup
from msgspec import Struct, structs
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dashboard.database import WITHIN_S, Database
from dashboard.form import form_of
from dashboard.history import day_figures, export, figures, search
from dashboard.history.finder import COUNTED, Excerpt, Facets, Finder, Found, Place
from dashboard.history.search import LENGTHS, OUTCOMES, Question
from dashboard.history.shown import Shown, shown
from dashboard.html import Html
from dashboard.live.screen import Screen
from dashboard.masking import mask
from dashboard.people import trail
from dashboard.people.operator import Operator, operator_of, require
from protocol.ids import CallId
from runtime.clock import utc_now

CSV_PAGE = 1000
_FIELDS = ("q", "outcome", "length", "assistant")
_ALLOWED = (
    "You may look for a whole number, or for its last four digits; an operator may look for any "
    "part of it."
)


class Choice(Struct, frozen=True):
    """A facet's value as a link: where it leads, and whether it is chosen now."""

    name: str
    href: str
    count: int | None
    chosen: bool


class HistoryPages:
    """Handlers of ``/history``, ``/history.csv`` and ``/history/figures``."""

    def __init__(self, db: Database, screen: Screen, html: Html, zone: ZoneInfo) -> None:
        self._db = db
        self._screen = screen
        self._html = html
        self._zone = zone

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history", self.page),
            Route("/history", require("operator")(self.reveal), methods=["POST"]),
            Route("/history.csv", self.csv),
            Route("/history.csv", require("operator")(self.csv_revealed), methods=["POST"]),
            Route("/history/figures", self.figures),
        ]

    async def page(self, request: Request) -> Response:
        """Calls that the question finds, newest first; ``after`` goes on with older ones."""
        return await self._page(request, dict(request.query_params), reveal=False)

    async def reveal(self, request: Request) -> Response:
        """The same page with its numbers unmasked; the trail names every call shown."""
        return await self._page(request, await form_of(request), reveal=True)

    async def _page(self, request: Request, given: dict[str, str], *, reveal: bool) -> Response:
        operator = operator_of(request)
        asked = self._question(given, operator)
        calls: list[Found] = []
        older: Place | None = None
        facets = Facets({}, {}, 0, more=False)
        excerpts: dict[str, Excerpt] = {}
        problem = "" if search.allowed(asked, any_part=operator.may("operator")) else _ALLOWED
        async with self._db.transaction(WITHIN_S) as connection:
            finder = Finder(connection)
            assistants = await finder.assistants()
            if not problem:
                calls, older = await finder.page(asked, Place.read(given.get("after", "")))
                facets = await finder.facets(asked)
                excerpts = await finder.excerpts(calls, asked.words)
            if reveal:
                for call in calls:
                    await trail.record(
                        connection, operator, "reveal_number", call=CallId(call.call_id)
                    )
        values: dict[str, Any] = {
            "asked": asked,
            "given": {name: given.get(name, "") for name in (*_FIELDS, "after")},
            "problem": problem,
            "calls": [self._shown(call, excerpts, reveal=reveal) for call in calls],
            "revealed": reveal,
            "total": facets.total,
            "more": facets.more,
            "counted": COUNTED,
            "outcomes": _choices(asked, "outcome", OUTCOMES, facets.outcomes),
            "lengths": _choices(
                asked, "length", {n: words for n, (words, _, _) in LENGTHS.items()}, facets.lengths
            ),
            "assistants": assistants,
            "older": _address(asked, after=str(older)) if older else "",
            "first": _address(asked) if given.get("after") else "",
            "csv": _address(asked, path="/history.csv"),
            "forgettable": calls[0].call_id if calls and search.whole_number(asked) else "",
            "away_since": self._screen.away_since,
        }
        return self._html.page("history/history.html", **values)

    async def csv(self, request: Request) -> Response:
        """What the question finds as CSV, numbers masked; at most ``export.MOST_ROWS`` calls."""
        return await self._csv(request, dict(request.query_params), reveal=False)

    async def csv_revealed(self, request: Request) -> Response:
        """The same with numbers; the trail says so, and what was asked for."""
        return await self._csv(request, await form_of(request), reveal=True)

    async def _csv(self, request: Request, given: dict[str, str], *, reveal: bool) -> Response:
        operator = operator_of(request)
        asked = self._question(given, operator)
        if not search.allowed(asked, any_part=operator.may("operator")):
            raise HTTPException(403, _ALLOWED)
        async with self._db.transaction(WITHIN_S) as connection:
            first, place = await Finder(connection).page(asked, None, most=CSV_PAGE, scores=False)
            if reveal:
                await trail.record(connection, operator, "reveal_numbers", detail="history as CSV")
        name = f"calls-{utc_now():%Y-%m-%d}.csv"
        return StreamingResponse(
            self._rows(asked, first, place, reveal=reveal),
            media_type="text/csv; charset=utf-8",
            headers={
                "content-disposition": f'attachment; filename="{name}"',
                "cache-control": "no-store",
            },
        )

    async def _rows(
        self, asked: Question, calls: list[Found], place: Place | None, *, reveal: bool
    ) -> AsyncGenerator[bytes]:
        yield export.header()
        given = len(calls)
        yield export.lines(calls, reveal=reveal)
        while place is not None:
            if given >= export.MOST_ROWS:
                yield export.cut()
                return
            async with self._db.transaction(WITHIN_S) as connection:
                calls, place = await Finder(connection).page(
                    asked, place, most=CSV_PAGE, scores=False
                )
            given += len(calls)
            yield export.lines(calls, reveal=reveal)

    async def figures(self, request: Request) -> Response:
        """Calls, minutes, cost, failures and response times per day and assistant."""
        given = request.query_params
        today = utc_now().astimezone(self._zone).date()
        first, last = figures.days(
            search.day_in(given.get("from", "")), search.day_in(given.get("to", "")), today
        )
        async with self._db.transaction(WITHIN_S) as connection:
            found = await day_figures.between(connection, first, last, self._zone)
        return self._html.page(
            "history/figures.html",
            rows=found,
            first=first,
            last=last,
            most=max((row.calls for row in found), default=1),
            earlier=first - timedelta(days=(last - first).days + 1),
            away_since=self._screen.away_since,
        )

    def _question(self, given: dict[str, str], operator: Operator) -> Question:
        asked = search.question(
            given.get("q", ""),
            today=utc_now().astimezone(self._zone).date(),
            zone=self._zone,
            outcome=given.get("outcome", ""),
            length=given.get("length", ""),
            who=given.get("assistant", ""),
        )
        return structs.replace(asked, exact=not operator.may("operator"))

    def _shown(self, call: Found, excerpts: dict[str, Excerpt], *, reveal: bool) -> Shown:
        number = call.caller or "unknown" if reveal else mask(call.caller)
        return shown(call, number, excerpts.get(call.call_id), Markup(call.score))  # noqa: S704 (drawn by us)


def _choices(asked: Question, field: str, names: dict[str, str], counts: Any) -> list[Choice]:
    """A facet's values that there are calls of, the chosen one in any case."""
    now: str = getattr(asked, field) or ""
    return [
        Choice(
            words,
            _address(asked, **{field: "" if value == now else value}),
            counts.get(value, 0),
            value == now,
        )
        for value, words in names.items()
        if counts.get(value) or value == now
    ]


def _address(asked: Question, *, path: str = "/history", **more: str) -> str:
    fields = {
        "q": asked.text,
        "outcome": asked.outcome,
        "length": asked.length or "",
        "assistant": asked.assistant,
        **more,
    }
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{path}?{query}" if query else path
