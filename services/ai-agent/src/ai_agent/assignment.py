"""How calls come to this worker: announces its load, answers assignments, keeps each call in a
task of its own.
"""

import asyncio
import contextlib

from ai_agent import metrics
from ai_agent.call_runner import CallRunner
from ai_agent.capacity import Capacity
from ai_agent.worker import Worker
from protocol import codec, subjects
from protocol.events import Assigned
from protocol.ids import CallId, Epoch, new_event_id
from protocol.placement import Accepted, AssignCall, AssignReply, Declined
from runtime import clock, logging
from runtime.bus import Message
from runtime.errors import NatsAway
from runtime.outbox import take
from runtime.tasks import Tasks

_log = logging.get("assignment")

ANNOUNCE_S = 0.25


class Assignments:
    """The calls of one worker."""

    def __init__(self, worker: Worker, tasks: Tasks, *, build: str) -> None:
        self._worker = worker
        self._tasks = tasks
        self._build = build
        self._capacity = Capacity(worker.settings.agent_slots)
        self._calls: dict[CallId, CallRunner] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def announce(self) -> None:
        """Say every 250 ms how many calls may come, for ever."""
        while True:
            load = self._capacity.load(self._worker.name, self._build)
            metrics.CALLS.set(self._capacity.held)
            metrics.SLOTS_FREE.set(self._capacity.free)
            with contextlib.suppress(NatsAway):
                await self._worker.bus.publish(subjects.AGENTS_LOAD, load)
            await asyncio.sleep(ANNOUNCE_S)

    async def requested(self, message: Message) -> None:
        """A request on ``agent.<worker>.assign``: answered from a task, so that requests do not
        wait in line.
        """
        request = codec.decode(AssignCall, message.data)
        self._tasks.isolate(self._assign(request, message.reply), "assign")

    async def drain(self, seconds: float) -> None:
        """Take no new call; let those held end by themselves within ``seconds``, then let go of
        them.
        """
        self._capacity.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("calls left at the end of the drain", calls=len(self._calls))
            for runner in list(self._calls.values()):
                runner.leave("drained")
            await self._idle.wait()

    async def _assign(self, request: AssignCall, reply: str) -> None:
        reason = self._capacity.take(request.call)
        if reason is not None:
            return await self._answer(reply, Declined(reason))
        self._idle.clear()
        try:
            await self._hold(request, reply)
        finally:
            self._calls.pop(request.call, None)
            self._capacity.release(request.call)
            if not self._calls and not self._capacity.held:
                self._idle.set()

    async def _hold(self, request: AssignCall, reply: str) -> None:
        assigned = Assigned(
            id=new_event_id(),
            call_id=request.call,
            at=clock.utc_now(),
            service="ai-agent",
            worker=self._worker.name,
            leg=request.leg,
            previous_epoch=request.previous_epoch,
            reason="takeover" if request.previous_epoch else "placed",
        )
        try:
            epoch = await take(self._worker.bus, assigned, expected=request.previous_epoch)
        except NatsAway:
            _log.warning("call not taken", call_id=request.call, reason="log away")
            return
        if epoch is None:
            return await self._answer(reply, Declined("taken"))
        runner = CallRunner(self._worker, request, Epoch(epoch))
        self._calls[request.call] = runner
        # The subscriptions are written to the connection before the answer, so the server has them
        # when ingress begins to send.
        await runner.listen()
        await self._answer(reply, Accepted(Epoch(epoch)))
        await runner.run()

    async def _answer(self, reply: str, answer: AssignReply) -> None:
        if isinstance(answer, Declined):
            metrics.DECLINED.labels(answer.reason).inc()
        with contextlib.suppress(NatsAway):
            await self._worker.bus.publish(reply, answer)
