"""What a call consumed, by model and modality (pure). The price by modality is not in the log; the
sum of each report is.
"""

from msgspec import Struct, structs

from protocol import events as e


class Cost(Struct, frozen=True):
    """One line of the bill: what one model took for one purpose."""

    source: str
    model: str
    reports: int
    tokens: e.Tokens
    seconds: float
    cost_usd: float
    unpriced: int
    """Reports without a price: the model is not in the price list."""


class Bill:
    """The usage of one call."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], Cost] = {}

    def apply(self, event: e.AnyEvent) -> None:
        """Add a report; each must come once."""
        if not isinstance(event, e.UsageReported):
            return
        key = (event.source, event.model)
        line = self._lines.get(key) or Cost(*key, 0, e.Tokens(), 0.0, 0.0, 0)
        self._lines[key] = structs.replace(
            line,
            reports=line.reports + 1,
            tokens=_sum(line.tokens, event.tokens),
            seconds=line.seconds + event.seconds,
            cost_usd=line.cost_usd + (event.cost_usd or 0.0),
            unpriced=line.unpriced + (event.cost_usd is None),
        )

    def lines(self) -> tuple[Cost, ...]:
        """The bill, the dearest first."""
        return tuple(sorted(self._lines.values(), key=lambda c: (-c.cost_usd, c.source, c.model)))


def _sum(one: e.Tokens, other: e.Tokens) -> e.Tokens:
    return e.Tokens(*(a + b for a, b in zip(*map(structs.astuple, (one, other)), strict=True)))
