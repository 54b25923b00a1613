"""quiet: when a call may change sockets unheard."""

import math

from hypothesis import given
from hypothesis import strategies as st

from stream_ingress.quiet import APART_MS, QUIET_MS, QuietMoment, Turns, loud

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


def test_the_moment_comes_after_300_ms_of_nothing() -> None:
    moment = QuietMoment()
    assert not moment.has_come(0, 0, [SILENCE])
    assert not moment.has_come(QUIET_MS - 1, 0, [SILENCE])
    assert moment.has_come(QUIET_MS, 0, [SILENCE])
    assert moment.has_come(QUIET_MS + 50, 0, [])


def test_words_of_either_side_put_it_off() -> None:
    for remaining_ms, frames in ((20, [SILENCE]), (0, [SILENCE, tone(-20)])):
        moment = QuietMoment()
        assert not moment.has_come(0, 0, [SILENCE])
        assert not moment.has_come(200, remaining_ms, frames)
        assert not moment.has_come(499, 0, [SILENCE])
        assert not moment.has_come(750, 0, [SILENCE])
        assert moment.has_come(799, 0, [SILENCE])


@given(st.lists(st.tuples(st.integers(10, 100), st.booleans(), st.booleans()), max_size=60))
def test_it_never_comes_within_300_ms_of_a_word(looks) -> None:
    moment, now_ms, last_word = QuietMoment(), 0, None
    for pause_ms, playing, speaking in looks:
        now_ms += pause_ms
        came = moment.has_come(now_ms, 40 if playing else 0, [tone(-20) if speaking else SILENCE])
        if playing or speaking:
            last_word = now_ms
        if came:
            assert last_word is None or now_ms - last_word > QUIET_MS


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
