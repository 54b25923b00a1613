"""``todos.*`` and ``callers.*`` over the bus."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from protocol import todos
from protocol.ids import CallerId
from runtime.errors import Refused

A, B = "+15550100001", "+15550100002"


async def add(runner: Any, caller: CallerId, description: str, days: int) -> todos.Todo:
    due = datetime.now(UTC).date() + timedelta(days=days)
    reply = await runner.ask("todos.add", todos.AddTodo(caller, description, due), todos.TodoReply)
    assert isinstance(reply, todos.TodoSaved)
    return reply.todo


async def listed(runner: Any, caller: CallerId, **asked: Any) -> list[str]:
    found = await runner.ask("todos.list", todos.ListTodos(caller, **asked), todos.TodoList)
    return [todo.description for todo in found.todos]


async def test_identify_makes_one_record_a_number_also_at_once(runner: Any) -> None:
    found = await asyncio.gather(*(runner.caller(A, "Europe/Berlin") for _ in range(10)))
    assert len(set(found)) == 1
    again = todos.IdentifyCaller(A, "America/New_York")
    kept = await runner.ask("callers.identify", again, todos.Caller)
    assert kept == todos.Caller(found[0], A, "", "Europe/Berlin"), "the first zone stays"


@pytest.mark.parametrize("number", ["anonymous", "sip:alice@example.org", "+266696687", "7"])
async def test_numbers_that_are_no_e164_are_callers_too(runner: Any, number: str) -> None:
    assert await runner.caller(number) == await runner.caller(f"  {number} ")


@pytest.mark.parametrize(
    ("number", "zone", "names"),
    [
        ("", "UTC", "number"),
        (" \0\n", "UTC", "number"),
        ("1" * 129, "UTC", "number"),
        *((A, zone, "time zone") for zone in ("", "Mars/Olympus", "../UTC", "Europe", "a\0b")),
        (A, "x" * 65, "time zone"),
    ],
)
async def test_a_number_or_zone_that_cannot_be_is_refused(
    runner: Any, number: str, zone: str, names: str
) -> None:
    with pytest.raises(Refused) as refused:
        await runner.caller(number, zone)
    assert refused.value.code == 400
    assert names in refused.value.description
    assert await runner.sql("SELECT count(*) FROM callers") == 0


async def test_callers_are_listed_by_their_newest_todo(runner: Any) -> None:
    a, b, c = [await runner.caller(number) for number in (A, B, "anonymous")]
    await add(runner, b, "first", 0)
    await add(runner, a, "second", 0)
    found = await runner.ask("callers.list", todos.ListCallers(), todos.CallerList)
    assert [caller.caller_id for caller in found.callers] == [a, b, c]
    found = await runner.ask("callers.list", todos.ListCallers(limit=-5), todos.CallerList)
    assert [caller.caller_id for caller in found.callers] == [a], "a limit is at least one"


async def test_scopes_and_spans(runner: Any) -> None:
    caller = await runner.caller(A)
    ids = {
        name: (await add(runner, caller, name, days)).id
        for name, days in {
            **{"later": 9, "soon": 1, "now": 0, "overdue": -1, "long overdue": -40},
            **{"done now": 0, "done six days ago": -30, "done long ago": 3},
        }.items()
    }
    for name in ("done now", "done six days ago", "done long ago"):
        change = todos.ChangeTodo(caller, ids[name], completed=True)
        assert isinstance(
            await runner.ask("todos.change", change, todos.TodoReply), todos.TodoSaved
        )
    for name, days in (("done six days ago", 6), ("done long ago", 9)):
        await runner.sql(
            "UPDATE todos SET completed_at = now() - make_interval(days => $2) WHERE id = $1",
            *(ids[name], days),
        )
    assert await listed(runner, caller) == ["now", "soon", "later"]
    assert await listed(runner, caller, scope="stale") == ["overdue", "long overdue"]
    assert await listed(runner, caller, scope="archive") == ["done now", "done six days ago"]
    today = datetime.now(UTC).date()
    span = {"from_day": today - timedelta(days=1), "to_day": today + timedelta(days=1)}
    assert await listed(runner, caller, **span) == ["overdue", "now", "done now", "soon"]
    assert await listed(runner, await runner.caller(B), **span) == []


async def test_a_todo_is_changed_reopened_and_deleted(runner: Any, changes: Any) -> None:
    caller = await runner.caller(A)
    todo = await add(runner, caller, "buy milk", 0)

    async def change(**asked: Any) -> Any:
        message = todos.ChangeTodo(caller, todo.id, **asked)
        return await runner.ask("todos.change", message, todos.TodoReply)

    moved = todo.deadline + timedelta(days=2)
    saved = await change(description="buy oat milk", deadline=moved)
    assert saved == todos.TodoSaved(todos.Todo(todo.id, "buy oat milk", moved))
    done = (await change(completed=True)).todo
    assert done.completed_at is not None
    assert (await change(completed=True)).todo == done
    renamed = (await change(description="buy milk", completed=True)).todo
    assert renamed.completed_at == done.completed_at, "saving a done todo keeps when it was done"
    assert (await change(completed=False)).todo.completed_at is None
    refused = await change(description="  ")
    assert refused == todos.Refused("the description is empty", "description")
    removed = await runner.ask("todos.delete", todos.DeleteTodo(caller, todo.id), todos.TodoReply)
    assert removed == todos.TodoDeleted(todo.id)
    assert (await change(completed=True)) == todos.Refused("there is no such todo", "id")
    assert [change.change for _, change in await changes.wait(6)] == [
        *("added", "changed", "completed", "changed", "changed", "deleted")
    ]


async def test_foreign_and_unknown_callers_get_nothing(runner: Any, changes: Any) -> None:
    a, b, nobody = await runner.caller(A), await runner.caller(B), CallerId("cnobody")
    todo = await add(runner, a, "buy milk", 0)
    no_todo = todos.Refused("there is no such todo", "id")
    no_caller = todos.Refused("there is no such caller", "caller_id")
    for caller, answer in ((b, no_todo), (nobody, no_caller)):
        change = todos.ChangeTodo(caller, todo.id, completed=True)
        delete = todos.DeleteTodo(caller, todo.id)
        assert await runner.ask("todos.change", change, todos.TodoReply) == answer
        assert await runner.ask("todos.delete", delete, todos.TodoReply) == answer
    stray = todos.AddTodo(nobody, "x", todo.deadline)
    assert await runner.ask("todos.add", stray, todos.TodoReply) == no_caller
    with pytest.raises(Refused) as refused:
        await listed(runner, nobody)
    assert refused.value.code == 404
    assert await listed(runner, a) == ["buy milk"]
    assert len(await changes.wait(1)) == 1


async def test_an_unreadable_request_is_refused(runner: Any) -> None:
    with pytest.raises(Refused) as refused:
        await runner.ask("todos.add", {"caller_id": "c1", "description": 7}, Any)
    assert refused.value.code == 400


async def test_the_longest_list_fits_a_message(runner: Any) -> None:
    caller = await runner.caller(A)
    await runner.sql(
        "INSERT INTO todos (caller_id, description, deadline) "
        "SELECT $1, repeat(chr(128512), 500), date '9999-12-31' FROM generate_series(1, 450)",
        caller,
    )
    assert len(await listed(runner, caller)) == 400
