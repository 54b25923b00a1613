"""How an assistant ends a call, and how it passes the caller to a human."""

import xml.etree.ElementTree as ET
from importlib import resources

import pytest

from testbed.realtime import CallTool, OnResponse, OnSpeech, Say, expect_output, tone
from testbed.twilio.faults import Callee

ALONE = "+15550140200"
STAFFED = "+15550140201"
KEYPAD = "+15550140202"
ABROAD = "+15550140203"
HUMAN = "+15550140299"
CALLER = "+15550140210"
NOBODY = "Nobody is at the desk right now."
HELLO = Say("Hello.", audio_ms=600)
GOODBYE = Say("Goodbye, and have a very nice day.", audio_ms=1_500)
CONNECTING = Say("I connect you with a colleague.", audio_ms=1_200)
REST = """
instructions = "Be brief."
greeting = "Greet the caller."
tools = ["get_tasks"]
"""
TRANSFER = f"""
[transfer]
number = "{HUMAN}"
whisper = "A caller from the planner."
nobody = "{NOBODY}"
ring_s = 17
"""
MENU = """
[[menu]]
key = "1"
label = "today"
tool = "get_tasks"
"""


def shipped(name: str) -> bytes:
    """A prompt as the installation speaks it."""
    return (resources.files("ai_agent") / f"speaker/prompts/en/{name}.ulaw").read_bytes()


def sound(say: Say) -> bytes:
    return tone(say.text, say.audio_ms)


@pytest.fixture(scope="module")
async def house(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    keypad = f'mode = "keypad"{REST}{MENU}{TRANSFER}'
    abroad = REST + TRANSFER.replace(HUMAN, "+4930123456")
    profiles = {ALONE: REST, STAFFED: REST + TRANSFER, KEYPAD: keypad, ABROAD: abroad}
    for number, rest in profiles.items():
        head = f'name = "p{number[-3:]}"\nnumbers = ["{number}"]\n'
        (folder / f"{number[-3:]}.toml").write_text(head + rest)
    folder_of = {"ASSISTANTS_DIR": str(folder)}
    agent = folder_of | {"SPEAKER_PROVIDERS": "espeak"}
    webhooks = folder_of | {"OUTBOUND_PREFIXES": "+1555"}
    async with new_system(ai_agent=agent, webhooks=webhooks) as world:
        yield world


@pytest.fixture
async def office(house):
    """A system with four numbers: without a human, with one, with one behind a keypad, with one
    whose prefix is not allowed.
    """
    house.begin()
    yield house
    house.twilio.dialled = Callee()
    await house.settle()


def dialled(call) -> ET.Element:
    """The only <Dial> that the caller was given."""
    found = [d for text in call.documents if (d := ET.fromstring(text).find("Dial")) is not None]
    assert len(found) == 1, call.documents
    return found[0]


def only(events: list[dict], name: str) -> dict:
    (found,) = [event for event in events if event["event"] == name]
    return found


async def talked_to_a_human(office, callee: Callee):
    """A caller asks for a human and is passed on; the call and its events."""
    office.twilio.dialled = callee
    script = office.script(
        OnResponse(HELLO),
        OnSpeech("a human please", CONNECTING, CallTool("transfer_to_human", {}, "t1")),
        expect_output("t1", lambda out: out["status"] == "connecting"),
    )
    call = await office.twilio.dial(CALLER, STAFFED)
    await office.heard(call, sound(HELLO))
    call.say(tone("a human please", 600))
    await script.finished()
    events = await office.ended(call)
    heard = call.ear.audio() == sound(HELLO) + sound(CONNECTING)
    assert heard, "the last words were heard to their end before the transfer"
    dial = dialled(call)
    assert [number.text for number in dial.iter("Number")] == [HUMAN]
    assert dial.get("timeout") == "17"
    assert "/twilio/whisper/" in dial.find("Number").get("url", "")
    assert only(events, "transferred")["to"] == HUMAN
    return call, events


async def test_the_goodbye_is_heard_to_its_last_byte_and_then_the_line_closes(office) -> None:
    script = office.script(
        OnResponse(HELLO),
        OnSpeech("goodbye", GOODBYE, CallTool("end_call", {}, "c1")),
        expect_output("c1", lambda out: out["status"] == "ending"),
    )
    call = await office.twilio.dial(CALLER, ALONE)
    await office.heard(call, sound(HELLO))
    call.say(tone("goodbye", 600))
    events = await office.ended(call)
    await script.finished()
    assert call.end_reason == "hangup_verb", "we hung up, not the caller"
    heard = call.ear.audio() == sound(HELLO) + sound(GOODBYE)
    assert heard, "nothing of the goodbye is missing"
    assert [e["cut"] for e in events if e["event"] == "heard"] == [False, False]
    assert only(events, "stream_closing")["intent"] == "hangup"
    assert only(events, "call_ended")["reason"] == "assistant_hung_up"
    tools = [t["name"] for t in only(events, "session_opened")["tools"]]
    assert "transfer_to_human" not in tools, "there is no human to be offered"


async def test_a_goodbye_without_words_gets_some(office) -> None:
    script = office.script(
        OnResponse(HELLO),
        OnSpeech("goodbye", CallTool("end_call", {}, "c1")),
        expect_output("c1"),
        OnResponse(GOODBYE, where=lambda r: "goodbye" in (r.instructions or "")),
    )
    call = await office.twilio.dial(CALLER, ALONE)
    await office.heard(call, sound(HELLO))
    call.say(tone("goodbye", 600))
    await office.ended(call)
    await script.finished()
    heard = call.ear.audio() == sound(HELLO) + sound(GOODBYE)
    assert heard
    assert call.end_reason == "hangup_verb"


async def test_a_caller_who_asks_is_connected_with_a_human(office) -> None:
    call, events = await talked_to_a_human(office, Callee(talk_ms=50))
    assert only(events, "dial_ended")["status"] == "completed"
    assert only(events, "call_ended")["reason"] == "transferred"
    assert NOBODY not in [spoken.content for spoken in call.ear.spoken]


async def test_a_human_who_does_not_answer_is_said_so(office) -> None:
    call, events = await talked_to_a_human(office, Callee(outcome="no-answer"))
    assert only(events, "dial_ended")["status"] == "no-answer"
    assert [spoken.content for spoken in call.ear.spoken][-1] == NOBODY
    assert call.end_reason == "hangup_verb"


async def test_a_human_whose_prefix_is_not_allowed_is_nobody(office) -> None:
    script = office.script(
        OnResponse(HELLO),
        OnSpeech("a human please", CONNECTING, CallTool("transfer_to_human", {}, "t1")),
        expect_output("t1"),
    )
    call = await office.twilio.dial(CALLER, ABROAD)
    await office.heard(call, sound(HELLO))
    call.say(tone("a human please", 600))
    await script.finished()
    events = await office.ended(call)
    assert not any("<Dial" in text for text in call.documents)
    assert [spoken.content for spoken in call.ear.spoken] == [NOBODY], "never silence"
    assert only(events, "dial_ended")["status"] == "not_allowed"
    assert only(events, "call_ended")["reason"] == "failed"
    said = [line for _, line in office.stack.lines if "transfer.number" in line]
    assert len(said) == 1, "the start says it, of this profile alone"
    assert "p203" in said[0]
    assert "OUTBOUND_PREFIXES" in said[0]


async def test_key_0_of_the_keypad_reaches_the_human(office) -> None:
    call = await office.twilio.dial(CALLER, KEYPAD)
    await call.wait_until(lambda c: c.ear.heard_ms() > 500, office.patience_s)
    assert call.press("0")
    events = await office.ended(call)
    heard = call.ear.audio().endswith(shipped("transferring"))
    assert heard, "the caller is told, to the end, before being connected"
    assert [number.text for number in dialled(call).iter("Number")] == [HUMAN]
    assert only(events, "transferred")["to"] == HUMAN
    assert only(events, "call_ended")["reason"] == "transferred"
    assert office.model.connections == []
