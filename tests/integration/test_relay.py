"""The relay of the chaos runs: carries, cuts, holds everything back, and finds who answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from testbed.ports import LOOPBACK, free_port
from testbed.relay import Relay

PATIENCE_S = 20.0


@asynccontextmanager
async def echo(name: bytes = b"") -> AsyncIterator[int]:
    """A server that sends back what it gets, its name in front; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(name + data)
                await writer.drain()
        except OSError:
            pass
        finally:
            await close(writer)

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(port: int, words: bytes = b"hello", size: int | None = None) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(words)
        async with asyncio.timeout(PATIENCE_S):
            return await reader.readexactly(len(words) if size is None else size)
    finally:
        await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def test_it_carries_both_ways_and_more_than_a_buffer() -> None:
    async with echo() as port, Relay(lambda: [port]) as relay:
        words = bytes(range(256)) * 2_000
        reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            back = group.create_task(reader.readexactly(len(words)))
            writer.write(words)
            group.create_task(writer.drain())
        assert back.result() == words
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b"", "an orderly end is passed on"
        await close(writer)


async def test_cut_resets_what_is_open_and_what_comes_until_it_is_healed() -> None:
    async with echo() as port, Relay(lambda: [port]) as relay:
        reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
        writer.write(b"hello")
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readexactly(5) == b"hello"
            relay.cut()
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await ask(relay.port)
        relay.heal()
        assert await ask(relay.port) == b"hello"
        await close(writer)


async def test_a_black_hole_keeps_connections_and_lets_nothing_pass() -> None:
    async with echo() as port, Relay(lambda: [port]) as relay:
        reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
        writer.write(b"first")
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readexactly(5) == b"first"
        relay.black_hole()
        writer.write(b"later")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(1)
        assert not reader.at_eof(), "nobody is told"
        relay.heal()
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readexactly(5) == b"later"
        await close(writer)


async def test_it_spreads_over_those_who_answer() -> None:
    async with echo(b"a") as first, echo(b"b") as second:
        dead = free_port()
        async with Relay(lambda: [first, dead, second]) as relay:
            answers = [await ask(relay.port, b"x", 2) for _ in range(6)]
    assert set(answers) == {b"ax", b"bx"}


async def test_requests_that_come_together_ask_every_backend() -> None:
    dead = free_port()
    async with (
        echo(b"a") as living,
        Relay(lambda: [dead, living], asks_next=True) as relay,
        asyncio.TaskGroup() as group,
    ):
        asked = [group.create_task(ask(relay.port, b"x", 2)) for _ in range(21)]
    assert [task.result() for task in asked] == [b"ax"] * 21


async def test_nobody_there_is_an_end_without_words() -> None:
    dead = free_port()
    async with Relay(lambda: [dead]) as relay:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await ask(relay.port)


async def test_an_abrupt_end_behind_it_reaches_the_client() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Relay(lambda: [port]) as relay:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await ask(relay.port)


async def test_a_request_that_a_dying_backend_leaves_unanswered_goes_to_the_next() -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    dying = await asyncio.start_server(die, LOOPBACK, 0)
    port = dying.sockets[0].getsockname()[1]
    async with dying, echo(b"a") as living:
        async with Relay(lambda: [port, living], asks_next=True) as relay:
            assert [await ask(relay.port, b"x", 2) for _ in range(4)] == [b"ax"] * 4
        async with Relay(lambda: [port], asks_next=True) as relay:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await ask(relay.port)
