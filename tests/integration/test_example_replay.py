"""examples/replay: a second group of consumers reads the log from a point in time on, as the user
``subscriber`` of a server with our permissions; its members are killed, and nothing is lost or
counted twice.
"""

import asyncio
import datetime
import json
import secrets
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from locked_nats import LockedNats
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from testbed.layout import tool_environment
from testbed.process import Process, run

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples/replay/member.py"
GOLDENS = {
    file.stem.removeprefix("event."): json.loads(file.read_text("utf-8"))
    for file in sorted((ROOT / "libs/protocol/examples").glob("event.*.json"))
    if file.stem.count(".") == 1
}
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
async def locked(tmp_path_factory) -> AsyncIterator[LockedNats]:
    server = LockedNats(tmp_path_factory.mktemp("locked"))
    await server.process.start()
    await server.process.saw("Server is ready", 20)
    yield server
    await server.process.stop(10)


@pytest.fixture(scope="module")
async def log(locked) -> AsyncIterator[JetStreamContext]:
    client = await locked.connect("admin")
    stream = client.jetstream()
    await stream.add_stream(name="CALLS", subjects=["call.*.log.*"])
    yield stream
    await client.close()


async def written(log: JetStreamContext, calls: int) -> list[int]:
    """The sequences of calls that hold every event once, and one whose name nobody knows."""
    sequences: list[int] = []
    for _ in range(calls):
        call = f"CA{secrets.token_hex(16)}"
        for name in [*GOLDENS, "of_a_newer_version"]:
            event = GOLDENS.get(name, {"at": "2026-03-01T00:00:00Z", "event": name})
            event = event | {"id": secrets.token_hex(12), "call_id": call}
            ack = await log.publish(f"call.{call}.log.{name}", json.dumps(event).encode())
            sequences.append(ack.seq)
    return sequences


def member(locked: LockedNats, store: Path, group: str, since: datetime.datetime) -> Process:
    argv = [sys.executable, PROGRAM, group, "--since", since.isoformat(), "--store", store]
    env = tool_environment(locked.url("subscriber", "nats"))
    return Process(group, [str(part) for part in argv], env=env)


def rows(store: Path, query: str) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(store, timeout=30)
    try:
        return database.execute(query).fetchall()
    except sqlite3.OperationalError:  # no table: no member has begun
        return []
    finally:
        database.close()


def kept(store: Path) -> list[int]:
    return [row[0] for row in rows(store, "select sequence from events order by sequence")]


async def complete(store: Path, wanted: list[int]) -> None:
    """Wait until exactly these are kept."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while kept(store) != wanted:
                await asyncio.sleep(0.02)
    except TimeoutError:
        found = set(kept(store))
        pytest.fail(f"missing {sorted(set(wanted) - found)}, not asked {found - set(wanted)}")


async def until_group(log: JetStreamContext, group: str) -> None:
    """Wait until a member made the group."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await log.consumer_info("CALLS", group)
            except NotFoundError:
                await asyncio.sleep(0.05)
            else:
                return


async def settled(log: JetStreamContext, store: Path, group: str, wanted: list[int]) -> int:
    """Wait until every event is kept or lies with a member that does not answer; how many do."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            place = await log.consumer_info("CALLS", group)
            lying = len(wanted) - len(kept(store))
            if (place.num_pending, place.num_ack_pending) == (0, lying):
                return lying
            await asyncio.sleep(0.05)


async def test_a_group_shares_the_log_and_survives_the_death_of_a_member(
    log, locked, tmp_path
) -> None:
    await written(log, 2)  # before the point in time: nobody's business
    await asyncio.sleep(0.01)
    since = datetime.datetime.now(datetime.UTC)
    await asyncio.sleep(0.01)
    wanted = await written(log, 5)
    store = tmp_path / "audit.sqlite"
    one, two = (member(locked, store, "audit", since) for _ in range(2))
    try:
        await one.start()
        await two.start()
        await complete(store, wanted)

        # Frozen while it waits for more: the server gives it some all the same.
        async with asyncio.timeout(PATIENCE_S):
            while (await log.consumer_info("CALLS", "audit")).num_waiting != 2:
                await asyncio.sleep(0.05)
        one.suspend()
        for _ in range(20):
            wanted += await written(log, 2)
            if await settled(log, store, "audit", wanted):
                break
        else:
            pytest.fail("the frozen member was given nothing")
        one.kill()
        await one.wait()
        await complete(store, wanted)
        assert two.running

        # The same for both at once, and members that come new.
        two.kill()
        await two.wait()
        wanted += await written(log, 1)
        one, two = (member(locked, store, "audit", since) for _ in range(2))
        await one.start()
        await two.start()
        await complete(store, wanted)
    finally:
        for process in (one, two):
            process.kill()
            await process.wait()
    ((events, usd),) = rows(store, "select sum(events), sum(usd) from days")
    calls = len(wanted) // (len(GOLDENS) + 1)
    assert events == len(wanted), "each counted once"
    assert usd == pytest.approx(calls * GOLDENS["usage_reported"]["cost_usd"])
    assert len(rows(store, "select distinct member from events")) >= 2

    report = await run(
        "report",
        [sys.executable, PROGRAM, "audit", "--store", store, "--report"],
        env=tool_environment("nats://nobody.is.asked"),
    )
    assert report.returncode == 0, report.tail()
    assert len(report.lines) == calls
    reason, tool = GOLDENS["call_ended"]["reason"], GOLDENS["tool_returned"]["outcome"]
    for line in report.lines:
        assert f"  {reason}  turns: 1  tools: {tool}  $" in line


async def test_a_group_of_another_name_gets_everything_again(log, locked, tmp_path) -> None:
    since = datetime.datetime.now(datetime.UTC)
    await asyncio.sleep(0.01)
    wanted = await written(log, 2)
    stores = [tmp_path / "first.sqlite", tmp_path / "second.sqlite"]
    members = [member(locked, store, store.stem, since) for store in stores]
    try:
        for process, store in zip(members, stores, strict=True):
            await process.start()
            await complete(store, wanted)
    finally:
        for process in members:
            process.kill()
            await process.wait()


async def test_what_a_member_dies_over_is_done_by_another(log, locked, tmp_path) -> None:
    """It has the events, cannot keep them yet, and is killed: they must not be acknowledged."""
    since = datetime.datetime.now(datetime.UTC)
    store = tmp_path / "held.sqlite"
    first, second = (member(locked, store, "held", since) for _ in range(2))
    try:
        await first.start()
        await until_group(log, "held")
        lock = sqlite3.connect(store, timeout=30, isolation_level=None)
        lock.execute("begin immediate")
        wanted = await written(log, 1)
        async with asyncio.timeout(PATIENCE_S):
            while not (await log.consumer_info("CALLS", "held")).num_ack_pending:
                await asyncio.sleep(0.05)
        first.kill()
        await first.wait()
        lock.execute("rollback")
        lock.close()
        await second.start()
        await complete(store, wanted)
    finally:
        for process in (first, second):
            if process.running:
                process.kill()
                await process.wait()


async def test_an_event_that_comes_again_counts_once(log, locked, tmp_path) -> None:
    """Killed between its commit and its acknowledgement: the events are there, and come again."""
    since = datetime.datetime.now(datetime.UTC)
    await asyncio.sleep(0.01)
    wanted = await written(log, 1)
    store = tmp_path / "again.sqlite"
    first = member(locked, store, "again", since)
    await first.start()
    await complete(store, wanted)
    first.kill()
    await first.wait()
    second = member(locked, store, "once-more", since)  # another place in the log, one memory
    await second.start()
    try:
        await second.saw(f"up to {wanted[-1]}", PATIENCE_S)
    finally:
        second.kill()
        await second.wait()
    assert rows(store, "select sum(events) from days") == [(len(wanted),)]
