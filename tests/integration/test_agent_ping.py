"""What a worker says of its calls when ingress doubts it: held, lost, stuck, and false alarms."""

import asyncio
import contextlib

import pytest
from agent_world import Tools, assigned, worker
from line_end import SILENCE, line_end
from line_moves import hand_over, held_by_hand, holds, new_line, ping, prepare, takeover

from ai_agent import successor, taking
from ai_agent.dialogue import Dialogue
from protocol.events import Assigned
from protocol.placement import Accepted, Declined
from runtime import micro
from runtime.bus import connect
from runtime.errors import NoAnswer
from runtime.outbox import take
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import OnResponse, RealtimeServer, Say, Script, Scripts


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


def greeted():
    return Script(OnResponse(Say("Hello.", audio_ms=200)))


async def test_a_call_is_held_under_its_epoch_alone_and_lost_when_it_was_left(
    bus, nats_server, tool_service, tmp_path
):
    async with (
        RealtimeServer(Scripts(greeted())) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        with pytest.raises(NoAnswer, match="nobody listens"):
            await ping(end, "nobody", 1)
        reply = await assigned(end, name)
        assert await holds(end, name, reply.epoch)
        assert (await ping(end, name, reply.epoch + 1)).lost == (end.call,)
        newer = Assigned(**end.stamp("ai-agent"), leg=end.leg, previous_epoch=reply.epoch)
        assert await take(bus, newer, expected=reply.epoch)
        async with asyncio.timeout(20):
            while await holds(end, name, reply.epoch):
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", ["placed", "handed over"])
async def test_a_call_that_was_just_taken_is_not_called_lost(
    bus, nats_server, tool_service, tmp_path, monkeypatch, way
):
    """Ingress may know of an epoch before the worker itself has read that it has it."""
    really = taking.taken

    async def late(*asked):
        epoch = await really(*asked)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await told.wait()
        return epoch

    told = asyncio.Event()
    monkeypatch.setattr(taking, "taken", late)
    monkeypatch.setattr(successor, "taken", late)
    async with (
        RealtimeServer(Scripts(greeted())) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
        asyncio.TaskGroup() as group,
    ):
        if way == "placed":
            group.create_task(assigned(end, name))
        else:
            epoch = await held_by_hand(end)
            async with asyncio.timeout(10):
                while not await answers(prepare(end, name, epoch, "old")):
                    await asyncio.sleep(0.05)
            await hand_over(end, epoch, name)
        taken = await end.event("assigned", worker=name)
        assert await holds(end, name, taken["sequence"])
        told.set()
        await end.event("session_opened")
        assert await holds(end, name, taken["sequence"])
        assert not await holds(end, name, taken["sequence"] - 1)


async def answers(asking) -> bool:
    """Whether a request reached a worker that listens already."""
    try:
        await asking
    except NoAnswer:
        return False
    return True


async def test_a_call_whose_line_is_not_handled_any_more_is_stuck(
    bus, nats_server, tool_service, tmp_path, monkeypatch
):
    """Messages that arrive are no sign of life: one that is not handled to its end holds up all."""
    go_on = asyncio.Event()

    async def hang(self, key):
        await go_on.wait()

    monkeypatch.setattr(Dialogue, "on_key", hang)
    async with (
        RealtimeServer(Scripts(greeted())) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.speak(20, SILENCE)
        await end.event("session_opened")
        assert (await ping(end, name, reply.epoch)).stuck == ()
        await end.key("1")
        async with asyncio.timeout(20):
            while not (found := await ping(end, name, reply.epoch)).stuck:
                await end.speak(20, SILENCE)
                await asyncio.sleep(0.05)
        assert (found.stuck, found.lost) == ((end.call,), ())
        go_on.set()
        async with asyncio.timeout(20):
            while (await ping(end, name, reply.epoch)).stuck:
                await asyncio.sleep(0.02)


async def test_a_false_alarm_changes_nothing(bus, nats_server, tool_service, tmp_path):
    script = greeted()
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.event("said", done=True)
        assert await takeover(end, name, reply.epoch) == Accepted(reply.epoch)
        await script.finished()
        assert [e["event"] for e in await end.events()].count("assigned") == 1
        assert model.open_sockets == 1
        assert await holds(end, name, reply.epoch)


async def test_a_worker_that_is_asked_to_follow_its_follower_lets_go_first(
    bus, nats_server, tool_service, tmp_path
):
    """A worker that was frozen and has not read yet that it was overtaken."""
    async with (
        RealtimeServer(Scripts(greeted(), Script(), Script())) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.event("session_opened")
        assert await takeover(end, name, reply.epoch - 1) == Declined("taken")
        assert await holds(end, name, reply.epoch)
        newer = Assigned(**end.stamp("ai-agent"), leg=end.leg, previous_epoch=reply.epoch)
        epoch = await take(bus, newer, expected=reply.epoch)
        assert epoch
        async with asyncio.timeout(20):
            while not isinstance(again := await takeover(end, name, epoch), Accepted):
                await asyncio.sleep(0.02)
        assert again.epoch > epoch
        assert await holds(end, name, again.epoch)


async def test_an_ingress_of_the_past_gets_no_takeover(bus, nats_server, tool_service, tmp_path):
    async with (
        RealtimeServer(Scripts(greeted())) as model,
        worker(nats_server, tmp_path / "one", model) as name,
        worker(nats_server, tmp_path / "two", model) as other,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.event("session_opened")
        before = await new_line(end, 1000)
        assert await takeover(end, other, reply.epoch, leg=before) == Declined("taken")
        assert await holds(end, name, reply.epoch)
