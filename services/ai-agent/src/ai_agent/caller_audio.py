"""Caller audio on its way to the model: batched, its place on the line kept, held back until a
session is ready.

Called for every frame (50 a second and call): no logging, no await.
"""

from collections import deque
from collections.abc import Callable

from ai_agent.line_clock import LineClock
from protocol.audio import BYTES_PER_MS

HELD_MS = 30_000
"""Audio kept while no session is ready; past it the oldest goes."""


class CallerAudio:
    """``append`` gets batches (mu-law bytes) once ``open`` was called; ``clock`` learns where
    they lie.
    """

    def __init__(self, *, batch_ms: int) -> None:
        self._batch_bytes = batch_ms * BYTES_PER_MS
        self._next_line_ms: int | None = None
        self.first_line_ms: int | None = None
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_bytes = 0
        self._batch = bytearray()
        self._batch_end_ms: int | None = None
        self._append: Callable[[bytes], None] | None = None
        self._clock = LineClock()

    def at(self, line_ms: int) -> None:
        """The next live byte was said at ``line_ms`` (a clock message)."""
        self._next_line_ms = line_ms
        if self.first_line_ms is None:
            self.first_line_ms = line_ms

    def live(self, audio: bytes) -> None:
        """A live frame. Before the first clock message there is no telling where it lies:
        dropped.
        """
        line_ms = self._next_line_ms
        if line_ms is None:
            return
        self._next_line_ms = line_ms + len(audio) // BYTES_PER_MS
        if self._append is not None:
            self._feed(line_ms, audio)
            return
        self._held.append((line_ms, audio))
        self._held_bytes += len(audio)
        while self._held_bytes > HELD_MS * BYTES_PER_MS:
            self._held_bytes -= len(self._held.popleft()[1])

    def open(
        self,
        append: Callable[[bytes], None],
        clock: LineClock,
        earlier: list[tuple[int, bytes]],
    ) -> None:
        """A session is ready: give it ``earlier`` (line_ms, audio), then what was held, then live
        audio.
        """
        self._append, self._clock = append, clock
        for line_ms, audio in earlier:
            self._feed(line_ms, audio)
        for line_ms, audio in self._held:
            self._feed(line_ms, audio)
        self._held.clear()
        self._held_bytes = 0

    @property
    def now_line_ms(self) -> int:
        """Where the line is: the place of the next live byte; 0 before the first clock."""
        return self._next_line_ms or 0

    def forget(self) -> None:
        """Drop what is held: the model may not hear it."""
        self._held.clear()
        self._held_bytes = 0

    def close(self) -> None:
        """The session is gone: hold audio back again."""
        self._append = None
        self._batch.clear()
        self._batch_end_ms = None

    def _feed(self, line_ms: int, audio: bytes) -> None:
        if line_ms != self._batch_end_ms:
            self._flush()
            self._clock.jump(line_ms)
        self._batch += audio
        self._batch_end_ms = line_ms + len(audio) // BYTES_PER_MS
        if len(self._batch) >= self._batch_bytes:
            self._flush()

    def _flush(self) -> None:
        if self._batch and self._append is not None:
            self._append(bytes(self._batch))
            self._clock.sent(len(self._batch))
            self._batch.clear()
