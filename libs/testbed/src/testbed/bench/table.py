"""PURE: the rows as Markdown tables. A row that says nothing is marked in each of them."""

from collections.abc import Sequence

from testbed.bench.load import Measured
from testbed.bench.quantiles import Quantiles

OTHERS = ("webhooks", "tool-runner", "dashboard")
_COSTS = (
    "system",
    "calls",
    "path: ms a call and s",
    "of the relay",
    "ingress",
    "agent",
    "NATS",
    "others",
    "NATS messages a call and s: in",
    "out",
    "dropped",
    "late",
    "generator lag p99 ms",
)
_LATENCIES = (
    "system",
    "calls",
    "frame to model p50",
    "p95",
    "p99",
    "wait for the batch p50",
    "delta to caller p50",
    "p95",
    "p99",
    "dialled to first audio p50",
    "p95",
    "KiB a call: ingress",
    "its ring",
    "agent or relay",
)


def talk_table(rows: Sequence[Measured], yardstick: Measured | None) -> str:
    """CPU a call and second, and its ratio to the yardstick."""
    body: list[Sequence[str]] = []
    for row in rows:
        head = (row.name, str(row.calls))
        if row.broke:
            body.append((*head, *[""] * (len(_COSTS) - 3), f"invalid: {row.broke}"))
            continue
        others = sum(row.cpu.get(name, 0.0) for name in OTHERS)
        body.append(
            (
                *head,
                f"{row.path_cpu:.2f}",
                f"{row.path_cpu / yardstick.path_cpu:.2f}" if yardstick else "",
                *(_of(row.cpu, name, 2) for name in ("stream-ingress", "ai-agent", "nats")),
                f"{others:.2f}" if "nats" in row.cpu else "",
                *(_of(row.nats, way, 0) for way in ("published", "delivered")),
                str(row.model["dropped"]) if row.stamped else "",
                str(row.phones["late_frames"]),
                f"invalid: {row.invalid}" if row.invalid else f"{row.lag_ms:.1f}",
            )
        )
    return markdown(_COSTS, body)


def latency_table(rows: Sequence[Measured]) -> str:
    """Added latency each way (ms), and memory a call (KiB)."""
    return markdown(_LATENCIES, [_latency(row) for row in rows if not row.broke])


def _latency(row: Measured) -> Sequence[str]:
    up, waited = row.model["last_frame_ms"], row.model["waited_ms"]
    down, first = row.phones["delta_ms"], row.phones["greeting_ms"]
    spread = ("p50", "p95", "p99")
    ring, memory = row.phones["ring_kib"], row.memory
    ingress = memory.get("stream-ingress")
    return (
        row.name,
        f"{row.calls} (invalid)" if row.invalid else str(row.calls),
        *(_of(up, key, 1) if row.stamped else "" for key in spread),
        _of(waited, "p50", 0) if row.stamped else "",
        *(_of(down, key, 1) if row.stamped else "" for key in spread),
        *(_of(first, key, 0) for key in ("p50", "p95")),
        "" if ingress is None else f"{ingress - ring:.0f}",
        "" if ingress is None else f"{ring:.0f}",
        _of(memory, "ai-agent" if "ai-agent" in memory else "relay", 0),
    )


def acts_table(acts: dict[str, Quantiles]) -> str:
    """What follows what, and how much later (ms)."""
    times = [
        (what, str(q.count), *(f"{ms:.1f}" for ms in (q.p50, q.p95, q.p99)))
        for what, q in acts.items()
    ]
    return markdown(("from -> to, ms", "count", "p50", "p95", "p99"), times)


def others_table(rates: dict[str, float], starts: dict[str, float]) -> str:
    """Events a second, and how long services take to be ready."""
    others = [(what, f"{number:.0f}") for what, number in rates.items()]
    others += [(f"start of {name}, s", f"{took:.1f}") for name, took in starts.items()]
    return markdown(("what", "measured"), others)


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table with its columns aligned."""
    widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    return "\n".join((line(head), line(["-" * w for w in widths]), *map(line, body)))


def _of(measured: dict[str, float], name: str, digits: int) -> str:
    return f"{measured[name]:.{digits}f}" if name in measured else ""
