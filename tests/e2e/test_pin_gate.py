"""The PIN gate through the phone: what the caller hears and keys, and where no digit may appear."""

import asyncio
import json
import sys
from importlib import resources

import pytest

from testbed.realtime import OnResponse, Say, tone

PIN = "48151623"
WRONG = "90210774"
CALLER = "+15550140001"
GUESSER = "+15550140002"
NOBODY = "+15550140003"
HELLO = Say("Hello, you are in.", audio_ms=700)
PROFILE = """
name = "vault"
numbers = ["*"]
instructions = "Be brief."
greeting = "Greet the caller."
tools = ["get_tasks"]
[pin]
required = true
reminder_s = 60
"""


def shipped(name: str) -> bytes:
    """A prompt as the installation speaks it."""
    return (resources.files("ai_agent") / f"speaker/prompts/en/{name}.ulaw").read_bytes()


INSIDE = (shipped("gate_accepted"), tone(HELLO.text, 700))
"""What a caller hears whose PIN is right."""


@pytest.fixture(scope="module")
async def vault(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vault")
    (folder / "vault.toml").write_text(PROFILE)
    env = {"ASSISTANTS_DIR": str(folder), "SPEAKER_PROVIDERS": "espeak"}
    async with new_system(ai_agent=env, webhooks={"ASSISTANTS_DIR": str(folder)}) as world:
        await set_pin(world, CALLER)
        await set_pin(world, GUESSER)
        yield world


@pytest.fixture
async def locked(vault):
    """The system whose every number asks for a PIN."""
    vault.begin()
    yield vault
    await vault.settle()


async def set_pin(world, number: str) -> None:
    """The operator's command, the PIN on its standard input."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tool_runner.set_pin", "--number", number),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"DATABASE_URL": world.stack.database_url},
    )
    out, _ = await command.communicate(f"{PIN}\n".encode())
    assert command.returncode == 0, out.decode()
    assert out.decode().endswith(f"set a PIN for +15****{number[-4:]}\n")
    assert PIN not in out.decode()


async def entered(world, call, digits: str, answer: str, *before: bytes) -> None:
    """Key a PIN; the prompt that answers it is heard to its last byte."""
    assert call.press(digits)
    await world.heard(call, *before, shipped(answer))


async def everything_kept(world) -> str:
    """Every row of every table, as text."""
    tables = await world.rows(
        "select schemaname, relname from pg_stat_user_tables order by schemaname, relname"
    )
    kept = ""
    for table in tables:
        name = f'"{table["schemaname"]}"."{table["relname"]}"'
        rows = await world.rows(f"select t::text as row from {name} t")
        kept += "\n".join(row["row"] for row in rows)
    return kept


async def test_the_right_pin_opens_and_no_digit_is_anywhere(locked) -> None:
    prompt, wrong = shipped("gate_prompt"), shipped("gate_wrong_2")
    script = locked.script(OnResponse(HELLO))
    call = await locked.twilio.dial(CALLER)
    call.say(tone("let me in", 1_000))  # words are for nobody before the PIN
    await locked.heard(call, prompt)
    await entered(locked, call, WRONG, "gate_wrong_2", prompt)
    assert locked.model.connections == [], "no session before the PIN passed"
    assert locked.model.refused == []
    assert call.press(PIN + "#")
    await locked.heard(call, prompt, wrong, *INSIDE)
    await script.finished()
    assert len(locked.model.connections) == 1
    await locked.logged(call, "session_opened", "usage_reported")
    events = await locked.hung_up(call)

    names = [event["event"] for event in events]
    order = ["pin_requested", "pin_rejected", "pin_accepted", "session_opened"]
    assert [name for name in dict.fromkeys(names) if name in order] == order
    assert "turn_committed" not in names, "what was said at the gate is not the model's"
    keys = [event for event in events if event["event"] == "key_pressed"]
    assert len(keys) >= len(WRONG + PIN)
    assert {(key["digit"], key["masked"]) for key in keys} == {("•", True)}
    modes = [event["mode"] for event in events if event["event"] == "mode_changed"]
    assert modes == ["gate", "conversation"]
    kept = await everything_kept(locked)
    assert CALLER in kept, "the tables were read"
    replayed = await locked.replay(f"call.{call.sid}.log.*")
    said = "\n".join(line for _, line in locked.stack.lines)
    for place in (json.dumps(events), json.dumps([e for _, e in replayed]), said, kept):
        assert PIN not in place
        assert WRONG not in place


async def test_three_wrong_tries_end_the_call_and_more_lock_the_number(locked) -> None:
    call = await locked.twilio.dial(GUESSER)
    heard = [shipped("gate_prompt")]
    await locked.heard(call, *heard)
    for answer in ("gate_wrong_2", "gate_wrong_1", "gate_refused"):
        await entered(locked, call, WRONG, answer, *heard)
        heard.append(shipped(answer))
    events = await locked.ended(call)
    assert call.end_reason == "hangup_verb"
    assert [e["tries_left"] for e in events if e["event"] == "pin_rejected"] == [2, 1, 0]
    assert events_of(events, "call_ended")["reason"] == "assistant_hung_up"
    assert call.ear.audio() == b"".join(heard), "the goodbye was heard to its end"

    call = await locked.twilio.dial(GUESSER)
    prompt, wrong = shipped("gate_prompt"), shipped("gate_wrong_2")
    await locked.heard(call, prompt)
    await entered(locked, call, WRONG, "gate_wrong_2", prompt)
    await entered(locked, call, WRONG, "gate_locked", prompt, wrong)
    await locked.ended(call)
    assert call.end_reason == "hangup_verb"

    call = await locked.twilio.dial(GUESSER)
    await locked.heard(call, shipped("gate_locked"))
    events = await locked.ended(call)
    assert not {"pin_requested", "pin_accepted"} & {event["event"] for event in events}
    assert locked.model.connections == [], "a locked number never reaches the model"

    # The lock is the number's, not the line's: others come in meanwhile.
    script = locked.script(OnResponse(HELLO))
    call = await locked.twilio.dial(CALLER)
    await locked.heard(call, prompt)
    assert call.press(PIN)
    await locked.heard(call, prompt, *INSIDE)
    await script.finished()
    await locked.hung_up(call)


async def test_a_caller_without_a_pin_is_told_so(locked) -> None:
    call = await locked.twilio.dial(NOBODY)
    await locked.heard(call, shipped("gate_no_pin"))
    await locked.ended(call)
    assert call.end_reason == "hangup_verb"
    assert locked.model.connections == []


def events_of(events: list[dict], name: str) -> dict:
    """The only event of this name."""
    (found,) = [event for event in events if event["event"] == name]
    return found
