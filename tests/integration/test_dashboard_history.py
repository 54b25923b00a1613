"""The history: taken in by desks that share one consumer, rebuilt, searched, exported, aged."""

import asyncio
import csv
import io
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from desk_calls import Writer, call_id, whole_call
from desk_login import OURS, cookies, desk_database, desk_served
from msgspec import structs
from past import Past, count, ended_call, event_of, running, until

from dashboard import metrics
from dashboard.database import opened
from dashboard.history import intake, projection, retention
from dashboard.history.archive import LogOrArchive, rebuild
from dashboard.history.retention import remove_old
from dashboard.live.board import row_of
from dashboard.sound.recording import recorded
from protocol import events as e
from protocol import subjects
from protocol.ids import CallId
from protocol.streams import CALLS
from runtime import bus as nats
from runtime import scan, tracks
from runtime.calllog import CallLog
from runtime.clock import utc_now
from runtime.durable import Delivered, Durable
from runtime.errors import NatsAway
from runtime.provision import provision, provision_recordings
from runtime.service import Shutdown
from runtime.settings import CommonSettings, Secret
from testbed.nats_server import NatsServer

ALL = "SELECT call_id, started_at, outcome, caller, assistant, length_ms, tools, words FROM calls"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A NATS of this test alone: its log is the test's."""
    server = await NatsServer.start(tmp_path / "nats", 0)
    yield server
    await server.stop()


@asynccontextmanager
async def desk(server: NatsServer, dsn: str) -> AsyncGenerator[Past]:
    common = CommonSettings(nats_url=server.url)
    async with (
        nats.connect(common, "past", Shutdown()) as bus,
        opened(Secret(dsn), size=5) as db,
    ):
        await provision(bus, wait_s=20, shutdown=Shutdown())
        yield Past(bus, db, dsn)


@pytest.fixture
async def past(server: NatsServer, database: str) -> AsyncIterator[Past]:
    dsn = await desk_database(database)
    async with desk(server, dsn) as one:
        yield one


def value(result: str) -> float:
    return metrics.history_events.labels(result)._value.get()  # pyright: ignore[reportPrivateUsage]


async def consumer(past: Past) -> Any:
    return await past.bus.jetstream.consumer_info(CALLS.name, intake.CONSUMER)


async def test_two_desks_share_the_work_and_nothing_is_doubled(
    past: Past, server: NatsServer
) -> None:
    calls = [ended_call(n) for n in range(1, 31)]
    async with desk(server, past.dsn) as other:
        works = [running(past), running(other)]
        tasks = [
            asyncio.create_task(work)
            for one, figures in works
            for work in (one.run(figures.came), figures.run())
        ]
        try:
            await past.write(*calls)

            async def done() -> bool:
                ready = "SELECT count(*) FROM calls WHERE outcome <> '' AND due_at IS NULL"
                return await past.sql(ready) == len(calls) and await past.holds(count(calls))

            await until(done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert await past.sql("SELECT count(DISTINCT event_id) FROM call_events") == count(calls)
    assert await past.sql("SELECT count(*) FROM call_utterances") == 2 * len(calls)
    assert await past.sql("SELECT count(*) FROM call_tools") == len(calls)
    consumers = await past.bus.jetstream.consumers_info(CALLS.name)
    assert [one.name for one in consumers] == [intake.CONSUMER]
    assert (await consumer(past)).num_pending == 0


async def test_a_desk_killed_between_commit_and_ack_doubles_nothing(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ended_call(1)
    await past.write(call)
    monkeypatch.setattr(intake, "ACK_WAIT_S", 1.0)
    reached = asyncio.Event()

    async def never(self: Durable, handled: list[Delivered]) -> None:
        reached.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as killed:
        killed.setattr(Durable, "ack", never)
        dying, later = running(past)
        task = asyncio.create_task(dying.run(later.came))
        async with asyncio.timeout(20):
            await reached.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await past.holds(count([call]))
    assert (await consumer(past)).num_ack_pending == count([call])
    before = value("repeated")
    heir, later = running(past)
    task = asyncio.create_task(heir.run(later.came))
    try:

        async def acknowledged() -> bool:
            return (await consumer(past)).num_ack_pending == 0

        await until(acknowledged)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert value("repeated") - before == count([call])
    await past.worked_out()
    assert await past.holds(count([call]))
    assert await past.rows("SELECT party, place FROM call_utterances ORDER BY place") == [
        ("caller", 0),
        ("assistant", 1),
    ]


async def test_what_is_said_gathers_and_an_end_is_worked_out_at_once(past: Past) -> None:
    call = ended_call(1)
    end = call.entries.pop()
    await past.write(call)
    await past.taken_in(count([call]))
    chatter = ended_call(2)
    talk = [x for x in chatter.entries if isinstance(x[1], e.Said)]
    chatter.entries = talk
    await past.write(chatter)
    await past.taken_in_only(count([call, chatter]))
    in_s = "SELECT extract(epoch FROM due_at - now())::float8 FROM calls WHERE call_id = $1"
    assert 20 < await past.sql(in_s, call_id(2)) <= 30
    chatter.entries = [(x, structs.replace(y, id=f"again-{x}")) for x, y in talk]  # type: ignore[type-var]
    call.entries = [end]
    await past.write(call, chatter)
    await past.taken_in_only(len(talk) * 2 + count([ended_call(1)]))
    assert await past.sql(in_s, call_id(1)) <= 1
    assert await past.sql(in_s, call_id(2)) <= 30


async def test_poison_is_skipped_and_counted_and_holds_up_nothing(past: Past) -> None:
    call, skipped, strange = ended_call(1), value("skipped"), value("strange")
    subject = event_of(call, 0)[0]
    await past.publish_raw(subject, b"\xff\xfe", "p1")
    await past.publish_raw(subject, b'{"id":"p2"}', "p2")
    await past.publish_raw("call.nobody.log.ringing", event_of(call, 0)[1], "p3")
    future = b'{"event":"of_the_future","id":"f1","at":"2026-11-20T09:00:00Z","call_id":"x"}'
    await past.publish_raw(subjects.log(call_id(1), "of_the_future"), future, "f1")
    await past.write(call)
    await past.taken_in(count([call]) + 1)
    assert value("skipped") - skipped == 3
    assert value("strange") - strange == 1
    assert await past.sql("SELECT outcome FROM calls") == "caller_hung_up"
    assert await past.sql("SELECT data FROM call_events WHERE event_id = 'f1'") == future.decode()
    assert (await consumer(past)).num_ack_pending == 0


async def test_an_event_that_the_database_refuses_takes_no_other_with_it(past: Past) -> None:
    call = ended_call(1)
    long_name = "x" * 120
    bad = b'{"event":"x","id":"b1","at":"2026-11-20T09:00:00Z"}'
    async with past.db.transaction(5) as connection:
        await connection.execute("ALTER TABLE call_events ADD CHECK (name <> '" + long_name + "')")
    await past.publish_raw(subjects.log(call_id(1), long_name), bad, "b1")
    await past.write(call)
    await past.taken_in(count([call]))
    assert await past.sql("SELECT count(*) FROM call_events WHERE event_id = 'b1'") == 0


async def test_a_rebuild_gives_what_the_log_gave_also_where_the_log_has_dropped_it(
    past: Past,
) -> None:
    calls = [ended_call(n) for n in range(1, 4)]
    await past.write(*calls)
    await past.taken_in(count(calls))
    right = sorted(await past.rows(ALL))
    said = sorted(await past.rows("SELECT call_id, place, text FROM call_utterances"))
    # The log drops one call; the tables lose another one whole; rows of all are damaged.
    await scan.purge(past.bus, CALLS.name, subjects.call_log(call_id(1)))
    await past.sql("DELETE FROM calls WHERE call_id = $1", call_id(2))
    await past.sql("UPDATE calls SET outcome = 'lost', caller = '', words = '', tools = '{}'")
    await past.sql("DELETE FROM call_utterances")
    added, worked_out = await rebuild(past.db, past.bus)
    assert (added, worked_out) == (count([calls[1]]), 3)
    assert sorted(await past.rows(ALL)) == right
    assert sorted(await past.rows("SELECT call_id, place, text FROM call_utterances")) == said


async def test_the_rebuild_command_also_without_the_log(past: Past, server: NatsServer) -> None:
    await past.write(ended_call(1), ended_call(2))
    await past.taken_in(count([ended_call(1), ended_call(2)]))
    await past.sql("UPDATE calls SET outcome = 'lost'")
    await past.sql("DELETE FROM calls WHERE call_id = $1", call_id(2))
    for arguments, said in (
        (("--without-log",), "1 calls worked out; 0 events were added from the log."),
        ((), f"2 calls worked out; {count([ended_call(2)])} events were added from the log."),
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dashboard.rebuild", *arguments),
            env={**os.environ, "DATABASE_URL": past.dsn, "NATS_URL": server.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert (process.returncode, output.decode().strip()) == (0, said)
    right = [(call_id(1), "caller_hung_up"), (call_id(2), "caller_hung_up")]
    assert await past.rows("SELECT call_id, outcome FROM calls ORDER BY call_id") == right


async def test_a_call_that_cannot_be_worked_out_holds_up_no_other(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    await past.write(ended_call(1), ended_call(2))
    right = projection.record

    def failing(call: CallId, entries: Any) -> Any:
        if call == call_id(1):
            raise ValueError(call)
        return right(call, entries)

    before = metrics.history_failures._value.get()  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(projection, "record", failing)
    await past.taken_in(count([ended_call(1), ended_call(2)]))
    outcomes = "SELECT call_id, outcome, due_at FROM calls ORDER BY call_id"
    assert await past.rows(outcomes) == [
        (call_id(1), "", None),
        (call_id(2), "caller_hung_up", None),
    ]
    assert metrics.history_failures._value.get() == before + 1  # pyright: ignore[reportPrivateUsage]


async def test_a_call_that_the_log_has_dropped_is_read_from_the_history(past: Past) -> None:
    call = whole_call(1, utc_now() - timedelta(days=1), 1000)
    call.ends(45_000)
    await past.write(call)
    await past.taken_in(count([call]))
    log = CallLog(past.bus)
    before = row_of(call_id(1), ((x.sequence, x.event) for x in await log.read(call_id(1))))
    await scan.purge(past.bus, CALLS.name, subjects.call_log(call_id(1)))
    assert await log.read(call_id(1)) == []
    kept = await LogOrArchive(log, past.db).read(call_id(1))
    assert row_of(call_id(1), ((x.sequence, x.event) for x in kept)).state == before.state


async def test_old_calls_go_by_one_desk(past: Past) -> None:
    old = ended_call(1, began=utc_now() - timedelta(days=40))
    young = ended_call(2, began=utc_now() - timedelta(days=20))
    await past.write(old, young)
    await past.taken_in(count([old, young]))
    assert await provision_recordings(past.bus, days=1, max_bytes=2**23)
    for call in (call_id(1), call_id(2)):
        await tracks.keep(past.bus, call, "caller", 0, b"a" * 1600)
    removed = await asyncio.gather(
        remove_old(past.db, past.bus, 30), remove_old(past.db, past.bus, 30)
    )
    assert sum(removed) == 1
    assert await past.rows("SELECT call_id FROM calls") == [(call_id(2),)]
    assert await past.holds(count([young]))
    assert await recorded(past.bus, call_id(1)) is None
    assert await recorded(past.bus, call_id(2)) is not None
    async with past.db.transaction(5) as connection:
        lock = "SELECT pg_advisory_xact_lock(hashtextextended('trunkline history retention', 0))"
        await connection.execute(lock)
        assert await remove_old(past.db, past.bus, 1) == 0
    assert await remove_old(past.db, past.bus, 1) == 1
    assert await recorded(past.bus, call_id(2)) is None


async def test_an_old_call_stays_as_long_as_its_recording_cannot_go(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ended_call(1, began=utc_now() - timedelta(days=40))
    await past.write(old)
    await past.taken_in(count([old]))

    async def away(_: object, __: object) -> int:
        raise NatsAway("RECORDINGS cannot be purged")

    monkeypatch.setattr(retention, "purge_recording", away)
    with pytest.raises(NatsAway):
        await remove_old(past.db, past.bus, 30)
    assert await past.rows("SELECT call_id FROM calls") == [(call_id(1),)]
    monkeypatch.undo()
    # Without any stream of recordings there is nothing to remove, and that is no obstacle.
    assert await remove_old(past.db, past.bus, 30) == 1


def some_calls() -> list[Writer]:
    calls = [
        ended_call(n, caller=f"+1212555{1000 + n}", words=f"words of call number {n}")
        for n in range(1, 61)
    ]
    special = ended_call(
        *(99,),
        began=utc_now() - timedelta(days=2),
        caller="+4930123456",
        words="my dentist is ill",
        reason="failed",
        seconds=300,
        assistant="clinic",
    )
    return [*calls, special]


@pytest.fixture
async def pages(past: Past, server: NatsServer) -> AsyncIterator[httpx2.AsyncClient]:
    calls = some_calls()
    await past.write(*calls)
    await past.taken_in(count(calls))
    async with (
        desk_served(server.url, past.dsn) as url,
        httpx2.AsyncClient(base_url=url, headers=OURS) as http,
    ):
        http.cookies.update(await cookies(past.dsn, "vera", "viewer"))
        yield http


def calls_on(page: httpx2.Response) -> list[str]:
    assert page.status_code == 200, page.text[:500]
    text = page.text
    return [part[:34] for part in text.split('href="/calls/')[1:]]


async def test_the_page_finds_calls_by_all_that_its_field_understands(
    past: Past, pages: httpx2.AsyncClient
) -> None:
    day = f"{utc_now() - timedelta(days=2):%Y-%m-%d}"
    special = call_id(99)
    for asked in (
        "+4930123456",
        "3456",
        "dentist",
        '"dentist is ill"',
        f"{day}..{day}",
        f"add_todo ill {day}",
        special,
    ):
        found = calls_on(await pages.get("/history", params={"q": asked}))
        assert found == [special], asked
    for more in ({"outcome": "failed"}, {"length": "long"}, {"assistant": "clinic"}):
        assert calls_on(await pages.get("/history", params=more)) == [special], more
    assert calls_on(await pages.get("/history", params={"q": "dentist unheard_of"})) == []
    page = (await pages.get("/history", params={"q": "dentist"})).text
    assert "<mark>dentist</mark>" in page
    assert "+49****3456" in page
    assert "+4930123456" not in page
    assert "score--tiny" in page
    empty = await pages.get("/history", params={"q": "zebra"})
    assert "No call like this" in empty.text


async def test_pages_go_on_after_a_place_and_show_each_call_once(
    past: Past, pages: httpx2.AsyncClient
) -> None:
    first = await pages.get("/history")
    assert len(calls_on(first)) == 50
    _, _, rest = first.text.partition('href="/history?after=')
    place, _, _ = rest.partition('"')
    second = await pages.get("/history", params={"after": place})
    both = calls_on(first) + calls_on(second)
    assert len(both) == len(set(both)) == 61
    times = dict(await past.rows("SELECT call_id, started_at FROM calls"))
    assert [times[call] for call in both] == sorted(times.values(), reverse=True)


async def test_csv_has_every_call_and_masks_numbers(
    past: Past, pages: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.history.pages.CSV_PAGE", 7)
    answer = await pages.get("/history.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == len({row["call_id"] for row in rows}) == 61
    assert {row["caller"][:5] for row in rows} == {"'+12*", "'+49*"}
    monkeypatch.setattr("dashboard.history.export.MOST_ROWS", 14)
    cut = (await pages.get("/history.csv")).text.splitlines()
    assert len(cut) == 1 + 14 + 1
    assert "narrow the search" in cut[-1]


async def test_numbers_are_shown_to_operators_alone_and_the_trail_says_so(
    past: Past, pages: httpx2.AsyncClient
) -> None:
    asked = {"q": "dentist"}
    assert (await pages.post("/history", data=asked)).status_code == 403
    assert (await pages.post("/history.csv", data=asked)).status_code == 403
    guess = await pages.get("/history", params={"q": "+4930"})
    assert calls_on(guess) == []
    assert "whole number" in guess.text
    assert (await pages.get("/history.csv", params={"q": "+4930"})).status_code == 403
    pages.cookies.update(await cookies(past.dsn, "otto", "operator"))
    assert calls_on(await pages.get("/history", params={"q": "+4930"})) == [call_id(99)]
    assert "+4930123456" in (await pages.post("/history", data=asked)).text
    assert "+4930123456" in (await pages.post("/history.csv", data=asked)).text
    trail = await past.rows("SELECT operator, act, call_id FROM audit ORDER BY id")
    assert trail == [("otto", "reveal_number", call_id(99)), ("otto", "reveal_numbers", None)]
    assert (await pages.get("/history/forget")).status_code == 403


async def test_figures_per_day_and_assistant(past: Past, pages: httpx2.AsyncClient) -> None:
    day = await past.sql("SELECT started_at::date FROM calls WHERE call_id = $1", call_id(99))
    page = (await pages.get("/history/figures", params={"from": day, "to": day})).text
    cells = page.partition("<tbody>")[2].partition("</tbody>")[0]
    for figure in ("clinic", ">1</td>", ">5.1</td>", "$0.0100", "is-bad", "799 ms"):
        assert figure in cells, figure
    empty = await pages.get("/history/figures", params={"from": "2020-01-01", "to": "2020-01-02"})
    assert "No call in these days" in empty.text
