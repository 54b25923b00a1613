"""A running call gets other instructions and tools, when somebody says so and not before."""

import json
from pathlib import Path

import pytest

from testbed.realtime import OnResponse, OnSpeech, Say, tone

PROFILE = """
name = "desk"
numbers = ["*"]
greeting = "Greet."
instructions = "{words}"
tools = {tools}
"""
HELLO = Say("Hello, this is the desk.", 900)
FIRST = Say("That is the first answer.", 800)
LONG = Say("This one takes a while to be said to its end, so that there is time.", 4_000)
LAST = Say("That is the last answer.", 700)


def write(folder: Path, words: str, *tools: str) -> None:
    text = PROFILE.format(words=words, tools=json.dumps(tools))
    (folder / "desk.toml").write_text(text)


@pytest.fixture(scope="module")
async def office(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiles")
    write(folder, "Be brief.", "get_tasks")
    env = {"ASSISTANTS_DIR": str(folder)}
    agent = env | {"SPEAKER_PROVIDERS": "espeak"}
    async with new_system(ai_agent=agent, webhooks=env) as world:
        world.folder = folder
        yield world


@pytest.fixture
async def world(office):
    office.begin()
    write(office.folder, "Be brief.", "get_tasks")
    yield office
    await office.settle()


def updates(world, call) -> list[dict]:
    """What the model of a call was configured with, oldest first."""
    received = world.connection(call).received
    return [e["session"] for e in received if e["type"] == "session.update"]


def named(session) -> list[str]:
    return [tool["name"] for tool in session["tools"]]


async def told(world, call, **command) -> dict:
    payload = json.dumps({"type": "update_session", "by": "ops@example.com", **command})
    subject = f"call.{call.sid}.command"
    reply = await world.client.request(subject, payload.encode(), timeout=world.patience_s)
    return json.loads(reply.data)


async def test_a_changed_profile_reaches_a_running_call_when_it_is_told(world) -> None:
    script = world.script(
        OnResponse(HELLO),
        OnSpeech("one", FIRST),
        OnSpeech("two", LONG),
        OnSpeech("three", LAST),
    )
    call = await world.dial()
    heard = tone(HELLO.text, HELLO.audio_ms)
    await world.heard(call, heard)
    write(world.folder, "Be very kind.", "get_tasks", "create_task")
    call.say(tone("one", 500))
    heard += tone(FIRST.text, FIRST.audio_ms)
    await world.heard(call, heard)
    (before,) = updates(world, call)
    assert before["instructions"].startswith("Be brief.\n")
    assert named(before) == ["get_tasks", "end_call"]

    call.say(tone("two", 500))
    so_far = len(heard)
    await call.wait_until(lambda c: len(c.ear.audio()) > so_far + 4_000, world.patience_s)
    assert await told(world, call, reload=True) == {"type": "done"}
    assert len(call.ear.audio()) < so_far + LONG.audio_ms * 8, "told while the assistant spoke"
    _, after = updates(world, call)
    assert after["instructions"] == before["instructions"].replace("Be brief.", "Be very kind.")
    assert named(after) == ["get_tasks", "create_task", "end_call"]
    assert after["audio"] == before["audio"]
    assert world.connection(call).session.config["instructions"] == after["instructions"]
    heard += tone(LONG.text, LONG.audio_ms)
    await world.heard(call, heard)

    call.say(tone("three", 500))
    await world.heard(call, heard + tone(LAST.text, LAST.audio_ms))
    await script.finished()
    events = await world.hung_up(call)
    (opened,) = [e for e in events if e["event"] == "session_opened"]
    (updated,) = [e for e in events if e["event"] == "session_updated"]
    assert updated["by"] == "ops@example.com"
    assert updated["instructions"] == after["instructions"]
    assert [tool["name"] for tool in updated["tools"]] == named(after)
    assert updated["profile_sha256"] != opened["profile_sha256"]
    assert "barged_in" not in {event["event"] for event in events}


async def test_a_tool_that_nobody_serves_is_refused_by_its_name(world) -> None:
    world.script(OnResponse(HELLO))
    call = await world.dial()
    await world.heard(call, tone(HELLO.text, HELLO.audio_ms))
    refused = await told(world, call, instructions="Be odd.", tools=["get_tasks", "get_taks"])
    assert (refused["type"], refused["code"]) == ("refused", "unknown_tool")
    assert "get_taks" in refused["message"]
    assert len(updates(world, call)) == 1
    assert await told(world, call, instructions="Be odd.", tools=[]) == {"type": "done"}
    last = updates(world, call)[-1]
    assert last["instructions"].startswith("Be odd.\n\nToday is ")
    assert named(last) == ["end_call"]
    events = await world.hung_up(call)
    assert [e["instructions"] for e in events if e["event"] == "session_updated"] == [
        last["instructions"]
    ]
