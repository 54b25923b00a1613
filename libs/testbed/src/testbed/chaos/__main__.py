"""`python -m testbed.chaos`: the failures against many calls at once, as a table."""

import argparse
import asyncio
import json
import logging
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any, cast

from testbed.chaos.judge import CallRecord
from testbed.chaos.plan import Plan, draw
from testbed.chaos.rows import BY_NAME, ROWS, Row, chosen
from testbed.chaos.run import Outcome, run
from testbed.chaos.table import Line, line, markdown
from testbed.chaos.world import REPOSITORY
from testbed.process import StartError

QUESTIONS = 7
DIAL_WITHIN_S = 5.0
UNCLEAN = 2
"""Exit code when the undisturbed run itself went wrong: nothing can be measured."""


def main() -> int:
    """Parse arguments and run; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m testbed.chaos", description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="calls at once")
    parser.add_argument("--rows", default="", help=f"of {', '.join(row.name for row in ROWS)}")
    parser.add_argument("--seed", type=int, default=1, help="draws instants and conversations")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="asked in each call")
    parser.add_argument("--out", type=Path, default=REPOSITORY / ".run" / "chaos")
    given = parser.parse_args()
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # its servers are killed on purpose
    try:
        rows = chosen(given.rows)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return UNCLEAN
    plan = draw(given.seed, given.count, given.questions, within_s=DIAL_WITHIN_S)
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(chaos(plan, rows, given.out))
    except StartError as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return UNCLEAN
    except KeyboardInterrupt:
        return 130


async def chaos(plan: Plan, rows: tuple[Row, ...], out: Path) -> int:
    """Run an undisturbed round and every row, print the table; the exit code."""
    began = time.monotonic()
    print(f"{len(plan.calls)} calls at once, seed {plan.seed}; first undisturbed", flush=True)
    reference = await _attempt(BY_NAME["nothing"], plan, out / "undisturbed.log")
    if isinstance(reference, str):
        print(f"cannot run undisturbed: {reference}", file=sys.stderr)
        return UNCLEAN
    undisturbed = {record.plan.call: record for record in reference.records}
    _keep(reference, out / "undisturbed.json")
    if complaints := _unclean(reference):
        print("the undisturbed run is not clean:", *complaints[:10], sep="\n  ", file=sys.stderr)
        return UNCLEAN
    lines: list[Line] = []
    bad: list[str] = []
    for row in rows:
        outcome = await _attempt(row, plan, out / f"{row.name}.log")
        if isinstance(outcome, str):
            bad.append(f"{row.name}: could not be run: {outcome}")
            print(bad[-1], flush=True)
            continue
        measured = line(row, outcome, undisturbed)
        lines.append(measured)
        _keep(outcome, out / f"{row.name}.json")
        verdict = "; ".join(measured.problems) or "well"
        print(f"{row.name}: {verdict} ({outcome.seconds:.0f} s)", flush=True)
    text = markdown(lines)
    minutes = (time.monotonic() - began) / 60
    machine = f"{platform.machine()}, {_cores()} cores, Python {platform.python_version()}"
    report = [f"{text}\n", f"Gaps in ms. {machine}; {minutes:.1f} minutes.", *_notes(lines)]
    _write(out / "table.md", "\n".join(report) + "\n")
    print("", *report, sep="\n")
    bad += [f"{each.row.name}: {problem}" for each in lines for problem in each.problems]
    for problem in bad:
        print(f"FAILED {problem}", file=sys.stderr)
    return 1 if bad else 0


async def _attempt(row: Row, plan: Plan, log: Path) -> Outcome | str:
    """What came of a row, or why it could not be run."""
    why = ""
    try:
        return await run(plan, row.strike, needs=row.needs, log=log, honest=row.honest)
    except* (StartError, TimeoutError) as broken:
        why = _first(broken)
    return f"{why} ({log})"


def _first(error: BaseException) -> str:
    """The first cause in nested groups, in one line."""
    if isinstance(error, BaseExceptionGroup):
        return _first(cast("BaseException", error.exceptions[0]))
    return (str(error) or repr(error)).splitlines()[-1].strip()


def _unclean(outcome: Outcome) -> list[str]:
    found = [_story(record) for record in outcome.records if record.lost or record.asked_again]
    found += [f"effect lost: {description}" for description in outcome.effects.lost]
    return found + [f"effect doubled: {description}" for description in outcome.effects.doubled]


def _story(record: CallRecord) -> str:
    missing = ", ".join(f"{question}.{word}" for question, word in record.missing[:8])
    return (
        f"call {record.plan.call} ({record.call_id}) ended by {record.end_reason or 'nobody'},"
        f" asked again {record.asked_again} times, {len(record.missing)} words missing: {missing}"
    )


def _notes(lines: list[Line]) -> list[str]:
    notes = [
        f"- {each.row.name}: {each.owing} of {each.struck} strikes while a reply was owed or"
        f" spoken; {each.notes or 'nothing else'}"
        for each in lines
    ]
    return ["", *notes]


def _keep(outcome: Outcome, path: Path) -> None:
    """Every call's words, strikes and events, for whoever looks for a cause."""
    _write(path, json.dumps(_details(outcome), indent=1))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _details(outcome: Outcome) -> dict[str, Any]:
    return {
        "lost": [_story(record) for record in outcome.records if record.lost],
        "effects_lost": outcome.effects.lost,
        "effects_doubled": outcome.effects.doubled,
        "effects_failed": outcome.effects.failed,
        "notes": outcome.notes,
        "calls": [
            {
                "call": record.plan.call,
                "call_id": record.call_id,
                "end_reason": record.end_reason,
                "asked_again": record.asked_again,
                "asked_ms": record.asked_ms,
                "strikes": [
                    [strike.kind, strike.phase, round(strike.at_ms), round(strike.until_ms)]
                    for strike in record.strikes
                ],
                "words_ms": {
                    f"{question}.{word}": round(at_ms)
                    for (question, word), at_ms in sorted(record.heard.at_ms.items())
                },
                "sources": record.heard.sources,
                "log": record.log,
            }
            for record in outcome.records
        ],
    }


def _cores() -> int:
    return os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
