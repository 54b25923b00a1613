"""PURE: when a call may be moved to another socket without anybody hearing it: nothing is being
played, the caller does not speak, and not many others move just now.

leg asks it while the process drains, and only then: nothing here runs once a frame.
"""

from collections.abc import Iterable

QUIET_MS = 300
"""After the caller's words: they wait for an answer, and what it says waits for the new socket."""
IDLE_MS = 1_000
"""After the assistant's words, or where nothing was said: whoever was asked something answers
sooner, and what is said between two sockets nobody hears.
"""
APART_MS = 40
"""Calls that move at once wait for each other where their new streams are opened, and what their
callers say meanwhile is lost.
"""
LOUD = 10
"""Mean magnitude of a frame from which on somebody may be speaking: about -40 dB of full scale."""


def _magnitude(code: int) -> int:
    """|sample| of a mu-law byte (G.711) in steps of 32, at most 255."""
    code = ~code & 0xFF
    linear = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return min(255, linear >> 5)


_MAGNITUDES = bytes(_magnitude(code) for code in range(256))


def loud(frame: bytes) -> bool:
    """Whether somebody may be speaking in these mu-law bytes."""
    return sum(frame.translate(_MAGNITUDES)) >= LOUD * max(1, len(frame))


class QuietMoment:
    """Times are ms of one monotonic clock."""

    def __init__(self) -> None:
        self._since_ms: int | None = None
        self._enough_ms = IDLE_MS

    def has_come(self, now_ms: int, remaining_ms: int, last_frames: Iterable[bytes]) -> bool:
        """Ask it often. ``remaining_ms``: audio that the caller has yet to hear; ``last_frames``:
        what the caller said since it was asked before.
        """
        speaks = any(loud(frame) for frame in last_frames)
        if speaks or remaining_ms > 0:
            self._since_ms, self._enough_ms = None, QUIET_MS if speaks else IDLE_MS
            return False
        if self._since_ms is None:
            self._since_ms = now_ms
        return now_ms - self._since_ms >= self._enough_ms


class Turns:
    """Lets calls move one after the other. Times are ms of one monotonic clock."""

    def __init__(self, calls: int = 0, within_ms: int = 0) -> None:
        """``calls`` that are to move within ``within_ms``: where these are many, they come nearer
        together, so that half the time is enough.
        """
        self._apart_ms = min(APART_MS, within_ms // (2 * calls)) if calls else APART_MS
        self._next_ms = 0

    def taken(self, now_ms: int) -> bool:
        """Whether one more may move now; if so, it has taken its turn."""
        if now_ms < self._next_ms:
            return False
        self._next_ms = now_ms + self._apart_ms
        return True
