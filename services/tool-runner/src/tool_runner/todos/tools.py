"""The four tools of the planner, as the model sees them: names, docstrings and types are its
interface (tests/contract keeps their schemas). Offered by app through endpoints.
"""

import datetime as dt
from typing import Annotated

from msgspec import Meta, Struct

from protocol.todos import ChangeTodo, Todo
from tool_runner.catalog import Catalog, Failed
from tool_runner.context import Context
from tool_runner.text import Invalid
from tool_runner.todos import rules

CATALOG = Catalog()
tool = CATALOG.tool

NOT_FOUND = Failed("Task not found")
Description = Annotated[str, Meta(min_length=1, max_length=rules.MAX_DESCRIPTION)]


class Entry(Struct, frozen=True):
    """A todo as the model sees it."""

    id: int
    deadline: dt.date
    description: str


class Found(Struct, frozen=True):
    """``{"todos":[...]}``"""

    todos: tuple[Entry, ...]


class Created(Struct, frozen=True, tag_field="status", tag="created"):
    """``{"status":"created","todo":{...}}``"""

    todo: Entry


class Completed(Struct, frozen=True, tag_field="status", tag="completed"):
    """``{"status":"completed"}``"""


class Deleted(Struct, frozen=True, tag_field="status", tag="deleted"):
    """``{"status":"deleted"}``"""


@tool(read_only=True)
async def get_tasks(context: Context, period: rules.Period) -> Found:
    """Look up the caller's tasks that are not done yet and due in a period.

    "week" is the current calendar week, Monday to Sunday, including its days already past.

    Args:
        period: The period in which the tasks are due.
    """
    first, last = rules.days(period, context.today)
    return Found(tuple(_entry(todo) for todo in await context.todos.open_between(first, last)))


@tool
async def create_task(
    context: Context, date: dt.date, description: Description
) -> Created | Failed:
    """Add a task to the caller's list.

    Args:
        date: The day on which the task is due, as YYYY-MM-DD; today or later.
        description: What is to be done, in a few words, without the date.
    """
    try:
        rules.not_past(date, context.today)
        return Created(_entry(await context.todos.add(description, date)))
    except Invalid as error:
        return Failed(error.message)


@tool
async def complete_task(context: Context, id: int) -> Completed | Failed:
    """Mark one of the caller's tasks as done.

    Args:
        id: The id of the task, from get_tasks or create_task.
    """
    asked = ChangeTodo(context.caller.caller_id, id, completed=True)
    done = await context.todos.change(asked, context.now)
    return NOT_FOUND if done is None else Completed()


@tool
async def delete_task(context: Context, id: int) -> Deleted | Failed:
    """Remove one of the caller's tasks for good, done or not.

    Args:
        id: The id of the task, from get_tasks or create_task.
    """
    return NOT_FOUND if await context.todos.delete(id) is None else Deleted()


def _entry(todo: Todo) -> Entry:
    return Entry(todo.id, todo.deadline, todo.description)
