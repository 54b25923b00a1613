"""What is watched beside a conversation: the assistant's words are cut and replaced, todos changed
elsewhere are noted."""

import asyncio
import contextlib
import json
from datetime import date

import pytest
from agent_world import PROFILE, Tools, assigned, worker
from line_end import line_end
from prometheus_client import REGISTRY

from ai_agent.realtime import moderation
from ai_agent.realtime.connection import client
from protocol import line, subjects
from protocol.ids import CallerId
from protocol.todos import Todo, TodoChanged
from runtime import micro
from runtime.bus import connect
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import (
    CallTool,
    OnResponse,
    OnSpeech,
    RealtimeServer,
    Say,
    Script,
    Scripts,
    expect,
    expect_output,
)
from testbed.realtime.script import IGNORED

SILENCE = b"\xff" * 160
INSTEAD = "Let us go on with your todos."
RULES = PROFILE + '[output_check]\nkind = "rules"\nforbidden = ["legal advice", "guarantee"]\n'
RULES += f'instead = "{INSTEAD}"\n'
MODERATED = RULES.replace('"rules"', '"moderation"')
FORBIDDEN = "I guarantee you that it will be fine, tomorrow and on every other day of the week."
UNKIND = "You are a fool. I have told you so and I will tell you so again and again and again."


class ChangingTools(Tools):
    """``get_tasks`` changes a todo, and says so as tool-runner does."""

    def __init__(self, bus) -> None:
        super().__init__()
        self._bus = bus

    async def get_tasks(self, request: micro.Request) -> bytes:
        await change(self._bus, 7)
        return await super().get_tasks(request)


class Front:
    """The API's one address: moderations are answered here, all else goes on to ``model``."""

    def __init__(self, model: RealtimeServer) -> None:
        self._model = model
        self._tasks: set[asyncio.Task] = set()
        self.asked: list[dict] = []
        self.status = 200
        self.body: bytes | None = None
        self.answers = True
        self.base_url = ""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST /v1/moderations"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await self._moderate(writer, json.loads(await reader.readexactly(length)))
            else:
                await self._pass_on(head, reader, writer)
        writer.close()

    async def _moderate(self, writer, body) -> None:
        self.asked.append(body)
        if not self.answers:
            await asyncio.Event().wait()
        bad = "fool" in body["input"]
        result = {"flagged": bad, "categories": {"violence": False, "harassment": bad}}
        data = json.dumps({"id": "modr-1", "model": body["model"], "results": [result]}).encode()
        data = data if self.body is None else self.body
        head = f"HTTP/1.1 {self.status} X\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()

    async def _pass_on(self, head, reader, writer) -> None:
        port = int(self._model.base_url.split(":")[2].split("/")[0])
        there, back = await asyncio.open_connection("127.0.0.1", port)
        back.write(head)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(reader, back))
                group.create_task(copy(there, writer))
        finally:
            back.close()


async def copy(source, target) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


@pytest.fixture
async def services(bus):
    service = ChangingTools(bus)
    async with micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()):
        yield service


async def change(bus, number: int, caller: str = "c1") -> None:
    todo = Todo(number, "buy milk", date(2026, 11, 22))
    changed = TodoChanged(CallerId(caller), "added", todo)
    await bus.publish(subjects.todo_changed(CallerId(caller)), changed)


async def said(end, text):
    """Wait until the log holds these words of the assistant."""
    async with asyncio.timeout(20):
        while True:
            for event in await end.events():
                if event["event"] == "said" and event["done"] and text in event["text"]:
                    return event
            await asyncio.sleep(0.03)


def notes(model) -> list[str]:
    """What the model was told as the system."""
    return [
        event["item"]["content"][0]["text"]
        for event in model.connections[0].received
        if event["type"] == "conversation.item.create" and event["item"].get("role") == "system"
    ]


def replaced(*parts) -> Script:
    """Says ``parts``, is cancelled, and says the safe sentence."""
    return Script(
        OnResponse(*parts),
        expect("response.cancel"),
        OnResponse(Say(INSTEAD, audio_ms=300), where=lambda r: INSTEAD in r.instructions),
        ignored=IGNORED | {"conversation.item.truncate"},
    )


async def cut_after(end, model, heard_ms: int) -> str:
    """Answer the clear as ingress does: of the item so much was heard. Gives the item."""
    await end.until(lambda: end.clears == [1], "the clear")
    item = next(iter(end.audio))
    await end.cleared(1, line.Playhead(item, heard_ms, False))
    await end.until(
        lambda: any(
            e["type"] == "conversation.item.truncate"
            and (e["item_id"], e["audio_end_ms"]) == (item, heard_ms)
            for e in model.connections[0].received
        ),
        "the cut in the model's memory",
    )
    return item


async def test_forbidden_words_are_cut_and_replaced(bus, nats_server, services, tmp_path):
    script = replaced(Say(FORBIDDEN, audio_ms=6_000))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=RULES) as name,
        line_end(bus, hears=False) as end,
    ):
        model.habits.pace = 4
        await assigned(end, name)
        item = await cut_after(end, model, 150)
        await said(end, INSTEAD)
        await script.finished()
        stopped = await end.event("output_stopped")
        assert (stopped["item_id"], stopped["rule"]) == (item, "forbidden[1]")
        assert len(end.audio[item]) < 3_000 * 8, "cut in the middle of the sentence"
        assert (await end.event("barged_in", item_id=item))["heard_ms"] == 150
        words = await end.event("said", item_id=item, done=True)
        assert words["text"].startswith("I guarantee")
        assert words["generated_ms"] == len(end.audio[item]) // 8
        safe = await said(end, INSTEAD)
        assert len(end.audio[safe["item_id"]]) == 300 * 8, "the safe sentence is heard whole"
        events = [e["event"] for e in await end.events()]
        assert events.count("output_stopped") == 1
        assert end.ends == []


async def test_allowed_words_are_left_alone(bus, nats_server, services, tmp_path):
    script = Script(OnResponse(Say("I give no advice about the law, sorry.", audio_ms=400)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=RULES) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await said(end, "about the law")
        await script.finished()
        assert end.clears == []
        assert "output_stopped" not in [e["event"] for e in await end.events()]


async def test_without_a_check_nothing_is_looked_at(bus, nats_server, services, tmp_path):
    script = Script(OnResponse(Say(FORBIDDEN + UNKIND, audio_ms=400)))
    profile = RULES.replace('kind = "rules"', 'kind = "off"')
    async with (
        RealtimeServer(Scripts(script)) as model,
        Front(model) as front,
        worker(nats_server, tmp_path, front, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await said(end, FORBIDDEN)
        await script.finished()
        assert end.clears == []
        assert front.asked == []


async def test_a_flagged_sentence_is_cut_and_replaced(bus, nats_server, services, tmp_path):
    script = replaced(Say(UNKIND, audio_ms=8_000))
    async with (
        RealtimeServer(Scripts(script)) as model,
        Front(model) as front,
        worker(nats_server, tmp_path, front, profile=MODERATED) as name,
        line_end(bus, hears=False) as end,
    ):
        model.habits.pace = 2
        await assigned(end, name)
        item = await cut_after(end, model, 900)
        await said(end, INSTEAD)
        await script.finished()
        stopped = await end.event("output_stopped")
        assert (stopped["item_id"], stopped["rule"]) == (item, "moderation[harassment]")
        assert front.asked[0] == {"model": "omni-moderation-latest", "input": "You are a fool."}
        assert INSTEAD not in [asked["input"] for asked in front.asked]


async def test_a_moderation_that_fails_lets_the_call_go_on(bus, nats_server, services, tmp_path):
    script = Script(OnResponse(Say(UNKIND, audio_ms=800)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        Front(model) as front,
        worker(nats_server, tmp_path, front, profile=MODERATED) as name,
        line_end(bus) as end,
    ):
        front.status = 500
        await assigned(end, name)
        await said(end, UNKIND)
        await end.until(lambda: len(front.asked) == 2, "both sentences")
        await script.finished()
        assert end.clears == []
        assert [asked["input"] for asked in front.asked] == [UNKIND[:15], UNKIND[16:]]


@pytest.mark.parametrize(
    ("status", "body", "answers"),
    [
        (500, None, True),
        (200, b'{"results":[{"flagged":"x"}]}', True),
        (200, b"<", True),
        (200, None, False),
    ],
    ids=["refused", "another form", "no JSON", "hangs"],
)
async def test_a_failed_moderation_is_counted_and_flags_nothing(status, body, answers, monkeypatch):
    monkeypatch.setattr(moderation, "DEADLINE_S", 5.0 if answers else 0.1)
    async with RealtimeServer(Scripts()) as model, Front(model) as front:
        front.status, front.body, front.answers = status, body, answers
        before = failures()
        async with client("sk-test", front.base_url) as openai:
            assert await moderation.flagged(openai, "You are a fool.", model="m") is None
        assert failures() == before + 1
        assert len(front.asked) == 1, "asked once: later it would be too late"


def failures() -> float:
    return REGISTRY.get_sample_value("trunkline_moderation_failed_total") or 0.0


async def test_a_todo_changed_elsewhere_is_noted(bus, nats_server, services, tmp_path):
    script = Script(OnResponse(Say("Hello.", audio_ms=200)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await said(end, "Hello.")
        await script.finished()
        await change(bus, 8, caller="c2")
        await change(bus, 9)
        await end.until(lambda: notes(model), "the note")
        (note,) = notes(model)
        assert "- added: id 9, due 2026-11-22: buy milk" in note
        assert "id 8" not in note, "another caller's"
        assert end.clears == [], "nothing is interrupted"
        asked = [e for e in model.connections[0].received if e["type"] == "response.create"]
        assert len(asked) == 1, "the greeting: a note asks for no answer"


async def test_a_change_by_our_own_tool_is_not_noted(bus, nats_server, services, tmp_path):
    script = Script(
        OnResponse(Say("Hello.", audio_ms=200)),
        OnSpeech("what do I have", CallTool("get_tasks", {}, "c1")),
        expect_output("c1"),
        OnResponse(Say("Nothing.", audio_ms=200)),
    )
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await said(end, "Hello.")
        await end.turn()
        await script.finished()
        await change(bus, 7)  # announced a little later than the answer
        async with asyncio.timeout(20):
            while not notes(model):
                await change(bus, 99)
                await asyncio.sleep(0.2)
        assert "id 99" in notes(model)[0]
        assert "id 7" not in "".join(notes(model))
