"""`make doctor`: every service's own doctor, run side by side, and the sum.

Each looks with the settings of this environment (`.env`); where `make up` runs here, its NATS and
PostgreSQL are looked at unless others are given. Exit code 0: nothing is wrong.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.layout import SERVICES, Service
from testbed.screen import Screen
from testbed.system import System

WITHIN_S = 45.0
"""For a doctor that hangs: its checks are bounded, and it is done some seconds after its start."""
_COLOURS = {"ok": "", "note": "tool", "wrong": "bad"}


async def doctor(data: Path, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Ask all five and print what they say; 1 if anything is wrong."""
    given = {name: text for name, text in environment.items() if text}
    if (system := System.load(data)) is not None:
        given.setdefault("NATS_URL", system.nats_url)
        given.setdefault("DATABASE_URL", system.database_url)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask(service, given)) for service in SERVICES]
    reports = [task.result() for task in asked]
    wrong = sum(f["verdict"] == "wrong" for report in reports for f in report["findings"])
    if as_json:
        print(json.dumps(reports))
    else:
        _show(reports, wrong)
    return 1 if wrong else 0


async def _ask(service: Service, environment: Mapping[str, str]) -> dict[str, Any]:
    argv = (sys.executable, "-m", f"{service.module}.doctor", "--json")
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            said, _ = await process.communicate()
        return json.loads(said)
    except TimeoutError:
        process.kill()
        await process.wait()
        return _no_report(service, f"It did not finish within {WITHIN_S:g} s.")
    except ValueError:
        return _no_report(service, f"It said nothing and ended with {process.returncode}.")


def _no_report(service: Service, says: str) -> dict[str, Any]:
    remedy = f"Run python -m {service.module}.doctor by itself."
    finding = {"check": "doctor", "verdict": "wrong", "says": says, "remedy": remedy}
    return {"service": service.name, "findings": [finding]}


def _show(reports: list[dict[str, Any]], wrong: int) -> None:
    screen = Screen()
    for report in reports:
        screen.say(report["service"])
        for found in report["findings"]:
            verdict = found["verdict"]
            mark = "WRONG" if verdict == "wrong" else verdict
            screen.say(f"  {mark:5}  {found['check']}: {found['says']}", _COLOURS[verdict])
            if found.get("remedy"):
                screen.say(f"         -> {found['remedy']}")
    if not wrong:
        screen.say("Nothing is wrong.", "good")
    else:
        screen.say(f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong.", "bad")
