"""The words of one call for the screens while they come (PURE): a few times a second, and always
the last of an item.

Called by screens. All ``now_ms`` are monotonic.
"""

from ai_agent.effects import Show
from protocol.ids import ItemId

EVERY_MS = 200
"""Between two that are shown; a model gives words much faster than anybody reads them."""


class LiveWords:
    """Keeps of each item the newest words that were not shown."""

    def __init__(self) -> None:
        self._kept: dict[ItemId, Show] = {}
        self._shown_ms: int | None = None

    def come(self, words: Show, now_ms: int) -> list[Show]:
        """Words so far; what is to be shown now."""
        self._kept[words.item_id] = words
        return self.due(now_ms)

    def due(self, now_ms: int) -> list[Show]:
        """What was kept, when it is time; asked a few times a second."""
        early = self._shown_ms is not None and now_ms - self._shown_ms < EVERY_MS
        return [] if early or not self._kept else self._take(now_ms)

    def done(self, item_id: ItemId, now_ms: int) -> list[Show]:
        """No more of an item will come: its last words are shown at once."""
        return self._take(now_ms) if item_id in self._kept else []

    def rest(self) -> list[Show]:
        """Nothing more will come at all."""
        kept, self._kept = list(self._kept.values()), {}
        return kept

    def _take(self, now_ms: int) -> list[Show]:
        self._shown_ms = now_ms
        return self.rest()
