"""PURE: the last seconds of what the caller said and pressed, with the time on the line.

line_in records into it always; legs answers ``replay`` from it. It holds 30 s at most and no
time of its own.
"""

import itertools
from collections import deque

from protocol.audio import BYTES_PER_MS
from protocol.placement import Replay, RingedAudio, RingedKey

KEPT_MS = 30_000
KEPT_KEYS = 1000


class Ring:
    """Audio chunks (mu-law, line_ms of their first byte) and keys, oldest first."""

    def __init__(self, begins_ms: int) -> None:
        self._begins_ms = begins_ms
        self._audio: deque[tuple[int, bytes]] = deque()
        self._keys: deque[RingedKey] = deque(maxlen=KEPT_KEYS)

    @property
    def from_ms(self) -> int:
        """line_ms of the oldest audio held; where the leg begins while there is none."""
        return self._audio[0][0] if self._audio else self._begins_ms

    def audio(self, line_ms: int, chunk: bytes) -> None:
        """Record a chunk; what is older than 30 s before its end goes."""
        self._audio.append((line_ms, chunk))
        oldest = line_ms + len(chunk) // BYTES_PER_MS - KEPT_MS
        while self._audio[0][0] < oldest:
            self._audio.popleft()
        while self._keys and self._keys[0].line_ms < oldest:
            self._keys.popleft()

    def key(self, line_ms: int, digit: str) -> None:
        """Record a key."""
        self._keys.append(RingedKey(digit, line_ms))

    def newest(self, count: int) -> list[bytes]:
        """The last ``count`` chunks that are held, newest first."""
        return [chunk for _, chunk in itertools.islice(reversed(self._audio), count)]

    def between(self, from_ms: int, to_ms: int) -> Replay:
        """What is held of [from_ms, to_ms), cut at its ends; neighbours without a gap are
        joined.
        """
        pieces: list[RingedAudio] = []
        joined = bytearray()
        starts_ms = ends_ms = 0
        for line_ms, chunk in self._audio:
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
