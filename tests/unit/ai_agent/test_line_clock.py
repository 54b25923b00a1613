"""The model's audio clock against the line's."""

from hypothesis import given
from hypothesis import strategies as st

from ai_agent.caller_audio import CallerAudio
from ai_agent.line_clock import LineClock

FRAME = b"\x10" * 160


def test_gaps_on_the_line_do_not_exist_for_the_model():
    clock = LineClock()
    clock.jump(5_000)
    clock.sent(8 * 1_000)
    clock.jump(9_000)
    clock.sent(8 * 500)
    assert clock.session_ms == 1_500
    assert clock.line_ms(0) == 5_000
    assert clock.line_ms(999) == 5_999
    assert clock.line_ms(1_000) == 9_000
    assert clock.line_ms(1_400) == 9_400


def test_padding_before_the_first_byte_stays_on_the_line():
    clock = LineClock()
    clock.jump(100)
    assert clock.line_ms(-300) == 0


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 50)), min_size=1, max_size=40))
def test_every_byte_maps_back_to_where_it_was_said(spans):
    clock, line, said = LineClock(), 0, []
    for gap, frames in spans:
        line += gap
        clock.jump(line)
        said.append((clock.session_ms, line))
        clock.sent(frames * 160)
        line += frames * 20
    for session_ms, line_ms in said:
        assert clock.line_ms(session_ms) == line_ms


@given(
    spans=st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 5)), min_size=1, max_size=40),
    drops=st.lists(st.integers(0, 199), max_size=30),
)
def test_what_was_dropped_on_the_way_does_not_exist_for_the_model(spans, drops):
    """`drops`: which appends, counted as they come, are dropped 3 later, being the oldest that
    wait.
    """
    clock, line, waiting, arrived, number = LineClock(), 0, [], [], 0
    for gap, frames in spans:
        line += gap
        clock.jump(line)
        for _ in range(frames):
            if len(waiting) == 3:
                oldest = waiting.pop(0)
                if number in drops:
                    clock.dropped(160, 160 * len(waiting))
                else:
                    arrived.append(oldest)
            clock.sent(160)
            waiting.append(line)
            line += 20
            number += 1
    arrived += waiting
    assert clock.session_ms == 20 * len(arrived)
    for place, line_ms in enumerate(arrived):
        assert clock.line_ms(20 * place) == line_ms
        assert clock.line_ms(20 * place + 19) == line_ms + 19


class Model:
    def __init__(self):
        self.batches = []
        self.clock = LineClock()

    def append(self, audio):
        self.batches.append(audio)


def test_frames_before_a_session_are_held_and_come_first_and_in_order():
    audio, model = CallerAudio(batch_ms=40), Model()
    audio.at(1_000)
    audio.live(b"\x01" * 160)
    audio.live(b"\x02" * 160)
    audio.open(model.append, model.clock, [(960, b"\x00" * 320)])
    audio.live(b"\x03" * 160)
    audio.live(b"\x04" * 160)
    assert b"".join(model.batches) == b"\x00" * 320 + b"".join(
        bytes([i]) * 160 for i in range(1, 5)
    )
    assert model.clock.line_ms(0) == 960
    assert model.clock.line_ms(40) == 1_000


def test_frames_before_the_first_clock_are_dropped():
    audio, model = CallerAudio(batch_ms=20), Model()
    audio.live(FRAME)
    audio.open(model.append, model.clock, [])
    assert model.batches == []


def test_a_gap_ends_the_batch_so_that_no_batch_spans_it():
    audio, model = CallerAudio(batch_ms=40), Model()
    audio.open(model.append, model.clock, [])
    audio.at(0)
    audio.live(FRAME)
    audio.at(500)
    audio.live(FRAME)
    audio.live(FRAME)
    assert [len(b) for b in model.batches] == [160, 320]
    assert model.clock.line_ms(20) == 500


def test_what_is_held_without_a_session_is_bounded_and_the_newest_stays():
    audio, model = CallerAudio(batch_ms=20), Model()
    audio.at(0)
    for _ in range(2_000):  # 40 s
        audio.live(FRAME)
    audio.open(model.append, model.clock, [])
    assert model.clock.session_ms == 30_000
    assert model.clock.line_ms(0) == 10_000
