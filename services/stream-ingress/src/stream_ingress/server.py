"""The WebSocket server: who may upgrade, how many, and the drain.

Not uvicorn, which closes every open socket at once when it is asked to stop; here SIGTERM only
stops the accepting. app runs it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from runtime import admin, logging
from stream_ingress import metrics
from stream_ingress.admission import BROWSER_PATH, PATH, Admission

_log = logging.get("server")

MAX_MESSAGE_BYTES = 64 * 1024
"""A usual frame is 430 bytes of JSON; larger messages close the socket with 1009."""
CLOSE_WITHIN_S = 2.0
GOING_AWAY = 1001
SIGNATURE = "X-Twilio-Signature"
ORIGIN = "Origin"


class Gate:
    """Answers upgrade requests: path, signature or origin, room."""

    def __init__(self, admission: Admission, slots: int) -> None:
        self._admission = admission
        self._slots = slots
        metrics.slots.set(slots)

    def __call__(self, connection: ServerConnection, request: Request) -> Response | None:
        """None lets the upgrade pass."""
        if request.path == PATH:
            signatures = request.headers.get_all(SIGNATURE)
            if len(signatures) != 1 or not self._admission.signed(signatures[0]):
                return self._refuse(connection, HTTPStatus.FORBIDDEN, "wrong signature")
        elif request.path == BROWSER_PATH and self._admission.browsers:
            origins = request.headers.get_all(ORIGIN)
            if len(origins) != 1 or not self._admission.from_desk(origins[0]):
                return self._refuse(connection, HTTPStatus.FORBIDDEN, "wrong origin")
        else:
            return self._refuse(connection, HTTPStatus.NOT_FOUND, "unknown path")
        server = connection.server
        if len(server.connections) >= self._slots:
            return self._refuse(connection, HTTPStatus.SERVICE_UNAVAILABLE, "no slot free")
        metrics.upgrades.labels("accepted").inc()
        return None

    def _refuse(self, connection: ServerConnection, status: HTTPStatus, why: str) -> Response:
        metrics.upgrades.labels(why).inc()
        _log.warning("upgrade refused", reason=why)
        return connection.respond(status, f"{why}\n")


@contextlib.asynccontextmanager
async def listening(
    handler: Callable[[ServerConnection], Awaitable[None]], gate: Gate, *, host: str, port: int
) -> AsyncGenerator[Server]:
    """Serve media sockets during the block; on leaving, sockets still open are closed.

    Raises ServiceError when the port is taken.
    """
    sock = admin.bind(host, port, what="stream-ingress", setting="INGRESS_PORT")
    server = await serve(
        handler,
        sock=sock,
        process_request=gate,
        max_size=MAX_MESSAGE_BYTES,
        compression=None,
        close_timeout=CLOSE_WITHIN_S,
        # Twilio's frames flow all the time: a leg without any is noticed without pings.
        ping_interval=None,
        server_header=None,
    )
    try:
        yield server
    finally:
        # A second close of the server would not close its sockets: do it here.
        server.close(close_connections=False)
        async with asyncio.TaskGroup() as group:
            for connection in server.connections:
                group.create_task(connection.close(GOING_AWAY, "shutting down"))
        await server.wait_closed()
