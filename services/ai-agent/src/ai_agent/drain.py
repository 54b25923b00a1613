"""Gives the calls of a worker that stops to other workers, each at a quiet moment (shell of
handover).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from ai_agent import metrics
from ai_agent.call_runner import CallRunner
from ai_agent.handover import Ask, GoOn, Handover, Offer
from ai_agent.worker import Worker
from protocol import codec, subjects
from protocol.errors import DecodeError
from protocol.events import HandingOver
from protocol.ids import CallId, WorkerId
from protocol.placement import AgentLoad, PrepareCall, Prepared, PrepareReply
from runtime import logging
from runtime.clock import monotonic_ms
from runtime.errors import NatsAway, NoAnswer, Refused, StaleWriter
from runtime.loads import Loads
from runtime.subscribed import Message
from runtime.tasks import Tasks

_log = logging.get("drain")

POLL_S = 0.05
AT_ONCE = 10
"""Successors that are being prepared at the same time."""
PREPARE_EXTRA_S = 3.0
"""What a successor may take beyond the opening of its session."""
WRITE_S = 1.0


class Drain:
    """``calls`` gives those held now."""

    def __init__(self, worker: Worker, calls: Callable[[], list[CallRunner]]) -> None:
        self._worker = worker
        self._calls = calls
        self._loads = Loads()
        self._preparing = asyncio.Semaphore(AT_ONCE)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Hand over what can be handed over, during the block."""
        subscribed = await self._worker.bus.subscribe(subjects.AGENTS_LOAD, self._heard)
        try:
            async with Tasks("drain") as tasks:
                tasks.spawn(self._all(tasks), "all")
                yield
        finally:
            await subscribed.stop()

    async def _heard(self, message: Message) -> None:
        self._loads.heard(codec.decode(AgentLoad, message.data), monotonic_ms())

    async def _all(self, tasks: Tasks) -> None:
        """A task for every call, those included that were being taken when the drain began."""
        known: set[CallId] = set()
        while True:
            for runner in self._calls():
                if runner.held.id not in known:
                    known.add(runner.held.id)
                    tasks.isolate(self._hand_over(runner, tasks), "handover")
            await asyncio.sleep(POLL_S)

    async def _hand_over(self, runner: CallRunner, tasks: Tasks) -> None:
        held, handover = runner.held, Handover()
        while not held.watch.over.is_set():
            now = monotonic_ms()
            passed_over = handover.passed_over(now) | {self._worker.name}
            effects = handover.on_tick(
                now,
                quiet=held.quiet(),
                leg=held.request.leg,
                freest=self._loads.best(now, passed_over),
            )
            for effect in effects:
                match effect:
                    case Ask():
                        self._loads.asked(effect.worker, now)
                        tasks.isolate(self._ask(runner, handover, effect), "ask")
                    case Offer():
                        held.line.mute()
                        tasks.isolate(self._offer(runner, handover, effect.worker), "offer")
                    case GoOn():
                        metrics.HANDOVERS.labels("not taken").inc()
                        _log.warning("call not taken by its successor", call_id=held.id)
                        await runner.unmute()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await held.watch.over.wait()
        if handover.silent and held.watch.why == "overtaken":
            metrics.HANDOVERS.labels("taken").inc()

    async def _ask(self, runner: CallRunner, handover: Handover, ask: Ask) -> None:
        held = runner.held
        request = PrepareCall(held.id, held.epoch, self._worker.name, ask.leg, held.request.ingress)
        ready = False
        async with self._preparing:
            try:
                answer: PrepareReply = await self._worker.bus.request(
                    subjects.agent_prepare(ask.worker),
                    request,
                    PrepareReply,
                    timeout=self._worker.settings.openai_connect_s + PREPARE_EXTRA_S,
                )
                ready = isinstance(answer, Prepared)
            except (NoAnswer, NatsAway, Refused, DecodeError) as error:
                self._loads.suspect(ask.worker, monotonic_ms())
                _log.warning(
                    "successor did not answer",
                    call_id=held.id,
                    worker_asked=ask.worker,
                    kind=type(error).__name__,
                )
        handover.answered(ask.worker, monotonic_ms(), ready=ready)

    async def _offer(self, runner: CallRunner, handover: Handover, successor: WorkerId) -> None:
        held = runner.held
        event = held.event(HandingOver, {"line_ms": held.audio.now_line_ms, "successor": successor})
        try:
            async with asyncio.timeout(WRITE_S):
                await asyncio.shield(held.outbox.append(event))
        except StaleWriter:
            return runner.leave("stale")
        except (TimeoutError, NatsAway, Refused):
            return None  # the handover gives it up in time
        handover.written(successor, monotonic_ms())
        return None
