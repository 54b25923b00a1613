"""`python -m testbed.bench`: the same callers and the same model through yardsticks and through our
services, in one run. Prints tables; `--json FILE` keeps every figure.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import trustme

from testbed.bench import system
from testbed.bench.acts import act_times, event_rates, start_times
from testbed.bench.child import ChildFailed
from testbed.bench.load import (
    Measured,
    cpu_name,
    measure,
    model_running,
    ours_running,
    relay_running,
)
from testbed.bench.quantiles import Quantiles
from testbed.bench.table import latency_table, markdown, talk_table
from testbed.process import StartError

ROWS = "relay,lean,ours,growth,tls,acts"
TARGET = 0.55
"""Ingress and agent together, of the relay."""
ACTING = 10
"""Calls of the acts row."""


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser("testbed.bench", description="cost and latency of a call")
    parser.add_argument("--calls", type=int, default=50, help="calls of the talk rows")
    parser.add_argument("--growth", default="10,50,100,200", help="calls of the growth rows")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured time of a row")
    parser.add_argument("--rows", default=ROWS, help="which of " + ROWS)
    parser.add_argument("--json", type=Path, help="where to keep every figure")
    parser.add_argument("--at-most", type=float, help="exit 1 above this ratio to the relay")
    return parser.parse_args()


@dataclass
class Figures:
    """Everything that a run measured."""

    machine: str = ""
    rows: list[Measured] = field(default_factory=list[Measured])
    acts: dict[str, Quantiles] = field(default_factory=dict[str, Quantiles])
    """ms by what is done and what it leads to."""
    rates: dict[str, float] = field(default_factory=dict[str, float])
    starts: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds to ready."""


async def _run(wanted: argparse.Namespace, figures: Figures) -> None:
    names = wanted.rows.split(",")

    def done(row: Measured) -> None:
        figures.rows.append(row)
        said = f"{row.name}, {row.calls} calls: {row.path_cpu:.2f} ms {row.invalid}"
        print(f"  {said}", file=sys.stderr, flush=True)

    async with model_running() as (model, url):
        for kind, name in (("relay", "relay"), ("lean_relay", "lean")):
            if name in names:
                title = "relay" if name == "relay" else "relay with our means"
                async with relay_running(kind, url) as carrier:
                    done(await measure(title, carrier, model, wanted.calls, wanted.seconds))
        steps: set[int] = {wanted.calls} if "ours" in names else set()
        if "growth" in names:
            steps |= {int(number) for number in wanted.growth.split(",")}
        for calls in sorted(steps):
            # Each on a fresh system, so that memory is that of these calls.
            async with ours_running(url, {}) as carrier:
                done(await measure("trunkline", carrier, model, calls, wanted.seconds))
    if "tls" in names:
        with certificate() as (chain, key, trusted):
            async with (
                model_running("talk", (chain, key)) as (model, url),
                ours_running(url, {"SSL_CERT_FILE": trusted}) as carrier,
            ):
                title = "trunkline, TLS to the model"
                done(await measure(title, carrier, model, wanted.calls, wanted.seconds))
    if "acts" in names:
        async with model_running("acts") as (model, url), system.running(url, {}) as stack:
            figures.acts = await act_times(stack, model, ACTING, wanted.seconds * 2)
            figures.rates = await event_rates(stack)
            figures.starts = await start_times(stack)


@contextlib.contextmanager
def certificate() -> Generator[tuple[str, str, str]]:
    """A certificate of localhost: its chain, its key, and the authority to trust, as files."""
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        chain, key, trusted = (str(Path(folder, f"{name}.pem")) for name in ("chain", "key", "ca"))
        made.cert_chain_pems[0].write_to_path(chain)
        made.private_key_pem.write_to_path(key)
        authority.cert_pem.write_to_path(trusted)
        yield chain, key, trusted


def _shown(figures: Figures) -> str:
    yardstick = next((row for row in figures.rows if row.name == "relay"), None)
    parts: list[str] = []
    if figures.rows:
        parts += (talk_table(figures.rows, yardstick), latency_table(figures.rows))
    if figures.acts:
        times = [
            (what, str(q.count), *(f"{ms:.1f}" for ms in (q.p50, q.p95, q.p99)))
            for what, q in figures.acts.items()
        ]
        parts.append(markdown(("from -> to, ms", "count", "p50", "p95", "p99"), times))
        others = [(what, f"{number:.0f}") for what, number in figures.rates.items()]
        others += [(f"start of {name}, s", f"{took:.1f}") for name, took in figures.starts.items()]
        parts.append(markdown(("what", "measured"), others))
    return "\n\n".join(parts)


def main() -> int:
    """0, or 1 with a sentence."""
    wanted, figures = _parsed(), Figures()
    figures.machine = (
        f"{os.cpu_count()} x {cpu_name()}, {platform.system()}, Python {platform.python_version()}"
    )
    started = time.monotonic()
    try:
        asyncio.run(_run(wanted, figures))
    except (ChildFailed, StartError) as error:
        print(f"the bench broke off: {error}", file=sys.stderr)
        return 1
    took = time.monotonic() - started
    print(f"\n{figures.machine}; {wanted.seconds:g} s a row, {took:.0f} s in all\n")
    print(_shown(figures))
    if wanted.json:
        wanted.json.write_text(json.dumps(asdict(figures), indent=1) + "\n")
    return _judged(figures.rows, wanted)


def _judged(rows: list[Measured], wanted: argparse.Namespace) -> int:
    of = {row.name: row for row in rows if row.calls == wanted.calls}
    if not {"relay", "trunkline"} <= of.keys():
        return 0
    ratio = of["trunkline"].path_cpu / of["relay"].path_cpu
    print(f"\nIngress and agent take {ratio:.2f} of the relay (target {TARGET}).")
    if wanted.at_most and ratio > wanted.at_most:
        print(f"that is more than {wanted.at_most}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
