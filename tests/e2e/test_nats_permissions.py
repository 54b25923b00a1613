"""A NATS server that gives each service only what the table of channels says, over TLS: the whole
system works on it, and everybody is refused what is not theirs.
"""

import asyncio
import datetime
import json
from importlib import resources

import nats
import pytest
from locked_nats import ROLES, LockedNats

from dashboard.history.stores import purge_recording
from dashboard.sound.recording import recorded
from protocol.ids import CallId
from runtime.bus import connect
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import CallTool, OnResponse, OnSpeech, Say, expect_output, tone

CALL = "CA" + "5" * 32
HELLO = Say("Hello.", audio_ms=400)
DONE = Say("It is done.", audio_ms=600)
ANNOUNCED = (resources.files("ai_agent") / "speaker/prompts/en/recorded.ulaw").read_bytes()
PROFILE = """
name = "recorded"
numbers = ["*"]
instructions = "Be brief."
greeting = "Greet the caller."
tools = ["create_task"]
[recording]
keep = true
"""


@pytest.fixture(scope="module")
async def locked(tmp_path_factory):
    server = LockedNats(tmp_path_factory.mktemp("locked"))
    await server.process.start()
    await server.process.saw("Server is ready", 20)
    yield server
    await server.process.stop(10)


async def test_a_whole_call_on_a_server_that_allows_only_what_is_needed(
    locked, new_system, tmp_path
) -> None:
    """A recorded one; the desk listens to it, reads the recording and removes it."""
    services = ("webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard")
    environment = {
        name.replace("-", "_"): {"NATS_URL": locked.url(name), "NATS_CA": str(locked.authority)}
        for name in services
    }
    (tmp_path / "recorded.toml").write_text(PROFILE)
    for name in ("ai_agent", "webhooks"):
        environment[name]["ASSISTANTS_DIR"] = str(tmp_path)
    async with new_system(nats_url=locked.url("admin", "nats"), **environment) as world:
        world.begin()
        script = world.script(
            OnResponse(HELLO),
            OnSpeech(
                "add milk", CallTool("create_task", {"description": "milk", "date": _day()}, "t1")
            ),
            expect_output("t1", lambda output: output["status"] == "created"),
            OnResponse(DONE),
        )
        call = await world.dial("+15550171717")
        await world.heard(call, ANNOUNCED, tone(HELLO.text, HELLO.audio_ms))
        desk = await locked.connect("dashboard")
        reply = await desk.request(f"call.{call.sid}.listen", b'{"by":"mira"}', timeout=20)
        assert json.loads(reply.data)["type"] == "listening"
        await desk.close()
        assert await call.say(tone("add milk", 900))
        await call.wait_until(
            lambda c: tone(DONE.text, DONE.audio_ms) in c.ear.audio(), world.patience_s
        )
        events = await world.hung_up(call)
        assert not script.failure
        assert {"assigned", "tool_returned", "call_ended"} <= {e["event"] for e in events}
        assert await world.rows("select 1 from todos where description = 'milk'")
        as_desk = CommonSettings(nats_url=locked.url("dashboard"), nats_ca=str(locked.authority))
        async with connect(as_desk, "dashboard/test", Shutdown()) as bus:
            found = await recorded(bus, CallId(call.sid))
            assert found is not None
            assert tone("add milk", 900) in found.caller
            assert await purge_recording(bus, CallId(call.sid)) > 0
            assert await recorded(bus, CallId(call.sid)) is None
        refusals = [line for _, line in world.stack.lines if "ermissions violation" in line.lower()]
        assert refusals == []
        await world.settle()


def _day() -> str:
    return (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=2)).isoformat()


FORBIDDEN_TO_PUBLISH = {
    "ai-agent": (
        f"call.{CALL}.log.call_ended",
        "todos.delete",
        f"call.{CALL}.event.said",
        f"call.{CALL}.listen",
    ),
    "stream-ingress": (
        f"call.{CALL}.log.assigned",
        "tools.create_task",
        "calls.hang_up",
        "$JS.API.DIRECT.GET.RECORDINGS",
    ),
    "tool-runner": (f"call.{CALL}.out.1.audio", "calls.place", f"call.{CALL}.log.said"),
    "webhooks": ("tools.create_task", f"call.{CALL}.out.1.clear", "callers.set_pin"),
    "dashboard": (
        f"call.{CALL}.log.assigned",
        f"call.{CALL}.out.1.audio",
        "callers.verify_pin",
        f"call.{CALL}.recording.caller",
        f"call.{CALL}.ear.caller",
    ),
    "tools": ("tools.create_task", f"call.{CALL}.log.said", "todos.add"),
    "subscriber": (
        *(f"call.{CALL}.event.said", f"call.{CALL}.log.said", "calls.hang_up"),
        "$JS.API.DIRECT.GET.RECORDINGS",
        # The dashboards' place in the log is theirs, unlike a consumer of the subscriber's own.
        *("$JS.API.CONSUMER.DELETE.CALLS.history", "$JS.API.CONSUMER.MSG.NEXT.CALLS.history"),
        "$JS.API.CONSUMER.CREATE.CALLS.history.call.*.log.*",
        *("$JS.API.CONSUMER.DURABLE.CREATE.CALLS.history", "$JS.ACK.CALLS.history.1.1.1.1.0"),
    ),
}
FORBIDDEN_TO_HEAR = {
    "ai-agent": ("todos.add", "_INBOX.dashboard.>", "$KV.OUTBOUND.>"),
    "stream-ingress": (f"call.{CALL}.in.1.dtmf", "todo.*.changed", "callers.verify_pin"),
    "tool-runner": (f"call.{CALL}.in.1.audio", f"call.{CALL}.out.1.audio"),
    "webhooks": (f"call.{CALL}.in.1.audio", "callers.verify_pin", "_INBOX.ai-agent.>"),
    "dashboard": (f"call.{CALL}.in.1.dtmf", "callers.verify_pin"),
    "tools": (f"call.{CALL}.in.1.audio", "callers.verify_pin"),
    "subscriber": (f"call.{CALL}.in.1.dtmf", "callers.verify_pin", "_INBOX.>", ">"),
}


@pytest.mark.parametrize("role", ROLES)
async def test_everybody_is_refused_what_is_not_theirs(locked, role) -> None:
    refused: list[str] = []
    client = await locked.connect(role, refused)
    try:
        for subject in FORBIDDEN_TO_PUBLISH[role]:
            await client.publish(subject, b"{}")
        for subject in FORBIDDEN_TO_HEAR[role]:
            await client.subscribe(subject)
        async with asyncio.timeout(20):
            await client.flush()
            wanted = len(FORBIDDEN_TO_PUBLISH[role]) + len(FORBIDDEN_TO_HEAR[role])
            while len(refused) < wanted:
                await asyncio.sleep(0.01)
    finally:
        await client.close()
    for subject in FORBIDDEN_TO_PUBLISH[role]:
        assert any("publish" in r.lower() and subject.lower() in r.lower() for r in refused)
    for subject in FORBIDDEN_TO_HEAR[role]:
        assert any("subscription" in r.lower() and subject.lower() in r.lower() for r in refused)


async def test_a_subscriber_follows_the_events_and_reads_the_log(locked) -> None:
    admin, subscriber = await locked.connect("admin"), await locked.connect("subscriber")
    try:
        with_stream = admin.jetstream()
        try:
            await with_stream.stream_info("CALLS")
        except nats.js.errors.NotFoundError:
            await with_stream.add_stream(name="CALLS", subjects=["call.*.log.*"])
        live = await subscriber.subscribe("call.*.event.>")
        await subscriber.flush()
        await subscriber.flush()
        await admin.publish(f"call.{CALL}.event.ringing", b"{}")
        assert (await live.next_msg(timeout=20)).data == b"{}"
        await with_stream.publish(f"call.{CALL}.log.ringing", b'{"kept": true}')
        kept = await subscriber.jetstream().subscribe(
            f"call.{CALL}.log.>", stream="CALLS", ordered_consumer=True
        )
        assert (await kept.next_msg(timeout=20)).data == b'{"kept": true}'
        await kept.unsubscribe()
    finally:
        await subscriber.close()
        await admin.close()
