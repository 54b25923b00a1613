"""More callers than there is room for, and rushes of audio: calls that were taken do not notice.

Latencies are compared within a run, by the lower quartile of many samples: those of a machine say
nothing, and the calls of a test all wait where it stands still.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from statistics import quantiles

import httpx
import pytest

from testbed.realtime import OnResponse, OnSpeech, Say, Script, expect_truncate, tone
from testbed.realtime.script import IGNORED
from testbed.sleeper import Sleeper

SLOTS = 6
SOCKETS = 9
"""Half as many again as agents take."""
KNOCKING = 8
"""With the six who talk, half as many again as the ingress takes."""
TURNS = 4
GREETING = Say("Hello.", 300)
ANSWER = Say("Yes.", 300)
VOICE = tone("a caller's words", 500)
TIMES = 3
"""What is usual under load may be so many times what is in a calm,"""
FLOOR_MS = 60
"""and this much more, which is the scheduler's."""
RUSH_MS = 20_000
STILL_S = 0.15
"""Less than what an ingress takes for a death."""
BUSY, UNAVAILABLE = "busy", "unavailable"


class Attentive:
    """A mind that answers every turn with the same words and remembers when it heard what."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self.heard_s: list[float] = []
        self.asked_s: list[float] = []
        self.silence_ms = 0

    def attach(self, controls) -> None: ...
    def observe(self, event) -> None: ...
    def response_done(self, response) -> None: ...
    def detach(self) -> None: ...

    async def hear(self, item) -> str:
        self.heard_s.append(asyncio.get_running_loop().time())
        return "go on"

    async def reply(self, request):
        if request.cause != "turn":
            return [GREETING]
        self.silence_ms = request.config["audio"]["input"]["turn_detection"]["silence_duration_ms"]
        self.asked_s.append(asyncio.get_running_loop().time())
        return [ANSWER]


def usual(samples_ms: list[float]) -> float:
    """Their lower quartile, in ms. Never below 0: who was woken late counts from too late."""
    return max(0.0, quantiles(samples_ms, n=4)[0])


class Latency:
    """Samples in ms: the caller's last word to the model's ear, the model's first to theirs."""

    def __init__(self) -> None:
        self.up: list[float] = []
        self.down: list[float] = []

    async def turn(self, world, call, mind: Attentive) -> None:
        """One question and its answer."""
        loop, turn = asyncio.get_running_loop(), len(mind.asked_s)
        sounds, before_ms = len(call.ear.sounds), call.ear.heard_ms()
        assert await call.say(VOICE)
        ended_s = loop.time()
        whole_ms = before_ms + ANSWER.audio_ms
        await call.wait_until(lambda c: c.ear.heard_ms() >= whole_ms, world.patience_s)
        dialled_ms = loop.time() * 1e3 - call.now_ms()
        self.up.append((mind.heard_s[turn] - ended_s) * 1e3 - mind.silence_ms)
        heard_ms = dialled_ms + call.ear.sounds[sounds].start_ms
        self.down.append(heard_ms - mind.asked_s[turn] * 1e3)

    async def turns(self, world, talks, count: int) -> None:
        """All calls at once."""

        async def talk(call, mind: Attentive) -> None:
            for _ in range(count):
                await self.turn(world, call, mind)

        async with asyncio.TaskGroup() as group:
            for call, mind in talks:
                group.create_task(talk(call, mind))

    def shown(self) -> str:
        ways = (("caller to model", self.up), ("model to caller", self.down))
        return ", ".join(f"{way} {usual(values):.0f} ms" for way, values in ways)


@pytest.fixture(scope="module")
async def small_system(new_system) -> AsyncIterator:
    # No hold sentence: callers are held to have heard their conversation and nothing else.
    ingress = {"INGRESS_SLOTS": str(SOCKETS), "PLACE_FOR_S": "3", "HOLD_AFTER_MS": "60000"}
    async with new_system(ai_agent={"AGENT_SLOTS": str(SLOTS)}, stream_ingress=ingress) as system:
        yield system


@pytest.fixture
async def small(small_system) -> AsyncIterator:
    small_system.begin()
    yield small_system
    await small_system.settle()


async def talking(world):
    """A caller who was greeted, and the mind of their session."""
    mind = world.follows(Attentive())
    call = await world.dial()
    await world.heard(call, tone(GREETING.text, GREETING.audio_ms))
    return call, mind


async def metric(world, process: str, sample: str) -> float:
    """One sample of a process's metrics."""
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as http:
        answer = await http.get(f"{world.stack.admin_url(process)}/metrics")
    found = [x for x in answer.text.splitlines() if x.startswith(f"{sample} ")]
    assert found, f"{process} has no {sample}"
    return float(found[0].split()[-1])


async def refused(world) -> tuple[str, object]:
    """A caller whom nobody has room for: which sentence ended the call, and the call."""
    call = await world.dial()
    await call.ended(world.patience_s)
    await world.logged(call, "call_ended", "status_changed")
    events = world.events(call)
    assert "assigned" not in {event["event"] for event in events}
    assert call.end_reason == "hangup_verb"
    (spoken,) = call.ear.spoken
    (reason,) = [event["reason"] for event in events if event["event"] == "call_ended"]
    intents = [event["intent"] for event in events if event["event"] == "stream_closing"]
    if intents:
        assert (intents, reason) == (["busy"], "busy")
        assert "busy" in spoken.content
        return BUSY, call
    assert "stream_started" not in {event["event"] for event in events}
    assert reason == "failed"
    return UNAVAILABLE, call


async def test_callers_beyond_the_slots_are_told_so_and_slow_nobody(small, capsys) -> None:
    talks = [await talking(small) for _ in range(SLOTS)]
    sentence, alone = await refused(small)
    assert sentence == BUSY
    calm, loaded = Latency(), Latency()
    await calm.turns(small, talks, TURNS)

    over = asyncio.Event()
    told: list[tuple[str, object]] = []

    async def knocking() -> None:
        """Callers who try it again and again."""
        while not over.is_set():
            told.append(await refused(small))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await over.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(KNOCKING):
            group.create_task(knocking())
        await small.until(lambda: {BUSY, UNAVAILABLE} <= {s for s, _ in told}, "both are told")
        await loaded.turns(small, talks, TURNS)
        over.set()

    turned_away = [call for sentence, call in told if sentence == UNAVAILABLE]
    for _, call in told:
        assert call.ended_ms < 2 * alone.ended_ms + 2_000
    full = await metric(
        small, "stream-ingress", 'trunkline_ingress_upgrades_total{outcome="no slot free"}'
    )
    assert full == len(turned_away)
    assert len(small.model.connections) == SLOTS, "the model never heard of them"
    with capsys.disabled():
        print(f"\n{SLOTS} of {SLOTS + KNOCKING} callers: {loaded.shown()}; alone: {calm.shown()}")
    for way in ("up", "down"):
        assert usual(getattr(loaded, way)) <= TIMES * usual(getattr(calm, way)) + FLOOR_MS, way
    for call, _ in talks:
        expected = tone(GREETING.text, 300) + 2 * TURNS * tone(ANSWER.text, 300)
        same = call.ear.audio() == expected  # no comparison by pytest: it prints every byte
        assert same
        assert not call.over

    await small.hung_up(talks[0][0])
    async with asyncio.timeout(small.patience_s):
        while await metric(small, "ai-agent-1", "trunkline_agent_slots_free") < 1:
            await asyncio.sleep(0.05)
    await talking(small)  # there is room for one again


class Waiting(Script):
    """A script whose second response waits for a gate."""

    def __init__(self, gate: asyncio.Event, *steps) -> None:
        super().__init__(*steps, ignored=IGNORED)
        self.asked = 0
        self._gate = gate

    async def reply(self, request):
        self.asked += 1
        if self.asked == 2:
            await self._gate.wait()
        return await super().reply(request)


async def test_a_rush_of_answers_to_a_worker_that_stood_still_reaches_every_ear(world) -> None:
    """A pause of the machine, and then minutes of speech within a moment: nothing of it is lost,
    the ledgers hold: an interruption cuts where the caller was.
    """
    gate, stories = asyncio.Event(), [f"story {n}" for n in range(SLOTS)]
    begin = (OnResponse(GREETING), OnSpeech("tell me", Say(stories[0], RUSH_MS)))
    ends = (expect_truncate(1, RUSH_MS - 1), OnSpeech("stop", ANSWER))
    first = world.follows(Waiting(gate, *begin, *ends))
    others = [
        world.follows(Waiting(gate, OnResponse(GREETING), OnSpeech("tell me", Say(story, RUSH_MS))))
        for story in stories[1:]
    ]
    scripts = [first, *others]
    calls = [await world.dial() for _ in stories]
    worker, pace = world.stack.processes["ai-agent-1"], world.model.habits.pace
    dropped = await metric(world, "ai-agent-1", "trunkline_audio_dropped_away_total")
    world.model.habits.pace = 0
    try:
        for call in calls:
            await world.heard(call, tone(GREETING.text, 300))
            call.say(VOICE)
        await world.until(lambda: all(s.asked == 2 for s in scripts), "they are asked")
        worker.suspend()
        gate.set()
        await asyncio.sleep(STILL_S)
        worker.resume()
        whole = (300 + RUSH_MS) * 8
        for call in calls:
            await call.wait_until(
                lambda c: c.streams[-1].playout.received_bytes == whole, world.patience_s
            )
    finally:
        worker.resume()
        world.model.habits.pace = pace
    assert await metric(world, "ai-agent-1", "trunkline_audio_dropped_away_total") == dropped

    listening = {world.script_of(call): call for call in calls}
    interrupted = listening.pop(first)
    await interrupted.say(VOICE)
    await first.finished()
    await world.until(lambda: len(world.events(interrupted, "heard")) > 1, "the last word on it")
    cut = world.events(interrupted, "heard")[1]
    pairs = zip(interrupted.ear.audio()[300 * 8 :], tone(stories[0], RUSH_MS), strict=False)
    heard_ms = next(n for n, (heard, told) in enumerate(pairs) if heard != told) / 8
    assert cut["cut"]
    assert abs(cut["heard_ms"] - heard_ms) <= world.clocks_ms
    for script, call in listening.items():
        heard = call.ear.audio()[300 * 8 :]
        same = heard == tone(stories[scripts.index(script)], RUSH_MS)[: len(heard)]
        assert same
        assert len(call.ear.sounds) == 2, "without a gap"
        assert world.events(call, "barged_in") == []


async def test_a_subscriber_that_does_not_read_is_cut_off_and_no_call_notices(
    world, capsys
) -> None:
    talks = [await talking(world) for _ in range(3)]
    calm, beside = Latency(), Latency()
    await calm.turns(world, talks, TURNS)
    async with Sleeper(world.stack.nats) as sleeper:
        await sleeper.overwhelm(world.client)
        await beside.turns(world, talks, TURNS)
        assert await sleeper.held_up() == 0
        await sleeper.cut_off()
    with capsys.disabled():
        print(f"\nbeside a subscriber that does not read: {beside.shown()}; before: {calm.shown()}")
    for way in ("up", "down"):
        assert usual(getattr(beside, way)) <= TIMES * usual(getattr(calm, way)) + FLOOR_MS, way
    for call, _ in talks:
        expected = tone(GREETING.text, 300) + 2 * TURNS * tone(ANSWER.text, 300)
        same = call.ear.audio() == expected
        assert same
        (stopped,) = [e for e in await world.hung_up(call) if e["event"] == "stream_stopped"]
        assert stopped["dropped_frames"] == 0
