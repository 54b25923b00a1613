"""Which calls of the board are shown: the filter form, read from an address (pure). The scripts
hide rows by the same rules.
"""

from collections.abc import Mapping

from msgspec import Struct

from dashboard.live.view import CallView

STATES = ("ringing", "active", "ended", "failed")
MODES = ("gate", "keypad", "conversation")
_LONGEST = 80


class Filter(Struct, frozen=True):
    """Empty fields let everything through."""

    state: str = ""
    mode: str = ""
    assistant: str = ""
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.state or self.mode or self.assistant or self.text)

    def lets(self, call: CallView) -> bool:
        """Is ``call`` shown? All words of ``text`` must stand in the row, in any case."""
        if self.state and call.tone != self.state:
            return False
        if self.mode and call.mode != self.mode:
            return False
        if self.assistant and call.assistant != self.assistant:
            return False
        found = call.found_by
        return all(word in found for word in self.text.lower().split())


def filter_of(query: Mapping[str, str]) -> Filter:
    """The filter that an address asks for; what is not known is ignored."""
    state, mode = query.get("state", ""), query.get("mode", "")
    return Filter(
        state if state in STATES else "",
        mode if mode in MODES else "",
        query.get("assistant", "")[:_LONGEST],
        query.get("q", "").strip()[:_LONGEST],
    )
