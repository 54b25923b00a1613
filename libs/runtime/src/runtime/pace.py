"""PURE: at most one of something every some milliseconds, when there is much of it; a burst in calm
times passes at once.
"""


class Pace:
    """``every_s``: seconds between two in the long run; ``burst``: how many may come at once after
    a calm.
    """

    def __init__(self, every_s: float, burst: int) -> None:
        self._every_s = every_s
        self._slack_s = burst * every_s
        self._free_at = 0.0

    def wait_s(self, now: float) -> float:
        """Book the next one at ``now`` (s of one monotonic clock): how long it has to wait."""
        free_at = max(self._free_at, now - self._slack_s)
        self._free_at = free_at + self._every_s
        return max(0.0, free_at - now)
