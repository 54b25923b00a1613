"""A socket of text messages, against a client of another library."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import picows
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from runtime import text_socket
from runtime.text_socket import Closed, TextSocket

MAX = 64 * 1024


class Server:
    """One socket, and what it told."""

    def __init__(self) -> None:
        self.socket = TextSocket(MAX)
        self.socket.hearer = self
        self.heard: list[bytes | str] = []
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self.writable = asyncio.Event()

    def on_text(self, message: bytes) -> None:
        self.heard.append(message)

    def on_binary(self, message: bytes) -> None:
        self.heard.append("binary")

    def on_writable(self) -> None:
        self.writable.set()

    def on_closed(self, closed: Closed) -> None:
        self.closed.set_result(closed)

    async def end(self) -> Closed:
        async with asyncio.timeout(10):
            return await self.closed


@contextlib.asynccontextmanager
async def opened() -> AsyncGenerator[tuple[Server, ClientConnection]]:
    server = Server()
    listener = await picows.ws_create_server(
        lambda _: server.socket, "127.0.0.1", 0, max_frame_size=MAX
    )
    port = listener.sockets[0].getsockname()[1]
    try:
        async with connect(f"ws://127.0.0.1:{port}/", compression=None) as client:
            yield server, client
    finally:
        listener.close()


async def test_whole_and_fragmented_messages_come_in_order():
    async with opened() as (server, client):
        await client.send("one")
        await client.send(["t", "w", "o"])
        await client.send(b"three")
        await client.send([b"f", b"our"])
        await client.send("five")
        await client.ping()
        await client.close(4001, "enough")
        assert await server.end() == Closed(4001, "enough", ours=False)
        assert server.heard == [b"one", b"two", "binary", "binary", b"five"]
        server.socket.send(b"too late")
        await server.socket.close()


async def test_what_is_sent_and_how_it_is_closed_arrive():
    async with opened() as (server, client):
        await client.send("hello")
        server_said = asyncio.ensure_future(client.recv())
        while not server.heard:
            await asyncio.sleep(0.001)
        server.socket.send("grüß".encode())
        assert await server_said == "grüß"
        closing = asyncio.ensure_future(server.socket.close(1013, "later"))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "later")
        await closing
        assert await server.end() == Closed(1013, "later", ours=True)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("x" * (MAX + 1), 1009),
        (["x" * 40_000, "y" * 40_000], 1009),
    ],
)
async def test_a_message_that_is_too_big_ends_it(message, code):
    async with opened() as (server, client):
        with contextlib.suppress(ConnectionClosed):
            await client.send(message)
        closed = await server.end()
        assert (closed.code, closed.ours) == (code, True)
        assert server.heard == []


@pytest.mark.parametrize(
    "raw",
    [
        b"\x81\x05hello",  # not masked
        b"\x80\x80\x00\x00\x00\x00",  # a continuation of nothing
        b"\x83\x80\x00\x00\x00\x00",  # an unknown kind
    ],
)
async def test_broken_framing_ends_it(raw):
    async with opened() as (server, client):
        client.transport.write(raw)
        closed = await server.end()
        assert (closed.code, closed.ours) == (1002, True)


async def test_a_lost_connection_is_told_as_abnormal():
    async with opened() as (server, client):
        client.transport.abort()
        assert await server.end() == Closed(1006, "", ours=False)


async def test_a_peer_that_answers_no_close_is_left(monkeypatch):
    monkeypatch.setattr(text_socket, "CLOSE_WITHIN_S", 0.05)
    async with opened() as (server, client):
        await client.send("hello")
        while not server.heard:
            await asyncio.sleep(0.001)
        client.transport.pause_reading()
        await server.socket.close(1001, "going")
        assert await server.end() == Closed(1001, "going", ours=True)
        client.transport.abort()


async def test_a_peer_that_reads_nothing_stops_the_writing_until_it_reads_again():
    async with opened() as (server, client):
        await client.send("hello")
        while not server.heard:
            await asyncio.sleep(0.001)
        client.transport.pause_reading()
        sent = 0
        while server.socket.writable:
            server.socket.send(b"x" * 50_000)
            sent += 1
            assert sent < 1_000
            await asyncio.sleep(0)
        client.transport.resume_reading()
        for _ in range(sent):
            assert len(await client.recv()) == 50_000
        async with asyncio.timeout(10):
            await server.writable.wait()
        assert server.socket.writable
