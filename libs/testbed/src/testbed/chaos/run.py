"""One run: every call of a plan at once, and the strikes of one row among them."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from testbed.chaos.caller import Caller
from testbed.chaos.judge import CallRecord, Effects, Phase, Strike, effects
from testbed.chaos.mind import Minds
from testbed.chaos.moments import Kind, Moments
from testbed.chaos.plan import Plan
from testbed.chaos.world import Needs, World, running
from testbed.figures import percentile
from testbed.lag import Lag

SETTLE_S = 3.0
"""How long effects may take to be in the database after the last call."""
READY_S = 60.0
MOVES = ("assigned", "stream_started")
CLOCKS_MS = 20.0
"""How far the clocks of two processes of one machine may seem apart."""
_DONE = re.compile(r"status\W+created")
"""In what a model is told of a todo that was made; quotes may be escaped."""


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    records: list[CallRecord]
    effects: Effects
    seconds: float
    late_ms: float
    """How late the process of the callers and the model woke, p99: what they wait for themselves is
    in every figure.
    """
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


class Run:
    """The calls under way, for the strikes of a row."""

    def __init__(self, world: World, plan: Plan, moments: Moments) -> None:
        self.world = world
        self.chance = random.Random(f"strikes:{plan.seed}")
        self.moments = moments
        self.notes: dict[str, Any] = {}
        self.callers = [Caller(call, f"+1555012{call.call:04}", self._phase) for call in plan.calls]
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def talking(self) -> list[Caller]:
        """The callers whose call is under way."""
        return [caller for caller in self.callers if caller.talking and caller.call is not None]

    def held_by(self, process: str) -> list[Caller]:
        """The callers whose call a worker or an ingress holds."""
        world = self.world
        return [
            caller
            for caller in self.talking
            if process
            in (world.worker_of(caller.record.call_id), world.ingress_of(caller.record.call_id))
        ]

    async def moment(self, kind: Kind, within_ms: int = 0) -> str:
        """The call to strike at: one that comes to such a moment, struck up to `within_ms` later;
        "" when no call is left.
        """
        skip = self.chance.randrange(max(1, len(self.callers) // 3))
        delay_s = self.chance.uniform(0, within_ms / 1000)
        call_id = await self.moments.next(kind, skip=skip if kind != "assigned" else 0)
        if call_id and within_ms:
            await asyncio.sleep(delay_s)
        return call_id

    async def everybody_talks(self) -> None:
        """Wait until every caller was greeted: what a dialled call needs may be struck then."""
        while any(caller.phase in ("before", "greeting") for caller in self.callers):  # noqa: ASYNC110 - callers come to their phases by themselves
            await asyncio.sleep(0.05)

    def struck(self, callers: Iterable[Caller], kind: str) -> Callable[[], None]:
        """These calls are struck now; call what is returned when the fault is over."""
        hit = [(caller, caller.call.now_ms(), caller.phase) for caller in callers if caller.call]

        def over() -> None:
            for caller, at_ms, phase in hit:
                assert caller.call is not None, "a struck caller has a call"
                until_ms = min([caller.call.now_ms(), *self._moved(caller, at_ms)])
                caller.record.strikes.append(Strike(at_ms, until_ms, phase, kind))

        return over

    def _moved(self, caller: Caller, since_ms: float) -> list[float]:
        """When, after `since_ms`, another worker or another stream had the call: a fault of those
        that had it before is over for this call.
        """
        events = _log(caller, self.world)
        return [at for at, name, _ in events if name in MOVES and at > since_ms + CLOCKS_MS]

    async def back(self, process: str) -> None:
        """Start a process again that has ended, and wait until it is ready."""
        await self.world.stack.restart(process)

    def meanwhile(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Beside the strikes; it is waited for before the run ends."""
        assert self._tasks is not None, "the run has not begun"
        return self._tasks.create_task(_awaited(work))

    async def perform(self, strikes: Callable[["Run"], Awaitable[None]]) -> None:
        """Every call from dial to hang-up, and the strikes while calls are talking."""
        async with asyncio.TaskGroup() as group:
            self._tasks = group
            striking = group.create_task(_awaited(strikes(self)))
            async with asyncio.TaskGroup() as calls:
                for caller in self.callers:
                    calls.create_task(caller.run(self.world.twilio))
            self.moments.over()
            await striking

    def _phase(self, caller: Caller, phase: Phase) -> None:
        self.moments.happened(phase, caller.record.call_id)


async def run(
    plan: Plan,
    strikes: Callable[[Run], Awaitable[None]],
    *,
    needs: Needs,
    log: Path,
    honest: bool = False,
    minds: Callable[[Plan], Minds] = Minds,
) -> Outcome:
    """A fresh system, every call of the plan, the strikes; what came of it.

    `honest`: tools may have failed honestly. `minds` makes the model.
    """
    moments = Moments()

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] in ("assigned", "tool_called"):
            moments.happened(event["event"], event["call_id"])

    async with running(minds(plan), needs, log, on_event) as world:
        began, lag = time.monotonic(), Lag()
        current = Run(world, plan, moments)
        lag.start()
        try:
            await current.perform(strikes)
        finally:
            lag.stop()
        seconds = time.monotonic() - began
        records = [caller.record for caller in current.callers]
        for caller in current.callers:
            caller.record.log = _log(caller, world)
        found = await _settled(world, records, honest=honest)
        for call in world.twilio.calls.values():
            await call.ended(READY_S)
    return Outcome(records, found, seconds, percentile(lag.late_ms, 0.99), current.notes)


async def _settled(world: World, records: list[CallRecord], *, honest: bool) -> Effects:
    """Effects as the database holds them; asked again for a while before one counts as lost."""
    deadline = time.monotonic() + SETTLE_S
    wanted = [description for record in records for description in record.effects_owed]
    while True:
        failed = {
            description
            for description, told in world.minds.outputs.items()
            if told and not any(_DONE.search(output) for output in told)
        }
        found = effects(wanted, await world.todos(), failed, honest=honest)
        if not found.lost or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.2)


def _log(caller: Caller, world: World) -> list[tuple[int, str, str]]:
    if caller.call is None:
        return []
    dialled = caller.call.created
    found: list[tuple[int, str, str]] = []
    for event in world.follower.events[caller.call.sid]:
        since = datetime.fromisoformat(event["at"]) - dialled
        found.append((round(since.total_seconds() * 1000), event["event"], event["worker"]))
    return found


async def _awaited(work: Awaitable[None]) -> None:
    await work
