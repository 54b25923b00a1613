"""PINs against real tables: verdicts, tries, lock-outs, keys, equal work, and digits nowhere."""

import asyncio
import io
import logging as stdlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import structlog
from prometheus_client import REGISTRY

from protocol.callers import (
    NoPin,
    PinAccepted,
    PinLocked,
    PinRejected,
    PinStanding,
    PinState,
    PinVerdict,
    SetPin,
    VerifyPin,
)
from protocol.ids import CallerId, CallId, EventId, new_call_id, new_event_id
from runtime import logging
from runtime.errors import Refused
from runtime.micro import Request
from runtime.service import Shutdown
from runtime.settings import Secret
from tool_runner import database as databases
from tool_runner.callers.repository import Callers
from tool_runner.database import Database
from tool_runner.pins import hasher as hashers
from tool_runner.pins.gate import Gate
from tool_runner.pins.hasher import hashing
from tool_runner.pins.repository import Pins

NUMBER, OTHER = "+15550100001", "+15550100002"
PIN = "730418"
ASKED = Request("callers.verify_pin", b"", {})


@pytest.fixture(autouse=True)
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cheap hashes, and every text that argon2 was asked to compare."""
    monkeypatch.setattr(hashers, "MEMORY_KIB", 8)
    monkeypatch.setattr(hashers, "PASSES", 1)
    seen: list[str] = []
    verify = hashers.PasswordHasher.verify

    def counted(self: Any, hash: str, password: str) -> bool:
        seen.append(password)
        return verify(self, hash, password)

    monkeypatch.setattr(hashers.PasswordHasher, "verify", counted)
    return seen


class World:
    """A gate with a clock that is moved by hand."""

    def __init__(self, db: Database, hasher: hashers.Hasher) -> None:
        self.db = db
        self.now = datetime(2026, 7, 1, 12, tzinfo=UTC)
        self.gate = Gate(db, hasher, lambda: self.now)

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def caller(self, number: str = NUMBER, pin: str | None = PIN) -> CallerId:
        async with self.db.transaction(10) as connection:
            caller = await Callers(connection).identify(number, "UTC")
        await self.gate.set(SetPin(caller.caller_id, pin), ASKED)
        return caller.caller_id

    async def guess(
        self,
        digits: str,
        *,
        number: str = NUMBER,
        call: CallId | None = None,
        key: EventId | None = None,
    ) -> PinVerdict:
        """A guess, in a call of its own and under a fresh key unless they are given."""
        asked = VerifyPin(number, call or new_call_id(), digits, key or new_event_id())
        return await self.gate.verify(asked, ASKED)

    async def standing(self, number: str = NUMBER) -> PinStanding:
        return await self.gate.state(PinState(number), ASKED)


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with (
        databases.connect(Secret(dsn), size=10, wait_s=5, shutdown=Shutdown()) as db,
        hashing() as hasher,
    ):
        yield World(db, hasher)


async def test_every_verdict_over_the_bus(runner: Any) -> None:
    caller = await runner.caller(NUMBER)
    call = new_call_id()

    async def guess(digits: str, number: str = NUMBER) -> PinVerdict:
        asked = VerifyPin(number, call, digits, new_event_id())
        verdict: PinVerdict = await runner.ask("callers.verify_pin", asked, PinVerdict)
        return verdict

    async def standing(number: str = NUMBER) -> PinStanding:
        found: PinStanding = await runner.ask("callers.pin_state", PinState(number), PinStanding)
        return found

    assert await standing() == PinStanding(False)
    assert await guess(PIN) == NoPin()
    call = new_call_id()
    assert await runner.ask("callers.set_pin", SetPin(caller, PIN), PinStanding) == PinStanding(
        True
    )
    assert await standing() == PinStanding(True)
    assert await guess("0000") == PinRejected(2)
    assert await guess(PIN) == PinAccepted(caller)
    call = new_call_id()
    assert [await guess("0000") for _ in range(3)] == [PinRejected(n) for n in (2, 1, 0)]
    call = new_call_id()
    assert [await guess("0000") for _ in range(2)] == [PinRejected(2), PinLocked(60)]
    locked = await guess(PIN)
    assert isinstance(locked, PinLocked)
    assert 0 < locked.seconds <= 60
    assert 0 < (await standing()).locked_s <= 60
    assert await guess(PIN, OTHER) == NoPin()
    assert await standing(OTHER) == PinStanding(False)
    assert await runner.ask("callers.set_pin", SetPin(caller, None), PinStanding) == PinStanding(
        False
    )
    assert await guess(PIN) == NoPin()


async def test_a_call_has_three_tries_and_the_right_pin_is_too_late_after_them(
    world: World, compared: list[str]
) -> None:
    caller = await world.caller()
    call = new_call_id()
    verdicts = [await world.guess(wrong, call=call) for wrong in ("1111", "2222", "3333")]
    assert verdicts == [PinRejected(2), PinRejected(1), PinRejected(0)]
    assert await world.guess(PIN, call=call) == PinRejected(0)
    assert PIN not in compared
    assert await world.guess(PIN) == PinAccepted(caller), "another call has its own tries"


@pytest.mark.parametrize(
    "typed", ["", "*", "123", "123456789", "12a4", "١٢٣٤", "\0" * 6, "9" * 10_000]
)
async def test_what_is_no_pin_is_wrong_and_harms_nothing(
    world: World, compared: list[str], typed: str
) -> None:
    caller = await world.caller()
    call = new_call_id()
    assert await world.guess(typed, call=call) == PinRejected(2)
    assert compared == [""], "the same work as for a PIN, whatever was typed"
    assert await world.guess(PIN, call=call) == PinAccepted(caller)


async def test_lock_outs_grow_over_calls_and_a_right_pin_forgives(world: World) -> None:
    caller = await world.caller()
    for _ in range(4):
        assert await world.guess("0000") == PinRejected(2)
    for seconds in (60, 300, 900, 3600, 3600):
        assert await world.guess("0000") == PinLocked(seconds)
        assert await world.standing() == PinStanding(True, seconds)
        world.pass_s(seconds - 0.5)
        assert await world.standing() == PinStanding(True, 1)
        world.pass_s(0.5)
        assert await world.standing() == PinStanding(True, 0)
    assert await world.guess(PIN) == PinAccepted(caller)
    for _ in range(4):
        assert await world.guess("0000") == PinRejected(2)
    assert await world.guess("0000") == PinLocked(60)
    assert await world.guess(PIN, number=OTHER) == NoPin(), "locks are the number's"


async def test_a_guess_while_locked_is_counted_not_compared_and_prolongs_nothing(
    world: World, compared: list[str]
) -> None:
    await world.caller()
    for _ in range(5):
        await world.guess("0000")
    compared.clear()
    world.pass_s(20)
    assert await world.guess(PIN) == PinLocked(40)
    assert compared == []
    assert await world.standing() == PinStanding(True, 40)
    world.pass_s(40)
    assert await world.guess("0000") == PinLocked(900), "the seventh failure, not the sixth"


async def test_setting_a_pin_ends_the_lock_out(world: World) -> None:
    caller = await world.caller()
    for _ in range(5):
        await world.guess("0000")
    await world.gate.set(SetPin(caller, "4711"), ASKED)
    assert await world.standing() == PinStanding(True, 0)
    assert await world.guess(PIN) == PinRejected(2), "the old one is void"
    assert await world.guess("4711") == PinAccepted(caller)


async def test_a_repeat_under_one_key_counts_once_and_says_the_same(
    world: World, compared: list[str]
) -> None:
    caller = await world.caller()
    call, key = new_call_id(), new_event_id()
    for _ in range(9):
        assert await world.guess("0000", call=call, key=key) == PinRejected(2)
    assert await world.guess(PIN, call=call, key=key) == PinRejected(2), "the first one stands"
    assert compared == ["0000"]
    assert await world.guess("1111", call=call) == PinRejected(1)
    key = new_event_id()
    assert await world.guess(PIN, call=call, key=key) == PinAccepted(caller)
    world.pass_s(9_999)
    assert await world.guess(PIN, call=call, key=key) == PinAccepted(caller)
    for again in ({"number": OTHER, "call": call}, {"call": new_call_id()}):
        with pytest.raises(Refused) as refused:
            await world.guess(PIN, key=key, **again)  # type: ignore[arg-type]
        assert refused.value.code == 409


async def test_one_key_asked_twenty_times_at_once_is_one_guess(world: World) -> None:
    await world.caller()
    call, key = new_call_id(), new_event_id()
    digits = ["0000", PIN] * 10
    verdicts = await asyncio.gather(*(world.guess(guess, call=call, key=key) for guess in digits))
    assert len(set(verdicts)) == 1, "however many compared, one verdict is given away"
    if isinstance(verdicts[0], PinRejected):
        assert verdicts[0] == PinRejected(2)
    assert await world.guess("1111", call=call) in (PinRejected(1), PinRejected(2))


async def test_a_guess_cut_off_before_its_verdict_stays_counted_and_is_judged_when_repeated(
    world: World,
) -> None:
    caller = await world.caller()
    call, key = new_call_id(), new_event_id()
    async with world.db.transaction(10) as connection:
        cut_off = VerifyPin(NUMBER, call, PIN, key)
        await Pins(connection).claim(cut_off, NUMBER, world.now)
    assert await world.guess("0000", call=call) == PinRejected(1), "it was counted"
    assert await world.guess(PIN, call=call, key=key) == PinAccepted(caller)


async def test_twenty_guesses_at_once_count_as_twenty(
    world: World, runner: Any, compared: list[str]
) -> None:
    await world.caller()
    guesses = [f"{n:04}" for n in range(20)]
    verdicts = await asyncio.gather(*(world.guess(guess) for guess in guesses))
    assert sorted(compared) == sorted(set(compared))
    assert len(compared) == 5, "the fifth failure locks; nothing is compared behind it"
    assert verdicts.count(PinRejected(2)) == 4
    assert verdicts.count(PinLocked(60)) == 16
    assert await runner.sql("SELECT failures FROM pin_failures") == 20
    assert await runner.sql("SELECT count(*) FROM pin_attempts WHERE verdict IS NOT NULL") == 20
    world.pass_s(60)
    assert await world.guess("0000") == PinLocked(3600)


async def test_twenty_guesses_at_once_in_one_call_have_three_tries(
    world: World, compared: list[str]
) -> None:
    await world.caller()
    call = new_call_id()
    await asyncio.gather(*(world.guess(f"{n:04}", call=call) for n in range(20)))
    assert len(compared) == 3


async def test_the_same_work_is_done_with_and_without_a_pin(
    world: World, compared: list[str]
) -> None:
    await world.caller()
    await world.caller(OTHER, None)
    for number in (NUMBER, OTHER, "+15550100099"):
        for typed in ("0000", "*"):
            compared.clear()
            await world.guess(typed, number=number)
            assert len(compared) == 1


async def test_numbers_without_a_pin_are_never_locked(world: World) -> None:
    call = new_call_id()
    assert [await world.guess("0000", call=call) for _ in range(9)] == [NoPin()] * 9
    assert await world.standing() == PinStanding(False, 0)


async def test_what_cannot_be_a_request_is_refused_without_its_digits(runner: Any) -> None:
    caller = await runner.caller(NUMBER)
    call, key = new_call_id(), new_event_id()
    for subject, asked, code in (
        ("verify_pin", VerifyPin("", call, PIN, key), 400),
        ("verify_pin", VerifyPin(NUMBER, CallId("call"), PIN, key), 400),
        ("verify_pin", VerifyPin(NUMBER, call, PIN, EventId("")), 400),
        ("verify_pin", {"number": NUMBER, "call": call, "digits": int(PIN), "key": key}, 400),
        ("verify_pin", {"number": NUMBER, "digits": PIN}, 400),
        ("set_pin", SetPin(caller, PIN + PIN), 400),
        ("set_pin", SetPin(caller, ""), 400),
        ("set_pin", SetPin(CallerId("nobody"), PIN), 404),
        ("pin_state", PinState("x" * 200), 400),
    ):
        with pytest.raises(Refused) as refused:
            await runner.ask(f"callers.{subject}", asked, Any)
        assert refused.value.code == code
        assert PIN not in str(refused.value)
    assert await runner.sql("SELECT count(*) FROM pin_attempts") == 0


async def everything(dsn: str) -> str:
    """Every row of every table, as text."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        rows = [
            await connection.fetch(f"SELECT t::text FROM {table['tablename']} AS t")
            for table in tables
        ]
    finally:
        await connection.close()
    return "\n".join(row["t"] for found in rows for row in found)


async def test_digits_are_in_no_table_log_or_event(
    serve: Any, dsn: str, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    root = stdlib.getLogger()
    before = (root.handlers[:], root.level)
    structlog.reset_defaults()
    logging.configure("tool-runner", fmt="json", level="debug")
    structlog.configure(cache_logger_on_first_use=False)
    heard: list[bytes] = []

    async def hear(message: Any) -> None:
        if not message.subject.startswith(("callers.", "_INBOX.", "$SRV")):
            heard.append(message.data)

    try:
        async with serve(dsn) as runner:
            listening = await runner.bus.subscribe(">", hear)
            await runner.bus.settle()
            caller, call = await runner.caller(NUMBER), new_call_id()
            await runner.ask("callers.set_pin", SetPin(caller, PIN), PinStanding)
            for asked in (
                VerifyPin(NUMBER, call, PIN, new_event_id()),
                VerifyPin(NUMBER, call, "0" + PIN, new_event_id()),
                VerifyPin(NUMBER, call, PIN + PIN, new_event_id()),
                VerifyPin(OTHER, call, PIN, new_event_id()),
            ):
                await runner.ask("callers.verify_pin", asked, PinVerdict)

            def fail(*_: Any) -> Any:
                raise RuntimeError("argon2 is out of memory")

            monkeypatch.setattr(hashers.PasswordHasher, "verify", fail)
            asked = VerifyPin(NUMBER, new_call_id(), PIN, new_event_id())
            with pytest.raises(Refused) as refused:
                await runner.ask("callers.verify_pin", asked, PinVerdict)
            assert (refused.value.code, PIN in str(refused.value)) == (500, False)
            await runner.tool("get_tasks", {"period": "today"}, caller)
            await listening.stop()
            stored = await everything(dsn)
    finally:
        root.handlers, level = before
        root.setLevel(level)
        structlog.reset_defaults()
    assert "endpoint failed" in written.getvalue()
    assert "$argon2id$" in stored
    assert PIN not in written.getvalue()
    assert PIN not in stored
    assert NUMBER in stored, "the tables were looked into"
    assert not any(PIN.encode() in data for data in heard)


async def test_a_database_that_is_away_is_503_and_the_guess_can_be_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = await world.caller()
    call, key = new_call_id(), new_event_id()
    settle = Pins.settle

    async def away(*_: Any, **__: Any) -> PinVerdict:
        raise OSError("connection reset")

    monkeypatch.setattr(Pins, "settle", away)
    with pytest.raises(Refused) as refused:
        await world.guess(PIN, call=call, key=key)
    assert refused.value.code == 503
    monkeypatch.setattr(Pins, "settle", settle)
    assert await world.guess(PIN, call=call, key=key) == PinAccepted(caller)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"trunkline_{name}_total", labels) or 0.0


async def test_verdicts_and_lock_outs_are_counted(world: World) -> None:
    def now() -> list[float]:
        verdicts = ("accepted", "rejected", "locked", "none")
        seen = [counted("pin_verdicts", verdict=verdict) for verdict in verdicts]
        return [*seen, counted("pin_lockouts", seconds="60")]

    before = now()
    await world.caller()
    for _ in range(4):
        await world.guess("0000")
    await world.guess(PIN)
    for _ in range(6):
        await world.guess("0000")
    await world.guess(PIN, number=OTHER)
    assert [b - a for a, b in zip(before, now(), strict=True)] == [1, 8, 2, 1, 1]


async def test_old_guesses_are_forgotten_and_failures_are_not(world: World, runner: Any) -> None:
    await world.caller()
    for _ in range(2):
        await world.guess("0000")
    await runner.sql(
        "UPDATE pin_attempts SET created_at = now() - interval '31 days'"
        " WHERE key = (SELECT min(key) FROM pin_attempts)"
    )
    async with world.db.transaction(10) as connection:
        await Pins(connection).forget(30)
    assert await runner.sql("SELECT count(*) FROM pin_attempts") == 1
    assert await runner.sql("SELECT failures FROM pin_failures") == 2
