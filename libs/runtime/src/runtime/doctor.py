"""What a doctor finds: a sentence for each thing that was looked at, and what to do about it.

``python -m <service>.doctor`` runs the checks of one service with its own settings and rights, so
it can be run wherever the service is; ``make doctor`` runs all of them. Nothing is changed by
looking, and no secret is ever part of a sentence.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar

from msgspec import Struct

from protocol import codec
from runtime import logging, settings
from runtime.errors import ServiceError, SettingsError
from runtime.lookups import Lookups
from runtime.settings import CommonSettings

S = TypeVar("S", bound=CommonSettings)
Verdict = Literal["ok", "note", "wrong"]
"""note: it works, and somebody should know."""

WITHIN_S = 7.0
"""Bound of one check; all of a service run side by side."""


class Finding(Struct, frozen=True):
    """One thing that was looked at. ``check`` groups them, ``remedy`` is what to do about it."""

    check: str
    verdict: Verdict
    says: str
    remedy: str = ""


class Check(Struct, frozen=True):
    """A look at one part of the outside; ``look`` may raise ServiceError with a sentence."""

    name: str
    look: Callable[[], Awaitable[Sequence[Finding]]]


class Report(Struct, frozen=True):
    """What the doctor of one service says; the output of ``--json``."""

    service: str
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> int:
        """How many findings are wrong."""
        return sum(finding.verdict == "wrong" for finding in self.findings)


def ok(check: str, says: str) -> Finding:
    """It is as it should be."""
    return Finding(check, "ok", says)


def note(check: str, says: str, remedy: str = "") -> Finding:
    """It works, but somebody should know."""
    return Finding(check, "note", says, remedy)


def wrong(check: str, says: str, remedy: str = "") -> Finding:
    """It must be mended."""
    return Finding(check, "wrong", says, remedy)


async def examine(checks: Sequence[Check], *, within_s: float = WITHIN_S) -> list[Finding]:
    """All checks at once, each at most ``within_s`` seconds; findings in the order of the checks.

    A check that fails is a finding too: one that hangs or breaks hides no other.
    """

    async def bounded(check: Check) -> Sequence[Finding]:
        try:
            async with asyncio.timeout(within_s):
                return await check.look()
        except TimeoutError:
            return [wrong(check.name, f"There was no answer within {within_s:g} s.")]
        except ServiceError as error:
            return [wrong(check.name, f"{error}.")]
        except Exception as error:
            kind = type(error).__name__
            return [wrong(check.name, f"This check itself failed ({kind}).", "Report it.")]

    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(bounded(check), name=f"doctor.{check.name}") for check in checks
        ]
    return [finding for task in running for finding in task.result()]


def run(
    service: str,
    kind: type[S],
    checks: Callable[[S], Sequence[Check]],
    *,
    within_s: float = WITHIN_S,
) -> int:
    """The command of ``service``: examine, say it, and the exit code: 0 well, 1 something is wrong.

    Settings that cannot be used are findings; what needs them is not looked at then. A name that
    is still being looked up at the end is not waited for.
    """
    lookups = Lookups()
    parser = argparse.ArgumentParser(
        prog=f"{service} doctor", description=f"Look at everything that {service} needs."
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args()
    try:
        loaded = settings.load(kind)
    except SettingsError as error:
        findings = [wrong("settings", f"{problem.rstrip('.')}.") for problem in error.problems]
        findings.append(note("settings", "Nothing else was looked at: it needs these settings."))
    else:
        logging.configure(f"{service}-doctor", fmt=loaded.log_format, level="error")
        count = len(kind.__struct_fields__)
        findings = [ok("settings", f"All {count} settings can be used.")]

        async def examined() -> list[Finding]:
            lookups.use()
            return await examine(checks(loaded), within_s=within_s)

        findings += asyncio.run(examined())
    report = Report(service, tuple(findings))
    sys.stdout.write(codec.encode(report).decode() + "\n" if given.json else told(report))
    return lookups.leave(1 if report.wrong else 0)


def told(report: Report) -> str:
    """The report as lines for a terminal, the sum at the end."""
    lines = [report.service]
    for finding in report.findings:
        mark = "WRONG" if finding.verdict == "wrong" else finding.verdict
        lines.append(f"  {mark:5}  {finding.check}: {finding.says}")
        if finding.remedy:
            lines.append(f"         -> {finding.remedy}")
    many = {0: "Nothing is wrong.", 1: "One thing is wrong."}
    lines.append(many.get(report.wrong, f"{report.wrong} things are wrong."))
    return "\n".join(lines) + "\n"
