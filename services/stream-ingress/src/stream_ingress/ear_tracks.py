"""The ear of one leg as others hear it: opened by the agent once the gate was passed, listened to
for as long as somebody asks, kept while the call is recorded.

A part of leg, which runs ``write``. Nothing here waits on the audio path: blocks go through a
bounded queue, and what cannot be kept in time is counted and left out.
"""

import asyncio
import contextlib
from collections import deque

from protocol.ids import CallId
from protocol.line import LISTEN_S, Listening, ListenReply, NotNow, OpenEar, Track
from runtime import clock, logging, tracks
from runtime.bus import Bus
from runtime.errors import NatsAway
from stream_ingress import metrics
from stream_ingress.ear import Block, Ear
from stream_ingress.line_in import LineIn
from stream_ingress.line_out import LineOut

_log = logging.get("ear")

QUEUE = 50
"""Blocks that may wait to be written: 10 s of the call, 160 KB. Past it the oldest goes."""
RETRY_S = 0.5
FLUSH_S = 0.5
"""How long the end of a leg may wait for its recording."""
REST_S = 10.0
"""How long after its end what is left of it may take."""


class EarTracks:
    """Nobody may listen before ``open``."""

    def __init__(self, bus: Bus, call: CallId, line_in: LineIn, line_out: LineOut) -> None:
        self._bus = bus
        self._call = call
        self._line_in = line_in
        self._line_out = line_out
        self._ear: Ear | None = None
        self._from_ms = 0
        self._record = False
        self._until_ms = 0  # when nobody listens any more, monotonic
        self._queue: deque[Block] = deque()
        self._more = asyncio.Event()

    def open(self, opened: OpenEar) -> None:
        """The call may be listened to, or is to be recorded. Told again it changes nothing; a
        recording goes on to the end of the leg.
        """
        if self._ear is None:
            self._ear = self._line_out.ear = Ear()
            self._from_ms = opened.from_ms
        if opened.record and not self._record:
            self._record = True
            if self._line_in.ear is None:
                self._start(self._from_ms)
            _log.info("call recorded", call_id=self._call, from_ms=self._from_ms)

    def listen(self) -> ListenReply:
        """Let the tracks flow for the next ``LISTEN_S``."""
        if self._ear is None:
            return NotNow()
        self._until_ms = clock.monotonic_ms() + round(1000 * LISTEN_S)
        if self._line_in.ear is None:
            self._start(self._line_in.now_ms)
        return Listening(self._ear.next_ms)

    async def write(self) -> None:
        """Publish what is laid out, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            await self._publish()

    async def finish(self, within_s: float) -> None:
        """The line is over: write what is left, as far as that goes in ``within_s``. ``has_rest``
        says whether more is to be kept.
        """
        self._line_in.ear = None
        if self._ear is not None and self._flowing():
            self._put(self._ear.end())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(within_s, FLUSH_S)):
                await self._publish()

    @property
    def has_rest(self) -> bool:
        return self._record and bool(self._queue)

    async def write_rest(self) -> None:
        """Keep what ``finish`` left, while that makes sense."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                await self._publish()
        self._lost(len(self._queue))
        self._queue.clear()

    # -- the audio path

    def _start(self, line_ms: int) -> None:
        """What the ring still has of the time since then is part of it."""
        assert self._ear is not None, "the ear is open"
        line_in = self._line_in
        from_ms = max(line_ms, self._from_ms, line_in.ring.from_ms)
        self._ear.start(from_ms)
        for piece in line_in.ring.between(from_ms, line_in.now_ms).audio:
            self._take(piece.line_ms, piece.audio)
        line_in.ear = self._take

    def _take(self, line_ms: int, audio: bytes) -> None:
        """A frame of the caller, while tracks are wanted."""
        assert self._ear is not None, "the ear is open"
        blocks = self._ear.caller(line_ms, audio)
        if not blocks:
            return
        if self._flowing():
            self._put(blocks)
        else:
            self._ear.stop()
            self._line_in.ear = None

    def _flowing(self) -> bool:
        return self._record or clock.monotonic_ms() < self._until_ms

    def _put(self, blocks: list[Block]) -> None:
        self._queue += blocks
        self._trim()
        self._more.set()

    def _trim(self) -> None:
        while len(self._queue) > QUEUE:
            self._queue.popleft()
            self._lost(1)

    # -- publishing

    async def _publish(self) -> None:
        """Until the queue is empty. A block that cannot be kept waits again, as the oldest."""
        queue = self._queue
        while queue:
            block = queue.popleft()  # one on its way is not of those that an overflow loses
            kept = None
            try:
                kept = await self._published(block)
            except NatsAway:
                pass
            finally:
                if kept is None:
                    queue.appendleft(block)
                    self._trim()
            if kept is None:
                await asyncio.sleep(RETRY_S)
            else:
                (metrics.blocks_kept if kept else metrics.blocks_shown).inc()

    async def _published(self, block: Block) -> bool:
        both: tuple[tuple[Track, bytes], ...] = (
            ("caller", block.caller),
            ("assistant", block.assistant),
        )
        record = self._record
        for track, audio in both:
            if record:
                await tracks.keep(self._bus, self._call, track, block.line_ms, audio)
            else:
                await tracks.show(self._bus, self._call, track, block.line_ms, audio)
        return record

    def _lost(self, blocks: int) -> None:
        if self._record:
            metrics.blocks_lost.inc(blocks)
