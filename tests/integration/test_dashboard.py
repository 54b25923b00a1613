"""The desk over a real NATS server: pages, live updates, forms, headers, and a NATS restart.

tool-runner's side of ``todos.*`` and ``callers.*`` is a small service in here.
"""

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from desk_login import OURS, cookies, desk_database
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from dashboard import metrics
from dashboard.app import serve
from dashboard.live.board import summary
from dashboard.origin import CSP
from dashboard.settings import Settings
from dashboard.sse import EventStream, Hub, Message
from protocol import codec, ids, subjects
from protocol import events as e
from protocol.call import fold
from protocol.ids import (
    CallerId,
    CallId,
    Epoch,
    IngressId,
    ItemId,
    Leg,
    StreamId,
    ToolCallId,
    WorkerId,
)
from protocol.line import LiveTranscript
from protocol.placement import AgentLoad
from protocol.todos import (
    AddTodo,
    Caller,
    CallerList,
    ChangeTodo,
    DeleteTodo,
    ListCallers,
    ListTodos,
    Refused,
    Todo,
    TodoChanged,
    TodoDeleted,
    TodoList,
    TodoReply,
    TodoSaved,
)
from runtime import admin, bus, errors, micro
from runtime.admin import Health
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.clock import utc_now
from runtime.outbox import publish
from runtime.service import Shutdown
from runtime.settings import CommonSettings, Secret
from testbed.infra import GivenPostgres
from testbed.nats_server import NatsServer
from testbed.ports import free_port
from testbed.postgres import Postgres

PATIENCE_S = 20.0
TODAY = date(2026, 11, 22)
ANN = Caller(CallerId("c-ann"), "+12125553456", "Ann <b>", "America/New_York")


@dataclass
class ToolRunner:
    """Answers as tool-runner does, from memory."""

    bus: Bus
    todos: dict[int, Todo] = field(default_factory=dict)
    asked: list[object] = field(default_factory=list)

    async def callers(self, _: ListCallers, __: micro.Request) -> CallerList:
        return CallerList((ANN,))

    async def list(self, ask: ListTodos, _: micro.Request) -> TodoList:
        if ask.caller_id != ANN.caller_id:
            raise errors.Refused(404, "no such caller")
        chosen: Callable[[Todo], bool] = {
            "current": lambda t: not t.completed_at and t.deadline >= TODAY,
            "archive": lambda t: t.completed_at is not None,
            "stale": lambda t: not t.completed_at and t.deadline < TODAY,
        }[ask.scope]
        return TodoList(ANN, TODAY, tuple(t for t in self.todos.values() if chosen(t)))

    async def add(self, ask: AddTodo, _: micro.Request) -> TodoReply:
        self.asked.append(ask)
        if len(ask.description) > 500:
            return Refused("A todo has at most 500 characters.", "description")
        number = max(self.todos, default=0) + 1
        return await self._keep(Todo(number, ask.description, ask.deadline), "added")

    async def change(self, ask: ChangeTodo, _: micro.Request) -> TodoReply:
        self.asked.append(ask)
        todo = self.todos.get(ask.id)
        if todo is None:
            return Refused("There is no such todo.", "id")
        done = todo.completed_at
        if ask.completed is not None:
            done = datetime(2026, 11, 22, 9, tzinfo=UTC) if ask.completed else None
        kept = Todo(
            ask.id, ask.description or todo.description, ask.deadline or todo.deadline, done
        )
        return await self._keep(kept, "changed")

    async def delete(self, ask: DeleteTodo, _: micro.Request) -> TodoReply:
        self.asked.append(ask)
        if self.todos.pop(ask.id, None) is None:
            return Refused("There is no such todo.", "id")
        return TodoDeleted(ask.id)

    async def _keep(self, todo: Todo, change: str) -> TodoSaved:
        self.todos[todo.id] = todo
        changed = TodoChanged(ANN.caller_id, change, todo)
        await self.bus.publish(subjects.todo_changed(ANN.caller_id), changed)
        return TodoSaved(todo)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        work = {
            subjects.callers("list"): (ListCallers, self.callers),
            subjects.todos("list"): (ListTodos, self.list),
            subjects.todos("add"): (AddTodo, self.add),
            subjects.todos("change"): (ChangeTodo, self.change),
            subjects.todos("delete"): (DeleteTodo, self.delete),
        }
        endpoints = [
            micro.Endpoint(subject.replace(".", "-"), subject, micro.json_handler(kind, handler))
            for subject, (kind, handler) in work.items()
        ]
        async with micro.serving(
            self.bus, name="tool-runner", description="records", endpoints=endpoints
        ):
            yield


@dataclass
class Desk:
    """A served desk, a browser for it, and a bus that plays the other services."""

    http: httpx2.AsyncClient
    bus: Bus
    runner: ToolRunner

    async def board(self) -> dict[str, dict[str, object]]:
        answer = (await self.http.get("/board.json")).json()
        return {call["call_id"]: call for call in answer["calls"]}

    async def until(self, check: Callable[[dict[str, dict[str, object]]], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not check(await self.board()):
                await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def listening(self, path: str) -> AsyncGenerator[AsyncIterator[tuple[str, str]]]:
        """The server-sent events of ``path`` as (event, data)."""
        async with self.http.stream("GET", path, timeout=PATIENCE_S) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            yield _events(response.aiter_lines())


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str]]:
    name, data = "", []
    async for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif not line and name:
            yield name, "\n".join(data)
            name, data = "", []


async def _until(events: AsyncIterator[tuple[str, str]], *words: str) -> str:
    """The data of the next event that holds all of ``words``."""
    async with asyncio.timeout(PATIENCE_S):
        async for _, data in events:
            if all(word in data for word in words):
                return data
    raise AssertionError("the stream ended")


@contextlib.asynccontextmanager
async def desk_at(nats_url: str, dsn: str) -> AsyncGenerator[Desk]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        nats_url=nats_url, database_url=Secret(dsn), dashboard_port=port, dashboard_url=url
    )
    shutdown = Shutdown()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(settings, shutdown, Health()))
        try:
            async with (
                bus.connect(settings, "test", Shutdown()) as connected,
                httpx2.AsyncClient(base_url=url, headers=OURS, cookies=await cookies(dsn)) as http,
            ):
                async with asyncio.timeout(PATIENCE_S):
                    while True:
                        with contextlib.suppress(httpx2.TransportError):
                            if (await http.get("/board.json")).status_code == 200:
                                break
                        await asyncio.sleep(0.02)
                yield Desk(http, connected, ToolRunner(connected))
        finally:
            shutdown.ask()


@pytest.fixture(scope="session")
async def dsn(postgres_server: Postgres | GivenPostgres) -> str:
    """A database with the desk's tables, for all tests in here."""
    return await desk_database(
        await postgres_server.create_database(f"desk_{secrets.token_hex(6)}")
    )


@pytest.fixture
async def desk(nats_server: NatsServer, dsn: str) -> AsyncIterator[Desk]:
    async with desk_at(nats_server.url, dsn) as one:
        yield one


@pytest.fixture
async def planner(desk: Desk) -> AsyncIterator[Desk]:
    desk.runner.todos = {
        1: Todo(1, "call the <dentist>", TODAY),
        2: Todo(2, "buy milk", TODAY + timedelta(days=3)),
        3: Todo(3, "return the drill", TODAY - timedelta(days=2)),
    }
    async with desk.runner.serving():
        yield desk


class CallWriter:
    """Writes a call's events as the services do."""

    def __init__(self, nats: Bus) -> None:
        self._bus = nats
        self.id = ids.new_call_id()
        self.leg = Leg(0)
        self.epoch = Epoch(0)

    async def write(self, kind: type[e.Event], **values: object) -> int:
        if issubclass(kind, e.AgentEvent):
            values["epoch"] = self.epoch
        event = kind(
            id=ids.new_event_id(),
            call_id=self.id,
            at=utc_now(),
            service="test",
            worker="agent-1",
            **values,
        )
        return await publish(self._bus, event)

    async def begin(self) -> None:
        await self.write(e.Ringing, caller="+12125553456", called="+15557001122")
        stream = StreamId("MZ" + "0" * 32)
        self.leg = Leg(
            await self.write(
                e.StreamStarted, stream_id=stream, ingress=IngressId("i"), previous_leg=Leg(0)
            )
        )
        taken = await self.write(e.Assigned, leg=self.leg, previous_epoch=Epoch(0))
        self.epoch = Epoch(taken)
        await self.write(e.ModeChanged, mode="conversation")

    async def say(self, item: str, text: str) -> None:
        said = {"response_id": "r", "text": text, "generated_ms": 1000}
        await self.write(e.Said, item_id=ItemId(item), done=True, **said)

    async def end(self) -> int:
        return await self.write(e.CallEnded, reason="caller_hung_up")


def _row(html: str, call: CallId) -> str:
    """The row of a call in a page or an update, without what depends on the moment."""
    found = re.search(rf'<li id="call-{call}" class="call .*?</li>', html, re.S)
    assert found is not None, html
    still = re.sub(r"<svg.*?</svg>", "", found[0], flags=re.S)
    return re.sub(r'\s+|data-elapsed-ms="\d+">[\d:]+', " ", still)


def _marks(html: str) -> dict[str, str]:
    """The lines of a transcript in a page or an update, by their ids."""
    found = re.findall(r'<li class="mark .*?\n</li>', html, re.S)
    lines = [re.sub(r"\s+", " ", line) for line in found]
    return {re.findall(r'id="(mark-[^"]+)"', line)[0]: line for line in lines}


def _parts(html: str) -> list[str]:
    """What the score in a page shows, in words."""
    return re.findall(r'<g class="part [^>]*aria-label="([^"]*)"', html)


async def test_every_answer_carries_the_strict_policy(desk: Desk) -> None:
    for path in ("/", "/board.json", "/planner", "/static/desk.css", "/nowhere"):
        answer = await desk.http.get(path)
        assert answer.headers["content-security-policy"] == CSP, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    foreign = await desk.http.get("/", headers={"host": "evil.example"})
    assert foreign.status_code == 421
    assert foreign.headers["content-security-policy"] == CSP


async def test_a_call_is_shown_live_and_a_reload_shows_the_same(desk: Desk) -> None:
    call = CallWriter(desk.bus)
    async with desk.listening("/live") as events:
        await call.begin()
        await _until(events, call.id, "active")
        await call.say("i1", "Hello <you>")
        await _until(events, call.id, "Hello &lt;you&gt;")
        await desk.bus.publish(
            subjects.live_transcript(call.id), LiveTranscript(ItemId("i2"), "caller", "What is")
        )
        await _until(events, call.id, "What is")
        await call.write(e.TurnCommitted, item_id=ItemId("i2"), from_ms=0, to_ms=900)
        await call.write(e.TurnTranscribed, item_id=ItemId("i2"), text="What is due today?")
        last = await _until(events, call.id, "What is due today?", "Caller, 0:00, 0.9 s")
        assert "+12125553456" not in last
        assert "+12****3456" in last
        page = (await desk.http.get("/")).text
        assert _row(page, call.id) == _row(last, call.id)
        assert "+12125553456" not in page
        await call.end()
        assert "caller hung up" in await _until(events, call.id, "caller hung up")


async def test_a_calls_page_follows_it_and_a_reload_shows_the_same(desk: Desk) -> None:
    call = CallWriter(desk.bus)
    await call.begin()
    async with desk.listening(f"/calls/{call.id}/live") as events:
        await call.say("i1", "Hello <you>")
        shown = _marks(await _until(events, "Hello &lt;you&gt;"))
        await call.write(e.TurnCommitted, item_id=ItemId("i2"), from_ms=0, to_ms=900)
        await call.write(e.TurnTranscribed, item_id=ItemId("i2"), text="What is due today?")
        key = ids.new_event_id()
        tool = {"tool_call_id": ToolCallId("t1"), "item_id": ItemId("i3"), "name": "get_tasks"}
        at = {"call_id": call.id, "at": utc_now(), "service": "test", "worker": "agent-1"}
        arguments = '{"period":"today"}'
        await publish(
            desk.bus, e.ToolCalled(id=key, epoch=call.epoch, arguments=arguments, **tool, **at)
        )
        returned = {"tool_call_id": ToolCallId("t1"), "called": key, "took_ms": 41}
        await call.write(e.ToolReturned, outcome="ok", result='{"todos":[]}', **returned)
        async with asyncio.timeout(PATIENCE_S):
            async for _, data in events:
                shown |= _marks(data)
                if "41 ms" in data:
                    break
        assert "get_tasks(period: today)" in shown[f"mark-{key}"]
        page = (await desk.http.get(f"/calls/{call.id}")).text
        assert _marks(page) == shown
        assert "+12125553456" not in page
        last = await call.end()
        assert "caller hung up" in await _until(events, "caller hung up")
        await desk.until(lambda calls: calls[call.id]["last_sequence"] == last)
    ended = (await desk.http.get(f"/calls/{call.id}")).text
    assert any("What is due today?" in part for part in _parts(ended))
    assert any(part.startswith("Tool get_tasks") for part in _parts(ended))
    score = (await desk.http.get(f"/calls/{call.id}/score?width=500")).text
    assert 'viewBox="0 0 500 176"' in score
    assert _parts(score) == _parts(ended)


async def test_filters_choose_calls_without_scripts(desk: Desk) -> None:
    call = CallWriter(desk.bus)
    await call.begin()
    await call.say("i1", "a most uncommon sentence")
    await desk.until(lambda calls: calls.get(call.id, {}).get("utterances"))
    row = f'<li id="call-{call.id}"'
    assert row in (await desk.http.get("/?q=most+UNCOMMON&mode=conversation&state=active")).text
    assert row not in (await desk.http.get("/?q=uncommon&mode=gate")).text
    assert row not in (await desk.http.get("/?q=nowhere")).text
    odd = await desk.http.get("/?q=%22%3E%3Cscript%3E&assistant=%22%3E%3Cevil%3E")
    assert odd.status_code == 200
    assert "<script>" not in odd.text
    assert "<evil>" not in odd.text


async def test_workers_are_shown_with_their_slots(desk: Desk) -> None:
    async with desk.listening("/live") as events:
        load = AgentLoad(WorkerId("agent-meter"), 3, draining=False, build="1.0")
        await desk.bus.publish(subjects.AGENTS_LOAD, load)
        await _until(events, "agent-meter", "0 of 3 slots taken, ready")
        drained = AgentLoad(WorkerId("agent-meter"), 0, draining=True, build="1.0")
        await desk.bus.publish(subjects.AGENTS_LOAD, drained)
        await _until(events, "agent-meter", "0 of 3 slots taken, draining")
        await _until(events, "agent-meter", "0 of 3 slots taken, lost")


async def test_the_board_is_the_fold_of_the_log_also_in_a_desk_started_later(
    desk: Desk, nats_server: NatsServer, dsn: str
) -> None:
    call = CallWriter(desk.bus)
    await call.begin()
    for n in range(30):
        await call.say(f"i{n}", f"sentence {n}")
    last = await call.end()
    await desk.until(lambda calls: calls.get(call.id, {}).get("last_sequence") == last)
    entries = await CallLog(desk.bus).read(call.id, at_least=last)
    folded = summary(fold(call.id, ((x.sequence, x.event) for x in entries)))
    shown = (await desk.board())[call.id]
    assert shown["utterances"][-1]["text"] == "sentence 29"
    assert shown == json.loads(codec.encode(folded))
    async with desk_at(nats_server.url, dsn) as later:
        await later.until(lambda calls: calls.get(call.id, {}).get("last_sequence") == last)
        assert (await later.board())[call.id] == shown
        pages = [(await one.http.get(f"/calls/{call.id}")).text for one in (desk, later)]
        assert _marks(pages[0]) == _marks(pages[1])
        assert len(_marks(pages[0])) == 30


async def test_a_browser_on_a_calls_page_follows_that_call_alone(desk: Desk) -> None:
    call, other = CallWriter(desk.bus), CallWriter(desk.bus)
    await call.begin()
    async with desk.listening(f"/calls/{call.id}/live") as events:
        await other.begin()
        await other.say("o1", "something else")
        await call.say("i1", "the words of this call")
        assert "something else" not in await _until(events, "the words of this call")


async def test_raw_events_hold_no_number(desk: Desk) -> None:
    call = CallWriter(desk.bus)
    await call.begin()
    answer = await desk.http.get(f"/calls/{call.id}/events.json")
    assert [entry["event"]["event"] for entry in answer.json()] == [
        "ringing",
        "stream_started",
        "assigned",
        "mode_changed",
    ]
    assert answer.json()[0]["event"]["caller"] == "+12****3456"
    assert "+12125553456" not in answer.text


async def test_raw_events_come_in_pages_and_as_one_file(desk: Desk) -> None:
    call = CallWriter(desk.bus)
    await call.begin()
    for n in range(60):
        await call.say(f"i{n}", f"sentence {n}")
    base = f"/calls/{call.id}"
    whole = (await desk.http.get(f"{base}/events.json")).json()
    assert len(whole) == 64
    first = await desk.http.get(f"{base}/events.json?limit=40")
    following = await desk.http.get(first.links["next"]["url"])
    assert first.json() + following.json() == whole
    assert "next" not in following.links
    page = (await desk.http.get(f"{base}/events")).text
    assert "1–50 of 64" in page
    assert "+12125553456" not in page
    later = re.search(r'href="(\?after=\d+)" rel="next"', page)
    assert later is not None
    rest = (await desk.http.get(f"{base}/events{later[1]}")).text
    assert "51–64 of 64" in rest
    assert 'rel="prev"' in rest
    assert "sentence 59" in rest
    export = await desk.http.get(f"{base}/export.json")
    assert f'filename="{call.id}.json"' in export.headers["content-disposition"]
    assert export.json()["events"] == whole
    assert len(export.json()["call"]["utterances"]) == 60
    assert "+12125553456" not in export.text


@pytest.mark.parametrize(
    "path", ["/calls/nonsense", f"/calls/CA{'0' * 32}", f"/calls/CA{'0' * 32}/events.json", "/x"]
)
async def test_what_is_not_there_is_said_on_a_page(desk: Desk, path: str) -> None:
    answer = await desk.http.get(path)
    assert answer.status_code == 404
    assert "<h1>" in answer.text


async def test_the_desk_catches_up_after_a_restart_of_nats(tmp_path: Path, dsn: str) -> None:
    server = await NatsServer.start(tmp_path / "nats")
    try:
        async with desk_at(server.url, dsn) as desk:
            call = CallWriter(desk.bus)
            await call.begin()
            await desk.until(lambda calls: call.id in calls)
            async with desk.listening("/live") as events:
                await server.stop()
                await _until(events, "NATS is away", "since")
                assert "NATS is away" in (await desk.http.get("/")).text
                assert call.id in (await desk.http.get("/")).text
                await server.restart()
                async with bus.connect(
                    CommonSettings(nats_url=server.url), "w", Shutdown()
                ) as fresh:
                    writer = CallWriter(fresh)
                    writer.id, writer.epoch = call.id, call.epoch
                    await writer.say("late", "said while the desk was not looking")
                    await _until(events, "said while the desk was not looking")
                    last = await writer.end()
                await desk.until(lambda calls: calls[call.id]["last_sequence"] == last)
            async with asyncio.timeout(PATIENCE_S):
                while "NATS is away" in (await desk.http.get("/")).text:
                    await asyncio.sleep(0.05)
    finally:
        await server.stop()


async def test_the_planner_shows_a_callers_todos_by_day(planner: Desk) -> None:
    answer = await planner.http.get("/planner")
    assert answer.status_code == 303
    home = answer.headers["location"]
    assert home == "/planner/c-ann"
    page = (await planner.http.get(home)).text
    assert "Ann &lt;b&gt;" in page
    assert "+12125553456" not in page
    assert page.index("Today") < page.index("call the &lt;dentist&gt;") < page.index("buy milk")
    assert "return the drill" not in page
    stale = (await planner.http.get(f"{home}?show=stale")).text
    assert "return the drill" in stale
    assert "2 days overdue" in stale
    assert "Nothing done" in (await planner.http.get(f"{home}?show=archive")).text
    assert (await planner.http.get("/planner/nobody")).status_code == 404
    assert (await planner.http.get("/planner/a.b")).status_code == 404


async def test_forms_work_without_scripts(planner: Desk) -> None:
    http, base = planner.http, "/planner/c-ann"
    form = (await http.get(f"{base}/new")).text
    assert 'value="2026-11-22"' in form, "today is the default"
    assert "hx-post" not in form, "the page of the form has no list that an answer could replace"
    assert 'value="2026-11-24"' in (await http.get(f"{base}/new?day=2026-11-24")).text
    added = await http.post(
        f"{base}/new", data={"description": " water plants ", "deadline": "2026-11-24"}
    )
    assert (added.status_code, added.headers["location"]) == (303, f"{base}?show=current")
    assert planner.runner.asked[-1] == AddTodo(ANN.caller_id, "water plants", date(2026, 11, 24))
    assert "water plants" in (await http.get(base)).text

    assert 'value="buy milk"' in (await http.get(f"{base}/todos/2/edit")).text
    changed = {"description": "buy oat milk", "deadline": "2026-11-26", "show": "current"}
    assert (await http.post(f"{base}/todos/2/edit", data=changed)).status_code == 303
    assert planner.runner.todos[2] == Todo(2, "buy oat milk", date(2026, 11, 26))

    done = await http.post(f"{base}/todos/2/done", data={"completed": "1", "show": "stale"})
    assert done.headers["location"] == f"{base}?show=stale"
    assert planner.runner.todos[2].completed_at is not None
    await http.post(f"{base}/todos/2/done", data={"completed": "0"})
    assert planner.runner.todos[2].completed_at is None

    assert "Delete this todo?" in (await http.get(f"{base}/todos/2/delete")).text
    assert 2 in planner.runner.todos, "asking deletes nothing"
    assert (await http.post(f"{base}/todos/2/delete")).status_code == 303
    assert 2 not in planner.runner.todos
    gone = await http.post(f"{base}/todos/2/delete")
    assert gone.status_code == 422
    assert "There is no such todo." in gone.text
    assert (await http.get(f"{base}/todos/2/edit")).status_code == 404


async def test_bad_input_comes_back_as_typed_with_the_reason_at_the_field(planner: Desk) -> None:
    http, base = planner.http, "/planner/c-ann"
    for path in (f"{base}/new", f"{base}/todos/2/edit"):
        answer = await http.post(
            path, data={"description": 'a "quoted" <todo>', "deadline": "soon"}
        )
        assert answer.status_code == 422
        assert "a &#34;quoted&#34; &lt;todo&gt;" in answer.text
        assert 'value="soon"' in answer.text
        assert 'id="deadline-problem"' in answer.text
        assert 'id="description-problem"' not in answer.text
    assert planner.runner.asked == []
    long = await http.post(f"{base}/new", data={"description": "x" * 501, "deadline": "2026-11-24"})
    assert long.status_code == 422
    assert "at most 500 characters" in long.text
    assert "x" * 501 in long.text
    empty = await http.post(f"{base}/new", data={})
    assert empty.status_code == 422
    assert 'id="description-problem"' in empty.text
    huge = await http.post(f"{base}/new", data={"description": "x" * 70_000})
    assert huge.status_code == 413


async def test_with_htmx_forms_answer_with_the_part_that_changed(planner: Desk) -> None:
    base, partial = "/planner/c-ann", {"hx-request": "true"}
    form = await planner.http.get(f"{base}/new", headers=partial)
    assert form.text.lstrip().startswith("<form")
    assert "hx-post" in form.text
    bad = await planner.http.post(f"{base}/new", data={"description": ""}, headers=partial)
    assert bad.status_code == 422
    assert bad.text.lstrip().startswith("<form")
    saved = await planner.http.post(
        f"{base}/new", data={"description": "x", "deadline": "2026-11-24"}, headers=partial
    )
    assert saved.status_code == 200
    assert saved.headers["hx-retarget"] == "#todos"
    ticked = await planner.http.post(
        f"{base}/todos/1/done",
        data={"completed": "1"},
        headers=partial | {"hx-target": "todos"},
    )
    assert "hx-retarget" not in ticked.headers, "a list renewed meanwhile is not looked up"
    assert saved.text.lstrip().startswith('<section id="todos"')


async def test_changes_from_elsewhere_are_refused_and_do_nothing(planner: Desk) -> None:
    path = "/planner/c-ann/todos/2/delete"
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://other.example"},
    ):
        assert (await planner.http.post(path, headers=headers)).status_code == 403
    async with httpx2.AsyncClient(
        base_url=planner.http.base_url, cookies=planner.http.cookies
    ) as plain:
        assert (await plain.post(path)).status_code == 403
        assert (await plain.post(path, headers={"origin": "null"})).status_code == 403
        assert 2 in planner.runner.todos
        ours = str(planner.http.base_url).rstrip("/")
        assert (await plain.post(path, headers={"origin": ours})).status_code == 303
    assert 2 not in planner.runner.todos


async def test_the_planner_is_live_when_a_call_changes_a_todo(planner: Desk) -> None:
    async with planner.listening("/planner/c-ann/live") as events:
        assert (await anext(events))[0] == "todos", "what was missed before is asked for at once"
        assert (await anext(events))[0] == "desk"
        added = AddTodo(ANN.caller_id, "said on the phone", TODAY)
        await planner.bus.request(subjects.todos("add"), added, TodoReply, timeout=5)
        async with asyncio.timeout(PATIENCE_S):
            assert (await anext(events))[0] == "todos"
    part = await planner.http.get("/planner/c-ann/list", headers={"hx-request": "true"})
    assert "said on the phone" in part.text
    assert "<html" not in part.text


async def test_without_tool_runner_the_page_says_so_and_loses_nothing(desk: Desk) -> None:
    answer = await desk.http.get("/planner/c-ann")
    assert answer.status_code == 503
    assert "tool-runner is away since" in answer.text
    assert "nobody answers" in answer.text
    since = re.findall(r'datetime="([^"]+)"', answer.text)
    again = await desk.http.get("/planner")
    assert re.findall(r'datetime="([^"]+)"', again.text) == since, "since when it began"
    typed = {"description": "keep me", "deadline": "2026-11-24"}
    refused = await desk.http.post("/planner/c-ann/new", data=typed)
    assert refused.status_code == 503
    assert 'value="keep me"' in refused.text
    assert "Not saved" in refused.text
    async with desk.runner.serving():
        assert (await desk.http.get("/planner/c-ann")).status_code == 200


async def test_a_reader_that_stops_reading_is_cut_off_and_the_others_are_not() -> None:
    hub = Hub(bound=4)
    first = [Message("desk", "the whole state")]

    async def live(_: Request) -> EventStream:
        return EventStream(hub, ["t"], lambda: first)

    before = metrics.browsers_cut_off._value.get()
    app = Starlette(routes=[Route("/live", live)])
    serving = admin.serving(app, host="127.0.0.1", port=0, what="test", setting="TEST")
    async with serving as port, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        try:
            writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readline()
            async with http.stream("GET", "/live") as response:
                events = _events(response.aiter_lines())
                await _until(events, "the whole state")
                for n in range(1000):
                    hub.publish("t", Message("desk", f"turn {n} " + "word " * 100_000))
                    await _until(events, f"turn {n} ")
                    if metrics.browsers_cut_off._value.get() > before:
                        break
                assert metrics.browsers_cut_off._value.get() == before + 1
                assert len(hub) == 1, "the one that reads stays"
                hub.close()
                async with asyncio.timeout(PATIENCE_S):
                    assert [event async for event in events] == []
        finally:
            writer.close()
