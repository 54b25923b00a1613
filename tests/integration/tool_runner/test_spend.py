"""The day's spend: one number for all who add, once a key, by UTC day."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from protocol.callers import AdmitCall, DaySpend, PinState, SetPin, Spend, VerifyPin
from protocol.ids import CallerId, EventId, new_call_id, new_event_id
from runtime.errors import Refused
from runtime.micro import Request
from runtime.service import Shutdown
from runtime.settings import Secret
from testbed.migrations import migrate, migrations_table
from testbed.postgres import Postgres
from tool_runner import database as databases
from tool_runner.database import Database
from tool_runner.spend.ledger import Ledger, Spending

ASKED = Request("callers.spend", b"", {})


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    async with databases.connect(Secret(dsn), size=10, wait_s=5, shutdown=Shutdown()) as found:
        yield found


async def test_amounts_add_up_exactly_and_nothing_only_asks(runner: Any) -> None:
    async def spend(usd: float, key: str | None = None) -> float:
        asked = Spend(EventId(key or new_event_id()), usd)
        day: DaySpend = await runner.ask("callers.spend", asked, DaySpend)
        return day.usd

    assert await spend(0) == 0
    assert await spend(0.1) == 0.1
    assert await spend(0.2) == 0.3
    assert await spend(3.2e-06, "once") == 0.3000032
    assert await spend(3.2e-06, "once") == 0.3000032
    assert await spend(99, "once") == 0.3000032, "the first amount stands"
    assert await spend(0) == 0.3000032
    assert await runner.sql("SELECT count(*) FROM spend_entries") == 3, "asking leaves nothing"


async def test_many_adders_at_once_lose_nothing(serve: Any, dsn: str) -> None:
    async with serve(dsn) as one, serve(dsn) as _two:
        keys = [new_event_id() for _ in range(50)]
        await asyncio.gather(
            *(one.ask("callers.spend", Spend(key, 0.01), DaySpend) for key in (*keys, *keys))
        )
        total = await one.ask("callers.spend", Spend(new_event_id()), DaySpend)
    assert total == DaySpend(0.5)


async def test_a_new_utc_day_begins_at_zero_and_a_repeat_stays_in_the_old_one(
    db: Database,
) -> None:
    now = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    ledger = Ledger(db, lambda: now)
    key = new_event_id()
    assert await ledger.spend(Spend(key, 1.5), ASKED) == DaySpend(1.5)
    now += timedelta(seconds=1)
    assert await ledger.spend(Spend(key, 1.5), ASKED) == DaySpend(0.0)
    assert await ledger.spend(Spend(new_event_id(), 0.25), ASKED) == DaySpend(0.25)
    now -= timedelta(seconds=1)
    assert await ledger.spend(Spend(new_event_id()), ASKED) == DaySpend(1.5)


@pytest.mark.parametrize(
    ("key", "usd"), [("k", -0.01), ("k", 1e300), ("k", float("nan")), ("", 1.0), ("a b", 1.0)]
)
async def test_what_cannot_be_spent_is_refused(db: Database, key: str, usd: float) -> None:
    ledger = Ledger(db)
    with pytest.raises(Refused) as refused:
        await ledger.spend(Spend(EventId(key), usd), ASKED)
    assert refused.value.code == 400
    assert await ledger.spend(Spend(new_event_id()), ASKED) == DaySpend(0.0)


async def test_old_keys_are_forgotten_and_totals_are_not(runner: Any, db: Database) -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    ledger = Ledger(db, lambda: day)
    await ledger.spend(Spend(EventId("old"), 1.0), ASKED)
    await ledger.spend(Spend(EventId("new"), 2.0), ASKED)
    await runner.sql(
        "UPDATE spend_entries SET created_at = now() - interval '31 days' WHERE key = 'old'"
    )
    async with db.transaction(10) as connection:
        await Spending(connection).forget(30)
    assert await runner.sql("SELECT key FROM spend_entries") == "new"
    assert await ledger.spend(Spend(new_event_id()), ASKED) == DaySpend(3.0)


async def test_without_its_database_every_callers_request_is_503(
    server_folder: Any, serve: Any, migrations: Any
) -> None:
    server = await Postgres.start(server_folder / f"own-{new_event_id()}")
    try:
        await migrate(server.dsn, migrations, table=migrations_table("tool-runner"))
        async with serve(server.dsn) as runner:
            caller, call = await runner.caller("+15550100001"), new_call_id()
            key = new_event_id()
            await runner.ask("callers.spend", Spend(key, 1.0), DaySpend)
            await server.stop()
            for verb, asked in (
                ("verify_pin", VerifyPin("+15550100001", call, "1234", new_event_id())),
                ("pin_state", PinState("+15550100001")),
                ("set_pin", SetPin(CallerId(caller), "1234")),
                ("admit", AdmitCall(call, "+15550100001")),
                ("spend", Spend(key, 1.0)),
            ):
                with pytest.raises(Refused) as refused:
                    await runner.ask(f"callers.{verb}", asked, Any)
                assert (refused.value.code, refused.value.description) == (
                    *(503, "the database is away"),
                )
            await server.restart()
            async with asyncio.timeout(20):
                while runner.health.failing():
                    await asyncio.sleep(0.01)
            assert await runner.ask("callers.spend", Spend(key, 1.0), DaySpend) == DaySpend(1.0)
    finally:
        await server.stop()
