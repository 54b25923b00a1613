"""The bench's websockets: picows, which costs the load generators the least."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, cast

import picows
from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest

from testbed.ports import LOOPBACK

_connect = cast("Callable[..., Any]", picows.ws_connect)  # pyright: ignore[reportUnknownMemberType]
_serve = cast("Callable[..., Any]", picows.ws_create_server)  # pyright: ignore[reportUnknownMemberType]


async def opened(listener: WSListener, url: str, headers: dict[str, str]) -> WSTransport:
    """A client's socket; `listener` hears it."""
    transport, _ = await _connect(lambda: listener, url, extra_headers=headers)
    return transport


async def serving(
    listener: Callable[[WSUpgradeRequest], WSListener],
    port: int,
    context: ssl.SSLContext | None = None,
) -> asyncio.Server:
    """A server on the loopback; each socket gets a listener."""
    return await _serve(listener, LOOPBACK, port, ssl=context)


def send(transport: WSTransport, message: bytes) -> None:
    """One text message."""
    transport.send(WSMsgType.TEXT, message)
