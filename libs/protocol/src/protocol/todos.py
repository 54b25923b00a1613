"""Messages of ``todos.*`` and ``callers.*``: the planner's records, owned by tool-runner.

Dates are calendar days in the caller's time zone. ``Refused`` is an answer, not an exception.
"""

from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from protocol.ids import CallerId

TodoScope = Literal["current", "archive", "stale"]
"""current: open and due today or later; archive: done within the last week; stale: open and
overdue.
"""


class Caller(Struct, frozen=True):
    """A person who calls. ``number`` is E.164 or as the carrier sent it; ``time_zone`` an IANA
    name.
    """

    caller_id: CallerId
    number: str
    name: str
    time_zone: str


class Todo(Struct, frozen=True):
    id: int
    description: str
    deadline: date
    completed_at: datetime | None = None


class Refused(Struct, frozen=True, tag="refused"):
    """Why a request was not done, in words for a person; ``field`` names the argument at fault."""

    message: str
    field: str | None = None


class IdentifyCaller(Struct, frozen=True):
    """``callers.identify``: the record of this number, made with ``time_zone`` when there is none
    yet.
    """

    number: str
    time_zone: str = "UTC"


class ListCallers(Struct, frozen=True):
    """``callers.list``: the callers with the most recent todos first, at most ``limit``."""

    limit: int = 100


class CallerList(Struct, frozen=True):
    callers: tuple[Caller, ...]


class ListTodos(Struct, frozen=True):
    """``todos.list``: one scope of a caller's todos, or all due within [from_day, to_day] when
    both are set.
    """

    caller_id: CallerId
    scope: TodoScope = "current"
    from_day: date | None = None
    to_day: date | None = None


class TodoList(Struct, frozen=True):
    """``today`` is the caller's day, by which the scope was decided."""

    caller: Caller
    today: date
    todos: tuple[Todo, ...]


class AddTodo(Struct, frozen=True):
    """``todos.add``."""

    caller_id: CallerId
    description: str
    deadline: date


class ChangeTodo(Struct, frozen=True):
    """``todos.change``: sets what is not None. ``completed`` True keeps an earlier completed_at."""

    caller_id: CallerId
    id: int
    description: str | None = None
    deadline: date | None = None
    completed: bool | None = None


class DeleteTodo(Struct, frozen=True):
    """``todos.delete``."""

    caller_id: CallerId
    id: int


class TodoSaved(Struct, frozen=True, tag="saved"):
    todo: Todo


class TodoDeleted(Struct, frozen=True, tag="deleted"):
    id: int


TodoReply = TodoSaved | TodoDeleted | Refused


class TodoChanged(Struct, frozen=True):
    """``todo.<caller_id>.changed``: published after the commit; a hint to look again, not a
    record.
    """

    caller_id: CallerId
    change: Literal["added", "changed", "completed", "deleted"]
    todo: Todo
