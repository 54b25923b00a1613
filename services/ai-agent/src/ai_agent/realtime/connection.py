"""One Realtime session on its socket: opens it where the ``openai`` SDK says, configures, sends,
gives decoded events.

The SDK keeps URL, key and headers; bytes go past it. Sending never blocks the caller: what the
socket does not take waits, control before audio, and of audio the oldest is dropped.
"""

import asyncio
import contextlib
from binascii import b2a_base64
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from openai import AsyncOpenAI
from prometheus_client import Counter

from ai_agent.realtime import commands
from ai_agent.realtime import events as rt
from ai_agent.realtime.socket import Refused, Socket, opened, tls
from protocol import codec
from protocol.errors import DecodeError
from runtime import logging
from runtime.text_socket import Closed

_log = logging.get("realtime")
_dropped = Counter("trunkline_model_audio_dropped_total", "Caller audio dropped: model socket slow")
_ignored: set[str] = set()

Client = AsyncOpenAI
"""The SDK's client: made once a process, shared by its calls."""

PASSING = ("server_error", "rate_limit_error")
"""Types of errors that say nothing against the configuration that met them."""
PERMANENT = (400, 401, 403, 404)
"""Statuses of a refused upgrade that no retry mends."""
AUDIO_BACKLOG = 100
"""Appends (40-60 ms each) that may wait for a slow socket."""
EVENTS_KEPT = 32
"""Events that may wait to be taken; from then on they wait with the model."""
_APPEND = b'{"type":"input_audio_buffer.append","audio":"%b"}'
_SCHEMES = {"http": "ws", "https": "wss"}


def client(api_key: str, base_url: str) -> Client:
    """A client; ``base_url`` empty means OpenAI's own. Use it as an async context manager."""
    tls()  # read now, not in the first call
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
    """A session's two ends: what is told to the model, and its events. ``session`` is known after
    ``configure``.
    """

    def __init__(self) -> None:
        self._socket: Socket | None = None
        self._control: deque[bytes] = deque()
        self._audio: deque[bytes] = deque()
        self._events: deque[rt.AnyServerEvent] = deque()
        self._more = asyncio.Event()
        self.session = rt.Session()
        self.ended = ""
        """Why the socket ended: the close code and the peer's reason; empty while it stands."""
        self.on_dropped: Callable[[int, int], None] = lambda size, behind: None
        """Told of audio that will not be sent: its bytes, and how many that still wait were
        appended after it.
        """

    def tell(self, command: commands.Command) -> None:
        """Send a client event; one that must wait goes before all audio."""
        self._control.append(codec.encode(command))
        self._flush()

    def append_audio(self, audio: bytes) -> None:
        """Send caller audio (mu-law bytes)."""
        if len(self._audio) >= AUDIO_BACKLOG:
            oldest = self._audio.popleft()
            _dropped.inc()
            self.on_dropped(len(oldest), sum(map(len, self._audio)))
        self._audio.append(audio)
        self._flush()

    async def close(self) -> None:
        """Close the socket: ``events`` ends."""
        if self._socket is not None:
            with contextlib.suppress(TimeoutError, OSError):
                await self._socket.close()

    async def events(self) -> AsyncIterator[rt.AnyServerEvent]:
        """Server events until the socket ends; a clean close and a lost one both just end it."""
        while self._events or await self._come():
            yield self._events.popleft()

    async def _come(self) -> bool:
        """Wait for events; False when none comes any more."""
        while not self._events:
            if self.ended:
                return False
            self._more.clear()
            if self._socket is not None:
                self._socket.resume_reading()
            await self._more.wait()
        return True

    # -- the socket

    async def open(self, url: str, headers: dict[str, str], *, timeout: float) -> None:
        """Raises what ``socket.opened`` raises."""
        self._socket = await opened(self, url, headers, timeout=timeout)
        self._flush()

    def on_text(self, message: bytes) -> None:
        try:
            event = rt.decode(message)
        except DecodeError as error:
            _log.warning("undecodable event", reason=str(error))
            return
        if isinstance(event, str):
            if event not in _ignored:
                _ignored.add(event)
                _log.debug("event type ignored", type=event)
            return
        self._events.append(event)
        self._more.set()
        if len(self._events) >= EVENTS_KEPT and self._socket is not None:
            self._socket.pause_reading()

    def on_binary(self, message: bytes) -> None:
        self.on_text(message)

    def on_writable(self) -> None:
        self._flush()

    def on_closed(self, closed: Closed) -> None:
        self.ended = f"{closed.code} {closed.reason}".strip()
        self._more.set()

    def _flush(self) -> None:
        """Send what waits as long as the socket takes it."""
        socket = self._socket
        while socket is not None and socket.writable:
            if self._control:
                socket.send(self._control.popleft())
            elif self._audio:
                socket.send(_APPEND % b2a_base64(self._audio.popleft(), newline=False))
            else:
                return

    async def configure(self, update: commands.Command, *, timeout: float) -> None:
        """Send the full session.update and check that both formats are mu-law before any audio
        flows.

        Raises SessionFailed when it is refused, not answered within ``timeout`` seconds, or
        another format came back.
        """
        self.tell(update)
        try:
            async with asyncio.timeout(timeout):
                while await self._come():
                    event = self._events.popleft()
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


def checked(session: rt.Session) -> rt.Session:
    """``session`` if both its formats are mu-law. Raises SessionFailed: anything else is noise."""
    for way in ("input", "output"):
        part = cast("dict[str, object]", session.audio.get(way) or {})
        if part.get("format") != commands.PCMU:
            raise SessionFailed(f"{way} format is not audio/pcmu", permanent=True)
    return session


@contextlib.asynccontextmanager
async def connected(
    client: Client, *, model: str, safety_id: str, timeout: float
) -> AsyncGenerator[RealtimeConnection]:
    """An open socket for the block; it is closed with the block, whatever happens.

    Raises SessionFailed when it cannot be opened within ``timeout`` seconds.
    """
    connection = RealtimeConnection()
    headers = _headers(client, {"OpenAI-Safety-Identifier": safety_id})
    try:
        async with asyncio.timeout(timeout):
            await connection.open(_url(client, model), headers, timeout=timeout)
    except Refused as error:
        permanent = error.status in PERMANENT
        raise SessionFailed(f"refused with HTTP {error.status}", permanent=permanent) from None
    except Exception as error:
        # Which library an error comes from depends on the proxy that the environment names.
        raise SessionFailed(f"cannot connect ({type(error).__name__})", permanent=False) from None
    try:
        yield connection
    finally:
        await connection.close()


def _url(client: Client, model: str) -> str:
    """Where the SDK would connect to."""
    base = urlsplit(str(client.websocket_base_url or client.base_url))
    query = dict(parse_qsl(base.query)) | {"model": model}
    scheme = _SCHEMES.get(base.scheme, base.scheme)
    path = f"{base.path.rstrip('/')}/realtime"
    return urlunsplit((scheme, base.netloc, path, urlencode(query), ""))


def _headers(client: Client, more: dict[str, str]) -> dict[str, str]:
    """What the SDK would send, and ``more``, which counts more. A name is one in either case; a
    header that the SDK leaves out has no text.
    """
    merged: dict[str, tuple[str, object]] = {}
    for headers in (client.auth_headers, client.default_headers, more):
        merged |= {name.lower(): (name, value) for name, value in headers.items()}
    return {name: value for name, value in merged.values() if isinstance(value, str)}
