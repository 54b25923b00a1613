"""The agent's socket to the model against a real websocket server that behaves as one should,
badly, or not at all.
"""

import asyncio
import base64
import contextlib
import json
import socket
import ssl

import openai
import pytest
import trustme
from prometheus_client import REGISTRY
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from ai_agent.realtime import events as rt
from ai_agent.realtime import socket as model_socket
from ai_agent.realtime.connection import (
    AUDIO_BACKLOG,
    EVENTS_KEPT,
    SessionFailed,
    client,
    connected,
)
from runtime import text_socket

PATIENCE_S = 20
STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "i"}


@contextlib.asynccontextmanager
async def model(behaviour, **options):
    """A server whose sockets ``behaviour`` serves; yields its base URL."""
    options = {"compression": None, "ping_interval": None} | options
    async with serve(behaviour, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        scheme = "https" if "ssl" in options else "http"
        yield f"{scheme}://localhost:{port}/v1"


@contextlib.asynccontextmanager
async def session(base_url, *, timeout=PATIENCE_S):
    async with (
        asyncio.timeout(3 * PATIENCE_S),
        client("the-key", base_url) as sdk,
        connected(sdk, model="a model", safety_id="caller", timeout=timeout) as connection,
    ):
        yield connection


def speech_started(ms):
    return json.dumps(STARTED | {"audio_start_ms": ms})


async def all_of(connection):
    return [event.audio_start_ms async for event in connection.events()]


@pytest.fixture(autouse=True)
def trust():
    """What this process trusts is read anew before a test and after it."""
    model_socket.tls.cache_clear()
    yield
    model_socket.tls.cache_clear()


def certified(monkeypatch, tmp_path):
    """A context for a server at localhost, whose authority this process trusts from now on."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return context


def dropped():
    return REGISTRY.get_sample_value("trunkline_model_audio_dropped_total") or 0


async def test_it_connects_where_and_as_the_sdk_would():
    async def behaviour(websocket: ServerConnection):
        asked.append(websocket.request)

    asked = []
    async with model(behaviour) as base_url:
        async with session(base_url + "/") as connection:
            assert await all_of(connection) == []
        async with (
            openai.AsyncOpenAI(api_key="the-key", base_url=base_url) as sdk,
            sdk.realtime.connect(
                model="a model", extra_headers={"OpenAI-Safety-Identifier": "caller"}
            ) as theirs,
        ):
            await theirs.close()
    ours, theirs = asked
    assert ours.path == theirs.path == "/v1/realtime?model=a+model"
    about_the_socket = {"sec-websocket-key", "sec-websocket-extensions"}
    assert headers(ours) - about_the_socket == headers(theirs) - about_the_socket
    for name in ("Authorization", "OpenAI-Safety-Identifier", "User-Agent", "Host"):
        assert ours.headers[name] == theirs.headers[name]
    assert ours.headers["Authorization"] == "Bearer the-key"


def headers(request):
    return {name.lower() for name, _ in request.headers.raw_items()}


async def test_events_come_in_order_whole_or_in_pieces_as_text_or_bytes_and_past_broken_ones():
    async def behaviour(websocket: ServerConnection):
        await websocket.send(speech_started(1))
        await websocket.send(speech_started(2).encode())
        await websocket.send("no event")
        await websocket.send('{"type":"invented.tomorrow"}')
        third = speech_started(3)
        await websocket.send([third[:10], third[10:30], third[30:]])
        for ms in range(4, 4 * EVENTS_KEPT):
            await websocket.send(speech_started(ms))
        await websocket.close(4000, "because")

    async with model(behaviour) as base_url, session(base_url) as connection:
        assert await all_of(connection) == list(range(1, 4 * EVENTS_KEPT))
        assert connection.ended == "4000 because"


async def test_what_nobody_takes_waits_with_the_model_who_is_not_held_to_be_gone(monkeypatch):
    monkeypatch.setattr(model_socket, "PING_EVERY_S", 0.1)
    monkeypatch.setattr(model_socket, "PING_S", 0.2)

    async def behaviour(websocket: ServerConnection):
        for _ in range(pieces):
            await websocket.send(big)
            sent.append(1)
        await websocket.close()

    sent: list[int] = []
    pieces = 200
    big = json.dumps(STARTED | {"audio_start_ms": 1, "more": "x" * 2**20})
    async with model(behaviour) as base_url, session(base_url) as connection:
        before = -1
        while len(sent) != before:  # until its writes stand still
            before = len(sent)
            await asyncio.sleep(0.5)
        assert EVENTS_KEPT <= before < pieces
        monkeypatch.setattr(model_socket, "PING_EVERY_S", 3 * PATIENCE_S)
        assert len(await all_of(connection)) == pieces


@pytest.mark.parametrize(
    ("behaviour", "ended"),
    [
        (lambda websocket: websocket.close(1011, "overloaded"), "1011 overloaded"),
        (lambda websocket: websocket.close(1000), "1000"),
        (lambda websocket: lost(websocket), "1006"),
        (lambda websocket: raw(websocket, b"\x88\x00"), "1005"),
        (lambda websocket: websocket.send("x" * (2**24 + 1)), "1009"),
        (lambda websocket: websocket.send(["x" * 2**23] * 3), "1009"),
        (lambda websocket: frame(websocket, Opcode.CONT, b"rest"), "1002"),
        (lambda websocket: frame(websocket, Opcode.TEXT, b"half", again=True), "1002"),
    ],
    ids=[
        "closed with a reason",
        "closed",
        "lost",
        "closed without a code",
        "too big",
        "too big in pieces",
        "a piece of nothing",
        "a piece within another message",
    ],
)
async def test_the_end_is_told_by_its_code(behaviour, ended):
    async def handler(websocket: ServerConnection):
        with contextlib.suppress(Exception):
            await behaviour(websocket)
            await websocket.wait_closed()

    async with model(handler) as base_url, session(base_url) as connection:
        assert await all_of(connection) == []
        assert connection.ended.startswith(ended)


async def lost(websocket):
    websocket.transport.abort()


async def raw(websocket, data):
    websocket.transport.write(data)


async def frame(websocket, opcode, data, *, again=False):
    for _ in range(1 + again):
        head = Frame(opcode, data, fin=not again).serialize(mask=False)
        await raw(websocket, head)


@pytest.mark.parametrize(
    ("status", "permanent"), [(401, True), (404, True), (429, False), (503, False), (520, False)]
)
async def test_a_refused_upgrade_is_told_by_its_status(status, permanent):
    def refuse(connection, _):
        answer = connection.respond(429, "no\n")
        answer.status_code = status
        return answer

    async with model(None, process_request=refuse) as base_url:
        with pytest.raises(SessionFailed, match=rf"^refused with HTTP {status}$") as caught:
            await used(base_url)
    assert caught.value.permanent is permanent


async def used(base_url, **options):
    async with session(base_url, **options):
        raise AssertionError("it opened")


async def test_a_redirect_is_not_followed():
    async def behaviour(_):
        reached.append(1)

    def elsewhere(connection, request):
        answer = connection.respond(302, "")
        answer.headers["Location"] = target + "/realtime"
        return answer

    reached: list[int] = []
    async with model(behaviour) as target, model(behaviour, process_request=elsewhere) as base_url:
        with pytest.raises(SessionFailed, match=r"^refused with HTTP 302$"):
            await used(base_url)
    assert not reached


async def test_a_server_that_answers_nothing_is_given_up_in_time():
    async def mute(reader, writer):
        assert await reader.readuntil(b"\r\n\r\n")
        assert not await reader.read()  # and our end is closed
        gone.set()
        writer.close()

    gone = asyncio.Event()
    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SessionFailed, match="TimeoutError") as caught:
            await used(f"http://127.0.0.1:{port}/v1", timeout=0.3)
        assert not caught.value.permanent
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-nothing\r\n\r\n"], ids=["silence", "nonsense"])
async def test_what_is_no_websocket_server_is_no_session(answer):
    async def other(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SessionFailed, match=r"^cannot connect") as caught:
            await used(f"http://127.0.0.1:{port}/v1")
    assert not caught.value.permanent
    with pytest.raises(SessionFailed, match=r"^cannot connect"):
        await used(f"http://127.0.0.1:{port}/v1")


async def test_a_peer_that_answers_no_ping_is_gone(monkeypatch):
    monkeypatch.setattr(model_socket, "PING_EVERY_S", 0.1)
    monkeypatch.setattr(model_socket, "PING_S", 0.2)

    class Counting(ServerConnection):
        def process_event(self, event):
            if getattr(event, "opcode", None) is Opcode.PING:
                pings.append(event)
            super().process_event(event)

    async def behaviour(websocket: ServerConnection):
        await websocket.send(speech_started(1))
        while len(pings) < 3:
            await asyncio.sleep(0.01)
        websocket.transport.pause_reading()
        await websocket.send(speech_started(2))
        await over.wait()
        websocket.transport.abort()

    pings: list[object] = []
    over = asyncio.Event()
    async with (
        model(behaviour, create_connection=Counting) as base_url,
        session(base_url) as connection,
    ):
        assert await all_of(connection) == [1, 2]  # two pings and more were answered
        assert connection.ended == "1011 keepalive ping timeout"
        over.set()


async def test_a_peer_that_does_not_say_goodbye_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(text_socket, "CLOSE_WITHIN_S", 0.2)

    async def behaviour(websocket: ServerConnection):
        websocket.transport.pause_reading()
        await over.wait()
        websocket.transport.abort()

    over = asyncio.Event()
    async with model(behaviour) as base_url:
        async with session(base_url) as connection:
            pass
        assert await all_of(connection) == []
        over.set()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_slow_socket_gets_control_first_and_loses_its_oldest_audio(
    monkeypatch, tmp_path, secure
):
    async def behaviour(websocket: ServerConnection):
        await full.wait()
        async for message in websocket:
            heard.append(json.loads(message))
            if heard[-1] == last:
                await websocket.close()

    def append(number):
        # Noise beside the number: what kernels keep is bytes.
        connection.append_audio(number.to_bytes(4, "big") + bytes(4096))

    heard: list[dict[str, str]] = []
    last = {"type": "response.create"}
    full = asyncio.Event()
    before, sent = dropped(), 0
    options = {"ssl": certified(monkeypatch, tmp_path)} if secure else {}
    async with (
        model(behaviour, max_queue=1, **options) as base_url,
        session(base_url) as connection,
    ):
        while dropped() < before + 7:
            append(sent)
            sent += 1
            if sent % 50 == 0:
                await asyncio.sleep(0)
        connection.tell({"type": "first"})
        connection.tell({"type": "second"})
        full.set()
        while not [each for each in heard if each["type"] == "second"]:
            await asyncio.sleep(0.01)
        connection.tell(last)
        assert await all_of(connection) == []
    said = [each["type"] for each in heard]
    audio = [
        int.from_bytes(base64.b64decode(each["audio"])[:4], "big")
        for each in heard
        if "audio" in each
    ]
    missing = sorted(set(range(sent)) - set(audio))
    assert audio == sorted(audio)
    assert len(missing) == 7
    assert missing == list(range(missing[0], missing[0] + 7))
    assert sent - 1 in audio
    # All that waited goes after what was told.
    at = said.index("first")
    assert said[at + 1] == "second"
    assert len(audio) - at == AUDIO_BACKLOG


async def test_tls_is_checked_against_the_systems_trust(monkeypatch, tmp_path):
    async def behaviour(websocket: ServerConnection):
        assert json.loads(await websocket.recv()) == {"type": "hello"}
        await websocket.send(speech_started(5))

    context = certified(monkeypatch, tmp_path)
    async with model(behaviour, ssl=context) as base_url:
        async with session(base_url) as connection:
            connection.tell({"type": "hello"})
            assert await all_of(connection) == [5]
            assert connection.ended == "1000"
        with pytest.raises(SessionFailed, match="SSLCertVerificationError"):
            await used(base_url.replace("localhost", "127.0.0.1"))
        monkeypatch.delenv("SSL_CERT_FILE")
        model_socket.tls.cache_clear()
        with pytest.raises(SessionFailed, match="SSLCertVerificationError"):
            await used(base_url)


@pytest.mark.parametrize("secure", [False, True])
async def test_the_proxy_of_the_environment_is_used_unless_it_says_no(
    monkeypatch, tmp_path, secure
):
    async def behaviour(websocket: ServerConnection):
        await websocket.send(speech_started(6))

    async def proxy(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        asked.append(request.split(b"\r\n", 1)[0].decode())
        assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:secret") in request
        name = asked[-1].split()[1]
        theirs, there = await asyncio.open_connection("localhost", int(name.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 go on\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(pumped(reader, there))
            group.create_task(pumped(theirs, writer))

    asked: list[str] = []
    options = {}
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if secure:
        options["ssl"] = certified(monkeypatch, tmp_path)
    async with (
        model(behaviour, **options) as base_url,
        await asyncio.start_server(proxy, "127.0.0.1", 0) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        scheme = "https_proxy" if secure else "http_proxy"
        monkeypatch.setenv(scheme, f"http://me:secret@127.0.0.1:{port}")
        async with session(base_url) as connection:
            assert await all_of(connection) == [6]
        assert asked == [f"CONNECT {base_url.split('/')[2]} HTTP/1.1"]
        monkeypatch.setenv("no_proxy", "localhost")
        async with session(base_url) as connection:
            assert await all_of(connection) == [6]
        assert len(asked) == 1


async def pumped(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_proxy_that_leads_nowhere_is_no_session(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    # Names of their own: the SDK's HTTP client looks at the others when it is made.
    for proxy in (f"http://127.0.0.1:{port}", f"socks5://127.0.0.1:{port}", "gopher://x"):
        monkeypatch.setenv("ws_proxy", proxy)
        with pytest.raises(SessionFailed, match=r"^cannot connect") as caught:
            await used("http://localhost:9/v1")
        assert not caught.value.permanent


async def test_events_are_what_the_decoder_gives():
    async def behaviour(websocket: ServerConnection):
        await websocket.send(speech_started(1))

    async with model(behaviour) as base_url, session(base_url) as connection:
        assert [event async for event in connection.events()] == [rt.SpeechStarted(1, "i")]
