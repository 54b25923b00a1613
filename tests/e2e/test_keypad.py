"""The keypad through the phone: without any model, and when the model fails in the middle."""

import asyncio
import json
import sys
from importlib import resources

import pytest

from testbed.realtime import Fail, OnResponse, OnSpeech, Say, expect_output, tone

KEYPAD = "+15550140100"
TALK = "+15550140101"
CALLER = "+15550140110"
HELLO = Say("Hello, what would you like?", audio_ms=700)
AGAIN = Say("You can speak with me again.", audio_ms=800)
CHOICES = "Press 1 for today, 3 for the whole week."
MENU = """
instructions = "Be brief."
greeting = "Greet the caller."
tools = ["get_tasks"]
[silence]
reminder_s = 0
hang_up_s = 0
[[menu]]
key = "1"
label = "today"
tool = "get_tasks"
arguments = { period = "today" }
[[menu]]
key = "3"
label = "the whole week"
tool = "get_tasks"
arguments = { period = "week" }
days = true
"""
MS_A_CHARACTER = (30, 150)
"""Between these a voice needs for a character of a text, however it is made."""


def shipped(name: str) -> bytes:
    """A prompt as the installation speaks it."""
    return (resources.files("ai_agent") / f"speaker/prompts/en/{name}.ulaw").read_bytes()


@pytest.fixture(scope="module")
async def house(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keypad")
    mode = 'mode = "keypad"'
    (folder / "keypad.toml").write_text(f'name = "k"\nnumbers = ["{KEYPAD}"]\n{mode}{MENU}')
    (folder / "talk.toml").write_text(f'name = "t"\nnumbers = ["{TALK}"]{MENU}')
    env = {"ASSISTANTS_DIR": str(folder), "SPEAKER_PROVIDERS": "espeak"}
    async with new_system(ai_agent=env, webhooks={"ASSISTANTS_DIR": str(folder)}) as world:
        seed = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tool_runner.seed", "--number", CALLER),
            env={"DATABASE_URL": world.stack.database_url},
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await seed.wait() == 0
        yield world


@pytest.fixture
async def office(house):
    """A system with a keypad at one number, and a conversation with a keypad at another."""
    house.begin()
    yield house
    house.model.faults.refuse_upgrades = None
    await house.settle()


async def said(world, call, text: str, count: int = 1) -> dict:
    """Wait for the ``count``-th sentence with these words to be in the log."""

    def found(events: list[dict]) -> list[dict]:
        return [e for e in events if e["event"] == "said" and e["done"] and text in e["text"]]

    there = await world.follower.wait(call.sid, lambda es: len(found(es)) >= count, 30)
    assert there, f"not said: {text}; but {[e['text'] for e in world.events(call, 'said')]}"
    return found(world.events(call))[count - 1]


async def heard_whole(world, call, event: dict) -> None:
    """The ear gets an item to its end, as long as its words need and as the log tells."""
    ms, text = event["generated_ms"], event["text"]
    assert MS_A_CHARACTER[0] * len(text) < ms < MS_A_CHARACTER[1] * len(text)
    item = event["item_id"]

    def ended(events: list[dict]) -> bool:
        return any(e["event"] == "heard" and e["item_id"] == item for e in events)

    assert await world.follower.wait(call.sid, ended, 60)
    (heard,) = [e for e in world.events(call, "heard") if e["item_id"] == item]
    assert not heard["cut"]
    assert abs(heard["heard_ms"] - ms) <= 20


async def todos(world) -> list[str]:
    """What the caller has to do today, from the database."""
    rows = await world.rows(
        "select description from todos join callers c using (caller_id) where c.number = $1"
        " and completed_at is null and deadline = (now() at time zone 'UTC')::date",
        CALLER,
    )
    return [row["description"] for row in rows]


async def test_the_keypad_works_without_any_model(office) -> None:
    office.model.faults.refuse_upgrades = 503
    call = await office.twilio.dial(CALLER, KEYPAD)
    choices = await said(office, call, CHOICES)
    await heard_whole(office, call, choices)
    before = call.ear.heard_ms()
    assert abs(before - choices["generated_ms"]) <= 20, "nothing else was heard"
    assert call.press("1")
    answer = await said(office, call, "Here is what you have for today")
    planned = await todos(office)
    assert planned
    for description in planned:
        assert description in answer["text"]
    await heard_whole(office, call, answer)
    assert call.ear.heard_ms() - before >= answer["generated_ms"] - 20
    assert call.press("3")
    week = await said(office, call, "Here is what you have for the whole week: on ")
    assert call.press("9")
    await said(office, call, "There is nothing on that key.")
    events = await office.hung_up(call)
    keys = [(e["digit"], e["masked"]) for e in events if e["event"] == "key_pressed"]
    assert keys == [("1", False), ("3", False), ("9", False)]
    tools = [json.loads(e["arguments"])["period"] for e in events if e["event"] == "tool_called"]
    assert tools == ["today", "week"]
    assert [e["mode"] for e in events if e["event"] == "mode_changed"] == ["keypad"]
    cut = {e["item_id"]: e["cut"] for e in events if e["event"] == "heard"}
    assert cut.get(week["item_id"], True), "a key silences what is being said"
    assert office.model.connections == []
    assert office.model.refused == [], "nobody even tried"


async def test_a_model_out_of_quota_falls_to_the_keypad_and_comes_back(office) -> None:
    first = office.script(
        OnResponse(HELLO), OnSpeech("what about today", Fail(code="insufficient_quota"))
    )
    call = await office.twilio.dial(CALLER, TALK)
    await office.heard(call, tone(HELLO.text, 700))
    call.say(tone("what about today", 700))
    await said(office, call, "I am switching to the keypad.")
    choices = await said(office, call, CHOICES)
    assert "star for the assistant" in choices["text"]
    await heard_whole(office, call, choices)
    await first.finished()
    expected = tone(HELLO.text, 700) + shipped("keypad")
    assert call.ear.audio().startswith(expected), "one sentence says what happens"
    await office.until(lambda: office.model.open_sockets == 0, "the failed session is closed")

    assert call.press("1")
    answer = await said(office, call, "Here is what you have for today")
    await heard_whole(office, call, answer)

    office.model.faults.refuse_upgrades = 401
    assert call.press("*")
    await said(office, call, "that does not work yet")
    await said(office, call, CHOICES, count=2)

    office.model.faults.refuse_upgrades = None
    second = office.script(
        expect_output(where=lambda told: bool(told["todos"])),  # what the keypad looked up
        OnResponse(AGAIN, where=lambda r: "speak with you again" in (r.instructions or "")),
        OnSpeech("and tomorrow", Fail(code="insufficient_quota")),
    )
    assert call.press("*")
    await call.wait_until(
        lambda c: c.ear.audio().endswith(tone(AGAIN.text, 800)), office.patience_s
    )
    call.say(tone("and tomorrow", 600))
    choices = await said(office, call, CHOICES, count=3)
    await heard_whole(office, call, choices)
    assert call.press("3")
    answer = await said(office, call, "Here is what you have for the whole week")
    await heard_whole(office, call, answer)
    await second.finished()
    events = await office.hung_up(call)
    modes = [event["mode"] for event in events if event["event"] == "mode_changed"]
    assert modes == ["conversation", "keypad", "conversation", "keypad"]
    tools = [event["tool_call_id"] for event in events if event["event"] == "tool_called"]
    assert len({*tools}) == len(tools) == 2
    assert sum(event["event"] == "session_opened" for event in events) == 2
    reasons = [e["reason"] for e in events if e["event"] == "mode_changed"]
    assert "insufficient_quota" in reasons[1]
