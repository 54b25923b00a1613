"""The NATS service API (ADR-32) with what nats.micro lacks: concurrent handlers under a bound, a
drain that lets running ones finish, and error replies that never carry the text of an exception.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct
from nats import micro
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.micro.request import Request as MicroRequest
from nats.micro.service import EndpointConfig, Service
from prometheus_client import Counter, Histogram

from protocol import codec, ids, tools
from protocol.errors import DecodeError, InvalidToken
from runtime import clock, logging, tracing
from runtime.bus import DRAIN_S, Bus
from runtime.errors import Refused
from runtime.tasks import Tasks

_log = logging.get("micro")
_seconds = Histogram("trunkline_request_seconds", "Time to answer a request", ["subject"])
_errors = Counter(
    "trunkline_request_errors_total", "Requests answered with an error", ["subject", "code"]
)

CONCURRENT = 64
"""Requests in work at once, a service; further ones wait in nats-py's queue."""


class Request(Struct, frozen=True):
    """What a handler gets: payload bytes and headers."""

    subject: str
    data: bytes
    headers: Mapping[str, str]


Handler = Callable[[Request], Awaitable[bytes]]
"""Returns the reply's bytes; raises Refused for an error reply, DecodeError for a bad payload
(code 400).
"""


class Endpoint(Struct, frozen=True):
    """One endpoint: ``subject`` and its handler; ``metadata`` is shown by $SRV.INFO."""

    name: str
    subject: str
    handler: Handler
    metadata: dict[str, str] = {}
    queue_group: str = "q"


@contextlib.asynccontextmanager
async def serving(
    bus: Bus, *, name: str, description: str, endpoints: list[Endpoint], version: str = "0.1.0"
) -> AsyncGenerator[None]:
    """Serve ``endpoints`` while the block runs; on leaving, take no new request and finish those
    in work.
    """
    slots = asyncio.Semaphore(CONCURRENT)
    async with Tasks(name) as tasks:
        service = await micro.add_service(
            bus.client, name=name, version=version, description=description
        )
        for endpoint in endpoints:
            await service.add_endpoint(
                EndpointConfig(
                    name=endpoint.name,
                    subject=endpoint.subject,
                    handler=_spawning(endpoint, tasks, slots),
                    metadata=endpoint.metadata,
                    queue_group=endpoint.queue_group,
                )
            )
        await bus.settle()
        try:
            yield
        finally:
            await _drain(bus, service)
            await tasks.finish()


def json_handler(kind: Any, work: Callable[[Any, Request], Awaitable[Any]]) -> Handler:
    """A handler that decodes the payload as ``kind`` and encodes what ``work`` returns."""

    async def handle(request: Request) -> bytes:
        return codec.encode(await work(codec.decode_as(kind, request.data), request))

    return handle


def _spawning(endpoint: Endpoint, tasks: Tasks, slots: asyncio.Semaphore) -> Any:
    async def handle(request: MicroRequest) -> None:
        # nats-py awaits this before it takes the next message: only get a slot here, work in a
        # task.
        await slots.acquire()
        tasks.isolate(answer(request), endpoint.name)

    async def answer(request: MicroRequest) -> None:
        began = clock.utc_now()
        headers: Mapping[str, str] = request.headers or {}
        data, code = b"", ""
        with contextlib.suppress(InvalidToken):
            logging.about(ids.call_id(headers.get(tools.CALL, "")))
        try:
            with _seconds.labels(endpoint.subject).time():
                data = await endpoint.handler(Request(request.subject, request.data, headers))
            await respond(request, data)
        except Refused as error:
            code = str(error.code)
            await fail(request, error.code, error.description)
        except DecodeError as error:
            code = "400"
            await fail(request, 400, f"cannot read the request: {error}")
        except NatsError as error:
            _log.warning("reply not sent", subject=endpoint.subject, kind=type(error).__name__)
        except Exception:
            _log.exception("endpoint failed", subject=endpoint.subject)
            code = "500"
            await fail(request, 500, "internal error, see the service's log")
        finally:
            slots.release()
            if tracing.on():
                tracing.answered(endpoint.subject, headers, request.data, data, began, code)

    async def fail(request: MicroRequest, code: int, description: str) -> None:
        _errors.labels(endpoint.subject, str(code)).inc()
        with contextlib.suppress(NatsError, ValueError):
            await request.respond_error(str(code), description)

    async def respond(request: MicroRequest, data: bytes) -> None:
        with contextlib.suppress(ValueError):  # nats.micro's word for: published, nobody waits
            await request.respond(data)

    return handle


async def _drain(bus: Bus, service: Service) -> None:
    # Service.stop() unsubscribes, which throws away requests that the server has already handed
    # over, and Subscription.drain() flushes once, which is no barrier behind its own UNSUB: what
    # the server sends in between is lost. So the endpoints' subscriptions are drained here, by
    # private attributes of nats-py; there is no public way.
    client = bus.client
    if client.is_closed:
        return
    subscriptions: list[Subscription] = [
        endpoint._subscription  # pyright: ignore[reportPrivateUsage]
        for endpoint in service._endpoints  # pyright: ignore[reportPrivateUsage, reportUnknownVariableType]
        if endpoint._subscription is not None  # pyright: ignore[reportPrivateUsage]
    ]
    with contextlib.suppress(NatsError, TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            for subscription in subscriptions:
                await client._send_unsubscribe(subscription._id)  # pyright: ignore[reportPrivateUsage]
            await bus.settle()  # past this the server hands over nothing more
    for subscription in subscriptions:
        await subscription._pending_queue.join()  # pyright: ignore[reportPrivateUsage]
        subscription._stop_processing()  # pyright: ignore[reportPrivateUsage]
        client._remove_sub(subscription._id)  # pyright: ignore[reportPrivateUsage]
    service._endpoints = []  # pyright: ignore[reportPrivateUsage]
    with contextlib.suppress(NatsError, TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            await service.stop()
