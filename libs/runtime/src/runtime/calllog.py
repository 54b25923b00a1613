"""Reading the log: one call's events, the last event of a name, and following all calls live.

Reads use JetStream's direct get in batches, which needs no consumer; ``last`` asks the stream's
leader, because decisions hang on it. Writing is in outbox.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import datetime

import nats.errors
from msgspec import Struct
from nats.aio.msg import Msg
from nats.js.errors import APIError, NotFoundError
from prometheus_client import Counter

from protocol import codec, subjects
from protocol.errors import DecodeError
from protocol.events import AnyEvent
from protocol.ids import CallId
from protocol.streams import CALLS, REPUBLISHED_SEQUENCE
from runtime import logging
from runtime.bus import Bus
from runtime.errors import NatsAway

_log = logging.get("calllog")
_gaps = Counter("trunkline_log_gaps_total", "Times a follower had to fetch events it had missed")

BATCH = 512
QUEUE = 4096
"""Live events that a follower may be behind; past it they go and are fetched from the stream."""
BATCH_S = 5
"""Seconds to wait for one batch: a request that a dying NATS swallowed is asked again."""
RETRY_S = 0.2
LAG_TRIES = 25


class Entry(Struct, frozen=True):
    """An event and its place: the stream sequence, which is the order of the log."""

    sequence: int
    event: AnyEvent


class CallLog:
    """The log of all calls, for readers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, call: CallId, *, at_least: int = 0, timeout: float = 5) -> list[Entry]:
        """All events of a call in order. Events of a newer version are skipped.

        ``at_least``: a sequence that must have been reached; replicas may lag, so it is asked
        again until it is. Raises NatsAway when the log does not answer within ``timeout`` seconds.
        """
        subject = subjects.call_log(call)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    with contextlib.suppress(NatsAway):
                        entries: list[Entry] = []
                        batch = await self._batch(subject, {"seq": 1})
                        entries += batch.entries
                        while batch.pending:
                            batch = await self._batch(subject, {"seq": batch.reached + 1})
                            entries += batch.entries
                        if batch.reached >= at_least:
                            return entries
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise NatsAway("the log does not answer") from None

    async def last(self, call: CallId, name: str, *, timeout: float = 2) -> Entry | None:
        """The newest event of this name in a call, or None. Raises NatsAway, DecodeError."""
        try:
            async with asyncio.timeout(timeout):
                found = await self._bus.jetstream.get_last_msg(CALLS.name, subjects.log(call, name))
        except NotFoundError:
            return None
        except (TimeoutError, APIError, nats.errors.Error) as error:
            raise NatsAway("the log does not answer") from error
        assert found.seq is not None, "a stored message has a sequence"
        return Entry(found.seq, codec.decode_event(found.data or b""))

    async def recent(self, name: str, since: datetime, *, timeout: float = 5) -> list[Entry]:
        """The events of this name of all calls from ``since`` on, in order. Raises NatsAway."""
        subject = subjects.all_logs(name)
        start: dict[str, object] = {"start_time": _rfc3339(since)}
        entries: list[Entry] = []
        try:
            async with asyncio.timeout(timeout):
                while True:
                    batch = await self._batch(subject, start)
                    entries += batch.entries
                    if not batch.pending:
                        return entries
                    start = {"seq": batch.reached + 1}
        except TimeoutError:
            raise NatsAway("the log does not answer") from None

    async def follow(self, since: datetime) -> AsyncGenerator[list[Entry]]:
        """Every event from ``since`` on, in order, each once, for ever: first the past in
        batches, then live.

        What the live subscription misses (NATS away, this reader too slow) is fetched from the
        stream. Close it (``contextlib.aclosing``) when done.
        """
        arrivals: asyncio.Queue[Entry | None] = asyncio.Queue(QUEUE)

        def put(entry: Entry | None) -> None:
            if arrivals.full():
                while not arrivals.empty():
                    arrivals.get_nowait()
                _gaps.inc()
                entry = None  # look into the stream
            arrivals.put_nowait(entry)

        async def arrived(message: Msg) -> None:
            sequence = int((message.headers or {}).get(REPUBLISHED_SEQUENCE, "0"))
            put(Entry(sequence, codec.decode_event(message.data)))

        live = await self._bus.subscribe(subjects.ALL_EVENTS, arrived)
        forget = self._bus.on_reconnect(lambda: put(None))
        try:
            with contextlib.suppress(nats.errors.Error):
                await self._bus.settle()
            last = wanted = tries = 0
            start: dict[str, object] = {"start_time": _rfc3339(since)}
            while True:
                batch = await self._patiently(start)
                if batch.reached > last:
                    last = batch.reached
                    start = {"seq": last + 1}
                    if batch.entries:
                        yield batch.entries
                if batch.pending:
                    continue
                if last < wanted and tries:  # a replica that lags behind what was seen live
                    tries -= 1
                    await asyncio.sleep(RETRY_S)
                    continue
                while True:
                    entry = await arrivals.get()
                    if entry is None:
                        break
                    if last and entry.sequence > last + 1:
                        _gaps.inc()
                        wanted, tries = entry.sequence, LAG_TRIES
                        break
                    if entry.sequence > last:
                        last = entry.sequence
                        start = {"seq": last + 1}
                        yield [entry]
        finally:
            forget()
            await live.stop()

    async def _patiently(self, start: dict[str, object]) -> "_Batch":
        """The next batch of all logs, asked for again until NATS answers."""
        while True:
            with contextlib.suppress(NatsAway, TimeoutError):
                async with asyncio.timeout(BATCH_S):
                    return await self._batch(subjects.ALL_LOGS, start)
            await asyncio.sleep(RETRY_S)

    async def _batch(self, subject: str, start: dict[str, object]) -> "_Batch":
        """One direct get. Events that cannot be read are skipped and logged. Raises NatsAway."""
        client = self._bus.client
        inbox = client.new_inbox()
        entries: list[Entry] = []
        reached = 0
        try:
            replies = await client.subscribe(inbox)
            try:
                self._bus.hurry()
                request = codec.encode({"batch": BATCH, "next_by_subj": subject, **start})
                await client.publish(f"$JS.API.DIRECT.GET.{CALLS.name}", request, reply=inbox)
                async for message in replies.messages:
                    headers = message.headers or {}
                    status = headers.get("Status")
                    if status == "204":  # end of batch
                        pending = int(headers.get("Nats-Num-Pending", "0")) if reached else 0
                        return _Batch(entries, reached, pending)
                    if status == "404":
                        return _Batch(entries, reached, 0)
                    if status is not None:
                        raise NatsAway(f"the log answered {status}")
                    reached = int(headers["Nats-Sequence"])
                    try:
                        entries.append(Entry(reached, codec.decode_event(message.data)))
                    except DecodeError as error:
                        _log.warning("event not understood", sequence=reached, reason=str(error))
            finally:
                with contextlib.suppress(nats.errors.Error):
                    await replies.unsubscribe()
        except nats.errors.Error as error:
            raise NatsAway("the log cannot be asked") from error
        raise NatsAway("the connection ended while reading the log")


def _rfc3339(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


class _Batch(Struct, frozen=True):
    """A part of the log: ``reached`` is the sequence it goes up to (0: nothing matched),
    ``pending`` how many more match.
    """

    entries: list[Entry]
    reached: int
    pending: int
