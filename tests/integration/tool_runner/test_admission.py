"""Calls of a number: at once, a day, once a call, and how they end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from protocol import subjects
from protocol.callers import Admission, AdmitCall, Admitted, NotAdmitted
from protocol.events import CallEnded
from protocol.ids import CallId, new_call_id, new_event_id
from runtime import bus as nats
from runtime import clock
from runtime.calllog import CallLog
from runtime.errors import NatsAway, Refused
from runtime.micro import Request
from runtime.outbox import publish
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings, Secret
from tool_runner import database as databases
from tool_runner.admission.door import Door
from tool_runner.admission.repository import Admissions
from tool_runner.callers.repository import Callers
from tool_runner.database import Database

NUMBER, OTHER = "+15550100001", "+15550100002"
ASKED = Request("callers.admit", b"", {})


class World:
    """A door with a clock that is moved by hand."""

    def __init__(self, db: Database, bus: nats.Bus) -> None:
        self.db = db
        self.bus = bus
        self.now = datetime(2026, 7, 1, 12, tzinfo=UTC)
        self.door = Door(db, bus, lambda: self.now)

    async def admit(
        self,
        *,
        call: CallId | None = None,
        number: str = NUMBER,
        at_once: int = 0,
        a_day: int = 0,
    ) -> Admission:
        asked = AdmitCall(call or new_call_id(), number, at_once, a_day)
        return await self.door.admit(asked, ASKED)

    async def end(self, call: CallId) -> None:
        """Write ``call_ended`` into the log, as its writer does."""
        ended = CallEnded(
            call_id=call,
            at=clock.utc_now(),
            id=new_event_id(),
            service="webhooks",
            worker="w",
            reason="hangup",
        )
        await publish(self.bus, ended)

    async def open(self, number: str = NUMBER) -> tuple[CallId, ...]:
        async with self.db.transaction(10) as connection:
            return await Admissions(connection).open(number, self.now)


@pytest.fixture
async def world(dsn: str, nats_server: Any) -> AsyncIterator[World]:
    settings = CommonSettings(nats_url=nats_server.url)
    async with (
        databases.connect(Secret(dsn), size=10, wait_s=5, shutdown=Shutdown()) as db,
        nats.connect(settings, "door", Shutdown()) as bus,
    ):
        await provision(bus, wait_s=10, shutdown=Shutdown())
        yield World(db, bus)


async def test_calls_at_once_and_a_day_are_bounded_by_number(world: World) -> None:
    assert [await world.admit(at_once=2, a_day=3) for _ in range(3)] == [
        *(Admitted(False), Admitted(False), NotAdmitted("at_once"))
    ]
    assert await world.admit(a_day=3) == Admitted(False)
    assert await world.admit(a_day=3) == NotAdmitted("a_day")
    assert await world.admit(number=OTHER, at_once=1, a_day=1) == Admitted(False)
    assert await world.admit() == Admitted(False), "0 is no bound"


async def test_a_call_asked_for_again_counts_once_and_stays_in(world: World) -> None:
    call = new_call_id()
    for _ in range(5):
        assert await world.admit(call=call, at_once=1, a_day=1) == Admitted(False)
    refused = new_call_id()
    for _ in range(2):
        assert await world.admit(call=refused, at_once=1) == NotAdmitted("at_once")
    assert await world.open() == (call,)
    twice = new_call_id()
    answers = await asyncio.gather(*(world.admit(call=twice, at_once=2) for _ in range(10)))
    assert answers == [Admitted(False)] * 10
    assert await world.open() == (call, twice)


async def test_refusals_are_counted_by_reason(world: World) -> None:
    def now() -> list[float]:
        name = "trunkline_admissions_refused_total"
        return [
            REGISTRY.get_sample_value(name, {"reason": reason}) or 0.0
            for reason in ("at_once", "a_day")
        ]

    before = now()
    await world.admit()
    await world.admit(at_once=1)
    await world.admit(a_day=1)
    await world.admit(a_day=1)
    assert [b - a for a, b in zip(before, now(), strict=True)] == [1, 2]


async def test_twenty_calls_at_once_do_not_slip_past_the_bound(world: World) -> None:
    answers = await asyncio.gather(*(world.admit(at_once=3) for _ in range(20)))
    assert answers.count(Admitted(False)) == 3
    assert answers.count(NotAdmitted("at_once")) == 17


async def test_known_is_what_was_known_before_the_call(world: World) -> None:
    call = new_call_id()
    assert await world.admit(call=call) == Admitted(False)
    async with world.db.transaction(10) as connection:
        await Callers(connection).identify(NUMBER, "UTC")
    assert await world.admit(call=call) == Admitted(False)
    assert await world.admit() == Admitted(True)


async def test_the_day_is_utcs(world: World) -> None:
    world.now = datetime(2026, 7, 1, 23, 59, 59, tzinfo=UTC)
    assert await world.admit(a_day=1) == Admitted(False)
    assert await world.admit(a_day=1) == NotAdmitted("a_day")
    world.now += timedelta(seconds=1)
    assert await world.admit(a_day=1) == Admitted(False)


async def test_a_call_nobody_ended_is_open_for_four_hours(world: World) -> None:
    assert await world.admit(at_once=1) == Admitted(False)
    world.now += timedelta(hours=4, seconds=-1)
    assert await world.admit(at_once=1) == NotAdmitted("at_once")
    world.now += timedelta(seconds=1)
    assert await world.admit(at_once=1) == Admitted(False)


async def test_a_call_that_ends_makes_room(world: World, runner: Any) -> None:
    call = new_call_id()

    async def admit(call: CallId) -> Admission:
        asked = AdmitCall(call, NUMBER, at_once=1)
        answer: Admission = await runner.ask("callers.admit", asked, Admission)
        return answer

    assert await admit(call) == Admitted(False)
    assert await admit(new_call_id()) == NotAdmitted("at_once")
    await world.end(call)
    async with asyncio.timeout(20):
        while await runner.sql("SELECT count(*) FROM admitted_calls WHERE ended_at IS NULL"):
            await asyncio.sleep(0.01)
    assert await admit(call) == Admitted(False), "asked for again it does not open again"
    assert await admit(new_call_id()) == Admitted(False)


async def test_an_end_that_was_missed_is_found_in_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, running = new_call_id(), new_call_id()
    await world.admit(call=ended)
    await world.admit(call=running)
    await world.end(ended)  # nobody follows: this world has a door, but does not watch
    assert await world.admit(at_once=2) == Admitted(False)
    assert ended not in await world.open()
    assert await world.admit(at_once=2) == NotAdmitted("at_once")

    async def away(*_: Any, **__: Any) -> None:
        raise NatsAway("the log does not answer")

    await world.end(running)
    monkeypatch.setattr(CallLog, "last", away)
    assert await world.admit(at_once=2) == NotAdmitted("at_once")


async def test_ends_of_strange_calls_and_without_a_database_are_survived(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = new_call_id()
    close, tried = Admissions.close, asyncio.Event()

    async def away(*_: Any, **__: Any) -> None:
        tried.set()
        raise OSError("connection reset")

    async with world.door.watching():
        await world.bus.settle()
        await world.end(new_call_id())
        await world.admit(call=call)
        monkeypatch.setattr(Admissions, "close", away)
        await world.end(call)
        async with asyncio.timeout(20):
            await tried.wait()
        assert await world.open() == (call,)
        monkeypatch.setattr(Admissions, "close", close)
        assert await world.admit(at_once=1) == Admitted(False), "looked up in the log"


@pytest.mark.parametrize(
    "asked", [AdmitCall(CallId("call"), NUMBER), AdmitCall(new_call_id(), " ")]
)
async def test_what_is_no_call_or_number_is_refused(world: World, asked: AdmitCall) -> None:
    with pytest.raises(Refused) as refused:
        await world.door.admit(asked, ASKED)
    assert refused.value.code == 400


async def test_old_calls_are_forgotten(world: World) -> None:
    world.now = clock.utc_now() - timedelta(days=31)
    old = new_call_id()
    await world.admit(call=old)
    world.now = clock.utc_now()
    new = new_call_id()
    await world.admit(call=new)
    async with world.db.transaction(10) as connection:
        await Admissions(connection).forget(30)
        rows = await connection.fetch("SELECT call_id FROM admitted_calls")
    assert [row["call_id"] for row in rows] == [new]


def test_the_end_is_heard_on_the_subject_of_every_call() -> None:
    assert subjects.event(CallId("*"), "call_ended") == "call.*.event.call_ended"
