"""When a call of a number may go on, and how long a call counts as open. PURE. Called by the door
and its storage.
"""

from datetime import UTC, datetime, timedelta

OPEN_FOR = timedelta(hours=4)
"""A call whose end nobody told of is taken for ended after this long."""


def day_start(now: datetime) -> datetime:
    """The first instant of the UTC day of ``now``."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def refusal(*, open: int, today: int, at_once: int, a_day: int) -> str | None:
    """Why one more call is too much, beside ``open`` ones and ``today``'s: at_once, a_day, or
    None. A bound of 0 or less is no bound.
    """
    if 0 < at_once <= open:
        return "at_once"
    if 0 < a_day <= today:
        return "a_day"
    return None
