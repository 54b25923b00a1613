"""Agent to caller: obeys the holder of the call, feeds Twilio and keeps the playback ledger.

Handles ``call.<id>.out.*.*`` and the marks that Twilio echoes. Only the highest epoch seen is
obeyed: an epoch is the place of its ``assigned`` in the log, so higher is newer.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from protocol import codec, line, subjects
from protocol.audio import BYTES_PER_MS
from protocol.ids import CallId, Epoch, ItemId, Leg
from protocol.line import Intent, Playhead
from stream_ingress.ear import Ear
from stream_ingress.metrics import Tally
from stream_ingress.outgoing import Outgoing
from stream_ingress.playback import Effect, Finished, Playback, Reached, SendMark
from stream_ingress.uplink import Uplink

LOCAL = "local:"
"""Items of ingress's own sentences begin so."""
_PIECE = 200 * BYTES_PER_MS
RETOLD = 8
"""Of so many finished items the last word is told again after NATS was away."""


class Message(Protocol):
    """What is used of a NATS message."""

    @property
    def subject(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def reply(self) -> str: ...
    @property
    def headers(self) -> dict[str, str] | None: ...


class Reports(Struct, frozen=True):
    """Whom the line tells: of the last word on an item, of an ``end``, of a newer epoch that
    speaks before anybody else told of it, and that the call may be listened to.
    """

    finished: Callable[[Finished], None]
    end: Callable[[Intent], None]
    holder: Callable[[Epoch], None]
    ear: Callable[[line.OpenEar], None]


class LineOut:
    """The agent's side of one leg. ``now_ms`` reads the line's clock."""

    def __init__(
        self,
        uplink: Uplink,
        call: CallId,
        outgoing: Outgoing,
        now_ms: Callable[[], int],
        reports: Reports,
        tally: Tally,
    ) -> None:
        self._uplink = uplink
        self._call = call
        self._outgoing = outgoing
        self._now_ms = now_ms
        self._reports = reports
        self._tally = tally
        self._playback = Playback()
        self._epoch = Epoch(0)
        self._audio_subject = ""
        self._last_clear: line.Cleared | None = None
        self._ending = False
        self._plays: dict[str, int] = {}
        self._speaking: ItemId | None = None
        self._last_words: deque[Finished] = deque(maxlen=RETOLD)
        self._progress = asyncio.Event()
        self._floor = Epoch(0)
        self._heard_subject = self._cleared_subject = ""
        self.ear: Ear | None = None
        """Learns what is sent and heard, once the call may be listened to."""

    @property
    def remaining_ms(self) -> int:
        return self._playback.remaining_ms(self._now_ms())

    @property
    def may_miss_something(self) -> bool:
        """After an absence of NATS: words of the agent may be lost. Not so while something of it
        plays and all of that is complete.
        """
        plays = any(not item.startswith(LOCAL) for item in self._playback.unfinished)
        return self._playback.open or not plays

    def ledger(self) -> tuple[Playhead, ...]:
        """Where every unfinished item stands now."""
        return self._playback.ledger(self._now_ms())

    async def wait_played_out(self) -> None:
        """Return when all that was sent has been heard, or was cleared."""
        while not self._playback.played_out:
            self._progress.clear()
            await self._progress.wait()

    def open(self, leg: Leg, floor: Epoch) -> None:
        """The leg has its number: answers go to its subjects. ``floor`` held the call on an
        earlier leg: it is not obeyed here before it was let in, those before it never.
        """
        self._floor = floor
        self._heard_subject = subjects.in_heard(self._call, leg)
        self._cleared_subject = subjects.in_cleared(self._call, leg)

    def finish(self) -> None:
        """The leg is over: report the last word on every item."""
        self._cut_ear()
        for effect in self._playback.end(self._now_ms()):
            if isinstance(effect, Finished):
                self._reports.finished(effect)

    def begin_end(self) -> None:
        """From now on nothing new is played; what was sent gets its last marks."""
        self._ending = True
        self._perform(self._playback.abandon())

    def let_in(self, epoch: Epoch) -> None:
        """Hear the holder of an earlier leg from its next item on: it is asked to go on here."""
        self._floor = min(self._floor, Epoch(epoch - 1))
        self.obey(epoch)

    def obey(self, epoch: Epoch) -> None:
        """A worker took the call: hear it, and nobody before it, ever again."""
        if epoch <= self._epoch or epoch <= self._floor:
            return
        orphaned = bool(self._epoch)
        self._epoch = epoch
        self._audio_subject = subjects.out_audio(self._call, epoch)
        self._last_clear = self._speaking = None
        self._last_words.clear()
        if orphaned:
            self._perform(self._playback.abandon())

    def retell(self) -> None:
        """Tell the holder again what it may have missed while NATS was away: the answer to its last
        clear, and the last word on its last items.
        """
        if self._last_clear is not None:
            self._tell(self._cleared_subject, self._last_clear)
        for item in self._last_words:
            whole = item.heard_ms == item.sent_ms
            heard = line.Heard(item.item_id, item.heard_ms, whole, self._now_ms())
            self._tell(self._heard_subject, heard)

    def quick(self, message: Message) -> bool:
        """``handle``, which never waits."""
        self.handle(message)
        return True

    def handle(self, message: Message) -> None:
        """One message of ``call.<id>.out.*.*``."""
        if message.subject == self._audio_subject:  # 50 a second; all else is rare
            self._audio(message.data)
            return
        _, number, kind = message.subject.rsplit(".", 2)
        epoch = Epoch(int(number)) if number.isdecimal() else Epoch(0)
        if epoch < self._epoch or epoch <= self._floor:
            self._tally.stale_out += 1
            return
        if epoch > self._epoch:
            self.obey(epoch)
            self._reports.holder(epoch)
        match kind:
            case "audio":
                self._audio(message.data)
            case "item":
                self._item(codec.decode(line.Item, message.data).item_id)
            case "done":
                self._perform(
                    self._playback.done(codec.decode(line.ItemDone, message.data).item_id)
                )
            case "clear":
                self._clear(codec.decode(line.Clear, message.data).n)
            case "end":
                self._reports.end(codec.decode(line.End, message.data).intent)
            case "ear":
                self._reports.ear(codec.decode(line.OpenEar, message.data))
            case _:
                pass  # a kind of a newer version

    def play(self, name: str, audio: bytes) -> None:
        """Play one of our own sentences, behind whatever plays."""
        count = self._plays[name] = self._plays.get(name, 0) + 1
        item_id = ItemId(f"{LOCAL}{name}" if count == 1 else f"{LOCAL}{name}:{count}")
        self._playback.item(item_id)
        for start in range(0, len(audio), _PIECE):
            self._send(audio[start : start + _PIECE])
        self._perform(self._playback.done(item_id))
        if self._speaking is not None and self._speaking in self._playback.unfinished:
            self._playback.item(self._speaking)  # the agent's words go on behind ours

    def echo(self, name: str) -> None:
        """Twilio echoed a mark."""
        now_ms, proven = self._now_ms(), self._playback.proven
        effects = self._playback.echo(name, now_ms)
        if self.ear is not None and self._playback.proven > proven:
            self.ear.heard(self._playback.proven, now_ms)
        self._perform(effects)
        self._progress.set()

    def _audio(self, audio: bytes) -> None:
        if self._ending:
            self._tally.dropped_out += 1
        else:
            self._send(audio)

    def _send(self, audio: bytes) -> None:
        if not audio:
            return
        now_ms = self._now_ms()
        mark = self._playback.audio(len(audio), now_ms)
        if mark is None:
            self._tally.dropped_out += 1
            return
        if self.ear is not None:
            self.ear.sent.append((self._playback.sent, now_ms, audio))
        self._outgoing.media(audio)
        self._tally.frames_out += 1
        self._tally.bytes_out += len(audio)
        if mark:
            self._outgoing.mark(mark)

    def _item(self, item_id: ItemId) -> None:
        if self._ending:
            return
        if any(item.startswith(LOCAL) for item in self._playback.unfinished):
            self._empty()
        self._speaking = item_id
        self._playback.item(item_id)

    def _clear(self, n: int) -> None:
        last = self._last_clear
        if last is None or n > last.n:
            last = self._last_clear = line.Cleared(n, self._now_ms(), self._empty())
        elif n < last.n:
            last = line.Cleared(n, last.line_ms)
        self._tell(self._cleared_subject, last)

    def _empty(self) -> tuple[Playhead, ...]:
        self._cut_ear()
        heads, effects = self._playback.clear(self._now_ms())
        self._outgoing.clear()
        self._progress.set()
        self._perform(effects)
        return heads

    def _cut_ear(self) -> None:
        if self.ear is not None:
            now_ms = self._now_ms()
            self.ear.cut(self._playback.position(now_ms), now_ms)

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendMark():
                    self._outgoing.mark(effect.name)
                    if self.ear is not None:
                        self.ear.marked(self._now_ms())
                case Reached() if effect.item_id.startswith(LOCAL):
                    pass  # our own business
                case Reached():
                    heard = line.Heard(effect.item_id, effect.heard_ms, effect.done, self._now_ms())
                    self._tell(self._heard_subject, heard)
                case Finished():
                    self._reports.finished(effect)
                    if not effect.item_id.startswith(LOCAL):
                        self._last_words.append(effect)

    def _tell(self, subject: str, message: line.Heard | line.Cleared) -> None:
        # Untold while NATS is away: ``retell`` makes up for it, and the log's ``heard`` has the
        # last word on every item.
        self._uplink.put(subject, message)
