"""Recordings that were asked for a moment ago, so that zooming and seeking do not read them from
the stream again. They go after KEPT_S: what is deleted there is not remembered here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from msgspec import Struct

from dashboard.sound.recording import Recording
from dashboard.sound.waveform import Waveform, waveform_of
from protocol.ids import CallId
from runtime.clock import utc_now

KEPT_S = 60.0
MOST_BYTES = 64 * 1024 * 1024
"""Of all recordings that are kept, the newest aside."""

Read = Callable[[CallId], Awaitable[Recording | None]]


class _Kept(Struct):
    recording: Recording
    until: datetime
    wave: Waveform | None = None


class KeptRecordings:
    """Reads recordings through ``read``."""

    def __init__(self, read: Read, *, now: Callable[[], datetime] = utc_now) -> None:
        self._read = read
        self._now = now
        self._kept: dict[CallId, _Kept] = {}
        self._reading: dict[CallId, asyncio.Lock] = {}

    async def recording(self, call: CallId) -> Recording | None:
        """What was recorded of a call that is over; None when nothing was, or it is gone. Raises
        NatsAway.
        """
        found = await self._find(call)
        return None if found is None else found.recording

    async def waveform(self, call: CallId) -> Waveform | None:
        """Its waveform. Raises NatsAway."""
        found = await self._find(call)
        if found is None:
            return None
        if found.wave is None:
            kept = found.recording
            # A long call takes seconds of arithmetic.
            found.wave = await asyncio.to_thread(
                waveform_of, kept.start_ms, kept.caller, kept.assistant
            )
        return found.wave

    async def _find(self, call: CallId) -> _Kept | None:
        lock = self._reading.setdefault(call, asyncio.Lock())
        try:
            async with lock:
                self._drop_old()
                found = self._kept.get(call)
                if found is None:
                    recording = await self._read(call)
                    if recording is None:
                        return None
                    until = self._now() + timedelta(seconds=KEPT_S)
                    found = self._kept[call] = _Kept(recording, until)
                    self._bound()
                return found
        finally:
            if not lock.locked():
                self._reading.pop(call, None)

    def _drop_old(self) -> None:
        now = self._now()
        for call in [call for call, kept in self._kept.items() if kept.until <= now]:
            del self._kept[call]

    def _bound(self) -> None:
        size = sum(_size(kept) for kept in self._kept.values())
        while size > MOST_BYTES and len(self._kept) > 1:
            size -= _size(self._kept.pop(next(iter(self._kept))))


def _size(kept: _Kept) -> int:
    return len(kept.recording.caller) + len(kept.recording.assistant)
