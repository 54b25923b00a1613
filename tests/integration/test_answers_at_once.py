"""The http servers of our services hand on every piece of an answer at once: with Nagle's algorithm
the second piece of a short answer waits for the browser's delayed acknowledgement, 40 ms.
"""

import asyncio
import socket

from runtime import admin


async def test_connections_of_browsers_have_no_delay() -> None:
    found: list[int] = []

    listening = admin.bind("127.0.0.1", 0, what="test", setting="TEST")
    try:
        loop = asyncio.get_running_loop()

        class Seen(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                sock: socket.socket = transport.get_extra_info("socket")
                found.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        server = await loop.create_server(Seen, sock=listening)
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
            assert await reader.read() == b""
        writer.close()
        server.close()
        await server.wait_closed()
    finally:
        listening.close()
    assert found
    assert all(found)
