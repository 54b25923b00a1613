"""examples/: each program as a process of its own beside a running system, on a NATS server that
gives it only what a subscriber or a tool service may do.
"""

import asyncio
import contextlib
import datetime
import functools
import json
import os
import secrets
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from jsonschema import Draft202012Validator
from locked_nats import LockedNats
from nats.aio.client import Client
from nats.aio.msg import Msg

from testbed import infra
from testbed.layout import tool_environment
from testbed.process import Process, run
from testbed.realtime import CallTool, OnResponse, OnSpeech, Say, expect_output, tone

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
STANDIN = Path(__file__).parent / "standin_nats_cli.py"
RESTAURANT = "+15550100030"
SERVICES = ("webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard")
GREETING = Say("Hello, what would you like to do?", audio_ms=800)
ANSWER = Say("Nothing is planned for today.", audio_ms=600)
ASK = "what do I have today"
SILENCE = 0xFF
UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH", "ECONNRESET")


@pytest.fixture(scope="module")
async def locked(tmp_path_factory) -> AsyncIterator[LockedNats]:
    # nats.js takes TLS wherever it is offered, and knows this authority as little as any program.
    server = LockedNats(tmp_path_factory.mktemp("locked"), tls=False)
    await server.process.start()
    await server.process.saw("Server is ready", 20)
    yield server
    await server.process.stop(10)


@pytest.fixture(scope="module")
def environment(locked):
    """The variables of an example that logs in as ``role``."""

    def made(role: str, **more: object) -> dict[str, str]:
        url = locked.url(role, "nats")
        return tool_environment(url) | {name: str(value) for name, value in more.items()}

    return made


@contextlib.asynccontextmanager
async def running(name: str, argv: list[object], env: dict[str, str], word: str):
    """A program of the examples, from its word that it is ready on."""
    process = Process(name, [str(part) for part in argv], env=env, keep_lines=2000)
    await process.start()
    try:
        await process.saw(word, 30)
        yield process
    finally:
        await process.stop(10)


def python(name: str, *arguments: object) -> list[object]:
    return [sys.executable, EXAMPLES / name, *arguments]


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Makes a copy of a Node.js example with the packages of its lock, once each."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")

    @functools.cache
    def install(name: str) -> Path:
        folder = tmp_path_factory.mktemp("node") / name
        ignored = shutil.ignore_patterns("node_modules", "*.jsonl")
        shutil.copytree(EXAMPLES / name, folder, ignore=ignored)
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=100,
        )
        if done.returncode and any(code in done.stderr for code in UNREACHABLE):
            pytest.skip("the packages of npm are not in its cache and cannot be fetched")
        assert done.returncode == 0, done.stderr[-2000:]
        return folder

    return install


@pytest.fixture(scope="module")
async def booking_tool(installed, environment, tmp_path_factory):
    """The restaurant's tool service and its book."""
    folder = installed("table_booking")
    book = tmp_path_factory.mktemp("book") / "bookings.jsonl"
    env = environment("tools", BOOKINGS_FILE=book)
    argv = [shutil.which("node"), folder / "table_booking.js"]
    async with running("table-booking", argv, env, "serving tools.book_table") as process:
        yield process, book


@pytest.fixture(scope="module")
def tool_if_possible(request):
    """The tool is there before the agent, which would wait for it some seconds."""
    with contextlib.suppress(pytest.skip.Exception):
        request.getfixturevalue("booking_tool")


@pytest.fixture(scope="module")
async def system(locked, new_system, tool_if_possible, tmp_path_factory):
    assistants = tmp_path_factory.mktemp("profiles") / "assistants"
    shutil.copytree(REPOSITORY / "assistants", assistants)
    shutil.copy(EXAMPLES / "table_booking/restaurant.toml", assistants)
    settings = {name.replace("-", "_"): {"NATS_URL": locked.url(name, "nats")} for name in SERVICES}
    for name in ("webhooks", "ai_agent"):
        settings[name]["ASSISTANTS_DIR"] = str(assistants)
    async with new_system(nats_url=locked.url("admin", "nats"), **settings) as world:
        yield world


@pytest.fixture
async def world(system):
    system.begin()
    yield system
    await system.settle()


async def talk(world, number: str):
    """A call in which one question is asked and answered; still on the line."""
    script = world.script(
        OnResponse(GREETING),
        OnSpeech(ASK, CallTool("get_tasks", {"period": "today"}, "c1")),
        expect_output("c1"),
        OnResponse(ANSWER),
    )
    call = await world.dial(number)
    await world.heard(call, tone(GREETING.text, GREETING.audio_ms))
    await call.say(tone(ASK, 700))
    await call.wait_until(
        lambda c: tone(ANSWER.text, ANSWER.audio_ms) in c.ear.audio(), world.patience_s
    )
    await script.finished()
    return call


# -- live transcripts


async def test_what_is_said_is_shown_in_the_order_of_the_talk(
    world, installed, environment
) -> None:
    program = [shutil.which("node"), installed("live_transcripts") / "live_transcripts.js"]
    ready = "listening to all calls"
    async with running("screen", program, environment("subscriber"), ready) as screen:
        call = await talk(world, "+15550182001")
        await world.hung_up(call)
        await screen.saw("the call is over: caller_hung_up", 20)
    mark = call.sid[-6:]
    lines = [line for line in screen.lines if line.startswith(mark)]
    told = [line.split(maxsplit=2)[1:] for line in lines]
    final = [line for line in told if not line[-1].startswith("…")]
    assert final[:4] == [
        ["a", "call comes in"],
        ["assistant", GREETING.text],
        ["caller", ASK],
        ["assistant", ANSWER.text],
    ]
    before = told[: told.index(["assistant", ANSWER.text])]
    partial = [line[1].removeprefix("… ") for line in before if line[1].startswith("…")]
    assert any(ANSWER.text.startswith(words) for words in partial), told


# -- recorders, replay


def wav(path: Path) -> bytes:
    """The audio of a mu-law WAV file, whose header must be whole."""
    data = path.read_bytes()
    riff, size, wave = struct.unpack_from("<4sI4s", data)
    assert (riff, wave, size) == (b"RIFF", b"WAVE", len(data) - 8)
    chunks, at = {}, 12
    while at < len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        chunks[name] = data[at + 8 : at + 8 + length]
        at += 8 + length
    assert struct.unpack("<HHIIHHH", chunks[b"fmt "]) == (7, 1, 8000, 8000, 1, 8, 0)
    assert struct.unpack("<I", chunks[b"fact"]) == (len(chunks[b"data"]),)
    return chunks[b"data"]


@pytest.fixture
def nats_cli(tmp_path) -> Path:
    """A folder with `nats` in it: the installed one, else one that prints the same."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nats"
    if real := shutil.which("nats"):
        program.symlink_to(real)
    else:
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STANDIN}" "$@"\n')
        program.chmod(0o755)
    return folder


async def listened_to(locked, subject: str) -> None:
    """Wait until somebody listens to exactly this subject (the CLI says nothing itself)."""
    asked = {"subs": 1, "test": subject.replace("*", "1")}
    async with httpx.AsyncClient(base_url=locked.monitor_url, trust_env=False) as monitor:
        async with asyncio.timeout(30):
            while True:
                found = (await monitor.get("/subsz", params=asked)).json()
                if subject in [each["subject"] for each in found.get("subscriptions_list", ())]:
                    return
                await asyncio.sleep(0.05)


def newest(store: Path) -> int:
    """The sequence up to which a group has read."""
    database = sqlite3.connect(store, timeout=30)
    try:
        return database.execute("select max(sequence) from events").fetchone()[0] or 0
    finally:
        database.close()


async def test_a_call_is_recorded_and_read_again(
    world, locked, environment, nats_cli, tmp_path
) -> None:
    began = datetime.datetime.now(datetime.UTC)
    listener = environment("subscriber")
    folder = tmp_path / "calls"
    program = python("recorder/record.py", folder)
    async with running("recorder", program, listener, "waiting for calls"):
        call = await talk(world, "+15550182004")
        # The script needs the id of a call, so it always comes late.
        script = ["/bin/sh", EXAMPLES / "recorder/record.sh", call.sid, tmp_path]
        path = f"{nats_cli}{os.pathsep}{listener['PATH']}"
        shell = Process("record.sh", script, env=listener | {"PATH": path})
        await shell.start()
        for subject in (f"call.{call.sid}.in.*.audio", f"call.{call.sid}.event.call_ended"):
            await listened_to(locked, subject)
        await call.say(tone("goodbye", 500))
        events = await world.hung_up(call)
        async with asyncio.timeout(30):
            assert await shell.wait() == 0, shell.tail()

    # The caller's voice, byte for byte: from where a worker took the call (nothing is live before),
    # and from where the script came in.
    (stopped,) = [event for event in events if event["event"] == "stream_stopped"]
    words, goodbye = tone(ASK, 700), tone("goodbye", 500)
    whole = wav(folder / f"{call.sid}.wav")
    assert stopped["frames"] == call.streams[0].frames_sent
    assert len(whole) % 160 == 0
    assert len(words) + len(goodbye) < len(whole) <= 160 * stopped["frames"]
    assert words in whole
    assert set(whole.replace(words, b"").replace(goodbye, b"")) == {SILENCE}
    late = wav(tmp_path / f"{call.sid}.wav")
    assert goodbye in late
    assert words not in late
    assert whole.endswith(late)

    # The log, read again by a group from before the call on.
    store = tmp_path / "audit.sqlite"
    since = ["--since", began.isoformat(), "--store", store]
    group = python("replay/member.py", "audit", *since)
    last = max(n for n, _ in await world.replay(f"call.{call.sid}.log.*", len(events)))
    async with running("member", group, listener, "up to "):
        await world.until(lambda: newest(store) >= last, "the group has the whole call")
        report = await run("report", [str(p) for p in (*group, "--report")], env=listener)
    assert report.returncode == 0, report.tail()
    (line,) = [line for line in report.lines if line.startswith(call.sid)]
    assert line.split("  ")[1:5] == ["+15****2004", "caller_hung_up", "turns: 1", "tools: ok"]
    for event in events:
        schema = json.loads(
            (REPOSITORY / f"docs/reference/schemas/event.{event['event']}.json").read_text()
        )
        assert [e.message for e in Draft202012Validator(schema).iter_errors(event)] == []


# -- a webhook


class Sink:
    """An HTTP server that keeps what is posted to it; the first post is refused."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.got: list[tuple[str, str]] = []
        """Idempotency key and text of what was taken."""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (h.partition(": ") for h in head)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        assert head[0].startswith("POST /hook ")
        if self.refused:
            self.got.append((headers["idempotency-key"], body["text"]))
        else:
            self.refused.append(headers["idempotency-key"])
        status = "204 No Content" if self.got else "503 Service Unavailable"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()


async def short_call(world, number: str):
    world.script(OnResponse(GREETING))
    call = await world.dial(number)
    await world.heard(call, tone(GREETING.text, GREETING.audio_ms))
    await world.hung_up(call)
    (ended,) = world.events(call, "call_ended")
    return ended["id"]


async def test_every_call_that_ends_is_posted_once(world, environment) -> None:
    sink = Sink()
    program = python("call_ended_webhook/notify.py")
    ready = "waiting for calls to end"
    async with sink.serving() as url:
        env = environment("subscriber", WEBHOOK_URL=url)
        async with running("webhook", program, env, ready) as webhook:
            first = await short_call(world, "+15550182002")
            await world.until(lambda: sink.got, "the refused post came again")
            assert sink.refused == [first]
            webhook.kill()
            await webhook.wait()
        second = await short_call(world, "+4930182003")
        async with running("webhook", program, env, ready):
            await world.until(lambda: len(sink.got) > 1, "the call that it missed is posted")
            third = await short_call(world, "anonymous")
            await world.until(lambda: len(sink.got) > 2, "the next call is posted")
    assert [key for key, _ in sink.got] == [first, second, third], "each once, in order"
    for (_, text), who in zip(
        sink.got, ("+15****2002", "+49****2003", "a withheld number"), strict=True
    ):
        begin, _, end = text.partition(" ended after ")
        assert begin == f"Call of {who}"
        minutes, _, rest = end.partition(":")
        seconds, _, outcome = rest.partition(" min: ")
        assert outcome == "caller_hung_up"
        assert 1 <= int(minutes) * 60 + int(seconds) < 60


# -- a tool


def booked(book: Path) -> list[dict[str, Any]]:
    """The lines of the book, without one that was torn."""
    lines = [line for line in book.read_text().splitlines() if line.endswith("}")]
    return [json.loads(line) for line in lines]


async def asked(
    client: Client, arguments: Any, key: str | None = None, deadline_ms: int = 10_000
) -> Msg:
    """The tool's reply, asked as ai-agent asks."""
    payload = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
    headers = {
        "Trunkline-Call": "CA" + "1" * 32,
        "Trunkline-Caller": "c1",
        "Trunkline-Idempotency-Key": key or secrets.token_hex(8),
        "Trunkline-Deadline-Ms": str(deadline_ms),
    }
    return await client.request("tools.book_table", payload, timeout=20, headers=headers)


@pytest.fixture
async def agent(locked, booking_tool):
    """Asks the tool as the user ai-agent."""
    client = await locked.connect("ai-agent")
    yield functools.partial(asked, client)
    await client.close()


def day(ahead: int) -> str:
    return (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=ahead)).isoformat()


async def test_a_tool_in_nodejs_books_a_table_for_a_caller(world, booking_tool) -> None:
    process, book = booking_tool
    wish = {"day": day(2), "time": "19:30", "guests": 2}
    hello, done = Say("The restaurant, hello.", 600), Say("Your table is booked.", 700)
    script = world.script(
        OnResponse(hello, where=lambda r: "as the restaurant" in (r.instructions or "")),
        OnSpeech("a table for two", CallTool("book_table", wish, "c1")),
        expect_output("c1", lambda output: output == {"status": "booked", "table": 1, **wish}),
        OnResponse(done),
    )
    call = await world.twilio.dial("+15550182010", RESTAURANT)
    await world.heard(call, tone(hello.text, 600))
    await call.say(tone("a table for two", 700))
    await world.heard(call, tone(hello.text, 600), tone(done.text, 700))
    await script.finished()
    events = {event["event"]: event for event in await world.hung_up(call)}
    assert [t["name"] for t in events["session_opened"]["tools"]] == ["book_table", "end_call"]
    assert events["tool_called"]["name"] == "book_table"
    assert json.loads(events["tool_called"]["arguments"]) == wish
    assert events["tool_returned"]["called"] == events["tool_called"]["id"]
    assert events["tool_returned"]["outcome"] == "ok"
    (line,) = [line for line in booked(book) if line["answer"]["day"] == wish["day"]]
    assert line["key"] == events["tool_called"]["id"]
    assert process.running


async def test_a_tool_acts_once_however_often_it_is_asked(agent, booking_tool) -> None:
    _, book = booking_tool
    wish = {"day": day(3), "time": "18:00", "guests": 4}
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(agent(wish, "one-wish")) for _ in range(5)]
    answers = {task.result().data for task in asked}
    assert answers == {(await agent(wish, "one-wish")).data}, "one answer"
    assert json.loads(answers.pop()) == {"status": "booked", "table": 1, **wish}
    assert len([line for line in booked(book) if line["key"] == "one-wish"]) == 1


async def test_another_wish_takes_another_table_until_none_is_left(agent) -> None:
    wish = {"day": day(4), "time": "20:00", "guests": 1}
    answers = [json.loads((await agent(wish)).data) for _ in range(6)]
    assert [a.get("table") for a in answers] == [1, 2, 3, 4, 5, None]
    assert answers[-1]["status"] == "full"


async def test_a_tool_does_nothing_after_the_deadline(agent, booking_tool) -> None:
    _, book = booking_tool
    wish = {"day": day(5), "time": "18:00", "guests": 4}
    late = await agent(wish, "too-late", deadline_ms=0)
    assert late.headers["Nats-Service-Error-Code"] == "504"
    assert "nothing was booked" in late.headers["Nats-Service-Error"]
    assert "too-late" not in [line["key"] for line in booked(book)]
    assert json.loads((await agent(wish, "too-late")).data)["status"] == "booked"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (b"no json", "not JSON"),
        (b"[]", "day"),
        ({"day": "2026-02-30", "time": "18:00", "guests": 2}, "day"),
        ({"day": 7, "time": "18:00", "guests": 2}, "day"),
        ({"day": "2026-11-30", "time": "03:00", "guests": 2}, "time"),
        ({"day": "2026-11-30", "time": "18:00", "guests": "2"}, "guests"),
        ({"day": "2026-11-30", "time": "18:00", "guests": 9}, "guests"),
    ],
)
async def test_what_cannot_be_booked_is_an_honest_failure(agent, arguments, complaint) -> None:
    reply = await agent(arguments)
    assert reply.headers is None or "Nats-Service-Error" not in reply.headers
    answer = json.loads(reply.data)
    assert answer["status"] == "failed"
    assert complaint in answer["message"]


async def test_the_book_outlives_the_tool(installed, tmp_path) -> None:
    """Also a line that was half written when it was killed."""
    book, wish = tmp_path / "bookings.jsonl", {"day": day(6), "time": "21:30", "guests": 8}
    program = [shutil.which("node"), installed("table_booking") / "table_booking.js"]
    async with infra.nats(None, tmp_path / "nats") as server:
        client = await nats.connect(server.url)
        env = tool_environment(server.url) | {"BOOKINGS_FILE": str(book)}
        async with running("tool", program, env, "serving tools.book_table") as process:
            before = await asked(client, wish, "kept")
            process.kill()
            await process.wait()
        with book.open("a") as file:
            file.write('{"key":"torn","ans')
        async with running("tool", program, env, "serving tools.book_table"):
            assert (await asked(client, wish, "kept")).data == before.data
            assert json.loads((await asked(client, wish, "next")).data)["table"] == 2
        await client.close()
    assert [line["key"] for line in booked(book)] == ["kept", "next"]
