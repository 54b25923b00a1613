"""The two clocks: monotonic ms for durations, UTC for show. Cores get ``now_ms`` as an argument
instead.
"""

import time
from datetime import UTC, datetime


def monotonic_ms() -> int:
    """Whole ms of this process's monotonic clock; comparable only inside one process."""
    return time.monotonic_ns() // 1_000_000


def utc_now() -> datetime:
    """The wall clock, for the ``at`` of events and for calendar days; never for durations."""
    return datetime.now(UTC)


def unix_now() -> float:
    """The wall clock in Unix seconds, for expiry times that cross processes."""
    return datetime.now(UTC).timestamp()
