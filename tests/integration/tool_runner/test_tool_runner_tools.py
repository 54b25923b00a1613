"""The four tools over the bus: results, idempotency, deadlines, whose todos, and what is told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from protocol import todos, tools
from protocol.ids import CallerId, new_event_id
from runtime.errors import Refused

A, B = "+15550100001", "+15550100002"


def day(offset: int = 0) -> str:
    return (datetime.now(UTC).date() + timedelta(days=offset)).isoformat()


async def test_a_todo_is_created_found_completed_and_deleted(runner: Any) -> None:
    caller = await runner.caller(A)
    created = await runner.tool(
        "create_task", {"date": day(), "description": " buy\nmilk "}, caller
    )
    todo = created["todo"]
    assert created["status"] == "created"
    assert todo == {"id": todo["id"], "deadline": day(), "description": "buy milk"}
    for period in ("today", "week"):
        assert await runner.tool("get_tasks", {"period": period}, caller) == {"todos": [todo]}
    assert await runner.tool("get_tasks", {"period": "tomorrow"}, caller) == {"todos": []}
    assert await runner.tool("complete_task", {"id": todo["id"]}, caller) == {"status": "completed"}
    assert await runner.tool("get_tasks", {"period": "today"}, caller) == {"todos": []}
    assert await runner.tool("delete_task", {"id": todo["id"]}, caller) == {"status": "deleted"}
    not_found = {"status": "failed", "message": "Task not found"}
    for tool in ("complete_task", "delete_task"):
        for absent in (todo["id"], 0, -1, 2**70):
            assert await runner.tool(tool, {"id": absent}, caller) == not_found


async def test_completing_again_keeps_the_first_completed_at(runner: Any, changes: Any) -> None:
    caller = await runner.caller(A)
    new = {"date": day(), "description": "buy milk"}
    id = (await runner.tool("create_task", new, caller))["todo"]["id"]
    await runner.tool("complete_task", {"id": id}, caller)
    first = await runner.sql("SELECT completed_at FROM todos")
    assert await runner.tool("complete_task", {"id": id}, caller) == {"status": "completed"}
    await runner.tool("delete_task", {"id": id}, caller)
    assert [change.change for _, change in await changes.wait(3)] == [
        *("added", "completed", "deleted")
    ], "completing again tells nobody anything"
    assert changes.seen[2][1].todo.completed_at == first


async def test_days_are_those_of_the_callers_zone(runner: Any) -> None:
    east, west = (
        await runner.caller(A, "Pacific/Kiritimati"),  # UTC+14
        await runner.caller(B, "Pacific/Pago_Pago"),  # UTC-11: always an earlier date
    )
    before = [datetime.now(UTC) + timedelta(hours=hours) for hours in (14, -11)]
    past = (before[1].date() - timedelta(days=1)).isoformat()
    wests_today = before[1].date().isoformat()
    failed = await runner.tool("create_task", {"date": past, "description": "x"}, west)
    assert failed["status"] == "failed"
    assert "in the past; today is" in failed["message"]
    if datetime.now(UTC) - timedelta(hours=11) < before[1].replace(hour=23, minute=59):
        done = await runner.tool("create_task", {"date": wests_today, "description": "x"}, west)
        assert done["status"] == "created"
    failed = await runner.tool("create_task", {"date": wests_today, "description": "x"}, east)
    assert failed["status"] == "failed", "west's today is past in the east"


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("get_tasks", {"period": "yesterday"}, 'period must be one of "today", "tomorrow", "week"'),
        ("get_tasks", {}, 'period is missing; it must be one of "today", "tomorrow", "week"'),
        (
            "create_task",
            {"date": "tomorrow", "description": ""},
            "date must be a date as YYYY-MM-DD; "
            "description must be a text of at least 1 characters of at most 500 characters",
        ),
        ("create_task", {"date": "2999-01-01", "description": " \0 "}, "the description is empty"),
        ("complete_task", {"id": "7"}, "id must be a whole number"),
        ("complete_task", {"task": 7, "id": 7}, "task is no argument of this tool, which takes id"),
        ("delete_task", [7], "the arguments must be a JSON object"),
    ],
)
async def test_bad_arguments_fail_in_words_for_the_model(
    runner: Any, tool: str, arguments: Any, words: str
) -> None:
    caller = await runner.caller(A)
    answer = await runner.tool(tool, arguments, caller)
    assert answer == {"status": "failed", "message": words}


async def test_a_repeated_key_gives_the_stored_result_and_acts_once(
    runner: Any, changes: Any
) -> None:
    caller, key = await runner.caller(A), new_event_id()
    new = {"date": day(), "description": "buy milk"}
    first = await runner.tool("create_task", new, caller, key=key)
    other = {"date": day(1), "description": "something else"}
    assert await runner.tool("create_task", other, caller, key=key) == first
    assert await runner.sql("SELECT count(*) FROM todos") == 1
    await runner.tool("delete_task", {"id": first["todo"]["id"]}, caller)
    assert await runner.tool("create_task", new, caller, key=key) == first
    assert await runner.sql("SELECT count(*) FROM todos") == 0
    assert [change.change for _, change in await changes.wait(2)] == ["added", "deleted"]


async def test_twenty_at_once_under_one_key_act_once(runner: Any, changes: Any) -> None:
    caller, key = await runner.caller(A), new_event_id()
    new = {"date": day(), "description": "buy milk"}
    answers = await asyncio.gather(
        *(runner.tool("create_task", new, caller, key=key) for _ in range(20))
    )
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["status"] == "created"
    assert await runner.sql("SELECT count(*) FROM todos") == 1
    assert await runner.sql("SELECT count(*) FROM tool_results") == 1
    await runner.tool("delete_task", {"id": answers[0]["todo"]["id"]}, caller)
    assert [change.change for _, change in await changes.wait(2)] == ["added", "deleted"]


async def test_a_key_of_another_tool_or_caller_is_refused(runner: Any) -> None:
    a, b, key = await runner.caller(A), await runner.caller(B), new_event_id()
    new = {"date": day(), "description": "buy milk"}
    id = (await runner.tool("create_task", new, a, key=key))["todo"]["id"]
    with pytest.raises(Refused) as other_tool:
        await runner.tool("delete_task", {"id": id}, a, key=key)
    with pytest.raises(Refused) as other_caller:
        await runner.tool("create_task", new, b, key=key)
    assert (other_tool.value.code, other_caller.value.code) == (409, 409)
    assert await runner.sql("SELECT count(*) FROM todos") == 1


async def test_nobody_reaches_the_todos_of_another(runner: Any) -> None:
    a, b = await runner.caller(A), await runner.caller(B)
    new = {"date": day(), "description": "buy milk"}
    id = (await runner.tool("create_task", new, a))["todo"]["id"]
    not_found = {"status": "failed", "message": "Task not found"}
    assert await runner.tool("get_tasks", {"period": "today"}, b) == {"todos": []}
    assert await runner.tool("complete_task", {"id": id}, b) == not_found
    assert await runner.tool("delete_task", {"id": id}, b) == not_found
    assert await runner.sql("SELECT count(*) FROM todos WHERE completed_at IS NULL") == 1


@pytest.mark.parametrize(
    ("headers", "code", "names"),
    [
        ({}, 400, tools.CALLER),
        ({tools.CALLER: "a.b", tools.IDEMPOTENCY_KEY: "k"}, 400, tools.CALLER),
        ({tools.CALLER: "cabc"}, 400, tools.IDEMPOTENCY_KEY),
        ({tools.CALLER: "cabc", tools.IDEMPOTENCY_KEY: "k" * 129}, 400, tools.IDEMPOTENCY_KEY),
        (
            {tools.CALLER: "cabc", tools.IDEMPOTENCY_KEY: "k", tools.DEADLINE_MS: "soon"},
            *(400, tools.DEADLINE_MS),
        ),
        ({tools.CALLER: "cabc", tools.IDEMPOTENCY_KEY: "k"}, 404, "caller"),
    ],
)
async def test_bad_headers_and_unknown_callers_are_refused(
    runner: Any, headers: dict[str, str], code: int, names: str
) -> None:
    with pytest.raises(Refused) as refused:
        await runner.bus.request(
            "tools.get_tasks", {"period": "today"}, Any, timeout=20, headers=headers
        )
    assert refused.value.code == code
    assert names in refused.value.description


async def test_a_missed_deadline_leaves_nothing_and_the_key_free(runner: Any) -> None:
    caller, key = await runner.caller(A), new_event_id()
    new = {"date": day(), "description": "buy milk"}
    connection = await asyncpg.connect(runner.dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE todos IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Refused) as refused:
                await runner.tool("create_task", new, caller, key=key, deadline_ms=300)
    finally:
        await connection.close()
    assert refused.value.code == 504
    assert await runner.sql("SELECT count(*) FROM todos") == 0
    assert await runner.sql("SELECT count(*) FROM tool_results") == 0
    again = await runner.tool("create_task", new, caller, key=key)
    assert again["status"] == "created"
    assert await runner.sql("SELECT count(*) FROM todos") == 1


async def test_tools_are_discovered_with_their_schemas(runner: Any) -> None:
    replies = await runner.bus.request_many("$SRV.INFO.tools", b"", within=0.5)
    assert len(replies) == 1
    info = msgspec.json.decode(replies[0][0])
    found = {endpoint["name"]: endpoint for endpoint in info["endpoints"]}
    assert set(found) == {"get_tasks", "create_task", "complete_task", "delete_task"}
    for name, endpoint in found.items():
        assert endpoint["subject"] == f"tools.{name}"
        assert endpoint["metadata"][tools.META_DESCRIPTION]
        schema = msgspec.json.decode(endpoint["metadata"][tools.META_SCHEMA])
        assert schema["type"] == "object"


async def test_changes_by_tools_are_told_on_the_callers_subject(runner: Any, changes: Any) -> None:
    a, b = await runner.caller(A), await runner.caller(B)
    new = {"date": day(), "description": "buy milk"}
    ids = [(await runner.tool("create_task", new, caller))["todo"]["id"] for caller in (a, b)]
    seen = await changes.wait(2)
    assert [(subject, change.caller_id, change.todo.id) for subject, change in seen] == [
        (f"todo.{caller}.changed", caller, id) for caller, id in zip((a, b), ids, strict=True)
    ]
    found = await runner.ask("todos.list", todos.ListTodos(CallerId(a)), todos.TodoList)
    assert found.todos == (seen[0][1].todo,)
