"""The agent's end of a call's line: what it says to ingress under its epoch. Audio stays raw
bytes without headers.
"""

import contextlib

from ai_agent import metrics
from protocol import line, subjects
from protocol.ids import CallId, Epoch, ItemId
from runtime import clock
from runtime.bus import Bus
from runtime.errors import NatsAway


class CallLine:
    """Everything the holder of ``epoch`` tells ingress, in order, on subjects made once.

    A line that lost something (``lost``) plays nothing more until ``regained``: an item with a
    hole is worse than silence, and its end would count as heard.
    """

    def __init__(self, bus: Bus, call: CallId, epoch: Epoch) -> None:
        self._bus = bus
        self._call = call
        self._playing: ItemId | None = None
        self._ending: line.Intent | None = None
        self._opened: line.OpenEar | None = None
        self.muted = False
        self.lost = False
        """Something for the caller was not sent: NATS was away, or the line was muted."""
        self.clears = 0
        """Number of the last clear; they grow over all stages of a call."""
        self._cleared_ms = 0
        self.hold(epoch)

    def hold(self, epoch: Epoch) -> None:
        """From now on everything is said under ``epoch``."""
        call = self._call
        self._item = subjects.out_item(call, epoch)
        self._audio = subjects.out_audio(call, epoch)
        self._done = subjects.out_done(call, epoch)
        self._clear = subjects.out_clear(call, epoch)
        self._end = subjects.out_end(call, epoch)
        self._ear = subjects.out_ear(call, epoch)

    async def play(self, item_id: ItemId, audio: bytes) -> None:
        """Audio (mu-law) of an item; its name goes ahead when the item changes."""
        if not self._open():
            return
        if item_id != self._playing:
            self._playing = item_id
            await self._tell(self._item, line.Item(item_id))
        if not await self._bus.publish_audio(self._audio, audio):
            self.lost = True

    async def done(self, item_id: ItemId) -> None:
        """All audio of the item was sent."""
        if self._open():
            await self._tell(self._done, line.ItemDone(item_id))

    async def clear(self, n: int | None = None) -> None:
        """Drop what the caller has not heard; ``n`` None: under the next number."""
        n = self.clears + 1 if n is None else n
        self.clears = max(self.clears, n)
        self._playing = None
        if self.muted or not self._bus.connected:
            self.lost = True
            return
        self._cleared_ms = clock.monotonic_ms()
        await self._tell(self._clear, line.Clear(n))

    def cleared(self, n: int) -> None:
        """Ingress did it; only the answer to the last clear says how long that took."""
        if n == self.clears and self._cleared_ms:
            metrics.CLEARED_SECONDS.observe((clock.monotonic_ms() - self._cleared_ms) / 1000)
            self._cleared_ms = 0

    async def end(self, intent: line.Intent) -> None:
        """Close the stream once the queued audio was heard. Said later if the line is muted;
        buffered while NATS is away. Raises NatsAway when that buffer is full.
        """
        if self.muted:
            self._ending = intent
            return
        await self._bus.publish(self._end, line.End(intent))

    async def open_ear(self, opened: line.OpenEar) -> None:
        """From now on the call may be listened to, or is to be recorded."""
        self._opened = opened
        await self.tell_ear()

    async def tell_ear(self) -> None:
        """Tell ingress so again, if it is so: it may be another one, or have missed it."""
        if self._opened is not None and not self.muted:
            with contextlib.suppress(NatsAway):
                await self._bus.publish(self._ear, self._opened)

    def mute(self) -> None:
        """Fall silent: a successor may speak at any moment."""
        self.muted = True

    async def unmute(self) -> None:
        """Nobody took the call: speak again. ``lost`` tells whether something was swallowed."""
        self.muted = False
        ending, self._ending = self._ending, None
        if ending is not None:
            await self.end(ending)

    def lose(self) -> None:
        """What was under way is lost: play nothing until ``regained``."""
        self.lost = True

    def regained(self) -> bool:
        """The line works again, or is another one: play again. True when something was lost."""
        lost, self.lost = self.lost, False
        self._playing = None
        return lost

    def _open(self) -> bool:
        if self.muted or self.lost or not self._bus.connected:
            self.lost = True
            return False
        return True

    async def _tell(self, subject: str, message: line.Item | line.ItemDone | line.Clear) -> None:
        try:
            await self._bus.publish(subject, message)
        except NatsAway:
            self.lost = True
