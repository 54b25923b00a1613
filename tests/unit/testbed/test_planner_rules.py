"""The local voice model's rules: sentences and their meaning, dates, the next step of a turn."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from testbed.realtime.minds import CallTool
from testbed.realtime.planner_rules import (
    FAREWELL,
    NOT_OFFERED,
    REPEAT,
    WAIT,
    Call,
    day_of,
    decide,
    greeting,
    quoted,
    today,
)
from testbed.realtime.planner_speech import (
    DESCRIPTIONS,
    Add,
    Ask,
    Complete,
    Delete,
    Goodbye,
    Wish,
    sentences,
    understand,
)

SUNDAY = date(2026, 11, 22)
TOOLS = {"get_tasks", "create_task", "complete_task", "delete_task"}
LISTED = {
    "todos": [
        {"id": 4, "deadline": "2026-11-23", "description": "Water all the plants"},
        {"id": 2, "deadline": "2026-11-24", "description": "Buy milk"},
    ]
}


def after(*calls: tuple[str, Any]) -> list[Call]:
    return [Call(name, "{}", json.dumps(output)) for name, output in calls]


def step(wish: Wish | None, *calls: tuple[str, Any]) -> str | CallTool:
    return decide(wish, after(*calls), now=SUNDAY, tools=TOOLS)


def test_every_sentence_has_a_meaning_and_none_occurs_twice() -> None:
    spoken = list(sentences())
    assert len(set(spoken)) == len(spoken) > 500
    meant = {understand(sentence) for sentence in spoken}
    assert None not in meant
    assert len(meant) == 3 + 12 * 9 + 12 + 12 + 1
    assert len(DESCRIPTIONS) == 12


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ("What do I have this week?", Ask("week")),
        ("add buy milk for Tuesday", Add("buy milk", "tuesday")),
        ("remind me to pay the rent today", Add("pay the rent", "today")),
        ("I have done water the plants.", Complete("water the plants")),
        ("please remove feed the cat", Delete("feed the cat")),
        ("thank you, goodbye", Goodbye()),
        ("buy milk", None),
        ("add buy milk someday", None),
        ("delete buy milk for tuesday", None),
        ("", None),
        ("The caller pressed 1: today.", Ask("today")),
        ("The caller pressed 3: the whole week.", Ask("week")),
        ("The caller pressed 7: opening hours.", None),
    ],
)
def test_what_words_mean(words: str, wish: Wish | None) -> None:
    assert understand(words) == wish


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("today", "2026-11-22"),
        ("tomorrow", "2026-11-23"),
        ("monday", "2026-11-23"),
        ("saturday", "2026-11-28"),
        ("sunday", "2026-11-29"),
    ],
)
def test_a_named_weekday_is_the_next_one(name: str, expected: str) -> None:
    assert day_of(name, SUNDAY).isoformat() == expected


def test_instructions_tell_the_date_the_name_and_words_to_say() -> None:
    text = "Todos: 2026-12-01 buy milk.\nToday is Sunday 2026-11-22.\nThe caller is Ada."
    assert today(text) == SUNDAY
    assert today("The date: 2026-11-22") == SUNDAY
    assert today("No date, nor 2026-99-99") is None
    assert greeting(text).startswith("Hello Ada, ")
    assert greeting("").startswith("Hello, ")
    assert quoted('Say exactly: "One moment."') == "One moment."
    assert quoted("Greet the caller with “Hello there.”") == "Hello there."
    assert quoted("Greet the caller.") is None
    assert quoted('Go on, do not say "hello" again.') is None
    assert quoted(None) is None


def test_asking() -> None:
    assert step(Ask("tomorrow")) == CallTool("get_tasks", {"period": "tomorrow"})
    assert step(Ask("today"), ("get_tasks", {"todos": []})) == "You have nothing planned for today."
    assert step(Ask("week"), ("get_tasks", LISTED)) == (
        "You have 2 todos for this week: Water all the plants on Monday and Buy milk on Tuesday."
    )
    one = {"todos": LISTED["todos"][1:]}
    assert step(Ask("today"), ("get_tasks", one)) == "You have one todo for today: Buy milk."
    many = {"todos": LISTED["todos"] * 4}
    assert "3 more" in str(step(Ask("today"), ("get_tasks", many)))


def test_adding() -> None:
    wish = Add("buy milk", "sunday")
    arguments = {"date": "2026-11-29", "description": "buy milk"}
    assert step(wish) == CallTool("create_task", arguments)
    assert step(wish, ("create_task", {"status": "created"})) == "I added buy milk for Sunday."
    failed = {"status": "failed", "message": "The day is full"}
    assert step(wish, ("create_task", failed)) == "Sorry, that did not work. The day is full."
    assert "what day it is" in str(decide(wish, [], now=None, tools=TOOLS))


@pytest.mark.parametrize(
    ("wish", "tool", "outcome"),
    [
        (Complete("water the plants"), "complete_task", "completed"),
        (Delete("water the plants"), "delete_task", "deleted"),
    ],
)
def test_completing_and_deleting_by_words(wish: Wish, tool: str, outcome: str) -> None:
    assert step(wish) == CallTool("get_tasks", {"period": "week"})
    assert step(wish, ("get_tasks", LISTED)) == CallTool(tool, {"id": 4})
    done = step(wish, ("get_tasks", LISTED), (tool, {"status": outcome}))
    assert str(done).startswith("All right, water the plants is ")
    failed = {"status": "failed", "message": "Task not found"}
    assert "Task not found" in str(step(wish, ("get_tasks", LISTED), (tool, failed)))


def test_what_is_not_in_this_week_may_be_due_tomorrow() -> None:
    wish, none = Complete("pay the rent"), ("get_tasks", LISTED)
    assert step(wish, none) == CallTool("get_tasks", {"period": "tomorrow"})
    assert step(wish, none, none) == "Sorry, I cannot find pay the rent on your list."


def test_what_cannot_be_done() -> None:
    assert step(None) == REPEAT
    assert step(Goodbye()) == FAREWELL
    assert decide(Ask("today"), [], now=SUNDAY, tools=set()) == NOT_OFFERED
    assert decide(Ask("today"), [Call("get_tasks", "{}", None)], now=SUNDAY, tools=TOOLS) == WAIT
    for output in ("no json", "[]", '{"todos": [{"id": 1}]}', '{"todos": 5}'):
        said = decide(Ask("today"), [Call("get_tasks", "{}", output)], now=SUNDAY, tools=TOOLS)
        assert said == "Sorry, that did not work."
