"""Reading the log: one call's events, the last event of a name, and following all calls live.

Reads use JetStream's direct get in batches, which needs no consumer; ``last`` asks the stream's
leader, because decisions hang on it. Writing is in outbox.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
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
"""Live events that a follower may be behind; past it the oldest go and are fetched again from the
stream.
"""


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

        ``at_least``: a sequence that must be among them; replicas may lag, so it is asked again
        until it is. Raises NatsAway when the log does not answer within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    entries = await self._read_from(subjects.call_log(call), {"seq": 1})
                    if at_least == 0 or any(e.sequence >= at_least for e in entries):
                        return entries
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise NatsAway("the log does not answer") from None

    async def last(self, call: CallId, name: str, *, timeout: float = 2) -> Entry | None:
        """The newest event of this name in a call, or None. Raises NatsAway."""
        try:
            async with asyncio.timeout(timeout):
                found = await self._bus.jetstream.get_last_msg(CALLS.name, subjects.log(call, name))
        except NotFoundError:
            return None
        except (TimeoutError, APIError, nats.errors.Error) as error:
            raise NatsAway("the log does not answer") from error
        assert found.seq is not None, "a stored message has a sequence"
        return Entry(found.seq, codec.decode_event(found.data or b""))

    async def follow(self, since: datetime) -> AsyncIterator[list[Entry]]:
        """Every event from ``since`` on, in order, each once, for ever: first the past in
        batches, then live.

        What the live subscription misses (NATS away, this reader too slow) is fetched from the
        stream.
        """
        arrivals: asyncio.Queue[Entry | None] = asyncio.Queue(QUEUE)

        def put(entry: Entry | None) -> None:
            if arrivals.full():
                arrivals.get_nowait()  # seen as a gap below and fetched again
            arrivals.put_nowait(entry)

        async def arrived(message: Msg) -> None:
            sequence = int((message.headers or {}).get(REPUBLISHED_SEQUENCE, "0"))
            put(Entry(sequence, codec.decode_event(message.data)))

        live = await self._bus.subscribe(subjects.ALL_EVENTS, arrived)
        forget = self._bus.on_reconnect(lambda: put(None))
        try:
            await self._bus.settle()
            last = 0
            start: dict[str, object] = {"start_time": since.isoformat().replace("+00:00", "Z")}
            while True:
                past = await self._patiently(start)
                if past:
                    last = past[-1].sequence
                    yield past
                while True:
                    entry = await arrivals.get()
                    if entry is None or (last and entry.sequence > last + 1):
                        if entry is not None:
                            _gaps.inc()
                        break
                    if entry.sequence > last:
                        last = entry.sequence
                        yield [entry]
                if last:
                    start = {"seq": last + 1}
        finally:
            forget()
            await live.stop()

    async def _patiently(self, start: dict[str, object]) -> list[Entry]:
        """``_read_from`` all logs, tried again until NATS answers."""
        while True:
            with contextlib.suppress(NatsAway, TimeoutError, nats.errors.Error):
                async with asyncio.timeout(30):
                    return await self._read_from(subjects.ALL_LOGS, start)
            await asyncio.sleep(0.5)

    async def _read_from(self, subject: str, start: dict[str, object]) -> list[Entry]:
        entries: list[Entry] = []
        while True:
            batch, pending = await self._batch(subject, start)
            entries += batch
            if pending == 0 or not batch:
                return entries
            start = {"seq": batch[-1].sequence + 1}

    async def _batch(self, subject: str, start: dict[str, object]) -> tuple[list[Entry], int]:
        """One direct get: entries and how many more match. Events that cannot be read are
        skipped, once logged.
        """
        client = self._bus.client
        inbox = client.new_inbox()
        entries: list[Entry] = []
        last_sequence = 0
        replies = await client.subscribe(inbox)
        try:
            request = codec.encode({"batch": BATCH, "next_by_subj": subject, **start})
            await client.publish(f"$JS.API.DIRECT.GET.{CALLS.name}", request, reply=inbox)
            async for message in replies.messages:
                headers = message.headers or {}
                status = headers.get("Status")
                if status == "204":  # end of batch
                    pending = int(headers.get("Nats-Num-Pending", "0"))
                    if not entries and last_sequence and pending:
                        return await self._batch(subject, {"seq": last_sequence + 1})
                    return entries, pending
                if status == "404":
                    return entries, 0
                if status is not None:
                    raise NatsAway(f"the log answered {status}")
                last_sequence = int(headers["Nats-Sequence"])
                try:
                    entries.append(Entry(last_sequence, codec.decode_event(message.data)))
                except DecodeError as error:
                    _log.warning("event not understood", sequence=last_sequence, reason=str(error))
        except (nats.errors.OutboundBufferLimitError, nats.errors.ConnectionClosedError) as error:
            raise NatsAway("the log cannot be asked") from error
        finally:
            with contextlib.suppress(nats.errors.Error):
                await replies.unsubscribe()
        raise NatsAway("the connection ended while reading the log")
