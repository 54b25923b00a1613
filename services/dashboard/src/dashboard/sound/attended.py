"""An operator's websocket on a call: accepted, bound to its session and to the call, both of which
end it.
"""

import contextlib
from collections.abc import AsyncGenerator

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.websockets import WebSocket

from dashboard.database import DatabaseAway, DeadlineMissed
from dashboard.live.board import Row
from dashboard.live.call_pages import CallPages
from dashboard.people.operator import Operator
from dashboard.sound.outgoing import Outgoing, Told
from dashboard.sse import Hub
from protocol import subjects
from runtime.bus import Bus
from runtime.errors import NatsAway
from runtime.subscribed import Message

ENDED = Told("ended", "The call is over.")


class Attended(Struct):
    """One open socket; ``row`` is the call as it was when it opened."""

    socket: WebSocket
    operator: Operator
    row: Row
    out: Outgoing


@contextlib.asynccontextmanager
async def attended(
    socket: WebSocket, calls: CallPages, hub: Hub, bus: Bus
) -> AsyncGenerator[Attended | None]:
    """The socket while its session counts and its call goes on; None, and closed with words, when
    there is nothing to attend. The guard has let an operator through.
    """
    await socket.accept()
    out = Outgoing(socket)
    operator: Operator | None = socket.scope["state"].get("operator")
    row, problem = await _row(socket, calls)
    if row is None or operator is None or not operator.may("operator") or row.ended:
        out.end(ENDED if row is not None and row.ended else Told("refused", problem))
        await out.drain()
        yield None
        return

    async def over(_: Message) -> None:
        out.end(ENDED)

    session = str(socket.scope["state"].get("session", ""))
    with hub.listening((), session) as browser:
        browser.on_end(lambda: out.end(Told("away", "You are logged out, or the desk stops.")))
        subscribed = await bus.subscribe(subjects.event(row.call_id, "call_ended"), over)
        try:
            yield Attended(socket, operator, row, out)
        finally:
            await subscribed.stop()


async def _row(socket: WebSocket, calls: CallPages) -> tuple[Row | None, str]:
    request = Request({**socket.scope, "type": "http", "method": "GET"})
    try:
        return await calls.row(request), "Your role does not allow this."
    except HTTPException as error:
        return None, error.detail
    except (NatsAway, DatabaseAway, DeadlineMissed):
        return None, "The log of calls does not answer."
