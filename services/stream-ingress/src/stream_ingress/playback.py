"""PURE: the ledger of what the caller really heard: audio sent, marks echoed, the playhead.

line_out feeds it what goes to Twilio and what comes back, and performs its effects. Positions are
bytes in the one queue that Twilio plays in order and in real time; now_ms is line time.
"""

from msgspec import Struct

from protocol.audio import BYTES_PER_MS
from protocol.ids import ItemId
from protocol.line import Playhead

MARK_EVERY_MS = 200
"""A mark follows once this much of an item was sent since its last one."""
_MARK_EVERY = MARK_EVERY_MS * BYTES_PER_MS


class SendMark(Struct, frozen=True):
    """Send a mark of this name now."""

    name: str


class Reached(Struct, frozen=True):
    """A mark proved that the caller has heard this much; ``done``: all of a whole item."""

    item_id: ItemId
    heard_ms: int
    done: bool


class Finished(Struct, frozen=True):
    """The last word on an item, once: ``cut`` when some of it was never heard or never came."""

    item_id: ItemId
    heard_ms: int
    sent_ms: int
    cut: bool


Effect = SendMark | Reached | Finished


class _Item:
    __slots__ = ("abandoned", "done", "item_id", "marked", "segments", "sent")

    def __init__(self, item_id: ItemId) -> None:
        self.item_id = item_id
        self.segments: list[list[int]] = []  # [start, end) in the queue; one unless items alternate
        self.sent = 0
        self.marked = 0  # how much of ``sent`` lies before the item's last mark
        self.done = False  # all of it was sent
        self.abandoned = False  # its sender is gone: no more of it will come

    def heard(self, position: int) -> int:
        return sum(max(0, min(position, end) - start) for start, end in self.segments)


class _Mark(Struct, frozen=True):
    item: _Item
    position: int


class Playback:
    """The ledger of one leg."""

    def __init__(self) -> None:
        self._items: dict[ItemId, _Item] = {}
        self._finished: set[ItemId] = set()
        self._current: _Item | None = None
        self._marks: dict[str, _Mark] = {}
        self._names = 0
        self._sent = 0  # position behind the last byte sent
        self._echoed = 0  # position that the newest echo proved
        self._anchor = 0  # position that was being played at _anchor_ms
        self._anchor_ms = 0

    @property
    def played_out(self) -> bool:
        """Nothing sent is waiting to be heard."""
        return not self._marks

    @property
    def sent(self) -> int:
        """The position behind everything that was sent."""
        return self._sent

    @property
    def proven(self) -> int:
        """The position before which everything was heard or cleared, as marks prove."""
        return self._echoed

    @property
    def unfinished(self) -> list[ItemId]:
        return list(self._items)

    @property
    def open(self) -> bool:
        """Some item's audio is not complete, and its sender is there."""
        return any(not item.done and not item.abandoned for item in self._items.values())

    def item(self, item_id: ItemId) -> None:
        """The audio that follows belongs to this item. One that is finished takes no more."""
        if item_id in self._finished:
            self._current = None
            return
        self._current = self._items.get(item_id)
        if self._current is None:
            self._current = self._items[item_id] = _Item(item_id)

    def audio(self, size: int, now_ms: int) -> str | None:
        """``size`` bytes of the current item are being sent.

        Returns the name of a mark to send behind them, ``""`` for none, None when they belong to
        no item and must be dropped.
        """
        item = self._current
        if item is None or item.done:
            return None
        if self.position(now_ms) >= self._sent:  # Twilio's buffer is empty: this plays at once
            self._anchor, self._anchor_ms = self._sent, now_ms
        start, self._sent = self._sent, self._sent + size
        if item.segments and item.segments[-1][1] == start:
            item.segments[-1][1] = self._sent
        else:
            item.segments.append([start, self._sent])
        item.sent += size
        return self._mark(item).name if item.sent - item.marked >= _MARK_EVERY else ""

    def done(self, item_id: ItemId) -> list[Effect]:
        """All audio of the item was sent."""
        item = self._items.get(item_id)
        if item is None or item.done:
            return []
        item.done = True
        return self._close(item)

    def abandon(self) -> list[Effect]:
        """Whoever sent the unfinished items is gone: no more of them will come."""
        effects: list[Effect] = []
        for item in list(self._items.values()):
            if not item.done and not item.abandoned:
                item.abandoned = True
                effects += self._close(item)
        self._current = None
        return effects

    def echo(self, name: str, now_ms: int) -> list[Effect]:
        """A mark came back. One that a clear had outdated, or an unknown one, counts nothing."""
        mark = self._marks.pop(name, None)
        if mark is None:
            return []
        if mark.position >= self._echoed:
            self._echoed = self._anchor = mark.position
            self._anchor_ms = now_ms
        item = mark.item
        complete = self._complete(item)
        heard_ms = item.heard(self._echoed) // BYTES_PER_MS
        effects: list[Effect] = [Reached(item.item_id, heard_ms, complete)]
        if complete:
            effects.append(self._finish(item, self._echoed))
        return effects

    def clear(self, now_ms: int) -> tuple[tuple[Playhead, ...], list[Effect]]:
        """Everything unplayed is being dropped: where each unfinished item stands, and its end."""
        at = self.position(now_ms)
        heads = self.ledger(now_ms)
        effects: list[Effect] = [self._finish(item, at) for item in list(self._items.values())]
        self._marks.clear()
        self._current = None
        self._echoed = self._anchor = self._sent
        return heads, effects

    def end(self, now_ms: int) -> list[Effect]:
        """The leg is over: the last word on every unfinished item."""
        return self.clear(now_ms)[1]

    def ledger(self, now_ms: int) -> tuple[Playhead, ...]:
        """The playhead of every unfinished item, in the order they were begun."""
        at = self.position(now_ms)
        return tuple(
            Playhead(
                item.item_id,
                item.heard(at) // BYTES_PER_MS,
                item.done and item.heard(at) == item.sent,
                item.sent // BYTES_PER_MS,
                item.done,
            )
            for item in self._items.values()
        )

    def remaining_ms(self, now_ms: int) -> int:
        """ms of audio in Twilio's buffer."""
        return (self._sent - self.position(now_ms)) // BYTES_PER_MS

    def position(self, now_ms: int) -> int:
        """Where Twilio plays now: the last proof plus the time since, never past what was sent."""
        elapsed = max(0, now_ms - self._anchor_ms)
        return min(self._sent, self._anchor + elapsed * BYTES_PER_MS)

    def _close(self, item: _Item) -> list[Effect]:
        # No more will come: the last mark must stand at the item's end, or have come back from it.
        if item.sent > item.marked:
            return [SendMark(self._mark(item).name)]
        if self._complete(item):
            heard_ms = item.heard(self._echoed) // BYTES_PER_MS
            return [Reached(item.item_id, heard_ms, True), self._finish(item, self._echoed)]
        return []

    def _complete(self, item: _Item) -> bool:
        return (item.done or item.abandoned) and item.heard(self._echoed) == item.sent

    def _mark(self, item: _Item) -> SendMark:
        self._names += 1
        item.marked = item.sent
        name = str(self._names)
        self._marks[name] = _Mark(item, self._sent)
        return SendMark(name)

    def _finish(self, item: _Item, position: int) -> Finished:
        del self._items[item.item_id]
        self._finished.add(item.item_id)
        if self._current is item:
            self._current = None
        heard = item.heard(position)
        return Finished(
            item.item_id,
            heard // BYTES_PER_MS,
            item.sent // BYTES_PER_MS,
            not item.done or heard < item.sent,
        )
