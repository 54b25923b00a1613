"""PURE: since when a call's holder has been given the caller's audio without a break.

Only then may a worker that says it heard nothing for 2 s be believed to be stuck. holder feeds it
at each look of the pinger, not at each frame.
"""

STEADY_MS = 2000


class Feed:
    """``frames``: how many came so far; ``dropped``: how many of them were not published. Times
    are ms of one monotonic clock.
    """

    def __init__(self) -> None:
        self._frames = self._dropped = -1
        self._since_ms = 0

    def restart(self) -> None:
        """The holder is new on this line."""
        self._frames = self._dropped = -1

    def look(self, frames: int, dropped: int, now_ms: int) -> None:
        """Compare with the last look: no new frame, or a dropped one, is a break."""
        if self._frames < 0 or frames == self._frames or dropped != self._dropped:
            self._since_ms = now_ms
        self._frames, self._dropped = frames, dropped

    def steady(self, now_ms: int) -> bool:
        """Whether the holder was given audio for the whole last 2 s."""
        return self._frames >= 0 and now_ms - self._since_ms >= STEADY_MS
