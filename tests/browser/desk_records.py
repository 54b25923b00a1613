"""The planner's records as a call changes them: requests to tool-runner from beside the browser."""

import asyncio
import itertools
import threading
from collections.abc import Coroutine
from datetime import date, timedelta
from typing import Any, TypeVar

from protocol import subjects
from protocol.ids import CallerId
from protocol.todos import (
    AddTodo,
    Caller,
    ChangeTodo,
    IdentifyCaller,
    ListTodos,
    TodoList,
    TodoReply,
    TodoSaved,
)
from runtime.bus import Bus, connect
from runtime.service import Shutdown
from runtime.settings import CommonSettings

T = TypeVar("T")
WITHIN_S = 20.0
_numbers = itertools.count(1)


def beside(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` in a thread: Playwright has a loop in this one."""
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


class Records:
    """tool-runner, asked over the NATS at ``url``."""

    def __init__(self, url: str) -> None:
        self._url = url

    def caller(self) -> "Person":
        """Somebody who never called before."""
        number = f"+1212555{next(_numbers):04}"
        found = self.ask(subjects.callers("identify"), IdentifyCaller(number), Caller)
        return Person(self, found)

    def ask(self, subject: str, message: Any, answer: Any) -> Any:
        async def asked() -> Any:
            async with connect(CommonSettings(nats_url=self._url), "test", Shutdown()) as bus:
                return await _request(bus, subject, message, answer)

        return beside(asked())


class Person:
    """One caller and their todos."""

    def __init__(self, records: Records, caller: Caller) -> None:
        self._records = records
        self.id: CallerId = caller.caller_id
        self.number = caller.number

    @property
    def page(self) -> str:
        return f"/planner/{self.id}"

    def today(self) -> date:
        """Their day."""
        return self._list().today

    def todos(self, scope: Any = "current") -> dict[str, date]:
        """What is to be done, and when."""
        return {todo.description: todo.deadline for todo in self._list(scope).todos}

    def add(self, description: str, days: int = 0) -> int:
        """A todo so many days from today, as a call adds one; its id."""
        deadline = self.today() + timedelta(days=days)
        saved = self._records.ask(
            subjects.todos("add"), AddTodo(self.id, description, deadline), TodoReply
        )
        assert isinstance(saved, TodoSaved)
        return saved.todo.id

    def tick(self, todo: int) -> None:
        change = ChangeTodo(self.id, todo, completed=True)
        self._records.ask(subjects.todos("change"), change, TodoReply)

    def _list(self, scope: Any = "current") -> TodoList:
        return self._records.ask(subjects.todos("list"), ListTodos(self.id, scope), TodoList)


async def _request(bus: Bus, subject: str, message: Any, answer: Any) -> Any:
    return await bus.request(subject, message, answer, timeout=WITHIN_S)
