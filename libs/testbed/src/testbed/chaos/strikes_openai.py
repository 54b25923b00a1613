"""Faults of the model's sessions: lost in every manner, answering in text, silent."""

import asyncio
from itertools import cycle

from testbed.chaos.moments import Kind
from testbed.chaos.run import Run
from testbed.chaos.strikes import MOMENTS, breathe, some


async def openai_lost(run: Run) -> None:
    """The model's sockets end in every manner: reset, 1001, 1011, expired."""
    manners = cycle((None, 1001, 1011, 0))
    kinds: tuple[tuple[Kind, int], ...] = (*MOMENTS[1:], ("tool_called", 30), ("quiet", 0))
    for kind, within_ms in (*kinds, *kinds):
        call_id = await run.moment(kind, within_ms)
        if not call_id:
            return
        hit = some(run, call_id)
        over = run.struck(hit, kind)
        for caller in hit:
            if session := run.world.session_of(caller.record.call_id):
                manner = next(manners)
                session.expire() if manner == 0 else session.drop(manner, "the model is gone")
        over()
        await breathe(run)


async def openai_text(run: Run) -> None:
    """Sessions are cut, and what is opened in their place answers in text first."""
    run.world.minds.text_first = True
    await openai_lost(run)


async def openai_silent(run: Run) -> None:
    """Sessions stay open and send nothing any more."""
    for kind, within_ms in MOMENTS[1:]:
        call_id = await run.moment(kind, within_ms)
        if not call_id:
            return
        hit = some(run, call_id)
        over = run.struck(hit, kind)
        for caller in hit:
            if session := run.world.session_of(caller.record.call_id):
                session.stall()
        over()
        await asyncio.sleep(4)
