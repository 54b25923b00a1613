"""Two timers of a call (PURE): the caller's silence, counted from the playhead, and the longest
call. Ticked by the call runner and the menu; they decide, others speak and hang up.
"""

from typing import Literal

from msgspec import Struct

from ai_agent.effects import Record
from protocol.events import LimitReached
from runtime.assistant import Limits, Silence


class Remind(Struct, frozen=True):
    """Ask whether the caller is still there."""


class EndForSilence(Struct, frozen=True):
    """Say goodbye and end the call: nobody speaks."""


class WarnLength(Struct, frozen=True):
    """Tell the caller that the call ends in ``seconds``."""

    seconds: int


class EndForLength(Struct, frozen=True):
    """Say goodbye and end the call: it has lasted as long as it may."""


QuietEffect = Remind | EndForSilence | Record
LengthEffect = WarnLength | EndForLength | Record


class Quiet:
    """How long the caller has been silent while there was nothing to hear.

    Speech or a key begins it anew. While it is held (audio not yet heard, the caller speaking, a
    tool running) it stands still; audio heard before the reminder begins it anew, the reminder's
    own does not, or nobody would ever be hung up on.
    """

    def __init__(self, silence: Silence, now_ms: int) -> None:
        self._silence = silence
        self._counted_ms = 0
        self._since_ms: int | None = now_ms
        self._reminded = False
        self._ended = False

    def stirred(self, now_ms: int) -> None:
        """The caller spoke or pressed a key."""
        self._counted_ms = 0
        self._reminded = False
        if self._since_ms is not None:
            self._since_ms = now_ms

    def held(self, held: bool, now_ms: int) -> None:
        """Whether there is something to hear or to wait for; repeats do nothing."""
        if held and self._since_ms is not None:
            self._counted_ms = self._silent_ms(now_ms) if self._reminded else 0
            self._since_ms = None
        elif not held and self._since_ms is None:
            self._since_ms = now_ms

    def on_tick(self, now_ms: int) -> list[QuietEffect]:
        """What is due; nothing after the end."""
        if self._ended or self._since_ms is None:
            return []
        silent_ms = self._silent_ms(now_ms)
        if 0 < self._silence.hang_up_s * 1000 <= silent_ms:
            self._ended = True
            return [_limit("silence"), EndForSilence()]
        if not self._reminded and 0 < self._silence.reminder_s * 1000 <= silent_ms:
            self._reminded = True
            return [Remind()]
        return []

    def _silent_ms(self, now_ms: int) -> int:
        since = now_ms if self._since_ms is None else self._since_ms
        return self._counted_ms + now_ms - since


class CallLength:
    """The longest call. ``elapsed_ms``: how long it had lasted when this worker took it."""

    def __init__(self, limits: Limits, now_ms: int, elapsed_ms: int = 0) -> None:
        self._limits = limits
        self._began_ms = now_ms - elapsed_ms
        self._warned = limits.warn_before_s <= 0
        self._ended = limits.call_s <= 0

    def on_tick(self, now_ms: int) -> list[LengthEffect]:
        """The warning once, then the end once."""
        if self._ended:
            return []
        left_ms = self._limits.call_s * 1000 - (now_ms - self._began_ms)
        if left_ms <= 0:
            self._ended = True
            return [_limit("call_s"), EndForLength()]
        if not self._warned and left_ms <= self._limits.warn_before_s * 1000:
            self._warned = True
            return [WarnLength(max(1, round(left_ms / 1000)))]
        return []


def _limit(limit: Literal["silence", "call_s"]) -> Record:
    return Record(LimitReached, {"limit": limit})
