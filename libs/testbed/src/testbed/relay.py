"""A TCP relay on loopback that can be cut, black-holed and healed: the network between two parties.

Stands between an agent and NATS (a partition), and before several ingresses (a balancer: the
first backend that answers gets the connection). It never looks at what it carries.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal, Self

from testbed.ports import LOOPBACK

State = Literal["open", "cut", "black_hole"]
_BUFFER = 64 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)


class Relay:
    """An async context manager; `port` is where clients connect.

    `backends` gives the ports to try, in turn, for each new connection. States: open; cut (every
    connection is reset, new ones too); black_hole (connections stay, nothing passes, new ones
    are taken and get no answer). What was held back by a black hole passes when it is healed.
    """

    def __init__(
        self, backends: Callable[[], Sequence[int]], *, port: int = 0, asks_next: bool = False
    ) -> None:
        """`asks_next`: as HTTP balancers do, a request that a backend leaves without a first byte
        of an answer is given to the next one. For protocols in which the client speaks first.
        """
        self.port = port
        self.state: State = "open"
        self._backends = backends
        self._asks_next = asks_next
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._passing.set()
        self._pairs: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._turn = 0

    async def __aenter__(self) -> Self:
        """Listen; OSError if the port is taken."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "the relay was not started"
        self._server.close()
        self._abort()
        for task in tuple(self._pairs):
            task.cancel()
        if self._pairs:
            await asyncio.wait(self._pairs)

    @property
    def connections(self) -> int:
        """Clients connected at this moment."""
        return len(self._pairs)

    def cut(self) -> None:
        """Reset every connection, and each new one until `heal`."""
        self.state = "cut"
        self._passing.set()
        self._abort()

    def black_hole(self) -> None:
        """Let nothing pass, and tell nobody."""
        self.state = "black_hole"
        self._passing.clear()

    def heal(self) -> None:
        """Carry again."""
        self.state = "open"
        self._passing.set()

    def _abort(self) -> None:
        for writer in tuple(self._writers):
            # Without lingering an abort is a reset; else it would be an orderly end.
            line: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):  # it has ended by itself
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served in a task"
        self._pairs.add(task)
        self._writers.add(writer)
        try:
            await self._passing.wait()
            if self.state != "cut":
                await self._carry(reader, writer)
        except asyncio.CancelledError:
            # The server's own bookkeeping would report it; only __aexit__ cancels.
            return
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._pairs.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await self._read(reader) if self._asks_next else b""
        ports = list(self._backends())
        self._turn += 1
        turn = self._turn % max(1, len(ports))  # others take theirs while this one asks around
        for port in (*ports[turn:], *ports[:turn]):
            try:
                far_reader, far_writer = await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                continue
            self._writers.add(far_writer)
            try:
                if self._asks_next:
                    far_writer.write(request)
                    answer = await self._read(far_reader)
                    if not answer:
                        continue
                    writer.write(answer)
                await self._both_ways(reader, writer, far_reader, far_writer)
                return
            finally:
                far_writer.transport.abort()
                self._writers.discard(far_writer)

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        ways = {
            asyncio.ensure_future(self._pump(reader, far_writer)),
            asyncio.ensure_future(self._pump(far_reader, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> bytes:
        """The next bytes; none when the other side is gone, however it went."""
        try:
            return await reader.read(_BUFFER)
        except OSError:
            return b""

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one way until either side is gone; an orderly end is passed on in order."""
        try:
            while data := await reader.read(_BUFFER):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
            await self._passing.wait()
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError:
            return
