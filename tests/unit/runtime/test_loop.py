"""The loop of a service: names are looked up in our threads, and every address is tried."""

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from runtime import loop as our_loop
from runtime.loop import Loop

HANGS = """
import asyncio, socket, sys, threading, time
from runtime.lookups import Lookups
from runtime.loop import Loop

began = threading.Event()

def hang(*_, **__):
    began.set()
    time.sleep(60)

socket.getaddrinfo = hang
lookups = Lookups()

async def main():
    lookups.use()
    asking = asyncio.create_task(asyncio.open_connection("nowhere.invalid", 1))
    while not began.is_set():
        await asyncio.sleep(0.01)
    asking.cancel()

with asyncio.Runner(loop_factory=Loop) as runner:
    runner.run(main())
sys.exit(lookups.leave(3))
"""


def run(main) -> object:
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    writer.close()


async def said_back(server: asyncio.Server, host: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])
    writer.write(b"hello\n")
    answer = await reader.read()
    writer.close()
    return answer


def test_a_look_up_without_an_answer_is_left_behind() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], check=False, timeout=50)
    assert done.returncode == 3


def test_a_name_is_looked_up_in_the_default_executor(monkeypatch) -> None:
    where: list[str] = []
    real = socket.getaddrinfo

    def noted(*names, **options):
        where.append(threading.current_thread().name)
        return real(*names, **options)

    monkeypatch.setattr(our_loop.socket, "getaddrinfo", noted)

    async def main() -> bytes:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            where.clear()
            return await said_back(server, "localhost")

    assert run(main) == b"hello\n"
    assert len(where) == 1
    assert where[0] != threading.main_thread().name


def test_an_address_is_not_looked_up(monkeypatch) -> None:
    async def main() -> bytes:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            monkeypatch.setattr(our_loop.socket, "getaddrinfo", None)
            return await said_back(server, "127.0.0.1")

    assert run(main) == b"hello\n"


def test_the_next_address_is_tried(monkeypatch) -> None:
    """As where a name has an IPv6 address that nobody listens on."""

    async def main() -> bytes:
        async with await asyncio.start_server(echo, "127.0.0.2", 0) as server:
            port = server.sockets[0].getsockname()[1]
            found = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in ("127.0.0.1", "127.0.0.2")
            ]
            monkeypatch.setattr(our_loop.socket, "getaddrinfo", lambda *_, **__: found)
            return await said_back(server, "phone.example")

    assert run(main) == b"hello\n"


@pytest.mark.parametrize("addresses", [1, 2])
def test_nobody_there_is_an_os_error(monkeypatch, addresses: int) -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # not listening
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", taken.getsockname())] * addresses
            monkeypatch.setattr(our_loop.socket, "getaddrinfo", lambda *_, **__: found)
            await asyncio.open_connection("phone.example", 1)

    with pytest.raises(OSError, match="phone.example" if addresses == 2 else "refused"):
        run(main)


def test_a_name_that_is_not_known_says_so(monkeypatch) -> None:
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(our_loop.socket, "getaddrinfo", unknown)

    async def main() -> None:
        await asyncio.open_connection("nowhere.invalid", 1)

    with pytest.raises(socket.gaierror):
        run(main)
