"""How soon an interrupted assistant is silent, and how exactly the heard millisecond is known.

Both by the simulated caller's ear, over twenty interruptions in four calls at once. The times are
printed; what is asserted of them is a share of the audio that was to come, not a speed.
"""

import asyncio

from testbed.figures import percentile
from testbed.realtime import AnyOrder, OnResponse, OnSpeech, Say, expect_truncate, tone

CALLS = 4
CUTS = 5
LONG_MS = 8_000
LONG = tuple(Say(f"answer {n} goes on and on " * 12, LONG_MS) for n in range(CUTS))
LAST = Say("All right.", 500)
STOP_MS = 600
AFTER_MS = (400, 2_200)
"""Heard before an interruption, in turn: while the answer is made, and after all of it was."""
EXACT_MS = 60
SHARE = 0.1
BYTES_PER_MS = 8


class Timed(list):
    """Events with the call's time at which each was emitted."""

    def __init__(self, events, now_ms) -> None:
        super().__init__(events)
        self._now_ms = now_ms
        self.times: list[float] = []
        """Of the events that say that the caller began to speak."""

    def append(self, event) -> None:
        if event["type"] == "input_audio_buffer.speech_started":
            self.times.append(self._now_ms())
        super().append(event)


def script_of_cuts() -> list:
    """The model's part: every answer is interrupted, the next one answers that."""
    answers = [*LONG[1:], LAST]
    return [
        OnResponse(LONG[0]),
        *(
            AnyOrder(expect_truncate(1, LONG_MS), OnSpeech(f"stop {n}", answer))
            for n, answer in enumerate(answers)
        ),
    ]


async def interrupted_call(world) -> list[dict[str, float]]:
    """One call with CUTS interruptions; for each what was measured, in ms."""
    script = world.script(*script_of_cuts())
    call = await world.dial()
    await call.wait_until(lambda c: c.ear.heard_ms() > 0, world.patience_s)
    await world.logged(call, "session_opened")
    connection = world.connection(call)
    connection.sent = sent = Timed(connection.sent, call.now_ms)
    for n in range(CUTS):
        wanted = AFTER_MS[n % len(AFTER_MS)]
        await call.wait_until(lambda c, n=n: len(c.ear.bursts(200)) > n, world.patience_s)
        begin = call.ear.bursts(200)[n].start_ms
        await call.wait_until(
            lambda c, to=begin + wanted: c.ear.last_heard_ms >= to, world.patience_s
        )
        call.say(tone(f"stop {n}", STOP_MS))
        await call.wait_until(lambda c, n=n: len(c.ear.bursts(200)) > n + 1, world.patience_s)
    await call.wait_until(lambda c: c.ear.audio().endswith(tone(LAST.text, 500)), world.patience_s)
    await script.finished()
    await world.until(lambda: len(world.events(call, "barged_in")) == CUTS, "all cuts are logged")
    bursts = call.ear.bursts(200)
    assert len(bursts) == CUTS + 1, "one unbroken sound for each answer"
    cuts = [e for e in connection.received if e["type"] == "conversation.item.truncate"]
    barged = world.events(call, "barged_in")
    assert [e["audio_end_ms"] for e in cuts] == [e["heard_ms"] for e in barged]
    assert [e["item_id"] for e in cuts] == [e["item_id"] for e in barged]
    measured = []
    for n, (say, sound) in enumerate(zip(LONG, bursts, strict=False)):
        right = tone(say.text, LONG_MS).startswith(bytes(sound.audio))
        assert right, f"what was heard of answer {n} is not its beginning"
        heard_ms = len(sound.audio) / BYTES_PER_MS
        measured.append(
            {
                "after_ms": sound.end_ms - sent.times[n],
                "rest_ms": LONG_MS - (sent.times[n] - sound.start_ms),
                "error_ms": abs(barged[n]["heard_ms"] - heard_ms),
            }
        )
    await world.hung_up(call)
    return measured


async def test_twenty_interruptions_are_silent_at_once_and_known_to_the_millisecond(
    world, capsys
) -> None:
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(interrupted_call(world)) for _ in range(CALLS)]
    found = [cut for call in calls for cut in call.result()]
    assert len(found) == CALLS * CUTS
    after = [cut["after_ms"] for cut in found]
    errors = [cut["error_ms"] for cut in found]
    with capsys.disabled():
        print(
            f"\n{len(found)} interruptions: last old audio {percentile(after, 0.5):.0f} ms (p50),"
            f" {percentile(after, 0.95):.0f} ms (p95) after speech_started at the model;"
            f" error of heard_ms {percentile(errors, 0.5):.0f} ms (p50),"
            f" {percentile(errors, 0.95):.0f} ms (p95)"
        )
    # A machine may be slow, or stand still for a moment: most are exact, none is off by far.
    assert percentile(errors, 0.5) < EXACT_MS
    assert max(errors) < world.clocks_ms
    # Of what would still have been heard, next to nothing is.
    shares = [cut["after_ms"] / cut["rest_ms"] for cut in found]
    assert percentile(shares, 0.5) < SHARE
    assert max(shares) < 0.5
