"""What goes to one browser over a websocket: a bounded queue, and its end. A browser that takes it
too slowly is cut off, not waited for.
"""

import asyncio
import contextlib
from collections import deque
from typing import Literal

from msgspec import Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from protocol import codec

BOUND = 50
"""Messages that a browser may be behind: five seconds of two tracks."""
_LAST_WORD_S = 1.0
OVER = 1000
"""Close code of an orderly end; scripts do not connect again after it."""
TOO_SLOW = 1013

StateName = Literal[
    "listening", "gate", "nobody", "away", "ended", "refused", "speaking", "given_back"
]


class Told(Struct, frozen=True):
    """A JSON message to the browser: where things stand, in a word and in words for a person."""

    state: StateName
    words: str = ""


class Outgoing:
    """The sending side of an accepted websocket; ``drain`` writes until the end."""

    def __init__(self, socket: WebSocket, bound: int = BOUND) -> None:
        self._socket = socket
        self._bound = bound
        self._queue: deque[bytes | Told] = deque()
        self._more = asyncio.Event()
        self._limit: asyncio.Timeout | None = None
        self._code = OVER
        self.ended = False
        self.cut_off = False

    def put(self, message: bytes | Told) -> None:
        """Queue a message; a browser with a full queue is cut off instead."""
        if self.ended:
            return
        if len(self._queue) >= self._bound:
            self.cut_off = True
            self._queue.clear()
            self._code = TOO_SLOW
            self._end()
            if self._limit is not None:  # a write to it waits for ever
                self._limit.reschedule(asyncio.get_running_loop().time())
            return
        self._queue.append(message)
        self._more.set()

    def end(self, last: Told | None = None) -> None:
        """Nothing follows what is queued and ``last``."""
        if self.ended:
            return
        if last is not None:
            self._queue.append(last)
        self._end()
        if self._limit is not None:
            when = asyncio.get_running_loop().time() + _LAST_WORD_S
            self._limit.reschedule(when)

    def _end(self) -> None:
        self.ended = True
        self._more.set()

    async def drain(self) -> None:
        """Write what is queued until the end; then close the socket."""
        try:
            async with asyncio.timeout(None) as self._limit:
                while self._queue or not self.ended:
                    if self._queue:
                        await self._send(self._queue.popleft())
                    else:
                        self._more.clear()
                        await self._more.wait()
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            pass  # it reads nothing, or has gone
        finally:
            self.ended, self._limit = True, None
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(_LAST_WORD_S):
                await self._socket.close(self._code)

    async def _send(self, message: bytes | Told) -> None:
        if isinstance(message, Told):
            await self._socket.send_text(codec.encode(message).decode())
        else:
            await self._socket.send_bytes(message)
