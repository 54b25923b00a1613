"""Todos by day, as the planner shows them (pure).

The current tab is a week of seven columns, from today on or from another day; what is due after it
stands below. The other tabs show only days that have todos.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from msgspec import Struct

from protocol.todos import Todo, TodoScope

WEEK = 7
FAR = timedelta(days=3660)
"""How far from today a week may begin."""
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
    past: bool = False

    @property
    def left(self) -> int:
        """How many are not done."""
        return sum(todo.completed_at is None for todo in self.todos)


class Week(Struct, frozen=True):
    """Seven ``days`` from ``first`` on, and ``later`` ones that have todos."""

    first: date
    today: date
    days: tuple[Day, ...]
    later: tuple[Day, ...]

    @property
    def last(self) -> date:
        return self.first + timedelta(days=WEEK - 1)

    @property
    def is_now(self) -> bool:
        """Does it begin today?"""
        return self.first == self.today

    @property
    def before(self) -> date:
        return self.first - timedelta(days=WEEK)

    @property
    def after(self) -> date:
        return self.first + timedelta(days=WEEK)

    @property
    def title(self) -> str:
        """``22 – 28 November``, with what differs: ``28 Nov – 4 Dec``, ``29 Dec 2026 – 4 Jan``."""
        first, last = self.first, self.last
        year = "" if last.year == self.today.year else f" {last.year}"
        if first.month == last.month:
            return f"{first.day} \N{EN DASH} {last.day} {last:%B}{year}"
        begun = f" {first.year}" if first.year != last.year else ""
        return f"{first:%-d %b}{begun} \N{EN DASH} {last:%-d %b}{year}"


def first_day(asked: str, today: date) -> date:
    """The day that ``?from=`` asks for; today when it is none, or too far away to be meant."""
    try:
        day = date.fromisoformat(asked)
    except ValueError:
        return today
    return day if abs(day - today) <= FAR else today


def week(todos: Iterable[Todo], *, first: date, today: date) -> Week:
    """``todos`` in the seven days from ``first`` on, and after them; earlier ones are left out.
    Each counts once, however often it is given.
    """
    once = {todo.id: todo for todo in todos if todo.deadline >= first}
    days = by_day(once.values(), scope="current", today=today, first=first)
    return Week(first, today, days[:WEEK], days[WEEK:])


def by_day(
    todos: Iterable[Todo], *, scope: TodoScope, today: date, first: date | None = None
) -> tuple[Day, ...]:
    """``todos`` grouped by deadline: current from ``first`` (else today) on, archive newest first,
    stale with the longest overdue first. Inside a day open ones stand first, in the order they
    were made.
    """
    days: dict[date, list[Todo]] = {}
    if scope == "current":
        begin = first or today
        days = {begin + timedelta(days=i): [] for i in range(WEEK)}
    for todo in todos:
        days.setdefault(todo.deadline, []).append(todo)
    return tuple(
        Day(
            day,
            _title(day, today),
            _note(day, today, scope),
            day == today,
            tuple(sorted(days[day], key=lambda t: (t.completed_at is not None, t.id))),
            day < today,
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
