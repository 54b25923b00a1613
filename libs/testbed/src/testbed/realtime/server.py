"""The simulated Realtime server: a websocket at /v1/realtime with sessions, records and faults.

    async with RealtimeServer(Scripts(Script(...))) as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key="any")

Started by tests, the launcher and `python -m testbed.realtime`. Knows no rule of the protocol.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response as HttpResponse

from testbed.realtime.connection import Connection
from testbed.realtime.host import Habits
from testbed.realtime.minds import Mind
from testbed.realtime.session import Session

PATH = "/v1/realtime"
MAX_FRAME_BYTES = 24 * 1024 * 1024
"""Above base64 of the 15 MiB that one append may carry."""


@dataclass(slots=True)
class Faults:
    """Switches of the server as a whole; single sessions have theirs on their Connection."""

    refuse_upgrades: int | None = None
    """Answer every new upgrade with this HTTP status (401, 429, 500, ...)."""


class RealtimeServer:
    """Async context manager. `mind` makes the mind of each new session."""

    def __init__(
        self,
        mind: Callable[[], Mind],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        habits: Habits | None = None,
        record: bool = True,
    ) -> None:
        """`port` 0 = a free one; `api_key` None = any bearer token will do.

        `record`: keep the events of every connection, for tests; off for long-running servers.
        """
        self.habits = habits or Habits()
        self.faults = Faults()
        self.connections: list[Connection] = []
        """All sockets so far, oldest first; with `record` off only the open ones."""
        self.refused: list[int] = []
        """HTTP statuses of refused upgrades."""
        self._mind = mind
        self._host, self._port = host, port
        self._api_key = api_key
        self._record = record
        self._server: Server | None = None

    async def __aenter__(self) -> RealtimeServer:
        """Listen; OSError if the port is taken."""
        self._server = await serve(
            self._handle,
            self._host,
            self._port,
            process_request=self._admit,
            compression=None,
            max_size=MAX_FRAME_BYTES,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all sockets (1001) and wait until their sessions have ended."""
        assert self._server is not None, "the server was not started"
        for connection in self.connections:
            connection.resume()
        self._server.close()
        await self._server.wait_closed()

    @property
    def base_url(self) -> str:
        """For AsyncOpenAI(base_url=...)."""
        return f"http://{self._host}:{self._port}/v1"

    @property
    def open_sockets(self) -> int:
        """Sockets open now."""
        return sum(connection.close_code is None for connection in self.connections)

    def _admit(self, websocket: ServerConnection, request: HttpRequest) -> HttpResponse | None:
        status, message = self._judge(request)
        if status == 101:
            return None
        self.refused.append(status)
        body = {"error": {"type": "invalid_request_error", "message": message}}
        response = websocket.respond(status, json.dumps(body))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        return response

    def _judge(self, request: HttpRequest) -> tuple[int, str]:
        """The HTTP status of an upgrade (101 = admitted) and the reason."""
        url = urlsplit(request.path)
        bearer = request.headers.get("Authorization", "")
        key = bearer.removeprefix("Bearer ")
        if self.faults.refuse_upgrades is not None:
            return self.faults.refuse_upgrades, "The server refuses this connection."
        if url.path != PATH:
            return 404, f"Invalid URL ({url.path})"
        if not bearer.startswith("Bearer ") or not key:
            return 401, "Missing bearer authentication in header"
        if self._api_key is not None and not secrets.compare_digest(key, self._api_key):
            return 401, "Incorrect API key provided"
        if "OpenAI-Beta" in request.headers:
            return 400, "The Realtime Beta API is no longer supported: send no OpenAI-Beta header"
        if "model" not in parse_qs(url.query):
            return 400, "You must provide a model parameter"
        return 101, ""

    async def _handle(self, websocket: ServerConnection) -> None:
        assert websocket.request is not None, "a handler runs after the handshake"
        query = parse_qs(urlsplit(websocket.request.path).query)
        lifetime_s = self.habits.lifetime_s
        connection = Connection(websocket, record=self._record)
        session = Session(
            session_id=f"sess_{secrets.token_hex(8)}",
            model=query["model"][0],
            expires_at=int(time.time() + lifetime_s),
            mind=self._mind(),
            host=connection,
            habits=self.habits,
        )
        self.connections.append(connection)
        try:
            await connection.run(session, lifetime_s)
        finally:
            if not self._record:
                self.connections.remove(connection)
