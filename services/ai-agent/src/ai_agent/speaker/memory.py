"""Spoken sentences kept in this process (pure): the least recently used leave first, personal
ones after a minute.
"""

import hashlib
from collections import OrderedDict

import msgspec
from msgspec import Struct

from ai_agent.speaker.sentence import Sentence

VERSION = 1
"""Raised when the same inputs would sound different: a new filter, other reading instructions."""
BRIEFLY_MS = 60_000
"""How long personal sentences, and those in a second-best voice, are kept."""
MAX_BYTES = 16 * 1024 * 1024


def key(providers: str, sentence: Sentence) -> str:
    """What names a sentence's audio: sha256 (hex) over everything that it depends on.

    ``providers`` says which providers and models speak, in their order.
    """
    parts = (VERSION, providers, sentence.voice, sentence.language, sentence.text)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class _Kept(Struct, frozen=True):
    audio: bytes
    until_ms: int | None


class Memory:
    """Audio by key, at most ``max_bytes`` of it."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.size = 0

    def get(self, key: str, now_ms: int) -> bytes | None:
        """The audio, unless it was never kept, pushed out, or its time is over."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until_ms is not None and kept.until_ms <= now_ms:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept.audio

    def put(self, key: str, audio: bytes, now_ms: int, *, briefly: bool) -> None:
        """Keep audio; ``briefly`` for a minute. What is too long for the whole is not kept."""
        self._drop(key)
        self.expire(now_ms)
        if len(audio) > self._max_bytes:
            return
        self._kept[key] = _Kept(audio, now_ms + BRIEFLY_MS if briefly else None)
        self.size += len(audio)
        while self.size > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def expire(self, now_ms: int) -> None:
        """Forget everything whose time is over; also nobody may ever ask for it again."""
        over = [
            key
            for key, kept in self._kept.items()
            if kept.until_ms is not None and kept.until_ms <= now_ms
        ]
        for key in over:
            self._drop(key)

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.size -= len(kept.audio)
