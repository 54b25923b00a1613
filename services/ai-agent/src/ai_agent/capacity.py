"""How many calls a worker holds and may take (pure)."""

import contextlib
from collections.abc import Generator

from protocol.ids import CallId, WorkerId
from protocol.placement import AgentLoad, DeclineReason


class Capacity:
    """The slots of one worker. A call that is prepared for has a slot like one that is held."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._held: set[CallId] = set()
        self.draining = False

    @property
    def free(self) -> int:
        return 0 if self.draining else max(0, self._slots - len(self._held))

    @property
    def held(self) -> int:
        return len(self._held)

    def take(self, call: CallId) -> DeclineReason | None:
        """Reserve a slot; why not, if not. A call that is held already is ``taken``."""
        if self.draining:
            return "draining"
        if call in self._held:
            return "taken"
        if len(self._held) >= self._slots:
            return "full"
        self._held.add(call)
        return None

    def release(self, call: CallId) -> None:
        self._held.discard(call)

    @contextlib.contextmanager
    def lease(self, call: CallId) -> Generator[DeclineReason | None]:
        """A slot for the block, whatever happens in it; or why there is none."""
        reason = self.take(call)
        try:
            yield reason
        finally:
            if reason is None:
                self.release(call)

    def load(self, worker: WorkerId, build: str) -> AgentLoad:
        """What is announced on ``agents.load``."""
        return AgentLoad(worker, self.free, self.draining, build)
