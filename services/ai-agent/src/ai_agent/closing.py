"""How a talk ends (PURE): the line is closed once the last words are on their way.

A part of conversation. A goodbye that the caller speaks into is taken back; one that the agent
decided on (time, silence) is not.
"""

from ai_agent.effects import Close, Effect
from protocol.line import Intent


class Closing:
    """Whether and how the line is to be closed."""

    def __init__(self) -> None:
        self._intent: Intent | None = None
        self._final = False
        self._closed = False

    @property
    def decided(self) -> bool:
        """The line will be closed, or has been."""
        return self._intent is not None

    @property
    def final(self) -> bool:
        """It will be closed whatever anybody says, or has been."""
        return self._final or self._closed

    def lift(self) -> None:
        """Somebody else speaks with the caller: take back what is not final."""
        if not self.final:
            self._intent = None

    def decide(self, intent: Intent, *, final: bool = False) -> None:
        """Close when nothing is left to say; ``final``: whatever the caller says."""
        self._intent = intent
        self._final = self._final or final

    def caller_spoke(self) -> Intent | None:
        """The caller wants one more thing: what was taken back, if anything."""
        if self._intent != "hangup" or self._closed or self._final:
            return None
        lifted, self._intent = self._intent, None
        return lifted

    def line_lost(self) -> bool:
        """The line that was told to close is no more: another one is to be told."""
        again, self._closed = self._closed, False
        return again

    def end(self, *, busy: bool) -> list[Effect]:
        """The end, once, when it is decided and nothing is left to say."""
        if self._intent is None or self._closed or busy:
            return []
        self._closed = True
        return [Close(self._intent)]
