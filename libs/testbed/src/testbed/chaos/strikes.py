"""What all faults share: the moments they strike at, nothing at all, and how victims come back.

Strikes are functions of a run, used as rows of the table. They hit processes, servers, relays and
sockets of the testbed; a call is struck when the victim held it.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

from testbed.chaos.caller import Caller
from testbed.chaos.moments import Kind
from testbed.chaos.run import Run

Strikes = Callable[[Run], Awaitable[None]]
MOMENTS: tuple[tuple[Kind, int], ...] = (
    ("assigned", 0),
    ("tool_called", 0),
    ("speaking", 600),
    ("owed", 400),
)
"""Moments and how many ms after them at most: two exact ones, two drawn."""
DRAINED_S = 60.0
MOST = 3
"""Strikes of one kind that single out a call: more within half a minute are another failure."""


async def nothing(run: Run) -> None:
    """No fault: shows how far two undisturbed runs differ. The gap of every moment drawn."""
    kinds: tuple[tuple[Kind, int], ...]
    kinds = (("speaking", 600), ("owed", 400), ("asking", 400), ("quiet", 100))
    for kind, within_ms in kinds:
        if await run.moment(kind, within_ms):
            run.struck(run.talking, kind)()


def killed(process: str) -> Strikes:
    """A service that no call hangs on is killed, and started again after 3 s."""

    async def strike(run: Run) -> None:
        await run.everybody_talks()
        kinds: tuple[Kind, ...] = ("owed", "speaking")
        for kind in kinds:
            if not await run.moment(kind, 400):
                return
            over = run.struck(run.talking, kind)
            victim = run.world.stack.processes[process]
            victim.kill()
            await victim.wait()
            await asyncio.sleep(3)
            over()
            await run.back(process)
            await breathe(run)

    return strike


async def deployed(run: Run, victim: str, kind: str) -> None:
    """SIGTERM, the exit awaited and noted, and a new one in its place."""
    if not victim:
        return
    over = run.struck(run.held_by(victim), kind)
    began = time.monotonic()
    code = await run.world.stack.processes[victim].stop(DRAINED_S, signal.SIGTERM)
    over()
    took = round(time.monotonic() - began, 1)
    run.notes.setdefault("drained in s", []).append(took)
    if code != 0:
        run.notes.setdefault("exit codes", []).append(code)
    await run.back(victim)
    await breathe(run)


async def all_back(run: Run) -> None:
    """Start again whatever has ended."""
    for name, process in run.world.stack.processes.items():
        if not process.running:
            await run.back(name)
    await breathe(run)


async def breathe(run: Run) -> None:
    """A while in which calls go on, drawn."""
    await asyncio.sleep(run.chance.uniform(0.5, 2.0))


def some(run: Run, call_id: str) -> list[Caller]:
    """The call of the moment and, drawn, a third of the others; none more than MOST times."""
    return [
        caller
        for caller in run.talking
        if (caller.record.call_id == call_id or run.chance.random() < 1 / 3)
        and len(caller.record.strikes) < MOST
    ]
