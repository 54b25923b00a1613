"""The rows of a run, one after another: the same callers and the same model through everything."""

import contextlib
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import trustme

from testbed.bench import system
from testbed.bench.acts import act_times, event_rates, start_times
from testbed.bench.child import Child
from testbed.bench.figures import Figures
from testbed.bench.load import (
    Carrier,
    Measured,
    Unanswered,
    measure,
    model_running,
    ours_running,
    relay_running,
)
from testbed.bench.peer import MISSING, pipecat

ROWS = "relay,lean,ours,growth,tls,acts"
ACTING = 10
"""Calls of the acts row."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure. `rounds`: how often relay and ours are measured, in turn; `more`: how many
    rounds are added at most while something else disturbs them.
    """

    rows: frozenset[str]
    calls: int
    growth: tuple[int, ...]
    seconds: float
    rounds: int = 1
    more: int = 0


async def measure_rows(wanted: Wanted, figures: Figures) -> None:
    """Fills `figures` as it comes. Raises ChildFailed, StartError."""
    async with model_running() as (model, url):
        await _talk(wanted, figures, model, url)
        for calls in wanted.growth if "growth" in wanted.rows else ():
            if calls == wanted.calls and "ours" in wanted.rows:
                continue
            # Each on a fresh system, so that memory is that of these calls.
            async with ours_running(url, {}) as carrier:
                await _tried("trunkline", carrier, model, replace(wanted, calls=calls), figures)
    if "tls" in wanted.rows:
        with _certificate() as (chain, key, trusted):
            async with (
                model_running("talk", (chain, key)) as (model, url),
                ours_running(url, {"SSL_CERT_FILE": trusted}) as carrier,
            ):
                title = "trunkline, TLS to the model"
                _done(figures, await measure(title, carrier, model, wanted.calls, wanted.seconds))
    if "acts" in wanted.rows:
        async with model_running("acts") as (model, url), system.running(url, {}) as stack:
            figures.acts = await act_times(stack, model, ACTING, wanted.seconds * 2)
            figures.rates = await event_rates(stack)
            figures.starts = await start_times(stack)


async def _talk(wanted: Wanted, figures: Figures, model: Child, url: str) -> None:
    async with _in_turn(wanted, url) as carriers:
        for done in range(wanted.rounds + wanted.more):
            if done >= wanted.rounds and not figures.disturbed:
                break
            for title, carrier in carriers.items():
                row = await measure(title, carrier, model, wanted.calls, wanted.seconds)
                _done(figures, row)
    if "lean" in wanted.rows:
        async with relay_running("lean_relay", url) as carrier:
            await _tried("relay with our means", carrier, model, wanted, figures)
    if "pipecat" in wanted.rows:
        peer = await pipecat()
        if peer is None:
            figures.left_out.append(MISSING)
            print(f"  {MISSING}", file=sys.stderr, flush=True)
            return
        async with relay_running("pipecat_relay", url, peer.python) as carrier:
            await _tried(f"pipecat {peer.version}", carrier, model, wanted, figures)


async def _tried(
    title: str, carrier: Carrier, model: Child, wanted: Wanted, figures: Figures
) -> None:
    """A row that may be too much for what carries it, which it says then."""
    try:
        row = await measure(title, carrier, model, wanted.calls, wanted.seconds)
    except Unanswered as error:
        row = Measured(title, wanted.calls, broke=str(error))
    _done(figures, row)


@contextlib.asynccontextmanager
async def _in_turn(wanted: Wanted, url: str) -> AsyncGenerator[dict[str, Carrier]]:
    """Relay and ours, both running, so that they meet the same minutes of the machine."""
    async with contextlib.AsyncExitStack() as stack:
        found: dict[str, Carrier] = {}
        if "relay" in wanted.rows:
            found["relay"] = await stack.enter_async_context(relay_running("relay", url))
        if "ours" in wanted.rows:
            found["trunkline"] = await stack.enter_async_context(ours_running(url, {}))
        yield found


def _done(figures: Figures, row: Measured) -> None:
    figures.rows.append(row)
    said = f"invalid: {row.invalid}" if row.invalid else ""
    text = f"  {row.name}, {row.calls} calls: {row.path_cpu:.2f} ms {said}"
    print(text.rstrip(), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _certificate() -> Generator[tuple[str, str, str]]:
    """A certificate of localhost: its chain, its key, and the authority to trust, as files."""
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        chain, key, trusted = (str(Path(folder, f"{name}.pem")) for name in ("chain", "key", "ca"))
        made.cert_chain_pems[0].write_to_path(chain)
        made.private_key_pem.write_to_path(key)
        authority.cert_pem.write_to_path(trusted)
        yield chain, key, trusted
