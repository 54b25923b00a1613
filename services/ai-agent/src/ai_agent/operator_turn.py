"""Whose turn it is to speak to the caller (PURE): the assistant's or, once one has taken the call
over, an operator's, as long as their voice comes.

Owned by the held call, so that it outlives stages and sessions; operator_voice feeds it and
performs its effects. All ``now_ms`` are monotonic.
"""

from collections import deque
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from protocol.audio import BYTES_PER_MS
from protocol.commands import LEASE_S
from protocol.ids import ItemId

ITEM = "operator:"
"""Items of an operator's voice begin so."""
LEASE_MS = round(LEASE_S * 1000)
AHEAD_MS = 200
"""How much of the voice may lie with the line: more would be heard late and not be dropped."""
BACKLOG_MS = 400
"""How much more may wait here when it comes in a rush; past it the oldest goes."""
GAP_MS = 500
"""Without audio for this long an item has ended."""
ITEM_MS = 10_000
"""No item is longer: the log tells what was heard when an item ends."""
FRAME_MS = 1_000
"""A message with more audio than this is none of an operator's voice."""
QUIET_MS = 400
"""So long after the last loud frame nobody is cut off in mid-word."""
_LOUD = 0x40
"""A mu-law byte whose inverse is below this is silence or hiss."""
_STEP = 8


class PassOn(Struct, frozen=True):
    """Audio (mu-law bytes) of the operator for the caller."""

    item_id: ItemId
    audio: bytes


class EndItem(Struct, frozen=True):
    """All audio of the item was passed on."""

    item_id: ItemId


class Lapsed(Struct, frozen=True):
    """Nothing came for the length of the lease: the call is the assistant's again."""

    operator: str


Effect = PassOn | EndItem | Lapsed


class OperatorTurn:
    """``name`` gives a new item's id. ``operator``: who speaks or is about to; empty: nobody."""

    def __init__(self, name: Callable[[], ItemId]) -> None:
        self._name = name
        self.operator = ""
        self.dropped = 0
        """Messages of audio that the caller never heard."""
        self._open = False
        self._item: ItemId | None = None
        self._item_ms = 0
        self._queue: deque[bytes] = deque()
        self._queued_ms = 0
        self._played_out_ms = 0
        self._came_ms = 0
        self._loud_ms = 0

    @property
    def muted(self) -> bool:
        """Nothing is said to the caller but what the operator says."""
        return bool(self.operator)

    def take(self, operator: str) -> Literal["taken", "again", "new"]:
        """``operator`` wants to speak: ``new`` mutes the assistant; the voice is let through with
        ``begin``. ``taken``: somebody else speaks.
        """
        if self.operator:
            return "again" if operator == self.operator else "taken"
        self.operator = operator
        return "new"

    def begin(self, now_ms: int) -> None:
        """The log has it: the voice may be heard, and the lease begins."""
        if self.operator:
            self._open = True
            self._came_ms = self._loud_ms = now_ms

    def give_back(self, now_ms: int) -> list[Effect]:
        """It is the assistant's turn again, after what came of the voice."""
        effects = self._due(now_ms, all_of_it=True) + self._end_item()
        self.operator = ""
        self._open = False
        return effects

    def on_audio(self, audio: bytes, now_ms: int) -> list[Effect]:
        """A message of the operator's voice; an empty one is a sign of life."""
        if not self._open:
            self.dropped += bool(audio)
            return []
        self._came_ms = now_ms
        ms = len(audio) // BYTES_PER_MS
        if not 0 < ms <= FRAME_MS:
            self.dropped += bool(audio)
            return []
        if any((~byte & 0x7F) >= _LOUD for byte in audio[::_STEP]):
            self._loud_ms = now_ms
        self._queue.append(audio)
        self._queued_ms += ms
        effects = self._due(now_ms)
        while self._queued_ms > BACKLOG_MS and len(self._queue) > 1:
            self._queued_ms -= len(self._queue.popleft()) // BYTES_PER_MS
            self.dropped += 1
        return effects

    def on_tick(self, now_ms: int) -> list[Effect]:
        """Time passes: call it a few times a second."""
        if not self._open:
            return []
        effects = self._due(now_ms)
        silent_ms = now_ms - self._came_ms
        if silent_ms >= GAP_MS and not self._queue:
            effects += self._end_item()
        if silent_ms < LEASE_MS:
            return effects
        operator = self.operator
        return [*effects, *self.give_back(now_ms), Lapsed(operator)]

    def on_line_moved(self) -> ItemId | None:
        """What follows is a new item: the line has lost some of the one that is open, if any, which
        ends.
        """
        item, self._item = self._item, None
        return item

    def quiet(self, now_ms: int) -> bool:
        """Another worker could take the call now: no word of the operator's would be cut."""
        return self._open and not self._queue and now_ms - self._loud_ms >= QUIET_MS

    def _due(self, now_ms: int, *, all_of_it: bool = False) -> list[Effect]:
        """What may go to the line now, in order."""
        effects: list[Effect] = []
        while self._queue and (all_of_it or self._played_out_ms - now_ms < AHEAD_MS):
            audio = self._queue.popleft()
            ms = len(audio) // BYTES_PER_MS
            self._queued_ms -= ms
            if self._item is None or self._item_ms + ms > ITEM_MS:
                effects += self._end_item()
                self._item = self._name()
            self._item_ms += ms
            self._played_out_ms = max(self._played_out_ms, now_ms) + ms
            effects.append(PassOn(self._item, audio))
        return effects

    def _end_item(self) -> list[Effect]:
        item, self._item = self._item, None
        self._item_ms = 0
        return [] if item is None else [EndItem(item)]
