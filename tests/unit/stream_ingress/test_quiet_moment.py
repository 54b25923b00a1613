"""quiet: when a call may change sockets unheard."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ingress.quiet import APART_MS, IDLE_MS, QUIET_MS, QuietMoment, Turns, loud

SILENCE = b"\xff" * 160


def mulaw(sample: int) -> int:
    """G.711, written from the recommendation."""
    sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
    magnitude = min(magnitude, 32635) + 132
    exponent = max(0, magnitude.bit_length() - 8)
    return ~(sign | exponent << 4 | magnitude >> (exponent + 3) & 0x0F) & 0xFF


def tone(level_db: float) -> bytes:
    """20 ms of a tone whose mean magnitude is this far below full scale."""
    peak = 32768 * 10 ** (level_db / 20) * math.pi / 2
    return bytes(mulaw(round(peak * math.sin(2 * math.pi * 400 * i / 8000))) for i in range(160))


def test_speech_is_loud_and_noise_of_the_line_is_not() -> None:
    assert not loud(SILENCE)
    assert not loud(b"\x7f" * 160)
    assert not loud(b"")
    assert not loud(tone(-45))
    assert loud(tone(-38))
    assert loud(tone(-20))


LOUD = tone(-20)


def test_the_moment_comes_soon_after_the_caller_spoke() -> None:
    moment = QuietMoment()
    assert not moment.has_come(0, 0, [SILENCE, LOUD])
    assert not moment.has_come(50, 0, [SILENCE])
    assert not moment.has_come(50 + QUIET_MS - 1, 0, [SILENCE])
    assert moment.has_come(50 + QUIET_MS, 0, [SILENCE])
    assert moment.has_come(50 + QUIET_MS + 50, 0, [])


@pytest.mark.parametrize("remaining_ms", [0, 20])
def test_who_was_asked_something_has_time_to_begin(remaining_ms: int) -> None:
    moment = QuietMoment()
    assert not moment.has_come(0, remaining_ms, [SILENCE])
    assert not moment.has_come(50, 0, [SILENCE])
    begun_ms = 50 if remaining_ms else 0
    assert not moment.has_come(begun_ms + IDLE_MS - 1, 0, [SILENCE])
    assert moment.has_come(begun_ms + IDLE_MS, 0, [SILENCE])


def test_words_of_either_side_put_it_off() -> None:
    for remaining_ms, frame, enough_ms in ((20, SILENCE, IDLE_MS), (0, LOUD, QUIET_MS)):
        moment = QuietMoment()
        assert not moment.has_come(0, 0, [LOUD])
        assert not moment.has_come(50, 0, [SILENCE])
        assert not moment.has_come(200, remaining_ms, [SILENCE, frame])
        assert not moment.has_come(499, 0, [SILENCE])
        assert not moment.has_come(498 + enough_ms, 0, [SILENCE])
        assert moment.has_come(499 + enough_ms, 0, [SILENCE])


@given(st.lists(st.tuples(st.integers(10, 400), st.booleans(), st.booleans()), max_size=60))
def test_it_never_comes_just_after_a_word(looks) -> None:
    moment, now_ms, last_word, enough_ms = QuietMoment(), 0, -1, IDLE_MS
    for pause_ms, playing, speaking in looks:
        now_ms += pause_ms
        came = moment.has_come(now_ms, 40 if playing else 0, [LOUD if speaking else SILENCE])
        if playing or speaking:
            last_word, enough_ms = now_ms, QUIET_MS if speaking else IDLE_MS
        if came:
            assert now_ms - last_word > enough_ms


def test_calls_take_turns() -> None:
    turns = Turns()
    assert turns.taken(1_000)
    assert not turns.taken(1_000)
    assert not turns.taken(1_000 + APART_MS - 1)
    assert turns.taken(1_000 + APART_MS)
    assert not turns.taken(1_000 + APART_MS)


@given(st.integers(1, 500), st.integers(0, 10_000))
def test_half_the_time_is_enough_for_all_to_move(calls: int, within_ms: int) -> None:
    turns, moved = Turns(calls, within_ms), 0
    for now_ms in range(within_ms // 2 + 1):
        while moved < calls and turns.taken(now_ms):
            moved += 1
    assert moved == calls
