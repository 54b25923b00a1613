"""PURE: what the agent workers said of their load, and which of them to ask next.

Fed with ``agents.load`` by whoever asks workers (stream-ingress, a draining worker). It keeps no
worker that has fallen silent.
"""

from protocol.ids import WorkerId
from protocol.placement import AgentLoad

FRESH_MS = 1000
"""A load older than this says nothing (workers speak every 250 ms)."""
SUSPECT_MS = 2000
"""How long a worker that did not answer a request is passed over."""


class _Worker:
    __slots__ = ("asked_ms", "free", "heard_ms", "suspect_until_ms", "usable")

    def __init__(self) -> None:
        self.free = 0
        self.usable = False
        self.heard_ms = 0
        self.asked_ms = 0
        self.suspect_until_ms = 0


class Loads:
    """Times are ms of one monotonic clock."""

    def __init__(self) -> None:
        self._workers: dict[WorkerId, _Worker] = {}

    def heard(self, load: AgentLoad, now_ms: int) -> bool:
        """A worker spoke. True when it could take a call now."""
        worker = self._workers.get(load.worker)
        if worker is None:
            self._forget_silent(now_ms)
            worker = self._workers[load.worker] = _Worker()
        worker.free, worker.usable, worker.heard_ms = load.free, not load.draining, now_ms
        return self._can_take(worker, now_ms)

    def best(self, now_ms: int, passed_over: set[WorkerId]) -> WorkerId | None:
        """The freest worker, or None. Of equally free ones the one not asked for the longest."""
        able = [
            (-worker.free, worker.asked_ms, name)
            for name, worker in self._workers.items()
            if name not in passed_over and self._can_take(worker, now_ms)
        ]
        return min(able)[2] if able else None

    def asked(self, name: WorkerId, now_ms: int) -> None:
        """A request is on its way: count its slot as taken until the worker speaks again."""
        worker = self._workers.get(name)
        if worker is not None:
            worker.free -= 1
            worker.asked_ms = now_ms

    def suspect(self, name: WorkerId, now_ms: int) -> None:
        """The worker did not answer in time."""
        worker = self._workers.get(name)
        if worker is not None:
            worker.suspect_until_ms = now_ms + SUSPECT_MS

    def _can_take(self, worker: _Worker, now_ms: int) -> bool:
        return (
            worker.usable
            and worker.free > 0
            and now_ms - worker.heard_ms <= FRESH_MS
            and now_ms >= worker.suspect_until_ms
        )

    def _forget_silent(self, now_ms: int) -> None:
        keep = max(FRESH_MS, SUSPECT_MS)
        self._workers = {n: w for n, w in self._workers.items() if now_ms - w.heard_ms <= keep}
