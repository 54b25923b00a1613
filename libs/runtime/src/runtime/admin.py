"""The admin port of a service: /livez (the loop runs), /readyz (connected and not draining),
/metrics.

Served by uvicorn inside the service's loop; it takes no signals, they belong to runtime.service.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from typing import cast

import uvicorn
from prometheus_client import make_asgi_app  # pyright: ignore[reportUnknownVariableType]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from runtime.errors import ServiceError


class Health:
    """What /readyz answers: named reasons for not being ready. Ready when there is none."""

    def __init__(self) -> None:
        self._started = False
        self._checks: dict[str, Callable[[], bool]] = {"starting": lambda: self._started}

    def started(self) -> None:
        """The service serves now; until then it is not ready, whatever the checks say."""
        self._started = True

    def add(self, name: str, check: Callable[[], bool]) -> None:
        """``check`` returns True while ``name`` is fine; it must not block."""
        self._checks[name] = check

    def failing(self) -> list[str]:
        return [name for name, check in self._checks.items() if not check()]


class Server(uvicorn.Server):
    """uvicorn without its grip on SIGTERM and SIGINT."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, *, host: str, port: int, what: str, setting: str
) -> AsyncGenerator[int]:
    """Serve ``app`` while the block runs; gives the port. Raises ServiceError when the port is
    taken.

    On leaving it stops accepting and lets running requests finish (bounded by uvicorn's 5 s).
    """
    sock = bind(host, port, what=what, setting=setting)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5
    )
    server = Server(config)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.serve(sockets=[sock]), name=f"http.{what}")
        while not server.started and not running.done():  # noqa: ASYNC110 -- uvicorn has no event
            await asyncio.sleep(0.005)
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(running)
            sock.close()


def bind(host: str, port: int, *, what: str, setting: str) -> socket.socket:
    """A listening socket. Raises ServiceError with one sentence naming the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small pieces at once only where the protocol is named: without it the second
    # piece of every short answer waits 40 ms for the peer.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise ServiceError(
            f"{what} cannot listen on {host}:{port} ({error.strerror}): "
            f"stop what uses the port, or set {setting} to a free one"
        ) from None
    sock.setblocking(False)
    return sock


def admin_app(health: Health) -> Starlette:
    """The Starlette app of the admin port."""

    async def livez(_: Request) -> PlainTextResponse:
        return PlainTextResponse("live\n")

    async def readyz(_: Request) -> PlainTextResponse:
        failing = health.failing()
        if failing:
            return PlainTextResponse("not ready: " + ", ".join(failing) + "\n", status_code=503)
        return PlainTextResponse("ready\n")

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Mount("/metrics", cast(ASGIApp, make_asgi_app())),  # untyped in prometheus-client
        ]
    )
