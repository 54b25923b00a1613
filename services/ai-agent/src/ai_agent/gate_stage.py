"""The PIN gate of a call (shell): performs what the gate decides. No AI session exists yet."""

import asyncio
from collections.abc import Sequence

from ai_agent.call_voice import CallVoice
from ai_agent.early_stage import EarlyStage
from ai_agent.effects import Record
from ai_agent.gate import Gate
from ai_agent.held_call import HeldCall
from ai_agent.keypad_effects import GateEffect, Passed, Refused, SayPrompt, StopSpeech, Verify
from ai_agent.prompts import prompt
from ai_agent.speaker.speaker import Speaker
from ai_agent.stage import AT_THE_GATE
from protocol import line, subjects
from protocol.call import CallState
from protocol.callers import PinStanding, PinState, PinVerdict, VerifyPin
from protocol.errors import DecodeError
from protocol.events import ModeChanged
from protocol.ids import new_event_id
from runtime import clock, errors, logging
from runtime.tasks import Tasks

_log = logging.get("gate")

TICK_S = 0.25
ASK_S = 5.0
WORDS_S = 5.0
"""How long the last words may take before the next stage speaks."""
AWAY = (errors.NoAnswer, errors.NatsAway, errors.Refused, DecodeError)


class GateStage(EarlyStage):
    """Asks for the PIN until it passes or the call is over."""

    def __init__(self, held: HeldCall, speaker: Speaker, state: CallState) -> None:
        super().__init__(held, CallVoice(held, speaker, self._quiet), AT_THE_GATE)
        self._number = state.caller
        self._gate = Gate.resumed(held.brief.assistant.pin, state)
        self._quietly = state.mode == "gate" and state.taken == "handover"
        self._passed: asyncio.Future[Passed | Refused] = asyncio.get_running_loop().create_future()
        self._tasks = Tasks("gate")

    async def run(self) -> Passed | Refused:
        """The gate from its first prompt to its end."""
        if not self._quietly:
            why = "the profile asks for a PIN"
            self._held.record(ModeChanged, {"mode": "gate", "reason": why})
        async with self._tasks as tasks:
            tasks.spawn(self._voice.run(), "voice")
            await self._start()
            tasks.spawn(self._ticking(), "tick")
            ended = await asyncio.shield(self._passed)
            if isinstance(ended, Refused):
                self._voice.end("hangup")
            if isinstance(ended, Refused) or self._leaving:
                await asyncio.Event().wait()  # its voice says goodbye; the call's end ends it
            await self._voice.drained(WORDS_S)
            return ended

    async def _start(self) -> None:
        now = clock.monotonic_ms()
        if self._quietly:
            return await self._perform(self._gate.go_on(now))
        standing = await self._standing()
        now, line_ms = clock.monotonic_ms(), self._held.audio.now_line_ms
        return await self._perform(self._gate.start(now, line_ms, standing))

    def quiet(self) -> bool:
        return self._voice.idle and not self._gate.typing and not self._gate.done

    async def on_key(self, key: line.Dtmf) -> None:
        await self._perform(self._gate.on_key(key, clock.monotonic_ms()))

    # -- within

    async def _quiet(self) -> None:
        await self._perform(self._gate.on_heard(clock.monotonic_ms()))

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._perform(self._gate.on_tick(clock.monotonic_ms()))

    async def _perform(self, effects: Sequence[GateEffect]) -> None:
        if self._leaving:
            effects = [effect for effect in effects if isinstance(effect, Record)]
        for effect in effects:
            match effect:
                case SayPrompt():
                    self._voice.say(prompt(effect, self._held.brief.assistant.language))
                case StopSpeech():
                    await self._voice.stop()
                case Verify():
                    self._tasks.isolate(self._verify(effect.digits), "verify")
                case Record():
                    self._held.record(effect.kind, effect.fields)
                case Passed() | Refused():
                    if not self._passed.done():
                        self._passed.set_result(effect)

    async def _standing(self) -> PinStanding | None:
        try:
            standing: PinStanding = await self._held.worker.bus.request(
                subjects.callers("pin_state"), PinState(self._number), PinStanding, timeout=ASK_S
            )
        except AWAY:
            return None
        return standing

    async def _verify(self, digits: str) -> None:
        question = VerifyPin(self._number, self._held.id, digits, new_event_id())
        try:
            verdict: PinVerdict = await self._held.worker.bus.request(
                subjects.callers("verify_pin"), question, PinVerdict, timeout=ASK_S
            )
        except AWAY as error:
            _log.warning("pin not verified", call_id=self._held.id, kind=type(error).__name__)
            return await self._perform(self._gate.on_unavailable(clock.monotonic_ms()))
        await self._perform(
            self._gate.on_verdict(verdict, clock.monotonic_ms(), self._held.audio.now_line_ms)
        )
        return None
