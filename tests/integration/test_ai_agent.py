"""ai-agent against a real NATS and the scripted model: one worker, a line end and a tool service
by hand.
"""

import asyncio
import json

import pytest
from agent_world import Tools, assigned, worker
from line_end import SPEECH, line_end

from protocol import line, subjects, tools
from protocol.call import fold
from protocol.events import Assigned
from protocol.placement import Declined, Replay, RingedAudio
from runtime import micro
from runtime.bus import connect
from runtime.calllog import CallLog
from runtime.outbox import take
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import (
    AnyOrder,
    CallTool,
    Drop,
    Fail,
    OnResponse,
    OnSpeech,
    RealtimeServer,
    Say,
    Script,
    Scripts,
    expect,
    expect_output,
    expect_truncate,
    tone,
)


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


@pytest.fixture(scope="module")
async def tool_service(bus):
    service = Tools()
    async with micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()):
        yield service


def configured(event):
    session = event["session"]
    audio = session["audio"]
    return (
        session["type"] == "realtime"
        and audio["input"]["format"] == audio["output"]["format"] == {"type": "audio/pcmu"}
        and audio["output"]["voice"] == "marin"
        and "Today is Sunday 2026-11-22" in session["instructions"]
        and [t["name"] for t in session["tools"]] == ["get_tasks", "slow", "end_call"]
    )


GREETING = OnResponse(Say("Hello Ada.", audio_ms=400), where=lambda r: r.instructions == "Greet.")


async def test_a_call_is_greeted_asks_a_tool_and_is_answered(
    bus, nats_server, tool_service, tmp_path
):
    script = Script(
        expect("session.update", configured),
        GREETING,
        OnSpeech("what is today", CallTool("get_tasks", {"period": "today"}, "call_1")),
        expect_output("call_1", where=lambda out: out == {"todos": []}),
        OnResponse(Say("Nothing today.", audio_ms=600)),
    )
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.speak(20, b"\xff" * 160)
        await end.event("said", done=True)
        await end.turn()
        await script.finished()
        await end.event("said", count=2, done=True)
        await end.until(lambda: len(end.audio) == 2, "two items")
        greeting, answer = end.audio.values()
        assert bytes(greeting) == tone("Hello Ada.", 400)
        assert bytes(answer) == tone("Nothing today.", 600)
        assert end.epochs == {reply.epoch}
        called = await end.event("tool_called")
        returned = await end.event("tool_returned")
        assert returned["called"] == called["id"]
        assert returned["outcome"] == "ok"
        asked = tool_service.asked[-1]
        assert json.loads(asked.data) == {"period": "today"}
        assert asked.headers[tools.IDEMPOTENCY_KEY] == called["id"]
        assert asked.headers[tools.CALLER] == "c1"
        assert asked.headers[tools.CALL] == end.call
        opened = await end.event("session_opened")
        assert opened["profile"] == "test"
        await end.event("response_timed")
        turn = await end.event("turn_committed")
        assert 0 <= turn["from_ms"] < turn["to_ms"] <= end.line_ms
        entries = await CallLog(bus).read(end.call)
        state = fold(end.call, ((e.sequence, e.event) for e in entries))
        assert [u.text for u in state.utterances] == [
            "Hello Ada.",
            "what is today",
            "Nothing today.",
        ]
        await end.hang_up()
        await end.until(lambda: model.open_sockets == 0, "the socket's end")


async def test_barge_in_cuts_the_item_where_the_caller_stopped_hearing_it(
    bus, nats_server, tool_service, tmp_path
):
    script = Script(
        GREETING,
        OnSpeech("tell me", Say("A long story.", audio_ms=4_000)),
        AnyOrder(expect_truncate(1_500, 1_500), OnSpeech("stop", Say("Yes?", audio_ms=200))),
    )
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus, hears=True) as end,
    ):
        await assigned(end, name)
        await end.speak(20, b"\xff" * 160)
        await end.event("said", done=True)
        end.hears = False
        await end.turn()
        await end.event("said", count=2, done=True)
        story = list(end.audio)[1]
        await end.heard(story, 1_400, done=False)
        await end.speak(600)
        await end.until(lambda: end.clears == [1], "a clear")
        await end.cleared(1, line.Playhead(story, 1_500, done=False))
        await end.speak(800, b"\xff" * 160)
        await script.finished()
        barged = await end.event("barged_in")
        assert (barged["item_id"], barged["heard_ms"]) == (story, 1_500)
        state = fold(end.call, ((e.sequence, e.event) for e in await CallLog(bus).read(end.call)))
        cut = state.utterance(story)
        assert cut is not None
        assert cut.cut
        assert cut.heard_text().startswith("A")
        assert cut.heard_text().endswith("…")


async def test_a_late_tool_is_an_honest_failure_and_bad_arguments_do_not_hang(
    bus, nats_server, tool_service, tmp_path
):
    script = Script(
        GREETING,
        OnSpeech("do it", CallTool("slow", {}, "c_slow"), CallTool("get_tasks", "{oops", "c_bad")),
        AnyOrder(
            expect_output("c_slow", where=lambda out: "not known" in out["message"]),
            expect_output("c_bad", where=lambda out: out["status"] == "failed"),
        ),
        OnResponse(Say("Sorry.", audio_ms=200)),
    )
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, b"\xff" * 160)
        await end.event("said", done=True)
        await end.turn()
        await script.finished()
        late = await end.event("tool_returned", outcome="timeout")
        assert 600 <= late["took_ms"] <= 3_000


async def test_a_model_that_keeps_failing_ends_the_call_with_an_intent(
    bus, nats_server, tool_service, tmp_path
):
    script = Script(*(OnResponse(Fail(code="boom")) for _ in range(3)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.until(lambda: end.ends == ["failed"], "an end")
        failed = await end.event("response_ended", count=3)
        assert (failed["status"], failed["reason"]) == ("failed", "boom")


async def test_a_lost_session_ends_the_call_honestly(bus, nats_server, tool_service, tmp_path):
    script = Script(GREETING, Drop(1011))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("session_lost")
        await end.until(lambda: end.ends == ["failed"], "an end")


@pytest.mark.parametrize("status", [401, 500])
async def test_no_session_is_an_end_not_silence(bus, nats_server, tool_service, tmp_path, status):
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        model.faults.refuse_upgrades = status
        await assigned(end, name)
        await end.until(lambda: end.ends == ["failed"], "an end")
        assert len(model.refused) == (1 if status == 401 else 3)


async def test_slots_and_races_are_declined(bus, nats_server, tool_service, tmp_path):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model, slots=1) as name,
        line_end(bus) as end,
        line_end(bus) as other,
    ):
        await assigned(end, name)
        assert await end.assign(name) == Declined("taken")
        assert await other.assign(name) == Declined("full")
        loads = []

        async def load(message):
            loads.append(json.loads(message.data))

        following = await bus.subscribe(subjects.AGENTS_LOAD, load)
        await end.until(lambda: any(x["worker"] == name for x in loads), "a load")
        await following.stop()
        assert next(x["free"] for x in loads if x["worker"] == name) == 0
        await end.hang_up()
        async with asyncio.timeout(20):
            while await other.assign(name) == Declined("full"):
                await asyncio.sleep(0.02)


async def test_a_worker_that_was_overtaken_leaves(bus, nats_server, tool_service, tmp_path):
    script = Script(GREETING)
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.event("session_opened")
        newer = Assigned(**end.stamp("ai-agent"), leg=end.leg, previous_epoch=reply.epoch)
        assert await take(bus, newer, expected=reply.epoch)
        await end.until(lambda: model.open_sockets == 0, "the old worker's socket closed")


async def test_what_was_said_before_the_assignment_is_heard(
    bus, nats_server, tool_service, tmp_path
):
    script = Script(GREETING, OnSpeech("hello", Say("Hi.", audio_ms=200)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        end.ring = Replay((RingedAudio(0, SPEECH * 30),), ())
        end.line_ms = 600
        await end.speak(20, b"\xff" * 160)  # before the subscription: not heard live
        await assigned(end, name)
        await end.speak(1_000, b"\xff" * 160)
        await script.finished()
        turn = await end.event("turn_committed")
        assert turn["from_ms"] < 600


async def test_keys_are_written_to_the_log(bus, nats_server, tool_service, tmp_path):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("session_opened")
        await end.key("7")
        assert (await end.event("key_pressed"))["digit"] == "7"
