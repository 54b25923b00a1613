"""Twenty calls at once: everybody is greeted and answered, every byte reaches the right ear."""

import asyncio
import hashlib

from testbed.figures import CpuMeter, percentile
from testbed.realtime import OnResponse, OnSpeech, Say, Script, tone
from testbed.realtime.items import Item

CALLS = 20
HELLO_MS, WORDS_MS, ANSWER_MS = 1_500, 900, 6_000


class Listening(Script):
    """The script of one session; keeps the caller's voice as the model got it."""

    def __init__(self, number: int) -> None:
        self.words = f"question {number}"
        self.hello = tone(f"hello {number}", HELLO_MS)
        self.answer = tone(f"answer {number}", ANSWER_MS)
        self.voice = b""
        super().__init__(
            OnResponse(Say(f"hello {number}", HELLO_MS)),
            OnSpeech(self.words, Say(f"answer {number}", ANSWER_MS)),
        )

    async def hear(self, item: Item) -> str:
        self.voice = bytes(item.audio)
        return await super().hear(item)


def digest(audio: bytes | bytearray) -> str:
    return hashlib.sha256(audio).hexdigest()


async def conversation(world, number: int):
    """One caller: listens, speaks, listens, hangs up; the call and how long it was held."""
    voice = tone(f"voice {number}", WORDS_MS)
    call = await world.dial()
    await call.wait_until(lambda c: c.ear.heard_ms() >= HELLO_MS, world.patience_s)
    assert await call.say(voice)
    await call.wait_until(lambda c: c.ear.heard_ms() >= HELLO_MS + ANSWER_MS, world.patience_s)
    await world.until(lambda: len(world.events(call, "heard")) == 2, "all was heard")
    script = world.script_of(call)
    await world.hung_up(call)
    return call, script, voice


async def test_twenty_callers_at_once(world, capsys) -> None:
    for number in range(CALLS):
        world.follows(Listening(number))
    meter = CpuMeter({name: process.pid for name, process in world.stack.processes.items()})
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(conversation(world, number)) for number in range(CALLS)]
    spent = meter.spent_ms()
    done = [task.result() for task in tasks]

    assert len({id(script) for _, script, _ in done}) == CALLS
    for call, script, voice in done:
        script.assert_finished()
        # By digest: pytest would print thousands of bytes.
        assert digest(call.ear.audio()) == digest(script.hello + script.answer)
        heard_by_its_model = voice in script.voice
        assert heard_by_its_model
        assert [e["text"] for e in world.events(call, "turn_transcribed")] == [script.words]
        assert [e["cut"] for e in world.events(call, "heard")] == [False, False]
        (stopped,) = world.events(call, "stream_stopped")
        (stream,) = call.streams
        assert (stopped["dropped_frames"], stream.frames_dropped) == (0, 0)
        assert stopped["frames"] == stream.frames_sent
        assert [e["reason"] for e in world.events(call, "call_ended")] == ["caller_hung_up"]

    # Twenty greetings at once are more than a busy machine does in time: not all are held to it.
    gapless = [call for call, script, _ in done if call.ear.sounds[0].audio == script.hello]
    assert len(gapless) > CALLS / 2
    seconds = sum(call.duration_s() for call, _, _ in done)
    answered = [
        e["response_ms"] for call, _, _ in done for e in world.events(call, "response_timed")
    ]
    assert len(answered) == CALLS
    with capsys.disabled():
        print(
            f"\n{CALLS} calls at once, {seconds:.0f} call seconds, answered after"
            f" {percentile(answered, 0.5):.0f} ms (median), {percentile(answered, 0.95):.0f} (p95);"
            " CPU ms per call and second:"
            f" {', '.join(f'{name} {ms / seconds:.2f}' for name, ms in sorted(spent.items()))}"
        )
