"""The rows as Markdown tables."""

from collections.abc import Sequence

from testbed.bench.load import Measured

OTHERS = ("webhooks", "tool-runner", "dashboard")


def talk_table(rows: Sequence[Measured], yardstick: Measured | None) -> str:
    """CPU a call and second, and its ratio to the yardstick."""
    head = (
        "system",
        "calls",
        "path: ms a call and s",
        "of the relay",
        "ingress",
        "agent",
        "NATS",
        "others",
        "dropped",
        "late",
        "lag p99 ms",
    )
    body: list[Sequence[str]] = []
    for row in rows:
        others = sum(row.cpu.get(name, 0.0) for name in OTHERS)
        body.append(
            (
                row.name,
                str(row.calls),
                f"{row.path_cpu:.2f}",
                f"{row.path_cpu / yardstick.path_cpu:.2f}" if yardstick else "",
                *(_of(row, name) for name in ("stream-ingress", "ai-agent", "nats")),
                f"{others:.2f}" if "nats" in row.cpu else "",
                str(row.model["dropped"]),
                str(row.phones["late_frames"]),
                f"{row.lag_ms:.1f}" + (f" INVALID: {row.invalid}" if row.invalid else ""),
            )
        )
    return markdown(head, body)


def latency_table(rows: Sequence[Measured]) -> str:
    """Added latency each way (ms), and memory a call (KiB)."""
    head = (
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
        "agent",
    )
    body: list[Sequence[str]] = []
    for row in rows:
        up, down, first = (
            row.model["last_frame_ms"],
            row.phones["delta_ms"],
            row.phones["greeting_ms"],
        )
        body.append(
            (
                row.name,
                str(row.calls),
                *(f"{up[key]:.1f}" for key in ("p50", "p95", "p99")),
                f"{row.model['waited_ms']['p50']:.0f}",
                *(f"{down[key]:.1f}" for key in ("p50", "p95", "p99")),
                *(f"{first[key]:.0f}" for key in ("p50", "p95")),
                *(
                    f"{row.memory[name]:.0f}" if name in row.memory else ""
                    for name in ("stream-ingress", "ai-agent")
                ),
            )
        )
    return markdown(head, body)


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table with its columns aligned."""
    widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    return "\n".join((line(head), line(["-" * w for w in widths]), *map(line, body)))


def _of(row: Measured, name: str) -> str:
    return f"{row.cpu[name]:.2f}" if name in row.cpu else ""
