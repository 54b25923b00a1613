"""Todos that change during a call: the model learns of what others did, and nobody is disturbed."""

import asyncio
import json
from typing import Any

from testbed.realtime import CallTool, OnResponse, OnSpeech, Say, expect_output, tone

STORY = Say("Hello, I tell you about all that you have planned, one by one.", audio_ms=20_000)
"""Longer than any test listens."""
HELLO = Say("Hello.", audio_ms=500)
ANSWER = Say("Yes, that is on your list now.", audio_ms=500)
DAY = "2099-02-03"


def sound(say: Say) -> bytes:
    return tone(say.text, say.audio_ms)


async def ask(world, verb: str, **question: Any) -> dict[str, Any]:
    """A question to the planner, by anybody with a connection to NATS."""
    reply = await world.client.request(
        f"todos.{verb}", json.dumps(question).encode(), timeout=world.patience_s
    )
    assert not reply.headers, f"refused: {reply.headers}"
    return json.loads(reply.data)


async def caller_id(world, call) -> str:
    """The record of a call's caller."""
    (row,) = await world.rows("select caller_id from callers where number = $1", call.facts.from_)
    return row["caller_id"]


def told(world, call, kind: str) -> list[dict]:
    """What the model of a call was sent of this kind."""
    return [event for event in world.connection(call).received if event["type"] == kind]


def notes(world, call) -> list[str]:
    """What the model was told as the system."""
    items = [event["item"] for event in told(world, call, "conversation.item.create")]
    return [item["content"][0]["text"] for item in items if item.get("role") == "system"]


async def test_a_change_elsewhere_is_told_without_disturbing_anybody(world) -> None:
    script = world.script(OnResponse(STORY))
    call = await world.dial()
    await call.wait_until(lambda c: c.ear.heard_ms() > 200, world.patience_s)
    # The whole answer is on its way to the ear: from here on a new one could begin at any moment.
    await script.finished()
    caller = await caller_id(world, call)
    stranger = await world.rows(
        "insert into callers (caller_id, number, time_zone)"
        " values ('somebody-else', '+15550140600', 'UTC') returning caller_id"
    )
    other = {"caller_id": stranger[0]["caller_id"], "description": "a foreign todo"}
    assert (await ask(world, "add", **other, deadline=DAY))["type"] == "saved"
    saved = await ask(world, "add", caller_id=caller, description="feed the cat", deadline=DAY)
    todo = saved["todo"]["id"]
    await world.until(lambda: notes(world, call), "the note about the new todo")
    done = await ask(world, "change", caller_id=caller, id=todo, completed=True)
    assert done["todo"]["completed_at"]
    await world.until(lambda: len(notes(world, call)) == 2, "the note about the done todo")
    added, completed = notes(world, call)
    assert f"added: id {todo}, due {DAY}: feed the cat" in added
    assert f"completed: id {todo}" in completed
    assert "foreign" not in added + completed, "of this caller's todos alone"

    so_far = call.ear.heard_ms()
    await call.wait_until(lambda c: c.ear.heard_ms() > so_far + 600, world.patience_s)
    assert sound(STORY).startswith(call.ear.audio()), "byte by byte as if nothing had happened"
    assert len(call.ear.sounds) == 1, "without the shortest gap"
    asked = told(world, call, "response.create")
    assert len(asked) == 1, "the greeting: nobody asked for an answer to a note"
    assert told(world, call, "response.cancel") == []
    events = await world.hung_up(call)
    assert [e["heard_ms"] > so_far for e in events if e["event"] == "heard"] == [True]
    assert not {e["event"] for e in events} & {"barged_in", "tool_called", "response_ended"}
    assert len(notes(world, call)) == 2, "each change is told once"
    (row,) = await world.rows("select description, completed_at from todos where id = $1", todo)
    assert row["description"] == "feed the cat"
    assert row["completed_at"] is not None


async def test_what_the_call_did_itself_is_not_told_back(world) -> None:
    wish = {"date": DAY, "description": "water the roses"}
    script = world.script(
        OnResponse(HELLO),
        OnSpeech("note the roses", CallTool("create_task", wish, "c1")),
        expect_output("c1", lambda out: out["status"] == "created"),
        OnResponse(ANSWER),
    )
    call = await world.dial()
    await world.heard(call, sound(HELLO))
    caller = await caller_id(world, call)
    changes: list[dict[str, Any]] = []

    async def changed(message: Any) -> None:
        changes.append(json.loads(message.data))

    watch = await world.client.subscribe(f"todo.{caller}.changed", cb=changed)
    call.say(tone("note the roses", 600))
    await world.heard(call, sound(HELLO), sound(ANSWER))
    await script.finished()
    await world.until(lambda: changes, "everybody hears of the new todo")
    assert changes[0]["change"] == "added"
    assert changes[0]["todo"]["description"] == "water the roses"

    # Others' changes are told again a moment after the call's own one.
    saved = await ask(world, "add", caller_id=caller, description="call 1", deadline=DAY)
    async with asyncio.timeout(world.patience_s):
        number = 1
        while not notes(world, call):
            number += 1
            await ask(
                world,
                "change",
                caller_id=caller,
                id=saved["todo"]["id"],
                description=f"call {number}",
            )
            await asyncio.sleep(0.2)
    await watch.unsubscribe()
    assert any(": call " in note for note in notes(world, call))
    assert not any("roses" in note for note in notes(world, call))
    assert len(told(world, call, "response.create")) == 2, "the greeting and the tool's answer"
    events = await world.hung_up(call)
    assert [e["cut"] for e in events if e["event"] == "heard"] == [False, False]
    assert len([e for e in events if e["event"] == "tool_called"]) == 1
    rows = await world.rows("select description from todos where caller_id = $1", caller)
    assert {row["description"] for row in rows} == {"water the roses", f"call {number}"}
