"""The assistant's spoken items as the conversation tracks them: received, heard, cut, and the
words so far (pure).
"""

from msgspec import Struct

from protocol.audio import BYTES_PER_MS
from protocol.ids import ItemId

SAID_EVERY_MS = 1000
"""How often the words so far are written to the log while an item is spoken."""


class SpokenItem(Struct):
    """One assistant item. Times in ms of its own audio."""

    item_id: ItemId
    response_id: str
    received_bytes: int = 0
    heard_ms: int = 0
    heard_all: bool = False
    cut: bool = False
    audio_done: bool = False
    said_done: bool = False
    text: str = ""
    recorded_at_ms: int | None = None
    previous_item_id: ItemId | None = None

    @property
    def received_ms(self) -> int:
        return self.received_bytes // BYTES_PER_MS

    def unheard(self) -> bool:
        """Audio of it was handed over that the caller has not heard yet."""
        return self.received_bytes > 0 and not self.heard_all and not self.cut

    def due(self, now_ms: int) -> bool:
        """Time to write the words so far to the log."""
        return self.recorded_at_ms is None or now_ms - self.recorded_at_ms >= SAID_EVERY_MS
