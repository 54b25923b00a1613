"""`make demo`: a whole spoken call through the real services, shown as it happens, then judged.

Uses only what an outsider has: the phone, the public events, the database. Exit code 0 means that
every step of the call happened.
"""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, cast

import asyncpg

from testbed.desk_link import login_link
from testbed.figures import CpuMeter, percentile
from testbed.follower import Follower
from testbed.launcher import Launch, Running, running, until_stopped
from testbed.process import Process, StartError
from testbed.scenario import FRESH, SEEDED, Caller, Outcome
from testbed.screen import Screen, masked
from testbed.system import System
from testbed.twilio import SimulatedTwilio, TwilioAccount
from testbed.voice.speaker import Speaker

NUMBER = "+15550100001"
TODOS = """
    select t.description, t.deadline, t.completed_at
    from todos t join callers c using (caller_id)
    where c.number = $1 order by t.deadline, t.description
"""
Row = tuple[str, date, bool]
"""Description, day due, whether it is done."""


async def demo(launch: Launch) -> int:
    """Start, seed, call, judge; on a terminal stay up until Ctrl-C. The exit code."""
    screen = Screen()
    screen.say("Trunkline demo: starting the system (NATS, PostgreSQL, five services)")
    fresh(launch.data)
    try:
        async with running(launch, screen) as up:
            await seed(up)
            screen.say(
                f"\nWatch it at the desk (this logs in, once): {await login_link(up.system)}"
            )
            screen.say("\nThe call, as its events tell it (UTC):")
            async with (
                Follower(up.system.nats_url, on_event=screen.event) as follower,
                simulated(up.system) as twilio,
            ):
                meter = CpuMeter(up.system.processes)
                outcome = await Caller(twilio, follower, Speaker()).call(NUMBER, SEEDED)
                spent = meter.spent_ms()
            await _judge(up.system, outcome, spent, screen)
            if not sys.stdout.isatty() or not sys.stdin.isatty():
                return 1 if outcome.missing else 0
            screen.say(
                f"\nThe desk stays up until Ctrl-C: {await login_link(up.system)}\n"
                f"Call it yourself: {up.system.dashboard_url}/phone (once logged in)"
            )
            failure = await until_stopped(up.stack)
            if failure is not None:
                screen.say(failure, "bad")
            return 1 if failure or outcome.missing else 0
    except StartError as error:
        screen.say(f"cannot start: {error}", "bad")
        return 1


def simulated(system: System) -> SimulatedTwilio:
    """A simulated Twilio whose account is the system's; its calls go to the system's webhooks."""
    return SimulatedTwilio(
        TwilioAccount(
            system.account_sid,
            system.auth_token,
            system.number,
            f"{system.webhooks_url}/twilio/voice",
            status_callback=f"{system.webhooks_url}/twilio/status",
        )
    )


def fresh(data: Path) -> None:
    """Every demo starts with an empty log and database; a running one's folder stays untouched."""
    if System.load(data) is None:
        for folder in ("nats", "postgres"):
            path = data / folder
            if path.is_symlink():
                path.unlink()
            shutil.rmtree(path, ignore_errors=True)


async def seed(up: Running) -> None:
    """The example todos of the demo's caller."""
    argv = [sys.executable, "-m", "tool_runner.seed", "--number", NUMBER, "--name", "Ada"]
    process = Process("seed", argv, env={"DATABASE_URL": up.system.database_url})
    await process.start()
    if await process.wait() != 0:
        raise StartError(f"the example todos could not be written: {process.complaint()}")


async def _judge(system: System, outcome: Outcome, spent: dict[str, float], screen: Screen) -> None:
    rows = await _rows(system.database_url)
    screen.say(f"\nTodos of {masked(NUMBER)} in PostgreSQL:")
    for text, due, done in rows:
        screen.say(f"  [{'x' if done else ' '}] {due:%a %Y-%m-%d}  {text}")
    outcome.missing += missing_rows(rows)
    cpu = sum(ms for name, ms in spent.items() if name.startswith(("stream-ingress", "ai-agent")))
    answers = outcome.response_ms
    screen.say(
        f"\n{outcome.seconds:.1f} s of call; {len(SEEDED)} spoken turns, {outcome.repeats} said"
        f" again; answered after {percentile(answers, 0.5):.0f} ms (median of {len(answers)});"
        f" {outcome.dropped_frames} frames dropped; ingress and agent used"
        f" {cpu / max(outcome.seconds, 1):.1f} ms of CPU per second of call"
    )
    for sentence in outcome.missing:
        screen.say(f"  missing: {sentence}", "bad")
    if not outcome.missing:
        screen.say("Every step of the call happened.", "good")


async def _rows(database_url: str) -> list[Row]:
    connection = await asyncpg.connect(database_url)  # pyright: ignore[reportUnknownVariableType]
    try:
        found = cast("list[Mapping[str, Any]]", await connection.fetch(TODOS, NUMBER))
        return [(r["description"], r["deadline"], r["completed_at"] is not None) for r in found]
    finally:
        await connection.close()


def missing_rows(rows: list[Row]) -> list[str]:
    """What the call should have left in the database and did not."""
    missing: list[str] = []
    if not any("milk" in text and due.weekday() == 4 and not done for text, due, done in rows):
        missing.append("the database holds no open todo 'buy milk' due on a Friday")
    if not any("plants" in text and done for text, _, done in rows):
        missing.append("the database does not show 'water the plants' as completed")
    return missing


async def call(data: Path, count: int) -> int:
    """`python -m testbed call`: `count` spoken calls at once into the system running on `data`."""
    screen = Screen()
    system = System.load(data)
    if system is None:
        screen.say("no system is running here: start one with `make up` in another terminal", "bad")
        return 1
    on_event = screen.event if count == 1 else None
    speaker = Speaker()
    async with (
        Follower(system.nats_url, on_event=on_event) as follower,
        simulated(system) as twilio,
    ):
        meter = CpuMeter(system.processes)
        callers = [
            asyncio.create_task(
                Caller(twilio, follower, speaker).call(f"+1555011{number:04}", FRESH)
            )
            for number in range(count)
        ]
        outcomes = [await caller for caller in callers]
        spent = meter.spent_ms()
    seconds = sum(outcome.seconds for outcome in outcomes)
    answers = [ms for outcome in outcomes for ms in outcome.response_ms]
    screen.say(
        f"{count} calls, {seconds:.0f} call seconds; answered after"
        f" {percentile(answers, 0.5):.0f} ms (median), {percentile(answers, 0.95):.0f} ms (p95);"
        f" {sum(o.dropped_frames for o in outcomes)} frames dropped;"
        f" {sum(o.repeats for o in outcomes)} sentences said again"
    )
    for name, ms in sorted(spent.items()):
        screen.say(f"  {name:16} {ms / max(seconds, 1):6.2f} ms of CPU per call and second")
    for outcome in outcomes:
        for sentence in outcome.missing:
            screen.say(f"  {outcome.call_id}: {sentence}", "bad")
    return 1 if any(outcome.missing for outcome in outcomes) else 0
