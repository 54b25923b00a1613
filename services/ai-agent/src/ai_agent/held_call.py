"""What every stage of one call on this worker shares: the line, the log's writer, the tasks, the
brief. Made by the call runner when the call is taken, or prepared for.
"""

import asyncio
import itertools
from typing import Any

from ai_agent.call_brief import Brief
from ai_agent.call_line import CallLine
from ai_agent.caller_audio import CallerAudio
from ai_agent.operator_turn import ITEM, OperatorTurn
from ai_agent.stage import Stage
from ai_agent.watch import Watch
from ai_agent.worker import Worker
from protocol import line
from protocol.events import AgentEvent, AnyEvent
from protocol.ids import CallId, Epoch, ItemId, new_event_id
from protocol.placement import AssignCall
from runtime import clock
from runtime.errors import NatsAway, Refused
from runtime.outbox import Outbox
from runtime.tasks import Tasks


class HeldCall:
    """The call ``request.call`` held under ``epoch``; 0 while another worker holds it and this
    one only prepares to follow ``request.previous_epoch``: then nothing may be said or written.
    """

    def __init__(self, worker: Worker, request: AssignCall, epoch: Epoch) -> None:
        self.worker = worker
        self.request = request
        """How the call came here; leg, ingress and ring are those of the newest line."""
        self.id: CallId = request.call
        self.epoch = epoch
        self.line = CallLine(worker.bus, request.call, epoch)
        self.audio = CallerAudio(batch_ms=worker.settings.audio_batch_ms)
        self.watch = Watch(
            worker.bus,
            request.call,
            request.leg,
            epoch or request.previous_epoch,
            held=bool(epoch),
            line_wait_ms=round(worker.settings.agent_line_wait_s * 1000),
        )
        self.outbox = Outbox(worker.bus, request.call)
        self.tasks = Tasks("call")
        self.floor = OperatorTurn(self._operator_item)
        """Whether an operator speaks in the assistant's place."""
        self.stage: Stage | None = None
        """Who listens to the caller now; None before the first stage."""
        self.began_ms = clock.monotonic_ms()
        self.passed_line_ms = 0
        """Where the gate was passed: nothing said before is for the model."""
        self._numbers = itertools.count(1)
        self._brief: Brief | None = None
        self._ended = asyncio.Event()

    @property
    def brief(self) -> Brief:
        """Who calls whom, under which profile; known once the runner has looked it up."""
        assert self._brief is not None, "the runner prepares the brief before any stage"
        return self._brief

    @property
    def is_briefed(self) -> bool:
        return self._brief is not None

    def briefed(self, brief: Brief) -> None:
        self._brief = brief

    def hold(self, request: AssignCall, epoch: Epoch) -> None:
        """The call that was prepared for is ours: from now on it may be spoken to and written
        of.
        """
        self.request, self.epoch = request, epoch
        self.began_ms = clock.monotonic_ms()
        self.line.hold(epoch)
        self.outbox.fence(epoch)
        self.watch.hold(epoch)

    def quiet(self) -> bool:
        """Another worker could take the call now without the caller noticing."""
        if self.floor.muted:
            return not self.ended and self.floor.quiet(clock.monotonic_ms())
        return self.stage is not None and not self.ended and self.stage.quiet()

    def new_name(self, kind: str) -> str:
        """A name that no other stage of this call uses: the line drops audio of a known item."""
        return f"{kind}_{self.epoch}_{next(self._numbers)}"

    def _operator_item(self) -> ItemId:
        return ItemId(f"{ITEM}{self.epoch}_{next(self._numbers)}")

    def event(self, kind: type[AgentEvent], fields: dict[str, Any]) -> AnyEvent:
        """An event of this call, stamped."""
        assert self.epoch, "only the holder writes"
        event: Any = kind(
            id=new_event_id(),
            call_id=self.id,
            at=clock.utc_now(),
            service="ai-agent",
            worker=self.worker.name,
            epoch=self.epoch,
            **fields,
        )
        return event

    def record(self, kind: type[AgentEvent], fields: dict[str, Any]) -> None:
        """Write an event to the log, in order, without waiting."""
        self.outbox.append(self.event(kind, fields))

    async def written(
        self, kind: type[AgentEvent], fields: dict[str, Any], timeout: float
    ) -> int | None:
        """Write an event; its sequence, or None when the log did not take it within ``timeout``
        seconds. Raises StaleWriter.
        """
        done = self.outbox.append(self.event(kind, fields))
        await asyncio.wait({done}, timeout=timeout)
        try:
            return done.result() if done.done() else None
        except (NatsAway, Refused):
            return None

    async def end(self, intent: line.Intent) -> None:
        """Close the line once what was said has been heard; the call's stages are over."""
        self._ended.set()
        await self.line.end(intent)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()
