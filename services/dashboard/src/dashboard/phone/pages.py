"""The phone in the browser: its page, opening a call, its transcript, and what follows when its
line was closed. The line itself goes from the browser to stream-ingress, past the desk.
"""

from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.form import form_of
from dashboard.html import Html
from dashboard.live.board import Board
from dashboard.live.pages import as_json
from dashboard.live.screen import Screen
from dashboard.live.view import timeline
from dashboard.masking import mask
from dashboard.origin import csp
from dashboard.people.operator import operator_of, require
from dashboard.people.staff import Staff
from dashboard.phone.lines import Away, Lines
from protocol import ids
from protocol.calls import BrowserLines, CallOver, CallRefused
from protocol.errors import InvalidToken
from protocol.ids import CallId
from runtime.errors import NatsAway

ACT = "phone"
"""The act of calling, in the audit trail and the call's log."""


class PhonePages:
    """Handlers of ``/phone`` and ``/browser/stream-ended``, for operators."""

    def __init__(
        self, staff: Staff, lines: Lines, board: Board, screen: Screen, html: Html
    ) -> None:
        self._staff = staff
        self._lines = lines
        self._board = board
        self._screen = screen
        self._html = html

    def routes(self) -> list[BaseRoute]:
        operator = require("operator")
        return [
            Route("/phone", operator(self.phone)),
            Route("/phone/calls", operator(self.open), methods=["POST"]),
            Route("/phone/calls/{call_id}", operator(self.transcript)),
            Route("/browser/stream-ended", operator(self.stream_ended), methods=["POST"]),
        ]

    async def phone(self, request: Request) -> Response:
        """The page; it may connect with the media sockets that webhooks names, and nothing else."""
        try:
            found = await self._lines.phone(operator_of(request).name)
        except Away as away:
            return self._page(None, problem=str(away), status=503)
        if isinstance(found, CallRefused):
            return self._page(None, problem=found.message)
        origin = line_origin(found.url)
        if not origin:
            return self._page(None, problem="webhooks names no usable PUBLIC_STREAM_URL.")
        if not found.lines:
            return self._page(None, problem="No assistant can be called: there is no profile.")
        return self._page(found, headers={"content-security-policy": csp(connect=origin)})

    async def open(self, request: Request) -> Response:
        """A new call, as JSON: its id, and where its line is opened with which token; or what is
        wrong, in words.
        """
        form, operator = await form_of(request), operator_of(request)
        called, caller = form.get("called", "").strip(), form.get("caller", "").strip()
        try:
            offer = await self._lines.open(operator.name, called, caller)
            if isinstance(offer, CallRefused):
                return as_problem(422, offer.message)
            await self._staff.trail.acted(operator, offer.call, ACT, f"to {mask(called)}")
        except Away as away:
            return as_problem(503, str(away))
        except NatsAway:
            return as_problem(503, "The log of calls does not answer: NATS is away. Try again.")
        return as_json(offer)

    async def transcript(self, request: Request) -> Response:
        """The transcript of a call, which keeps itself up to date."""
        call = _call_id(request.path_params["call_id"])
        row = self._board.get(call)
        marks = timeline(row) if row is not None else ()
        return self._html.page("phone/_call.html", call_id=call, marks=marks)

    async def stream_ended(self, request: Request) -> Response:
        """What follows a line that was closed, as JSON: what Twilio is told of a telephone call."""
        call = _call_id((await form_of(request)).get("call", ""))
        try:
            reply = await self._lines.ended(operator_of(request).name, call)
        except Away as away:
            return as_problem(503, str(away))
        if isinstance(reply, CallRefused):
            return as_problem(404 if reply.reason == "unknown_call" else 422, reply.message)
        if isinstance(reply, CallOver):
            await self._staff.trail.note(operator_of(request), "phone_ended", subject=call)
        return as_json(reply)

    def _page(
        self,
        lines: BrowserLines | None,
        *,
        problem: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        values: dict[str, Any] = {"lines": lines, "problem": problem}
        return self._html.page(
            "phone/phone.html",
            status=status,
            headers=headers,
            home=self._staff.url.rstrip("/"),
            away_since=self._screen.away_since,
            **values,
        )


def as_problem(status: int, sentence: str) -> Response:
    """What a script shows to a person."""
    response = as_json({"problem": sentence})
    response.status_code = status
    return response


def line_origin(url: str) -> str:
    """The origin of a media socket's address, for the content policy; empty when it is none. Pure.

    Nothing but a plain host and port gets into the policy, whatever webhooks says.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    plain = host.replace("-", "").replace(".", "").isalnum() and host.isascii()
    if parts.scheme not in ("ws", "wss") or not plain:
        return ""
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")


def _call_id(text: str) -> CallId:
    try:
        return ids.call_id(text)
    except InvalidToken as error:
        raise HTTPException(404, f"There is no such call: {error}.") from None
