"""The figures above the list of calls: what goes on, and the day's sparklines (pure)."""

from datetime import datetime

from markupsafe import Markup
from msgspec import Struct

from dashboard.live import spark
from dashboard.live.board import Board, Row
from dashboard.live.figures import quantile


class Totals(Struct, frozen=True):
    """Calls that go on by where they are, and the day's figures."""

    active: int
    ringing: int
    gate: int
    keypad: int
    calls: int
    failed: int
    ended: int
    p50_ms: int | None
    p95_ms: int | None
    cost_usd: float
    busy: int
    slots: int
    lost: int
    draining: int
    spark_calls: Markup
    spark_failed: Markup
    spark_cost: Markup
    spark_response: Markup


def totals(board: Board, now: datetime) -> Totals:
    """What is on the board, and the last 24 hours up to ``now``."""
    going = [row for row in board.rows() if not row.ended]
    day, series = board.figures.day(now), board.figures.series(now)
    meters = board.fleet.meters(board.held())
    each = "each half hour of the last day"
    return Totals(
        active=sum(row.state.phase == "active" for row in going),
        ringing=sum(row.state.phase != "active" for row in going),
        gate=_in_mode(going, "gate"),
        keypad=_in_mode(going, "keypad"),
        calls=day.calls,
        failed=day.failed,
        ended=day.ended,
        p50_ms=quantile(day.responses, 0.5),
        p95_ms=quantile(day.responses, 0.95),
        cost_usd=day.cost_usd,
        busy=sum(m.busy for m in meters if m.state not in {"lost", "draining"}),
        slots=sum(m.slots for m in meters if m.state not in {"lost", "draining"}),
        lost=sum(m.state == "lost" for m in meters),
        draining=sum(m.state == "draining" for m in meters),
        spark_calls=spark.bars(series.calls, f"Calls, {each}; most {max(series.calls)}"),
        spark_failed=spark.bars(series.failed, f"Failures, {each}; most {max(series.failed)}"),
        spark_cost=spark.bars(series.cost_usd, f"Cost, {each}; most ${max(series.cost_usd):.2f}"),
        spark_response=spark.lines(
            series.p50_ms, series.p95_ms, f"Response time, median and 95th percentile, {each}"
        ),
    )


def _in_mode(rows: list[Row], mode: str) -> int:
    return sum(row.state.mode == mode for row in rows)
