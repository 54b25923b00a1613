"""How calls come to this worker and leave it: announces its load, answers who asks for its calls
(assign, attach, prepare, ping), keeps each call in a task of its own.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator

from ai_agent import metrics, taking
from ai_agent.call_runner import CallRunner
from ai_agent.capacity import Capacity
from ai_agent.drain import Drain
from ai_agent.successor import Successor
from ai_agent.worker import Worker
from protocol import codec, subjects
from protocol.ids import CallId, Epoch
from protocol.placement import (
    Accepted,
    AssignCall,
    AssignReply,
    AttachCall,
    Declined,
    DeclineReason,
    PingCalls,
    PingReply,
    PrepareCall,
    PrepareReply,
)
from runtime import logging
from runtime.errors import NatsAway
from runtime.subscribed import Message
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
        self._successors: dict[CallId, Successor] = {}
        self._taking: set[CallId] = set()
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

    @contextlib.asynccontextmanager
    async def asked(self) -> AsyncGenerator[None]:
        """Answer everybody who asks for this worker, during the block."""
        name, bus = self._worker.name, self._worker.bus
        subscribed = [
            await bus.subscribe(subjects.agent_assign(name), self._on_assign),
            await bus.subscribe(subjects.agent_attach(name), self._on_attach),
            await bus.subscribe(subjects.agent_prepare(name), self._on_prepare),
            await bus.subscribe(subjects.agent_ping(name), self._on_ping),
        ]
        await bus.settle()
        try:
            yield
        finally:
            for subscription in subscribed:
                await subscription.drain()

    async def drain(self, seconds: float) -> None:
        """Take no new call; hand over those held, or let them end by themselves, within
        ``seconds``; then let go of them.
        """
        self._capacity.draining = True
        for successor in self._successors.values():
            successor.runner.leave("drained")
        try:
            async with (
                Drain(self._worker, lambda: list(self._calls.values())).running(),
                asyncio.timeout(seconds),
            ):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("calls left at the end of the drain", calls=len(self._calls))
            for runner in list(self._calls.values()):
                runner.leave("drained")
            await self._idle.wait()

    # -- requests: answered from tasks, so that they do not wait in line

    async def _on_assign(self, message: Message) -> None:
        request = codec.decode(AssignCall, message.data)
        self._tasks.isolate(self._assign(request, message.reply), "assign")

    async def _on_attach(self, message: Message) -> None:
        request = codec.decode(AttachCall, message.data)
        self._tasks.isolate(self._attach(request, message.reply), "attach")

    async def _on_prepare(self, message: Message) -> None:
        request = codec.decode(PrepareCall, message.data)
        self._tasks.isolate(self._prepare(request, message.reply), "prepare")

    async def _on_ping(self, message: Message) -> None:
        asked = codec.decode(PingCalls, message.data).calls
        lost = tuple(call for call, epoch in asked.items() if not self._holds(call, epoch))
        stuck = tuple(
            call
            for call in asked
            if call not in lost and call in self._calls and self._calls[call].held.watch.stuck
        )
        with contextlib.suppress(NatsAway):
            await self._worker.bus.publish(message.reply, PingReply(lost, stuck))

    def _holds(self, call: CallId, epoch: Epoch) -> bool:
        runner = self._calls.get(call)
        if runner is not None and runner.held.epoch == epoch:
            return not runner.held.watch.over.is_set()
        # The log may have told ingress of our epoch before it told us.
        successor = self._successors.get(call)
        return call in self._taking or (successor is not None and successor.taking)

    # -- one call

    async def _assign(self, request: AssignCall, reply: str) -> None:
        runner = self._calls.get(request.call)
        if runner is not None:
            return await self._answer(reply, await self._asked_again(runner, request))
        successor = self._successors.get(request.call)
        if successor is not None and successor.assign(
            request, lambda answer: self._answer(reply, answer)
        ):
            return None
        with self._lease(request.call) as declined:
            if declined is not None:
                return await self._answer(reply, Declined(declined))
            await self._hold(request, reply)
        return None

    async def _asked_again(self, runner: CallRunner, request: AssignCall) -> AssignReply:
        held = runner.held
        if held.watch.over.is_set() or request.previous_epoch < held.epoch:
            return Declined("taken")
        if request.previous_epoch > held.epoch:
            runner.leave("overtaken")  # asked to follow one who followed us: next time
            return Declined("taken")
        # Nothing was lost: whoever asks was mistaken about this worker.
        moved = AttachCall(
            request.call,
            held.epoch,
            request.leg,
            request.ingress,
            held.request.leg,
            request.ring_from_ms,
        )
        if moved.leg > moved.previous_leg:
            await runner.follow(moved)
        return Accepted(held.epoch)

    async def _attach(self, request: AttachCall, reply: str) -> None:
        runner = self._calls.get(request.call)
        if runner is None or not self._holds(request.call, request.epoch):
            return await self._answer(reply, Declined("not_held"))
        if request.leg < runner.held.request.leg:
            return await self._answer(reply, Declined("taken"))
        await runner.follow(request)
        return await self._answer(reply, Accepted(request.epoch))

    async def _prepare(self, request: PrepareCall, reply: str) -> None:
        earlier = self._successors.get(request.call)
        if earlier is not None:
            return await self._answer(reply, await earlier.again(request))
        with self._lease(request.call) as declined:
            if declined is not None:
                return await self._answer(reply, Declined(declined))
            successor = self._successors[request.call] = Successor(self._worker, request)
            try:
                await successor.run(lambda answer: self._answer(reply, answer), self._held)
            finally:
                self._successors.pop(request.call, None)
                self._calls.pop(request.call, None)
        return None

    async def _hold(self, request: AssignCall, reply: str) -> None:
        call, worker = request.call, self._worker
        self._taking.add(call)
        try:
            if request.previous_epoch and await taking.newest_leg(worker, call) > request.leg:
                return await self._answer(reply, Declined("taken"))  # by an ingress of the past
            epoch = await taking.taken(worker, taking.assigned(worker, request))
        except NatsAway:
            return _log.warning("call not taken", call_id=call, reason="log away")
        finally:
            self._taking.discard(call)
        if epoch is None:
            return await self._answer(reply, Declined("taken"))
        runner = self._calls[call] = CallRunner(worker, request, epoch)
        try:
            async with runner.alive():
                # The subscriptions are written to the connection before the answer, so the server
                # has them when ingress begins to send.
                await runner.listen()
                await self._answer(reply, Accepted(epoch))
                await runner.run()
        finally:
            self._calls.pop(call, None)
        return None

    def _held(self, runner: CallRunner) -> None:
        """A call that was prepared for is held now."""
        self._successors.pop(runner.held.id, None)
        self._calls[runner.held.id] = runner

    @contextlib.contextmanager
    def _lease(self, call: CallId) -> Generator[DeclineReason | None]:
        try:
            with self._capacity.lease(call) as declined:
                if declined is None:
                    self._idle.clear()
                yield declined
        finally:
            if not self._capacity.held:
                self._idle.set()

    async def _answer(self, reply: str, answer: AssignReply | PrepareReply) -> None:
        if isinstance(answer, Declined):
            metrics.DECLINED.labels(answer.reason).inc()
        self._worker.bus.hurry()
        with contextlib.suppress(NatsAway):
            await self._worker.bus.publish(reply, answer)
