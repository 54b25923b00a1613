"""Faults of agents: killed, frozen, cut off, deployed."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import cycle

from testbed.chaos.moments import Kind
from testbed.chaos.run import Run
from testbed.chaos.strikes import MOMENTS, all_back, breathe, deployed

FROZEN_S = 6.0


async def agent_crash(run: Run) -> None:
    """SIGKILL, at each moment; the third time its successor too, as soon as it has the call."""
    for index, (kind, within_ms) in enumerate(MOMENTS):
        if not await _kill_holder(run, kind, within_ms):
            return
        if index == 2:
            await _kill_holder(run, "assigned", 0)
        await all_back(run)


async def agent_freeze(run: Run) -> None:
    """SIGSTOP, and SIGCONT after its calls are somebody else's."""

    async def freeze(victim: str) -> None:
        process = run.world.stack.processes[victim]
        process.suspend()
        try:
            await asyncio.sleep(FROZEN_S)
        finally:
            process.resume()

    await _agents_away(run, freeze)


async def agent_cut_off(run: Run) -> None:
    """Black holes and resets in turn, between an agent and NATS."""
    manners = cycle(("black_hole", "cut"))

    async def cut_off(victim: str) -> None:
        relay = run.world.relays[victim]
        relay.black_hole() if next(manners) == "black_hole" else relay.cut()
        try:
            await asyncio.sleep(FROZEN_S)
        finally:
            relay.heal()

    await _agents_away(run, cut_off)


async def agent_drain(run: Run) -> None:
    """SIGTERM, as a deployment does; a new one comes when the old one has left."""
    for kind, within_ms in MOMENTS:
        call_id = await run.moment(kind, within_ms)
        if not call_id:
            return
        await deployed(run, run.world.worker_of(call_id), kind)


async def _kill_holder(run: Run, kind: Kind, within_ms: int) -> bool:
    call_id = await run.moment(kind, within_ms)
    victim = run.world.worker_of(call_id) if call_id else ""
    if not victim:
        return False
    over = run.struck(run.held_by(victim), kind)
    run.world.stack.processes[victim].kill()
    await run.world.stack.processes[victim].wait()
    over()
    return True


async def _agents_away(run: Run, away: Callable[[str], Awaitable[None]]) -> None:
    """Take the holder of a call away for a while; its return is a strike of its own."""
    kinds: tuple[tuple[Kind, int], ...] = (*MOMENTS[1:], ("assigned", 0))
    for kind, within_ms in kinds:
        call_id = await run.moment(kind, within_ms)
        if not call_id:
            return
        victim = run.world.worker_of(call_id)
        hit = run.held_by(victim)
        run.struck(hit, kind)()
        await away(victim)
        run.struck([caller for caller in hit if caller.talking], "back")()
        await breathe(run)
