"""Kept figures say what the calls say, whatever is done to the calls, and by whom."""

import secrets
from collections.abc import AsyncIterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from desk_login import desk_database

from dashboard.database import WITHIN_S, Database, opened
from dashboard.history import day_figures, figures
from dashboard.history.figures import Figure
from runtime.settings import Secret
from testbed.infra import GivenPostgres
from testbed.postgres import Postgres

TODAY = date(2026, 11, 22)
BERLIN = ZoneInfo("Europe/Berlin")
APIA = ZoneInfo("Pacific/Apia")  # a day ahead of most
MADE = """
INSERT INTO calls (call_id, started_at, outcome, assistant, length_ms, cost_usd, response_ms)
SELECT
    'CA' || md5(n::text), timestamptz '2026-11-22 23:00Z' - n * interval '7 hours',
    (ARRAY['caller_hung_up', 'failed'])[1 + n % 2], (ARRAY['desk', 'night'])[1 + n % 2],
    n * 1000, n / 100.0, ARRAY[500 + n, 700]
FROM generate_series(1, $1::integer) AS n
"""


@pytest.fixture
async def db(postgres_server: Postgres | GivenPostgres) -> AsyncIterator[Database]:
    dsn = await postgres_server.create_database(f"figures_{secrets.token_hex(6)}")
    async with opened(Secret(await desk_database(dsn)), size=4) as one:
        async with one.transaction(WITHIN_S) as connection:
            await connection.execute(MADE, 200)
        yield one


async def run(db: Database, statement: str, *values: object) -> int:
    async with db.transaction(WITHIN_S) as connection:
        return await connection.fetchval(statement, *values)


async def both(db: Database, zone: ZoneInfo = BERLIN) -> tuple[list[Figure], list[Figure]]:
    """What the page shows, and what the calls say."""
    first = TODAY - timedelta(days=59)
    async with db.transaction(WITHIN_S) as connection:
        shown = await day_figures.between(connection, first, TODAY, zone)
        return shown, await figures.figures(connection, first, TODAY, zone)


async def keep(db: Database, zone: ZoneInfo = BERLIN) -> int:
    while await day_figures.keep_some(db, zone, TODAY):
        pass
    return await run(db, "SELECT count(*) FROM day_figures WHERE zone = $1", zone.key)


async def test_kept_figures_are_those_of_the_calls(db: Database) -> None:
    shown, said = await both(db)
    assert shown == said, "nothing is kept yet"
    assert await run(db, "SELECT count(*) FROM stale_figures") > 0
    assert await keep(db) == figures.MOST_DAYS
    assert await run(db, "SELECT count(*) FROM stale_figures") == 0
    shown, said = await both(db)
    assert shown == said
    assert len(shown) > 60
    assert await run(db, "SELECT count(*) FROM day_figures WHERE day >= $1", TODAY) == 0


async def test_they_are_what_the_page_shows(db: Database) -> None:
    await keep(db)
    await run(db, "UPDATE day_figures SET figures = '[]'")
    shown, said = await both(db)
    assert {one.day for one in shown} == {TODAY}
    assert len(said) > 60


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE calls SET outcome = 'failed' WHERE started_at < '2026-11-10'",
        "UPDATE calls SET assistant = 'other' WHERE length_ms = 50000",
        "UPDATE calls SET response_ms = '{}', cost_usd = 9 WHERE length_ms < 30000",
        "UPDATE calls SET started_at = started_at - interval '3 days' WHERE length_ms = 60000",
        "DELETE FROM calls WHERE length_ms % 3000 = 0",
        "DELETE FROM calls",
        "INSERT INTO calls (call_id, started_at) VALUES ('CA' || md5('x'), '2026-11-01 12:00Z')",
    ],
)
async def test_whatever_changes_a_call_changes_its_day_at_once(db: Database, change: str) -> None:
    for zone in (BERLIN, APIA):
        await keep(db, zone)
    await run(db, change)
    for zone in (BERLIN, APIA):
        shown, said = await both(db, zone)
        assert shown == said, "before anybody worked the day out anew"
    await keep(db, APIA)
    for zone in (BERLIN, APIA):
        shown, said = await both(db, zone)
        assert shown == said, "what was stale in one zone is so in all"


async def test_a_call_that_is_worked_out_again_and_is_the_same_costs_nothing(db: Database) -> None:
    await keep(db)
    await run(db, "UPDATE calls SET outcome = outcome, length_ms = length_ms, words = 'x'")
    await run(db, "UPDATE calls SET due_at = now()")
    assert await run(db, "SELECT count(*) FROM stale_figures") == 0


async def test_a_change_that_is_not_committed_yet_is_not_lost(db: Database) -> None:
    await keep(db)
    async with db.transaction(WITHIN_S) as writer:
        await writer.execute("UPDATE calls SET outcome = 'failed'")
        await keep(db)
    shown, said = await both(db)
    assert shown == said


async def test_one_desk_at_a_time(db: Database) -> None:
    async with db.transaction(WITHIN_S) as other:
        lock = "SELECT pg_advisory_xact_lock(hashtextextended('trunkline day figures', 0))"
        await other.fetchval(lock)
        assert not await day_figures.keep_some(db, BERLIN, TODAY)
    assert await day_figures.keep_some(db, BERLIN, TODAY)
