"""One call on this worker (shell): from the assignment to the last event, through its stages.

Gate (if the profile asks for a PIN), then conversation or keypad menu; a conversation that cannot
go on falls to the keypad, and comes back when the caller asks. Owns every task and subscription;
they live in the block of ``alive``.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import Literal, TypeVar

from ai_agent import admission, call_brief, metrics, recording
from ai_agent.admission import Standing
from ai_agent.announce_stage import AnnounceStage
from ai_agent.dialogue import ASKED, Dialogue
from ai_agent.gate_stage import GateStage
from ai_agent.held_call import HeldCall
from ai_agent.keypad_effects import Passed, PromptName
from ai_agent.listening import Listening
from ai_agent.menu_stage import MenuStage
from ai_agent.money import Money
from ai_agent.orders import Orders
from ai_agent.realtime.connection import SessionFailed
from ai_agent.session import Session, opened
from ai_agent.stage import Stage
from ai_agent.steering import steered
from ai_agent.talk import BUDGET
from ai_agent.tool_calls import ToolCalls
from ai_agent.worker import Worker
from protocol import line
from protocol.call import CallState, fold
from protocol.events import CallerAdmitted, LimitReached
from protocol.ids import Epoch
from protocol.placement import AssignCall, AttachCall
from runtime import logging
from runtime.calllog import CallLog
from runtime.errors import NatsAway, StaleWriter
from runtime.outbox import writing

_log = logging.get("call")

T = TypeVar("T")
NO_SESSION = "no session"
LEADS: dict[str, PromptName | None] = {BUDGET: "budget", ASKED: None}
"""What the menu says first, by the reason for it, where that is not a fault."""
FLUSH_S = 2.0
AGAIN_S = 0.2
STANDINGS: dict[str, Literal["known", "guest", "refused"]] = {
    "known": "known",
    "guest": "guest",
    "refused": "refused",
}


class CallRunner:
    """The call ``request.call`` held under ``epoch``; 0: only prepared for, until ``hold``."""

    def __init__(self, worker: Worker, request: AssignCall, epoch: Epoch) -> None:
        self._worker = worker
        self._held = HeldCall(worker, request, epoch)
        self._listening = Listening(self._held)
        self._orders = Orders(self._held)
        self._tools = ToolCalls(
            worker.toolbox, request.call, self._held.event, lambda: self._held.outbox
        )
        self._session: Session | None = None
        self._silent_ms = sys.maxsize
        """From where on the line the worker before heard nothing any more, if it handed over."""

    @property
    def held(self) -> HeldCall:
        return self._held

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncGenerator[None]:
        """The call's tasks, writer and subscriptions for the block; nothing outlives it."""
        held = self._held
        logging.about(held.id)
        try:
            async with (
                held.tasks as tasks,
                writing(self._worker.bus, held.id, tasks) as held.outbox,
                steered(held, self._orders.obey),
            ):
                if held.epoch:
                    held.outbox.fence(held.epoch)
                tasks.spawn(held.watch.run(), "watch")
                tasks.spawn(self._until_stale(), "stale")
                try:
                    yield
                finally:
                    if self._session is not None:
                        await self._session.close()
        finally:
            await self._listening.stop()
            await held.watch.stop()
            _log.info("call left", call_id=held.id, epoch=held.epoch, why=held.watch.why)

    async def listen(self) -> None:
        """Hear the line and the end of the call from here on."""
        await self._listening.start()

    async def follow(self, moved: AttachCall) -> None:
        """The call has a new line: hear that."""
        await self._listening.follow(moved)

    async def unmute(self) -> None:
        """Nobody took the call over: speak again."""
        await self._held.line.unmute()
        await self._listening.regained()

    async def prepare(self) -> None:
        """Be ready to go on with a call that another worker holds; writes nothing. Raises
        SessionFailed, ServiceError, NatsAway.
        """
        state = await self._state()
        await self._brief(state)
        if state.mode == "conversation":
            self._session = await opened(self._held)

    async def run(self) -> None:
        """Carry the call until it is over for this worker."""
        held = self._held
        held.tasks.isolate(self._carry(), "stages")
        await held.watch.over.wait()

    def leave(self, why: str) -> None:
        """Let go of the call."""
        self._held.watch.leave(why)

    async def _until_stale(self) -> None:
        await self._held.outbox.stale.wait()
        self.leave("stale")

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
        state = await self._written()
        if state.taken == "handover" and state.handed_over_ms is not None:
            self._silent_ms = state.handed_over_ms
        standing = await self._brief(state)
        if not state.standing:
            held.record(CallerAdmitted, {"standing": standing.kind, "reason": standing.reason})
        if standing.kind == "refused":
            _log.info("call refused", call_id=held.id, reason=standing.reason)
            with contextlib.suppress(NatsAway):
                await held.end("refused")
            return None
        if held.ended:
            return None
        self._orders.go_on(state.operator)
        assistant = held.brief.assistant
        if assistant.pin.required and state.pin_accepted_line_ms is None and not _passed(state):
            gate = GateStage(held, self._worker.speaker, state)
            passed = await self._through(gate, gate.run())
            assert isinstance(passed, Passed), "a refused caller stays at the gate until the end"
            held.passed_line_ms = passed.line_ms
            held.audio.forget()
        held.passed_line_ms = max(held.passed_line_ms, state.pin_accepted_line_ms or 0)
        await self._tell_recorded(state)
        money = Money(self._worker.bus, assistant, call_usd=state.cost_usd)
        menu: MenuStage | None = None
        if (state.mode if state.mode in ("keypad", "conversation") else assistant.mode) == "keypad":
            why = "the profile or the call before says so"
            menu = await self._keypad(why, None, state)
        # A conversation that is taken over does not wait for the day's figure: it learns it with
        # the next thing that it spends.
        spent = None if state.mode == "conversation" else await money.spent_before()
        if spent is not None:
            held.record(LimitReached, {"limit": spent})
        while not held.ended:
            why = BUDGET if spent else await self._talk(money, back=menu is not None)
            if held.ended:
                return None
            if not (assistant.menu or assistant.transfer.number):
                if not await self._given_back() or why == BUDGET:
                    return await self._give_up(why)
                continue  # the model may be well again
            if menu is not None and why.startswith(NO_SESSION):
                await self._through(menu, menu.back())
            else:
                menu = await self._keypad(why, LEADS.get(why, "keypad"))
        return None

    async def _brief(self, state: CallState) -> Standing:
        """Whether the call may go on, and what it is made of, unless that is known."""
        loaded = call_brief.profile(self._worker, state.called, state.session)
        if state.standing in STANDINGS:
            standing = Standing(STANDINGS[state.standing])
        else:
            standing = await admission.admit(self._worker.bus, loaded.assistant, state)
        if standing.kind != "refused" and not self._held.is_briefed:
            brief = await call_brief.prepare(self._worker, state, loaded, standing)
            self._held.briefed(brief)
        return standing

    async def _tell_recorded(self, state: CallState) -> None:
        """Open the ear; who is recorded hears so before anything else, while a session opens."""
        held = self._held
        await recording.opened(held, state)
        words = recording.announcement(held, state)
        if words is None:
            return
        opening = held.tasks.isolate(self._open_early(), "early session")
        stage = AnnounceStage(held, self._worker.speaker, words)
        await self._through(stage, stage.run())
        self._listening.put_back(stage.keys)
        await asyncio.wait({opening})

    async def _open_early(self) -> None:
        if self._session is None and self._held.brief.assistant.mode == "conversation":
            with contextlib.suppress(SessionFailed):
                self._session = await opened(self._held)

    async def _keypad(
        self, reason: str, lead: PromptName | None, state: CallState | None = None
    ) -> MenuStage:
        """The keypad menu, until the caller asks for the assistant."""
        # What is spent stays spent: each way back to the model would cost more.
        there = lead != "budget"
        menu = MenuStage(self._held, self._worker.speaker, self._tools, assistant_there=there)
        await self._through(menu, menu.run(reason=reason, lead=lead, state=state))
        return menu

    async def _talk(self, money: Money, *, back: bool) -> str:
        """A conversation; why it could not go on."""
        session, self._session = self._session, None
        dialogue = Dialogue(self._held, self._tools, money, self._written, session)
        try:
            return await self._through(dialogue, dialogue.run(back=back))
        except SessionFailed as error:
            return f"{NO_SESSION}: {error.reason}"

    async def _given_back(self) -> bool:
        """Wait until no operator speaks any more: as long as one does the caller is served. False
        when none did.
        """
        if not self._held.floor.muted:
            return False
        for _ in iter(lambda: self._held.floor.muted and not self._held.ended, False):
            await asyncio.sleep(AGAIN_S)
        return not self._held.ended

    async def _through(self, stage: Stage, work: Awaitable[T]) -> T:
        self._held.stage = stage
        # At the gate and in the menu an entry begins with the stage, unless that goes on.
        from_ms = 0 if isinstance(stage, Dialogue) else self._silent_ms
        early = self._listening.early_keys(from_ms)
        if early:
            self._held.tasks.isolate(_press(stage, early), "early keys")
        return await work

    async def _state(self) -> CallState:
        held = self._held
        at_least = held.epoch or held.request.previous_epoch
        entries = await CallLog(self._worker.bus).read(held.id, at_least=at_least)
        return fold(held.id, ((entry.sequence, entry.event) for entry in entries))

    async def _written(self) -> CallState:
        """The state with everything in it that this worker has to write; waits for NATS."""
        while True:
            if await self._held.outbox.flush(FLUSH_S):
                with contextlib.suppress(NatsAway):
                    return await self._state()
            await asyncio.sleep(AGAIN_S)

    async def _give_up(self, reason: str) -> None:
        metrics.GIVEN_UP.inc()
        _log.error("call given up", call_id=self._held.id, reason=reason)
        with contextlib.suppress(NatsAway):
            await self._held.end("failed")


def _passed(state: CallState) -> bool:
    """The call was past the gate before, though nobody asked for a PIN there."""
    return state.mode in ("keypad", "conversation")


async def _press(stage: Stage, keys: Sequence[line.Dtmf]) -> None:
    for key in keys:
        await stage.on_key(key)
