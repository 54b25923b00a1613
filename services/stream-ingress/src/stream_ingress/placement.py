"""Finding an agent for a call: follows the workers' load, asks the freest, goes on after a decline.

One Agents serves all legs of the process; a leg calls ``place`` or ``attach`` and bounds it. It
never decides what the caller hears meanwhile.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Literal

from msgspec import Struct

from protocol import codec, subjects
from protocol.errors import DecodeError
from protocol.events import Assigned
from protocol.ids import CallId, Epoch, Leg, WorkerId
from protocol.placement import Accepted, AgentLoad, AssignCall, AssignReply, AttachCall, Declined
from runtime import clock, logging
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway, NoAnswer, Refused
from runtime.loads import Loads
from stream_ingress import metrics
from stream_ingress.line_out import Message
from stream_ingress.reach import Reach

_log = logging.get("placement")

ANSWER_WITHIN_S = 0.3
ATTACH_TRIES = 2
RETRY_S = 0.25
"""Longest pause between two rounds of asking."""


class Placed(Struct, frozen=True):
    """Who holds the call, and the leg that it was taken with."""

    epoch: Epoch
    worker: WorkerId
    leg: Leg


Attached = Literal["accepted", "taken", "not_held", "silent", "unknown"]
"""taken: another worker holds the call. not_held: this one does not, or does not want to. unknown:
no answer, which for now proves nothing.
"""


class Agents:
    """The workers heard of, and how to ask one."""

    def __init__(self, bus: Bus, reach: Reach) -> None:
        self._bus = bus
        self._reach = reach
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
        if last is None or not isinstance(last.event, Assigned):
            return None
        return Placed(Epoch(last.sequence), WorkerId(last.event.worker), last.event.leg)

    def suspect(self, worker: WorkerId) -> None:
        """Pass this worker over for a while."""
        self._loads.suspect(worker, clock.monotonic_ms())

    async def place(
        self,
        describe: Callable[[], AssignCall],
        wanted: Callable[[], bool],
        *,
        avoid: WorkerId | None = None,
    ) -> Placed | None:
        """Ask until a worker holds the call; None as soon as it is no longer ``wanted``.

        ``describe`` makes each request anew: the ring and the ledger move on meanwhile. ``avoid``
        is asked only when nobody else took the call.
        """
        passed_over: set[WorkerId] = set() if avoid is None else {avoid}
        while wanted():
            while wanted() and (worker := self._next(passed_over)) is not None:
                passed_over.add(worker)
                placed = await self._ask(worker, describe())
                if placed is not None:
                    return placed
            if avoid is not None:
                passed_over, avoid = passed_over - {avoid}, None
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await self._room.wait()
            passed_over = set()
        return None

    async def attach(self, worker: WorkerId, request: AttachCall) -> Attached:
        """Ask the worker that holds a call to go on with it on a new leg."""
        answer: Attached = "silent"
        asked_ms = clock.monotonic_ms()
        for _ in range(ATTACH_TRIES):
            try:
                reply = await self._bus.request(
                    subjects.agent_attach(worker), request, AssignReply, timeout=ANSWER_WITHIN_S
                )
            except NoAnswer as silence:
                if silence.nobody:
                    answer = "not_held"
                    break
                continue
            except (Refused, DecodeError, NatsAway):
                answer = "not_held"
                break
            match reply:
                case Accepted():
                    answer = "accepted"
                case Declined(reason):
                    answer = "taken" if reason == "taken" else "not_held"
                case _:
                    raise AssertionError("the decoder gives nothing else")
            break
        if answer == "silent":
            if await self._reach.sure(asked_ms):
                self.suspect(worker)
            else:
                answer = "unknown"
        metrics.attached.labels(answer).inc()
        _log.info(
            "holder asked to attach", call_id=request.call, worker_asked=worker, answer=answer
        )
        return answer

    async def _ask(self, worker: WorkerId, request: AssignCall) -> Placed | None:
        asked_ms = clock.monotonic_ms()
        self._loads.asked(worker, asked_ms)
        try:
            reply = await self._bus.request(
                subjects.agent_assign(worker), request, AssignReply, timeout=ANSWER_WITHIN_S
            )
        except NoAnswer:
            if await self._reach.sure(asked_ms):
                self.suspect(worker)
            metrics.asked.labels("none").inc()
            _log.warning("worker did not answer", call_id=request.call, worker_asked=worker)
            return None
        except (Refused, DecodeError, NatsAway) as error:
            if not isinstance(error, NatsAway):
                self.suspect(worker)
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
                return Placed(reply.epoch, worker, request.leg)
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
