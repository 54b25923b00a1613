"""How many keys a call may press (PURE): more than any finger does are not acted on, nor written.

Used by the keypad menu and by keys in a conversation.
"""

BURST = 32
PER_S = 4.0


class KeyFlood:
    """A bucket of ``BURST`` keys, refilled with ``PER_S`` a second."""

    def __init__(self) -> None:
        self._left = float(BURST)
        self._at_ms: int | None = None

    def take(self, now_ms: int) -> bool:
        """Whether a key pressed now counts."""
        if self._at_ms is not None:
            refill = (now_ms - self._at_ms) / 1000 * PER_S
            self._left = min(float(BURST), self._left + max(0.0, refill))
        self._at_ms = now_ms
        if self._left < 1:
            return False
        self._left -= 1
        return True
