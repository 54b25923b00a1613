"""False starts (PURE): noise that cut the assistant short, told from words by what became of its
turn.

A part of conversation; resumption acts on it. All ``now_ms`` are monotonic.
"""

from msgspec import Struct

from ai_agent.realtime import events as rt
from protocol.ids import ItemId
from protocol.line import Intent

COMMIT_WITHIN_MS = 1_500
"""Speech that stopped becomes a turn within this time, or it was none; and server VAD answers a
turn within it, or not at all."""


class _Turn(Struct):
    """One caller's turn that may be noise."""

    stopped_ms: int | None = None
    committed: bool = False
    wordless: bool = False

    def over(self, now_ms: int) -> bool:
        """It is known to hold no words."""
        if self.wordless or self.committed or self.stopped_ms is None:
            return self.wordless
        return now_ms - self.stopped_ms >= COMMIT_WITHIN_MS


class FalseStart:
    """What was cut, and the turns since then: as long as none held words and nothing answered."""

    def __init__(self) -> None:
        self._turns: dict[ItemId, _Turn] = {}
        self._resumed = False
        self.again = False
        """What was resumed was cut again before it sounded: it is not for the caller now."""
        self.cut: tuple[ItemId, ...] = ()
        """The assistant's items that the caller had not heard to the end."""
        self.lifted: Intent | None = None
        """The end of the call that the noise took back."""

    @property
    def noises(self) -> list[ItemId]:
        """Turns that are items of the conversation."""
        return [item_id for item_id, turn in self._turns.items() if turn.committed]

    def began(self, turn: ItemId, cut: tuple[ItemId, ...], lifted: Intent | None) -> None:
        """The caller began a turn and cut these items; none, when there was nothing to hear: then
        it goes on about what was cut before and has not been resumed aloud.
        """
        if cut and cut != self.cut:  # the same: the line has not said yet where it was cut
            self.forget()
            self.cut = cut
        if not self.cut:
            return
        if self._resumed:
            self._turns.clear()
            self._resumed = False
            self.again = True
        self.lifted = lifted or self.lifted
        self._turns[turn] = _Turn()

    def stopped(self, turn: ItemId, now_ms: int) -> None:
        if turn in self._turns:
            self._turns[turn].stopped_ms = now_ms

    def committed(self, turn: ItemId) -> None:
        if turn in self._turns:
            self._turns[turn].committed = True

    def heard(
        self, event: rt.TranscriptionDelta | rt.TranscriptionCompleted | rt.TranscriptionFailed
    ) -> None:
        """Words of a turn, some or all; signs alone are none. When they cannot be known there may
        have been some.
        """
        turn = self._turns.get(ItemId(event.item_id))
        if turn is None:
            return
        match event:
            case rt.TranscriptionDelta():
                words = _any(event.delta)
            case rt.TranscriptionCompleted():
                words = _any(event.transcript)
                turn.wordless = not words
            case rt.TranscriptionFailed():
                words = True
        if words:
            self.forget()

    def over(self, now_ms: int) -> bool:
        """It was noise: all turns since the cut are known to hold no words."""
        if not self.cut or self._resumed:
            return False
        return all(turn.over(now_ms) for turn in self._turns.values())

    def resumed(self) -> None:
        """The rest was asked for; it may be cut again before it sounds."""
        self._resumed = True

    def forget(self) -> None:
        """The caller is answered, or something else is said now."""
        self._turns.clear()
        self._resumed = self.again = False
        self.cut = ()
        self.lifted = None


def _any(text: str) -> bool:
    return any(sign.isalnum() for sign in text)
