"""Todos by day, as the planner shows them (pure).

A tab is a scope of ``protocol.todos``. The current one always shows the seven days from today, so
that an empty day is seen as free; the others show only days that have todos.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from msgspec import Struct

from protocol.todos import Todo, TodoScope

WEEK = 7
TABS: tuple[tuple[TodoScope, str], ...] = (
    ("current", "Current"),
    ("archive", "Archive"),
    ("stale", "Stale"),
)


class Day(Struct, frozen=True):
    """One day of the list. ``title``: Today, Tomorrow, Yesterday or the weekday; ``note``: how far
    off it is, where that helps.
    """

    day: date
    title: str
    note: str
    today: bool
    todos: tuple[Todo, ...]


def by_day(todos: Iterable[Todo], *, scope: TodoScope, today: date) -> tuple[Day, ...]:
    """``todos`` grouped by deadline: current from today on, archive newest first, stale with the
    longest overdue first. Inside a day open ones stand first, in the order they were made.
    """
    days: dict[date, list[Todo]] = {}
    if scope == "current":
        days = {today + timedelta(days=i): [] for i in range(WEEK)}
    for todo in todos:
        days.setdefault(todo.deadline, []).append(todo)
    return tuple(
        Day(
            day,
            _title(day, today),
            _note(day, today, scope),
            day == today,
            tuple(sorted(days[day], key=lambda t: (t.completed_at is not None, t.id))),
        )
        for day in sorted(days, reverse=scope == "archive")
    )


def _title(day: date, today: date) -> str:
    near = {0: "Today", 1: "Tomorrow", -1: "Yesterday"}
    return near.get((day - today).days) or f"{day:%A}"


def _note(day: date, today: date, scope: TodoScope) -> str:
    away = (day - today).days
    if scope == "stale" and away < 0:
        return f"{-away} day overdue" if away == -1 else f"{-away} days overdue"
    return f"in {away} days" if away >= WEEK else ""
