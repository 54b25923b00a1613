"""The doctor's shared part: findings, bounds, the report and the exit code."""

import asyncio
import subprocess
import sys
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from runtime import doctor
from runtime.doctor import Check, Finding, Report, note, ok, told, wrong
from runtime.doctor_database import current
from runtime.errors import ServiceError
from runtime.settings import CommonSettings, Secret


class Settings(CommonSettings, frozen=True, kw_only=True):
    api_key: Annotated[Secret, Meta(description="A key")]


def check(name: str, *findings: Finding) -> Check:
    async def look() -> list[Finding]:
        return list(findings)

    return Check(name, look)


def failing(name: str, error: Exception) -> Check:
    async def look() -> list[Finding]:
        raise error

    return Check(name, look)


def test_findings_come_in_the_order_of_the_checks_and_none_hides_another() -> None:
    began = asyncio.Event()

    async def slow() -> list[Finding]:
        await began.wait()
        return [ok("slow", "It came.")]

    async def quick() -> list[Finding]:
        began.set()
        return [ok("quick", "It was there.")]

    checks = [
        Check("slow", slow),
        failing("sentence", ServiceError("NATS_CA names a file that is not there")),
        failing("bug", KeyError("a-secret-value")),
        Check("quick", quick),
    ]
    found = asyncio.run(doctor.examine(checks))
    assert [finding.check for finding in found] == ["slow", "sentence", "bug", "quick"]
    assert found[1] == wrong("sentence", "NATS_CA names a file that is not there.")
    assert found[2].verdict == "wrong"
    assert "KeyError" in found[2].says
    assert "a-secret-value" not in found[2].says


def test_a_check_that_hangs_is_a_finding() -> None:
    async def hangs() -> list[Finding]:
        await asyncio.Event().wait()
        return []

    found = asyncio.run(
        doctor.examine([Check("hangs", hangs), check("b", ok("b", "Well."))], within_s=0.01)
    )
    assert found == [
        wrong("hangs", "There was no answer within 0.01 s."),
        ok("b", "Well."),
    ]


def test_the_report_as_lines() -> None:
    report = Report(
        "webhooks",
        (ok("a", "Fine."), note("b", "Empty.", "Set it."), wrong("c", "Away.", "Start it.")),
    )
    assert told(report).splitlines() == [
        "webhooks",
        "  ok     a: Fine.",
        "  note   b: Empty.",
        "         -> Set it.",
        "  WRONG  c: Away.",
        "         -> Start it.",
        "One thing is wrong.",
    ]
    assert told(Report("webhooks", (ok("a", "Fine."),))).endswith("Nothing is wrong.\n")


def run(monkeypatch: Any, capsys: Any, *argv: str, checks: list[Check]) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["doctor", *argv])
    code = doctor.run("webhooks", Settings, lambda _: checks)
    return code, capsys.readouterr().out


def test_the_exit_code_and_json(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("API_KEY", "a-secret-value")
    code, out = run(monkeypatch, capsys, "--json", checks=[check("a", ok("a", "Fine."))])
    assert code == 0
    report = msgspec.json.decode(out, type=Report)
    assert [finding.check for finding in report.findings] == ["settings", "a"]
    code, out = run(monkeypatch, capsys, checks=[check("a", wrong("a", "Away."))])
    assert code == 1
    assert "WRONG  a: Away." in out
    code, out = run(monkeypatch, capsys, checks=[check("a", note("a", "Empty."))])
    assert code == 0, "a note alone is no failure"
    assert "a-secret-value" not in out


def test_settings_that_cannot_be_used_are_findings(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.delenv("API_KEY", raising=False)
    monkeypatch.setenv("LOG_LEVEL", "loud")
    never = failing("never", AssertionError("looked all the same"))
    code, out = run(monkeypatch, capsys, checks=[never])
    assert code == 1
    assert "API_KEY is not set: A key." in out
    assert "LOG_LEVEL cannot be used" in out
    assert "2 things are wrong." in out
    assert "never" not in out


@pytest.mark.parametrize(
    ("applied", "verdict", "says"),
    [
        ("20260201000200", "ok", "current"),
        ("20270101000000", "ok", "current"),
        ("20260101000000", "wrong", "of migration 20260101000000"),
        ("", "wrong", "no migration"),
    ],
)
def test_migrations(applied: str, verdict: str, says: str) -> None:
    found = current("20260201000200", applied)
    assert found.verdict == verdict
    assert says in found.says
    assert ("make migrate" in found.remedy) == (verdict == "wrong")


HANGING = """
import asyncio, sys, time
from runtime import doctor
from runtime.settings import CommonSettings

async def look():
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)

checks = [doctor.Check("name", look)]
sys.exit(doctor.run("webhooks", CommonSettings, lambda _: checks, within_s=0.2))
"""


def test_a_resolver_that_hangs_does_not_hold_the_doctor_up() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 1
    assert "WRONG  name: There was no answer within 0.2 s." in done.stdout
    assert done.stdout.endswith("One thing is wrong.\n")
