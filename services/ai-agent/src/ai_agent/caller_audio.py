"""Caller audio on its way to the model: batched, its place on the line kept, held back until a
session is ready, and while audio that was missed is fetched.

Called for every frame (50 a second and call): no logging, no await.
"""

from collections import deque
from collections.abc import Callable, Sequence

from ai_agent.line_clock import LineClock
from protocol.audio import BYTES_PER_MS

HELD_MS = 30_000
"""Audio kept while no session is ready; past it the oldest goes."""

Piece = tuple[int, bytes]
"""mu-law bytes after the line_ms of the first one."""


class CallerAudio:
    """``append`` gets batches (mu-law bytes, whole pieces of about ``batch_ms``) once ``open`` was
    called; ``clock`` learns where they lie.
    """

    def __init__(self, *, batch_ms: int) -> None:
        self._batch_bytes = batch_ms * BYTES_PER_MS
        self._next_line_ms: int | None = None
        self._now_ms = 0
        self.first_line_ms: int | None = None
        self._held: deque[Piece] = deque()
        self._held_bytes = 0
        self._after: list[Piece] | None = None
        """What came after an interruption, while what was missed is fetched; else None."""
        self._opened_to_ms = 0
        self._batch = bytearray()
        self._batch_end_ms: int | None = None
        self._append: Callable[[bytes], None] | None = None
        self._clock = LineClock()

    def at(self, line_ms: int) -> None:
        """The next live byte was said at ``line_ms`` (a clock message)."""
        self._next_line_ms = self._now_ms = line_ms
        if self.first_line_ms is None:
            self.first_line_ms = line_ms

    def live(self, audio: bytes) -> None:
        """A live frame. Before the first clock message there is no telling where it lies:
        dropped.
        """
        line_ms = self._next_line_ms
        if line_ms is None:
            return
        self._next_line_ms = self._now_ms = line_ms + len(audio) // BYTES_PER_MS
        if self._after is not None:
            self._after.append((line_ms, audio))
        elif self._append is not None:
            self._feed(line_ms, audio)
        else:
            self._hold(line_ms, audio)

    def open(
        self,
        append: Callable[[bytes], None],
        clock: LineClock,
        earlier: Sequence[Piece],
    ) -> None:
        """A session is ready: give it ``earlier``, then what was held, then live audio."""
        self._append, self._clock = append, clock
        for line_ms, audio in earlier:
            self._feed(line_ms, audio)
        self._release()
        self._opened_to_ms = self._batch_end_ms or 0

    @property
    def now_line_ms(self) -> int:
        """Where the line is: the place of the next live byte; 0 before the first clock."""
        return self._now_ms

    @property
    def held_from_ms(self) -> int | None:
        """Where what ``open`` would give after ``earlier`` begins; None before a clock told."""
        for waiting in (self._held, self._after):
            if waiting:
                return waiting[0][0]
        return self._next_line_ms

    def forget(self) -> None:
        """Drop what is held: the model may not hear it."""
        self._held.clear()
        self._held_bytes = 0
        if self._after is not None:
            self._after.clear()

    def skip_to(self, line_ms: int) -> None:
        """Drop what is held from before ``line_ms``: another session heard it."""
        kept = since(self._held, line_ms)
        self._held = deque(kept)
        self._held_bytes = sum(len(audio) for _, audio in kept)
        if self._after is not None:
            self._after = since(self._after, line_ms)

    def close(self) -> None:
        """The session is gone: hold audio back again."""
        self._append = None
        self._batch.clear()
        self._batch_end_ms = None

    # -- the line moved, or NATS was away

    def interrupt(self) -> None:
        """Frames were missed: nothing has a place before the next clock, and what comes after it
        is held back until ``resume``. Again before that: what came in between is dropped, to be
        fetched with the rest.
        """
        self._after = []
        self._next_line_ms = None
        self._opened_to_ms = 0

    def resume(self, missed: Sequence[Piece]) -> None:
        """Go on with what was missed (what ``open`` gave meanwhile is not repeated), then with
        what was held back.
        """
        after, self._after = self._after or [], None
        for line_ms, audio in (*since(missed, self._opened_to_ms), *after):
            if self._append is not None:
                self._feed(line_ms, audio)
            else:
                self._hold(line_ms, audio)

    def _hold(self, line_ms: int, audio: bytes) -> None:
        self._held.append((line_ms, audio))
        self._held_bytes += len(audio)
        while self._held_bytes > HELD_MS * BYTES_PER_MS:
            self._held_bytes -= len(self._held.popleft()[1])

    def _release(self) -> None:
        for line_ms, audio in self._held:
            self._feed(line_ms, audio)
        self._held.clear()
        self._held_bytes = 0

    def _feed(self, line_ms: int, audio: bytes) -> None:
        if line_ms != self._batch_end_ms:
            self._flush()
            self._clock.jump(line_ms)
        self._batch += audio
        self._batch_end_ms = line_ms + len(audio) // BYTES_PER_MS
        # As near to the wanted length as whole pieces make it, the sooner of two equally near.
        if len(self._batch) + len(audio) // 2 >= self._batch_bytes:
            self._flush()

    def _flush(self) -> None:
        if self._batch and self._append is not None:
            self._append(bytes(self._batch))
            self._clock.sent(len(self._batch))
            self._batch.clear()


def since(pieces: Sequence[Piece] | deque[Piece], line_ms: int) -> list[Piece]:
    """What of ``pieces`` was said at ``line_ms`` or later; a piece that reaches over it is cut."""
    kept: list[Piece] = []
    for begins_ms, audio in pieces:
        early = (line_ms - begins_ms) * BYTES_PER_MS
        if early <= 0:
            kept.append((begins_ms, audio))
        elif early < len(audio):
            kept.append((line_ms, audio[early:]))
    return kept
