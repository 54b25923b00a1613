"""Calls that we place, end and pass on by request: what the called person hears, and what is kept.

Asked as anybody on NATS would, in plain JSON; dialled over the simulated Twilio's REST API.
"""

import asyncio
import itertools
import json
import xml.etree.ElementTree as ET

import pytest

from testbed.ports import free_port
from testbed.realtime import OnResponse, OnSpeech, Say, tone
from testbed.twilio.faults import Callee, RestFaults
from testbed.twilio.rest import serve_rest
from testbed.twilio.webhook import Webhooks

ALLOWED = "+1555013"
HUMAN = f"{ALLOWED}0398"
OTHER_HUMAN = f"{ALLOWED}0399"
ELSEWHERE = "+442079460000"
NOBODY = "Nobody is at the desk."
HELLO = Say("Hello, I call about your week.", audio_ms=600)
ANSWER = Say("On Tuesday, then.", audio_ms=700)
LONG = Say(" ".join(f"point {n} of many" for n in range(60)), audio_ms=20_000)
PROFILE = f"""
name = "outbound"
numbers = ["*"]
instructions = "Be brief."
greeting = "Say why you call."
tools = ["get_tasks"]
[silence]
reminder_s = 0
hang_up_s = 0
[transfer]
number = "{HUMAN}"
nobody = "{NOBODY}"
"""
REST_TIMES_OUT_MS = 10_500
"""Longer than webhooks waits for an answer of Twilio's."""
_people = itertools.count(1000)
_keys = itertools.count()


@pytest.fixture(scope="module")
async def house(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outbound")
    (folder / "outbound.toml").write_text(PROFILE)
    port = free_port()
    telephone = {
        "ASSISTANTS_DIR": str(folder),
        "OUTBOUND_PREFIXES": ALLOWED,
        "OUTBOUND_PER_MINUTE": "1000",
        "TWILIO_API_URL": f"http://127.0.0.1:{port}",
    }
    agent = {"ASSISTANTS_DIR": str(folder), "SPEAKER_PROVIDERS": "espeak"}
    async with (
        new_system(ai_agent=agent, webhooks=telephone) as world,
        serve_rest(world.twilio, port=port),
    ):
        yield world


@pytest.fixture
async def office(house):
    """A system that may call numbers of one prefix."""
    house.begin()
    yield house
    house.twilio.callee, house.twilio.dialled = Callee(), Callee()
    house.twilio.rest_faults = RestFaults()
    await house.settle()


@pytest.fixture
def detection(monkeypatch) -> asyncio.Event:
    """Twilio says what answered once this is set, and not before."""
    due = asyncio.Event()
    request = Webhooks.request

    async def held(self, url, *args, **kwargs):
        if "/twilio/amd/" in url:
            await due.wait()
        return await request(self, url, *args, **kwargs)

    monkeypatch.setattr(Webhooks, "request", held)
    return due


def person() -> str:
    return f"{ALLOWED}{next(_people)}"


def new_key() -> str:
    return f"a-wish-{next(_keys)}"


def sound(say: Say) -> bytes:
    return tone(say.text, say.audio_ms)


async def ask(world, verb: str, **fields: str) -> dict:
    """A request to the service ``calls``."""
    message = await world.client.request(
        f"calls.{verb}", json.dumps(fields).encode(), timeout=world.patience_s
    )
    assert not (message.headers or {}).get("Nats-Service-Error-Code"), message.headers
    return json.loads(message.data)


async def placed(world, to: str, **fields: str):
    """Place a call; it, as the person who is called has it."""
    reply = await ask(world, "place", **{"key": new_key(), "to": to, **fields})
    assert reply["type"] == "placed", reply
    return world.twilio.calls[reply["call"]]


async def hearing(world, call, say: Say, ms: int) -> None:
    """Wait until the ear has heard that much of what is being said."""
    await call.wait_until(lambda c: c.ear.heard_ms() >= ms, world.patience_s)
    assert sound(say).startswith(call.ear.audio())


def only(events: list[dict], name: str) -> dict:
    (found,) = [event for event in events if event["event"] == name]
    return found


async def completed(world, call) -> list[dict]:
    """The person called hangs up; the call's events once Twilio's last word is among them."""
    await world.hung_up(call)
    await world.until(lambda: "completed" in statuses(world.events(call)), "it is completed")
    return world.events(call)


def statuses(events: list[dict]) -> list[str]:
    return [event["status"] for event in events if event["event"] == "status_changed"]


async def test_the_person_called_is_greeted_and_talked_with(office) -> None:
    to = person()
    script = office.script(OnResponse(HELLO), OnSpeech("tuesday please", ANSWER))
    call = await placed(office, to)
    await office.heard(call, sound(HELLO))
    call.say(tone("tuesday please", 600))
    await office.heard(call, sound(HELLO), sound(ANSWER))
    await script.finished()
    await office.until(lambda: len(office.events(call, "heard")) == 2, "all was heard")
    events = await completed(office, call)

    ringing = only(events, "ringing")
    assert (ringing["direction"], ringing["caller"], ringing["called"]) == (
        *("outbound", to),
        office.number,
    )
    assert events[0] == ringing, "the log begins with it"
    assert statuses(events) == ["initiated", "ringing", "in-progress", "completed"]
    assert only(events, "machine_detected")["answered_by"] == "human"
    assert only(events, "call_ended")["reason"] == "caller_hung_up"
    (words,) = [e["text"] for e in events if e["event"] == "turn_transcribed"]
    assert words == "tuesday please"
    assert [e["cut"] for e in events if e["event"] == "heard"] == [False, False]
    rows = await office.rows("select number from callers where number = $1", to)
    assert len(rows) == 1, "the person called has the record, not our number"


@pytest.mark.parametrize("answered_by", ["machine_start", "machine_end_beep", "fax"])
async def test_a_machine_is_hung_up_on_in_mid_word(office, detection, answered_by) -> None:
    office.twilio.callee = Callee(answered_by=answered_by)
    script = office.script(OnResponse(LONG))
    call = await placed(office, person())  # hang_up is what happens unless it is asked for
    await hearing(office, call, LONG, 300)
    detection.set()
    events = await office.ended(call)
    assert call.end_reason == "rest_completed"
    heard = call.ear.audio()
    assert sound(LONG).startswith(heard)
    assert len(heard) < len(sound(LONG)), "nothing more was said to the machine"
    script.assert_finished()
    assert only(events, "machine_detected")["answered_by"] == answered_by
    assert only(events, "redirecting")["reason"] == "machine"
    assert only(events, "call_ended")["reason"] == "assistant_hung_up"


@pytest.mark.parametrize(
    ("policy", "answered_by"), [("talk", "machine_start"), ("hang_up", "unknown")]
)
async def test_a_machine_may_be_talked_to_and_a_doubt_is_a_person(
    office, detection, policy, answered_by
) -> None:
    office.twilio.callee = Callee(answered_by=answered_by)
    script = office.script(OnResponse(HELLO), OnSpeech("after the tone", ANSWER))
    call = await placed(office, person(), machine=policy)
    await office.heard(call, sound(HELLO))
    detection.set()
    await office.logged(call, "machine_detected")
    call.say(tone("after the tone", 600))
    await office.heard(call, sound(HELLO), sound(ANSWER))
    await script.finished()
    events = await office.hung_up(call)
    assert only(events, "machine_detected")["answered_by"] == answered_by
    assert "redirecting" not in {event["event"] for event in events}
    assert only(events, "call_ended")["reason"] == "caller_hung_up"


@pytest.mark.parametrize(
    ("outcome", "reason"), [("busy", "busy"), ("no-answer", "no_answer"), ("failed", "failed")]
)
async def test_a_call_that_nobody_takes_ends_with_the_reason(office, outcome, reason) -> None:
    office.twilio.callee = Callee(outcome=outcome)
    call = await placed(office, person())
    await call.ended(office.patience_s)
    await office.logged(call, "ringing", "call_ended", "status_changed")
    await office.until(lambda: outcome in statuses(office.events(call)), "the status is written")
    events = office.events(call)
    assert statuses(events) == ["initiated", "ringing", outcome]
    assert only(events, "ringing")["direction"] == "outbound"
    assert only(events, "call_ended")["reason"] == reason
    assert call.ear.audio() == b""
    assert call.documents == []
    assert office.model.connections == [], "no session for a call without a person"


async def test_one_key_dials_once(office) -> None:
    key, to = new_key(), person()
    script = office.script(OnResponse(HELLO))
    asked = [ask(office, "place", key=key, to=to) for _ in range(4)]
    replies = await asyncio.gather(*asked)
    (call,) = office.twilio.calls.values()
    assert replies == [{"type": "placed", "call": call.sid}] * 4
    await office.heard(call, sound(HELLO))
    assert await ask(office, "place", key=key, to=to) == replies[0]
    other = await ask(office, "place", key=key, to=person())
    assert (other["type"], other["reason"]) == ("refused", "not_allowed")
    await script.finished()
    events = await office.hung_up(call)
    assert only(events, "call_ended")["reason"] == "caller_hung_up"
    assert await ask(office, "place", key=key, to=to) == replies[0], "also when it is over"
    assert list(office.twilio.calls) == [call.sid]
    logged = await office.replay(f"call.{call.sid}.log.ringing")
    assert len(logged) == 1


async def test_a_create_whose_answer_never_comes_dials_once(office) -> None:
    key, to = new_key(), person()
    script = office.script(OnResponse(HELLO), OnSpeech("who is there", ANSWER))
    office.twilio.rest_faults.delay_ms = REST_TIMES_OUT_MS
    first = asyncio.create_task(ask(office, "place", key=key, to=to))
    await office.until(lambda: office.twilio.calls, "it is dialled")
    (call,) = office.twilio.calls.values()
    again = await ask(office, "place", key=key, to=to)
    assert again == {"type": "placed", "call": call.sid}, "known before Twilio answered"
    assert not first.done()
    await office.heard(call, sound(HELLO))
    call.say(tone("who is there", 600))
    await office.heard(call, sound(HELLO), sound(ANSWER))
    await script.finished()
    assert await first == again
    warned = [line for name, line in office.stack.lines if name == "webhooks"]
    assert any("create without an answer" in line for line in warned), "it did time out"
    assert list(office.twilio.calls) == [call.sid]
    events = await completed(office, call)
    assert only(events, "ringing")["direction"] == "outbound"
    assert statuses(events) == ["initiated", "ringing", "in-progress", "completed"]


@pytest.mark.parametrize("to", [ELSEWHERE, "0301234567", "sip:somebody@example.com", ""])
async def test_a_number_that_may_not_be_called_is_refused(office, to) -> None:
    key = new_key()
    reply = await ask(office, "place", key=key, to=to)
    assert (reply["type"], reply["reason"]) == ("refused", "not_allowed")
    assert reply["message"].endswith(("(OUTBOUND_PREFIXES).", "+15550100003."))
    assert office.twilio.calls == {}, "nothing was dialled"
    assert office.model.connections == []
    office.twilio.callee = Callee(outcome="busy")
    call = await placed(office, person(), key=key)
    await call.ended(office.patience_s)
    await office.logged(call, "call_ended")
    reason = only(office.events(call), "call_ended")["reason"]
    assert reason == "busy", "the refusal did not use up the key"
    assert call.ear.audio() == b""


async def test_a_live_call_is_hung_up_on_request(office) -> None:
    script = office.script(OnResponse(LONG))
    call = await placed(office, person())
    await hearing(office, call, LONG, 400)
    assert await ask(office, "hang_up", call=call.sid) == {"type": "done", "call": call.sid}
    events = await office.ended(call)
    assert call.end_reason == "rest_completed"
    heard = call.ear.audio()
    assert sound(LONG).startswith(heard)
    assert len(heard) < len(sound(LONG))
    script.assert_finished()
    assert only(events, "redirecting")["reason"] == "hang_up"
    assert only(events, "call_ended")["reason"] == "assistant_hung_up"
    assert [e["cut"] for e in events if e["event"] == "heard"] == [True]
    again = await ask(office, "hang_up", call=call.sid)
    assert (again["type"], again["reason"]) == ("refused", "not_in_progress")
    moved = await ask(office, "transfer", call=call.sid)
    assert (moved["type"], moved["reason"]) == ("refused", "not_in_progress")
    unknown = await ask(office, "hang_up", call="CA" + "0" * 32)
    assert (unknown["type"], unknown["reason"]) == ("refused", "unknown_call")


@pytest.mark.parametrize("wanted", ["", OTHER_HUMAN], ids=["human", "number"])
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_a_live_call_is_passed_on_by_request(office, wanted, direction) -> None:
    """Nobody answers there, so that the caller hears what follows."""
    office.twilio.dialled = Callee(outcome="busy")
    office.script(OnResponse(LONG))
    call = await (office.dial() if direction == "inbound" else placed(office, person()))
    await hearing(office, call, LONG, 400)
    refused = await ask(office, "transfer", call=call.sid, to=ELSEWHERE)
    assert (refused["type"], refused["reason"]) == ("refused", "not_allowed")
    before = call.ear.heard_ms()
    await call.wait_until(lambda c: c.ear.heard_ms() > before + 100, office.patience_s)
    reply = await ask(office, "transfer", call=call.sid, to=wanted)
    assert reply == {"type": "done", "call": call.sid}
    events = await office.ended(call)
    heard = call.ear.audio()
    assert sound(LONG).startswith(heard)
    assert len(heard) < len(sound(LONG)), "the assistant is silent from then on"
    assert [spoken.content for spoken in call.ear.spoken] == [NOBODY]
    (dial,) = [d for text in call.documents if (d := ET.fromstring(text).find("Dial")) is not None]
    assert [number.text for number in dial.iter("Number")] == [wanted or HUMAN]
    shown = call.facts.from_ if direction == "inbound" else office.number
    assert dial.get("callerId") == shown
    assert only(events, "redirecting")["reason"] == "transfer"
    assert only(events, "transferred")["to"] == (wanted or HUMAN)
    assert only(events, "dial_ended")["status"] == "busy"
    assert only(events, "call_ended")["reason"] == "failed"
    assert call.end_reason == "hangup_verb"
