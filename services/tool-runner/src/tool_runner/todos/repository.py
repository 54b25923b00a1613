"""Storage of one caller's todos: the only user of todos/queries.sql. Every statement is bound to
the caller, so nobody reaches another's todos. It notes what was changed; publishing is for others.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from protocol.ids import CallerId
from protocol.todos import ChangeTodo, Todo, TodoChanged
from runtime import sql
from tool_runner.database import Connection
from tool_runner.todos import rules

MOST_LISTED = 400
"""Rows in one answer: 400 of the longest descriptions stay below NATS's payload limit, 1 MiB."""
_MOST_ID = 2**63 - 1


class Todos:
    """The todos of ``caller_id``, seen through one transaction.

    ``changes`` grows with each change, to be published after the commit.
    """

    def __init__(self, connection: Connection, caller_id: CallerId) -> None:
        self._connection = connection
        self._caller_id = caller_id
        self._sql = sql.load("tool_runner.todos", "queries.sql")
        self.changes: list[TodoChanged] = []

    async def add(self, description: str, deadline: date) -> Todo:
        """A new open todo. Raises Invalid for a bad description."""
        row = await self._connection.fetchrow(
            self._sql["add"], self._caller_id, rules.description(description), deadline
        )
        assert row is not None, "INSERT ... RETURNING gives its row"
        todo = _todo(row)
        self._note("added", todo)
        return todo

    async def change(self, asked: ChangeTodo, now: datetime) -> Todo | None:
        """Do what ``asked`` says to the todo it names (the caller is this one's, whatever
        ``asked.caller_id`` is); None when the caller has no such todo. Raises Invalid.
        """
        row = await self._one("lock", asked.id)
        if row is None:
            return None
        todo, change = rules.changed(_todo(row), asked, now)
        if change is not None:
            await self._connection.execute(
                self._sql["save"],
                self._caller_id,
                todo.id,
                todo.description,
                todo.deadline,
                todo.completed_at,
            )
            self._note(change, todo)
        return todo

    async def delete(self, id: int) -> Todo | None:
        """Remove a todo and return it; None when the caller has no such todo."""
        row = await self._one("delete", id)
        if row is None:
            return None
        todo = _todo(row)
        self._note("deleted", todo)
        return todo

    async def delete_all(self) -> None:
        """Remove every todo of the caller, without a word to anybody (the seed's reset)."""
        await self._connection.execute(self._sql["delete_all"], self._caller_id)

    async def open_between(self, first: date, last: date) -> tuple[Todo, ...]:
        """Open todos due from ``first`` to ``last``, soonest first."""
        return await self._many("open_between", first, last)

    async def all_between(self, first: date, last: date) -> tuple[Todo, ...]:
        """Open and done todos due from ``first`` to ``last``, soonest first."""
        return await self._many("all_between", first, last)

    async def current(self, today: date) -> tuple[Todo, ...]:
        """Open todos due today or later, soonest first."""
        return await self._many("current", today)

    async def stale(self, today: date) -> tuple[Todo, ...]:
        """Open todos due before today, latest first."""
        return await self._many("stale", today)

    async def archive(self, since: datetime) -> tuple[Todo, ...]:
        """Todos done since then, latest first."""
        return await self._many("archive", since)

    async def _one(self, statement: str, id: int) -> Mapping[str, Any] | None:
        if not 0 < id <= _MOST_ID:  # PostgreSQL's bigint; a model may say any number
            return None
        return await self._connection.fetchrow(self._sql[statement], self._caller_id, id)

    async def _many(self, statement: str, *args: date | datetime) -> tuple[Todo, ...]:
        rows = await self._connection.fetch(
            self._sql[statement], self._caller_id, *args, MOST_LISTED
        )
        return tuple(_todo(row) for row in rows)

    def _note(self, change: rules.Change, todo: Todo) -> None:
        self.changes.append(TodoChanged(self._caller_id, change, todo))


def _todo(row: Mapping[str, Any]) -> Todo:
    return msgspec.convert(dict(row), Todo)
