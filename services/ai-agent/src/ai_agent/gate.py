"""The PIN gate of one call (PURE): keys, time and verdicts in, effects out; no AI session before
it passed.

The call runner performs the effects. Digits stand here only while they are typed, leave in
``Verify`` alone, and are in no record: every key of the gate is written masked.
"""

from typing import Self

from ai_agent.effects import Record
from ai_agent.keypad_effects import (
    GateEffect,
    Passed,
    PromptName,
    Refused,
    RefusedReason,
    SayPrompt,
    StopSpeech,
    Verify,
)
from protocol import callers, line
from protocol.call import CallState
from protocol.callers import PinStanding, PinVerdict
from protocol.events import KeyPressed, PinAccepted, PinRejected, PinRequested
from runtime.assistant import Pin

DIGITS = frozenset("0123456789")
MIN_DIGITS = 4
MAX_DIGITS = 8
TRIES = 3
"""Entries of a call that are verified, whatever the verdicts say is left."""
MAX_KEYS = 100
"""Keys of a call at the gate; an honest caller needs about thirty."""
PROMPT_MS = 20_000
"""A prompt counts as heard after this long, should nobody report it."""
VERDICT_MS = 15_000
"""How long a verdict is waited for."""
MASK = "•"


class Gate:
    """Asks for the PIN. After Passed or Refused it has no further effect."""

    def __init__(self, pin: Pin, *, attempt: int = 1) -> None:
        self._pin = pin
        self._attempt = attempt
        self._digits = ""
        self._verified = 0
        self._reminded = 0
        self._keys = 0
        self._line_ms = 0
        self._key_ms = 0
        self._done = False
        self._speaking_ms: int | None = None
        self._verifying_ms: int | None = None
        self._quiet_ms: int | None = None

    @classmethod
    def resumed(cls, pin: Pin, state: CallState) -> Self:
        """The gate of a call taken over in the middle of it: asks for the whole PIN again under
        the attempt that was open; the tries are the verdicts' business and stay.
        """
        gate = cls(pin, attempt=max(1, state.pin_attempts))
        gate._verified = max(0, state.pin_attempts - 1)
        gate._keys = sum(1 for key in state.keys if key.digit == MASK)
        return gate

    @property
    def done(self) -> bool:
        """Passed or refused."""
        return self._done

    @property
    def typing(self) -> bool:
        """An entry is under way: no moment to hand the call over."""
        return bool(self._digits) or self._verifying_ms is not None

    # -- from the runner

    def start(
        self, now_ms: int, line_ms: int = 0, standing: PinStanding | None = None
    ) -> list[GateEffect]:
        """Ask. ``standing`` (callers.pin_state) spares a caller who is locked out or has no PIN
        the question; None: not known.
        """
        if standing is not None and standing.locked_s > 0:
            return self._verdict(callers.PinLocked(standing.locked_s), now_ms, line_ms)
        if standing is not None and not standing.has_pin:
            return self._verdict(callers.NoPin(), now_ms, line_ms)
        return [self._requested(), self._say("gate_prompt", now_ms)]

    def go_on(self, now_ms: int) -> list[GateEffect]:
        """Instead of ``start``: it was asked before, and handed over in a quiet moment. Nothing
        is said; silence counts from here.
        """
        self._quiet_ms = now_ms
        return []

    def on_heard(self, now_ms: int) -> list[GateEffect]:
        """What was said has been heard to its end: silence counts from here."""
        if self._speaking_ms is not None:
            self._speaking_ms, self._quiet_ms = None, now_ms
        return []

    def on_key(self, key: line.Dtmf, now_ms: int) -> list[GateEffect]:
        """A key. It counts while a prompt plays too, and silences it."""
        if self._done:
            return []
        self._keys += 1
        if self._keys > MAX_KEYS:
            return self._refuse("keys", now_ms)
        self._line_ms = max(self._line_ms, key.line_ms)
        masked = {"digit": MASK, "line_ms": key.line_ms, "masked": True}
        effects: list[GateEffect] = [Record(KeyPressed, masked)]
        if self._verifying_ms is not None:
            return effects  # a late # after the eighth digit, or an impatient caller
        if self._speaking_ms is not None:
            self._speaking_ms = None
            effects.append(StopSpeech())
        self._quiet_ms = self._key_ms = now_ms
        if key.digit == "*":
            if self._digits:
                effects.append(self._say("gate_restarted", now_ms))
            self._digits = ""
        elif key.digit == "#":
            effects += self._entered(now_ms) if self._digits else []
        elif key.digit in DIGITS:
            self._digits += key.digit
            effects += self._entered(now_ms) if len(self._digits) >= MAX_DIGITS else []
        return effects

    def on_verdict(self, verdict: PinVerdict, now_ms: int, line_ms: int = 0) -> list[GateEffect]:
        """The answer to ``Verify``; one that nobody waits for changes nothing."""
        if self._done or self._verifying_ms is None:
            return []
        self._verifying_ms = None
        return self._verdict(verdict, now_ms, line_ms)

    def on_unavailable(self, now_ms: int) -> list[GateEffect]:
        """PINs cannot be verified right now: nobody is let in unverified."""
        return [] if self._done else self._refuse("unavailable", now_ms, "gate_unavailable")

    def on_tick(self, now_ms: int) -> list[GateEffect]:
        """Time passes: call it a few times a second."""
        if self._done:
            return []
        if self._verifying_ms is not None:
            late = now_ms - self._verifying_ms >= VERDICT_MS
            return self.on_unavailable(now_ms) if late else []
        if self._speaking_ms is not None:
            return self.on_heard(now_ms) if now_ms - self._speaking_ms >= PROMPT_MS else []
        if self._digits:
            ended = now_ms - self._key_ms >= self._pin.digit_timeout_s * 1000
            return self._entered(now_ms) if ended else []
        if self._quiet_ms is None or now_ms - self._quiet_ms < self._pin.reminder_s * 1000:
            return []
        return self._remind(now_ms)

    # -- what follows

    def _entered(self, now_ms: int) -> list[GateEffect]:
        digits, self._digits = self._digits, ""
        if len(digits) < MIN_DIGITS:
            return self._remind(now_ms, "gate_too_short")
        self._verified += 1
        self._verifying_ms = now_ms
        return [Verify(digits)]

    def _remind(self, now_ms: int, prompt: PromptName = "gate_reminder") -> list[GateEffect]:
        if self._reminded >= self._pin.reminders:
            return self._refuse("silence", now_ms)
        self._reminded += 1
        return [self._say(prompt, now_ms)]

    def _verdict(self, verdict: PinVerdict, now_ms: int, line_ms: int) -> list[GateEffect]:
        self._line_ms = max(self._line_ms, line_ms)
        match verdict:
            case callers.PinAccepted():
                accepted = Record(PinAccepted, {"line_ms": self._line_ms})
                return [accepted, SayPrompt("gate_accepted"), *self._pass(verdict)]
            case callers.PinRejected():
                return self._rejected(verdict.tries_left, now_ms)
            case callers.PinLocked():
                minutes = max(1, -(-verdict.seconds // 60))
                return self._refuse("locked", now_ms, "gate_locked", minutes=minutes)
            case callers.NoPin():
                if self._pin.without_pin == "allow":
                    return self._pass(None)
                return self._refuse("no_pin", now_ms, "gate_no_pin")

    def _pass(self, verdict: callers.PinAccepted | None) -> list[GateEffect]:
        self._done = True
        return [Passed(None if verdict is None else verdict.caller_id, self._line_ms)]

    def _rejected(self, tries_left: int, now_ms: int) -> list[GateEffect]:
        left = max(0, min(tries_left, TRIES - self._verified))
        fields = {"attempt": self._attempt, "tries_left": left}
        rejected = Record(PinRejected, fields)
        if left == 0:
            return [rejected, *self._refuse("tries", now_ms)]
        self._attempt += 1
        self._reminded = 0
        again = self._say("gate_wrong", now_ms, tries_left=left)
        return [rejected, self._requested(), again]

    def _refuse(
        self,
        reason: RefusedReason,
        now_ms: int,
        prompt: PromptName = "gate_refused",
        **fields: int,
    ) -> list[GateEffect]:
        stop: list[GateEffect] = [] if self._speaking_ms is None else [StopSpeech()]
        self._done, self._digits = True, ""
        return [*stop, self._say(prompt, now_ms, **fields), Refused(reason)]

    def _requested(self) -> Record:
        return Record(PinRequested, {"attempt": self._attempt})

    def _say(self, name: PromptName, now_ms: int, **fields: int) -> SayPrompt:
        self._speaking_ms, self._quiet_ms = now_ms, None
        return SayPrompt(name, dict(fields))
