"""Who may hear a call besides its parties: the ear is opened behind the gate, and who is recorded
is told so first.
"""

import asyncio
from pathlib import Path

import pytest
from agent_world import PIN, PROFILE, Tools, assigned, worker
from line_end import SILENCE, LineEnd, line_end
from line_moves import attach, new_line, takeover

from protocol import events as e
from protocol import line
from protocol.placement import Accepted
from runtime import micro
from runtime.bus import connect
from runtime.outbox import publish
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import OnResponse, RealtimeServer, Say, Script, Scripts

RECORDED = PROFILE + "[recording]\nkeep = true\n"
GATE = "[pin]\nrequired = true\n"
MENU = """
[[menu]]
key = "1"
label = "today"
tool = "get_tasks"
"""
ANNOUNCED = "This call is recorded."


def hello() -> Script:
    return Script(OnResponse(Say("Hello.", audio_ms=200)))


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


@pytest.fixture(autouse=True)
async def services(bus):
    service = Tools()
    async with micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()):
        yield service


def announcements(end: LineEnd) -> list[str]:
    return [item for item in end.audio if item.startswith("voice_announced")]


async def heard_to_its_end(end: LineEnd, item: str) -> None:
    """What ingress writes when the caller heard an item."""
    ms = len(end.audio[item]) // 8
    stamp = end.stamp("stream-ingress")
    await publish(
        end.bus,
        e.Heard(**stamp, leg=end.leg, item_id=item, heard_ms=ms, sent_ms=ms, cut=False, line_ms=ms),
    )


async def listening(end: LineEnd, worker_name: str) -> None:
    """A worker says how much room it has as soon as it can be asked."""
    load = asyncio.Event()

    async def came(message) -> None:
        if worker_name.encode() in message.data:
            load.set()

    following = await end.bus.subscribe("agents.load", came)
    async with asyncio.timeout(20):
        await load.wait()
    await following.stop()


async def test_a_call_may_be_listened_to_and_is_not_recorded(bus, nats_server, tmp_path) -> None:
    script = hello()
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await script.finished()
        await end.event("session_opened")
        assert end.ears == [line.OpenEar(0)]
        assert announcements(end) == []
        assert "recording_started" not in [event["event"] for event in await end.events()]


async def test_who_is_recorded_hears_so_first(bus, nats_server, tmp_path) -> None:
    script = hello()
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=RECORDED) as name,
        line_end(bus, hears=False) as end,
    ):
        await assigned(end, name)
        await end.speak(400, SILENCE)
        started = await end.event("recording_started")
        assert started["announced"]
        await end.until(lambda: "done" in end.kinds, "the announcement")
        assert end.ears == [line.OpenEar(started["line_ms"], record=True)]
        assert end.kinds[:2] == ["ear", "item"]
        assert list(end.audio) == announcements(end)
        said = await end.event("said")
        assert said["text"] == ANNOUNCED
        # The session is open meanwhile, and says nothing before the caller heard it.
        await end.until(lambda: model.connections, "the session opens")
        await end.speak(400, SILENCE)
        await asyncio.sleep(0.3)
        assert list(end.audio) == announcements(end)
        (item,) = announcements(end)
        await end.heard(item, len(end.audio[item]) // 8, done=True)
        await script.finished()
        await end.until(lambda: len(end.audio) == 2, "the greeting")
        assert len(model.connections) == 1
        names = [event["event"] for event in await end.events()]
        assert names.index("recording_started") < names.index("said")
        assert names.index("said") < names.index("session_opened")


async def test_nothing_of_the_gate_is_recorded(bus, nats_server, tmp_path) -> None:
    script = hello()
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=RECORDED + GATE) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(1000, SILENCE)
        await end.event("pin_requested")
        for key in PIN + "#":
            await end.key(key)
        accepted = await end.event("pin_accepted")
        assert "ear" not in end.kinds[: end.kinds.index("done")]
        started = await end.event("recording_started")
        assert started["sequence"] > accepted["sequence"]
        assert started["line_ms"] >= accepted["line_ms"] >= 1000
        await script.finished()
        assert end.ears == [line.OpenEar(started["line_ms"], record=True)]
        assert len(announcements(end)) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [('announce = "We listen to learn."\n', "We listen to learn."), ('announce = ""\n', "")],
    ids=["own words", "nothing"],
)
async def test_the_words_are_the_profiles(bus, nats_server, tmp_path, more: str, said: str) -> None:
    script = hello()
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=RECORDED + more) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await script.finished()
        started = await end.event("recording_started")
        assert started["announced"] == bool(said)
        words = [x["text"] for x in await end.events() if x["event"] == "said"]
        assert words[0] == (said or "Hello.")
        assert bool(announcements(end)) == bool(said)


async def test_the_keypad_comes_behind_it_too(bus, nats_server, tmp_path) -> None:
    profile = PROFILE + 'mode = "keypad"\n[recording]\nkeep = true\n' + MENU
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await end.event("said", text="Press 1 for today.")
        words = [x["text"] for x in await end.events() if x["event"] == "said"]
        assert words[0] == ANNOUNCED
        assert end.ears[0].record
        assert model.connections == []


@pytest.mark.parametrize("heard", [True, False])
async def test_a_takeover_goes_on_and_announces_only_what_was_not_heard(
    bus, nats_server, tmp_path: Path, heard: bool
) -> None:
    script = hello()
    async with (
        RealtimeServer(Scripts(Script(), script)) as model,
        worker(nats_server, tmp_path / "1", model, profile=RECORDED, agent_worker="r1") as one,
        worker(nats_server, tmp_path / "2", model, profile=RECORDED, agent_worker="r2") as other,
        line_end(bus, hears=False) as end,
    ):
        reply = await assigned(end, one)
        await end.speak(400, SILENCE)
        started = await end.event("recording_started")
        await end.until(lambda: "done" in end.kinds, "the announcement")
        (first,) = announcements(end)
        if heard:
            await heard_to_its_end(end, first)
        end.hears = True
        await listening(end, other)
        assert isinstance(await takeover(end, other, reply.epoch), Accepted)
        await end.speak(400, SILENCE)
        await script.finished()
        assert end.ears == [line.OpenEar(started["line_ms"], record=True)] * 2
        assert len(announcements(end)) == (1 if heard else 2)
        names = [event["event"] for event in await end.events()]
        assert names.count("recording_started") == 1


async def test_a_new_line_learns_of_it(bus, nats_server, tmp_path) -> None:
    script = hello()
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=RECORDED) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.speak(400, SILENCE)
        await script.finished()
        await end.until(lambda: len(end.ears) == 1, "the ear")
        before = await new_line(end, end.line_ms)
        assert isinstance(await attach(end, name, reply.epoch, before=before), Accepted)
        await end.until(lambda: len(end.ears) == 2, "told on the new line")
        assert end.ears[0] == end.ears[1]
