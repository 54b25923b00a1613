"""A worker whose session with the model is lost, renewed or of no use: what the next one is told,
and what the caller hears of it.
"""

import asyncio

import pytest
from agent_world import PROFILE, Tools, assigned, worker
from line_end import SILENCE
from ringed_line import ringed_line, told

from ai_agent import retelling
from protocol.call import fold
from runtime import micro
from runtime.bus import connect
from runtime.calllog import CallLog
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import (
    CallTool,
    Drop,
    Fail,
    OnResponse,
    OnSpeech,
    Pause,
    RealtimeServer,
    Say,
    Script,
    Scripts,
    expect_output,
)
from testbed.realtime.script import IGNORED

GREETING = OnResponse(Say("Hello Ada.", audio_ms=400), where=lambda r: r.instructions == "Greet.")
ASKED = "what is due today"
ENDED = expect_output("call_1", where=lambda out: out == {"status": "ending"})
MENDING = IGNORED | {"response.cancel", "conversation.item.delete"}


class SlowTools(Tools):
    """Its answer comes when the test lets it."""

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


async def state(end):
    entries = await CallLog(end.bus).read(end.call)
    return fold(end.call, ((entry.sequence, entry.event) for entry in entries))


async def greeted(end, name):
    """The call is held, and its greeting was heard."""
    reply = await assigned(end, name)
    await end.speak(20, SILENCE)
    await end.event("said", done=True)
    await end.event("usage_reported")
    return reply.epoch


async def test_an_answer_that_the_loss_cut_goes_on_without_a_greeting(
    bus, nats_server, tools, tmp_path
):
    said = "Call the plumber and buy some milk"
    first = Script(GREETING, OnSpeech(ASKED, Say(said, audio_ms=600), Drop(None)))
    second = Script(
        OnResponse(Say("for tomorrow.", audio_ms=400)),
        OnSpeech("thanks", Say("Gladly.", audio_ms=200)),
    )
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        lost = await end.event("session_lost")
        assert (lost["generation"], lost["reason"]) == (1, "1006")
        await end.event("session_opened", generation=2)
        await end.event("said", text="for tomorrow.", done=True)
        items = told(model.connections[1])
        assert items[0] == ("assistant", "Hello Ada.")
        assert items[1] == ("user", ASKED)
        assert items[2][0] == "assistant"
        assert said.startswith(items[2][1].removesuffix("…"))
        assert items[3] == ("system", retelling.CUT_OFF)
        await end.event("resumed", reason="loss")
        await end.turn()
        await end.event("said", text="Gladly.", done=True)
        await second.finished()
        found = await state(end)
        assert [u.text for u in found.utterances if u.party == "caller"] == [ASKED, "thanks"]
        assert len({e["epoch"] for e in await end.events() if "epoch" in e}) == 1


async def test_a_turn_that_nothing_answered_is_heard_again(bus, nats_server, tools, tmp_path):
    first = Script(GREETING, OnSpeech(ASKED, Drop(1011, "overloaded")))
    second = Script(OnSpeech(ASKED, Say("Nothing today.", audio_ms=400)))
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        lost = await end.event("session_lost")
        assert lost["reason"].startswith("1011")
        await end.event("said", text="Nothing today.", done=True)
        await second.finished()
        assert told(model.connections[1]) == [("assistant", "Hello Ada.")]
        turns = [e for e in await end.events() if e["event"] == "turn_committed"]
        assert len(turns) == 2
        assert abs(turns[0]["from_ms"] - turns[1]["from_ms"]) <= 400, "it lies where it was said"
        found = await state(end)
        assert [u.text for u in found.utterances] == ["Hello Ada.", ASKED, "Nothing today."]


async def test_a_tool_under_way_is_asked_once_and_told_to_the_next_session(
    bus, nats_server, tools, tmp_path
):
    tools.go.clear()
    first = Script(GREETING, OnSpeech(ASKED, CallTool("get_tasks", {"period": "today"}, "call_1")))
    second = Script(
        expect_output("call_1", where=lambda out: out == {"todos": []}),
        OnResponse(Say("Nothing today.", audio_ms=400)),
    )
    profile = PROFILE.replace("tool_deadline_ms = 700", "tool_deadline_ms = 9000")
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        called = await end.event("tool_called")
        await end.until(lambda: tools.asked, "the tool is asked")
        model.connections[0].expire()
        await end.event("session_opened", generation=2)
        tools.go.set()
        await end.event("said", text="Nothing today.", done=True)
        await second.finished()
        assert tools.keys == [called["id"]]
        events = await end.events()
        assert [e["called"] for e in events if e["event"] == "tool_returned"] == [called["id"]]
        lost = next(e for e in events if e["event"] == "session_lost")
        assert lost["reason"].startswith("1001")


async def test_a_model_that_wants_again_what_was_done_is_told_so(bus, nats_server, tools, tmp_path):
    call = {"period": "today"}
    first = Script(
        GREETING,
        OnSpeech(ASKED, CallTool("get_tasks", call, "call_1")),
        expect_output("call_1"),
        OnResponse(Drop(None)),
    )
    second = Script(
        expect_output("call_1"),
        OnResponse(CallTool("get_tasks", '{ "period" : "today" }', "call_2")),
        expect_output("call_2", where=lambda out: out["result"] == {"todos": []}),
        OnResponse(Say("Nothing today.", audio_ms=400)),
        OnSpeech("and now?", CallTool("get_tasks", call, "call_3")),
        expect_output("call_3", where=lambda out: out == {"todos": []}),
        OnResponse(Say("Still nothing.", audio_ms=400)),
    )
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        await end.event("said", text="Nothing today.", done=True)
        assert len(tools.asked) == 1
        await end.turn()
        await end.event("said", text="Still nothing.", done=True)
        await second.finished()
        called = [e for e in await end.events() if e["event"] == "tool_called"]
        assert [e["tool_call_id"] for e in called] == ["call_1", "call_3"]
        assert tools.keys == [e["id"] for e in called]


async def test_a_session_is_renewed_in_a_pause_and_nobody_hears_it(
    bus, nats_server, tools, tmp_path
):
    first = Script(GREETING, OnSpeech(ASKED, Say("Nothing today.", audio_ms=400)))
    second = Script(OnSpeech("thanks", Say("Gladly.", audio_ms=200)))
    third = Script(OnSpeech("one more", Say("Yes?", audio_ms=200)))
    async with (
        RealtimeServer(Scripts(first, second, third)) as model,
        worker(nats_server, tmp_path, model, openai_session_s=2) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        await end.event("said", text="Nothing today.", done=True)
        await end.event("session_opened", generation=2)
        lost = await end.event("session_lost")
        assert lost["reason"] == "renewed"
        assert len(end.audio) == 2, "it said nothing by itself"
        await end.turn()
        await end.event("said", text="Gladly.", done=True)
        await end.event("session_opened", generation=3, timeout=8)
        await end.turn()
        await end.event("said", text="Yes?", done=True)
        await end.until(lambda: model.open_sockets == 1, "the old sockets are closed")
        assert end.clears == []


async def test_a_restored_session_that_writes_is_made_to_speak(bus, nats_server, tools, tmp_path):
    text = Say("Written words.", as_audio=False)
    first = Script(GREETING, OnSpeech(ASKED, Drop(None)))
    second = Script(
        OnSpeech(ASKED, text),
        OnResponse(Say("Spoken words.", audio_ms=400)),
        ignored=MENDING,
    )
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        await end.event("said", text="Spoken words.", done=True)
        await second.finished()
        assert len(model.connections) == 2
        found = await state(end)
        assert [u.text for u in found.utterances][-1] == "Spoken words."


async def test_one_that_writes_again_is_told_the_call_by_its_instructions(
    bus, nats_server, tools, tmp_path
):
    text = Say("Written words.", as_audio=False)
    first = Script(GREETING, OnSpeech(ASKED, Drop(None)))
    second = Script(OnSpeech(ASKED, text), OnResponse(text), ignored=MENDING)
    third = Script(OnSpeech(ASKED, Say("Spoken words.", audio_ms=400)))
    async with (
        RealtimeServer(Scripts(first, second, third)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        await end.event("said", text="Spoken words.", done=True)
        update = model.connections[2].received[0]["session"]
        assert "You: Hello Ada." in update["instructions"]
        assert told(model.connections[2]) == []


async def test_a_model_that_falls_silent_is_left(bus, nats_server, tools, tmp_path):
    first = Script(GREETING, OnSpeech(ASKED, Pause(60_000), Say("Too late.")))
    second = Script(OnSpeech(ASKED, Say("Nothing today.", audio_ms=400)))
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        await end.event("turn_committed")
        model.connections[0].stall()
        lost = await end.event("session_lost", timeout=12)
        assert "silent" in lost["reason"]
        await end.event("said", text="Nothing today.", done=True)


async def test_one_that_falls_silent_before_the_caller_speaks_is_left_too(
    bus, nats_server, tools, tmp_path
):
    second = Script(OnSpeech(ASKED, Say("Nothing today.", audio_ms=400)))
    async with (
        RealtimeServer(Scripts(Script(GREETING), second)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        model.connections[0].stall()
        await end.turn(2_000)
        await end.event("session_lost", timeout=12)
        await end.event("said", text="Nothing today.", done=True)


async def test_what_no_retry_mends_ends_at_the_keypad_at_once(bus, nats_server, tools, tmp_path):
    broke = Fail("You exceeded your current quota.", "insufficient_quota", "insufficient_quota")
    menu = '[[menu]]\nkey = "1"\nlabel = "today"\ntool = "get_tasks"\narguments = {}\n'
    first = Script(GREETING, OnSpeech(ASKED, broke))
    async with (
        RealtimeServer(Scripts(first)) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + menu) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        await end.event("mode_changed", mode="keypad")
        assert len(model.connections) == 1


async def test_no_new_session_to_be_had_ends_at_the_keypad(bus, nats_server, tools, tmp_path):
    menu = '[[menu]]\nkey = "1"\nlabel = "today"\ntool = "get_tasks"\narguments = {}\n'
    first = Script(GREETING)
    async with (
        RealtimeServer(Scripts(first)) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + menu) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        model.faults.refuse_upgrades = 401
        model.connections[0].expire()
        await end.event("mode_changed", mode="keypad")
        assert len(model.refused) == 1, "a key that is refused is not tried again"


async def test_a_call_that_is_about_to_end_needs_no_new_session(bus, nats_server, tools, tmp_path):
    goodbye = Say("Goodbye.", audio_ms=200)
    first = Script(
        GREETING, OnSpeech("bye", goodbye, CallTool("end_call", {}, "call_1")), ENDED, Drop(None)
    )
    async with (
        RealtimeServer(Scripts(first)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus) as end,
    ):
        await greeted(end, name)
        await end.turn()
        await end.event("session_lost")
        assert end.ends == ["hangup"]
        await end.hang_up()
        await end.until(lambda: model.open_sockets == 0, "nothing is left")
        assert len(model.connections) == 1
