"""One Realtime socket: connects through the ``openai`` SDK, configures, sends, gives decoded
events.

The SDK keeps URL, key and headers; the hot path goes around its pydantic models (bytes in, text
out). Its own reconnect stays off: it would yield a blank session. Sending never blocks the
caller: control is queued, audio is dropped oldest first when the socket is slow.
"""

import asyncio
import base64
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import openai
import websockets
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.websocket_connection_options import WebSocketConnectionOptions
from prometheus_client import Counter

from ai_agent.realtime import commands
from ai_agent.realtime import events as rt
from protocol import codec
from protocol.errors import DecodeError
from runtime import logging
from runtime.tasks import Tasks

_log = logging.get("realtime")
_dropped = Counter("trunkline_model_audio_dropped_total", "Caller audio dropped: model socket slow")
_ignored: set[str] = set()

Client = AsyncOpenAI
"""The SDK's client: made once a process, shared by its calls."""

PASSING = ("server_error", "rate_limit_error")
"""Types of errors that say nothing against the configuration that met them."""
AUDIO_BACKLOG = 100
"""Appends (40-60 ms each) that may wait for a slow socket."""
CLOSE_S = 2
PING_EVERY_S = 2
PING_S = 3
"""A peer that answers no ping for so long is gone, though its socket stands."""
GONE = 1006
"""The code of a socket that ended without a close frame."""
_OPTIONS = cast(
    "WebSocketConnectionOptions",  # its type names but some of what websockets takes
    {
        "max_size": 2**24,
        "compression": None,
        "ping_interval": PING_EVERY_S,
        "ping_timeout": PING_S,
    },
)


def client(api_key: str, base_url: str) -> Client:
    """A client; ``base_url`` empty means OpenAI's own. Use it as an async context manager."""
    return AsyncOpenAI(api_key=api_key, base_url=base_url or None)


class SessionFailed(Exception):
    """No usable session. ``permanent``: no retry mends it (key, quota, a configuration that is
    refused).
    """

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


class RealtimeConnection:
    """An open socket. ``session`` is known after ``configure``."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self._connection = connection
        self._control: deque[str] = deque()
        self._audio: deque[str] = deque()
        self._more = asyncio.Event()
        self.session = rt.Session()
        self.ended = ""
        """Why the socket ended: the close code and the peer's reason; empty while it stands."""

    def tell(self, command: commands.Command) -> None:
        """Queue a client event."""
        self._control.append(codec.encode(command).decode())
        self._more.set()

    def append_audio(self, audio: bytes) -> None:
        """Queue caller audio (mu-law bytes)."""
        if len(self._audio) >= AUDIO_BACKLOG:
            self._audio.popleft()
            _dropped.inc()
        self._audio.append(
            '{"type":"input_audio_buffer.append","audio":"'
            + base64.b64encode(audio).decode()
            + '"}'
        )
        self._more.set()

    async def close(self) -> None:
        """Close the socket: ``events`` ends."""
        with contextlib.suppress(TimeoutError, OSError, websockets.WebSocketException):
            async with asyncio.timeout(CLOSE_S):
                await self._connection.close()

    async def write(self) -> None:
        """Send what is queued, for ever: control before audio. The one writer of the socket."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._control or self._audio:
                queue = self._control or self._audio
                await self._connection.send_raw(queue.popleft())

    async def events(self) -> AsyncIterator[rt.AnyServerEvent]:
        """Server events until the socket ends; a clean close and a lost one both just end it."""
        while True:
            try:
                data = await self._connection.recv_bytes()
            except websockets.ConnectionClosed as closed:
                self.ended = _why(closed)
                return
            try:
                event = rt.decode(data)
            except DecodeError as error:
                _log.warning("undecodable event", reason=str(error))
                continue
            if isinstance(event, str):
                if event not in _ignored:
                    _ignored.add(event)
                    _log.debug("event type ignored", type=event)
                continue
            yield event

    async def configure(self, update: commands.Command, *, timeout: float) -> None:
        """Send the full session.update and check that both formats are mu-law before any audio
        flows.

        Raises SessionFailed when it is refused, not answered within ``timeout`` seconds, or
        another format came back.
        """
        self.tell(update)
        try:
            async with asyncio.timeout(timeout):
                async for event in self.events():
                    if isinstance(event, rt.ErrorReported):
                        code = event.error.code or event.error.type
                        passing = event.error.type in PASSING
                        raise SessionFailed(f"session refused: {code}", permanent=not passing)
                    if isinstance(event, rt.SessionCreated):
                        self.session = event.session
                    if isinstance(event, rt.SessionUpdated):
                        self.session = checked(event.session)
                        return
        except TimeoutError:
            raise SessionFailed("session not configured in time", permanent=False) from None
        raise SessionFailed(f"socket closed while configuring: {self.ended}", permanent=False)


def _why(closed: websockets.ConnectionClosed) -> str:
    frame = closed.rcvd or closed.sent
    if frame is None:
        return str(GONE)
    return f"{frame.code} {frame.reason}".strip()


def checked(session: rt.Session) -> rt.Session:
    """``session`` if both its formats are mu-law. Raises SessionFailed: anything else is noise."""
    for way in ("input", "output"):
        part = cast("dict[str, object]", session.audio.get(way) or {})
        if part.get("format") != commands.PCMU:
            raise SessionFailed(f"{way} format is not audio/pcmu", permanent=True)
    return session


@contextlib.asynccontextmanager
async def connected(
    client: Client, *, model: str, safety_id: str, tasks: Tasks, timeout: float
) -> AsyncGenerator[RealtimeConnection]:
    """An open socket for the block; it is closed with the block, whatever happens.

    Raises SessionFailed when it cannot be opened within ``timeout`` seconds.
    """
    manager = client.realtime.connect(
        model=model,
        extra_headers={"OpenAI-Safety-Identifier": safety_id},
        websocket_connection_options=_OPTIONS,
    )
    try:
        async with asyncio.timeout(timeout):
            raw = await manager.enter()
    except websockets.InvalidStatus as error:
        status = error.response.status_code
        permanent = status in (400, 401, 403, 404)
        raise SessionFailed(f"refused with HTTP {status}", permanent=permanent) from None
    except (OSError, TimeoutError, websockets.WebSocketException, openai.OpenAIError) as error:
        raise SessionFailed(f"cannot connect ({type(error).__name__})", permanent=False) from None
    connection = RealtimeConnection(raw)
    writer = tasks.spawn(_write(connection), "realtime.write")
    try:
        yield connection
    finally:
        writer.cancel()
        with contextlib.suppress(TimeoutError, OSError, websockets.WebSocketException):
            async with asyncio.timeout(CLOSE_S):
                await raw.close()


async def _write(connection: RealtimeConnection) -> None:
    # The reader sees the end of a lost socket; the writer just stops.
    with contextlib.suppress(websockets.ConnectionClosed, openai.OpenAIError):
        await connection.write()
