"""PURE: what was really said and heard of a call, both parties beside each other on the line.

ear_tracks feeds it the caller's frames, line_out what goes to Twilio and what the ledger proves of
it. While tracks are wanted (``start``) it gives blocks in order and without a hole; else it only
remembers the audio that the caller has yet to hear.

Places are counted in bytes: on the line (line_ms * 8), and in the queue that Twilio plays. What is
sent waits for the mark that proves when it was heard, because only that knows how long it took to
Twilio.
"""

from collections import deque

from msgspec import Struct

from protocol.audio import BYTES_PER_MS, SILENCE
from protocol.line import EAR_MS

_BLOCK = EAR_MS * BYTES_PER_MS
_SLACK = 60 * BYTES_PER_MS
"""Audio that was sent without a break was heard so, unless a mark is late by this much."""
_PROOF = 1500 * BYTES_PER_MS
"""How long a mark is waited for; then the estimate counts."""
_LAG = 1000 * BYTES_PER_MS
"""An estimate believes in no longer way to Twilio."""
_GAP = 2000 * BYTES_PER_MS
"""A longer gap of the line is left out: blocks go on behind it."""
_KEPT = 12 * 60 * 1000 * BYTES_PER_MS
"""Audio that may wait to be heard; Twilio itself holds 10 minutes."""
_UNSEEN = 4096
"""Messages of audio between two looks, of which marks bring five a second."""


class Block(Struct, frozen=True):
    """Both tracks from ``line_ms`` on, of the same length: 200 ms, the last before a gap or the
    end less.
    """

    line_ms: int
    caller: bytes
    assistant: bytes


class Ear:
    """The tracks of one leg."""

    def __init__(self) -> None:
        self.sent: deque[tuple[int, int, bytes]] = deque(maxlen=_UNSEEN)
        """To be filled with all that goes to Twilio: the position behind it, line_ms, the audio.
        No more than that, for it is done 50 times a second while nobody listens, too.
        """
        self._waiting: deque[tuple[int, int, bytes]] = deque()
        """Place in the queue, earliest place on the line, audio: what was not proven yet."""
        self._waiting_bytes = 0
        self._planned = 0  # where on the line all that was sent would end at the earliest
        self._lag = 0  # how much later than that the newest mark came
        self._late_marks: deque[tuple[int, int]] = deque(maxlen=64)
        """Place in the queue, place on the line of a mark that was sent when all was played."""
        self._laying = False
        self._first = self._origin = 0  # where the tracks begin; where the next block does
        self._caller, self._assistant = bytearray(), bytearray()
        self._end: int | None = None  # where what was laid ends
        self._joins = -1  # the earliest place of what was sent right behind it

    @property
    def next_ms(self) -> int:
        """line_ms of the next block."""
        return self._origin // BYTES_PER_MS

    # -- the assistant

    def marked(self, now_ms: int) -> None:
        """A mark goes to Twilio behind everything that was sent."""
        self._look()
        if self._waiting and now_ms * BYTES_PER_MS > self._planned:
            position, _, audio = self._waiting[-1]
            self._late_marks.append((position + len(audio), now_ms * BYTES_PER_MS))

    def heard(self, position: int, now_ms: int) -> None:
        """A mark at ``position`` came back: the caller has heard everything before it."""
        self._look()
        lag = self._late(position, now_ms * BYTES_PER_MS)
        if lag is not None:
            self._lag = lag
            self._lay(position, lag)

    def cut(self, position: int, now_ms: int) -> None:
        """Playback was emptied: nothing from ``position`` on will ever be heard."""
        self._look()
        lag = self._late(position, now_ms * BYTES_PER_MS)
        if lag is not None:  # it may have been heard a while ago
            self._lay(position, min(lag, self._believed()))
        self._waiting.clear()
        self._waiting_bytes = 0
        self._planned = now_ms * BYTES_PER_MS

    def _look(self) -> None:
        """What was sent has its earliest place on the line behind what was sent before it."""
        sent = self.sent
        while sent:
            end, now_ms, audio = sent.popleft()
            begins = max(now_ms * BYTES_PER_MS, self._planned)
            self._planned = begins + len(audio)
            self._waiting.append((end - len(audio), begins, audio))
            self._waiting_bytes += len(audio)
        while self._waiting_bytes > _KEPT:
            self._waiting_bytes -= len(self._waiting.popleft()[2])

    # -- the tracks

    def start(self, line_ms: int) -> None:
        """Lay the tracks out from here on."""
        self._laying = True
        self._begin(line_ms * BYTES_PER_MS)

    def stop(self) -> None:
        """Nobody wants them any more."""
        self._laying = False
        self._caller.clear()
        self._assistant.clear()

    def caller(self, line_ms: int, audio: bytes) -> list[Block]:
        """A frame of the caller; the blocks that are complete with it."""
        self._look()
        at, end = line_ms * BYTES_PER_MS, self._origin + len(self._caller)
        blocks: list[Block] = []
        if at > end + _GAP:
            blocks = self.end()
            self._begin(at)
        elif at > end:
            self._caller += SILENCE * (at - end)
        else:
            audio = audio[end - at :]
        self._caller += audio
        if len(self._caller) >= _BLOCK:
            blocks += self._complete()
        return blocks

    def end(self) -> list[Block]:
        """The line is over, or breaks off for long: everything that is left."""
        self._look()
        now = self._origin + len(self._caller)
        self._lay_by_estimate(now)
        until = max(now, self._origin + len(self._assistant))
        self._caller += SILENCE * (until - now)
        return self._blocks(until)

    # -- laying out

    def _begin(self, place: int) -> None:
        self._first = self._origin = place
        self._caller.clear()
        self._assistant.clear()
        self._end = None

    def _late(self, position: int, now: int) -> int | None:
        """How much later than at the earliest the byte before ``position`` was heard, if the mark
        behind it comes back now; None when it was laid before.
        """
        asked = 0
        while self._late_marks and self._late_marks[0][0] <= position:
            place, sent = self._late_marks.popleft()
            asked = sent if place == position else 0
        for start, begins, audio in self._waiting:
            if start >= position:
                return None
            if position <= start + len(audio):
                return now - max(begins + position - start, asked)
        return None

    def _lay(self, position: int, lag: int) -> None:
        """What waits before ``position`` was heard, all of it ``lag`` later than at the
        earliest.
        """
        waiting = self._waiting
        while waiting and waiting[0][0] < position:
            start, begins, audio = waiting.popleft()
            if start + len(audio) > position:
                size = position - start
                waiting.appendleft((position, begins + size, audio[size:]))
                audio = audio[:size]
            self._waiting_bytes -= len(audio)
            if self._laying:
                self._place(begins + lag, audio, joins=begins == self._joins)
            self._joins = begins + len(audio)

    def _place(self, at: int, audio: bytes, *, joins: bool) -> None:
        if self._end is not None and (at < self._end or (joins and at < self._end + _SLACK)):
            at = self._end
        self._end = at + len(audio)
        if at < self._first:  # heard before the tracks began
            audio = audio[self._first - at :]
            at = self._first
        at = max(at, self._origin)
        if audio:
            track = self._assistant
            track += SILENCE * (at - self._origin - len(track))
            track += audio
            self._end = at + len(audio)

    def _complete(self) -> list[Block]:
        """The blocks of which both tracks are settled."""
        now = self._origin + len(self._caller)
        self._lay_by_estimate(now - _PROOF)
        settled = now
        if self._waiting:
            settled = min(now, max(self._end or 0, self._waiting[0][1]))
        return self._blocks(settled - (settled - self._origin) % _BLOCK)

    def _lay_by_estimate(self, until: int) -> None:
        """No mark told of it, but this must have been heard before ``until`` on the line."""
        lag = self._believed()
        while self._waiting and (size := until - self._waiting[0][1] - lag) > 0:
            position, _, audio = self._waiting[0]
            self._lay(position + min(len(audio), size), lag)

    def _believed(self) -> int:
        return max(0, min(self._lag, _LAG))

    def _blocks(self, until: int) -> list[Block]:
        blocks: list[Block] = []
        while self._origin < until:
            size = min(_BLOCK, until - self._origin)
            caller, assistant = bytes(self._caller[:size]), bytes(self._assistant[:size])
            assistant += SILENCE * (size - len(assistant))
            blocks.append(Block(self.next_ms, caller, assistant))
            del self._caller[:size], self._assistant[:size]
            self._origin += size
        return blocks
