"""The pages of one call, while it goes on and after: sheet, score, raw events, export.

A call that the board no longer holds is read from the log, as long as the stream keeps it.
"""

from typing import Protocol

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.html import Html
from dashboard.live.board import Board, Row, row_of, summary
from dashboard.live.call_screen import WIDTH, CallScreen, ScoreView, call_topic
from dashboard.live.pages import LAST, as_json, number
from dashboard.live.screen import Screen
from dashboard.masking import mask
from dashboard.people.operator import current
from dashboard.score.parts import LONGEST_MS
from dashboard.sound.replay import replay_of
from dashboard.sse import EventStream, Hub
from dashboard.steer.panel import panel_of
from protocol import codec, ids
from protocol import events as e
from protocol.errors import InvalidToken
from protocol.ids import CallId
from runtime.calllog import Entry

EVENTS_A_PAGE = 50
EVENTS_AT_MOST = 1000


class Log(Protocol):
    """The part of ``runtime.calllog.CallLog`` that is read here."""

    async def read(self, call: CallId) -> list[Entry]: ...


class CallPages:
    """Handlers of ``/calls/{call_id}`` and what hangs below."""

    def __init__(
        self,
        board: Board,
        screen: Screen,
        calls: CallScreen,
        html: Html,
        hub: Hub,
        log: Log,
    ) -> None:
        self._board = board
        self._screen = screen
        self._calls = calls
        self._html = html
        self._hub = hub
        self._log = log

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/calls/{call_id}", self.call),
            Route("/calls/{call_id}/live", self.live),
            Route("/calls/{call_id}/score", self.score),
            Route("/calls/{call_id}/events", self.events),
            Route("/calls/{call_id}/events.json", self.events_json),
            Route("/calls/{call_id}/export.json", self.export),
        ]

    def live_row(self, call: CallId) -> Row | None:
        """The call as the board has it now; None where the board has not come to it yet."""
        return self._board.get(call)

    async def row(self, request: Request) -> Row:
        """The call that an address names, of the board or of the log. Raises HTTPException(404)."""
        call = _call_id(request)
        found = self._board.get(call)
        if found is not None:
            return found
        return row_of(call, ((x.sequence, x.event) for x in await self._read(call)))

    async def call(self, request: Request) -> Response:
        """The page of one call; ``from`` and ``to`` (ms) choose a part of its score."""
        row = await self.row(request)
        return self._html.page(
            "live/call.html",
            **self._calls.values(row),
            state=row.state,
            panel=panel_of(row.state, current.get()),
            replay=replay_of(row.state, current.get()),
            score=self._score(request, row),
            away_since=self._screen.away_since,
        )

    async def live(self, request: Request) -> EventStream:
        """Updates of a call's page; the first one is the whole of it."""
        call = _call_id(request)
        return EventStream(
            self._hub, [call_topic(call)], lambda: self._calls.now(self._board.get(call))
        )

    async def score(self, request: Request) -> Response:
        """The score alone, as wide as ``width`` says, for a page that has it already."""
        score = self._score(request, await self.row(request))
        return self._html.page("score/_score.html", score=score)

    async def events(self, request: Request) -> Response:
        """The raw events in pages, numbers masked; ``after`` is a sequence of the log."""
        row = await self.row(request)
        entries = await self._read(row.call_id)
        after = number(request, "after", 0, entries[-1].sequence)
        rest = [x for x in entries if x.sequence > after]
        shown = rest[:EVENTS_A_PAGE]
        passed = len(entries) - len(rest)
        earlier = entries[max(0, passed - EVENTS_A_PAGE) : passed]
        return self._html.page(
            "live/events.html",
            call_id=row.call_id,
            entries=[(x.sequence, x.event, e.name_of(x.event), _pretty(x.event)) for x in shown],
            first=passed + 1,
            count=len(entries),
            before=earlier[0].sequence - 1 if earlier else None,
            after=shown[-1].sequence if len(rest) > len(shown) else None,
            away_since=self._screen.away_since,
        )

    async def events_json(self, request: Request) -> Response:
        """The events as the log holds them, numbers masked; with ``after`` and ``limit`` a part of
        them, and the address of the next in ``Link``.
        """
        call = _call_id(request)
        entries = await self._read(call)
        after = number(request, "after", 0, LAST)
        rest = [x for x in entries if x.sequence > after]
        limit = number(request, "limit", 0, EVENTS_AT_MOST)
        shown = rest[:limit] if limit else rest
        headers: dict[str, str] = {}
        if len(shown) < len(rest):
            next_ = f"/calls/{call}/events.json?after={shown[-1].sequence}&limit={limit}"
            headers["link"] = f'<{next_}>; rel="next"'
        return as_json(_json_of(shown), headers)

    async def export(self, request: Request) -> Response:
        """Everything of a call as one JSON file, numbers masked: state, score, bill, events."""
        call = _call_id(request)
        entries = await self._read(call)
        row = row_of(call, ((x.sequence, x.event) for x in entries))
        score = self._calls.score(row)
        return as_json(
            {
                "call": summary(row.state),
                "caller": mask(row.state.caller),
                "called": mask(row.state.called),
                "started_at": row.state.started_at,
                "ended_at": row.state.ended_at,
                "end_reason": row.state.end_reason,
                "length_ms": score.window.length_ms,
                "score": score.parts,
                "bill": row.bill.lines(),
                "events": _json_of(entries),
            },
            {"content-disposition": f'attachment; filename="{call}.json"'},
        )

    def _score(self, request: Request, row: Row) -> ScoreView:
        return self._calls.score(
            row,
            number(request, "from", 0, LONGEST_MS),
            number(request, "to", 0, LONGEST_MS),
            number(request, "width", 0, 4000) or WIDTH,
        )

    async def _read(self, call: CallId) -> list[Entry]:
        entries = await self._log.read(call)
        if not entries:
            raise HTTPException(404, "The log holds no call of this id.")
        return entries


def _call_id(request: Request) -> CallId:
    try:
        return ids.call_id(request.path_params["call_id"])
    except InvalidToken as error:
        raise HTTPException(404, f"There is no such call: {error}.") from None


def _json_of(entries: list[Entry]) -> list[dict[str, object]]:
    return [{"sequence": x.sequence, "event": masked(x.event)} for x in entries]


def _pretty(event: e.AnyEvent) -> str:
    return msgspec.json.format(codec.encode(masked(event)), indent=2).decode()


def masked(event: e.AnyEvent) -> e.AnyEvent:
    """``event`` without the digits of numbers."""
    match event:
        case e.Ringing():
            return msgspec.structs.replace(
                event, caller=mask(event.caller), called=mask(event.called)
            )
        case e.Transferred():
            return msgspec.structs.replace(event, to=mask(event.to))
        case _:
            return event
