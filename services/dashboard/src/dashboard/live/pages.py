"""The pages of live calls: the list, one call, its raw events, and their update streams.

A call that the board no longer holds is read from the log, as long as the stream keeps it.
"""

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.html import Html
from dashboard.live.board import Board, Row, summaries
from dashboard.live.screen import BOARD, Screen, call_topic
from dashboard.live.view import view
from dashboard.masking import mask
from dashboard.sse import EventStream, Hub
from protocol import codec, ids
from protocol import events as e
from protocol.call import fold
from protocol.errors import InvalidToken
from protocol.ids import CallId
from runtime.calllog import CallLog, Entry
from runtime.clock import utc_now


class LivePages:
    """Handlers of ``/``, ``/calls/...`` and ``/board.json``."""

    def __init__(self, board: Board, screen: Screen, html: Html, hub: Hub, log: CallLog) -> None:
        self._board = board
        self._screen = screen
        self._html = html
        self._hub = hub
        self._log = log

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.calls),
            Route("/live", self.live),
            Route("/board.json", self.board),
            Route("/calls/{call_id}", self.call),
            Route("/calls/{call_id}/live", self.call_live),
            Route("/calls/{call_id}/events.json", self.events),
        ]

    async def calls(self, _: Request) -> Response:
        """The live page."""
        return self._html.page(
            "live/calls.html",
            listing=self._screen.listing(),
            away_since=self._screen.away_since,
        )

    async def live(self, _: Request) -> EventStream:
        """Updates of the live page; the first one is the whole of it."""
        return EventStream(self._hub, [BOARD], self._screen.board_now)

    async def board(self, _: Request) -> Response:
        """The fold of every call on the board, for tests and scripts."""
        return _json(
            {"last_sequence": self._board.last_sequence, "calls": summaries(self._board.rows())}
        )

    async def call(self, request: Request) -> Response:
        """The page of one call."""
        call = _call_id(request)
        row = self._board.get(call) or await self._from_log(call)
        return self._html.page(
            "live/call.html", call=view(row, utc_now()), away_since=self._screen.away_since
        )

    async def call_live(self, request: Request) -> EventStream:
        """Updates of a call's page; the first one is the whole of it."""
        call = _call_id(request)
        return EventStream(
            self._hub, [call_topic(call)], lambda: self._screen.call_now(self._board.get(call))
        )

    async def events(self, request: Request) -> Response:
        """The events of a call as the log holds them, with numbers masked."""
        entries = await self._read(_call_id(request))
        return _json([{"sequence": x.sequence, "event": _masked(x.event)} for x in entries])

    async def _from_log(self, call: CallId) -> Row:
        entries = await self._read(call)
        state = fold(call, ((entry.sequence, entry.event) for entry in entries))
        return Row(entries[0].sequence, state)

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


def _masked(event: e.AnyEvent) -> e.AnyEvent:
    match event:
        case e.Ringing():
            return msgspec.structs.replace(
                event, caller=mask(event.caller), called=mask(event.called)
            )
        case e.Transferred():
            return msgspec.structs.replace(event, to=mask(event.to))
        case _:
            return event


def _json(value: object) -> Response:
    return Response(
        codec.encode(value), media_type="application/json", headers={"cache-control": "no-store"}
    )
