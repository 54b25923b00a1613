"""p50, p95, p99 of many measurements."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Nearest-rank quantiles, in the unit of what was measured; NaN-free: 0 of nothing."""

    count: int
    p50: float
    p95: float
    p99: float
    worst: float


def quantiles(values: Sequence[float]) -> Quantiles:
    """Of `values` in any order."""
    if not values:
        return Quantiles(0, 0.0, 0.0, 0.0, 0.0)
    ranked = sorted(values)

    def at(part: float) -> float:
        return ranked[min(len(ranked) - 1, int(part * len(ranked)))]

    return Quantiles(len(ranked), at(0.50), at(0.95), at(0.99), ranked[-1])
