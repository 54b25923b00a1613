"""Where a caller's traces are kept outside the history, each with how it forgets them.

A store that is added to Trunkline is added to ``stores``.
"""

from collections.abc import Sequence
from typing import Protocol

from protocol import subjects
from protocol.callers import CallerForgotten, ForgetCaller
from protocol.ids import CallId
from protocol.streams import CALLS, RECORDINGS
from runtime import scan
from runtime.bus import Bus

ASK_S = 25.0


class Store(Protocol):
    """``what`` names what is removed, in the plural."""

    @property
    def what(self) -> str: ...

    async def forget(self, number: str, calls: Sequence[CallId]) -> int:
        """Remove everything of these calls and of the number; how many things it was. May be done
        again. Raises NatsAway, NoAnswer, Refused.
        """
        ...


class LogStore:
    """The log of calls: stream CALLS."""

    what = "events in the log"

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def forget(self, number: str, calls: Sequence[CallId]) -> int:
        del number
        return sum(
            [await scan.purge(self._bus, CALLS.name, subjects.call_log(call)) for call in calls]
        )


class RecordingStore:
    """The sound of recorded calls: stream RECORDINGS."""

    what = "blocks of recorded sound"

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def forget(self, number: str, calls: Sequence[CallId]) -> int:
        del number
        return sum([await purge_recording(self._bus, call) for call in calls])


class BucketStore:
    """All key-value buckets: entries that hold the number or the id of a call, like the wish to
    place one.
    """

    what = "entries in buckets"

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def forget(self, number: str, calls: Sequence[CallId]) -> int:
        needles = [number.encode(), *(call.encode() for call in calls)]
        removed = 0
        for bucket in await scan.buckets(self._bus):
            theirs = {
                message.subject
                async for message in scan.scan(self._bus, bucket)
                if any(n in message.data or n.decode() in message.subject for n in needles)
            }
            for subject in theirs:
                removed += await scan.purge(self._bus, bucket, subject)
        return removed


async def purge_recording(bus: Bus, call: CallId) -> int:
    """Remove the sound of a call; how many blocks it was. Raises NatsAway."""
    return await scan.purge(bus, RECORDINGS.name, subjects.call_recording(call))


async def purge_call(bus: Bus, call: CallId) -> None:
    """Remove what streams hold of a forgotten call: something of it came late. Raises NatsAway."""
    await scan.purge(bus, CALLS.name, subjects.call_log(call))
    await purge_recording(bus, call)


async def forget_record(bus: Bus, number: str) -> CallerForgotten:
    """What tool-runner keeps: it removes it itself. Raises NatsAway, NoAnswer, Refused."""
    return await bus.request(
        subjects.callers("forget"), ForgetCaller(number), CallerForgotten, timeout=ASK_S
    )


def stores(bus: Bus) -> tuple[Store, ...]:
    """Every store but the history itself and tool-runner's tables.

    The bucket of spoken sentences is none of them: it holds no personal ones.
    """
    return LogStore(bus), RecordingStore(bus), BucketStore(bus)
