"""Finding an agent for a call: follows the workers' load, asks the freest, goes on after a decline.

One Agents serves all legs of the process; a leg calls ``place`` and bounds it. It never decides
what the caller hears meanwhile.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from msgspec import Struct

from protocol import codec, subjects
from protocol.errors import DecodeError
from protocol.ids import CallId, Epoch, WorkerId
from protocol.placement import Accepted, AgentLoad, AssignCall, AssignReply, Declined
from runtime import clock, logging
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway, NoAnswer, Refused
from stream_ingress import metrics
from stream_ingress.line_out import Message
from stream_ingress.loads import Loads

_log = logging.get("placement")

ANSWER_WITHIN_S = 0.3
RETRY_S = 0.25
"""Longest pause between two rounds of asking."""


class Placed(Struct, frozen=True):
    """Who holds the call."""

    epoch: Epoch
    worker: WorkerId


class Agents:
    """The workers heard of, and how to ask one."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._loads = Loads()
        self._room = asyncio.Event()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncGenerator[None]:
        """Listen to the workers' loads during the block."""
        subscription = await self._bus.subscribe(subjects.AGENTS_LOAD, self._heard)
        try:
            yield
        finally:
            await subscription.stop()

    async def holder(self, call: CallId) -> Placed | None:
        """Who holds the call as the log has it, or None. Raises NatsAway."""
        last = await CallLog(self._bus).last(call, "assigned")
        if last is None:
            return None
        return Placed(Epoch(last.sequence), WorkerId(last.event.worker))

    async def place(
        self, describe: Callable[[], AssignCall], wanted: Callable[[], bool]
    ) -> Placed | None:
        """Ask until a worker holds the call; None as soon as it is no longer ``wanted``.

        ``describe`` makes each request anew: the ring and the ledger move on meanwhile.
        """
        while wanted():
            passed_over: set[WorkerId] = set()
            while wanted() and (worker := self._next(passed_over)) is not None:
                passed_over.add(worker)
                placed = await self._ask(worker, describe())
                if placed is not None:
                    return placed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await self._room.wait()
        return None

    async def _ask(self, worker: WorkerId, request: AssignCall) -> Placed | None:
        self._loads.asked(worker, clock.monotonic_ms())
        try:
            reply = await self._bus.request(
                subjects.agent_assign(worker), request, AssignReply, timeout=ANSWER_WITHIN_S
            )
        except NoAnswer:
            self._loads.suspect(worker, clock.monotonic_ms())
            metrics.asked.labels("none").inc()
            _log.warning("worker did not answer", call_id=request.call, worker_asked=worker)
            return None
        except (Refused, DecodeError, NatsAway) as error:
            self._loads.suspect(worker, clock.monotonic_ms())
            metrics.asked.labels("error").inc()
            _log.warning(
                "worker could not be asked",
                call_id=request.call,
                worker_asked=worker,
                kind=type(error).__name__,
            )
            return None
        match reply:
            case Accepted():
                metrics.asked.labels("accepted").inc()
                return Placed(reply.epoch, worker)
            case Declined(reason):
                metrics.asked.labels(reason).inc()
                return await self._taken(request) if reason == "taken" else None
            case _:
                raise AssertionError("the decoder gives nothing else")

    async def _taken(self, request: AssignCall) -> Placed | None:
        with contextlib.suppress(NatsAway):
            found = await self.holder(request.call)
            if found is not None and found.epoch > request.previous_epoch:
                return found
        return None

    def _next(self, passed_over: set[WorkerId]) -> WorkerId | None:
        return self._loads.best(clock.monotonic_ms(), passed_over)

    async def _heard(self, message: Message) -> None:
        if self._loads.heard(codec.decode(AgentLoad, message.data), clock.monotonic_ms()):
            # Whoever waits now is woken; whoever waits next waits for the next word.
            self._room.set()
            self._room.clear()
