"""A simulated person: asks the questions of the plan, listens to every word, asks again when the
line stays silent, and gives up in the end.
"""

import asyncio
from collections.abc import Callable

from testbed.chaos import voice
from testbed.chaos.heard import HeardWords, Listener
from testbed.chaos.judge import CallRecord, Phase
from testbed.chaos.plan import GREETING, CallPlan
from testbed.twilio import Call, SimulatedTwilio

LOOK_S = 0.04
PATIENCE_MS = 6_000
"""Silence, in place of a word that is owed, after which a question is asked again."""
TRIES = 4
GREETING_PATIENCE_MS = 25_000


class Caller:
    """One call from dial to hang-up; `record` is what came of it."""

    def __init__(
        self, plan: CallPlan, number: str, on_phase: Callable[["Caller", Phase], None]
    ) -> None:
        self.record = CallRecord(plan, HeardWords(plan.call))
        self.phase: Phase = "before"
        self.call: Call | None = None
        self._plan = plan
        self._number = number
        self._on_phase = on_phase

    @property
    def talking(self) -> bool:
        """The call is under way."""
        return self.phase not in ("before", "done")

    async def run(self, twilio: SimulatedTwilio) -> None:
        """Ring, talk, hang up. What goes wrong on the way is in the record."""
        await asyncio.sleep(self._plan.starts_s)
        call = self.call = await twilio.dial(self._number)
        record = self.record
        record.call_id = call.sid
        listener = Listener(call.ear)
        try:
            record.finished = await self._talk(call, listener)
        finally:
            self._set("done")
            if not call.over:
                await call.hang_up()
            self._listen(listener)
            record.end_reason = call.end_reason or ""
            record.spoken = [spoken.content for spoken in call.ear.spoken]
            record.strange_ms = max(0.0, call.ear.heard_ms() - record.heard.pieces_ms)

    async def _talk(self, call: Call, listener: Listener) -> bool:
        self.record.asked_ms[GREETING] = 0.0
        self._set("greeting")
        await self._hears(call, listener, GREETING, GREETING_PATIENCE_MS)
        for question in self._plan.questions:
            self._set("quiet")
            await asyncio.sleep(question.pause_ms / 1000)
            self.record.began_ms[question.number] = call.now_ms()
            for attempt in range(TRIES):
                self._set("asking")
                self.record.asked_again += attempt > 0
                if not await call.say(voice.question(self._plan.call, question.number)):
                    return False
                self.record.asked_ms.setdefault(question.number, call.now_ms())
                self._set("owed")
                if await self._hears(call, listener, question.number, PATIENCE_MS):
                    break
            else:
                return False
            if call.over:
                return False
        return not call.over

    async def _hears(self, call: Call, listener: Listener, number: int, patience_ms: float) -> bool:
        """Listen until an answer was heard whole; False when the line stays without its words."""
        words, since_ms = self._plan.words(number), call.now_ms()
        while not self.record.heard.all_of(number, words):
            if call.over:
                return False
            await asyncio.sleep(LOOK_S)
            self._listen(listener)
            if self.phase in ("owed", "greeting") and self.record.heard.any_of(number):
                self._set("speaking")
            if call.now_ms() - max(since_ms, self.record.heard.last_new_ms) > patience_ms:
                return False
        # The last word is heard to its end before the caller goes on.
        await asyncio.sleep(voice.WORD_MS / 1000)
        self._listen(listener)
        return True

    def _listen(self, listener: Listener) -> None:
        for at_ms, piece in listener.new():
            self.record.heard.hear(at_ms, piece)

    def _set(self, phase: Phase) -> None:
        if phase != self.phase:
            self.phase = phase
            self._on_phase(self, phase)
