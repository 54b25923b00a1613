"""Todos by day: nothing lost, days in order, titles right; and the form's texts."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dashboard.form import fields
from dashboard.planner.forms import Draft, draft, draft_of
from dashboard.planner.week import WEEK, by_day
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
