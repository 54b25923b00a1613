"""`python -m testbed.soak`: many short calls, and whether anything grew."""

import argparse
import asyncio
import json
import logging
import os
import platform
import sys
from pathlib import Path
from typing import cast

from testbed.chaos.world import REPOSITORY
from testbed.process import StartError
from testbed.soak.judge import grown, report
from testbed.soak.readings import Gone
from testbed.soak.run import Soaked, soak

COUNT = 2_000
AT_ONCE = 20
WARM_UP = 100
EVERY = 100


def main() -> int:
    """Parse arguments and run; the exit code: 1 when something grew, 2 when nothing could run."""
    parser = argparse.ArgumentParser(prog="python -m testbed.soak", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="calls after the warm-up")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="of them at a time")
    parser.add_argument(
        "--warm-up", type=int, default=WARM_UP, help="calls before the first reading"
    )
    parser.add_argument("--every", type=int, default=EVERY, help="calls between two readings")
    parser.add_argument("--seed", type=int, default=1, help="draws endings and their instants")
    parser.add_argument("--out", type=Path, default=REPOSITORY / ".run" / "soak")
    given = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # sockets are cut on purpose
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        soaked = asyncio.run(_soak(given))
    except KeyboardInterrupt:
        return 130
    if soaked is None:
        return 2
    cores = os.cpu_count() or 1
    machine = f"{platform.machine()}, {cores} cores, Python {platform.python_version()}"
    text = report(soaked, f"{machine}, {given.at_once} calls at a time, seed {given.seed}")
    (given.out / "table.md").write_text(text + "\n")
    memory = {reading.calls: reading.memory for reading in soaked.readings}
    (given.out / "memory.json").write_text(json.dumps(memory, indent=1))
    problems = grown(soaked)
    print("", text, "", sep="\n")
    for problem in problems:
        print(f"FAILED {problem}", file=sys.stderr)
    return 1 if problems else 0


async def _soak(given: argparse.Namespace) -> Soaked | None:
    try:
        return await soak(
            given.count,
            seed=given.seed,
            warm_up=given.warm_up,
            at_once=given.at_once,
            every=given.every,
            log=given.out / "log",
            tell=lambda words: print(words, flush=True),
        )
    except* (StartError, Gone) as broken:
        why: BaseException = broken
        while isinstance(why, BaseExceptionGroup):
            why = cast("BaseException", why.exceptions[0])
        print(f"cannot go on: {why}", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main())
