"""What grew, and the tables. Pure.

Counts must come back to those after the warm-up: whatever a call opened, the system gave back.
Pools of connections and threads open no further member later than in the warm-up, but for a few.
Resident memory as it is tells little: cycles wait for the collector, and the allocators keep freed
memory in pieces. So each service first collects and gives back what is free (child), and what is
left is judged by its slope over the second half of the readings (median of the slopes between all
pairs: one odd reading does not make it). A leak is a line; code paths, labels, prepared statements
and the calls that a board keeps cost something once: a curve that lies down.
"""

import itertools
from statistics import median

from testbed.figures import percentile
from testbed.soak.readings import KINDS, Reading
from testbed.soak.run import ENDED_WITHIN_S, Soaked

KIB_PER_CALL = 1.0
POOLED = {"files": 4, "threads": 2, "connections": 0}
"""How many more than after the warm-up a pool may have come to."""


def slope(readings: list[Reading], process: str) -> float | None:
    """KiB a call over the second half of the readings; None for fewer than three there."""
    late = [r for r in readings if r.calls >= (readings[0].calls + readings[-1].calls) / 2]
    if len(late) < 3:
        return None
    return median(
        (b.memory[process] - a.memory[process]) / (b.calls - a.calls)
        for a, b in itertools.combinations(late, 2)
    )


def grown(soaked: Soaked, *, memory: bool = True) -> list[str]:
    """Everything that makes a soak fail, the worst growth of memory first."""
    first, last = soaked.readings[0], soaked.readings[-1]
    found: list[tuple[float, str]] = []
    for process in last.memory if memory else ():
        per_call = slope(soaked.readings, process)
        if per_call is not None and per_call > KIB_PER_CALL:
            words = f"{process} grows by {per_call:.2f} KiB a call (bound {KIB_PER_CALL:g})"
            found.append((per_call, words))
    problems = [words for _, words in sorted(found, reverse=True)]
    for (process, what), number in last.counts.items():
        before = first.counts.get((process, what), 0)
        if number > before + POOLED.get(what, 0):
            problems.append(f"{what} of {process}: {before} after the warm-up, {number} at the end")
    return problems + soaked.problems


def report(soaked: Soaked, machine: str) -> str:
    """The tables, in Markdown."""
    first, last = soaked.readings[0], soaked.readings[-1]
    head = ("process", "MiB held", "KiB a call", *KINDS)
    rows: list[tuple[str, ...]] = [head, ("---",) * len(head)]
    for process in last.memory:
        memory = " → ".join(f"{r.memory[process] / 1024:.1f}" for r in _few(soaked.readings))
        per_call = slope(soaked.readings, process)
        counts = [_change(first, last, process, what) for what in KINDS]
        slope_kib = "-" if per_call is None else f"{per_call:.2f}"
        rows.append((process, memory, slope_kib, *counts))
    held = [
        f"{what} {_change(first, last, name, what)}"
        for name, what in last.counts
        if name == "system"
    ]
    delays = soaked.delays_s
    ends = f"p50 {percentile(delays, 0.5):.2f} s, p95 {percentile(delays, 0.95):.2f} s"
    late = sum(delay > ENDED_WITHIN_S for delay in delays)
    reasons = ", ".join(f"{name} {count}" for name, count in soaked.reasons.most_common())
    endings = ", ".join(f"{name} {count}" for name, count in sorted(soaked.endings.items()))
    return "\n".join(
        [
            f"{last.calls} calls, the first {first.calls} of them the warm-up;"
            f" {soaked.seconds / 60:.1f} minutes; {machine}.",
            "",
            *_markdown(rows),
            "",
            f"- After the warm-up → at the end: {', '.join(held)}.",
            f"- `call_ended`: {sum(soaked.reasons.values())} of {last.calls} calls, one each;"
            f" after the end of the line by {ends}, longest {max(delays, default=0):.2f} s,"
            f" {late} later than {ENDED_WITHIN_S:g} s. Reasons: {reasons}.",
            f"- Endings: {endings}.",
        ]
    )


def _few(readings: list[Reading]) -> list[Reading]:
    """The first, the middle and the last one."""
    return [readings[0], readings[len(readings) // 2], readings[-1]]


def _change(first: Reading, last: Reading, process: str, what: str) -> str:
    before, after = (reading.counts.get((process, what), 0) for reading in (first, last))
    return str(after) if before == after else f"{before} → {after}"


def _markdown(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
