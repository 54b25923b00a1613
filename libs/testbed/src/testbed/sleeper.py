"""A NATS subscriber that does not read what it asked for, as a stuck consumer does.

Tests open one beside calls. It speaks the NATS protocol by hand: a client library would read.
"""

import asyncio
import socket
from typing import Any, Self, cast

import httpx
from nats.aio.client import Client

from testbed.nats_server import NatsServer
from testbed.ports import LOOPBACK

THRESHOLD_BYTES = 48 * 2**20
"""Unsent bytes from which nats-server holds up who publishes more, unless told not to: three
quarters of max_pending."""
_NAME = "sleeper"
_NOISE = b"\x55" * 65_536
_BURST = 100
_FILL_S = 30.0


class Sleeper:
    """An async context manager; subscribed to ``call.*.>`` and asleep from its beginning on."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self._socket = socket.socket()

    async def __aenter__(self) -> Self:
        loop, line = asyncio.get_running_loop(), self._socket
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.setblocking(False)
        await loop.sock_connect(line, (LOOPBACK, self._server.port))
        hello = f'CONNECT {{"verbose":false,"name":"{_NAME}"}}\r\nSUB call.*.> 1\r\nPING\r\n'
        await loop.sock_sendall(line, hello.encode())
        answer = b""
        while b"PONG" not in answer:
            answer += await loop.sock_recv(line, 1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()

    async def overwhelm(self, client: Client) -> None:
        """Publish by ``client`` until the server keeps as much for it as it keeps for anybody.

        Raises TimeoutError.
        """
        async with asyncio.timeout(_FILL_S):
            while (await self.waiting_bytes() or 0) < THRESHOLD_BYTES - len(_NOISE):
                for _ in range(_BURST):
                    await client.publish("call.CA0.noise", _NOISE)
                await client.flush()

    async def waiting_bytes(self) -> int | None:
        """What the server keeps for it; None once it was cut off."""
        connections = cast("list[dict[str, Any]]", (await self._asked("connz"))["connections"])
        mine = [c["pending_bytes"] for c in connections if c.get("name") == _NAME]
        return mine[0] if mine else None

    async def cut_off(self) -> None:
        """Return when the server has closed its connection. Raises TimeoutError."""
        async with asyncio.timeout(_FILL_S):
            while await self.waiting_bytes() is not None:  # noqa: ASYNC110 - the server knows
                await asyncio.sleep(0.1)

    async def held_up(self) -> int:
        """How often the server made a publisher wait for a subscriber."""
        return int((await self._asked("varz"))["stalled_clients"])

    async def _asked(self, what: str) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False) as http:
            return (await http.get(f"{self._server.monitor_url}/{what}")).json()
