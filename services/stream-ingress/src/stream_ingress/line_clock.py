"""PURE: the clock of the line. Turns Twilio's media timestamps into line_ms and sees gaps.

line_in asks it for every frame. It counts bytes and believes a timestamp only where that differs
by a frame or more, so that jitter in the timestamps makes neither holes nor overlaps.
"""

from protocol.audio import BYTES_PER_MS, FRAME_MS

CLOCK_EVERY_MS = 1000


class LineClock:
    """``begins_ms``: where this leg begins on the line. The clock never goes back."""

    def __init__(self, begins_ms: int) -> None:
        self._begins_ms = begins_ms
        self._said_ms: int | None = None
        self.next_ms = begins_ms
        """line_ms of the next audio byte."""
        self.gaps = 0
        """How often audio was missing so far."""

    def place(self, timestamp: int, size: int) -> int:
        """line_ms of a frame of ``size`` bytes that Twilio stamped ``timestamp`` (ms in the
        leg).
        """
        line_ms = self.next_ms
        jump = self._begins_ms + timestamp - line_ms
        if jump >= FRAME_MS:
            line_ms += jump
            self.gaps += 1
            self._said_ms = None
        self.next_ms = line_ms + size // BYTES_PER_MS
        return line_ms

    @property
    def unsaid(self) -> bool:
        """A listener does not know the time of the next frame, or knows it wrong."""
        return self._said_ms is None

    def due(self, line_ms: int) -> bool:
        """Whether listeners must be told ``line_ms`` before the frame placed there; then they
        are.
        """
        if self._said_ms is not None and line_ms - self._said_ms < CLOCK_EVERY_MS:
            return False
        self._said_ms = line_ms
        return True

    def unsay(self) -> None:
        """A listener is new or missed audio: tell the time before the next frame."""
        self._said_ms = None
