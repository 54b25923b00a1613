"""Writing the log: one outbox a call and service. Events go out in order, one in flight, the same
id on each retry, so nothing is lost while NATS is away and nothing is doubled.

``take`` is the lock of DESIGN section 4: an event that expects its predecessor. A fenced outbox
is refused by the server as soon as a newer holder exists, and then says StaleWriter to everybody
who waits.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator

import nats.errors
from nats.js.errors import APIError, NoStreamResponseError
from prometheus_client import Counter

from protocol import codec, subjects
from protocol.errors import DecodeError
from protocol.events import AnyEvent, CallEnded, Ringing, UsageReported, name_of
from protocol.ids import CallId, Epoch
from protocol.streams import (
    BUSY_LAST_SEQUENCE,
    EXPECTED_LAST_SUBJECT,
    EXPECTED_LAST_SUBJECT_SEQUENCE,
    MSG_ID,
    WRONG_LAST_SEQUENCE,
)
from runtime import call_metrics, logging, tracing
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway, Refused, StaleWriter
from runtime.tasks import Tasks

_log = logging.get("outbox")
_written = Counter("trunkline_events_written_total", "Events the log accepted", ["event"])
_resent = Counter("trunkline_events_resent_total", "Publishes of events that had to be repeated")

ACK_TIMEOUT_S = 2.0
RETRY_S = 0.1
BOUND = 2000
"""Events that may wait while the log is away, a call; a call that reaches it has lost its log for
minutes.
"""

Done = asyncio.Future[int]


class Outbox:
    """In-order writer of one call's events. Start it with ``run`` in a task of the call."""

    def __init__(self, bus: Bus, call: CallId) -> None:
        self._bus = bus
        self._call = call
        self._fence: Epoch | None = None
        self._waiting: deque[tuple[AnyEvent, Done]] = deque()
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.stale = asyncio.Event()
        """Set when the log refused an event: a newer writer holds the call."""

    def fence(self, epoch: Epoch) -> None:
        """From now on every event but ``usage_reported`` is refused once another ``assigned``
        stands.
        """
        self._fence = epoch

    def append(self, event: AnyEvent) -> Done:
        """Queue ``event``; the future gives its sequence once acked.

        The future fails with StaleWriter when the log refuses it, and with Refused when it can
        never be written; it needs not be awaited.
        """
        done: Done = asyncio.get_running_loop().create_future()
        done.add_done_callback(_retrieved)
        if self.stale.is_set() and not isinstance(event, UsageReported):
            done.set_exception(StaleWriter())
            return done
        if len(self._waiting) >= BOUND:
            done.set_exception(NatsAway("the outbox is full"))
            return done
        self._waiting.append((event, done))
        self._empty.clear()
        self._more.set()
        return done

    async def run(self) -> None:
        """Send what is queued, for ever. Cancel it after ``flush``."""
        while True:
            await self._write_queued()
            self._more.clear()
            await self._more.wait()

    async def finish(self, timeout: float) -> bool:
        """Write what is still queued, without ``run``. False when ``timeout`` seconds did not
        do.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._write_queued()
        except TimeoutError:
            _log.warning("events not written", call_id=self._call, waiting=len(self._waiting))
            return False
        return True

    async def flush(self, timeout: float) -> bool:
        """Wait until everything queued is acked or refused. False when ``timeout`` seconds did
        not do.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            _log.warning("events not written", call_id=self._call, waiting=len(self._waiting))
            return False
        return True

    def left(self) -> None:
        """What was fenced is no longer ours."""
        if self._fence is not None:
            tracing.left(self._call, self._fence)

    async def _write_queued(self) -> None:
        while self._waiting:
            event, done = self._waiting[0]
            try:
                sequence = await self._send(event)
            except (StaleWriter, Refused) as error:
                if isinstance(error, StaleWriter):
                    self.stale.set()
                if not done.done():  # whoever awaited it may have been cancelled, and it with them
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(sequence)
            self._waiting.popleft()
        self._empty.set()

    async def _send(self, event: AnyEvent) -> int:
        headers: dict[str, str] = {}
        if self._fence is not None and not isinstance(event, UsageReported):
            headers[EXPECTED_LAST_SUBJECT_SEQUENCE] = str(self._fence)
            headers[EXPECTED_LAST_SUBJECT] = subjects.log(self._call, "assigned")
        while True:
            try:
                return await publish(self._bus, event, headers)
            except NatsAway:
                _resent.inc()
                await asyncio.sleep(RETRY_S)


@contextlib.asynccontextmanager
async def writing(
    bus: Bus, call: CallId, tasks: Tasks, *, flush_s: float = 3
) -> AsyncGenerator[Outbox]:
    """A running outbox for the block; what is queued at its end gets ``flush_s`` seconds to be
    written.
    """
    outbox = Outbox(bus, call)
    runner = tasks.spawn(outbox.run(), "outbox")
    try:
        yield outbox
    finally:
        # An owner that fails cancels the runner together with this block, so the rest is written
        # from here.
        while not runner.done():
            # Before Python 3.12 wait_for swallows a cancellation that meets its result: ask again.
            runner.cancel()
            await asyncio.wait({runner}, timeout=0.05)
        await outbox.finish(flush_s)
        outbox.left()


async def publish(bus: Bus, event: AnyEvent, headers: dict[str, str] | None = None) -> int:
    """Publish one event with ack; its sequence. A repeat of the same id gives the first one's
    sequence.

    Raises StaleWriter when an expectation in ``headers`` does not hold, NatsAway when there is no
    answer, Refused when the event is larger than the server takes.
    """
    subject = subjects.log(event.call_id, name_of(event))
    try:
        ack = await bus.jetstream.publish(
            subject,
            codec.encode(event),
            timeout=ACK_TIMEOUT_S,
            headers={MSG_ID: event.id, **(headers or {})},
        )
    except APIError as error:
        if error.err_code == WRONG_LAST_SEQUENCE:
            raise StaleWriter from error
        if error.err_code != BUSY_LAST_SEQUENCE:
            _log.warning("log refused an event", event_name=name_of(event), code=error.err_code)
        raise NatsAway(f"the log answered {error.err_code}") from error
    except nats.errors.MaxPayloadError as error:
        _log.error("event too large", event_name=name_of(event))
        raise Refused(413, "the event is larger than the server takes") from error
    except (NoStreamResponseError, nats.errors.Error, TimeoutError) as error:
        raise NatsAway("the log does not answer") from error
    _written.labels(name_of(event)).inc()
    if not ack.duplicate:
        call_metrics.count(event)
    tracing.written(event, ack.seq)
    if isinstance(event, CallEnded) and tracing.on():
        await _trace_whole(bus, event)
    return ack.seq


async def take(bus: Bus, event: AnyEvent, *, expected: int, timeout: float = 2) -> int | None:
    """Publish ``event`` as the successor of sequence ``expected`` (0: the first of its name in
    the call).

    Its sequence, or None when somebody else was first. Without an answer the question is settled
    by reading the last event of that name: it is mine if it has my id. Raises NatsAway when that
    cannot be read within ``timeout``.
    """
    headers = {
        EXPECTED_LAST_SUBJECT_SEQUENCE: str(expected),
    }
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    try:
                        bus.hurry()
                        return await publish(bus, event, headers)
                    except StaleWriter:
                        return await _settled(bus, event)
                except NatsAway:
                    await asyncio.sleep(RETRY_S)
    except TimeoutError:
        raise NatsAway("the log does not answer") from None


async def _trace_whole(bus: Bus, ended: CallEnded) -> None:
    # Whoever writes the end of a call need not be who heard it ring.
    with contextlib.suppress(NatsAway, DecodeError):
        ringing = await CallLog(bus).last(ended.call_id, "ringing", timeout=ACK_TIMEOUT_S)
        if ringing is not None and isinstance(ringing.event, Ringing):
            tracing.over(ringing.event, ended)


async def _settled(bus: Bus, event: AnyEvent) -> int | None:
    # A repeat of my own accepted publish is refused too once the duplicate window forgot it: the
    # last word counts.
    last = await CallLog(bus).last(event.call_id, name_of(event))
    return last.sequence if last is not None and last.event.id == event.id else None


def _retrieved(done: Done) -> None:
    # Whoever does not await an append still learns of staleness through ``stale``.
    if not done.cancelled():
        done.exception()
