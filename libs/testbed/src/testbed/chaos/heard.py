"""What one caller heard, word by word, and what follows from it. Pure.

Fed by the caller with the ear's pieces; read by the caller (is the answer complete?) and by the
judge. Times are ms of the call's clock.
"""

from collections import defaultdict
from collections.abc import Iterable

from testbed.chaos import voice
from testbed.chaos.voice import Piece
from testbed.twilio.ear import BYTES_PER_MS, Ear

ENOUGH_PIECES = 6
"""Pieces of one utterance's word that make it heard: 120 of its 200 ms."""
Word = tuple[int, int]
"""(question, word)."""


class HeardWords:
    """The words of one call. `strange_ms`: audio that is nobody's word (a hold sentence)."""

    def __init__(self, call: int) -> None:
        self.call = call
        self.at_ms: dict[Word, float] = {}
        """When each word was first heard: the beginning of the utterance of it that was."""
        self.last_new_ms = -1.0
        self.foreign: list[Piece] = []
        """Pieces of other calls' words."""
        self.sources: list[int] = []
        """The utterances in the order of hearing, each new stretch of one once."""
        self.pieces_ms = 0.0
        self._began: dict[tuple[Word, int], float] = {}
        self._pieces: dict[tuple[Word, int], set[int]] = defaultdict(set)

    def hear(self, at_ms: float, piece: Piece) -> None:
        """One piece reached the ear."""
        self.pieces_ms += voice.PIECE_MS
        if piece.speaker != voice.ASSISTANT or piece.call not in (self.call, voice.NOBODY):
            self.foreign.append(piece)
            return
        if not self.sources or self.sources[-1] != piece.source:
            self.sources.append(piece.source)
        word = (piece.question, piece.word)
        rendering = (word, piece.source)
        began = self._began.setdefault(rendering, at_ms)
        heard = self._pieces[rendering]
        heard.add(piece.piece)
        if len(heard) >= ENOUGH_PIECES and word not in self.at_ms:
            self.at_ms[word] = began
            self.last_new_ms = at_ms

    def all_of(self, question: int, words: int) -> bool:
        """Whether every word of an answer was heard."""
        return all((question, word) in self.at_ms for word in range(words))

    def any_of(self, question: int) -> bool:
        """Whether a word of an answer was heard."""
        return any(heard == question for heard, _ in self.at_ms)


class Listener:
    """Follows a growing ear; each piece is told once, in order."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self._sound = 0
        self._offset = 0

    def new(self) -> Iterable[tuple[float, Piece]]:
        """The pieces heard since the last look, with their times."""
        while self._sound < len(self._ear.sounds):
            sound = self._ear.sounds[self._sound]
            for offset, piece in voice.pieces(sound.audio, self._offset):
                self._offset = offset + voice.PIECE_BYTES
                yield sound.start_ms + offset / BYTES_PER_MS, piece
            if self._sound + 1 == len(self._ear.sounds):
                # A piece may still be growing at the end.
                self._offset = max(self._offset, len(sound.audio) - voice.PIECE_BYTES)
                return
            self._sound += 1
            self._offset = 0


def two_voices(sources: Iterable[int]) -> int:
    """How often an utterance went on after another one had begun: two speak at once.

    One voice never returns to an utterance: after a cut it begins a new one.
    """
    seen: set[int] = set()
    current: int | None = None
    returns = 0
    for source in sources:
        if source == current:
            continue
        returns += source in seen
        seen.add(source)
        current = source
    return returns
