"""Where spoken sentences are kept: this process's memory, and behind it the bucket SPEECH that
all workers share.

Called by the Speaker with keys of ``memory.key``. Without NATS it is just the memory; a bucket
that does not answer is left alone for some seconds, so that no caller waits for it twice.
"""

from collections.abc import Callable
from typing import Literal

from ai_agent.speaker.memory import Memory
from runtime import logging
from runtime.errors import NatsAway
from runtime.objects import MAX_BYTES, Objects

_log = logging.get("speaker.cache")

READ_S = 0.3
"""What a caller may lose by looking into the bucket."""
WRITE_S = 5.0
ALONE_MS = 5_000

Source = Literal["memory", "store"]


class SpeechCache:
    """Audio by key; ``objects`` None: memory only."""

    def __init__(self, memory: Memory, objects: Objects | None, now_ms: Callable[[], int]) -> None:
        self._memory = memory
        self._objects = objects
        self._now_ms = now_ms
        self._alone_until_ms = 0

    async def find(self, key: str, *, shared: bool) -> tuple[bytes, Source] | None:
        """The audio and where it was; ``shared``: it may be in the bucket too."""
        audio = self._memory.get(key, self._now_ms())
        if audio is not None:
            return audio, "memory"
        if not shared or self._objects is None or self._now_ms() < self._alone_until_ms:
            return None
        try:
            audio = await self._objects.get(key, timeout=READ_S)
        except NatsAway:
            self._leave_alone()
            return None
        if audio is None:
            return None
        self._memory.put(key, audio, self._now_ms(), briefly=False)
        return audio, "store"

    def keep(self, key: str, audio: bytes, *, briefly: bool) -> None:
        """Keep audio in memory; ``briefly`` for a minute."""
        self._memory.put(key, audio, self._now_ms(), briefly=briefly)

    async def share(self, key: str, audio: bytes) -> None:
        """Put audio into the bucket, if that is possible."""
        if self._objects is None or len(audio) > MAX_BYTES:
            return
        try:
            await self._objects.put(key, audio, timeout=WRITE_S)
        except NatsAway:
            self._leave_alone()

    def expire(self) -> None:
        """Forget what was kept briefly and is over."""
        self._memory.expire(self._now_ms())

    def _leave_alone(self) -> None:
        _log.warning("speech bucket not usable", again_ms=ALONE_MS)
        self._alone_until_ms = self._now_ms() + ALONE_MS
