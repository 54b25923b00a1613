"""Twilio's play-out buffer of one media stream. Pure: time comes in as `now_ms`.

Fed by the media stream with the server's messages and with the passing of time; returns the marks
to echo and the warnings to log, and writes what was heard into the Ear. Never sends anything.
"""

from collections import deque
from dataclasses import dataclass

from testbed.twilio.ear import BYTES_PER_MS, Ear
from testbed.twilio.wire import Clear, InvalidMessage, Mark, Media, parse

BUFFER_LIMIT_BYTES = 10 * 60 * 1000 * BYTES_PER_MS
_ROUNDING = 1e-6  # a byte counts as played when float error alone keeps its end in the future


@dataclass(frozen=True, slots=True)
class Echo:
    """Send this mark back."""

    name: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Log this warning; each code at most once a stream, as Twilio does."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server message that was ignored; unlike warnings, every one is kept."""

    at_ms: float
    code: int
    reason: str


class Playout:
    """The buffer of one stream: media in order at 8 bytes a millisecond, marks between them."""

    def __init__(self, stream_sid: str, ear: Ear, now_ms: float) -> None:
        self._stream_sid = stream_sid
        self._ear = ear
        self._queue: deque[bytes | str] = deque()  # audio, or the name of a mark
        self._offset = 0  # bytes of the first audio already played
        self._cursor_ms = now_ms  # when the next unplayed byte is due
        self._buffered = 0
        self._warned: set[int] = set()
        self.refusals: list[Refusal] = []
        """Every ignored message, with the reason."""
        self.received_bytes = 0
        """Audio accepted so far, heard or not."""
        self.clears = 0
        """How many clears were obeyed."""

    @property
    def buffered_ms(self) -> float:
        """Audio not yet played, as of the last call with a time."""
        return self._buffered / BYTES_PER_MS

    @property
    def pending_marks(self) -> list[str]:
        """Names of marks not yet echoed, oldest first."""
        return [entry for entry in self._queue if isinstance(entry, str)]

    def receive(self, message: str | bytes, now_ms: float) -> list[Echo | Warn]:
        """One text (str) or binary (bytes) frame of the server."""
        effects = self.advance(now_ms)
        try:
            parsed = parse(message, self._stream_sid)
        except InvalidMessage as error:
            self.refusals.append(Refusal(now_ms, error.code, error.reason))
            return effects + self._warn(error.code, error.reason)
        match parsed:
            case Media(audio):
                return effects + self._enqueue(audio, now_ms)
            case Mark(name):
                self._queue.append(name)
                return effects + self.advance(now_ms)
            case Clear():
                return effects + self._clear()

    def advance(self, now_ms: float) -> list[Echo | Warn]:
        """Play what is due by `now_ms` and echo the marks reached. Time never goes back."""
        effects: list[Echo | Warn] = []
        while self._queue:
            head = self._queue[0]
            if isinstance(head, str):
                effects.append(Echo(head))
                self._queue.popleft()
                continue
            due = int((now_ms - self._cursor_ms) * BYTES_PER_MS + _ROUNDING)
            count = min(len(head) - self._offset, max(0, due))
            if count:
                piece = head[self._offset : self._offset + count]
                self._ear.hear(self._cursor_ms, piece, self._stream_sid)
                self._cursor_ms += count / BYTES_PER_MS
                self._offset += count
                self._buffered -= count
            if self._offset < len(head):
                break
            self._queue.popleft()
            self._offset = 0
        return effects

    def close(self, now_ms: float) -> None:
        """The stream is over: play up to now, drop the rest without echoes."""
        self.advance(now_ms)
        self._drop()

    def _enqueue(self, audio: bytes, now_ms: float) -> list[Echo | Warn]:
        room = BUFFER_LIMIT_BYTES - self._buffered
        kept = audio[:room]
        if kept:
            if not self._queue:
                self._cursor_ms = now_ms
            self._queue.append(kept)
            self._buffered += len(kept)
            self.received_bytes += len(kept)
        if len(kept) < len(audio):
            return self._warn(31931, "more than 10 minutes buffered, surplus dropped")
        return []

    def _clear(self) -> list[Echo | Warn]:
        self.clears += 1
        echoes: list[Echo | Warn] = [Echo(name) for name in self.pending_marks]
        self._drop()
        return echoes

    def _drop(self) -> None:
        self._queue.clear()
        self._offset = 0
        self._buffered = 0

    def _warn(self, code: int, reason: str) -> list[Echo | Warn]:
        if code in self._warned:
            return []
        self._warned.add(code)
        return [Warn(code, reason)]
