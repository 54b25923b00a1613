"""The agent's end of a call's line: what it says to ingress under its epoch. Audio stays raw
bytes without headers.
"""

from protocol import line, subjects
from protocol.ids import CallId, Epoch, ItemId
from runtime.bus import Bus


class CallLine:
    """Everything the holder of ``epoch`` tells ingress, in order, on subjects made once."""

    def __init__(self, bus: Bus, call: CallId, epoch: Epoch) -> None:
        self._bus = bus
        self._item = subjects.out_item(call, epoch)
        self._audio = subjects.out_audio(call, epoch)
        self._done = subjects.out_done(call, epoch)
        self._clear = subjects.out_clear(call, epoch)
        self._end = subjects.out_end(call, epoch)
        self._playing: ItemId | None = None
        self.clears = 0
        """Number of the last clear; they grow over all stages of a call."""

    async def play(self, item_id: ItemId, audio: bytes) -> None:
        """Audio (mu-law) of an item; its name goes ahead when the item changes."""
        if item_id != self._playing:
            self._playing = item_id
            await self._bus.publish(self._item, line.Item(item_id))
        await self._bus.publish_audio(self._audio, audio)

    async def done(self, item_id: ItemId) -> None:
        """All audio of the item was sent."""
        await self._bus.publish(self._done, line.ItemDone(item_id))

    async def clear(self, n: int | None = None) -> None:
        """Drop what the caller has not heard; ``n`` None: under the next number."""
        n = self.clears + 1 if n is None else n
        self.clears = max(self.clears, n)
        self._playing = None
        await self._bus.publish(self._clear, line.Clear(n))

    async def end(self, intent: line.Intent) -> None:
        """Close the stream once the queued audio was heard."""
        await self._bus.publish(self._end, line.End(intent))
