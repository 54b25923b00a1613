"""What operators did to a call beside ending it (pure): what they told its assistant, and when they
spoke in its place. A part of the fold.
"""

from msgspec import Struct, field

from protocol.agent_events import GivenBack, TakenOver, Whispered


class Aside(Struct, frozen=True):
    """Words for the assistant alone. ``sequence`` is their place in the log."""

    by: str
    text: str
    sequence: int


class Takeover(Struct, frozen=True):
    """An operator spoke to the caller, between these places of the log and of the line (ms);
    ``until_sequence`` 0: still does.
    """

    operator: str
    sequence: int
    line_ms: int
    until_sequence: int = 0
    until_ms: int = 0


class Steered(Struct):
    """All of that, in order."""

    asides: list[Aside] = field(default_factory=list[Aside])
    takeovers: list[Takeover] = field(default_factory=list[Takeover])

    @property
    def operator(self) -> str:
        """Who speaks in the assistant's place; empty: nobody does."""
        last = self.takeovers[-1] if self.takeovers else None
        return last.operator if last is not None and not last.until_sequence else ""

    def apply(self, sequence: int, event: Whispered | TakenOver | GivenBack) -> None:
        """Take in one event at its place in the log."""
        match event:
            case Whispered():
                self.asides.append(Aside(event.by, event.text, sequence))
            case TakenOver():
                self._end(sequence, event.line_ms)
                self.takeovers.append(Takeover(event.operator, sequence, event.line_ms))
            case GivenBack():
                self._end(sequence, event.line_ms)

    def during(self, sequence: int) -> bool:
        """An operator spoke at this place of the log."""
        return any(
            t.sequence < sequence and (not t.until_sequence or sequence < t.until_sequence)
            for t in self.takeovers
        )

    def _end(self, sequence: int, line_ms: int) -> None:
        if self.operator:
            last = self.takeovers[-1]
            self.takeovers[-1] = Takeover(
                last.operator, last.sequence, last.line_ms, sequence, line_ms
            )
