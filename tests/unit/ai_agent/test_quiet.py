"""Silence and length of a call: what is due when, counted from the playhead."""

from hypothesis import given
from hypothesis import strategies as st

from ai_agent.effects import Record
from ai_agent.quiet import CallLength, EndForLength, EndForSilence, Quiet, Remind, WarnLength
from runtime.assistant import Limits, Silence

SILENCE = Silence(reminder_s=10, hang_up_s=30)


def kinds(effects):
    return [type(e) for e in effects]


def limits(effects):
    return [e.fields["limit"] for e in effects if isinstance(e, Record)]


def test_a_reminder_then_the_end():
    quiet = Quiet(SILENCE, 0)
    assert quiet.on_tick(9_999) == []
    assert quiet.on_tick(10_000) == [Remind()]
    assert quiet.on_tick(20_000) == [], "reminded once"
    effects = quiet.on_tick(30_000)
    assert kinds(effects) == [Record, EndForSilence]
    assert limits(effects) == ["silence"]
    assert quiet.on_tick(90_000) == []


def test_what_the_caller_does_begins_it_anew():
    quiet = Quiet(SILENCE, 0)
    quiet.stirred(9_000)
    assert quiet.on_tick(18_999) == []
    assert quiet.on_tick(19_000) == [Remind()]
    quiet.stirred(20_000)
    assert quiet.on_tick(30_000) == [Remind()], "a new silence, a new reminder"


def test_it_counts_from_the_end_of_the_audio_heard():
    quiet = Quiet(SILENCE, 0)
    quiet.held(True, 5_000)
    assert quiet.on_tick(60_000) == []
    quiet.held(False, 60_000)
    quiet.held(False, 65_000)
    assert quiet.on_tick(69_999) == []
    assert quiet.on_tick(70_000) == [Remind()]


def test_the_reminder_being_heard_does_not_put_the_end_off_for_ever():
    quiet = Quiet(SILENCE, 0)
    assert quiet.on_tick(10_000) == [Remind()]
    quiet.held(True, 10_000)
    quiet.held(False, 13_000)
    assert quiet.on_tick(32_999) == []
    assert kinds(quiet.on_tick(33_000)) == [Record, EndForSilence]


def test_a_caller_who_speaks_while_it_is_held_is_not_reminded_at_once():
    quiet = Quiet(SILENCE, 0)
    quiet.on_tick(10_000)
    quiet.held(True, 12_000)
    quiet.stirred(20_000)
    quiet.held(False, 21_000)
    assert quiet.on_tick(30_999) == []
    assert quiet.on_tick(31_000) == [Remind()]


def test_zero_means_never():
    assert Quiet(Silence(reminder_s=0, hang_up_s=0), 0).on_tick(10**9) == []
    assert kinds(Quiet(Silence(reminder_s=0, hang_up_s=5), 0).on_tick(5_000)) == [
        Record,
        EndForSilence,
    ]


@given(st.lists(st.tuples(st.sampled_from("thfs"), st.integers(0, 15_000)), max_size=60))
def test_never_two_reminders_for_one_silence_and_nothing_after_the_end(steps):
    quiet, now, reminded, ended = Quiet(SILENCE, 0), 0, False, False
    for step, ms in steps:
        now += ms
        if step == "s":
            quiet.stirred(now)
            reminded = False
        elif step in "hf":
            quiet.held(step == "h", now)
        else:
            effects = quiet.on_tick(now)
            assert not (ended and effects)
            if Remind() in effects:
                assert not reminded
                reminded = True
            ended = ended or EndForSilence() in effects


def test_the_longest_call_is_announced_once_and_ends_once():
    length = CallLength(Limits(call_s=600, warn_before_s=60), 1_000)
    assert length.on_tick(540_999) == []
    assert length.on_tick(541_000) == [WarnLength(60)]
    assert length.on_tick(560_000) == []
    effects = length.on_tick(601_000)
    assert kinds(effects) == [Record, EndForLength]
    assert limits(effects) == ["call_s"]
    assert length.on_tick(700_000) == []


def test_a_takeover_does_not_make_the_call_longer():
    length = CallLength(Limits(call_s=600, warn_before_s=60), 0, elapsed_ms=570_000)
    assert length.on_tick(0) == [WarnLength(30)]
    assert kinds(length.on_tick(30_000)) == [Record, EndForLength]


def test_no_bound_and_no_warning():
    assert CallLength(Limits(call_s=0), 0).on_tick(10**9) == []
    assert CallLength(Limits(call_s=10, warn_before_s=0), 0).on_tick(9_999) == []
