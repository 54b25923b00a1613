"""What waits to be written to one media socket: control and audio in order, in one bounded queue.

line_out puts, a task of the leg writes; whoever puts never waits for Twilio. A socket that takes
nothing while megabytes wait is given up, because dropping audio would belie the ledger.
"""

import asyncio
from collections import deque

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from stream_ingress.twilio_messages import Encoder

BOUND_BYTES = 8 * 1024 * 1024
"""Of base64 JSON: about 12 minutes of audio; Twilio itself drops what is beyond 10 (31931)."""


class Outgoing:
    """The sending side of one socket."""

    def __init__(self, socket: ServerConnection, stream_sid: str) -> None:
        self._socket = socket
        self._encoder = Encoder(stream_sid)
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
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

    async def run(self) -> None:
        """Write what is queued until the socket closes."""
        queue, send = self._queue, self._socket.send
        try:
            while True:
                while queue:
                    message = queue.popleft()
                    self._bytes -= len(message)
                    await send(message, text=True)
                self._more.clear()
                await self._more.wait()
        except ConnectionClosed:
            return

    def _put(self, message: bytes) -> None:
        if self._bytes > BOUND_BYTES:
            self.stuck.set()
            return
        self._queue.append(message)
        self._bytes += len(message)
        self._more.set()
