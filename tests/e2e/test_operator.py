"""An operator steers a running call: a note for the assistant, a sentence in its voice, their own
voice in its place. Asked of the caller's ear.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from testbed.realtime import AnyOrder, OnResponse, OnSpeech, Say, Script, expect_truncate, tone
from testbed.realtime.script import IGNORED
from testbed.voice.speaker import CALLER_VOICE, synthesize

HELLO = Say("Hello, what can I do for you?", 900)
LONG = Say(" ".join(f"number {n} of a list that nobody can stand" for n in range(40)), 20_000)
CLOSING = Say("We close at five today.", 800)
BACK = Say("How can I go on?", 700)
NOTE = "Offer the table by the window."
FRAME = 160
HUSH = b"\xff" * FRAME
SLOWLY_S = 0.04
"""Half of real time: a machine that stalls for a second loses nothing of the voice."""


async def told(world, call, kind: str, **command) -> dict:
    payload = json.dumps({"type": kind, "by": "mira", **command})
    reply = await world.client.request(
        f"call.{call.sid}.command", payload.encode(), timeout=world.patience_s
    )
    return json.loads(reply.data)


@contextlib.asynccontextmanager
async def voice(world, call, speech: bytes) -> AsyncIterator[None]:
    """An operator says `speech`, then nothing, into an open microphone."""

    async def speak() -> None:
        frames = [speech[at : at + FRAME] for at in range(0, len(speech), FRAME)]
        while True:
            frame = frames.pop(0) if frames else HUSH
            await world.client.publish(f"call.{call.sid}.operator.audio", frame)
            await asyncio.sleep(SLOWLY_S)

    async with asyncio.TaskGroup() as group:
        speaking = group.create_task(speak())
        try:
            yield
        finally:
            speaking.cancel()


def knows(request) -> bool:
    """The model knows the note, and was asked for just these words."""
    notes = [item for item in request.items if NOTE in json.dumps(item.content)]
    return len(notes) == 1 and CLOSING.text in request.instructions


async def test_a_note_for_the_assistant_and_a_sentence_in_its_voice(world) -> None:
    script = world.script(OnResponse(HELLO), OnResponse(CLOSING, where=knows))
    call = await world.dial()
    hello = tone(HELLO.text, HELLO.audio_ms)
    await world.heard(call, hello)
    assert await told(world, call, "whisper", text=NOTE) == {"type": "done"}
    assert await told(world, call, "say", text=CLOSING.text) == {"type": "done"}
    await world.heard(call, hello + tone(CLOSING.text, CLOSING.audio_ms))
    await script.finished()
    assert await told(world, call, "hang_up") == {"type": "done"}
    events = await world.ended(call)
    (whispered,) = [e for e in events if e["event"] == "whispered"]
    assert (whispered["by"], whispered["text"]) == ("mira", NOTE)
    (over,) = [e for e in events if e["event"] == "call_ended"]
    assert over["reason"] == "assistant_hung_up"


async def test_the_caller_hears_the_operator_and_nobody_else_until_it_is_given_back(world) -> None:
    script = world.follows(
        Script(
            OnResponse(HELLO),
            OnSpeech("tell me", LONG),
            AnyOrder(expect_truncate(1, 19_000), OnSpeech("who is that")),
            OnResponse(BACK),
            ignored=IGNORED | {"response.cancel"},
        )
    )
    speech = synthesize("Good day, this is Mira from the front desk.", CALLER_VOICE)
    speech += HUSH[: -len(speech) % FRAME]
    call = await world.dial()
    hello = tone(HELLO.text, HELLO.audio_ms)
    await world.heard(call, hello)
    call.say(tone("tell me", 500))
    await call.wait_until(lambda c: len(c.ear.audio()) > len(hello) + 8_000, world.patience_s)
    assert await told(world, call, "take_over") == {"type": "done"}
    await world.logged(call, "taken_over", "barged_in")
    cut = call.ear.audio()[len(hello) :]
    assert tone(LONG.text, LONG.audio_ms).startswith(cut), "nobody is heard yet"
    start = len(hello) + len(cut)
    async with voice(world, call, speech):
        await call.wait_until(lambda c: len(c.ear.audio()) >= start + len(speech), world.patience_s)
        call.say(tone("who is that", 500))
        await world.until(
            lambda: "who is that" in [e["text"] for e in world.events(call, "turn_transcribed")],
            "what they said to the operator is written down",
        )
        assert await told(world, call, "take_over", by="tom") == {
            "type": "refused",
            "code": "taken",
            "message": "mira speaks in this call now",
        }
        assert await told(world, call, "give_back") == {"type": "done"}
    back = tone(BACK.text, BACK.audio_ms)
    await call.wait_until(lambda c: c.ear.audio().endswith(back), world.patience_s)
    heard = call.ear.audio()[start : -len(back)]
    assert heard.startswith(speech), "every byte of the operator's"
    assert set(heard[len(speech) :]) <= {0xFF}, "and then nothing but their silence"
    await script.finished()
    events = await world.hung_up(call)
    names = [e["event"] for e in events]
    assert names.index("taken_over") < names.index("given_back")
    items = [e for e in events if e["event"] == "heard" and e["item_id"].startswith("operator:")]
    assert items
    assert sum(e["heard_ms"] for e in items) == len(heard) // 8
    assert not any(e["cut"] for e in items), "the line says that all of it was heard"
