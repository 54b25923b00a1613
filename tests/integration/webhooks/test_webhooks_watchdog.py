"""Lost legs and ends of calls: two webhooks processes, a simulated Twilio, an ingress that dies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from office import PERSON, TIMEOUT, Office, running
from stand_in_ingress import StandIn

from protocol import events as e
from runtime import bus
from runtime.service import Shutdown
from testbed.twilio import Call, Faults
from webhooks import lost_legs, watchdog
from webhooks.app import opened
from webhooks.decision import RESUMINGS
from webhooks.twiml import SENTENCES

# twilio 9.13 still signs in with aiohttp's deprecated BasicAuth and `auth` argument
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]
LOST_S = 1.5
NOBODY = """
name = "office"
numbers = ["*"]
instructions = "i"
greeting = "g"
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same course in less time; a heartbeat comes every 0.2 s."""
    monkeypatch.setattr(lost_legs, "LOST_MS", round(1000 * LOST_S))
    monkeypatch.setattr(lost_legs, "SETTLE_MS", 500)
    monkeypatch.setattr(lost_legs, "CLOSING_MS", 2_500)
    monkeypatch.setattr(lost_legs, "OFFERED_S", 3)
    monkeypatch.setattr(lost_legs, "REDIRECT_S", 3)
    monkeypatch.setattr(watchdog, "LOOK_S", 0.1)
    monkeypatch.setattr(watchdog, "AGAIN_MS", 300)


class World:
    """An office with an ingress that may die."""

    def __init__(self, office: Office, ingress: StandIn) -> None:
        self.office = office
        self.ingress = ingress

    async def talking(self) -> Call:
        """A call whose stream is open, and known from a heartbeat or its event."""
        call = await self.office.twilio.dial(PERSON)
        await self.carried(call, 1)
        return call

    async def carried(self, call: Call, legs: int) -> None:
        await call.wait_until(
            lambda _: sum(token.call == call.sid for token in self.ingress.tokens) == legs, TIMEOUT
        )

    async def written(self, call: Call, kind: type[Any]) -> list[Any]:
        return await self.office.written(call.sid, kind)

    async def ended(self, call: Call) -> Any:
        """The end of a call, and that it is the only one."""
        await self.office.until_written(call.sid, e.CallEnded)
        (ended,) = await self.written(call, e.CallEnded)
        return ended


@contextlib.asynccontextmanager
async def world_of(
    folder: Path, *, after_loss: str = "silent", watching: bool = True, replicas: int = 2
) -> AsyncIterator[World]:
    ingress = StandIn()
    faults = Faults(after_loss=after_loss)
    async with running(
        folder,
        replicas=replicas,
        faults=faults,
        watching=watching,
        media=ingress.carry,
        profile=NOBODY,
    ) as office:
        ingress.nats = office.nats
        beating = asyncio.create_task(ingress.beat())
        try:
            yield World(office, ingress)
        finally:
            beating.cancel()
            await asyncio.wait({beating})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(tmp_path) as world:
        yield world


async def test_a_call_that_twilio_leaves_in_silence_gets_one_new_stream(world: World) -> None:
    call = await world.talking()
    (first,) = world.ingress.legs
    world.ingress.die()
    world.ingress.live()
    await world.carried(call, 2)
    (resuming,) = await world.written(call, e.Resuming)
    (redirecting,) = await world.written(call, e.Redirecting)
    assert (resuming.previous_leg, resuming.reason) == (first, "watchdog")
    assert redirecting.reason == "watchdog"
    token = world.ingress.tokens[-1]
    assert (token.previous_leg, token.caller, token.called) == (
        first,
        call.facts.from_,
        call.facts.to,
    )
    assert token.line_ms > 0
    await asyncio.sleep(LOST_S + 1)  # what a second redirect would have needed
    assert len(world.ingress.tokens) == 2
    assert await world.written(call, e.CallEnded) == []
    await call.hang_up()
    assert (await world.ended(call)).reason == "caller_hung_up"


async def test_where_twilio_asks_the_watchdog_does_nothing(tmp_path: Path) -> None:
    async with world_of(tmp_path, after_loss="action") as world:
        call = await world.talking()
        world.ingress.die()
        world.ingress.live()
        await world.carried(call, 2)
        await asyncio.sleep(LOST_S + 1)
        (resuming,) = await world.written(call, e.Resuming)
        assert resuming.reason == "leg lost"
        assert await world.written(call, e.Redirecting) == []
        assert len(world.ingress.tokens) == 2


async def test_twilio_that_asks_while_the_watchdog_redirects_gets_no_second_stream(
    tmp_path: Path,
) -> None:
    async with world_of(tmp_path, after_loss="action") as world:
        world.office.twilio.rest_faults.delay_ms = 200
        calls = [await world.talking() for _ in range(8)]
        for n, call in enumerate(calls):  # some ask before, some while, some after
            call.faults.after_loss_delay_ms = 1000 * LOST_S - 350 + 100 * n
        world.ingress.die()
        world.ingress.live()
        for call in calls:
            await world.carried(call, 2)
        await asyncio.sleep(3)  # whatever else was on its way
        for call in calls:
            assert await world.written(call, e.CallEnded) == []
            assert not call.over
            assert call.stream is not None, "it still has a stream"


async def test_an_ingress_that_breaks_every_leg_ends_in_an_apology(world: World) -> None:
    world.ingress.dies_at_once = True
    call = await world.talking()
    ended = await world.ended(call)
    assert ended.reason == "lost"
    assert len(await world.written(call, e.Resuming)) == RESUMINGS
    assert len(world.ingress.tokens) == RESUMINGS + 1
    await call.ended(TIMEOUT)
    assert [spoken.content for spoken in call.ear.spoken] == [SENTENCES["lost"]]


async def test_a_leg_whose_ingress_lives_is_left_alone(world: World) -> None:
    call = await world.talking()
    await asyncio.sleep(2 * LOST_S)
    assert await world.written(call, e.Resuming) == []


async def test_nothing_is_concluded_from_a_silence_of_nats(world: World) -> None:
    call = await world.talking()
    await world.office.server.kill()
    await asyncio.sleep(2 * LOST_S)
    await world.office.server.restart()
    world.ingress.die()  # now there is something to conclude
    await world.office.until_written(call.sid, e.Resuming)
    (resuming,) = await world.written(call, e.Resuming)
    assert resuming.reason == "watchdog"


async def test_a_silence_of_nats_moves_no_call(world: World) -> None:
    call = await world.talking()
    await world.office.server.kill()
    await asyncio.sleep(2 * LOST_S)
    await world.office.server.restart()
    await world.office.until_written(call.sid, e.StreamStarted)  # the log answers again
    await asyncio.sleep(2 * LOST_S)
    assert await world.written(call, e.Resuming) == []


async def test_a_nats_that_was_away_between_two_answers_of_the_log_moves_no_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the log is asked while NATS is away it answers afterwards, as if nothing had been."""
    call = await world.talking()
    monkeypatch.setattr(lost_legs, "SETTLE_MS", 20_000)
    world.ingress.silent = True
    await asyncio.sleep(LOST_S - 0.5)
    await world.office.server.kill()
    await asyncio.sleep(0.2)
    await world.office.server.restart()
    await world.office.until_written(call.sid, e.StreamStarted)
    await asyncio.sleep(LOST_S)
    assert await world.written(call, e.Resuming) == []


async def test_a_process_that_starts_after_the_loss_finds_it_in_the_log(tmp_path: Path) -> None:
    async with world_of(tmp_path, watching=False, replicas=1) as world:
        call = await world.talking()
        over = await world.talking()
        await over.hang_up()
        await world.ended(over)
        world.ingress.die()
        await call.wait_until(lambda c: c.stream is None, TIMEOUT)
        world.ingress.live()
        settings = world.office.settings
        async with (
            bus.connect(settings, "late", Shutdown()) as nats,
            opened(settings, nats, "late", watching=True),
        ):
            await world.carried(call, 2)
            assert await world.written(over, e.Resuming) == []


# -- every end is told once, with its reason


async def hung_up(world: World, call: Call) -> None:
    await call.hang_up()


async def socket_broke(world: World, call: Call) -> None:
    await call.hang_up(abrupt=True)


async def we_hung_up(world: World, call: Call) -> None:
    (leg,) = world.ingress.legs
    await world.ingress.close(leg, "hangup")


async def closed_in_silence(world: World, call: Call) -> None:
    (leg,) = world.ingress.legs
    await world.ingress.close(leg, "busy", then_die=True)


async def died_closing(world: World, call: Call) -> None:
    (leg,) = world.ingress.legs
    await world.ingress.close(leg, "hangup", then_die=True)


async def operator(world: World, call: Call) -> None:
    await world.office.hang_up(call.sid)


async def hung_up_on_the_dead(world: World, call: Call) -> None:
    world.ingress.die()
    await call.hang_up()


async def offered_in_vain(world: World, call: Call) -> None:
    world.ingress.die()
    await world.office.until_written(call.sid, e.Resuming)
    await call.hang_up()


@pytest.mark.parametrize("callbacks", [True, False], ids=["told by twilio", "nobody tells"])
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (hung_up, "caller_hung_up"),
        (socket_broke, "caller_hung_up"),
        (we_hung_up, "assistant_hung_up"),
        (died_closing, "assistant_hung_up"),
        (closed_in_silence, "busy"),
        (operator, "assistant_hung_up"),
        (hung_up_on_the_dead, "caller_hung_up"),
        (offered_in_vain, "lost"),
    ],
)
async def test_every_end_is_written_once(
    world: World, how: Callable[[World, Call], Any], reason: str, callbacks: bool
) -> None:
    if not callbacks:
        world.office.twilio.account.status_callback = None
    call = await world.talking()
    await how(world, call)
    assert (await world.ended(call)).reason == reason
    await call.ended(TIMEOUT)
    if callbacks:
        await world.office.until_written(call.sid, e.StatusChanged)
    assert len(await world.written(call, e.CallEnded)) == 1


@pytest.mark.parametrize("closes", [False, True], ids=["lost", "closed"])
async def test_an_end_that_nobody_tells_is_in_the_log_within_5_s(
    world: World, monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    """With the times that are shipped: the ingress is dead and Twilio calls nobody back."""
    monkeypatch.undo()
    world.office.twilio.account.status_callback = None
    call = await world.talking()
    if closes:
        (leg,) = world.ingress.legs
        await world.ingress.close(leg, "hangup", then_die=True)
    world.ingress.die()
    began = asyncio.get_running_loop().time()
    await call.hang_up()
    reason = (await world.ended(call)).reason
    assert reason == ("assistant_hung_up" if closes else "caller_hung_up")
    assert asyncio.get_running_loop().time() - began < 5.0
