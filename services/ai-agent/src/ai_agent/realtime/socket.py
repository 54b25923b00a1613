"""The websocket to the model (picows): whole messages in, text out, a peer that is alive or given
up, a close that is bounded. Knows nothing of the Realtime protocol.

No task of its own: what comes is handed on from the loop's read, what goes is written at once.
Where the peer does not take it, ``writable`` says so and what is unsent waits with the owner.
"""

import asyncio
import functools
import logging
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

import picows
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSProtocolError, WSTransport

if TYPE_CHECKING:
    from picows.picows import WSCloseHandshake

MAX_MESSAGE_BYTES = 2**24
"""Of one message, in one frame or in many."""
WRITE_BYTES = 16 * 1024
"""Unsent bytes from which on the socket takes no more."""
READ_BYTES = 8 * 1024
"""Of the buffer that a socket begins with; a delta of 200 ms has 2 KiB."""
CLOSE_S = 2
PING_EVERY_S = 2
PING_S = 3
"""A peer that answers no ping for so long is gone, though its socket stands."""
GONE = 1006
"""The code of a socket that ended without a close frame."""
NO_CODE = 1005
"""Stands for a close frame without a code."""
_SILENT_PEER = "keepalive ping timeout"
_connect = cast("Callable[..., Any]", picows.ws_connect)  # pyright: ignore[reportUnknownMemberType]
# It would write two lines a call, and texts of the peer's into others.
_quiet = logging.getLogger("picows.model")
_quiet.setLevel(logging.CRITICAL)


class Refused(Exception):
    """The upgrade was answered by another HTTP ``status``; a redirect is one too."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class Owner(Protocol):
    """Whom a socket tells; called from the loop, so it must be quick."""

    def on_message(self, data: bytes) -> None: ...

    def on_writable(self) -> None:
        """The socket takes more again."""
        ...

    def on_end(self, why: str) -> None:
        """Nothing more comes; called once. ``why``: the close code and the reason given."""
        ...


class Socket(WSListener):
    """An open one; made by ``opened``."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: WSTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._parts: bytearray | None = None
        self._reading = True
        self._over = False
        """What comes is for nobody any more."""
        self._told = False
        self.writable = True

    def send(self, text: bytes) -> None:
        """Write a text message; nothing happens on a socket that has ended."""
        assert self._transport is not None, "opened gives only open ones"
        self._transport.send(WSMsgType.TEXT, text)

    def pause_reading(self) -> None:
        """Let what the peer sends wait with the peer. Its answers would wait too: no pings then."""
        if self._reading and not self._over:
            self._reading = False
            self._stop_timer()
            self._reader.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._later(PING_EVERY_S, self._ping)
            self._reader.resume_reading()

    @property
    def _reader(self) -> asyncio.ReadTransport:
        assert self._transport is not None, "opened gives only open ones"
        return cast("asyncio.ReadTransport", self._transport.underlying_transport)

    async def close(self) -> None:
        """Say goodbye and wait for the peer's, but not for long; what it still sends is dropped."""
        transport = self._transport
        assert transport is not None, "opened gives only open ones"
        self._over = True
        transport.send_close(WSCloseCode.OK)
        self.resume_reading()  # its goodbye stands behind what was not read
        try:
            async with asyncio.timeout(CLOSE_S):
                await transport.wait_disconnected()
        except picows.WSError:
            pass  # it ended by a breach of the protocol, and ``on_end`` was told
        finally:
            transport.disconnect(graceful=False)

    @property
    def was_open(self) -> bool:
        return self._transport is not None

    def abandon(self) -> None:
        """Nobody waits for it any more: it ends as soon as it would be open."""
        self._over = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # -- from picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self._over:
            transport.disconnect(graceful=False)
            return
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=WRITE_BYTES)
        self._later(PING_EVERY_S, self._ping)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            self._closed(transport)
        elif kind is WSMsgType.PONG:
            if self._reading:
                self._later(PING_EVERY_S, self._ping)
        elif self._over:
            pass
        elif frame.fin and self._parts is None and kind is not WSMsgType.CONTINUATION:
            self._owner.on_message(frame.get_payload_as_bytes())
        else:
            self._part(frame, first=kind is not WSMsgType.CONTINUATION)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._stop_timer()
        self._reading, self.writable = True, False
        self._end(transport)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self._owner.on_writable()

    def _part(self, frame: WSFrame, *, first: bool) -> None:
        if first is (self._parts is not None):
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "fragments out of order")
        parts = self._parts = bytearray() if self._parts is None else self._parts
        parts += frame.get_payload_as_memoryview()
        if len(parts) > MAX_MESSAGE_BYTES:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, "message too big")
        if frame.fin:
            self._parts = None
            self._owner.on_message(bytes(parts))

    def _closed(self, transport: WSTransport) -> None:
        if not transport.is_close_frame_sent:
            handshake = transport.close_handshake
            received = handshake.recv
            transport.send_close((received and received.code) or WSCloseCode.OK)
        self._end(transport)
        transport.disconnect()

    def _end(self, transport: WSTransport) -> None:
        self._over = True
        if not self._told:
            self._told = True
            self._owner.on_end(_why(transport))

    # -- is it alive?

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, act)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _ping(self) -> None:
        assert self._transport is not None, "pings begin with the open socket"
        self._transport.send_ping()
        self._later(PING_S, self._unanswered)

    def _unanswered(self) -> None:
        assert self._transport is not None, "pings begin with the open socket"
        self._transport.send_close(WSCloseCode.INTERNAL_ERROR, _SILENT_PEER)
        self._transport.disconnect(graceful=False)


async def opened(owner: Owner, url: str, headers: Mapping[str, str], *, timeout: float) -> Socket:
    """A socket at ``url`` (ws:// or wss://), through the proxy that the environment names for it.

    Raises Refused, and OSError and what else picows and its proxies raise when there is no way;
    the caller bounds the whole, ``timeout`` bounds the upgrade after the connection, in seconds.
    """
    secure = url.startswith("wss:")
    proxy = _proxy(url, secure=secure)
    socket = Socket(owner)

    def listener(*_: object) -> Socket:
        return socket

    try:
        await _connect(
            listener,
            url,
            ssl_context=tls() if secure else None,
            websocket_handshake_timeout=timeout,
            max_frame_size=MAX_MESSAGE_BYTES,
            extra_headers=headers,
            max_redirects=0,
            proxy=proxy,
            proxy_ssl_context=tls() if proxy and proxy.startswith("https:") else None,
            read_buffer_init_size=READ_BYTES,
            logger_name=_quiet,
        )
    except picows.WSHandshakeError as error:
        if status := _status(error.raw_header):
            raise Refused(status) from None
        raise
    except BaseException:
        socket.abandon()  # an upgrade that was cancelled may still come to its end, for nobody
        raise
    if not socket.was_open:  # picows tells no error then
        raise ConnectionResetError("closed before the upgrade was answered")
    return socket


@functools.cache
def tls() -> ssl.SSLContext:
    """The system's trust, SSL_CERT_FILE and SSL_CERT_DIR heeded; reading it takes tens of ms: once
    a process.
    """
    return ssl.create_default_context()


def _proxy(url: str, *, secure: bool) -> str | None:
    """What the environment says: NO_PROXY first, then a socks proxy, then that of the scheme."""
    at = urlsplit(url)
    port = at.port or (443 if secure else 80)
    if urllib.request.proxy_bypass(f"{at.hostname}:{port}"):
        return None
    proxies = urllib.request.getproxies()
    for scheme in ("wss", "socks", "https") if secure else ("ws", "socks", "https", "http"):
        proxy = proxies.get(scheme)
        if proxy is None:
            continue
        if scheme == "socks" and proxy.startswith("http://"):
            return "socks5://" + proxy.removeprefix("http://")
        return proxy
    return None


def _why(transport: WSTransport) -> str:
    handshake = cast("WSCloseHandshake | None", transport.close_handshake)
    said = None if handshake is None else handshake.recv or handshake.sent
    if said is None:
        return str(GONE)
    code = int(cast("int", said.code))  # an enumeration of whole numbers, typed as another
    return f"{code or NO_CODE} {said.reason or ''}".strip()


def _status(header: bytes | None) -> int | None:
    """The status in an answer's first line; also one that has no name."""
    words = (header or b"").split(maxsplit=2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
