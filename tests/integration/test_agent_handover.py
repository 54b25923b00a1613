"""A worker that stops gives its calls to others: what the log and the caller see of it."""

import asyncio
import contextlib
import json

import pytest
from agent_world import Tools, assigned, worker
from line_end import SILENCE, line_end
from line_moves import hand_over, held_by_hand, holds, new_line, prepare, stop_line, takeover

from ai_agent import successor
from ai_agent.dialogue import Dialogue
from protocol import codec, subjects
from protocol.ids import WorkerId
from protocol.placement import Accepted, AgentLoad, Declined, PrepareCall, Prepared
from runtime import micro
from runtime.bus import connect
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import OnResponse, OnSpeech, RealtimeServer, Say, Script, Scripts

GREETING = OnResponse(Say("Hello.", audio_ms=200))


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


async def free(end, name):
    """The slots that a worker says it has left."""
    loads = []

    async def load(message):
        loads.append(codec.decode(AgentLoad, message.data))

    following = await end.bus.subscribe(subjects.AGENTS_LOAD, load)
    await end.until(lambda: any(x.worker == name for x in loads), "a load")
    await following.stop()
    return next(x.free for x in loads if x.worker == name)


async def until_free(end, name, slots):
    async with asyncio.timeout(10):
        while await free(end, name) != slots:
            pass


# -- the successor


async def test_a_successor_is_ready_takes_the_call_when_it_is_offered_and_not_before(
    bus, nats_server, tool_service, tmp_path
):
    script = Script(GREETING, OnSpeech("go on", Say("Gladly.", audio_ms=200)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        epoch = await held_by_hand(end)
        await until_free(end, name, 5)
        assert await prepare(end, name, epoch, "old") == Prepared(end.call)
        assert await prepare(end, name, epoch, "old") == Prepared(end.call), "asked once more"
        assert await free(end, name) == 4
        assert not await holds(end, name, epoch)
        await end.speak(200, SILENCE)
        await hand_over(end, epoch, "somebody-else")
        await hand_over(end, epoch, name)
        taken = await end.event("assigned", count=2)
        assert (taken["worker"], taken["reason"], taken["previous_epoch"]) == (
            name,
            "handover",
            epoch,
        )
        assert await holds(end, name, taken["sequence"])
        await end.event("said", done=True)
        await end.turn()
        await script.finished()
        await end.until(lambda: end.epochs == {taken["sequence"]}, "the new holder's words")


@pytest.mark.parametrize("how", ["call ended", "another took it", "line gone", "never offered"])
async def test_a_successor_lets_go_of_what_will_not_be_its_own(
    bus, nats_server, tool_service, tmp_path, monkeypatch, how
):
    if how == "never offered":
        monkeypatch.setattr(successor, "WAIT_MS", 300)
    async with (
        RealtimeServer(Scripts(*(Script() for _ in range(3)))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        epoch = await held_by_hand(end)
        await until_free(end, name, 5)
        assert await prepare(end, name, epoch, "old") == Prepared(end.call)
        match how:
            case "call ended":
                await end.hang_up()
            case "another took it":
                await held_by_hand(end, previous=epoch)
            case "line gone":
                await stop_line(end)
            case _:
                pass
        await until_free(end, name, 5)
        await end.until(lambda: model.open_sockets == 0, "no session")
        await hand_over(end, epoch, name)
        await asyncio.sleep(0.5)
        assigned_by = [e["worker"] for e in await end.events() if e["event"] == "assigned"]
        assert name not in assigned_by


async def test_a_successor_whose_predecessor_died_is_simply_assigned(
    bus, nats_server, tool_service, tmp_path
):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        epoch = await held_by_hand(end)
        await until_free(end, name, 5)
        assert await prepare(end, name, epoch, "old") == Prepared(end.call)
        reply = await takeover(end, name, epoch)
        assert isinstance(reply, Accepted)
        taken = await end.event("assigned", count=2)
        assert (taken["sequence"], taken["reason"]) == (reply.epoch, "takeover")
        await end.speak(20, SILENCE)
        await end.event("session_opened")
        assert await free(end, name) == 4
        assert model.open_sockets == 1


async def test_a_line_that_moves_while_the_call_changes_hands_is_followed(
    bus, nats_server, tool_service, tmp_path
):
    """The new ingress attached to the worker before; the one that takes the call finds the line
    in the log.
    """
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        epoch = await held_by_hand(end)
        await until_free(end, name, 5)
        assert await prepare(end, name, epoch, "old") == Prepared(end.call)
        await new_line(end, 1000)
        await hand_over(end, epoch, name)
        await end.event("assigned", count=2)
        await end.event("session_opened")
        async with asyncio.timeout(20):
            while not any(e["event"] == "key_pressed" for e in await end.events()):
                await end.speak(20, SILENCE)
                await end.key("7")


# -- the worker that stops


async def test_a_worker_that_stops_hands_its_call_to_another_one_and_is_done(
    bus, nats_server, tool_service, tmp_path
):
    script = Script(OnSpeech("go on", Say("Gladly.", audio_ms=200)))
    async with (
        RealtimeServer(Scripts(Script(GREETING), script)) as model,
        worker(nats_server, tmp_path / "new", model) as new,
        line_end(bus) as end,
    ):
        async with worker(nats_server, tmp_path / "old", model, agent_drain_s=30) as old:
            reply = await assigned(end, old)
            await end.speak(20, SILENCE)
            await end.event("said", done=True)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 15, "it waited for nobody"
        taken = await end.event("assigned", count=2)
        assert (taken["worker"], taken["reason"], taken["previous_epoch"]) == (
            new,
            "handover",
            reply.epoch,
        )
        events = await end.events()
        offered = next(e for e in events if e["event"] == "handing_over")
        assert (offered["epoch"], offered["successor"]) == (reply.epoch, new)
        assert [e for e in events if e.get("worker") == old][-1]["sequence"] < taken["sequence"]
        await end.event("session_opened", count=2)
        await end.turn()
        await script.finished()
        await end.until(lambda: len(end.audio) == 2, "the answer")
        assert end.epochs == {reply.epoch, taken["sequence"]}


async def test_a_call_is_handed_over_between_turns(bus, nats_server, tool_service, tmp_path):
    """Neither while the assistant is still heard nor while the caller speaks."""
    script = Script(GREETING, OnSpeech("a question", Say("An answer.", audio_ms=1_000)))
    async with (
        RealtimeServer(Scripts(script, Script())) as model,
        worker(nats_server, tmp_path / "new", model) as new,
        line_end(bus) as end,
        asyncio.TaskGroup() as group,
    ):
        leaving = asyncio.Event()

        async def draining():
            async with worker(nats_server, tmp_path / "old", model, agent_drain_s=60):
                await leaving.wait()

        old = group.create_task(draining())
        await assigned(end, "w-old")
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        await end.until(lambda: "done" in end.kinds, "the greeting was heard")
        end.hears = False
        await end.speak(400)
        leaving.set()
        await until_free(end, new, 4)  # it is ready
        for _ in range(5):
            await end.speak(200)
            await asyncio.sleep(0.2)
        await end.speak(800, SILENCE)
        await end.until(lambda: end.kinds.count("done") == 2, "the answer was sent")
        await asyncio.sleep(1)
        assert "handing_over" not in [e["event"] for e in await end.events()]
        await end.heard(end.playing, 1_000, done=True)
        await end.event("assigned", worker=new)
        await old
        await script.finished()


async def test_many_calls_are_handed_over_side_by_side(bus, nats_server, tool_service, tmp_path):
    async with (
        RealtimeServer(Scripts(*(Script(GREETING) for _ in range(6)), *(Script(),) * 6)) as model,
        contextlib.AsyncExitStack() as stack,
    ):
        new = await stack.enter_async_context(worker(nats_server, tmp_path / "new", model, slots=9))
        ends = [await stack.enter_async_context(line_end(bus)) for _ in range(6)]
        async with worker(nats_server, tmp_path / "old", model, slots=9, agent_drain_s=30) as old:
            for end in ends:
                await assigned(end, old)
                await end.speak(20, SILENCE)
            for end in ends:
                await end.event("said", done=True)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 15
        for end in ends:
            taken = await end.event("assigned", count=2)
            assert (taken["worker"], taken["reason"]) == (new, "handover")
            assert await holds(end, new, taken["sequence"])


async def test_a_call_with_nowhere_to_go_stays_until_the_deadline(
    bus, nats_server, tool_service, tmp_path
):
    script = Script(GREETING, OnSpeech("still there", Say("Of course.", audio_ms=200)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        line_end(bus) as end,
        asyncio.TaskGroup() as group,
    ):
        leaving = asyncio.Event()

        async def draining():
            async with worker(nats_server, tmp_path / "old", model, agent_drain_s=6):
                await leaving.wait()

        old = group.create_task(draining())
        await assigned(end, "w-old")
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        leaving.set()
        began = asyncio.get_running_loop().time()
        await until_free(end, "w-old", 0)
        await end.turn()
        await script.finished()
        await end.until(lambda: len(end.audio) == 2, "an answer of the worker that drains")
        assert not old.done()
        await old
        assert asyncio.get_running_loop().time() - began >= 5
        events = [e["event"] for e in await end.events()]
        assert (events.count("assigned"), events.count("handing_over")) == (1, 0)


async def test_a_worker_that_offered_its_call_is_not_heard_any_more(
    bus, nats_server, tool_service, tmp_path, monkeypatch
):
    """Even if it still has something to say: from the offer on only the new epoch speaks."""
    monkeypatch.setattr(Dialogue, "quiet", lambda self: True)
    first = Script(GREETING, OnSpeech("a story", Say("Once upon a time.", audio_ms=60_000)))
    then = Script(OnSpeech("go on", Say("Gladly.", audio_ms=200)))
    heard: list[str] = []

    async def anything(message):
        heard.append(message.subject.split(".", 2)[2])

    async with (
        RealtimeServer(Scripts(first, then)) as model,
        worker(nats_server, tmp_path / "new", model),
        line_end(bus, hears=False) as end,
    ):
        listening = await bus.subscribe(f"call.{end.call}.>", anything)
        async with worker(nats_server, tmp_path / "old", model, agent_drain_s=30) as old:
            reply = await assigned(end, old)
            await end.speak(20, SILENCE)
            await end.event("said", done=True)
            await end.turn()
            await end.until(lambda: len(end.audio) == 2, "the story begins")
        await end.event("assigned", count=2)
        await end.event("session_opened", count=2)
        await listening.stop()
        offered = heard.index("log.handing_over")
        spoken = f"out.{reply.epoch}.audio"
        assert spoken in heard[:offered]
        assert len(list(end.audio.values())[1]) < 60_000 * 8, "it had more to say"
        assert not [s for s in heard[offered:] if s.startswith(f"out.{reply.epoch}.")]


async def test_a_call_that_its_successor_does_not_take_goes_on_and_is_offered_to_another(
    bus, nats_server, tool_service, tmp_path
):
    """A successor that says it is ready and is heard of no more; then another one comes."""
    asked, stop = [], asyncio.Event()
    silent = WorkerId("w-silent")

    async def ready(message):
        asked.append(codec.decode(PrepareCall, message.data))
        await bus.publish(message.reply, Prepared(asked[-1].call))

    async def announce():
        while not stop.is_set():
            await bus.publish(subjects.AGENTS_LOAD, AgentLoad(silent, 100, False, "1"))
            await asyncio.sleep(0.1)

    preparing = await bus.subscribe(subjects.agent_prepare(silent), ready)
    script = Script(GREETING, OnSpeech("still there", Say("Of course.", audio_ms=200)))
    async with (
        RealtimeServer(Scripts(script, Script())) as model,
        line_end(bus) as end,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(announce())
        leaving = asyncio.Event()

        async def old_worker():
            async with worker(nats_server, tmp_path / "old", model, agent_drain_s=60):
                await leaving.wait()

        old = group.create_task(old_worker())
        reply = await assigned(end, "w-old")
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        leaving.set()
        await end.event("handing_over", successor="w-silent")
        assert asked[0].epoch == reply.epoch
        await asyncio.sleep(1.5)  # longer than an offer stands
        stop.set()
        assert await holds(end, "w-old", reply.epoch)
        await end.turn()
        await script.finished()
        await end.until(lambda: len(end.audio) == 2, "an answer under the old epoch")
        assert end.epochs == {reply.epoch}
        async with worker(nats_server, tmp_path / "new", model) as new:
            await end.event("handing_over", successor=new)
            taken = await end.event("assigned", worker=new)
            assert taken["previous_epoch"] == reply.epoch
            await old
            await end.hang_up()
    await preparing.stop()


async def test_a_worker_that_stops_lets_go_of_what_it_only_prepared_for(
    bus, nats_server, tool_service, tmp_path
):
    async with RealtimeServer(Scripts(Script())) as model, line_end(bus) as end:
        epoch = await held_by_hand(end)
        async with worker(nats_server, tmp_path, model, agent_drain_s=60) as name:
            await until_free(end, name, 5)
            assert await prepare(end, name, epoch, "old") == Prepared(end.call)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 20
        assert [e["event"] for e in await end.events()].count("assigned") == 1


async def test_a_draining_worker_takes_nothing(bus, nats_server, tool_service, tmp_path):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        line_end(bus) as end,
        line_end(bus) as other,
    ):
        async with asyncio.TaskGroup() as group:
            leaving = asyncio.Event()

            async def draining():
                async with worker(nats_server, tmp_path / "old", model, agent_drain_s=30):
                    await leaving.wait()

            task = group.create_task(draining())
            reply = await assigned(end, "w-old")
            await end.event("said", done=True)
            leaving.set()
            async with asyncio.timeout(20):
                while await other.assign("w-old") != Declined("draining"):
                    await asyncio.sleep(0.02)
            assert await prepare(other, "w-old", 1, "x") == Declined("draining")
            assert await takeover(end, "w-old", reply.epoch) == Accepted(reply.epoch)
            assert not task.done()
            await end.hang_up()
        assert json.dumps(await other.events()).count("assigned") == 0
