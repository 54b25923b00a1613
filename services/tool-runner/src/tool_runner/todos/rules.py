"""What today, this week, done and a good description mean, in the caller's time zone. PURE: the
instant ``now`` (aware, UTC) is an argument. Called by the planner and the tools.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from protocol.todos import ChangeTodo, Todo
from tool_runner.text import Invalid, tidy

Period = Literal["today", "tomorrow", "week"]
Change = Literal["added", "changed", "completed", "deleted"]

MAX_DESCRIPTION = 500


def today(now: datetime, zone: ZoneInfo) -> date:
    """The calendar day that it is for the caller."""
    return now.astimezone(zone).date()


def days(period: Period, day: date) -> tuple[date, date]:
    """First and last day of ``period`` when it is ``day``; a week is Monday to Sunday."""
    match period:
        case "today":
            return day, day
        case "tomorrow":
            return day + timedelta(days=1), day + timedelta(days=1)
        case "week":
            monday = day - timedelta(days=day.weekday())
            return monday, monday + timedelta(days=6)


def archive_since(now: datetime, zone: ZoneInfo) -> datetime:
    """Since when a done todo counts as done within the last week: the start of the caller's day
    seven days ago. Where a clock change skips midnight, that is the first instant after it.
    """
    return start_of(today(now, zone) - timedelta(days=7), zone)


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of ``day`` in ``zone``, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def description(text: str) -> str:
    """The description as it is stored, on one line. Raises Invalid when it is empty or longer
    than MAX_DESCRIPTION characters.
    """
    cleaned = tidy(text)
    if not cleaned:
        raise Invalid("description", "the description is empty")
    if len(cleaned) > MAX_DESCRIPTION:
        raise Invalid("description", f"the description is longer than {MAX_DESCRIPTION} characters")
    return cleaned


def not_past(deadline: date, day: date) -> None:
    """Raises Invalid when ``deadline`` lies before ``day``, the caller's today."""
    if deadline < day:
        raise Invalid("date", f"the date {deadline} is in the past; today is {day}")


def changed(todo: Todo, asked: ChangeTodo, now: datetime) -> tuple[Todo, Change | None]:
    """``todo`` as ``asked``, and what to call that; None when nothing differs.

    A todo that is done already keeps its completed_at. Raises Invalid for a bad description.
    """
    completed_at = todo.completed_at
    if asked.completed is False:
        completed_at = None
    elif asked.completed and completed_at is None:
        completed_at = now
    result = msgspec.structs.replace(
        todo,
        description=(
            todo.description if asked.description is None else description(asked.description)
        ),
        deadline=todo.deadline if asked.deadline is None else asked.deadline,
        completed_at=completed_at,
    )
    if result == todo:
        return todo, None
    if todo.completed_at is None and completed_at is not None:
        return result, "completed"
    return result, "changed"
