"""Todos by day: nothing lost, days in order, titles right; and the form's texts."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.form import fields
from dashboard.planner.forms import Draft, draft, draft_of
from dashboard.planner.week import WEEK, by_day, first_day, week
from protocol.todos import Refused, Todo, TodoScope

TODAY = date(2026, 11, 22)  # a Sunday
DONE = datetime(2026, 11, 22, 9, tzinfo=UTC)

scopes: st.SearchStrategy[TodoScope] = st.sampled_from(("current", "archive", "stale"))
days = st.integers(-40, 40).map(lambda n: TODAY + timedelta(days=n))
todos = st.builds(
    Todo, st.integers(1, 9999), st.text(max_size=5), days, st.sampled_from([None, DONE])
)
lists = st.lists(todos, max_size=30, unique_by=lambda t: t.id)


@given(lists, scopes)
def test_every_todo_stands_once_on_its_day(found: list[Todo], scope: TodoScope) -> None:
    grouped = by_day(found, scope=scope, today=TODAY)
    assert sorted(t.id for day in grouped for t in day.todos) == sorted(t.id for t in found)
    for day in grouped:
        assert {t.deadline for t in day.todos} <= {day.day}
        assert day.today == (day.day == TODAY)
        done = [t.completed_at is not None for t in day.todos]
        assert done == sorted(done), "open ones first"


@given(lists, scopes)
def test_days_are_in_order_and_none_is_empty_but_the_week_ahead(
    found: list[Todo], scope: TodoScope
) -> None:
    grouped = by_day(found, scope=scope, today=TODAY)
    order = [day.day for day in grouped]
    assert order == sorted(set(order), reverse=scope == "archive")
    ahead = {TODAY + timedelta(days=n) for n in range(WEEK)}
    free = {day.day for day in grouped if not day.todos}
    if scope == "current":
        assert ahead <= set(order)
        assert free <= ahead
    else:
        assert not free


@given(lists, days)
def test_a_week_has_seven_columns_and_loses_nothing_from_its_first_day_on(
    found: list[Todo], first: date
) -> None:
    made = week([*found, *found], first=first, today=TODAY)
    assert [day.day for day in made.days] == [first + timedelta(days=n) for n in range(WEEK)]
    assert all(day.day > made.last and day.todos for day in made.later)
    shown = [todo for day in (*made.days, *made.later) for todo in day.todos]
    assert sorted(t.id for t in shown) == sorted(t.id for t in found if t.deadline >= first), "once"
    assert [day.day for day in made.days if day.today] == ([TODAY] if TODAY in _span(first) else [])
    assert all(day.past == (day.day < TODAY) for day in made.days)
    assert (made.before, made.after) == (first - timedelta(days=7), made.last + timedelta(days=1))
    assert made.is_now == (first == TODAY)


def _span(first: date) -> list[date]:
    return [first + timedelta(days=n) for n in range(WEEK)]


@pytest.mark.parametrize(
    ("first", "title"),
    [
        (date(2026, 11, 22), "22 – 28 November"),
        (date(2026, 11, 28), "28 Nov – 4 Dec"),
        (date(2026, 12, 29), "29 Dec 2026 – 4 Jan 2027"),
        (date(2027, 1, 5), "5 – 11 January 2027"),
    ],
)
def test_the_title_of_a_week_says_what_differs(first: date, title: str) -> None:
    assert week((), first=first, today=TODAY).title == title


@given(st.text(max_size=12) | st.dates().map(str))
def test_whatever_is_asked_for_a_week_begins_on_a_day_that_can_be_shown(asked: str) -> None:
    first = first_day(asked, TODAY)
    assert week((), first=first, today=TODAY).days[-1].day == first + timedelta(days=6)
    assert first == TODAY or str(first) == asked


def test_how_many_of_a_day_are_left() -> None:
    found = [Todo(1, "x", TODAY, DONE), Todo(2, "y", TODAY), Todo(3, "z", TODAY)]
    assert week(found, first=TODAY, today=TODAY).days[0].left == 2


def test_titles_and_notes() -> None:
    found = [
        Todo(n, "x", TODAY + timedelta(days=away)) for n, away in enumerate((0, 1, 2, 7), start=1)
    ]
    named = {d.day: (d.title, d.note) for d in by_day(found, scope="current", today=TODAY)}
    assert named[TODAY] == ("Today", "")
    assert named[TODAY + timedelta(days=1)] == ("Tomorrow", "")
    assert named[TODAY + timedelta(days=2)] == ("Tuesday", "")
    assert named[TODAY + timedelta(days=7)] == ("Sunday", "in 7 days")
    late = [Todo(1, "x", TODAY - timedelta(days=1)), Todo(2, "x", TODAY - timedelta(days=4))]
    assert [(d.title, d.note) for d in by_day(late, scope="stale", today=TODAY)] == [
        ("Wednesday", "4 days overdue"),
        ("Yesterday", "1 day overdue"),
    ]


def test_a_draft_keeps_what_was_typed_and_names_the_field_at_fault() -> None:
    typed = draft(fields(b"description=+++&deadline=tomorrow&show=stale"))
    assert (typed.description, typed.deadline) == ("   ", "tomorrow")
    assert set(typed.problems) == {"description", "deadline"}
    assert draft({}).problems.keys() == {"description", "deadline"}
    fine = draft({"description": "buy milk", "deadline": "2026-11-25"})
    assert fine.problems == {}
    pushed = draft({"description": "x", "deadline": "2026-11-25", "to": "2026-11-27"})
    assert pushed.day == date(2026, 11, 27), "a day's button counts for more than the field"
    assert fine.day == date(2026, 11, 25)


def test_what_tool_runner_refuses_stands_at_its_field() -> None:
    typed = Draft("x", "2026-11-25")
    typed.refuse(Refused("too long", "description"))
    typed.refuse(Refused("no such todo", "id"))
    assert typed.problems == {"description": "too long", "": "no such todo"}


def test_the_form_that_edits_a_todo_holds_it() -> None:
    assert draft_of(Todo(1, "buy milk", TODAY)) == Draft("buy milk", "2026-11-22")


def test_broken_bytes_in_a_form_do_no_harm() -> None:
    assert fields(b"description=%ff%fe&deadline=\xff")["description"] == "\ufffd\ufffd"
