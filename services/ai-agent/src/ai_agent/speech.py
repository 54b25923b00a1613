"""The assistant's spoken items within one Realtime session (PURE): received, heard, cut, and the
words so far. A part of conversation, which decides what is said at all.
"""

from collections.abc import Collection, Mapping

from msgspec import Struct

from ai_agent.effects import ClearPlayback, Effect, Play, PlayDone, Record, Show, Tell
from ai_agent.realtime import commands
from ai_agent.realtime import events as rt
from protocol import line
from protocol.audio import BYTES_PER_MS
from protocol.events import BargedIn, Said
from protocol.ids import ItemId
from protocol.utterance import heard_words

SAID_AFTER_MS = (250, 500, 1000)
"""While an item is spoken, the words so far are written to the log this long after the last time;
the last of these from then on. Who takes the call over goes on with the words that the log has: a
worker that dies in an item's first second must leave more than the first of them.
"""


class SpokenItem(Struct):
    """One assistant item. Times in ms of its own audio. ``shortened``: the model's item, to what
    was heard. ``adopted``: said in an earlier session; ``told``: this one knows it, as text, under
    the same name.
    """

    item_id: ItemId
    response_id: str
    received_bytes: int = 0
    heard_ms: int = 0
    heard_all: bool = False
    cut: bool = False
    shortened: bool = False
    audio_done: bool = False
    said_done: bool = False
    text: str = ""
    recorded_at_ms: int | None = None
    recorded: int = 0
    previous_item_id: ItemId | None = None
    adopted: bool = False
    told: bool = False

    @property
    def received_ms(self) -> int:
        return self.received_bytes // BYTES_PER_MS

    def unheard(self) -> bool:
        """Audio of it was handed over that the caller has not heard yet."""
        return self.received_bytes > 0 and not self.heard_all and not self.cut

    def heard_text(self) -> str:
        """The words of a cut item that were heard, an estimate."""
        return heard_words(self.text, self.heard_ms, self.received_ms)

    def due(self, now_ms: int) -> bool:
        """Time to write the words so far to the log."""
        if self.recorded_at_ms is None:
            return True
        after_ms = SAID_AFTER_MS[min(self.recorded, len(SAID_AFTER_MS)) - 1]
        return now_ms - self.recorded_at_ms >= after_ms


class AssistantSpeech:
    """All items by id. ``clears``: how often the call's playback was cleared before."""

    def __init__(self, clears: int = 0) -> None:
        self._items: dict[ItemId, SpokenItem] = {}
        self.clears = clears
        self._clear_line_ms: dict[int, int] = {}

    def unheard(self) -> bool:
        """The caller still has something to hear."""
        return any(item.unheard() for item in self._items.values())

    def unheard_items(self) -> tuple[ItemId, ...]:
        """Those that the caller still has something of to hear, in the order of their sound."""
        return tuple(item.item_id for item in self._items.values() if item.unheard())

    def cut_of(self, items: tuple[ItemId, ...]) -> list[SpokenItem] | None:
        """Those of ``items`` that were cut; None as long as the line has not said where."""
        known = [self._items[item_id] for item_id in items]
        return None if any(i.unheard() for i in known) else [i for i in known if i.cut]

    def sounded(self, response_id: str) -> bool:
        """A response gave audio."""
        return any(i.received_bytes for i in self._items.values() if i.response_id == response_id)

    def begin(self, item: str, response_id: str) -> SpokenItem:
        """The item, made when it is new."""
        item_id = ItemId(item)
        found = self._items.get(item_id)
        if found is None:
            found = self._items[item_id] = SpokenItem(item_id, response_id)
        return found

    def follows(self, item: str, previous: str) -> None:
        """Where the item stands in the conversation."""
        found = self._items.get(ItemId(item))
        if found is not None:
            found.previous_item_id = ItemId(previous)

    def adopt(self, stood: line.Playhead, text: str, *, told: bool) -> None:
        """An item of an earlier session that the line may still have something of."""
        self._items[stood.item_id] = SpokenItem(
            stood.item_id,
            response_id="",
            received_bytes=stood.sent_ms * BYTES_PER_MS,
            heard_ms=stood.heard_ms,
            heard_all=stood.done or stood.heard_ms >= stood.sent_ms,
            audio_done=True,
            said_done=True,
            text=text,
            adopted=True,
            told=told,
        )

    def response_of(self, item_id: ItemId) -> str | None:
        """The response of an item that is not cut yet; None for any other."""
        item = self._items.get(item_id)
        return None if item is None or item.cut else item.response_id

    def stop(self, item_id: ItemId) -> None:
        """Nothing more of an item is for the caller, not on the screens either."""
        self._items[item_id].cut = True

    def drop(self, response_id: str) -> list[Effect]:
        """A response is taken back before it sounded: its words were never said."""
        effects: list[Effect] = []
        for item in [i for i in self._items.values() if i.response_id == response_id]:
            del self._items[item.item_id]
            if item.recorded_at_ms is not None:
                item.text = ""
                effects += [Show(item.item_id, "assistant", ""), _said(item, 0, done=True)]
        return effects

    def audio(self, event: rt.AudioDelta) -> list[Effect]:
        item = self.begin(event.item_id, event.response_id)
        item.received_bytes += len(event.delta)
        return [Play(item.item_id, event.delta)]

    def words(self, event: rt.TranscriptDelta, now_ms: int) -> list[Effect]:
        item = self._items.get(ItemId(event.item_id))
        if item is None or item.cut:
            return []
        item.text += event.delta
        effects: list[Effect] = [Show(item.item_id, "assistant", item.text)]
        if item.due(now_ms):
            effects.append(_said(item, now_ms, done=False))
        return effects

    def heard(self, heard: line.Heard) -> bool:
        """The caller heard ``heard_ms`` of an item. False when it is none of ours, or no news: it
        is told twice after an absence of NATS.
        """
        item = self._items.get(heard.item_id)
        if item is None:
            return False
        if heard.heard_ms <= item.heard_ms and (item.heard_all or not heard.done):
            return False
        item.heard_ms = max(item.heard_ms, heard.heard_ms)
        item.heard_all = item.heard_all or heard.done
        return True

    def clear(self, line_ms: int | None = None) -> list[Effect]:
        """Drop what the caller has not heard, because of something at ``line_ms`` (None: at once,
        wherever the line is).
        """
        if not self.unheard():
            return []
        self.clears += 1
        if line_ms is not None:
            self._clear_line_ms[self.clears] = line_ms
        return [ClearPlayback(self.clears)]

    def cleared(self, cleared: line.Cleared) -> list[Effect]:
        """Playback was emptied: cut every unfinished item where the caller stopped hearing it. What
        is shortened already was told of before.
        """
        line_ms = self._clear_line_ms.pop(cleared.n, cleared.line_ms)
        effects: list[Effect] = []
        for stood in cleared.items:
            item = self._items.get(stood.item_id)
            if item is None or item.shortened:
                continue
            if stood.done:
                item.heard_all = True
                continue
            # The model refuses a cut beyond the audio that it made.
            item.heard_ms = min(max(stood.heard_ms, item.heard_ms), item.received_ms)
            item.cut = True
            effects += _shortened(item)
            fields = {"item_id": item.item_id, "heard_ms": item.heard_ms, "line_ms": line_ms}
            effects.append(Record(BargedIn, fields))
        return effects

    def under_way(self, response_id: str) -> list[ItemId]:
        """What of a response has sounded and goes on."""
        mine = [item for item in self._items.values() if item.response_id == response_id]
        return [item.item_id for item in mine if item.received_bytes and not item.audio_done]

    def lose(
        self,
        stood: Mapping[ItemId, line.Playhead],
        lost: Collection[ItemId],
        *,
        broken: Collection[ItemId],
    ) -> tuple[list[Effect], list[SpokenItem]]:
        """What of ``lost`` was under way to the caller is gone: cut every item where they stopped
        hearing it (where they were last heard of, if ``stood`` does not say), and give those that
        were cut. ``broken``: they end too early, even if heard to their end.
        """
        effects: list[Effect] = []
        cut: list[SpokenItem] = []
        for item in [i for i in self._items.values() if i.item_id in lost and i.unheard()]:
            at = stood.get(item.item_id)
            whole = at is not None and (at.done or at.heard_ms >= item.received_ms)
            if whole and item.item_id not in broken:
                item.heard_all = True
                continue
            if at is not None:
                item.heard_ms = min(max(at.heard_ms, item.heard_ms), item.received_ms)
            item.cut = True
            effects += _shortened(item)
            cut.append(item)
        return effects, cut

    def end(self, now_ms: int) -> list[Effect]:
        """The session is over: the last words of what it was saying."""
        open_items = [i for i in self._items.values() if i.text and not i.said_done and not i.cut]
        return [_said(item, now_ms, done=False) for item in open_items]

    def audio_done(self, item_id: ItemId) -> list[Effect]:
        item = self._items.get(item_id)
        if item is None or item.audio_done or item.received_bytes == 0:
            return []
        item.audio_done = True
        return [PlayDone(item_id)]

    def item_done(self, item: str, now_ms: int) -> list[Effect]:
        """No more audio or words of an item will come."""
        found = self._items.get(ItemId(item))
        return [] if found is None else self._finish(found, now_ms)

    def response_done(self, response_id: str, now_ms: int) -> list[Effect]:
        """Nor of any item of a response."""
        mine = [item for item in self._items.values() if item.response_id == response_id]
        return [effect for item in mine for effect in self._finish(item, now_ms)]

    def _finish(self, item: SpokenItem, now_ms: int) -> list[Effect]:
        effects = self.audio_done(item.item_id)
        if not item.said_done:
            item.said_done = True
            effects.append(_said(item, now_ms, done=True))
        return effects


def _shortened(item: SpokenItem) -> list[Effect]:
    """The model's item holds no more than the caller heard."""
    item.shortened = True
    if not item.adopted:
        return [Tell(commands.truncate(item.item_id, item.heard_ms))]
    if not item.told:
        return []
    # Text cannot be truncated: it is made anew.
    again = commands.assistant_text(item.heard_text())
    return [Tell(commands.delete_item(item.item_id)), Tell(again)]


def _said(item: SpokenItem, now_ms: int, *, done: bool) -> Record:
    item.recorded_at_ms = now_ms
    item.recorded += 1
    fields = {
        "item_id": item.item_id,
        "response_id": item.response_id,
        "text": item.text,
        "generated_ms": item.received_ms,
        "done": done,
        "previous_item_id": item.previous_item_id,
    }
    return Record(Said, fields)
