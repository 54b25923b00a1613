"""However a call ends, its worker is as it was before: no slot, task, socket or subscription
stays.
"""

import asyncio
import gc
import json
import os
import random
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count

import pytest
from agent_world import Tools, worker
from line_end import SILENCE, LineEnd, line_end
from line_moves import attach, held_by_hand, new_line, prepare, stop_line, takeover

from ai_agent.held_call import HeldCall
from protocol import codec, subjects
from protocol.placement import Accepted, AgentLoad, Declined, Prepared
from runtime import micro
from runtime.bus import Bus, connect
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.nats_server import NatsServer
from testbed.realtime import Drop, RealtimeServer, Say

CALLS = 200
AT_ONCE = 6
SLOTS = 20
LINE_WAIT_S = 0.3
DROPPED = 7
"""Every so manieth session is lost while it greets."""


class Greeter:
    """A model that says one short thing whenever it is asked to, or loses its socket."""

    _sessions = count(1)

    def __init__(self) -> None:
        self._drops = next(self._sessions) % DROPPED == 0

    def attach(self, controls) -> None:
        pass

    def observe(self, event) -> None:
        pass

    async def hear(self, item) -> str:
        return "yes"

    async def reply(self, request):
        return (Drop(1011),) if self._drops else (Say("Hello.", audio_ms=100),)

    def response_done(self, response) -> None:
        pass

    def detach(self) -> None:
        pass


async def hung_up(end: LineEnd, name: str) -> None:
    await placed(end, name)
    await end.speak(20, SILENCE)
    await end.event("session_opened")


async def hung_up_at_once(end: LineEnd, name: str) -> None:
    await placed(end, name)


async def overtaken(end: LineEnd, name: str) -> None:
    epoch = await placed(end, name)
    await end.speak(20, SILENCE)
    await held_by_hand(end, previous=epoch)


async def line_gone(end: LineEnd, name: str) -> None:
    await placed(end, name)
    await stop_line(end)
    await asyncio.sleep(2 * LINE_WAIT_S)


async def line_moved(end: LineEnd, name: str) -> None:
    epoch = await placed(end, name)
    before = await new_line(end, 100)
    await attach(end, name, epoch, before=before)
    await end.speak(20, SILENCE)


async def prepared_in_vain(end: LineEnd, name: str) -> None:
    epoch = await held_by_hand(end)
    assert await prepare(end, name, epoch, "old") == Prepared(end.call)
    await held_by_hand(end, previous=epoch)


async def prepared_and_assigned(end: LineEnd, name: str) -> None:
    epoch = await held_by_hand(end)
    assert await prepare(end, name, epoch, "old") == Prepared(end.call)
    assert isinstance(await takeover(end, name, epoch), Accepted)


async def given_up_while_prepared(end: LineEnd, name: str) -> None:
    epoch = await held_by_hand(end)
    asked = asyncio.TaskGroup()
    async with asked:
        preparing = asked.create_task(prepare(end, name, epoch, "old"))
        await end.hang_up()
    assert preparing.result() in (Prepared(end.call), Declined("failed"))


LIVES = (
    hung_up,
    hung_up_at_once,
    overtaken,
    line_gone,
    line_moved,
    prepared_in_vain,
    prepared_and_assigned,
    given_up_while_prepared,
)


async def placed(end: LineEnd, name: str) -> int:
    reply = await end.assign(name, timeout=10)
    assert isinstance(reply, Accepted), reply
    return reply.epoch


@pytest.fixture
async def own_server(tmp_path) -> AsyncIterator[NatsServer]:
    """A NATS server whose subscriptions are this test's alone."""
    server = await NatsServer.start(tmp_path / "nats")
    yield server
    await server.stop()


async def used(bus: Bus, server: NatsServer, model: RealtimeServer) -> dict[str, int]:
    """What stands now, once nothing moves any more."""

    def subscriptions() -> int:
        url = f"{server.monitor_url}/subsz"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["num_subscriptions"]

    loads: list[AgentLoad] = []

    async def load(message) -> None:
        loads.append(codec.decode(AgentLoad, message.data))

    following = await bus.subscribe(subjects.AGENTS_LOAD, load)
    async with asyncio.timeout(30):
        while not loads or loads[-1].free < SLOTS or model.open_sockets:
            await asyncio.sleep(0.05)
    await following.stop()
    await bus.settle()
    await asyncio.sleep(0.5)  # sockets and tasks that end take a few turns of the loop
    gc.collect()
    return {
        "calls": sum(type(thing) is HeldCall for thing in gc.get_objects()),
        "tasks": len(asyncio.all_tasks()),
        "subscriptions": await asyncio.to_thread(subscriptions),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


async def test_after_200_calls_of_every_kind_the_worker_is_as_before(own_server, tmp_path) -> None:
    rng = random.Random(20261122)
    lives = [LIVES[i % len(LIVES)] for i in range(CALLS)]
    rng.shuffle(lives)
    service = Tools()
    ended: Counter[str] = Counter()
    settings = CommonSettings(nats_url=own_server.url)
    async with (
        connect(settings, "test", Shutdown()) as bus,
        RealtimeServer(Greeter, record=False) as model,
    ):
        await provision(bus, wait_s=5, shutdown=Shutdown())
        async with (
            micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()),
            worker(own_server, tmp_path, model, slots=SLOTS, agent_line_wait_s=LINE_WAIT_S) as name,
        ):

            async def live(life) -> None:
                async with line_end(bus) as end:
                    await life(end, name)
                    ended[life.__name__] += 1

            async def some(lives) -> None:
                for life in lives:
                    await live(life)

            async with asyncio.timeout(20):
                while not model.open_sockets:  # the first call waits until the worker listens
                    try:
                        await live(hung_up)
                        break
                    except Exception:
                        await asyncio.sleep(0.1)
            before = await used(bus, own_server, model)
            async with asyncio.TaskGroup() as group:
                for i in range(AT_ONCE):
                    group.create_task(some(lives[i::AT_ONCE]))
            after = await used(bus, own_server, model)
    assert sum(ended.values()) == CALLS + 1
    assert after == before
    assert before["calls"] == 0
