"""Fills a history with many calls, and says how quick its pages are and by which plans.

``.venv/bin/python scripts/bench_history.py [--calls 100000] [--plans]`` starts a PostgreSQL of its
own (or takes ``--database``), makes the calls in the database by generate_series, and asks for
what the pages ask for. Each time is the best and the worst of seven, in ms.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from dashboard.database import Database, opened
from dashboard.history import day_figures, figures
from dashboard.history.export import lines
from dashboard.history.finder import Finder, Place, counting, listing
from dashboard.history.search import Question, question
from runtime.settings import Secret
from testbed import infra
from testbed.migrations import migrate, migrations_table

ROOT = Path(__file__).parents[1]
ZONE = ZoneInfo("Europe/Berlin")
TRIES = 7
FILL = """
INSERT INTO calls (
    call_id, started_at, ended_at, outcome, caller, digits, digits_reversed, called, assistant,
    length_ms, cost_usd, response_ms, tools, last_words, words, score
)
SELECT
    'CA' || md5(n::text), at, at + interval '2 minutes',
    (ARRAY['caller_hung_up', 'caller_hung_up', 'caller_hung_up', 'assistant_hung_up',
        'transferred', 'failed', 'lost', 'busy'])[1 + n % 8],
    '+4930' || lpad((n * 7919 % 10000000)::text, 7, '0'),
    '4930' || lpad((n * 7919 % 10000000)::text, 7, '0'),
    reverse('4930' || lpad((n * 7919 % 10000000)::text, 7, '0')),
    '+15557001122', (ARRAY['front-desk', 'clinic', 'night-line'])[1 + n % 3],
    5000 + n * 37 % 900000, (n % 100) / 1000.0, ARRAY[500 + n % 900, 600 + n % 700, 700 + n % 500],
    CASE WHEN n % 5 = 0 THEN ARRAY['create_task', 'get_tasks'] WHEN n % 997 = 0
        THEN ARRAY['check_order'] ELSE '{}' END,
    said, to_tsvector('simple', said), '<svg></svg>' || repeat(' ', 3000)
FROM (
    SELECT n, timestamptz '2026-11-22 12:00Z' - n * interval '1 day' * $2::float8 / $1 AS at,
        'good morning this is call ' || n || ' please move my appointment to next thursday '
        || CASE WHEN n % 3 = 0 THEN 'and order a pizza ' ELSE '' END
        || CASE WHEN n % 5000 = 0 THEN 'with aubergine ' ELSE '' END
        || md5((n % 4000)::text) || ' ' || md5(n::text || 'x') AS said
    FROM generate_series(1, $1::integer) AS n
) AS made
"""
UTTERANCES = """
INSERT INTO call_utterances (call_id, place, party, text)
SELECT call_id, place, CASE WHEN place % 2 = 0 THEN 'caller' ELSE 'assistant' END, last_words
FROM calls CROSS JOIN generate_series(0, 3) AS place
"""
DAYS = 90


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def asked(text: str, **more: str) -> Question:
    day = datetime(2026, 11, 22, tzinfo=UTC).date()
    return question(text, today=day, zone=ZONE, **more)


QUESTIONS = {
    "all calls": asked(""),
    "a day": asked("2026-11-03"),
    "a month": asked("2026-10"),
    "a whole number": asked("+49300007919"),
    "its last four digits": asked("7919"),
    "its beginning": asked("+49300007"),
    "a common word": asked("pizza"),
    "a rare word": asked("aubergine"),
    "a common and a rare word": asked("thursday aubergine"),
    "a phrase": asked('"order a pizza"'),
    "a word nobody said": asked("zeppelin"),
    "a common tool": asked("create_task"),
    "a rare tool": asked("check_order"),
    "an outcome": asked("", outcome="lost"),
    "a length": asked("", length="short"),
    "a word, a tool, an outcome": asked("pizza get_tasks", outcome="failed"),
    "an assistant": asked("", who="clinic"),
}


async def fill(dsn: str, calls: int) -> None:
    connection: Any = await asyncpg.connect(dsn)
    try:
        await connection.execute(FILL, calls, DAYS, timeout=600)
        await connection.execute(UTTERANCES, timeout=600)
        for table in ("calls", "call_utterances"):
            await connection.execute(f"VACUUM ANALYZE {table}", timeout=600)
    finally:
        await connection.close()


async def timed(work: Callable[[], Awaitable[Any]]) -> tuple[float, float, Any]:
    """Best and worst ms of TRIES, and the last result; once before, to warm up."""
    result = await work()
    times: list[float] = []
    for _ in range(TRIES):
        began = time.perf_counter()
        result = await work()
        times.append((time.perf_counter() - began) * 1000)
    return min(times), max(times), result


async def plan(db: Database, statement: str, values: list[Any]) -> str:
    async with db.transaction(30) as connection:
        await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, BUFFERS) {statement}", *values)
    return "\n".join(f"      {row['QUERY PLAN']}" for row in rows)


async def measure(db: Database, *, plans: bool) -> None:
    async def page(asked: Question, after: Place | None = None) -> Any:
        async with db.transaction(30) as connection:
            finder = Finder(connection)
            found, _ = await finder.page(asked, after)
            await finder.facets(asked)
            await finder.excerpts(found, asked.words)
            await finder.assistants()
            return found

    say("a page of /history: 50 calls, facets, excerpts, assistants; ms best / worst")
    for name, asked in QUESTIONS.items():
        best, worst, found = await timed(lambda asked=asked: page(asked))
        say(f"  {name:28} {best:7.1f} / {worst:7.1f}   {len(found):3} calls")
        if plans:
            say(await plan(db, *listing(asked, None, most=50)))
            say(await plan(db, *counting(asked)))
    deep = Place(datetime(2026, 8, 27, tzinfo=UTC), "CA" + "0" * 32)
    best, worst, found = await timed(lambda: page(QUESTIONS["all calls"], deep))
    say(f"  {'the last pages':28} {best:7.1f} / {worst:7.1f}   {len(found):3} calls")
    if plans:
        say(await plan(db, *listing(QUESTIONS["all calls"], deep, most=50)))

    async def days(n: int) -> Any:
        last = datetime(2026, 11, 22, tzinfo=UTC).date()
        first, last = figures.days(last.fromordinal(last.toordinal() - n + 1), last, last)
        async with db.transaction(30) as connection:
            return await day_figures.between(connection, first, last, ZONE)

    for n in (14, 90):
        best, worst, rows = await timed(lambda n=n: days(n))
        say(f"  figures of {n:2} days{'':11} {best:7.1f} / {worst:7.1f}   {len(rows):3} rows")

    began, rows, place = time.perf_counter(), 0, None
    while rows < 50_000:
        async with db.transaction(30) as connection:
            found, place = await Finder(connection).page(
                QUESTIONS["all calls"], place, most=1000, scores=False
            )
        lines(found, reveal=False)
        rows += len(found)
        if place is None:
            break
    say(f"  CSV of {rows} calls: {time.perf_counter() - began:.1f} s")


async def run(calls: int, database: str | None, folder: Path, *, plans: bool) -> None:
    async with infra.postgres(database, folder / "data") as server:
        dsn = await server.create_database(f"bench_{os.getpid()}")
        folders = ROOT / "services/dashboard/migrations"
        await migrate(dsn, folders, table=migrations_table("dashboard"))
        began = time.perf_counter()
        await fill(dsn, calls)
        say(f"{calls} calls over {DAYS} days made in {time.perf_counter() - began:.0f} s")
        async with opened(Secret(dsn), size=2) as db:
            await measure(db, plans=plans)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--database", help="a server that may create databases, as a URL")
    parser.add_argument("--plans", action="store_true", help="also print EXPLAIN ANALYZE of each")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="trunkline-bench-"))
    folder.chmod(0o711)
    try:
        asyncio.run(run(given.calls, given.database, folder, plans=given.plans))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
