"""The event loop of a service: uvloop's, which takes a seventh less of the audio path's CPU than
asyncio's (docs/performance.md), but with look-ups that a stopping process need not wait for.

uvloop looks names up in threads of libuv, which nothing can leave behind: a resolver without an
answer would use up the grace. Here they run in the loop's default executor, as asyncio's do; see
lookups.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import uvloop


class Loop(uvloop.Loop):
    """uvloop's, with look-ups of its own."""

    async def getaddrinfo(self, *names: Any, **options: Any) -> Any:
        return await self.run_in_executor(None, partial(socket.getaddrinfo, *names, **options))

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: Any = None,
        **options: Any,
    ) -> Any:
        """As asyncio's: a name is looked up and its addresses are tried in turn.

        Raises OSError (also socket.gaierror) when none of them takes the connection.
        """
        connect = partial(super().create_connection, protocol_factory)
        if host is None or _is_address(host):
            return await connect(host, port, **options)
        family, proto = options.pop("family", 0), options.pop("proto", 0)
        flags = options.pop("flags", 0)
        found = await self.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags
        )
        if options.get("ssl"):
            options.setdefault("server_hostname", host)
        failures: list[OSError] = []
        for *_, address in found:
            try:
                return await connect(*address[:2], **options)
            except OSError as error:
                failures.append(error)
        if len(failures) == 1:
            raise failures[0]
        raise OSError(f"no address of {host} takes the connection: {failures}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
