"""A recorded call through the phone: what is kept is what was said and heard, from the gate on,
over every leg, until the caller is forgotten.
"""

import asyncio
import itertools
import json
import sys
from importlib import resources

import pytest

from dashboard.sound.recording import Recording, recorded
from protocol import codec
from protocol.calls import CallDone, CallReply, RedirectCall
from protocol.ids import CallId
from runtime.bus import connect
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.ports import free_port
from testbed.realtime import AnyOrder, OnResponse, OnSpeech, Say, expect_truncate, tone
from testbed.twilio import serve_rest

PIN = "48151623"
GUARDED, TWICE = "+15550160001", "+15550160003"
_free = itertools.count(15_550_161_000)
MS = 8
SILENCE = b"\xff"
LONG = Say(" ".join(f"number {n} of a list that nobody can stand" for n in range(40)), 20_000)
STOP = "wait a moment please"
YES = Say("Yes, what is it?", 800)
HELLO = Say("Hello, you are in.", audio_ms=700)
AGAIN = Say("Here I am again.", audio_ms=1_000)
PROFILE = """
name = "recorded"
numbers = ["*"]
instructions = "Be brief."
greeting = "Greet the caller."
tools = ["get_tasks"]
[pin]
required = true
without_pin = "allow"
reminder_s = 60
[recording]
keep = true
"""


def shipped(name: str) -> bytes:
    return (resources.files("ai_agent") / f"speaker/prompts/en/{name}.ulaw").read_bytes()


ANNOUNCED = shipped("recorded")


@pytest.fixture(scope="module")
async def studio(new_system, tmp_path_factory):
    """A system whose calls are recorded; who has a PIN is asked for it."""
    folder = tmp_path_factory.mktemp("studio")
    (folder / "recorded.toml").write_text(PROFILE)
    port = free_port()
    agent = {"ASSISTANTS_DIR": str(folder), "SPEAKER_PROVIDERS": "espeak"}
    webhooks = {
        "ASSISTANTS_DIR": str(folder),
        "TWILIO_API_URL": f"http://127.0.0.1:{port}",
        "RECORDINGS_DAYS": "3",
        "RECORDINGS_BYTES": str(64 * 1024**2),
    }
    async with (
        new_system(ai_agent=agent, webhooks=webhooks) as world,
        serve_rest(world.twilio, port=port),
    ):
        await command(world, "tool_runner.set_pin", "--number", GUARDED, told=f"{PIN}\n")
        yield world


@pytest.fixture
async def world(studio):
    studio.begin()
    yield studio
    await studio.settle()


@pytest.fixture
async def bus(studio):
    settings = CommonSettings(nats_url=studio.stack.nats_url)
    async with connect(settings, "test", Shutdown()) as bus:
        yield bus


async def command(world, module: str, *arguments: str, told: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"DATABASE_URL": world.stack.database_url, "NATS_URL": world.stack.nats_url},
    )
    out, _ = await process.communicate(told.encode())
    assert process.returncode == 0, out.decode()
    return out.decode()


async def kept(world, bus, call) -> Recording:
    """The recording, once it reaches to the end of the call's last leg."""
    await world.until(
        lambda: len(world.events(call, "stream_stopped")) == len(call.streams), "all legs ended"
    )
    ends_ms = world.events(call, "stream_stopped")[-1]["line_ms"]
    async with asyncio.timeout(world.patience_s):
        while True:
            found = await recorded(bus, CallId(call.sid))
            if found is not None and found.start_ms + len(found.caller) / MS >= ends_ms:
                return found
            await asyncio.sleep(0.05)


def where(recording: Recording, track: bytes, sound: bytes) -> float:
    """line_ms of a sound that begins in the track once and is there whole, perhaps with breaks."""
    begin = sound[: 40 * MS]
    assert track.count(begin) == 1
    assert sound.replace(SILENCE, b"") in track.replace(SILENCE, b"")
    return recording.start_ms + track.index(begin) / MS


async def heard_end(world, call, sound: bytes) -> None:
    """Wait until the caller heard this to its end, and the log has it that all was heard."""
    await call.wait_until(lambda c: c.ear.audio().endswith(sound), world.patience_s)
    known = {"said", "heard"}

    def all_heard(events: list[dict]) -> bool:
        items = {kind: {e["item_id"] for e in events if e["event"] == kind} for kind in known}
        return items["said"] <= items["heard"]

    assert await world.follower.wait(call.sid, all_heard, world.patience_s)


async def test_the_recording_is_what_was_said_and_heard_until_it_is_forgotten(world, bus) -> None:
    caller = f"+{next(_free)}"
    script = world.script(
        OnResponse(LONG), AnyOrder(expect_truncate(1, 19_000), OnSpeech(STOP, YES))
    )
    call = await world.dial(caller)
    await call.wait_until(lambda c: c.ear.heard_ms() >= 3_000, world.patience_s)
    assert call.ear.audio().startswith(ANNOUNCED + tone(LONG.text, LONG.audio_ms)[: 1_000 * MS])
    stop = tone(STOP, 700)
    assert await call.say(stop)
    said_ms = call.now_ms() - call.stream.started_ms
    await heard_end(world, call, tone(YES.text, YES.audio_ms))
    await script.finished()
    await world.hung_up(call)

    found = await kept(world, bus, call)
    (started,) = world.events(call, "recording_started")
    assert (found.start_ms, started["announced"]) == (started["line_ms"], True)
    line_0 = call.streams[0].started_ms
    # The caller, where they spoke.
    assert abs(where(found, found.caller, stop) + 700 - said_ms) <= world.clocks_ms
    # The assistant, as the ear heard it: what the caller cut is not there.
    margin = world.clocks_ms * MS
    for sound in call.ear.bursts():
        place_ms = where(found, found.assistant, bytes(sound.audio[: 40 * MS]))
        assert abs(place_ms - (sound.start_ms - line_0)) <= world.clocks_ms
    heard = call.ear.audio()
    cut = heard.index(tone(YES.text, YES.audio_ms))
    for whole in (ANNOUNCED, heard[len(ANNOUNCED) : cut - margin], heard[cut:]):
        where(found, found.assistant, whole)
    spoken = len(found.assistant.replace(SILENCE, b""))
    ear = len(heard.replace(SILENCE, b""))
    assert abs(spoken - ear) <= margin, "no more and no less than was heard"
    after = tone(LONG.text, LONG.audio_ms)[cut - len(ANNOUNCED) + margin :]
    assert after[: 100 * MS] not in found.assistant

    said = await command(world, "dashboard.forget", caller)
    assert "locks of recorded sound: " in said
    assert await recorded(bus, CallId(call.sid)) is None


async def test_nothing_of_the_gate_is_recorded_and_nobody_listens_there(world, bus) -> None:
    async def listen() -> str:
        subject = f"call.{call.sid}.listen"
        reply = await world.client.request(subject, b'{"by":"mira"}', timeout=5)
        return json.loads(reply.data)["type"]

    script = world.script(OnResponse(HELLO))
    call = await world.dial(GUARDED)
    await world.heard(call, shipped("gate_prompt"))
    murmur = tone("my secret is four eight one five", 600)
    assert await call.say(murmur)
    assert await listen() == "not_now"
    assert await recorded(bus, CallId(call.sid)) is None
    assert call.press(PIN + "#")
    await heard_end(world, call, tone(HELLO.text, HELLO.audio_ms))
    await script.finished()
    assert await listen() == "listening"
    await world.hung_up(call)
    found = await kept(world, bus, call)
    (accepted,) = world.events(call, "pin_accepted")
    assert found.start_ms >= accepted["line_ms"]
    assert murmur[: 200 * MS] not in found.caller
    assert shipped("gate_prompt")[: 200 * MS] not in found.assistant
    where(found, found.assistant, ANNOUNCED)
    where(found, found.assistant, tone(HELLO.text, HELLO.audio_ms))


async def test_a_second_leg_goes_on_in_the_same_recording(world, bus) -> None:
    script = world.script(OnResponse(HELLO), OnSpeech("are you still there", AGAIN))
    call = await world.dial(TWICE)
    await world.heard(call, ANNOUNCED, tone(HELLO.text, HELLO.audio_ms))
    await world.logged(call, "heard")
    first_ms = call.stream.started_ms
    ask = codec.encode(RedirectCall(CallId(call.sid), "a test"))
    reply = await world.client.request("calls.redirect", ask, timeout=world.patience_s)
    assert codec.decode_as(CallReply, reply.data) == CallDone(CallId(call.sid))
    await call.wait_until(lambda c: len(c.streams) == 2 and c.streams[1].frames_sent > 10, 30)
    words = tone("are you still there", 900)
    assert await call.say(words)
    await heard_end(world, call, tone(AGAIN.text, AGAIN.audio_ms))
    await script.finished()
    await world.hung_up(call)
    found = await kept(world, bus, call)
    second = world.events(call, "stream_started")[1]
    assert len(world.events(call, "recording_started")) == 1
    # The first leg: where the ear heard it; the second: behind its beginning on the line.
    place_ms = where(found, found.assistant, ANNOUNCED)
    assert abs(place_ms - (call.ear.sounds[0].start_ms - first_ms)) <= world.clocks_ms
    where(found, found.assistant, tone(HELLO.text, HELLO.audio_ms))
    begins_ms = call.streams[1].started_ms
    again_ms = where(found, found.assistant, tone(AGAIN.text, AGAIN.audio_ms))
    truth_ms = call.ear.sounds[-1].start_ms - begins_ms + second["line_ms"]
    assert abs(again_ms - truth_ms) <= world.clocks_ms
    assert second["line_ms"] <= where(found, found.caller, words) < again_ms
