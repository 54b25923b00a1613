"""One WebSocket that carries text messages: in by callback, out at once or, while the peer takes
nothing, not at all.

On picows, whose frames cost a fraction of what an awaited queue does. Fragments are joined, pings
answered, close frames exchanged here; whoever uses it sees messages and how it ended.
"""

import asyncio
import contextlib
from typing import Protocol, cast

from msgspec import Struct
from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
)

CLOSE_WITHIN_S = 2.0
"""How long the peer may take to answer a close frame."""
WRITE_AHEAD_BYTES = 32 * 1024
NORMAL = 1000
NO_CODE = 1005
"""Stands for a close frame without a code."""
ABNORMAL = 1006
"""A socket that ended without a close frame."""

_TEXT, _CLOSE = WSMsgType.TEXT, WSMsgType.CLOSE
_DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)


class Closed(Struct, frozen=True):
    """How a socket ended: its close code and reason, and whether this side said so first."""

    code: int
    reason: str
    ours: bool


class Hearer(Protocol):
    """What a socket tells. Each is called on the loop and must not raise."""

    def on_text(self, message: bytes) -> None:
        """A whole text message; nothing has looked whether it is UTF-8."""
        ...

    def on_binary(self, message: bytes) -> None:
        """A whole binary message."""
        ...

    def on_writable(self) -> None:
        """The socket takes messages again."""
        ...

    def on_closed(self, closed: Closed) -> None:
        """It is over; nothing is told after this."""
        ...


class TextSocket(WSListener):
    """``max_bytes``: a larger message ends it with 1009. From ``write_ahead_bytes`` unsent on it
    takes nothing more; they cannot be taken back. ``hearer`` is set before the first message.
    """

    hearer: Hearer

    def __init__(self, max_bytes: int, *, write_ahead_bytes: int = WRITE_AHEAD_BYTES) -> None:
        self._max_bytes = max_bytes
        self._write_ahead_bytes = write_ahead_bytes
        self._transport: WSTransport | None = None
        self._parts = bytearray()
        self._part_kind: WSMsgType | None = None
        self._paused = False

    @property
    def open(self) -> bool:
        """Whether messages can still be exchanged."""
        transport = self._transport
        return transport is not None and not (
            transport.is_close_frame_sent or transport.is_disconnected
        )

    @property
    def writable(self) -> bool:
        """Whether a message would be on its way at once."""
        return not self._paused and self.open

    def send(self, message: bytes) -> None:
        """A text message (UTF-8); nothing happens when the socket has ended."""
        if self.open:
            assert self._transport is not None, "it is open"
            self._transport.send(_TEXT, message)

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say so, and return when the peer has agreed, or after ``CLOSE_WITHIN_S``; what it still
        sends is dropped.
        """
        transport = self._transport
        if transport is None:
            return
        if self.open:
            any_code = cast("WSCloseCode", code)
            transport.send_close(any_code, reason)
        with contextlib.suppress(WSError):  # it ended by a breach of the protocol
            try:
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await transport.wait_disconnected()
            except TimeoutError:
                transport.disconnect(graceful=False)
                await transport.wait_disconnected()

    # -- what picows calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(self._write_ahead_bytes)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if transport.is_close_frame_sent and kind != _CLOSE:
            return
        if kind == _TEXT and frame.fin and self._part_kind is None:
            self.hearer.on_text(frame.get_payload_as_bytes())
        elif kind in _DATA:
            self._part(frame)
        elif kind == _CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(frame.get_close_code() or WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.hearer.on_closed(_closed(transport))

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.hearer.on_writable()

    def _part(self, frame: WSFrame) -> None:
        begins = frame.msg_type != WSMsgType.CONTINUATION
        if begins != (self._part_kind is None):
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "broken fragments")
        if begins:
            self._part_kind = frame.msg_type
        if len(self._parts) + frame.payload_size > self._max_bytes:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, "message too big")
        self._parts += frame.get_payload_as_bytes()
        if not frame.fin:
            return
        whole, kind = bytes(self._parts), self._part_kind
        self._parts.clear()
        self._part_kind = None
        if kind == _TEXT:
            self.hearer.on_text(whole)
        else:
            self.hearer.on_binary(whole)


def _closed(transport: WSTransport) -> Closed:
    # Their stubs deny that there may be no handshake, and that a code is an int.
    if not transport.close_handshake:
        return Closed(ABNORMAL, "", ours=False)
    handshake = transport.close_handshake
    theirs = handshake.recv_then_sent
    said = handshake.recv if theirs else handshake.sent
    if said is None:
        return Closed(ABNORMAL, "", ours=False)
    return Closed(cast("int", said.code) or NO_CODE, said.reason or "", ours=not theirs)
