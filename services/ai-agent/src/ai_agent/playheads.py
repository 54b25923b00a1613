"""How far the caller has heard what was said (PURE): in all sessions of a call on this worker, and
before, by the ledger that came with the call.
"""

from collections.abc import Sequence

import msgspec

from protocol import line
from protocol.audio import BYTES_PER_MS
from protocol.ids import ItemId
from protocol.line import Playhead

KEPT = 16
"""Items, the newest: an older one has long been heard, and the log says so."""


class Playheads:
    """Fed with what is played and with what the line says of it."""

    def __init__(self, ledger: Sequence[Playhead] = ()) -> None:
        self._items = {stood.item_id: stood for stood in ledger}
        self._bytes = {stood.item_id: stood.sent_ms * BYTES_PER_MS for stood in ledger}

    def ledger(self) -> tuple[Playhead, ...]:
        """Where every item stands that may not be over in the log."""
        return tuple(self._items.values())

    def sent(self, item_id: ItemId, size: int) -> None:
        """``size`` bytes of an item went to the line."""
        total = self._bytes[item_id] = self._bytes.get(item_id, 0) + size
        self._change(item_id, sent_ms=total // BYTES_PER_MS)

    def complete(self, item_id: ItemId) -> None:
        """No more of it will come."""
        if item_id in self._items:
            self._change(item_id, complete=True)

    def heard(self, heard: line.Heard) -> None:
        stood = self._items.get(heard.item_id)
        if stood is not None:
            ms = max(stood.heard_ms, heard.heard_ms)
            self._change(heard.item_id, heard_ms=ms, done=stood.done or heard.done)

    def cleared(self, cleared: line.Cleared) -> None:
        """What was not heard by now never will be; the log says where it was cut."""
        self._forget({stood.item_id for stood in cleared.items if stood.done})

    def lost(self) -> None:
        """What was under way is gone: no more was heard than the line told of."""
        for item_id, stood in self._items.items():
            if not stood.done:
                self._bytes[item_id] = stood.heard_ms * BYTES_PER_MS
                gone = msgspec.structs.replace(stood, sent_ms=stood.heard_ms, complete=False)
                self._items[item_id] = gone

    def _forget(self, done: set[ItemId]) -> None:
        for item_id, stood in list(self._items.items()):
            if item_id in done:
                self._items[item_id] = msgspec.structs.replace(stood, done=True)
            elif not stood.done:
                del self._items[item_id]

    def _change(self, item_id: ItemId, **fields: object) -> None:
        stood = self._items.get(item_id, Playhead(item_id, 0, done=False))
        self._items[item_id] = msgspec.structs.replace(stood, **fields)
        while len(self._items) > KEPT:
            del self._items[next(iter(self._items))]
