"""The NATS connection of a process: typed publish, subscribe, request. Reconnects for ever.

While NATS is away audio is dropped and counted (stale speech is worse than silence); control is
buffered by nats-py up to its limit and then refused. Services use this and calllog, outbox,
micro; none touches nats-py.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from prometheus_client import Counter, Gauge

from protocol import codec
from runtime import logging, nats_servers
from runtime.backlog import Backlog
from runtime.errors import NatsAway, NoAnswer, Refused
from runtime.nats_login import login
from runtime.paced_client import PacedClient
from runtime.service import Shutdown, waiting
from runtime.settings import CommonSettings
from runtime.subscribed import Handler, Quick, Subscribed
from runtime.tasks import heeding

_log = logging.get("bus")

_connected = Gauge("trunkline_nats_connected", "1 while the NATS connection is up")
_dropped_audio = Counter("trunkline_audio_dropped_away_total", "Audio messages dropped: NATS away")
_slow = Counter(
    "trunkline_nats_slow_consumer_total", "Messages nats-py dropped: a handler too slow"
)

ERROR_HEADER = "Nats-Service-Error"
ERROR_CODE_HEADER = "Nats-Service-Error-Code"
PING_INTERVAL_S = 5
PENDING_BYTES = 2 * 1024 * 1024
DRAIN_S = 2
_AWAY = (
    nats.errors.OutboundBufferLimitError,
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionDrainingError,
)


class Bus:
    """One connection. Make it with ``connect``; it lives as long as that block."""

    def __init__(self, client: PacedClient, name: str) -> None:
        self._client = client
        self._backlog = Backlog(client)
        self.name = name
        self.jetstream: JetStreamContext = client.jetstream(timeout=2)
        self._on_reconnect: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        return self._client.is_connected

    @property
    def client(self) -> Client:
        """The nats-py client, for runtime's own modules."""
        return self._client

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` after each reconnect; returns what takes it off again."""
        self._on_reconnect.append(callback)
        return lambda: self._on_reconnect.remove(callback)

    def reconnected(self) -> None:
        _connected.set(1)
        for callback in tuple(self._on_reconnect):
            callback()

    async def publish_audio(self, subject: str, audio: bytes) -> bool:
        """Raw bytes without headers. False, and counted, when NATS is away or takes nothing: it is
        dropped.
        """
        if not (self._backlog.ready or await self._backlog.has_room()):
            _dropped_audio.inc()
            return False
        await self._client.publish(subject, audio)
        return True

    async def publish(
        self, subject: str, message: Any, *, headers: dict[str, str] | None = None
    ) -> None:
        """``message`` as JSON. Buffered while reconnecting. Raises NatsAway when that buffer is
        full.
        """
        try:
            await self._client.publish(subject, codec.encode(message), headers=headers)
        except _AWAY as error:
            raise NatsAway(f"cannot publish on {subject}") from error

    async def request(
        self,
        subject: str,
        message: Any,
        answer: Any,
        *,
        timeout: float,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Ask and decode the reply as ``answer`` (a struct type or a union of them).

        Raises NoAnswer (nobody listens, or ``timeout`` seconds passed), Refused (an error reply),
        NatsAway, DecodeError.
        """
        data = await self.request_raw(
            subject, codec.encode(message), timeout=timeout, headers=headers
        )
        return codec.decode_as(answer, data)

    async def request_raw(
        self, subject: str, payload: bytes, *, timeout: float, headers: dict[str, str] | None = None
    ) -> bytes:
        """``request`` with bytes both ways."""
        self._client.hurry()
        try:
            asking = self._client.request(subject, payload, timeout=timeout, headers=headers)
            reply = await heeding(asking)
        except nats.errors.NoRespondersError as error:
            raise NoAnswer(subject, nobody=True) from error
        except nats.errors.TimeoutError as error:
            raise NoAnswer(subject, nobody=False) from error
        except _AWAY as error:
            raise NatsAway(f"cannot ask {subject}") from error
        failure = (reply.headers or {}).get(ERROR_HEADER)
        if failure is not None:
            code = (reply.headers or {}).get(ERROR_CODE_HEADER, "500")
            raise Refused(int(code) if code.isdigit() else 500, failure)
        return reply.data

    async def request_many(
        self, subject: str, payload: bytes, *, within: float
    ) -> list[tuple[bytes, Mapping[str, str]]]:
        """Every reply that comes within ``within`` seconds (discovery); none is no error."""
        inbox = self._client.new_inbox()
        replies: list[tuple[bytes, Mapping[str, str]]] = []
        subscription = await self._client.subscribe(inbox)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._client.publish(subject, payload, reply=inbox)
                    async for message in subscription.messages:
                        headers = message.headers or {}
                        if headers.get("Status") == "503":
                            break
                        replies.append((message.data, headers))
        except _AWAY as error:
            raise NatsAway(f"cannot ask {subject}") from error
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
        return replies

    async def subscribe(
        self, subject: str, handler: Handler, *, queue: str = "", quick: Quick | None = None
    ) -> Subscribed:
        """Call ``handler`` for every message, one at a time; so it must be fast or hand on.

        ``quick`` is shown a message first, if none before it is still being handled: what it takes
        costs no task. An undecodable message is counted and logged, any other error is logged;
        both are survived. The interest is on its way, not yet at the server: see ``settle``.
        """
        subscribed = Subscribed(self._client, handler, quick)
        await subscribed.begin(subject, queue)
        return subscribed

    def hurry(self) -> None:
        """What is published next is waited for: it leaves at the end of this turn of the loop."""
        self._client.hurry()

    async def settle(self) -> None:
        """Return when the server has seen everything published so far."""
        await self._client.flush()


@contextlib.asynccontextmanager
async def connect(settings: CommonSettings, name: str, shutdown: Shutdown) -> AsyncGenerator[Bus]:
    """A connected bus named ``name`` (``role/process``); waits for NATS as STARTUP_WAIT_S says.

    Drains on leaving. Raises ServiceError with one sentence when NATS cannot be reached in time.
    """
    servers = nats_servers.listed(settings.nats_url)
    how = login(settings, name.partition("/")[0])
    bus: Bus | None = None

    async def reconnected() -> None:
        _log.info("nats reconnected")
        if bus is not None:
            bus.reconnected()

    async def disconnected() -> None:
        _connected.set(0)
        if bus is not None and not bus.client.is_draining and not bus.client.is_closed:
            _log.warning("nats away")

    async def failed(error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            _slow.inc()
        _log.warning("nats error", kind=type(error).__name__)

    async def attempt() -> str | None:
        nonlocal bus
        problem = await nats_servers.reachable(servers)
        if problem is not None:
            return problem
        try:
            async with asyncio.timeout(5):
                client = PacedClient()
                await client.connect(
                    servers,
                    name=name,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.2,  # pyright: ignore[reportArgumentType] -- a float works
                    ping_interval=PING_INTERVAL_S,
                    max_outstanding_pings=2,
                    drain_timeout=DRAIN_S,
                    pending_size=PENDING_BYTES,
                    error_cb=failed,
                    disconnected_cb=disconnected,
                    reconnected_cb=reconnected,
                    **how,
                )
        except (OSError, TimeoutError, nats.errors.Error) as error:
            return f"refused the connection ({type(error).__name__})"
        bus = Bus(client, name)
        return None

    await waiting(
        f"NATS at {nats_servers.shown(servers)} (NATS_URL)",
        attempt,
        wait_s=settings.startup_wait_s,
        shutdown=shutdown,
    )
    assert bus is not None, "waiting returns only when the attempt succeeded"
    _connected.set(1)
    try:
        yield bus
    finally:
        await _close(bus.client)


async def _close(client: Client) -> None:
    """Drain within a bound, then close: a NATS that is away must not hold up the end of a
    process.
    """
    try:
        async with asyncio.timeout(DRAIN_S + 1):
            await client.drain()
    except (TimeoutError, OSError, nats.errors.Error):
        # nats-py would write what is unsent into the dead socket, fail there and leave the tasks of
        # its subscriptions running.
        client._pending, client._pending_data_size = [], 0  # pyright: ignore[reportPrivateUsage]
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(1):
                await client.close()
