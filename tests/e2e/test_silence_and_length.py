"""Time in a call: a silent caller, a call that may last no longer, a tool that takes too long."""

import json
import re

import nats
import pytest
from nats import micro
from nats.micro.service import EndpointConfig

from testbed.realtime import CallTool, OnResponse, OnSpeech, Say, expect_output, tone

SILENT = "+15550140400"
SHORT = "+15550140401"
PATIENT = "+15550140402"
IMPATIENT = "+15550140403"
REMINDER_S, HANG_UP_S = 1.0, 2.5
CALL_S, WARN_S = 4.0, 2.0
DEADLINE_MS = 500
HELLO = Say("Hello.", audio_ms=600)
LONG_HELLO = Say("Hello, this is your planner, and I am happy that you call.", audio_ms=2_000)
THERE = Say("Are you still there?", audio_ms=500)
YES = Say("Good, go on.", audio_ms=500)
HEARD_NOTHING = Say("I heard nothing, goodbye.", audio_ms=700)
SOON_OVER = Say("This call ends soon.", audio_ms=500)
TIME_UP = Say("We have to end here, goodbye.", audio_ms=900)
MOMENT = Say("One moment more.", audio_ms=500)
LOOKING = Say("Let me look that up for you now.", audio_ms=2_000)
FOUND = Say("Here it is.", audio_ms=600)
SORRY = Say("I could not confirm that.", audio_ms=600)
WORDS = """
instructions = "Be brief."
greeting = "Greet the caller."
"""
NO_SILENCE = "[silence]\nreminder_s = 0\nhang_up_s = 0\n"
PROFILES = {
    SILENT: f"[silence]\nreminder_s = {REMINDER_S}\nhang_up_s = {HANG_UP_S}\n",
    SHORT: f"{NO_SILENCE}[limits]\ncall_s = {CALL_S}\nwarn_before_s = {WARN_S}\n",
}
TOOL_PROFILES = {
    PATIENT: f'tools = ["slow"]\n{NO_SILENCE}[limits]\nfiller_ms = 300\n',
    IMPATIENT: f'tools = ["slow"]\ntool_deadline_ms = {DEADLINE_MS}\n{NO_SILENCE}'
    "[limits]\nfiller_ms = 0\n",
}


class SlowTool:
    """Answers `tools.slow` when the test says so."""

    def __init__(self) -> None:
        self.asked: list[micro.Request] = []

    async def ask(self, request: micro.Request) -> None:
        self.asked.append(request)

    async def answer(self, found: str) -> None:
        """Answer the oldest question."""
        await self.asked.pop(0).respond(json.dumps({"status": "ok", "found": found}).encode())


def write(folder, profiles: dict[str, str]) -> None:
    for number, rest in profiles.items():
        head = f'name = "p{number[-3:]}"\nnumbers = ["{number}"]\n'
        (folder / f"{number[-3:]}.toml").write_text(head + WORDS + rest)


@pytest.fixture(scope="module")
async def house(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("time")
    write(folder, PROFILES)
    env = {"ASSISTANTS_DIR": str(folder)}
    agent = env | {"SPEAKER_PROVIDERS": "espeak"}
    async with new_system(ai_agent=agent, webhooks=env) as world:
        client = await nats.connect(world.stack.nats_url)
        tool = SlowTool()
        service = await micro.add_service(client, name="slow", version="1.0.0")
        metadata = {"description": "Looks something up.", "schema": '{"type":"object"}'}
        await service.add_endpoint(
            EndpointConfig(name="slow", subject="tools.slow", handler=tool.ask, metadata=metadata)
        )
        await client.flush()
        # An agent waits for the tools of its profiles when it starts, and learns of them then.
        write(folder, TOOL_PROFILES)
        await world.stack.restart("ai-agent-1")
        yield world, tool
        await service.stop()
        await client.close()


@pytest.fixture
async def office(house):
    """A system with a number each for silence, for length, and for two kinds of patience."""
    world, _ = house
    world.begin()
    yield world
    await world.settle()


@pytest.fixture
def slow(house) -> SlowTool:
    """The tool that takes long."""
    tool = house[1]
    tool.asked.clear()
    return tool


async def dial(world, number: str):
    return await world.twilio.dial("+15550140410", number)


def sound(*says: Say) -> bytes:
    return b"".join(tone(say.text, say.audio_ms) for say in says)


def only(events: list[dict], name: str) -> dict:
    (found,) = [event for event in events if event["event"] == name]
    return found


def asked_for(words: str):
    """Whether a response was asked for with these words in its instructions."""
    return lambda request: words in (request.instructions or "")


def gap_ms(call, *before: Say) -> float:
    """How long nothing was heard after these."""
    left = len(sound(*before))
    for now, later in zip(call.ear.sounds, call.ear.sounds[1:], strict=False):
        left -= len(now.audio)
        if left <= 0:
            return later.start_ms - now.end_ms
    raise AssertionError("nothing was heard after it")


async def test_a_silent_caller_is_asked_and_in_the_end_hung_up_on(office) -> None:
    """Who answers the question is asked it again before the end."""
    script = office.script(
        OnResponse(LONG_HELLO),
        OnResponse(THERE, where=asked_for("Are you still there?")),
        OnSpeech("yes i am", YES),
        OnResponse(THERE, where=asked_for("Are you still there?")),
        OnResponse(HEARD_NOTHING, where=asked_for("you heard nothing")),
    )
    call = await dial(office, SILENT)
    await office.heard(call, sound(LONG_HELLO, THERE))
    call.say(tone("yes i am", 500))
    events = await office.ended(call)
    script.assert_finished()
    heard = call.ear.audio() == sound(LONG_HELLO, THERE, YES, THERE, HEARD_NOTHING)
    assert heard, "everything to its end, and nothing else"
    early = REMINDER_S * 1000 - office.clocks_ms
    assert gap_ms(call, LONG_HELLO) >= early, "counted from the end of what was heard"
    first = gap_ms(call, LONG_HELLO, THERE, YES)
    assert first >= early, "counted anew since the caller spoke"
    second = gap_ms(call, LONG_HELLO, THERE, YES, THERE)
    assert first + second >= HANG_UP_S * 1000 - office.clocks_ms, (
        "what was silent, the question left out"
    )
    assert call.end_reason == "hangup_verb"
    names = [event["event"] for event in events]
    assert names.index("turn_transcribed") < names.index("limit_reached")
    assert only(events, "limit_reached")["limit"] == "silence"
    assert only(events, "stream_closing")["intent"] == "hangup"
    assert only(events, "call_ended")["reason"] == "assistant_hung_up"
    assert [e["cut"] for e in events if e["event"] == "heard"] == [False] * 5
    said = [event["text"] for event in events if event["event"] == "said" and event["done"]]
    assert said == [each.text for each in (LONG_HELLO, THERE, YES, THERE, HEARD_NOTHING)]


async def test_a_call_ends_in_time_after_a_warning(office) -> None:
    warnings: list[str] = []

    def warned(request) -> bool:
        warnings.append(request.instructions or "")
        return "this call will end" in warnings[-1]

    script = office.script(
        OnResponse(HELLO),
        OnResponse(SOON_OVER, where=warned),
        OnResponse(TIME_UP, where=asked_for("the call has to end now")),
    )
    call = await dial(office, SHORT)
    events = await office.ended(call)
    script.assert_finished()
    heard = call.ear.audio() == sound(HELLO, SOON_OVER, TIME_UP)
    assert heard, "the warning and the goodbye are heard to their end"
    seconds = re.search(r"in about (\d+) seconds", warnings[-1])
    assert seconds is not None
    assert 1 <= int(seconds[1]) <= WARN_S
    assert call.duration_s() >= CALL_S, "not a moment too early"
    assert call.end_reason == "hangup_verb"
    assert only(events, "limit_reached")["limit"] == "call_s"
    assert only(events, "call_ended")["reason"] == "assistant_hung_up"
    assert [e["cut"] for e in events if e["event"] == "heard"] == [False] * 3


async def test_a_tool_that_takes_long_gets_a_word_of_patience(office, slow) -> None:
    script = office.script(
        OnResponse(HELLO),
        OnSpeech("what is on", CallTool("slow", {"day": "today"}, "t1")),
        OnResponse(MOMENT, where=asked_for("it takes a moment longer")),
        expect_output("t1", lambda out: out == {"status": "ok", "found": "much"}),
        OnResponse(FOUND),
        OnSpeech("and tomorrow", LOOKING, CallTool("slow", {"day": "tomorrow"}, "t2")),
        expect_output("t2", lambda out: out == {"status": "ok", "found": "little"}),
        OnResponse(YES),
    )
    call = await dial(office, PATIENT)
    await office.heard(call, sound(HELLO))
    call.say(tone("what is on", 500))
    await office.heard(call, sound(HELLO, MOMENT))
    assert "tool_returned" not in {event["event"] for event in office.events(call)}
    await slow.answer("much")
    await office.heard(call, sound(HELLO, MOMENT, FOUND))
    # Where the assistant itself says something, no filler is needed.
    call.say(tone("and tomorrow", 500))
    await office.heard(call, sound(HELLO, MOMENT, FOUND, LOOKING))
    await slow.answer("little")
    await office.heard(call, sound(HELLO, MOMENT, FOUND, LOOKING, YES))
    await script.finished()
    events = await office.hung_up(call)
    assert [json.loads(e["arguments"]) for e in events if e["event"] == "tool_called"] == [
        {"day": "today"},
        {"day": "tomorrow"},
    ]
    returned = [event for event in events if event["event"] == "tool_returned"]
    assert [event["outcome"] for event in returned] == ["ok", "ok"]
    assert returned[0]["took_ms"] >= 300 + MOMENT.audio_ms - office.clocks_ms
    assert [e["cut"] for e in events if e["event"] == "heard"] == [False] * 5


async def test_a_tool_past_its_deadline_is_an_honest_sentence(office, slow) -> None:
    told: list[dict] = []

    def failed(output: dict) -> bool:
        told.append(output)
        return output["status"] == "failed" and "did not answer in time" in output["message"]

    script = office.script(
        OnResponse(HELLO),
        OnSpeech("what is on", CallTool("slow", {}, "t1")),
        expect_output("t1", failed),
        OnResponse(SORRY),
        OnSpeech("never mind", YES),
    )
    call = await dial(office, IMPATIENT)
    await office.heard(call, sound(HELLO))
    call.say(tone("what is on", 500))
    await office.heard(call, sound(HELLO, SORRY))
    await slow.answer("too late")  # nobody is told
    call.say(tone("never mind", 500))
    await office.heard(call, sound(HELLO, SORRY, YES))
    await script.finished()
    events = await office.hung_up(call)
    returned = only(events, "tool_returned")
    assert returned["outcome"] == "timeout"
    assert returned["called"] == only(events, "tool_called")["id"]
    assert json.loads(returned["result"]) == told[0], "the log holds what the model was told"
    assert "honestly" in told[0]["message"]
    assert returned["took_ms"] >= DEADLINE_MS - office.clocks_ms
    assert only(events, "call_ended")["reason"] == "caller_hung_up"
