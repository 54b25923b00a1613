"""Turn detection and the input buffer: the audio clock, padding, silence, any chunking."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.realtime.errors import ApiError
from testbed.realtime.input_buffer import InputBuffer, TurnEnded
from testbed.realtime.tones import tone
from testbed.realtime.vad import SpeechStarted, VadSettings, is_loud

SETTINGS = VadSettings(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500)


def silence(ms: int) -> bytes:
    return b"\xff" * 8 * ms


def listening(settings: VadSettings = SETTINGS) -> InputBuffer:
    buffer = InputBuffer()
    buffer.detect_turns(settings)
    return buffer


def test_a_turn_has_padding_before_and_the_silence_after() -> None:
    buffer = listening()
    speech = tone("caller", 1_000)
    changes = buffer.append(silence(1_000) + speech + silence(600))
    assert changes[0] == SpeechStarted(700)
    ended = changes[1]
    assert isinstance(ended, TurnEnded)
    assert ended.audio_end_ms == 2_500
    assert ended.audio == silence(300) + speech + silence(500)
    assert len(changes) == 2
    assert buffer.clock_ms == 2_600


def test_padding_cannot_reach_before_the_first_audio() -> None:
    assert listening().append(tone("caller", 100)) == [SpeechStarted(0)]


def test_padding_cannot_reach_into_the_turn_before() -> None:
    buffer = listening(VadSettings(0.5, 300, 100))
    turn = tone("caller", 400) + silence(100)
    first_end, second_start = buffer.append(turn + turn)[1:3]
    assert isinstance(first_end, TurnEnded)
    assert second_start == SpeechStarted(first_end.audio_end_ms)


def test_a_click_is_no_speech() -> None:
    assert listening().append(silence(200) + tone("click", 40) + silence(900)) == []


def test_a_pause_shorter_than_the_silence_does_not_end_the_turn() -> None:
    buffer = listening()
    said = tone("a", 400) + silence(480) + tone("b", 400)
    assert buffer.append(said) == [SpeechStarted(0)]
    assert isinstance(buffer.append(silence(520))[0], TurnEnded)


def test_threshold_is_a_level() -> None:
    quiet = bytes([0xF0, 0x70] * 80)  # about +-120 of 32768: -49 dBFS
    assert is_loud(quiet, 0.2)
    assert not is_loud(quiet, 0.5)


def test_without_detection_audio_waits_for_the_commit() -> None:
    buffer = InputBuffer()
    audio = tone("caller", 5_000) + silence(1_000)
    assert buffer.append(audio) == []
    assert buffer.commit() == audio
    with pytest.raises(ApiError) as refused:
        buffer.commit()
    assert refused.value.code == "input_audio_buffer_commit_empty"


def test_less_than_100_ms_cannot_be_committed() -> None:
    buffer = InputBuffer()
    buffer.append(silence(99))
    with pytest.raises(ApiError, match=r"only has 99\.00ms"):
        buffer.commit()


def test_clear_drops_an_open_turn_and_the_clock_goes_on() -> None:
    buffer = listening()
    buffer.append(tone("caller", 500))
    assert buffer.speaking
    buffer.clear()
    assert not buffer.speaking
    assert buffer.append(silence(1_000)) == []
    assert buffer.append(tone("caller", 500)) == [SpeechStarted(1_200)]


def test_new_settings_keep_an_open_turn() -> None:
    buffer = listening()
    buffer.append(tone("caller", 500))
    buffer.detect_turns(VadSettings(0.5, 300, 200))
    (ended,) = buffer.append(silence(220))
    assert isinstance(ended, TurnEnded)
    assert ended.audio_end_ms == 700


def test_silence_is_not_hoarded() -> None:
    buffer = listening()
    for _ in range(100):
        buffer.append(silence(1_000))
    assert len(buffer.commit()) <= 8 * 400


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=5),
    st.lists(st.integers(1, 900), min_size=1, max_size=9),
)
def test_chunking_never_matters(turns: list[tuple[int, int]], sizes: list[int]) -> None:
    audio = b"".join(
        silence(quiet * 50) + tone(f"turn {n}", loud * 50) for n, (quiet, loud) in enumerate(turns)
    ) + silence(700)
    at_once = listening().append(audio)
    buffer, pieces, at, turn = listening(), [], 0, 0
    while at < len(audio):
        size = sizes[turn % len(sizes)]
        pieces += buffer.append(audio[at : at + size])
        at, turn = at + size, turn + 1
    assert pieces == at_once
    starts, ends = at_once[::2], at_once[1::2]
    assert all(isinstance(change, SpeechStarted) for change in starts)
    for started, ended in zip(starts, ends, strict=True):
        assert isinstance(ended, TurnEnded)
        assert len(ended.audio) == 8 * (ended.audio_end_ms - started.audio_start_ms)
