"""One call on this worker (shell): from the assignment to the last event, through its stages.

Gate (if the profile asks for a PIN), then conversation or keypad menu; a conversation that cannot
go on falls to the keypad, and comes back when the caller asks. Owns every task and subscription.
"""

import contextlib
from collections.abc import Awaitable
from typing import TypeVar

from ai_agent import admission, call_brief, metrics
from ai_agent.gate_stage import GateStage
from ai_agent.held_call import HeldCall
from ai_agent.keypad_effects import Passed, PromptName
from ai_agent.menu_stage import MenuStage
from ai_agent.money import Money
from ai_agent.realtime.connection import SessionFailed
from ai_agent.stage import Stage
from ai_agent.steering import steered
from ai_agent.talk import BUDGET, Talk
from ai_agent.talk import NO_SESSION as NOT_OPEN
from ai_agent.tool_calls import ToolCalls
from ai_agent.worker import Worker
from protocol import codec, commands, line, subjects
from protocol.call import CallState, fold
from protocol.events import CallerAdmitted, LimitReached
from protocol.ids import Epoch
from protocol.placement import AssignCall
from runtime import logging
from runtime.calllog import CallLog
from runtime.errors import NatsAway, StaleWriter
from runtime.outbox import writing

_log = logging.get("call")

T = TypeVar("T")
NO_SESSION = "no session"


class CallRunner:
    """The call ``request.call`` held under ``epoch``."""

    def __init__(self, worker: Worker, request: AssignCall, epoch: Epoch) -> None:
        self._worker = worker
        self._held = HeldCall(worker, request, epoch)
        self._stage: Stage | None = None
        self._tools = ToolCalls(worker.toolbox, self._held.event, lambda: self._held.outbox)

    async def listen(self) -> None:
        """Hear the line and the end of the call from here on."""
        held = self._held
        await held.watch.listen(subjects.line_in(held.id, held.request.leg), self._on_line)

    async def run(self) -> None:
        """Hold the call until it ends; leaves nothing behind."""
        held = self._held
        try:
            async with (
                held.tasks as tasks,
                writing(self._worker.bus, held.id, tasks) as held.outbox,
                steered(held, self._obey),
            ):
                held.outbox.fence(held.epoch)
                tasks.spawn(held.watch.run(held.outbox.stale), "watch")
                tasks.isolate(self._carry(), "stages")
                await held.watch.over.wait()
        finally:
            await held.watch.stop()
            _log.info("call left", call_id=held.id, epoch=held.epoch, why=held.watch.why)

    def leave(self, why: str) -> None:
        """Let go of the call."""
        self._held.watch.leave(why)

    # -- stages

    async def _carry(self) -> None:
        """All stages, one after the other; when none can go on, end the call honestly."""
        try:
            await self._stages()
        except StaleWriter:
            self.leave("stale")
        except Exception:
            # Silence on the line is worse than an apology: end the call, then let the error be
            # seen.
            await self._give_up("internal error")
            raise

    async def _stages(self) -> None:
        held = self._held
        state = await self._state()
        loaded = call_brief.profile(self._worker, state.called)
        assistant = loaded.assistant
        standing = await admission.admit(self._worker.bus, assistant, state)
        held.record(CallerAdmitted, {"standing": standing.kind, "reason": standing.reason})
        if standing.kind == "refused":
            _log.info("call refused", call_id=held.id, reason=standing.reason)
            with contextlib.suppress(NatsAway):
                await held.end("refused")
            return None
        held.briefed(await call_brief.prepare(self._worker, state, loaded, standing))
        if assistant.pin.required and state.pin_accepted_line_ms is None:
            gate = GateStage(held, self._worker.speaker, state)
            passed = await self._through(gate, gate.run())
            assert isinstance(passed, Passed), "a refused caller stays at the gate until the end"
            held.passed_line_ms = passed.line_ms
            held.audio.forget()
        money = Money(self._worker.bus, assistant, call_usd=state.cost_usd)
        menu: MenuStage | None = None
        if (state.mode if state.mode in ("keypad", "conversation") else assistant.mode) == "keypad":
            menu = await self._keypad("the profile or the call before says so", None)
        spent = await money.spent_before()
        if spent is not None:
            held.record(LimitReached, {"limit": spent})
        while not held.ended:
            why = BUDGET if spent else await self._talk(money, back=menu is not None)
            if not (assistant.menu or assistant.transfer.number):
                return await self._give_up(why)
            if menu is not None and why.startswith(NO_SESSION):
                await self._through(menu, menu.back())
            else:
                menu = await self._keypad(why, "budget" if why == BUDGET else "keypad")
        return None

    async def _keypad(self, reason: str, lead: PromptName | None) -> MenuStage:
        """The keypad menu, until the caller asks for the assistant."""
        # What is spent stays spent: each way back to the model would cost more.
        there = lead != "budget"
        menu = MenuStage(self._held, self._worker.speaker, self._tools, assistant_there=there)
        await self._through(menu, menu.run(reason=reason, lead=lead))
        return menu

    async def _talk(self, money: Money, *, back: bool) -> str:
        """A conversation; why it could not go on."""
        talk = Talk(self._held, self._tools, await self._state(), money)
        try:
            return await self._through(talk, talk.run(back=back))
        except SessionFailed as error:
            return f"{NO_SESSION}: {error.reason}"

    async def _through(self, stage: Stage, work: Awaitable[T]) -> T:
        self._stage = stage
        return await work

    async def _state(self) -> CallState:
        entries = await CallLog(self._worker.bus).read(self._held.id, at_least=self._held.epoch)
        return fold(self._held.id, ((entry.sequence, entry.event) for entry in entries))

    async def _give_up(self, reason: str) -> None:
        metrics.GIVEN_UP.inc()
        _log.error("call given up", call_id=self._held.id, reason=reason)
        with contextlib.suppress(NatsAway):
            await self._held.end("failed")

    # -- commands

    async def _obey(self, command: commands.Command) -> commands.Reply:
        stage = self._stage
        return await stage.update(command) if isinstance(stage, Talk) else NOT_OPEN

    # -- the line

    async def _on_line(self, kind: str, data: bytes) -> None:
        if kind == "audio":
            return self._held.audio.live(data)
        stage = self._stage
        if kind == "clock":
            self._held.audio.at(codec.decode(line.Clock, data).line_ms)
        elif stage is None:
            return None
        elif kind == "dtmf":
            await stage.on_key(codec.decode(line.Dtmf, data))
        elif kind == "heard":
            await stage.on_heard(codec.decode(line.Heard, data))
        elif kind == "cleared":
            await stage.on_cleared(codec.decode(line.Cleared, data))
        return None
