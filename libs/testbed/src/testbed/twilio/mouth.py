"""The caller's voice: queued mu-law speech, taken one frame of 20 ms at a time. Pure.

Filled by the scripted caller, emptied by the line at its pace. Never looks at a clock.
"""

from collections import deque
from collections.abc import Callable

from testbed.twilio.ear import BYTES_PER_MS, SILENCE

FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
SILENT_FRAME = bytes([SILENCE]) * FRAME_BYTES


class Mouth:
    """Speech waiting to be said, in order."""

    def __init__(self) -> None:
        self._queue: deque[tuple[bytes, Callable[[bool], None]]] = deque()
        self._offset = 0

    @property
    def idle(self) -> bool:
        """Nothing is left to say."""
        return not self._queue

    def say(self, audio: bytes, done: Callable[[bool], None]) -> None:
        """Queue mu-law bytes; `done(True)` comes with the frame that carried the last of them."""
        self._queue.append((audio, done))

    def take(self) -> bytes:
        """The next 160 bytes. `SILENT_FRAME` itself when there is nothing to say."""
        if not self._queue:
            return SILENT_FRAME
        frame = bytearray()
        while self._queue and len(frame) < FRAME_BYTES:
            audio, done = self._queue[0]
            piece = audio[self._offset : self._offset + FRAME_BYTES - len(frame)]
            frame += piece
            self._offset += len(piece)
            if self._offset >= len(audio):
                self._queue.popleft()
                self._offset = 0
                done(True)
        return bytes(frame.ljust(FRAME_BYTES, bytes([SILENCE])))

    def fall_silent(self) -> None:
        """Drop what is unsaid; each dropped speech gets `done(False)`."""
        self._offset = 0
        while self._queue:
            self._queue.popleft()[1](False)
