"""`python -m testbed.bench`: the same callers and the same model through yardsticks and through our
services, in one run. Prints tables; `--json FILE` keeps every figure, `--svg FOLDER` draws them,
`--page FILE` writes them between a page's markers; `--from FILE` does so with kept figures.
"""

import argparse
import asyncio
import os
import platform
import sys
import time
from pathlib import Path

from testbed.bench import page
from testbed.bench.child import ChildFailed
from testbed.bench.figures import TARGET, Figures, from_json
from testbed.bench.load import cpu_name
from testbed.bench.pictures import pictures
from testbed.bench.rows import ROWS, Wanted, measure_rows
from testbed.process import StartError

GROWTH = "1,10,50,100,200"
"""What two cores carry beside the load generators, and what they do not quite; with all rows it is
below five minutes.
"""


BUSY = 75
"""EX_TEMPFAIL: what was measured judges nobody."""


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser("testbed.bench", description="cost and latency of a call")
    parser.add_argument("--calls", type=int, default=50, help="calls of the talk rows")
    parser.add_argument("--growth", default=GROWTH, help="calls of the growth rows: " + GROWTH)
    parser.add_argument("--seconds", type=float, default=8.0, help="measured time of a row")
    parser.add_argument("--rows", default=ROWS, help=f"which of {ROWS},pipecat")
    parser.add_argument("--rounds", type=int, default=1, help="relay and ours in turn so often")
    parser.add_argument("--more", type=int, default=0, help="rounds to add while disturbed")
    parser.add_argument("--json", type=Path, help="where to keep every figure")
    parser.add_argument("--svg", type=Path, help="a folder for the pictures")
    parser.add_argument("--page", type=Path, help="a page whose marked block is renewed")
    parser.add_argument("--from", dest="kept", type=Path, help="measure nothing, show this JSON")
    parser.add_argument(
        "--at-most", type=float, help="exit 1 above this ratio to the relay, 75 disturbed"
    )
    asked = parser.parse_args()
    known = {*ROWS.split(","), "pipecat"}
    if unknown := set(asked.rows.split(",")) - known:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    if asked.page:  # before minutes are spent on it
        try:
            page.replaced(asked.page.read_text("utf-8"), "")
        except (OSError, ValueError) as error:
            parser.error(f"--page {asked.page}: {error}")
    return asked


def main() -> int:
    """0, or 1 with a sentence; BUSY when a ratio was to be judged and the machine was too busy."""
    asked = _parsed()
    try:
        figures = from_json(asked.kept.read_text("utf-8")) if asked.kept else _measured(asked)
    except (ChildFailed, StartError) as error:
        print(f"the bench broke off: {error}", file=sys.stderr)
        return 1
    print(f"\n{figures.report()}")
    _kept(figures, asked)
    ratio = figures.ratio()
    if not asked.at_most or (ratio is not None and ratio <= asked.at_most):
        return 0
    print(f"that is not at most {asked.at_most} of the relay", file=sys.stderr)
    return BUSY if figures.disturbed else 1


def _measured(asked: argparse.Namespace) -> Figures:
    growth = tuple(sorted({int(number) for number in asked.growth.split(",")}))
    rows = frozenset(asked.rows.split(","))
    figures = Figures(
        machine=f"{os.cpu_count()} x {cpu_name()}, {platform.system()},"
        f" Python {platform.python_version()}",
        calls=asked.calls,
        seconds=asked.seconds,
    )
    started = time.monotonic()
    wanted = Wanted(rows, asked.calls, growth, asked.seconds, asked.rounds, asked.more)
    asyncio.run(measure_rows(wanted, figures))
    figures.took_s = time.monotonic() - started
    return figures


def _kept(figures: Figures, asked: argparse.Namespace) -> None:
    """The files that were asked for."""
    if asked.json:
        asked.json.write_text(figures.as_json(), encoding="utf-8")
    drawn: list[str] = []
    if asked.svg:
        asked.svg.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures(figures.shown, figures.calls, TARGET).items():
            (asked.svg / name).write_text(picture, encoding="utf-8")
            drawn.append(name)
    if asked.page:
        page_file: Path = asked.page
        folder = os.path.relpath(asked.svg, page_file.parent) if drawn else ""
        block = page.block(figures.report(), folder, drawn)
        text = page.replaced(asked.page.read_text("utf-8"), block)
        asked.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
