"""The workers as they speak of themselves (``agents.load``), with what the board says they hold
(pure).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from protocol.ids import WorkerId
from protocol.placement import AgentLoad

LOST_AFTER = timedelta(seconds=2)
"""Silence after which a worker counts as lost: eight of its words."""
FORGET_AFTER = timedelta(minutes=5)
KEEP = 200
"""Workers that are kept: more than a deployment has."""

State = Literal["ready", "full", "draining", "lost"]


class Meter(Struct, frozen=True):
    """A worker's slots as shown; ``slots`` is the most that it was seen to have."""

    worker: str
    build: str
    state: State
    busy: int
    slots: int
    heard_at: datetime

    @property
    def words(self) -> str:
        return f"{self.busy} of {self.slots} slots taken, {self.state}"


class _Worker(Struct):
    load: AgentLoad
    heard_at: datetime
    slots: int = 0
    lost: bool = False


class Fleet:
    """Workers by id."""

    def __init__(self) -> None:
        self._workers: dict[WorkerId, _Worker] = {}

    def heard(self, load: AgentLoad, now: datetime) -> bool:
        """A worker spoke. True when it says something else than before."""
        known = self._workers.get(load.worker)
        if known is None:
            if len(self._workers) >= KEEP:
                return False
            self._workers[load.worker] = _Worker(load, now)
            return True
        changed = known.load != load or known.lost
        known.load, known.heard_at, known.lost = load, now, False
        return changed

    def watch(self, now: datetime) -> bool:
        """Who fell silent? True when a worker was lost or forgotten since the last look."""
        changed = False
        for worker, known in tuple(self._workers.items()):
            silent = now - known.heard_at
            if silent > FORGET_AFTER:
                del self._workers[worker]
                changed = True
            elif silent > LOST_AFTER and not known.lost:
                known.lost = changed = True
        return changed

    def meters(self, held: Mapping[str, int]) -> tuple[Meter, ...]:
        """Every worker, with the calls that the log says it holds."""
        return tuple(
            self._meter(known, held.get(worker, 0))
            for worker, known in sorted(self._workers.items())
        )

    def _meter(self, known: _Worker, held: int) -> Meter:
        load = known.load
        known.slots = max(known.slots, load.free + held)
        state: State = "ready" if load.free else "full"
        if known.lost:
            state = "lost"
        elif load.draining:
            state = "draining"
        return Meter(load.worker, load.build, state, held, known.slots, known.heard_at)
