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
    ms of an assistant's audio. ``cut``: some of the audio was never heard; ``barged``: because the
    caller spoke. ``wordless``: the caller made a noise, no more. ``sequence`` is its first event's
    place in the log (0: only ingress told of it), ``session_sequence`` that of the session_opened
    before it.
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
    barged: bool = False
    wordless: bool = False
    response_id: str = ""
    sequence: int = 0
    session_sequence: int = 0

    def heard_text(self) -> str:
        """The words that were heard. When ``cut``, an estimate by ms, ended at a word and marked
        with ``…``.
        """
        return self.text_until(self.heard_ms) if self.cut else self.text

    def text_until(self, heard_ms: int) -> str:
        """The words of the first ``heard_ms`` of the audio, as in ``heard_text``."""
        return heard_words(self.text, heard_ms, self.generated_ms)


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


def heard_again(
    utterances: list[Utterance], turn: Utterance, from_ms: int, to_ms: int
) -> set[ItemId] | None:
    """Puts a turn that was replayed to a new session in the place of what the older one made of
    it, and says which items it replaces; None, and nothing is done, when it is no such turn.

    The new session may set its bounds elsewhere: the middle of the older turn decides.
    """

    def older(spoken: Utterance) -> bool:
        return spoken.party == "caller" and spoken.session_sequence != turn.session_sequence

    places = (i for i, u in enumerate(utterances) if older(u) and u.to_ms > from_ms)
    place = next(places, None)
    if place is None:
        return None
    replaced = {
        u.item_id
        for u in utterances[place:]
        if older(u) and u.from_ms < u.to_ms and from_ms <= (u.from_ms + u.to_ms) // 2 < to_ms
    }
    utterances[place:] = [turn, *(u for u in utterances[place:] if u.item_id not in replaced)]
    return replaced
