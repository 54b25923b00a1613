"""The PIN gate: examples of each way through it, and a state machine of impatient callers."""

from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ai_agent.effects import Record
from ai_agent.gate import MASK, MAX_KEYS, PROMPT_MS, VERDICT_MS, Gate
from ai_agent.keypad_effects import Passed, Refused, SayPrompt, StopSpeech, Verify
from protocol import line
from protocol.call import CallState
from protocol.callers import NoPin, PinAccepted, PinLocked, PinRejected, PinStanding
from protocol.events import KeyPressed
from protocol.events import PinAccepted as Accepted
from protocol.events import PinRejected as Rejected
from protocol.events import PinRequested as Requested
from protocol.ids import CallerId, EventId, new_call_id
from runtime.assistant import Pin

PIN = Pin(required=True, digit_timeout_s=4, reminder_s=8, reminders=2)
ADA = PinAccepted(CallerId("ada"))


def opened(pin=PIN):
    gate = Gate(pin)
    gate.start(0)
    gate.on_heard(0)
    return gate


def press(gate, keys, at=1_000, gap=300):
    effects = []
    for n, key in enumerate(keys):
        effects += gate.on_key(line.Dtmf(key, 5_000 + n * gap), at + n * gap)
    return effects


def said(effects):
    return [e.name for e in effects if isinstance(e, SayPrompt)]


def verified(effects):
    return [e.digits for e in effects if isinstance(e, Verify)]


def records(effects, kind):
    return [e.fields for e in effects if isinstance(e, Record) and e.kind is kind]


def refusals(effects):
    return [e.reason for e in effects if isinstance(e, Refused)]


def test_it_asks_before_anything_else():
    effects = Gate(PIN).start(0)
    assert said(effects) == ["gate_prompt"]
    assert records(effects, Requested) == [{"attempt": 1}]


@pytest.mark.parametrize(
    ("keys", "digits"),
    [
        ("4711#", ["4711"]),
        ("12345678", ["12345678"]),
        ("12*4711#", ["4711"]),
        ("4711", []),
        ("***#", []),
        ("*#", []),
        ("#", []),
        ("AB4711#", ["4711"]),
        ("123#", []),
    ],
)
def test_what_ends_an_entry(keys, digits):
    assert verified(press(opened(), keys)) == digits


def test_the_pound_key_after_eight_digits_is_no_second_entry():
    gate = opened()
    assert verified(press(gate, "12345678#")) == ["12345678"]
    gate.on_verdict(PinRejected(2), 5_000)
    assert verified(press(gate, "#", 6_000)) == []


def test_silence_after_four_digits_ends_the_entry():
    gate = opened()
    press(gate, "4711")  # the last at 1,900
    assert gate.on_tick(5_899) == []
    assert verified(gate.on_tick(5_900)) == ["4711"]


def test_silence_after_three_digits_asks_for_the_whole_pin_again():
    gate = opened()
    press(gate, "471")
    assert said(gate.on_tick(5_600)) == ["gate_too_short"]
    gate.on_heard(8_000)
    assert verified(press(gate, "1#", 9_000)) == [], "the three digits are gone"


def test_reminders_are_counted_from_the_end_of_the_prompt_and_bounded():
    gate = Gate(PIN)
    gate.start(0)
    assert gate.on_tick(15_000) == [], "the prompt still plays"
    gate.on_heard(15_000)
    assert gate.on_tick(22_999) == []
    assert said(gate.on_tick(23_000)) == ["gate_reminder"]
    gate.on_heard(25_000)
    assert said(gate.on_tick(33_000)) == ["gate_reminder"]
    gate.on_heard(35_000)
    effects = gate.on_tick(43_000)
    assert said(effects) == ["gate_refused"]
    assert refusals(effects) == ["silence"]


def test_a_prompt_that_nobody_reports_as_heard_does_not_hold_the_call_for_ever():
    gate = Gate(PIN)
    gate.start(0)
    gate.on_tick(PROMPT_MS)
    assert said(gate.on_tick(PROMPT_MS + 8_000)) == ["gate_reminder"]


def test_a_key_silences_the_prompt_and_counts():
    gate = Gate(PIN)
    gate.start(0)
    first = press(gate, "4")
    assert [e for e in first if isinstance(e, StopSpeech)] == [StopSpeech()]
    rest = press(gate, "711#", 2_000)
    assert not any(isinstance(e, StopSpeech) for e in rest)
    assert verified(rest) == ["4711"]


def test_star_says_that_it_starts_over_but_only_when_there_was_something():
    gate = opened()
    assert said(press(gate, "**")) == []
    assert said(press(gate, "12*", 3_000)) == ["gate_restarted"]


def test_keys_are_recorded_masked_and_the_digits_are_kept_nowhere():
    gate = opened()
    typed = "47110815"  # of eight digits: four may stand in any address or id
    effects = press(gate, typed + "#")
    pressed = records(effects, KeyPressed)
    assert [p["line_ms"] for p in pressed] == list(range(5_000, 7_401, 300))
    assert {p["digit"] for p in pressed} == {"•"}
    assert all(p["masked"] for p in pressed)
    assert typed not in repr(effects)
    assert typed not in repr(vars(gate))


def test_the_right_pin_opens_it():
    gate = opened()
    press(gate, "4711#")
    effects = gate.on_verdict(ADA, 3_000, line_ms=7_000)
    assert records(effects, Accepted) == [{"line_ms": 7_000}]
    assert said(effects) == ["gate_accepted"]
    assert effects[-1] == Passed(CallerId("ada"), 7_000)
    assert gate.done


def test_nothing_from_before_the_last_key_is_for_the_model_whatever_the_line_says():
    gate = opened()
    press(gate, "4711#")
    assert gate.on_verdict(ADA, 3_000, line_ms=0)[-1] == Passed(CallerId("ada"), 6_200)


def test_a_wrong_pin_says_how_many_tries_are_left_and_the_third_ends_it():
    gate = opened()
    for left in (2, 1):
        press(gate, "0000#")
        effects = gate.on_verdict(PinRejected(left), 3_000)
        assert records(effects, Rejected) == [{"attempt": 3 - left, "tries_left": left}]
        assert records(effects, Requested) == [{"attempt": 4 - left}]
        assert effects[-1] == SayPrompt("gate_wrong", {"tries_left": left})
    press(gate, "0000#")
    effects = gate.on_verdict(PinRejected(0), 9_000)
    assert records(effects, Rejected) == [{"attempt": 3, "tries_left": 0}]
    assert refusals(effects) == ["tries"]


def test_three_entries_are_the_most_even_if_the_verdicts_would_allow_more():
    gate = opened()
    for _ in range(3):
        press(gate, "0000#")
        effects = gate.on_verdict(PinRejected(9), 3_000)
    assert refusals(effects) == ["tries"]


def test_a_locked_number_is_told_for_how_long():
    gate = opened()
    press(gate, "4711#")
    effects = gate.on_verdict(PinLocked(61), 3_000)
    assert effects == [SayPrompt("gate_locked", {"minutes": 2}), Refused("locked")]


def test_a_known_standing_spares_the_question():
    locked = Gate(PIN).start(0, standing=PinStanding(has_pin=True, locked_s=30))
    assert locked == [SayPrompt("gate_locked", {"minutes": 1}), Refused("locked")]
    allow = Pin(required=True, without_pin="allow")
    assert Gate(allow).start(0, 900, PinStanding(has_pin=False)) == [Passed(None, 900)]
    refuse = Gate(PIN).start(0, standing=PinStanding(has_pin=False))
    assert (said(refuse), refusals(refuse)) == (["gate_no_pin"], ["no_pin"])
    assert said(Gate(PIN).start(0, standing=PinStanding(has_pin=True))) == ["gate_prompt"]


def test_a_caller_without_pin_follows_the_policy_after_an_entry_too():
    gate = opened(Pin(required=True, without_pin="allow"))
    press(gate, "4711#")
    assert gate.on_verdict(NoPin(), 3_000) == [Passed(None, 6_200)]
    gate = opened()
    press(gate, "4711#")
    assert refusals(gate.on_verdict(NoPin(), 3_000)) == ["no_pin"]


def test_without_a_verdict_nobody_is_let_in():
    gate = opened()
    press(gate, "4711#")
    effects = gate.on_tick(2_200 + VERDICT_MS)
    assert (said(effects), refusals(effects)) == (["gate_unavailable"], ["unavailable"])
    gate = opened()
    assert refusals(gate.on_unavailable(10)) == ["unavailable"]
    assert gate.on_unavailable(20) == []


def test_a_verdict_that_nobody_waits_for_changes_nothing():
    gate = opened()
    assert gate.on_verdict(ADA, 10) == []
    press(gate, "4711#")
    gate.on_verdict(PinRejected(2), 3_000)
    assert gate.on_verdict(ADA, 3_001) == [], "an answer that came twice"


def test_a_flood_of_keys_ends_it():
    gate = opened()
    effects = press(gate, "*" * (MAX_KEYS + 50), gap=1)
    assert len(records(effects, KeyPressed)) == MAX_KEYS
    assert refusals(effects) == ["keys"]


def test_a_takeover_in_the_middle_asks_for_the_whole_pin_under_the_open_attempt():
    call = new_call_id()
    state = CallState(call)
    common = {
        "call_id": call,
        "at": datetime(2026, 11, 22, tzinfo=UTC),
        "service": "ai-agent",
        "worker": "w",
        "epoch": 3,
    }
    state.apply(4, Requested(id=EventId("a"), attempt=1, **common))
    state.apply(5, Rejected(id=EventId("b"), attempt=1, tries_left=2, **common))
    state.apply(6, Requested(id=EventId("c"), attempt=2, **common))
    gate = Gate.resumed(PIN, state)
    effects = gate.start(0)
    assert said(effects) == ["gate_prompt"]
    assert records(effects, Requested) == [{"attempt": 2}]
    assert verified(press(gate, "4711#")) == ["4711"]


def test_a_gate_that_was_handed_over_in_a_pause_says_nothing_and_counts_its_silence():
    gate = Gate.resumed(PIN, CallState(new_call_id()))
    assert gate.go_on(1_000) == []
    assert gate.on_tick(1_000 + PIN.reminder_s * 1000 - 1) == []
    assert said(gate.on_tick(1_000 + PIN.reminder_s * 1000)) == ["gate_reminder"]
    assert verified(press(gate, "4711#")) == ["4711"]


def test_tries_and_keys_of_the_workers_before_count():
    call = new_call_id()
    state = CallState(call)
    common = {
        "call_id": call,
        "at": datetime(2026, 11, 22, tzinfo=UTC),
        "service": "ai-agent",
        "worker": "w",
        "epoch": 3,
    }
    for i in range(MAX_KEYS - 4):
        key = KeyPressed(id=EventId(f"k{i}"), digit=MASK, line_ms=i, masked=True, **common)
        state.apply(4 + i, key)
    state.apply(300, Requested(id=EventId("c"), attempt=3, **common))
    gate = Gate.resumed(PIN, state)
    gate.start(0)
    effects = press(gate, "4711")
    assert refusals(effects) == []
    effects = gate.on_key(line.Dtmf("#", 0), 9_000)
    assert refusals(effects) == ["keys"]
    again = Gate.resumed(PIN, state_of_tries(call, common))
    again.start(0)
    press(again, "4711#")
    assert refusals(again.on_verdict(PinRejected(2), 3_000)) == ["tries"], "the third of three"


def state_of_tries(call, common):
    state = CallState(call)
    state.apply(4, Requested(id=EventId("c"), attempt=3, **common))
    return state


def test_typing_is_no_moment_to_hand_over():
    gate = opened()
    assert not gate.typing
    press(gate, "4")
    assert gate.typing
    press(gate, "711#", 3_000)
    assert gate.typing, "a verdict is under way"
    gate.on_verdict(PinRejected(2), 5_000)
    assert not gate.typing


class Callers(RuleBasedStateMachine):
    """Any keys, ticks, reports and verdicts, in any order."""

    def __init__(self):
        super().__init__()
        self.gate = Gate(PIN)
        self.now = 0
        self.entry = ""
        self.pending = 0
        self.verifies = 0
        self.over = False
        self.take(self.gate.start(0))

    def take(self, effects):
        assert not (self.over and effects), "no effect after Passed or Refused"
        for effect in effects:
            assert not self.over, "nothing follows Passed or Refused"
            if isinstance(effect, Verify):
                self.verifies += 1
                self.pending += 1
                assert 4 <= len(effect.digits) <= 8
                assert effect.digits.isdecimal()
                assert self.entry.endswith(effect.digits)
                self.entry = ""
            if isinstance(effect, Passed | Refused):
                self.over = True
            if isinstance(effect, Record) and effect.kind is KeyPressed:
                assert effect.fields["digit"] == "•"

    @rule(keys=st.text("0123456789*#AD", min_size=1, max_size=12), gap=st.integers(1, 3_000))
    def press(self, keys, gap):
        for key in keys:
            self.now += gap
            if key.isdecimal() and not self.pending:
                self.entry += key
            self.take(self.gate.on_key(line.Dtmf(key, self.now), self.now))

    @rule(ms=st.integers(0, 30_000))
    def wait(self, ms):
        self.now += ms
        self.take(self.gate.on_tick(self.now))

    @rule()
    def heard(self):
        self.take(self.gate.on_heard(self.now))

    @rule(
        verdict=st.one_of(
            st.integers(0, 5).map(PinRejected),
            st.integers(1, 900).map(PinLocked),
            st.just(NoPin()),
            st.just(ADA),
        )
    )
    def verdict(self, verdict):
        effects = self.gate.on_verdict(verdict, self.now, self.now)
        if not self.pending:
            assert effects == []
        self.pending = 0
        self.take(effects)

    @invariant()
    def one_verdict_at_a_time_and_three_in_all(self):
        assert self.pending <= 1
        assert self.verifies <= 3
        assert self.gate.done is self.over

    @invariant()
    def digits_never_exceed_eight(self):
        held = [v for v in vars(self.gate).values() if isinstance(v, str)]
        assert all(len(v) <= 8 for v in held)


TestCallers = Callers.TestCase
TestCallers.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
