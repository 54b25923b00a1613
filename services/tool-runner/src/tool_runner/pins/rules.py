"""What a PIN is, how many tries a call has and how long repeated failures lock a number. PURE: the
instant ``now`` (aware, UTC) is an argument. Called by the gate and its storage.
"""

import math
import re
from datetime import datetime, timedelta

from runtime.settings import Secret

TRIES_A_CALL = 3
FREE_FAILURES = 4
"""Failures in a row, over all calls of a number, before the first lock-out."""
LOCKS_S = (60, 300, 900, 3600)
"""The lock-out after the next failures: one step each, the last for all further ones."""

_PIN = re.compile(r"[0-9]{4,8}\Z")


def pin(text: str) -> Secret | None:
    """``text`` as a PIN, 4 to 8 ASCII digits; None when it is none (``*``, nothing, too long)."""
    return Secret(text) if _PIN.match(text) else None


def lock_s(failures: int) -> int:
    """Seconds that a number is locked by its ``failures``-th failure in a row; 0: not at all."""
    step = failures - FREE_FAILURES
    return 0 if step <= 0 else LOCKS_S[min(step, len(LOCKS_S)) - 1]


def left_s(locked_until: datetime | None, now: datetime) -> int:
    """Seconds, rounded up, for which the lock-out still holds; 0 when there is none."""
    if locked_until is None or locked_until <= now:
        return 0
    return math.ceil((locked_until - now) / timedelta(seconds=1))


def tries_left(used: int) -> int:
    """Tries that a call has after ``used`` of them."""
    return max(0, TRIES_A_CALL - used)
