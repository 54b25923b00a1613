"""A worker's side of taking over a call that another one still holds: everything is made ready,
then the call is taken when it is handed over, or when ingress says that its holder is gone.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec

from ai_agent.call_runner import CallRunner
from ai_agent.taking import assigned, taken
from ai_agent.worker import Worker
from protocol import codec, subjects
from protocol.events import HandingOver, StreamStarted
from protocol.ids import Epoch, Leg
from protocol.placement import (
    Accepted,
    AssignCall,
    AssignReply,
    AttachCall,
    Declined,
    PrepareCall,
    Prepared,
    PrepareReply,
)
from runtime import logging
from runtime.calllog import CallLog
from runtime.clock import monotonic_ms
from runtime.errors import NatsAway
from runtime.subscribed import Message
from runtime.tasks import Tasks

_log = logging.get("successor")

WAIT_MS = 60_000
"""How long a call that is prepared for is waited for."""
RECORDS_S = 2.0
"""What looking the caller up may add to the opening of a session."""

AnswerAssign = Callable[[AssignReply], Awaitable[None]]
AnswerPrepare = Callable[[PrepareReply], Awaitable[None]]
Turn = tuple[AssignCall, AnswerAssign | None]
"""Why to take the call now: the request as it stands then, and who waits for an answer."""


class Successor:
    """Ready to follow the holder of ``request.epoch``. ``runner`` carries the call once taken."""

    def __init__(self, worker: Worker, request: PrepareCall) -> None:
        self._worker = worker
        self._request = request
        first = AssignCall(
            request.call, request.leg, request.ingress, request.epoch, ring_from_ms=0
        )
        self.runner = CallRunner(worker, first, Epoch(0))
        self._turn: asyncio.Future[Turn | None] = asyncio.get_running_loop().create_future()
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._until_ms = monotonic_ms() + WAIT_MS
        self.taking = False
        """The log was asked for the call and has not answered yet."""

    async def again(self, request: PrepareCall) -> PrepareReply:
        """Asked once more: the wait begins anew."""
        if (request.epoch, request.leg) != (self._request.epoch, self._request.leg):
            return Declined("taken")
        self._until_ms = monotonic_ms() + WAIT_MS
        return Prepared(request.call) if await self._ready else Declined("failed")

    def assign(self, request: AssignCall, answer: AnswerAssign) -> bool:
        """Ingress lost the holder and asks this worker. False when it is too late for that."""
        if self._turn.done():
            return False
        self._turn.set_result((request, answer))
        return True

    async def run(self, answer: AnswerPrepare, held: Callable[[CallRunner], None]) -> None:
        """Prepare, answer, wait for the turn, and carry the call from then on, which ``held``
        learns; or let go of it.
        """
        runner = self.runner
        try:
            async with runner.alive(), self._offers():
                await runner.listen()
                if not await self._prepared():
                    return await answer(Declined("failed"))
                await answer(Prepared(runner.held.id))
                turn = await self._wait()
                if turn is not None and await self._take(*turn, held):
                    await runner.run()
        finally:
            if not self._ready.done():
                self._ready.set_result(False)
            if not self._turn.done():
                self._turn.set_result(None)

    async def _prepared(self) -> bool:
        try:
            async with asyncio.timeout(self._worker.settings.openai_connect_s + RECORDS_S):
                await self.runner.prepare()
        except Exception as error:  # whatever it was, the holder must look for another successor
            _log.warning("not prepared", call_id=self._request.call, kind=type(error).__name__)
            return False
        self._ready.set_result(True)
        return True

    async def _wait(self) -> Turn | None:
        """Until it is this worker's turn; None when it never will be."""
        over = self.runner.held.watch.over
        async with Tasks("successor") as tasks:
            tasks.spawn(self._give_up(over), "over")
            while not self._turn.done():
                left_ms = self._until_ms - monotonic_ms()
                if left_ms <= 0:
                    return None
                await asyncio.wait({self._turn}, timeout=left_ms / 1000)
        return self._turn.result()

    async def _give_up(self, over: asyncio.Event) -> None:
        await over.wait()
        if not self._turn.done():
            self._turn.set_result(None)

    @contextlib.asynccontextmanager
    async def _offers(self) -> AsyncGenerator[None]:
        """Follow the holder's offers for the block."""

        async def offered(message: Message) -> None:
            offer = codec.decode(HandingOver, message.data)
            mine = offer.successor == self._worker.name and offer.epoch == self._request.epoch
            if mine and not self._turn.done() and self._ready.done():
                self._turn.set_result((self.runner.held.request, None))

        subject = subjects.event(self._request.call, "handing_over")
        subscribed = await self._worker.bus.subscribe(subject, offered)
        try:
            yield
        finally:
            await subscribed.stop()

    async def _take(
        self, request: AssignCall, answer: AnswerAssign | None, held: Callable[[CallRunner], None]
    ) -> bool:
        """Take the call; False when somebody else has it or the log is away."""
        runner, prepared = self.runner, self.runner.held.request
        event = assigned(self._worker, request, handover=answer is None)
        runner.held.watch.taking(event.id)
        self.taking = True
        try:
            epoch = await taken(self._worker, event)
        except NatsAway:
            _log.warning("call not taken", call_id=request.call, reason="log away")
            return False
        finally:
            self.taking = False
        if epoch is None:
            if answer is not None:
                await answer(Declined("taken"))
            return False
        runner.held.hold(
            msgspec.structs.replace(request, leg=prepared.leg, ingress=prepared.ingress), epoch
        )
        held(runner)
        if request.leg != prepared.leg:
            moved = AttachCall(
                request.call,
                epoch,
                request.leg,
                request.ingress,
                prepared.leg,
                request.ring_from_ms,
            )
            await runner.follow(moved)
        if answer is not None:
            await answer(Accepted(epoch))
        else:
            runner.held.tasks.isolate(self._follow_newest(epoch), "newest line")
        return True

    async def _follow_newest(self, epoch: Epoch) -> None:
        """The line may have moved while the call changed hands: its ingress knows only the holder
        before.
        """
        try:
            last = await CallLog(self._worker.bus).last(self._request.call, "stream_started")
        except NatsAway:
            return
        if last is None or not isinstance(last.event, StreamStarted):
            return
        started, request = last.event, self.runner.held.request
        if last.sequence > request.leg:
            moved = AttachCall(
                request.call,
                epoch,
                Leg(last.sequence),
                started.ingress,
                request.leg,
                started.line_ms,
            )
            await self.runner.follow(moved)
