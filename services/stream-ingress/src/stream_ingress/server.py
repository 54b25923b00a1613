"""The WebSocket server: who may upgrade, how many, and the drain.

Not uvicorn, which closes every open socket at once when it is asked to stop; here SIGTERM only
stops the accepting. picows, because a frame costs it a fifth of what it costs ``websockets``
(docs/performance.md). app runs it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

import picows
from picows import WSTransport, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

from runtime import admin, logging
from runtime.tasks import Tasks
from runtime.text_socket import TextSocket
from stream_ingress import metrics
from stream_ingress.admission import BROWSER_PATH, PATH, Admission

_log = logging.get("server")
_serve = cast("Callable[..., Any]", picows.ws_create_server)  # pyright: ignore[reportUnknownMemberType]

MAX_MESSAGE_BYTES = 64 * 1024
"""A usual frame is 430 bytes of JSON; larger messages close the socket with 1009."""
GOING_AWAY = 1001
SIGNATURE = "X-Twilio-Signature"
ORIGIN = "Origin"


class Gate:
    """Answers upgrade requests: path, signature or origin, room."""

    def __init__(self, admission: Admission, slots: int) -> None:
        self._admission = admission
        self._slots = slots
        self._sockets = slots + slots // 10 + 1
        metrics.slots.set(slots)

    def crowded(self, carried: int) -> bool:
        """No slot is free for one more than ``carried``. Some come in all the same: a new caller to
        be told so, a call that is under way to go on.
        """
        return carried >= self._slots

    def refusal(self, request: WSUpgradeRequest, carried: int) -> tuple[HTTPStatus, str] | None:
        """Why the upgrade may not pass while ``carried`` sockets are open; None lets it pass."""
        path = request.path.decode(errors="replace")
        if path == PATH:
            signatures = request.headers.getall(SIGNATURE, [])
            if len(signatures) != 1 or not self._admission.signed(signatures[0]):
                return HTTPStatus.FORBIDDEN, "wrong signature"
        elif path == BROWSER_PATH and self._admission.browsers:
            origins = request.headers.getall(ORIGIN, [])
            if len(origins) != 1 or not self._admission.from_desk(origins[0]):
                return HTTPStatus.FORBIDDEN, "wrong origin"
        else:
            return HTTPStatus.NOT_FOUND, "unknown path"
        if carried >= self._sockets:
            return HTTPStatus.SERVICE_UNAVAILABLE, "no slot free"
        return None


class MediaSocket(TextSocket):
    """A socket that was let in: a caller's, ``path`` says of which kind. ``crowded``: beyond the
    slots.
    """

    def __init__(
        self, path: str, opened: Callable[["MediaSocket"], None], *, crowded: bool
    ) -> None:
        super().__init__(MAX_MESSAGE_BYTES)
        self.path = path
        self.crowded = crowded
        self._opened = opened

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self._opened(self)


class Server:
    """Takes sockets until ``stop``; ``carry`` serves each until it is closed."""

    def __init__(self, gate: Gate, carry: Callable[[MediaSocket], Awaitable[None]]) -> None:
        self._gate = gate
        self._carry = carry
        self._sockets: set[MediaSocket] = set()
        self._listener: asyncio.Server | None = None
        self._tasks = Tasks("server")
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def port(self) -> int:
        assert self._listener is not None, "it listens"
        return self._listener.sockets[0].getsockname()[1]

    def is_serving(self) -> bool:
        """Whether new sockets are taken."""
        return self._listener is not None and self._listener.is_serving()

    def stop(self) -> None:
        """Take no new socket; the open ones stay. Whoever is connected already may still upgrade:
        refused, a call would end in an apology.
        """
        if self._listener is not None:
            self._listener.close()

    async def wait_empty(self) -> None:
        """Return when no socket is open."""
        await self._empty.wait()

    @contextlib.asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncGenerator[None]:
        """Serve during the block; on leaving, sockets still open are closed.

        Raises ServiceError when the port is taken.
        """
        sock = admin.bind(host, port, what="stream-ingress", setting="INGRESS_PORT")
        async with self._tasks:
            # Twilio's frames flow all the time: a leg without any is noticed without pings.
            self._listener = await _serve(
                self._upgrade, sock=sock, max_frame_size=MAX_MESSAGE_BYTES, enable_auto_ping=False
            )
            try:
                yield
            finally:
                self.stop()
                self._closing = True
                async with asyncio.TaskGroup() as group:
                    for socket in self._sockets:
                        group.create_task(socket.close(GOING_AWAY, "shutting down"))
                await self.wait_empty()

    def _upgrade(self, request: WSUpgradeRequest) -> MediaSocket | WSUpgradeResponseWithListener:
        refusal = self._gate.refusal(request, len(self._sockets))
        if refusal is None and self._closing:
            refusal = HTTPStatus.SERVICE_UNAVAILABLE, "shutting down"
        if refusal is None:
            _single_connection(request)
            metrics.upgrades.labels("accepted").inc()
            crowded = self._gate.crowded(len(self._sockets))
            return MediaSocket(request.path.decode(), self._opened, crowded=crowded)
        status, why = refusal
        metrics.upgrades.labels(why).inc()
        _log.warning("upgrade refused", reason=why)
        response = WSUpgradeResponse.create_error_response(status, f"{why}\n".encode())
        return WSUpgradeResponseWithListener(response, None)

    def _opened(self, socket: MediaSocket) -> None:
        self._sockets.add(socket)
        self._empty.clear()
        self._tasks.isolate(self._serve_one(socket), "socket")

    async def _serve_one(self, socket: MediaSocket) -> None:
        try:
            await self._carry(socket)
        finally:
            await socket.close()
            self._sockets.discard(socket)
            if not self._sockets:
                self._empty.set()


def _single_connection(request: WSUpgradeRequest) -> None:
    """Let picows find ``upgrade`` where Firefox and proxies put it beside ``keep-alive``."""
    wanted = ",".join(request.headers.getall("Connection", [])).lower().split(",")
    if "upgrade" in (token.strip() for token in wanted):
        request.headers["Connection"] = "upgrade"
