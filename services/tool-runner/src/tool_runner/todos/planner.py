"""The service ``todos.*``: the planner's view of a caller's todos. Asked by the desk and agents.

What breaks a rule is answered with protocol.todos.Refused, in words for a person.
"""

from msgspec import Struct

from protocol import subjects, todos
from protocol.ids import CallerId
from protocol.todos import (
    AddTodo,
    Caller,
    ChangeTodo,
    DeleteTodo,
    ListTodos,
    Todo,
    TodoDeleted,
    TodoList,
    TodoReply,
    TodoSaved,
)
from runtime import clock
from runtime.bus import Bus
from runtime.errors import Refused
from runtime.micro import Endpoint, Request, json_handler
from tool_runner.callers.repository import Callers
from tool_runner.callers.rules import zone
from tool_runner.database import Connection, Database
from tool_runner.text import Invalid
from tool_runner.todos import rules
from tool_runner.todos.announcer import announce
from tool_runner.todos.repository import Todos

WITHIN_S = 5.0
_NO_CALLER = todos.Refused("there is no such caller", "caller_id")
_NO_TODO = todos.Refused("there is no such todo", "id")


class Planner(Struct, frozen=True):
    """Answers ``todos.*`` from ``database`` and announces changes on ``bus``."""

    database: Database
    bus: Bus

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of the service, for runtime.micro."""
        handlers = {
            "list": json_handler(ListTodos, self.listing),
            "add": json_handler(AddTodo, self.add),
            "change": json_handler(ChangeTodo, self.change),
            "delete": json_handler(DeleteTodo, self.delete),
        }
        return [Endpoint(verb, subjects.todos(verb), work) for verb, work in handlers.items()]

    async def listing(self, asked: ListTodos, _: Request) -> TodoList:
        """At most repository.MOST_LISTED todos. Raises Refused(404) for an unknown caller."""
        async with self.database.transaction(WITHIN_S) as connection:
            caller = await Callers(connection).get(asked.caller_id)
            if caller is None:
                raise Refused(404, "there is no such caller")
            return await _listed(Todos(connection, caller.caller_id), caller, asked)

    async def add(self, asked: AddTodo, _: Request) -> TodoReply:
        """A new todo, for any day: an operator may write down what is overdue."""
        async with self.database.transaction(WITHIN_S) as connection:
            if not await _known(connection, asked.caller_id):
                return _NO_CALLER
            mine = Todos(connection, asked.caller_id)
            try:
                todo = await mine.add(asked.description, asked.deadline)
            except Invalid as error:
                return todos.Refused(error.message, error.field)
        await announce(self.bus, mine.changes)
        return TodoSaved(todo)

    async def change(self, asked: ChangeTodo, _: Request) -> TodoReply:
        """Set what is not None. Nothing is announced when nothing differs."""
        async with self.database.transaction(WITHIN_S) as connection:
            mine = Todos(connection, asked.caller_id)
            try:
                todo = await mine.change(asked, clock.utc_now())
            except Invalid as error:
                return todos.Refused(error.message, error.field)
            if todo is None:
                return await _missing(connection, asked.caller_id)
        await announce(self.bus, mine.changes)
        return TodoSaved(todo)

    async def delete(self, asked: DeleteTodo, _: Request) -> TodoReply:
        """Remove a todo for good."""
        async with self.database.transaction(WITHIN_S) as connection:
            mine = Todos(connection, asked.caller_id)
            if await mine.delete(asked.id) is None:
                return await _missing(connection, asked.caller_id)
        await announce(self.bus, mine.changes)
        return TodoDeleted(asked.id)


async def _listed(mine: Todos, caller: Caller, asked: ListTodos) -> TodoList:
    now, where = clock.utc_now(), zone(caller.time_zone)
    today = rules.today(now, where)
    found: tuple[Todo, ...]
    if asked.from_day is not None and asked.to_day is not None:
        found = await mine.all_between(asked.from_day, asked.to_day)
    elif asked.scope == "current":
        found = await mine.current(today)
    elif asked.scope == "stale":
        found = await mine.stale(today)
    else:
        found = await mine.archive(rules.archive_since(now, where))
    return TodoList(caller, today, found)


async def _known(connection: Connection, caller_id: CallerId) -> bool:
    return await Callers(connection).get(caller_id) is not None


async def _missing(connection: Connection, caller_id: CallerId) -> todos.Refused:
    return _NO_TODO if await _known(connection, caller_id) else _NO_CALLER
