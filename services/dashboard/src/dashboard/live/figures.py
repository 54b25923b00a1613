"""The figures of the last day, by half hour (pure): calls begun, failures, money, response times.

Kept apart from the board's rows, of which there are only so many. Response times are counted to
10 ms, so the percentiles are exact to that and the memory is bounded.
"""

from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from protocol import events as e

STEP = timedelta(minutes=30)
STEPS = 48
"""Half hours that are kept: a day."""
BAD_ENDS = frozenset({"failed", "lost", "busy"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_MS = 60_000


class Span(Struct):
    """What happened in one half hour. ``responses``: how many of each response time (10 ms)."""

    calls: int = 0
    ended: int = 0
    failed: int = 0
    cost_usd: float = 0.0
    responses: dict[int, int] = field(default_factory=dict[int, int])


class Series(Struct, frozen=True):
    """One value a half hour, oldest first; None: nothing to say about it."""

    calls: tuple[int, ...]
    failed: tuple[int, ...]
    cost_usd: tuple[float, ...]
    p50_ms: tuple[int | None, ...]
    p95_ms: tuple[int | None, ...]


class Figures:
    """A day of half hours. Only the newest are kept, by the events' own clock."""

    def __init__(self) -> None:
        self._spans: dict[int, Span] = {}

    def apply(self, event: e.AnyEvent) -> None:
        """Count one event; each must come once."""
        match event:
            case e.Ringing():
                self._span(event.at).calls += 1
            case e.CallEnded():
                span = self._span(event.at)
                span.ended += 1
                span.failed += event.reason in BAD_ENDS
            case e.UsageReported():
                self._span(event.at).cost_usd += event.cost_usd or 0.0
            case e.ResponseTimed():
                ms = min(max(event.response_ms, 0), _LONGEST_MS) // 10 * 10
                counts = self._span(event.at).responses
                counts[ms] = counts.get(ms, 0) + 1
            case _:
                pass

    def day(self, now: datetime) -> Span:
        """The last day as one."""
        whole = Span()
        for span in self._recent(now):
            whole.calls += span.calls
            whole.ended += span.ended
            whole.failed += span.failed
            whole.cost_usd += span.cost_usd
            for ms, n in span.responses.items():
                whole.responses[ms] = whole.responses.get(ms, 0) + n
        return whole

    def series(self, now: datetime) -> Series:
        """The last day half hour by half hour."""
        spans = self._recent(now)
        return Series(
            tuple(s.calls for s in spans),
            tuple(s.failed for s in spans),
            tuple(s.cost_usd for s in spans),
            tuple(quantile(s.responses, 0.5) for s in spans),
            tuple(quantile(s.responses, 0.95) for s in spans),
        )

    def _recent(self, now: datetime) -> list[Span]:
        last = _step(now)
        return [self._spans.get(n, Span()) for n in range(last - STEPS + 1, last + 1)]

    def _span(self, at: datetime) -> Span:
        step = _step(at)
        found = self._spans.get(step)
        if found is None:
            found = self._spans[step] = Span()
            while len(self._spans) > STEPS + 1:
                del self._spans[min(self._spans)]
        return found


def quantile(counts: dict[int, int], share: float) -> int | None:
    """The value that ``share`` of the counted ones do not exceed; None without any."""
    rank = sum(counts.values()) * share
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return None


def _step(at: datetime) -> int:
    return (at - _EPOCH) // STEP
