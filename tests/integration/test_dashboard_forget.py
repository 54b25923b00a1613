"""A caller is forgotten: everywhere, for ever, also while they talk; and nobody else is."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from desk_calls import Writer, call_id
from desk_login import OURS, cookies, desk_database, desk_served
from past import PATIENCE_S, Past, count, ended_call, running, until

from dashboard.database import opened
from dashboard.history.archive import rebuild
from dashboard.history.forget import Forgetter, NotForgotten, Report
from dashboard.history.vigil import drop_forgotten
from dashboard.live.board import Board
from dashboard.people import trail
from dashboard.people.operator import Operator
from protocol import codec, ids, subjects, todos, tools
from protocol import events as e
from protocol.buckets import SPEECH
from protocol.callers import AdmitCall, Admitted, SetPin
from protocol.calls import CallDone, CallRefused, HangUpCall
from protocol.streams import CALLS
from runtime import bus as nats
from runtime import scan, tracks
from runtime.admin import Health
from runtime.bucket import Bucket
from runtime.clock import utc_now
from runtime.errors import Refused
from runtime.micro import Endpoint, Request, json_handler, serving
from runtime.objects import Objects
from runtime.outbox import publish
from runtime.provision import provision, provision_recordings
from runtime.service import Shutdown
from runtime.settings import CommonSettings, Secret
from testbed.migrations import migrate, migrations_table
from testbed.nats_server import NatsServer
from tool_runner import app as tool_runner
from tool_runner.settings import Settings as RunnerSettings

ROOT = Path(__file__).parents[2]
NUMBER, OTHER = "+4930123456", "+12125553456"
WORDS = ("aubergine", "velociped", "zeppelin")
"""What this caller says, what an operator writes about it, what a todo says."""
SOUND = b"the sound of an aubergine" * 64
"""What is recorded of it."""
MIRA = Operator("mira", "admin")


@dataclass
class Office:
    """``calls.hang_up`` as webhooks answers it: the end of the call comes a moment later."""

    past: Past
    asked: list[HangUpCall] = field(default_factory=list[HangUpCall])

    async def hang_up(self, ask: HangUpCall, _: Request) -> CallDone | CallRefused:
        self.asked.append(ask)
        if ask.call == call_id(4):
            return CallRefused("unknown_call", "There is no such call.")
        ended = e.CallEnded(
            id=ids.new_event_id(),
            call_id=ask.call,
            at=utc_now(),
            service="webhooks",
            worker="w",
            reason="assistant_hung_up",
        )
        await publish(self.past.bus, ended)
        return CallDone(ask.call)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A NATS of this test alone: every stream of it is looked into."""
    server = await NatsServer.start(tmp_path / "nats", 0)
    yield server
    await server.stop()


@pytest.fixture
async def past(server: NatsServer, database: str) -> AsyncIterator[Past]:
    dsn = await desk_database(database)
    await migrate(
        dsn,
        ROOT / "services/tool-runner/migrations",
        table=migrations_table("tool-runner"),
    )
    common = CommonSettings(nats_url=server.url)
    async with (
        nats.connect(common, "past", Shutdown()) as bus,
        opened(Secret(dsn), size=5) as db,
    ):
        await provision(bus, wait_s=20, shutdown=Shutdown())
        yield Past(bus, db, dsn)


@pytest.fixture
async def runner(past: Past, server: NatsServer) -> AsyncIterator[None]:
    """tool-runner on the same database."""
    shutdown, health = Shutdown(), Health()
    settings = RunnerSettings(nats_url=server.url, database_url=Secret(past.dsn))
    async with asyncio.TaskGroup() as group:
        group.create_task(tool_runner.serve(settings, shutdown, health))

        async def ready() -> bool:
            return not health.failing()

        await until(ready)
        yield
        shutdown.ask()


@pytest.fixture
async def office(past: Past) -> AsyncIterator[Office]:
    office = Office(past)
    endpoint = Endpoint(
        "hang_up", subjects.calls("hang_up"), json_handler(HangUpCall, office.hang_up)
    )
    async with serving(past.bus, name="calls", description="Calls", endpoints=[endpoint]):
        yield office


async def the_caller(past: Past) -> list[Writer]:
    """Two calls of NUMBER that ended, one that goes on, one whose log never ended; all that hangs
    on them; and a call of somebody else. Gives the calls of NUMBER.
    """
    theirs = [ended_call(n, caller=NUMBER, words=f"an {WORDS[0]} please") for n in (1, 2)]
    running_one = ended_call(3, caller=NUMBER, words=f"another {WORDS[0]}")
    running_one.entries = running_one.entries[:-2]
    endless = ended_call(4, caller=NUMBER, words=f"one {WORDS[0]} more")
    endless.entries = endless.entries[:-2]
    theirs += [running_one, endless]
    other = ended_call(5, caller=OTHER, words="a pizza please")
    await past.write(*theirs, other)
    await past.taken_in(count([*theirs, other]))
    for number in (NUMBER, OTHER):
        asked = todos.IdentifyCaller(number, "UTC")
        caller: todos.Caller = await past.bus.request(
            subjects.callers("identify"), asked, todos.Caller, timeout=PATIENCE_S
        )
        await past.bus.request(
            subjects.tool("create_task"),
            {"description": f"repair the {WORDS[2]}", "date": "2026-12-24"},
            Any,
            timeout=PATIENCE_S,
            headers={tools.CALLER: caller.caller_id, tools.IDEMPOTENCY_KEY: ids.new_event_id()},
        )
        call = call_id(1 if number == NUMBER else 5)
        await past.bus.request(
            subjects.callers("admit"), AdmitCall(call, number), Admitted, timeout=PATIENCE_S
        )
        pin = SetPin(caller.caller_id, "4711")
        await past.bus.request(subjects.callers("set_pin"), pin, Any, timeout=PATIENCE_S)
    async with past.db.transaction(5) as connection:
        await trail.record(connection, MIRA, "say", call=call_id(1), detail=f"no {WORDS[1]} today")
        await trail.record(connection, MIRA, "say", call=call_id(5), detail="no pizza today")
    bucket = Bucket(past.bus, "OUTBOUND")
    await bucket.provision("Wishes", max_age_s=3600, max_bytes=2**20)
    for key, number in (("w1", NUMBER), ("w2", OTHER)):
        await bucket.create(key, codec.encode({"to": number}))
    assert await provision_recordings(past.bus, days=1, max_bytes=2**23)
    for n in (1, 5):
        for track in ("caller", "assistant"):
            await tracks.keep(past.bus, call_id(n), track, 0, SOUND if n == 1 else b"a" * 1600)
    await Objects(past.bus, SPEECH).put("greeting", b"\xff" * 160, timeout=PATIENCE_S)
    return theirs


async def traces(past: Past) -> dict[str, list[str]]:
    """Where the number, its words and its calls are still to be found, in every store."""
    needles = (NUMBER, NUMBER[1:], NUMBER[:0:-1], *WORDS[:2], *(call_id(n) for n in (1, 2, 3, 4)))
    found = {n: await past.tables_with(n) + await past.streams_with(n) for n in needles}
    return {needle: where for needle, where in found.items() if where}


@pytest.mark.usefixtures("runner")
async def test_nothing_of_a_forgotten_caller_is_left_in_any_store(
    past: Past, office: Office
) -> None:
    theirs = await the_caller(past)
    seen = await traces(past)
    assert set(seen[NUMBER]) >= {"calls", "call_events", "callers", "KV_OUTBOUND", "CALLS"}
    stored = {"call_utterances", "call_tools", "calls", "CALLS", "RECORDINGS"}
    assert set(seen[WORDS[0]]) >= stored
    assert "RECORDINGS" in seen[call_id(1)]
    assert seen[WORDS[1]] == ["audit"]

    report = await Forgetter(past.db, past.bus).forget(NUMBER, MIRA)

    assert await traces(past) == {}
    assert (report.calls, report.hung_up, report.not_ended) == (4, 1, 0)
    assert sorted(ask.call for ask in office.asked) == [call_id(3), call_id(4)]
    removed = dict(report.removed)
    assert removed["events in the log"] == count(theirs) + 1
    assert removed["events in the history"] >= count(theirs)
    expected = {"todos": 1, "tool results": 1, "caller records": 1, "entries in buckets": 1}
    assert {what: removed[what] for what in expected} == expected
    assert removed["texts of the audit trail"] == 1
    assert removed["blocks of recorded sound"] == 2
    # Somebody else's are as they were.
    assert await past.rows("SELECT caller FROM calls") == [(OTHER,)]
    assert await past.rows("SELECT number FROM callers") == [(OTHER,)]
    assert await past.sql("SELECT count(*) FROM todos") == 1
    assert await past.tables_with("no pizza today") == ["audit"]
    assert await past.streams_with(OTHER) == ["CALLS", "KV_OUTBOUND"]
    assert await past.streams_with(call_id(5)) == ["CALLS", "RECORDINGS"]
    act = "SELECT detail FROM audit WHERE act = 'forget_caller'"
    assert "4 calls forgotten." in await past.sql(act)
    # Asked again, nothing is found and nothing breaks.
    again = await Forgetter(past.db, past.bus).forget(NUMBER, MIRA)
    assert again.calls == 0


@pytest.mark.usefixtures("runner", "office")
async def test_a_forgotten_call_does_not_come_back(past: Past) -> None:
    theirs = await the_caller(past)
    backup = [event for call in theirs for _, event in call.entries]
    await Forgetter(past.db, past.bus).forget(NUMBER, MIRA)
    # A late callback, and a log that somebody restored: none is taken in, and the log is cleared.
    for n, event in enumerate(backup):
        await past.publish_raw(
            subjects.log(event.call_id, e.name_of(event)), codec.encode(event), f"again{n}"
        )
    assert await rebuild(past.db, past.bus) == (0, 1)
    assert await traces(past) == {}
    late = backup[0]
    await tracks.keep(past.bus, late.call_id, "caller", 200, SOUND)
    await past.publish_raw(subjects.log(late.call_id, "ringing"), codec.encode(late), "late")
    intake, projection = running(past)
    task = asyncio.create_task(intake.run(projection.came))
    try:

        async def cleared() -> bool:
            return len(await past.log()) == count([ended_call(5)])

        await until(cleared)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await traces(past) == {}


@pytest.mark.usefixtures("runner", "office")
async def test_a_forgotten_call_leaves_every_board(past: Past) -> None:
    theirs = await the_caller(past)
    board = Board()
    for stored in await past.log():
        board.apply(stored.sequence, codec.decode_event(stored.data))
    assert len(board) == len(theirs) + 1
    await drop_forgotten(past.db, board)
    assert len(board) == len(theirs) + 1
    await Forgetter(past.db, past.bus).forget(NUMBER, MIRA)
    await drop_forgotten(past.db, board)
    assert [row.call_id for row in board.rows()] == [call_id(5)]


@pytest.mark.usefixtures("runner", "office")
async def test_a_call_that_the_history_does_not_know_yet_is_found_in_the_log(past: Past) -> None:
    call = ended_call(1, caller=NUMBER, words=WORDS[0])
    await past.write(call)
    report = await Forgetter(past.db, past.bus).forget(NUMBER, MIRA)
    assert report.calls == 1
    assert await past.log() == []
    assert await traces(past) == {}


async def test_what_could_not_be_finished_goes_on_when_it_is_asked_again(
    past: Past, request: pytest.FixtureRequest
) -> None:
    call = ended_call(1, caller=NUMBER, words=WORDS[0])
    await past.write(call)
    await past.taken_in(count([call]))
    with pytest.raises(NotForgotten, match=r"callers\.forget"):
        await Forgetter(past.db, past.bus).forget(NUMBER, MIRA)
    assert await past.sql("SELECT count(*) FROM calls") == 1

    async def failing(number: str, calls: Any) -> int:
        raise Refused(500, "the store is broken")

    async def answer(_: Any, __: Request) -> dict[str, object]:
        return {}

    endpoint = Endpoint("forget", subjects.callers("forget"), json_handler(Any, answer))
    async with serving(past.bus, name="callers", description="Callers", endpoints=[endpoint]):
        broken = type("Broken", (), {"what": "things", "forget": staticmethod(failing)})()
        with pytest.raises(NotForgotten, match="the store is broken"):
            await Forgetter(past.db, past.bus, (broken,)).forget(NUMBER, MIRA)
        assert await past.sql("SELECT count(*) FROM calls") == 1
        report: Report = await Forgetter(past.db, past.bus).forget(NUMBER, MIRA)
    assert report.calls == 1
    assert await traces(past) == {}


@pytest.mark.usefixtures("runner", "office")
async def test_the_command_says_what_it_removed(past: Past, server: NatsServer) -> None:
    await the_caller(past)

    async def command(number: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dashboard.forget", number),
            env={**os.environ, "DATABASE_URL": past.dsn, "NATS_URL": server.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    code, said = await command("anonymous")
    assert (code, "whole number" in said) == (1, True)
    code, said = await command(NUMBER)
    assert code == 0, said
    assert said.startswith(
        "4 calls forgotten.\n1 running call ended first.\nRemoved. Caller records: 1, "
    )
    assert "todos: 1, tool results: 1" in said
    assert NUMBER not in said
    assert await traces(past) == {}
    assert await past.sql("SELECT operator FROM audit WHERE act = 'forget_caller'") == "(command)"


@pytest.mark.usefixtures("runner", "office")
async def test_an_admin_forgets_by_the_page(past: Past, server: NatsServer) -> None:
    await the_caller(past)
    async with (
        desk_served(server.url, past.dsn) as url,
        httpx2.AsyncClient(base_url=url, headers=OURS, timeout=PATIENCE_S) as http,
    ):
        http.cookies.update(await cookies(past.dsn, "otto", "operator"))
        asked = {"call": call_id(1), "sure": "yes"}
        assert (await http.post("/history/forget", data=asked)).status_code == 403
        http.cookies.update(await cookies(past.dsn, "mira", "admin"))
        assert "+49****" in (await http.get("/")).text
        form = await http.get("/history/forget", params={"call": call_id(1)})
        assert "+49****3456" in form.text
        assert NUMBER not in form.text
        unsure = await http.post("/history/forget", data={"call": call_id(1)})
        assert unsure.status_code == 422
        assert await past.sql("SELECT count(*) FROM calls") == 5
        wrong = await http.post("/history/forget", data={"number": "anonymous", "sure": "yes"})
        assert wrong.status_code == 422
        done = await http.post("/history/forget", data=asked)
        assert done.status_code == 200
        assert "4 calls forgotten." in done.text

        async def off_the_board() -> bool:
            return "+49****" not in (await http.get("/")).text

        await until(off_the_board)
        assert (await http.get(f"/calls/{call_id(1)}")).status_code == 404
        audit = "SELECT operator, subject, detail FROM audit WHERE act = 'forget_caller'"
        ((operator, subject, detail),) = await past.rows(audit)
        assert (operator, subject) == ("mira", "")
        assert "4 calls forgotten." in detail
    assert await traces(past) == {}


async def test_scanning_and_purging_a_stream(past: Past) -> None:
    calls = [ended_call(n) for n in range(1, 50)]
    await past.write(*calls)
    sequences = [stored.sequence for stored in await past.log()]
    assert sequences == list(range(1, count(calls) + 1))
    assert len(sequences) > scan.BATCH, "more than one batch is read"
    mine = subjects.call_log(call_id(7))
    assert await scan.purge(past.bus, CALLS.name, mine) == len(calls[6].entries)
    assert await scan.purge(past.bus, CALLS.name, mine) == 0
    assert len(await past.log()) == count(calls) - len(calls[6].entries)
    assert [m async for m in scan.scan(past.bus, "NONE")] == []
