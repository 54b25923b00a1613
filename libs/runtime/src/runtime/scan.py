"""Reading a stream from its beginning, and removing what it holds under a subject.

For what concerns everything a stream keeps: projections, rebuilding them, forgetting a caller.
Readers of one call use ``runtime.calllog``.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

import nats.errors
from msgspec import Struct
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from protocol import codec
from runtime.bus import Bus
from runtime.errors import NatsAway

BATCH = 512
BATCH_S = 10.0
"""Seconds to wait for one batch."""
_NO_STREAM = 10059
"""JetStream error: there is no stream of this name."""
_FAILURES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)


class Stored(Struct, frozen=True):
    """A message as its stream keeps it. ``headers`` are those of its writer."""

    sequence: int
    subject: str
    data: bytes
    headers: Mapping[str, str]


async def scan(bus: Bus, stream: str, subject: str = ">") -> AsyncGenerator[Stored]:
    """Every message of ``stream`` under the filter ``subject``, oldest first, up to the newest
    there is when it gets there; none for a stream that is not there. The stream must allow direct
    gets. Raises NatsAway.
    """
    if not await _is_there(bus, stream):
        return
    after = 0
    while True:
        messages = await _batch(bus, stream, subject, after + 1)
        if not messages:
            return
        for message in messages:
            yield message
        after = messages[-1].sequence


async def purge(bus: Bus, stream: str, subject: str) -> int:
    """Remove what ``stream`` holds under the filter ``subject``; how many messages it was, none for
    a stream that is not there. Raises NatsAway.
    """
    request = codec.encode({"filter": subject})
    try:
        reply = await bus.client.request(f"$JS.API.STREAM.PURGE.{stream}", request, timeout=BATCH_S)
    except _FAILURES as error:
        raise NatsAway(f"stream {stream} cannot be purged") from error
    answer = codec.decode(_Purged, reply.data)
    if answer.error is not None and answer.error.err_code == _NO_STREAM:
        return 0
    if not answer.success:
        raise NatsAway(f"stream {stream} was not purged")
    return answer.purged


async def buckets(bus: Bus) -> list[str]:
    """The names of the streams behind all key-value buckets. Raises NatsAway."""
    try:
        infos = await bus.jetstream.streams_info()
    except _FAILURES as error:
        raise NatsAway("the streams cannot be listed") from error
    names = [info.config.name or "" for info in infos]
    return sorted(name for name in names if name.startswith("KV_"))


class _Error(Struct, frozen=True):
    err_code: int = 0


class _Purged(Struct, frozen=True):
    success: bool = False
    purged: int = 0
    error: _Error | None = None


async def _is_there(bus: Bus, stream: str) -> bool:
    try:
        await bus.jetstream.stream_info(stream)
    except NotFoundError:
        return False
    except _FAILURES as error:
        raise NatsAway(f"stream {stream} does not answer") from error
    return True


async def _batch(bus: Bus, stream: str, subject: str, start: int) -> list[Stored]:
    """Up to BATCH messages from the sequence ``start`` on; [] at the end."""
    client = bus.client
    inbox = client.new_inbox()
    found: list[Stored] = []
    request = codec.encode({"batch": BATCH, "next_by_subj": subject, "seq": start})
    try:
        async with asyncio.timeout(BATCH_S):
            replies = await client.subscribe(inbox)
            try:
                await client.publish(f"$JS.API.DIRECT.GET.{stream}", request, reply=inbox)
                async for message in replies.messages:
                    headers = message.headers or {}
                    status = headers.get("Status")
                    if status in {"204", "404"}:
                        return found
                    if status is not None:
                        raise NatsAway(f"stream {stream} answered {status}")
                    sequence = int(headers["Nats-Sequence"])
                    found.append(Stored(sequence, headers["Nats-Subject"], message.data, headers))
            finally:
                with contextlib.suppress(nats.errors.Error):
                    await replies.unsubscribe()
    except _FAILURES as error:
        raise NatsAway(f"stream {stream} cannot be read") from error
    raise NatsAway("the connection ended while reading a stream")
