"""An utterance: what one party said in one item, how much of it was heard, and the text as heard
(pure).
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from protocol.ids import ItemId


class Utterance(Struct):
    """The fold of turn_committed and turn_transcribed (caller) or said, heard and barged_in
    (assistant).

    ``from_ms``/``to_ms`` are line time of a caller's turn; ``generated_ms`` and ``heard_ms`` are
    ms of an assistant's audio. ``cut``: some of the audio was never heard.
    """

    item_id: ItemId
    party: Literal["caller", "assistant"]
    at: datetime
    text: str = ""
    done: bool = False
    from_ms: int = 0
    to_ms: int = 0
    generated_ms: int = 0
    heard_ms: int = 0
    cut: bool = False

    def heard_text(self) -> str:
        """The words that were heard. When ``cut``, an estimate by ms, ended at a word and marked
        with ``…``.
        """
        if not self.cut:
            return self.text
        return heard_words(self.text, self.heard_ms, self.generated_ms)


def heard_words(text: str, heard_ms: int, generated_ms: int) -> str:
    """The words of ``text`` in the first ``heard_ms`` of ``generated_ms`` of its sound: an
    estimate, ended at a word and marked with ``…``.
    """
    if heard_ms <= 0 or generated_ms <= 0:
        return "…"
    share = min(1.0, heard_ms / generated_ms)
    kept = text[: round(len(text) * share)]
    if len(kept) < len(text):
        kept = kept.rsplit(" ", 1)[0] if " " in kept else ""
    return f"{kept.rstrip()}…"
