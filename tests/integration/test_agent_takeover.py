"""A call whose worker is gone: another one takes it from the log and from what ingress still has,
whenever that was. The worker before is overtaken, or dies; what it says is not heard any more.
"""

import asyncio
import contextlib

import pytest
from agent_world import PIN, PROFILE, Tools, assigned, worker
from line_end import SILENCE
from line_moves import attach, hand_over, new_line, prepare
from ringed_line import ringed_line, told

from ai_agent import retelling
from protocol import line
from protocol.call import fold
from protocol.placement import Accepted, Prepared
from runtime import micro
from runtime.bus import connect
from runtime.calllog import CallLog
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import (
    CallTool,
    OnResponse,
    OnSpeech,
    Pause,
    RealtimeServer,
    Say,
    Script,
    Scripts,
    expect_output,
    expect_truncate,
)
from testbed.realtime.script import IGNORED

GREETING = OnResponse(Say("Hello Ada.", audio_ms=400), where=lambda r: r.instructions == "Greet.")
ASKED = "what is due today"
PATIENT = PROFILE.replace("tool_deadline_ms = 700", "tool_deadline_ms = 9000")
WITH_PIN = PROFILE + "[pin]\nrequired = true\n"
MENU = """
mode = "keypad"
[[menu]]
key = "1"
label = "today"
tool = "get_tasks"
arguments = {}
"""


class SlowTools(Tools):
    """Its answers come when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.go.set()

    async def get_tasks(self, request: micro.Request) -> bytes:
        self.asked.append(request)
        await self.go.wait()
        return self.todos

    @property
    def keys(self) -> list[str]:
        return [request.headers["Trunkline-Idempotency-Key"] for request in self.asked]


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


@pytest.fixture
async def tools(bus):
    service = SlowTools()
    async with micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()):
        yield service


@contextlib.asynccontextmanager
async def two(nats_server, tmp_path, *scripts, profile=PROFILE):
    """A model with these scripts, and the names of two workers on it."""
    async with (
        RealtimeServer(Scripts(*scripts)) as model,
        worker(nats_server, tmp_path / "one", model, profile=profile, agent_worker="one") as one,
        worker(nats_server, tmp_path / "two", model, profile=profile, agent_worker="two") as other,
    ):
        yield model, one, other


async def state(end):
    entries = await CallLog(end.bus).read(end.call)
    return fold(end.call, ((entry.sequence, entry.event) for entry in entries))


async def begun(end, name, other):
    """The first holds the call, and the second listens."""
    reply = await assigned(end, name)
    await end.speak(20, SILENCE)
    await listening(end, other)
    return reply.epoch


async def listening(end, name):
    load = asyncio.Event()

    async def heard(message):
        if name.encode() in message.data:
            load.set()

    following = await end.bus.subscribe("agents.load", heard)
    async with asyncio.timeout(20):
        await load.wait()
    await following.stop()


async def greeted(end, name, other):
    epoch = await begun(end, name, other)
    await end.event("said", done=True)
    await end.event("usage_reported")
    return epoch


async def test_a_turn_that_nothing_answered_is_heard_by_the_next_worker(
    bus, nats_server, tools, tmp_path
):
    first = Script(GREETING, OnSpeech(ASKED, Pause(60_000)))
    second = Script(OnSpeech(ASKED, Say("Nothing today.", audio_ms=400)))
    async with (
        two(nats_server, tmp_path, first, second) as (model, one, other),
        ringed_line(bus) as end,
    ):
        epoch = await greeted(end, one, other)
        await end.turn()
        await end.event("turn_committed")
        reply = await end.taken_over(other, epoch)
        await end.event("said", text="Nothing today.", done=True, epoch=reply.epoch)
        await second.finished()
        assert told(model.connections[1]) == [("assistant", "Hello Ada.")]
        opened = await end.event("session_opened", epoch=reply.epoch)
        assert opened["generation"] == 2
        found = await state(end)
        assert [u.text for u in found.utterances] == ["Hello Ada.", ASKED, "Nothing today."]
        await end.until(lambda: model.open_sockets == 1, "the first worker lets go of its session")


async def test_an_answer_that_was_begun_goes_on(bus, nats_server, tools, tmp_path):
    said = "Call the plumber and buy some milk"
    first = Script(GREETING, OnSpeech(ASKED, Say(said, audio_ms=6000), Pause(60_000)))
    second = Script(OnResponse(Say("and that is all.", audio_ms=400)))
    async with (
        two(nats_server, tmp_path, first, second) as (model, one, other),
        ringed_line(bus) as end,
    ):
        epoch = await greeted(end, one, other)
        await end.turn()
        await end.event("turn_transcribed", text=ASKED)
        await end.until(lambda: len(end.audio) == 2, "the answer is begun")
        reply = await end.taken_over(other, epoch)
        await end.event("said", text="and that is all.", done=True, epoch=reply.epoch)
        await second.finished()
        items = told(model.connections[1])
        assert items[:2] == [("assistant", "Hello Ada."), ("user", ASKED)]
        assert items[-1] == ("system", retelling.CUT_OFF)
        assert all(said.startswith(text.removesuffix("…")) for _, text in items[2:-1])
        turns = [e for e in await end.events() if e["event"] == "turn_committed"]
        assert len(turns) == 1, "what is told as text is not heard again"


async def test_a_tool_that_was_called_and_never_answered_is_asked_again_under_its_key(
    bus, nats_server, tools, tmp_path
):
    tools.go.clear()
    call = CallTool("get_tasks", {"period": "today"}, "call_1")
    second = Script(
        expect_output("call_1", where=lambda out: out == {"todos": []}),
        OnResponse(Say("Nothing today.", audio_ms=400)),
    )
    async with (
        two(
            nats_server, tmp_path, Script(GREETING, OnSpeech(ASKED, call)), second, profile=PATIENT
        ) as (model, one, other),
        ringed_line(bus) as end,
    ):
        epoch = await greeted(end, one, other)
        await end.turn()
        called = await end.event("tool_called")
        await end.until(lambda: len(tools.asked) == 1, "the tool is asked")
        reply = await end.taken_over(other, epoch)
        await end.until(lambda: len(tools.asked) == 2, "it is asked again")
        tools.go.set()
        await end.event("said", text="Nothing today.", done=True, epoch=reply.epoch)
        await second.finished()
        assert tools.keys == [called["id"]] * 2
        returned = [e for e in await end.events() if e["event"] == "tool_returned"]
        assert [(e["called"], e["epoch"]) for e in returned] == [(called["id"], reply.epoch)]
        assert ("function_call", "call_1") in told(model.connections[1])


async def test_a_result_that_nothing_was_made_of_is_answered(bus, nats_server, tools, tmp_path):
    call = CallTool("get_tasks", {"period": "today"}, "call_1")
    first = Script(
        GREETING, OnSpeech(ASKED, call), expect_output("call_1"), OnResponse(Pause(60_000))
    )
    second = Script(expect_output("call_1"), OnResponse(Say("Nothing today.", audio_ms=400)))
    async with (
        two(nats_server, tmp_path, first, second) as (_, one, other),
        ringed_line(bus) as end,
    ):
        epoch = await greeted(end, one, other)
        await end.turn()
        await end.event("tool_returned")
        reply = await end.taken_over(other, epoch)
        await end.event("said", text="Nothing today.", done=True, epoch=reply.epoch)
        await second.finished()
        assert len(tools.asked) == 1


async def test_nobody_is_greeted_twice_and_everybody_once(bus, nats_server, tools, tmp_path):
    mute = Script(OnResponse(Pause(60_000)))
    async with (
        two(nats_server, tmp_path, mute, Script(GREETING), Script(OnSpeech("hm", Say("Yes?")))) as (
            model,
            one,
            other,
        ),
        ringed_line(bus) as end,
    ):
        epoch = await begun(end, one, other)
        await end.event("session_opened")
        reply = await end.taken_over(other, epoch)
        await end.event("said", text="Hello Ada.", done=True)
        await end.event("usage_reported", count=1)
        await end.until(lambda: len(end.complete) == 1, "the greeting is with the line")
        third = await end.taken_over(one, reply.epoch)
        await end.event("session_opened", epoch=third.epoch)
        await end.turn()
        await end.event("said", text="Yes?", done=True)
        assert told(model.connections[2]) == [("assistant", "Hello Ada.")]
        assert len(end.audio) == 2


async def test_an_item_of_the_worker_before_is_cut_where_the_caller_speaks_into_it(
    bus, nats_server, tools, tmp_path
):
    said = "one two three four five six"
    first = Script(GREETING, OnSpeech(ASKED, Say(said, audio_ms=6000)))
    second = Script(
        OnSpeech("stop", Say("Yes?", audio_ms=200)),
        ignored=IGNORED | {"conversation.item.delete"},
    )
    async with (
        two(nats_server, tmp_path, first, second) as (model, one, other),
        ringed_line(bus, hears=False) as end,
    ):
        epoch = await greeted(end, one, other)
        greeting = next(iter(end.audio))
        end.played[greeting] = 400
        await end.turn()
        await end.until(lambda: len(end.complete) == 2, "all of the answer is with the line")
        await end.event("usage_reported", count=2, source="response")
        answer = list(end.audio)[1]
        end.played[answer] = 1000
        reply = await end.taken_over(other, epoch)
        await end.event("session_opened", epoch=reply.epoch)
        await end.speak(400)
        await end.until(lambda: end.clears, "a clear")
        await end.cleared(end.clears[-1], line.Playhead(answer, 3000, done=False))
        await end.speak(800, SILENCE)
        await end.event("barged_in", item_id=answer, heard_ms=3000, epoch=reply.epoch)
        await end.event("said", text="Yes?", done=True)
        items = told(model.connections[1])
        assert ("assistant", said) in items
        assert ("assistant", "one two three…") in items
        deleted = [e for e in model.connections[1].received if e["type"].endswith("item.delete")]
        assert [e["item_id"] for e in deleted] == [answer]


async def test_a_worker_that_dies_in_mid_answer(bus, nats_server, tools, tmp_path):
    """It stops at once, and nobody could take the call from it in time."""
    first = Script(GREETING, OnSpeech(ASKED, Say("Call the plumber", audio_ms=6000)))
    second = Script(OnResponse(Say("That was all.", audio_ms=400)))
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path / "two", model, agent_worker="two") as other,
        ringed_line(bus) as end,
    ):
        async with contextlib.AsyncExitStack() as life:
            one = await life.enter_async_context(
                worker(nats_server, tmp_path / "one", model, agent_worker="one", agent_drain_s=0)
            )
            epoch = await greeted(end, one, other)
            await end.turn()
            await end.event("turn_transcribed", text=ASKED)
            await end.until(lambda: len(end.audio) == 2, "the answer is begun")
        reply = await end.taken_over(other, epoch)
        await end.event("said", text="That was all.", done=True, epoch=reply.epoch)
        await second.finished()
        await end.until(lambda: model.open_sockets == 1, "the dead one's session is closed")


async def test_the_gate_asks_for_the_whole_pin_again(bus, nats_server, tools, tmp_path):
    async with (
        two(nats_server, tmp_path, Script(GREETING), profile=WITH_PIN) as (model, one, other),
        ringed_line(bus) as end,
    ):
        epoch = await begun(end, one, other)
        await end.event("pin_requested")
        for digit in PIN[:2]:
            await end.key(digit)
        await end.event("key_pressed", count=2)
        reply = await end.taken_over(other, epoch)
        await end.event("pin_requested", epoch=reply.epoch, attempt=1)
        for digit in f"{PIN}#":
            await end.key(digit)
        await end.event("pin_accepted", epoch=reply.epoch)
        await end.event("session_opened", epoch=reply.epoch)
        await end.event("said", text="Hello Ada.", done=True)
        assert len(model.connections) == 1


async def test_the_menu_speaks_the_answer_of_a_tool_that_the_worker_before_asked(
    bus, nats_server, tools, tmp_path
):
    tools.go.clear()
    profile = PATIENT + MENU
    async with (
        two(nats_server, tmp_path, profile=profile) as (_, one, other),
        ringed_line(bus) as end,
    ):
        epoch = await begun(end, one, other)
        await end.event("mode_changed", mode="keypad")
        await end.key("1")
        called = await end.event("tool_called")
        await end.until(lambda: len(tools.asked) == 1, "the tool is asked")
        reply = await end.taken_over(other, epoch)
        await end.until(lambda: len(tools.asked) == 2, "it is asked again")
        tools.go.set()
        await end.event("tool_returned", called=called["id"], epoch=reply.epoch)
        await end.event("said", epoch=reply.epoch)
        assert tools.keys == [called["id"]] * 2
        modes = [e for e in await end.events() if e["event"] == "mode_changed"]
        assert len(modes) == 1


async def test_a_successor_goes_on_in_a_session_that_was_open_before(
    bus, nats_server, tools, tmp_path
):
    second = Script(OnSpeech(ASKED, Say("Nothing today.", audio_ms=400)))
    async with (
        two(nats_server, tmp_path, Script(GREETING), second) as (model, one, other),
        ringed_line(bus) as end,
    ):
        epoch = await greeted(end, one, other)
        assert await prepare(end, other, epoch, one) == Prepared(end.call)
        assert len(model.connections) == 2
        await end.speak(200, SILENCE)
        await hand_over(end, epoch, other)
        reply = await end.event("assigned", reason="handover")
        await end.event("session_opened", epoch=reply["sequence"], generation=2)
        await end.turn()
        await end.event("said", text="Nothing today.", done=True)
        await second.finished()
        assert len(model.connections) == 2
        assert told(model.connections[1]) == [("assistant", "Hello Ada.")]
        assert len(end.audio) == 2, "nobody is greeted again"


async def test_a_gate_that_is_handed_over_says_nothing(bus, nats_server, tools, tmp_path):
    async with (
        two(nats_server, tmp_path, Script(GREETING), profile=WITH_PIN) as (_, one, other),
        ringed_line(bus) as end,
    ):
        epoch = await begun(end, one, other)
        await end.event("pin_requested")
        await end.event("said", done=True)
        assert await prepare(end, other, epoch, one) == Prepared(end.call)
        await hand_over(end, epoch, other)
        reply = await end.event("assigned", reason="handover")
        for digit in f"{PIN}#":
            await end.key(digit)
        await end.event("pin_accepted", epoch=reply["sequence"])
        requested = [e for e in await end.events() if e["event"] == "pin_requested"]
        assert len(requested) == 1
        await end.event("said", text="Hello Ada.", done=True)


@pytest.mark.parametrize("knows", [True, False])
async def test_an_answer_that_went_down_with_the_line_goes_on_on_the_next(
    bus, nats_server, tools, tmp_path, *, knows: bool
):
    """``knows``: the new line says where it stopped; else what was heard of counts."""
    said = "one two three four five six"
    rest = OnResponse(Say("three four five six", audio_ms=400))
    script = Script(
        GREETING,
        OnSpeech(ASKED, Say(said, audio_ms=6000)),
        expect_truncate(2000, 2000) if knows else expect_truncate(1000, 1000),
        rest,
    )
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus, hears=False) as end,
    ):
        epoch = (await assigned(end, name)).epoch
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        greeting = next(iter(end.audio))
        await end.heard(greeting, 400, done=True)
        await end.turn()
        await end.until(lambda: len(end.complete) == 2, "all of the answer is with the line")
        answer = list(end.audio)[1]
        await end.heard(answer, 1000, done=False)
        await new_line(end, end.line_ms + 500)
        assert await attach(end, name, epoch, ring_from_ms=end.line_ms) == Accepted(epoch)
        await end.speak(200, SILENCE)
        await end.until(lambda: end.clears, "it is asked where it stopped")
        if knows:
            await end.cleared(end.clears[-1], line.Playhead(answer, 2000, done=False))
        await end.event("resumed", item_id=answer, reason="line")
        await end.event("said", text="three four five six", done=True)
        await script.finished()
        assert not [e for e in await end.events() if e["event"] == "barged_in"]
