"""Callers and todos, asked of tool-runner over NATS. Never SQL, and nothing is kept here but since
when it does not answer.
"""

from datetime import date, datetime
from typing import Any

from protocol import subjects
from protocol.errors import DecodeError
from protocol.ids import CallerId
from protocol.todos import (
    AddTodo,
    Caller,
    CallerList,
    ChangeTodo,
    DeleteTodo,
    ListCallers,
    ListTodos,
    Refused,
    Todo,
    TodoList,
    TodoReply,
    TodoScope,
)
from runtime import errors
from runtime.bus import Bus
from runtime.clock import utc_now

ASK_S = 3.0
"""Seconds that a person waits at most before the page says that tool-runner is away."""
_NOT_FOUND = 404


class NotThere(Exception):
    """tool-runner knows no such caller."""


class Away(Exception):
    """tool-runner cannot be asked. ``why`` is one phrase for a person, ``since`` when it began."""

    def __init__(self, why: str, since: datetime) -> None:
        super().__init__(why)
        self.why = why
        self.since = since


class Records:
    """The planner's records. Every method raises Away, and NotThere for an unknown caller."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._away_since: datetime | None = None

    async def callers(self) -> tuple[Caller, ...]:
        """Callers with the most recent todos first."""
        found: CallerList = await self._ask(subjects.callers("list"), ListCallers(), CallerList)
        return found.callers

    async def todos(self, caller: CallerId, scope: TodoScope) -> TodoList:
        """One tab of a caller's todos."""
        return await self._ask(subjects.todos("list"), ListTodos(caller, scope), TodoList)

    async def between(self, caller: CallerId, first: date, last: date) -> TodoList:
        """All todos due from ``first`` to ``last``, done or not."""
        ask = ListTodos(caller, from_day=first, to_day=last)
        return await self._ask(subjects.todos("list"), ask, TodoList)

    async def todo(self, caller: CallerId, todo_id: int, scope: TodoScope) -> Todo | None:
        """One todo, looked for in ``scope`` first; None when no tab holds it any more."""
        scopes: list[TodoScope] = ["current", "archive", "stale"]
        for one in sorted(scopes, key=lambda s: s != scope):
            listed = await self.todos(caller, one)
            for todo in listed.todos:
                if todo.id == todo_id:
                    return todo
        return None

    async def add(self, todo: AddTodo) -> TodoReply:
        return await self._change("add", todo)

    async def change(self, todo: ChangeTodo) -> TodoReply:
        return await self._change("change", todo)

    async def delete(self, todo: DeleteTodo) -> TodoReply:
        return await self._change("delete", todo)

    async def _change(self, verb: str, message: Any) -> TodoReply:
        return await self._ask(subjects.todos(verb), message, TodoReply, refusable=True)

    async def _ask(
        self, subject: str, message: Any, answer: Any, *, refusable: bool = False
    ) -> Any:
        try:
            found = await self._bus.request(subject, message, answer, timeout=ASK_S)
        except errors.Refused as error:
            self._away_since = None if error.code < 500 else self._away_since
            if error.code == _NOT_FOUND:
                raise NotThere from error
            if error.code < 500 and refusable:
                return Refused(error.description)
            raise self._away("it failed at the request; its log says why") from error
        except errors.NoAnswer as error:
            why = "nobody answers" if error.nobody else f"no answer within {ASK_S:.0f} s"
            raise self._away(why) from error
        except errors.NatsAway as error:
            raise self._away("the connection to NATS is gone") from error
        except DecodeError as error:
            raise self._away("its answer cannot be read; do the versions match?") from error
        self._away_since = None
        return found

    def _away(self, why: str) -> Away:
        self._away_since = self._away_since or utc_now()
        return Away(why, self._away_since)
