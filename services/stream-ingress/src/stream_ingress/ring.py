"""PURE: the last seconds of what the caller said and pressed, with the time on the line.

line_in records into it always; legs answers ``replay`` from it. It holds 30 s, and what of a block
is older, and no time of its own.
"""

from collections import deque
from collections.abc import Iterator

from protocol.audio import BYTES_PER_MS, FRAME_MS
from protocol.placement import Replay, RingedAudio, RingedKey

KEPT_MS = 30_000
KEPT_KEYS = 1000
_BLOCK = 200 * BYTES_PER_MS
"""Frames are kept joined: an object for each would take as much again as its audio."""
_FRAME = FRAME_MS * BYTES_PER_MS


class Ring:
    """Audio (mu-law, line_ms of its first byte) and keys, oldest first."""

    def __init__(self, begins_ms: int) -> None:
        self._begins_ms = begins_ms
        self._blocks: deque[tuple[int, bytes]] = deque()
        self._last = bytearray()
        self._last_ms = begins_ms
        self._keys: deque[RingedKey] = deque(maxlen=KEPT_KEYS)

    @property
    def from_ms(self) -> int:
        """line_ms of the oldest audio held; where the leg begins while there is none."""
        if self._blocks:
            return self._blocks[0][0]
        return self._last_ms if self._last else self._begins_ms

    def audio(self, line_ms: int, chunk: bytes) -> None:
        """Record what was said at ``line_ms``."""
        last = self._last
        if last and line_ms != self._last_ms + len(last) // BYTES_PER_MS:
            self._end_block()
        if not last:
            self._last_ms = line_ms
        last += chunk
        if len(last) >= _BLOCK:
            self._end_block()

    def _end_block(self) -> None:
        self._blocks.append((self._last_ms, bytes(self._last)))
        oldest = self._last_ms + len(self._last) // BYTES_PER_MS - KEPT_MS
        self._last.clear()
        while self._blocks[0][0] + len(self._blocks[0][1]) // BYTES_PER_MS <= oldest:
            self._blocks.popleft()
        while self._keys and self._keys[0].line_ms < oldest:
            self._keys.popleft()

    def _held(self) -> Iterator[tuple[int, bytes]]:
        yield from self._blocks
        if self._last:
            yield self._last_ms, bytes(self._last)

    def key(self, line_ms: int, digit: str) -> None:
        """Record a key."""
        self._keys.append(RingedKey(digit, line_ms))

    def newest(self, ms: int) -> list[bytes]:
        """The last ``ms`` of the audio that is held, cut into frames, newest first."""
        audio = bytearray()
        for _, block in reversed([*self._held()]):
            if len(audio) >= ms * BYTES_PER_MS:
                break
            audio[:0] = block
        del audio[: max(0, len(audio) - ms * BYTES_PER_MS)]
        ends = range(len(audio), 0, -_FRAME)
        return [bytes(audio[max(0, end - _FRAME) : end]) for end in ends]

    def between(self, from_ms: int, to_ms: int) -> Replay:
        """What is held of [from_ms, to_ms), cut at its ends; neighbours without a gap are
        joined.
        """
        pieces: list[RingedAudio] = []
        joined = bytearray()
        starts_ms = ends_ms = 0
        for line_ms, chunk in self._held():
            end_ms = line_ms + len(chunk) // BYTES_PER_MS
            if end_ms <= from_ms:
                continue
            if line_ms >= to_ms:
                break
            first = max(0, from_ms - line_ms)
            piece = chunk[first * BYTES_PER_MS : (to_ms - line_ms) * BYTES_PER_MS]
            if joined and line_ms + first != ends_ms:
                pieces.append(RingedAudio(starts_ms, bytes(joined)))
                joined.clear()
            if not joined:
                starts_ms = line_ms + first
            joined += piece
            ends_ms = end_ms
        if joined:
            pieces.append(RingedAudio(starts_ms, bytes(joined)))
        keys = tuple(key for key in self._keys if from_ms <= key.line_ms < to_ms)
        return Replay(tuple(pieces), keys)
