"""The websocket to the model: opened through proxies and TLS, read no faster than it is used, and
given up when the peer answers no ping. Knows nothing of the Realtime protocol.
"""

import asyncio
import functools
import logging
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import picows
from picows import WSCloseCode, WSFrame, WSMsgType, WSTransport

from runtime.text_socket import NORMAL, Hearer, TextSocket

MAX_MESSAGE_BYTES = 2**24
"""Of one message, in one frame or in many."""
WRITE_BYTES = 16 * 1024
"""Unsent bytes from which on the socket takes no more."""
READ_BYTES = 8 * 1024
"""Of the buffer that a socket begins with; a delta of 200 ms has 2 KiB."""
PING_EVERY_S = 2
PING_S = 3
"""A peer that answers no ping for so long is gone, though its socket stands."""
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


class Socket(TextSocket):
    """An open one; made by ``opened``."""

    def __init__(self, hearer: Hearer) -> None:
        super().__init__(MAX_MESSAGE_BYTES, write_ahead_bytes=WRITE_BYTES)
        self.hearer = hearer
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._abandoned = False

    def pause_reading(self) -> None:
        """Let what the peer sends wait with the peer. Its answers would wait too: no pings then."""
        if self._reading and self.open:
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
        return cast("asyncio.ReadTransport", self._ours.underlying_transport)

    @property
    def _ours(self) -> WSTransport:
        assert self._transport is not None, "opened gives only open ones"
        return self._transport

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        self.resume_reading()  # the peer's goodbye stands behind what was not read
        await super().close(code, reason)

    @property
    def was_open(self) -> bool:
        return self._transport is not None

    def abandon(self) -> None:
        """Nobody waits for it any more: it ends as soon as it would be open."""
        self._abandoned = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # -- from picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self._abandoned:
            transport.disconnect(graceful=False)
            return
        super().on_ws_connected(transport)
        self._later(PING_EVERY_S, self._ping)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PONG and self._reading:
            self._later(PING_EVERY_S, self._ping)
        super().on_ws_frame(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._stop_timer()
        self._reading = True
        super().on_ws_disconnected(transport)

    # -- is it alive?

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, act)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _ping(self) -> None:
        self._ours.send_ping()
        self._later(PING_S, self._unanswered)

    def _unanswered(self) -> None:
        self._ours.send_close(WSCloseCode.INTERNAL_ERROR, _SILENT_PEER)
        self._ours.disconnect(graceful=False)


async def opened(hearer: Hearer, url: str, headers: Mapping[str, str], *, timeout: float) -> Socket:
    """A socket at ``url`` (ws:// or wss://), through the proxy that the environment names for it.

    Raises Refused, and OSError and what else picows and its proxies raise when there is no way;
    the caller bounds the whole, ``timeout`` bounds the upgrade after the connection, in seconds.
    """
    secure = url.startswith("wss:")
    proxy = _proxy(url, secure=secure)
    socket = Socket(hearer)

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


def _status(header: bytes | None) -> int | None:
    """The status in an answer's first line; also one that has no name."""
    words = (header or b"").split(maxsplit=2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
