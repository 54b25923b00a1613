"""What the assistant must not say, by its profile (PURE): rules on the words so far, and the
sentences that another judge is asked about.

Called by the output watch with an item's text each time it grew; never cuts anything itself.
"""

import re

from protocol.ids import ItemId
from runtime import assistant

_OPEN_WORD = re.compile(r"\w{1,30}\Z")
"""The word that is still being spoken: ``ass`` may become ``assistant``. Bounded, because some
languages write no spaces."""
_SENTENCE = re.compile(r".+?(?:[.!?…]+(?=\s)|[。！？]+|\Z)\s*", re.DOTALL)
_SPOKEN = re.compile(r"\w")


class OutputCheck:
    """The rules of one session and where each item was looked at."""

    def __init__(self, check: assistant.OutputCheck) -> None:
        self._rules = [re.compile(pattern, re.IGNORECASE) for pattern in check.forbidden]
        self._instead = _plain(check.instead)
        self._hit: set[ItemId] = set()
        self._asked: dict[ItemId, int] = {}

    def look(self, item_id: ItemId, text: str, *, done: bool = False) -> str | None:
        """The rule that the text so far breaks, like ``forbidden[0]``; at most once an item.

        A word counts when it has ended; ``done``: no more will come. The safe sentence itself is
        never looked at.
        """
        if item_id in self._hit or self.safe(text):
            return None
        ended = text if done else _OPEN_WORD.sub("", text)
        for place, rule in enumerate(self._rules):
            if rule.search(ended):
                self._hit.add(item_id)
                return f"forbidden[{place}]"
        return None

    def sentences(self, item_id: ItemId, text: str, *, done: bool = False) -> list[str]:
        """Sentences of the text that ended since the last time; with ``done`` the rest too."""
        found: list[str] = []
        if item_id in self._hit or self.safe(text):
            return found
        begin = self._asked.get(item_id, 0)
        for match in _SENTENCE.finditer(text, begin):
            if match.end() == len(text) and not done:
                break
            self._asked[item_id] = match.end()
            if _SPOKEN.search(match[0]):
                found.append(match[0].strip())
        return found

    def flagged(self, item_id: ItemId) -> bool:
        """Another judge found a sentence of the item bad. False when it was hit before."""
        if item_id in self._hit:
            return False
        self._hit.add(item_id)
        return True

    def safe(self, text: str) -> bool:
        """The text is the safe sentence, or its beginning: it may name what it refuses."""
        return self._instead.startswith(_plain(text))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
