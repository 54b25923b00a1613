"""One call's trouble with the model or with a tool is no other call's, on the same worker."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from agent_world import PROFILE, Tools, assigned, worker
from line_end import SILENCE, LineEnd, line_end
from prometheus_client import REGISTRY

from protocol import subjects
from runtime import micro
from runtime.bus import connect
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import CallTool, RealtimeServer, Say

QUIET = "[silence]\nreminder_s = 0\nhang_up_s = 0\n"
DEADLINE_MS = 1_500
HELLO = Say("Hello.", audio_ms=200)
ANSWER = Say("Nothing today.", audio_ms=300)
NARROW = 4096
SECOND = b"\xff" * 8_000
WITHIN_S = 20.0
"""The bound of every wait, for a hung test only."""


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


class QuickTools(Tools):
    """All but the slow tool, which is served by a process that is busy."""

    def endpoints(self) -> list[micro.Endpoint]:
        return [endpoint for endpoint in super().endpoints() if endpoint.name != "slow"]


class BusyService:
    """A tool service with a loop of its own, which a request for ``slow`` occupies wholly."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()

    @contextlib.contextmanager
    def serving(self, url: str) -> Iterator[None]:
        up, over = threading.Event(), threading.Event()

        async def slow(_: micro.Request) -> bytes:
            self.asked.set()
            self.go_on.wait(WITHIN_S)  # blocks the loop, as long work in a handler does
            return b'{"status":"ok"}'

        async def serve() -> None:
            meta = {"description": "d", "schema": '{"type":"object"}'}
            endpoints = [micro.Endpoint("slow", "tools.slow", slow, meta)]
            settings = CommonSettings(nats_url=url)
            async with (
                connect(settings, "busy", Shutdown()) as bus,
                micro.serving(bus, name="busy", description="d", endpoints=endpoints),
            ):
                up.set()
                while not over.is_set():
                    await asyncio.sleep(0.02)

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            assert up.wait(WITHIN_S)
            yield
        finally:
            self.go_on.set()
            over.set()
            thread.join()


@pytest.fixture(scope="module")
async def tools(bus):
    service = QuickTools()
    async with micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()):
        yield service


@pytest.fixture(scope="module")
def busy(nats_server) -> Iterator[BusyService]:
    service = BusyService()
    with service.serving(nats_server.url):
        yield service


class Attentive:
    """A mind that greets and answers every turn with the same words."""

    def attach(self, controls) -> None: ...
    def observe(self, event) -> None: ...
    def response_done(self, response) -> None: ...
    def detach(self) -> None: ...

    async def hear(self, item) -> str:
        return "what is today"

    async def reply(self, request):
        return [ANSWER if request.cause == "turn" else HELLO]


class Asking(Attentive):
    """One that asks a tool in each turn, and answers with its result."""

    def __init__(self, tool: str) -> None:
        self._tool = tool

    async def reply(self, request):
        if request.cause == "turn":
            return [CallTool(self._tool, {})]
        return [HELLO if request.instructions is not None else ANSWER]


class Way:
    """The way to the model: small windows, and what a connection sends can be held up."""

    def __init__(self, model: RealtimeServer) -> None:
        self._to = int(model.base_url.rpartition(":")[2].partition("/")[0])
        self._tasks: set[asyncio.Task[None]] = set()
        self.flowing: list[asyncio.Event] = []
        """The n-th is the n-th connection's."""
        self.base_url = ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Way"]:
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
        small.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(self._accept, sock=small, limit=NARROW)
        self.base_url = f"http://127.0.0.1:{small.getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flowing = asyncio.Event()
        flowing.set()
        self.flowing.append(flowing)
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer, flowing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader, writer, flowing: asyncio.Event) -> None:
        always = asyncio.Event()
        always.set()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        ways = [
            asyncio.ensure_future(self._pump(reader, far_writer, flowing)),
            asyncio.ensure_future(self._pump(far_reader, writer, always)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            far_writer.transport.abort()
            writer.transport.abort()

    @staticmethod
    async def _pump(reader, writer, flowing: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(NARROW):
                await flowing.wait()
                writer.write(data)
                await writer.drain()


def dropped() -> float:
    """Appends of caller audio dropped on the way to the model."""
    return REGISTRY.get_sample_value("trunkline_model_audio_dropped_total") or 0.0


async def all_dropped() -> float:
    """The same, once what is still on its way through NATS has come to the worker."""
    before = -1.0
    while dropped() != before:
        before = dropped()
        await asyncio.sleep(1)
    return before


async def greeted(end: LineEnd, name: str) -> None:
    await assigned(end, name)
    await end.speak(20, SILENCE)
    await end.event("said", done=True, timeout=WITHIN_S)


async def answered(end: LineEnd, count: int = 1) -> None:
    """A turn, and its answer in the log: the ``count``-th."""
    await end.turn()
    await end.event("said", count=count, text=ANSWER.text, done=True, timeout=WITHIN_S)


async def test_a_model_that_does_not_read_loses_old_audio_of_its_own_call_alone(
    bus, nats_server, tools, busy, tmp_path
) -> None:
    """Far more audio than sockets hold is on its way while the model reads nothing."""
    async with (
        RealtimeServer(Attentive) as model,
        Way(model).open() as way,
        worker(nats_server, tmp_path, way, profile=PROFILE + QUIET) as name,
        line_end(bus) as slow,
        line_end(bus) as other,
    ):
        await greeted(slow, name)
        await greeted(other, name)
        before = dropped()
        way.flowing[0].clear()
        sent = 0
        while dropped() < before + 5:
            for _ in range(20):
                await bus.publish_audio(subjects.in_audio(slow.call, slow.leg), SECOND)
                slow.line_ms += 1_000
            await bus.settle()
            sent += 20
            assert sent < 5_000, "40 MB wait for a model that does not read"
        lost = await all_dropped()
        await answered(other)
        assert dropped() == lost, "nothing of the other call was dropped"
        way.flowing[0].set()
        await answered(slow)
        assert "session_lost" not in {e["event"] for e in await other.events()}
        assert len(other.audio) == 2


async def test_a_model_that_reads_nothing_for_long_is_left_for_another_session(
    bus, nats_server, tools, busy, tmp_path
) -> None:
    async with (
        RealtimeServer(Attentive) as model,
        Way(model).open() as way,
        worker(nats_server, tmp_path, way, profile=PROFILE + QUIET) as name,
        line_end(bus) as slow,
        line_end(bus) as other,
    ):
        await greeted(slow, name)
        await greeted(other, name)
        way.flowing[0].clear()
        await slow.turn()
        await answered(other)
        await slow.event("session_opened", count=2, timeout=WITHIN_S)
        await answered(slow)
        assert len(model.connections) == 3
        assert "session_lost" not in {e["event"] for e in await other.events()}
        await answered(other, count=2)


async def test_a_busy_tool_service_is_waited_for_by_the_call_that_asked_it_alone(
    bus, nats_server, tools, busy, tmp_path
) -> None:
    """While the first call waits for a service that does nothing else any more, the others have
    their tools answered; when it is free again it answers the next one.
    """
    wanted = iter(["slow", "get_tasks", "get_tasks", "get_tasks"])
    profile = PROFILE.replace("tool_deadline_ms = 700", f"tool_deadline_ms = {DEADLINE_MS}") + QUIET
    async with (
        RealtimeServer(lambda: Asking(next(wanted))) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as waiting,
        contextlib.AsyncExitStack() as lines,
    ):
        await greeted(waiting, name)
        others = [await lines.enter_async_context(line_end(bus)) for _ in range(3)]
        for end in others:
            await greeted(end, name)
        await waiting.turn()
        await waiting.until(busy.asked.is_set, "the busy service is asked", timeout=WITHIN_S)
        async with asyncio.TaskGroup() as group:
            for end in others:
                group.create_task(answered(end))
        assert not busy.go_on.is_set()
        for end in others:
            assert (await end.event("tool_returned"))["outcome"] == "ok"
        late = await waiting.event("tool_returned", timeout=WITHIN_S)
        assert late["outcome"] == "timeout"
        assert late["took_ms"] >= DEADLINE_MS - 100
        await waiting.event("said", text=ANSWER.text, done=True, timeout=WITHIN_S)
        busy.go_on.set()
        await answered(waiting, count=2)
        assert (await waiting.event("tool_returned", count=2))["outcome"] == "ok"
