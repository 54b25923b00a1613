"""The stages of a call: PIN gate, keypad menu, the fall to it and back, the agent's own tools."""

import asyncio
import json

import pytest
from agent_world import PIN, PROFILE, Tools, assigned, worker
from line_end import line_end

from protocol import tools
from protocol.callers import Admitted, NotAdmitted
from runtime import micro
from runtime.bus import connect
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import (
    CallTool,
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

MENU = """
[[menu]]
key = "1"
label = "today"
tool = "get_tasks"
arguments = { period = "today" }
"""
SILENCE = b"\xff" * 160


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


@pytest.fixture
async def services(bus):
    service = Tools()
    async with micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()):
        yield service


async def said(end, text, **more):
    """Wait until the log holds these words of the assistant."""
    async with asyncio.timeout(20):
        while True:
            for event in await end.events():
                if event["event"] == "said" and event["done"] and text in event["text"]:
                    return event
            await asyncio.sleep(0.03)


async def press(end, keys):
    for key in keys:
        await end.key(key)


async def test_nothing_reaches_the_model_before_the_pin(bus, nats_server, services, tmp_path):
    script = Script(OnResponse(Say("Hello.", audio_ms=200)))
    profile = PROFILE + "[pin]\nrequired = true\n"
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(1_000)
        await said(end, "enter your PIN")
        assert model.connections == []
        await press(end, "1234#")
        await said(end, "two tries left")
        await end.event("pin_rejected", tries_left=2)
        await press(end, PIN + "#")
        await script.finished()
        assert len(model.connections) == 1
        events = await end.events()
        names = [e["event"] for e in events]
        assert names.index("pin_accepted") < names.index("session_opened")
        keys = [e for e in events if e["event"] == "key_pressed"]
        assert {(k["digit"], k["masked"]) for k in keys} == {("•", True)}
        assert PIN not in json.dumps(events)
        assert "turn_committed" not in names, "what was said at the gate is not replayed"


async def test_three_wrong_pins_end_the_call(bus, nats_server, services, tmp_path):
    profile = PROFILE + "[pin]\nrequired = true\n"
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await said(end, "enter your PIN")
        for left in (2, 1, 0):
            await press(end, "9999#")
            await end.event("pin_rejected", tries_left=left)
        await end.until(lambda: end.ends == ["hangup"], "the end")
        assert model.connections == []


async def test_the_keypad_menu_works_without_any_session(bus, nats_server, services, tmp_path):
    services.todos = b'{"todos":[{"id":1,"deadline":"2026-11-22","description":"buy milk"}]}'
    profile = PROFILE.replace("tools =", 'mode = "keypad"\ntools =') + MENU
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await said(end, "Press 1 for today")
        await end.key("1")
        answer = await said(end, "buy milk")
        assert len(end.audio[answer["item_id"]]) // 8 == answer["generated_ms"] > 500
        called = await end.event("tool_called", name="get_tasks")
        assert services.asked[-1].headers[tools.IDEMPOTENCY_KEY] == called["id"]
        assert (await end.event("mode_changed"))["mode"] == "keypad"
        assert model.connections == []


async def test_a_failing_model_falls_to_the_keypad_and_back(bus, nats_server, services, tmp_path):
    first = Script(*(OnResponse(Fail(code="insufficient_quota")) for _ in range(1)))
    second = Script(OnResponse(Say("You can speak with me again.", audio_ms=300)))
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + MENU) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await said(end, "switching to the keypad")
        await said(end, "Press 1 for today")
        await end.until(lambda: model.open_sockets == 0, "the first session's end")
        await end.key("*")
        await second.finished()
        await said(end, "speak with me again")
        modes = [e["mode"] for e in await end.events() if e["event"] == "mode_changed"]
        assert modes == ["conversation", "keypad", "conversation"]


async def test_without_any_session_the_keypad_is_there(bus, nats_server, services, tmp_path):
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + MENU) as name,
        line_end(bus) as end,
    ):
        model.faults.refuse_upgrades = 401
        await assigned(end, name)
        await said(end, "Press 1 for today")
        await end.key("*")
        await said(end, "does not work yet")
        assert end.ends == []


async def test_the_goodbye_is_heard_before_the_line_is_closed(bus, nats_server, services, tmp_path):
    script = Script(
        OnResponse(Say("Hello.", audio_ms=200)),
        OnSpeech("goodbye", Say("Goodbye!", audio_ms=500), CallTool("end_call", {}, "c1")),
        expect_output("c1"),
    )
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await said(end, "Hello.")
        await end.turn()
        await end.until(lambda: end.ends == ["hangup"], "the end")
        assert end.kinds.index("end") > max(i for i, k in enumerate(end.kinds) if k == "audio")
        await script.finished()


async def test_end_call_without_a_goodbye_gets_one(bus, nats_server, services, tmp_path):
    script = Script(
        OnResponse(Say("Hello.", audio_ms=200)),
        OnSpeech("bye", CallTool("end_call", {}, "c1")),
        expect_output("c1"),
        OnResponse(Say("Bye bye.", audio_ms=300), where=lambda r: "goodbye" in r.instructions),
    )
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await said(end, "Hello.")
        await end.turn()
        await end.until(lambda: end.ends == ["hangup"], "the end")
        await said(end, "Bye bye.")
        await script.finished()


async def test_a_human_is_called_when_somebody_is_there(bus, nats_server, services, tmp_path):
    script = Script(
        OnResponse(Say("Hello.", audio_ms=200)),
        OnSpeech("a human", Say("I connect you.", audio_ms=300), CallTool("transfer_to_human", {})),
        expect_output(where=lambda out: out["status"] == "connecting"),
    )
    profile = PROFILE + '[transfer]\nnumber = "+15550100003"\n'
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await said(end, "Hello.")
        await end.turn()
        await end.until(lambda: end.ends == ["transfer"], "the transfer")
        await script.finished()


async def test_keys_are_told_to_the_model_in_a_conversation(bus, nats_server, services, tmp_path):
    script = Script(
        OnResponse(Say("Hello.", audio_ms=200)),
        OnResponse(
            Say("Nothing today.", audio_ms=200),
            where=lambda r: "The caller pressed 1: today." in json.dumps(r.items[-1].content),
        ),
        OnResponse(
            Say("Thanks.", audio_ms=200),
            where=lambda r: "The caller typed 4711." in json.dumps(r.items[-1].content),
        ),
    )
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + MENU) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await said(end, "Hello.")
        await end.key("1")
        await said(end, "Nothing today.")
        await press(end, "4711#")
        await script.finished()


async def test_a_slow_tool_gets_a_word_of_patience(bus, nats_server, services, tmp_path):
    script = Script(
        OnResponse(Say("Hello.", audio_ms=200)),
        OnSpeech("do it", CallTool("slow", {}, "c1")),
        OnResponse(Say("One moment.", audio_ms=200), where=lambda r: "moment" in r.instructions),
        expect_output("c1"),
        OnResponse(Say("It did not work.", audio_ms=200)),
    )
    profile = PROFILE + "[limits]\nfiller_ms = 200\n"
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await said(end, "Hello.")
        await end.turn()
        await script.finished()


async def test_silence_is_asked_about_and_then_ended(bus, nats_server, services, tmp_path):
    script = Script(
        OnResponse(Say("Hello.", audio_ms=200)),
        OnResponse(Say("Are you still there?", audio_ms=200)),
        OnResponse(Say("Goodbye then.", audio_ms=200)),
    )
    profile = PROFILE + "[silence]\nreminder_s = 0.6\nhang_up_s = 1.5\n"
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await script.finished()
        await end.until(lambda: end.ends == ["hangup"], "the end")
        assert (await end.event("limit_reached"))["limit"] == "silence"


async def test_a_spent_budget_falls_to_the_keypad(bus, nats_server, services, tmp_path):
    script = Script(OnResponse(Say("Hello.", audio_ms=2_000), Pause(100)))
    profile = (
        PROFILE
        + "[limits]\ncall_usd = 0.000001\n[prices]\nsince = 2026-11-22\naudio_out = 64.0\n"
        + MENU
    )
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await said(end, "go on with the keypad")
        used = await end.event("usage_reported")
        assert used["cost_usd"] > 0
        assert (await end.event("limit_reached"))["limit"] == "call_usd"


async def test_a_number_with_too_many_calls_is_not_admitted(bus, nats_server, services, tmp_path):
    services.admission = NotAdmitted("at_once")
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.until(lambda: end.ends == ["refused"], "the end")
        refused = await end.event("caller_admitted")
        assert (refused["standing"], refused["reason"]) == ("refused", "at_once")
        assert model.connections == []


async def test_strangers_are_guests_where_the_profile_says_so(bus, nats_server, services, tmp_path):
    services.admission = Admitted(False)
    script = Script(
        OnResponse(Say("Hello.", audio_ms=200)),
        OnSpeech("what is today", CallTool("get_tasks", {}, "c1")),
        expect_output("c1"),
        OnResponse(Say("Nothing.", audio_ms=200)),
    )
    profile = PROFILE + '[strangers]\nunknown = "guest"\n'
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await said(end, "Hello.")
        await end.turn()
        await script.finished()
        assert tools.CALLER not in services.asked[-1].headers
        assert (await end.event("caller_admitted"))["standing"] == "guest"
