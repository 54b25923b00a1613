"""The rules of the local voice model: from a wish and the tool results so far to the next step.

Pure; called by `planner_mind`. Speaks at most two sentences, never an id. Tool names, arguments
and result shapes are those that the model is told in session.update.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

from testbed.realtime.minds import CallTool
from testbed.realtime.planner_speech import (
    WEEKDAYS,
    Add,
    Ask,
    Complete,
    Delete,
    Goodbye,
    Period,
    Wish,
)

REPEAT = "Sorry, I did not understand that. Could you say it again?"
WAIT = "One moment, please."
ANYTHING_ELSE = "What else can I do for you?"
FAILED = "Sorry, that did not work."
FAREWELL = "Goodbye, and have a nice day."
NOT_OFFERED = "Sorry, I cannot do that on this line."
MAX_SPOKEN_TODOS = 5

_TODAY = re.compile(r"Today is [^\n]*?(\d{4}-\d{2}-\d{2})")
_ANY_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_QUOTED = re.compile(r"(?i)(?<!not )\b(?:say|greet)\b[^\"“\n]*[\"“]([^\"”]+)[\"”]")
_CALLER = re.compile(r"(?:caller is|caller's name is|name of the caller is) ([A-Z][\w-]*)")
_PERIOD_NAMES: dict[Period, str] = {"today": "today", "tomorrow": "tomorrow", "week": "this week"}
_SEARCHES: tuple[Period, ...] = ("week", "tomorrow")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of this turn; `output` is None until the client returned it."""

    name: str
    arguments: str
    output: str | None


@dataclass(frozen=True, slots=True)
class Todo:
    """A todo as get_tasks returns it."""

    id: int
    deadline: date
    description: str


def quoted(instructions: str | None) -> str | None:
    """What instructions ask for: word by word (say "...", greet the caller with "..."), or that
    the caller be told that they can speak again.
    """
    found = _QUOTED.search(instructions or "")
    if found is None and "can speak with you again" in (instructions or ""):
        return "You can speak with me again."
    return found.group(1) if found else None


def greeting(instructions: str) -> str:
    """The first sentence of a call, with the caller's name if the instructions tell it."""
    found = _CALLER.search(instructions)
    name = f" {found.group(1)}" if found else ""
    return (
        f"Hello{name}, I can tell you about your planned todos and help you to manage them. "
        "What would you like to do?"
    )


def today(instructions: str) -> date | None:
    """The date that the instructions call today ("Today is Sunday 2026-11-22")."""
    for found in (*_TODAY.findall(instructions), *_ANY_DATE.findall(instructions)):
        try:
            return date.fromisoformat(found)
        except ValueError:
            continue
    return None


def day_of(name: str, now: date) -> date:
    """today, tomorrow, or the next day with that weekday's name, never today itself."""
    if name == "today":
        return now
    if name == "tomorrow":
        return now + timedelta(days=1)
    ahead = (WEEKDAYS.index(name) - now.weekday() - 1) % 7 + 1
    return now + timedelta(days=ahead)


def decide(
    wish: Wish | None, calls: Sequence[Call], *, now: date | None, tools: Set[str]
) -> str | CallTool:
    """The next step of a turn: a sentence to say, or a tool to call.

    `calls`: what was called for this wish so far, oldest first; `tools`: the names on offer.
    """
    if any(call.output is None for call in calls):
        return WAIT
    match wish:
        case None:
            return REPEAT
        case Goodbye():
            return FAREWELL
        case Ask(period):
            step = _ask(period, calls)
        case Add(description, day):
            step = _add(description, day, calls, now)
        case Complete(description):
            step = _change("complete_task", "is done", description, calls)
        case Delete(description):
            step = _change("delete_task", "is deleted", description, calls)
    if isinstance(step, CallTool) and step.name not in tools:
        return NOT_OFFERED
    return step


def _ask(period: Period, calls: Sequence[Call]) -> str | CallTool:
    if not calls:
        return CallTool("get_tasks", {"period": period})
    todos = _todos(calls[-1])
    if todos is None:
        return _failure(calls[-1])
    name = _PERIOD_NAMES[period]
    if not todos:
        return f"You have nothing planned for {name}."
    spoken = [_spoken(todo, with_day=period == "week") for todo in todos[:MAX_SPOKEN_TODOS]]
    if len(todos) > MAX_SPOKEN_TODOS:
        spoken.append(f"{len(todos) - MAX_SPOKEN_TODOS} more")
    count = "one todo" if len(todos) == 1 else f"{len(todos)} todos"
    return f"You have {count} for {name}: {_joined(spoken)}."


def _add(description: str, day: str, calls: Sequence[Call], now: date | None) -> str | CallTool:
    if calls:
        if _result(calls[-1]).get("status") != "created":
            return _failure(calls[-1])
        return f"I added {description} for {day.capitalize() if day in WEEKDAYS else day}."
    if now is None:
        return "Sorry, I do not know what day it is."
    due = day_of(day, now).isoformat()
    return CallTool("create_task", {"date": due, "description": description})


def _change(tool: str, outcome: str, description: str, calls: Sequence[Call]) -> str | CallTool:
    """Find the todo by its words, then complete or delete it by its id."""
    if calls and calls[-1].name == tool:
        if _result(calls[-1]).get("status") not in ("completed", "deleted"):
            return _failure(calls[-1])
        return f"All right, {description} {outcome}."
    if calls:
        todos = _todos(calls[-1])
        if todos is None:
            return _failure(calls[-1])
        found = _match(description, todos)
        if found is not None:
            return CallTool(tool, {"id": found.id})
    if len(calls) < len(_SEARCHES):
        return CallTool("get_tasks", {"period": _SEARCHES[len(calls)]})
    return f"Sorry, I cannot find {description} on your list."


def _match(description: str, todos: Sequence[Todo]) -> Todo | None:
    """The todo that shares most words with `description`, at least half; the earliest of equals."""
    wanted = set(description.lower().split())

    def shared(todo: Todo) -> int:
        return len(wanted & set(re.findall(r"\w+", todo.description.lower())))

    ranked = sorted(todos, key=lambda todo: (-shared(todo), todo.deadline, todo.id))
    return ranked[0] if ranked and 2 * shared(ranked[0]) >= len(wanted) else None


def _result(call: Call) -> dict[str, Any]:
    try:
        result = json.loads(call.output or "")
    except ValueError:
        return {}
    return cast("dict[str, Any]", result) if isinstance(result, dict) else {}


def _todos(call: Call) -> list[Todo] | None:
    """The todos that a get_tasks returned; None if it failed."""
    listed = _result(call).get("todos")
    if not isinstance(listed, list):
        return None
    try:
        return [
            Todo(raw["id"], date.fromisoformat(raw["deadline"]), raw["description"])
            for raw in cast("list[dict[str, Any]]", listed)
        ]
    except (LookupError, TypeError, ValueError):
        return None


def _failure(call: Call) -> str:
    message = _result(call).get("message")
    return f"{FAILED} {str(message).rstrip('.')}." if message else FAILED


def _spoken(todo: Todo, *, with_day: bool) -> str:
    if not with_day:
        return todo.description
    return f"{todo.description} on {WEEKDAYS[todo.deadline.weekday()].capitalize()}"


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
