"""PURE: the rows as pictures: what a call costs, whether that grows, how late its audio is."""

from collections.abc import Sequence

from testbed.bench.bar_chart import Bar, Target, bar_chart
from testbed.bench.line_chart import Axes, Line, Panel, Point, line_chart
from testbed.bench.load import Measured

PARTS = {"stream-ingress": "ingress", "ai-agent": "agent", "relay": "one process"}
CALLS = "calls at once"
COST = "CPU, ms a call and second"
WAYS = {
    "caller's last frame -> model": ("model", "last_frame_ms"),
    "model's delta -> caller": ("phones", "delta_ms"),
}
SPREAD = ("p50", "p95", "p99")


def pictures(rows: Sequence[Measured], calls: int, target: float) -> dict[str, str]:
    """SVG by file name. `calls`: those of the talk rows; `target`: ours, of the relay. What was
    not measured has no picture.
    """
    rows = [row for row in rows if not row.broke]
    talk = [row for row in rows if row.calls == calls]
    ours = sorted((row for row in rows if row.name == "trunkline"), key=lambda row: row.calls)
    found: dict[str, str] = {}
    if talk:
        found["cost.svg"] = _cost(talk, calls, target)
    if len(ours) > 1:
        found["growth.svg"] = _growth(ours, [row for row in talk if row.name == "relay"])
        found["latency.svg"] = _latency(ours)
    return found


def _cost(rows: Sequence[Measured], calls: int, target: float) -> str:
    bars = [
        Bar(
            row.name,
            {said: row.cpu[name] for name, said in PARTS.items() if name in row.cpu},
            row.invalid,
        )
        for row in rows
    ]
    used = [said for said in PARTS.values() if any(said in bar.parts for bar in bars)]
    relay = next((row for row in rows if row.name == "relay" and not row.invalid), None)
    aim = Target(f"target: {target:g} of the relay", relay.path_cpu * target) if relay else None
    return bar_chart(f"What the path of a call's audio costs, {calls} calls", COST, used, bars, aim)


def _growth(ours: Sequence[Measured], relay: Sequence[Measured]) -> str:
    def line(name: str, process: str) -> Line:
        return Line(
            name, tuple(Point(r.calls, r.cpu.get(process, 0.0), not r.invalid) for r in ours)
        )

    path = tuple(Point(r.calls, r.path_cpu, not r.invalid) for r in ours)
    dots = tuple(Point(row.calls, row.path_cpu, not row.invalid) for row in relay)
    lines = (
        line("ingress", "stream-ingress"),
        line("agent", "ai-agent"),
        Line("relay", dots),
        Line("ingress + agent", path),
    )
    title = "What a call costs, with more of them"
    return line_chart(title, Axes(CALLS, COST), [Panel("", lines)])


def _latency(ours: Sequence[Measured]) -> str:
    panels = [
        Panel(
            title,
            tuple(
                Line(
                    part,
                    tuple(
                        Point(row.calls, getattr(row, side)[key][part], not row.invalid)
                        for row in ours
                    ),
                )
                for part in SPREAD
            ),
        )
        for title, (side, key) in WAYS.items()
    ]
    title = "How much later audio comes out of Trunkline than it went in"
    return line_chart(title, Axes(CALLS, "ms"), panels)
