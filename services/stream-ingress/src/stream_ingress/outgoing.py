"""What goes to one media socket: control and audio in order. What the socket does not take at once
waits in a bounded queue, from which ``clear`` takes it back.

line_out puts, and never waits for Twilio. A socket that takes nothing while megabytes wait is
given up, because dropping audio would belie the ledger.
"""

import asyncio
from collections import deque
from typing import Protocol

from stream_ingress.twilio_messages import Encoder

BOUND_BYTES = 8 * 1024 * 1024
"""Of base64 JSON: about 12 minutes of audio; Twilio itself drops what is beyond 10 (31931)."""


class Socket(Protocol):
    """What is used of a text_socket."""

    @property
    def writable(self) -> bool: ...
    def send(self, message: bytes) -> None: ...


class Outgoing:
    """The sending side of one socket."""

    def __init__(self, socket: Socket, stream_sid: str) -> None:
        self._socket = socket
        self._encoder = Encoder(stream_sid)
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self.stuck = asyncio.Event()
        """Set when the bound is reached; nothing is queued any more."""

    def media(self, audio: bytes) -> None:
        """Raw mu-law bytes."""
        self._put(self._encoder.media(audio))

    def mark(self, name: str) -> None:
        self._put(self._encoder.mark(name))

    def clear(self) -> None:
        """Drop what is unsent, then what Twilio holds."""
        self._queue.clear()
        self._bytes = 0
        self._put(self._encoder.clear)

    def flush(self) -> None:
        """The socket takes messages again."""
        queue, socket = self._queue, self._socket
        while queue and socket.writable:
            message = queue.popleft()
            self._bytes -= len(message)
            socket.send(message)

    def _put(self, message: bytes) -> None:
        if not self._queue and self._socket.writable:
            self._socket.send(message)
        elif self._bytes > BOUND_BYTES:
            self.stuck.set()
        else:
            self._queue.append(message)
            self._bytes += len(message)
