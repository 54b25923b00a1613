"""The servers that NATS_URL names: read, probed, and shown without what is secret in them."""

import asyncio

from runtime.errors import ServiceError
from runtime.settings import host_port

PORT = 4222


def listed(url: str) -> list[str]:
    """The addresses of a NATS_URL, which commas separate."""
    return [server.strip() for server in url.split(",") if server.strip()]


async def reachable(servers: list[str]) -> str | None:
    """None when one of them takes a connection, else why not (one phrase). Raises ServiceError when
    there is none to try.
    """
    # nats-py's first connect ignores its own retry settings and logs a traceback a try: probe
    # with plain TCP.
    if not servers:
        raise ServiceError("NATS_URL names no server; set it like nats://127.0.0.1:4222")
    for server in servers:
        host, port = host_port(server, default_port=PORT)
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            continue
        writer.close()
        return None
    return "nothing answers there; start it, or set NATS_URL"


def shown(servers: list[str]) -> str:
    """Hosts and ports alone."""
    return ", ".join("{}:{}".format(*host_port(s, default_port=PORT)) for s in servers)
