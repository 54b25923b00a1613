"""Faults of the servers: NATS for a while, for good, its leader; PostgreSQL."""

import asyncio
import time

from testbed.chaos.moments import Kind
from testbed.chaos.run import Run
from testbed.chaos.strikes import Strikes
from testbed.nats_server import NatsServer
from testbed.postgres import Postgres

NATS_PATIENCE_S = 70.0


def nats_gone(seconds: float, times: int) -> Strikes:
    """The one NATS server is killed and comes back."""

    async def strike(run: Run) -> None:
        nats = run.world.stack.nats
        assert isinstance(nats, NatsServer), "the server is ours"
        await run.everybody_talks()
        kinds: tuple[Kind, ...] = ("speaking", "owed", "asking")
        for kind in kinds[:times]:
            if not await run.moment(kind, 300):
                return
            over = run.struck(run.talking, kind)
            await nats.kill()
            await asyncio.sleep(seconds)
            await nats.restart()
            over()
            await asyncio.sleep(4)

    return strike


async def nats_for_good(run: Run) -> None:
    """It never comes back: how long until every call was ended by us, and what was said."""
    nats = run.world.stack.nats
    assert isinstance(nats, NatsServer), "the server is ours"
    await run.everybody_talks()
    if not await run.moment("speaking", 400):
        return
    hit = run.talking
    over = run.struck(hit, "speaking")
    began = time.monotonic()
    await nats.kill()
    ended: list[float] = []
    while run.talking and time.monotonic() - began < NATS_PATIENCE_S:
        await asyncio.sleep(0.1)
        over_now = sum(caller.call is not None and caller.call.over for caller in hit)
        ended += [time.monotonic() - began] * (over_now - len(ended))
    over()
    run.notes["calls ended after s"] = [round(each, 1) for each in ended]
    await nats.restart()  # what is left can leave in order


async def leader_lost(run: Run) -> None:
    """The node that leads the log is killed and comes back after 10 s."""
    cluster = run.world.cluster
    assert cluster is not None, "the row needs a cluster"
    await run.everybody_talks()
    if not await run.moment("speaking", 400):
        return
    leader = await cluster.leader_of("CALLS")
    over = run.struck(run.talking, "speaking")
    await leader.kill()
    await asyncio.sleep(10)
    await leader.restart()
    over()


async def postgres_away(run: Run) -> None:
    """The database is killed right after a tool was asked, and comes back after 5 s."""
    postgres = run.world.stack.postgres
    assert isinstance(postgres, Postgres), "the server is ours"
    for _ in range(2):
        if not await run.moment("tool_called"):
            return
        over = run.struck(run.talking, "tool_called")
        await postgres.kill()
        await asyncio.sleep(5)
        await postgres.restart()
        over()
        await asyncio.sleep(3)
