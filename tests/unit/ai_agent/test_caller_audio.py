"""The caller's audio on its way to the model: what is held back, what is fetched later."""

from hypothesis import given
from hypothesis import strategies as st

from ai_agent.caller_audio import CallerAudio, since
from ai_agent.line_clock import LineClock
from protocol.audio import BYTES_PER_MS

FRAME_MS = 20


def said(from_ms, to_ms):
    """The caller's audio of a span: every ms tells where it lies."""
    return b"".join(bytes([ms % 251]) * BYTES_PER_MS for ms in range(from_ms, to_ms))


class Model:
    """What a session was given, with its place on the line."""

    def __init__(self):
        self.clock = LineClock()
        self.heard: list[int] = []

    def append(self, audio):
        begins = self.clock.session_ms
        for ms in range(len(audio) // BYTES_PER_MS):
            line_ms = self.clock.line_ms(begins + ms)
            assert audio[ms * BYTES_PER_MS] == line_ms % 251, "not what was said there"
            self.heard.append(line_ms)


def play(audio, from_ms, to_ms):
    for ms in range(from_ms, to_ms, FRAME_MS):
        audio.live(said(ms, ms + FRAME_MS))


def opened(audio, earlier=()):
    model = Model()
    audio.open(model.append, model.clock, list(earlier))
    return model


def test_audio_without_a_place_is_dropped_and_what_has_one_is_held_until_a_session_is_open():
    audio = CallerAudio(batch_ms=20)
    play(audio, 0, 100)
    assert audio.held_from_ms is None
    audio.at(100)
    play(audio, 100, 200)
    assert (audio.held_from_ms, audio.now_line_ms) == (100, 200)
    model = opened(audio, [(60, said(60, 100))])
    play(audio, 200, 240)
    assert model.heard == list(range(60, 240))
    assert audio.held_from_ms == 240


def test_after_an_interruption_the_model_hears_what_was_missed_before_what_came_since():
    audio = CallerAudio(batch_ms=20)
    model = opened(audio)
    audio.at(0)
    play(audio, 0, 100)
    audio.interrupt()
    play(audio, 500, 560)  # nobody knows where: dropped
    assert audio.now_line_ms == 100, "the line was there last"
    audio.at(600)
    play(audio, 600, 700)
    assert model.heard == list(range(100)), "held back"
    audio.resume([(100, said(100, 600))])
    play(audio, 700, 720)
    assert model.heard == list(range(720))


def test_a_session_opened_while_audio_is_missing_hears_nothing_twice():
    audio = CallerAudio(batch_ms=20)
    audio.at(0)
    play(audio, 0, 100)
    audio.interrupt()
    audio.at(300)
    play(audio, 300, 400)
    model = opened(audio)
    assert model.heard == list(range(100))
    other = opened(audio, [(50, said(50, 200))])
    audio.resume([(100, said(100, 300))])
    assert other.heard == list(range(50, 400))


def test_a_line_that_begins_earlier_than_the_last_one_ended_is_heard_all_the_same():
    """Where a leg begins is estimated when the ingress before died without a word."""
    audio = CallerAudio(batch_ms=20)
    model = opened(audio)
    audio.at(0)
    play(audio, 0, 1000)
    audio.interrupt()
    audio.at(500)
    audio.resume([(400, said(400, 500))])
    play(audio, 500, 600)
    assert model.heard == [*range(1000), *range(400, 600)]


def test_what_is_forgotten_or_skipped_reaches_no_session():
    audio = CallerAudio(batch_ms=20)
    audio.at(0)
    play(audio, 0, 100)
    audio.interrupt()
    audio.at(200)
    play(audio, 200, 300)
    audio.skip_to(50)
    assert audio.held_from_ms == 50
    audio.forget()
    audio.resume([])
    play(audio, 300, 340)
    assert opened(audio).heard == list(range(300, 340))


def test_pieces_are_cut_where_they_begin_too_early():
    pieces = [(0, said(0, 20)), (20, said(20, 60)), (80, said(80, 100))]
    assert since(pieces, 30) == [(30, said(30, 60)), (80, said(80, 100))]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("live"), st.integers(1, 20)),
            st.tuples(st.just("away"), st.integers(1, 20)),
            st.tuples(st.just("again"), st.integers(0, 3)),
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_with_a_complete_ring_every_ms_is_heard_once_and_in_order(steps, open_at):
    """NATS comes and goes; the ring is asked for what was missed each time, also when it goes
    again before the ring answered.
    """
    audio, model, now = CallerAudio(batch_ms=20), None, 0
    audio.at(0)
    missed_from = clocked = None

    def answered():
        nonlocal missed_from, clocked
        if missed_from is not None and clocked is not None:
            audio.resume([(missed_from, said(missed_from, clocked))])
            missed_from = clocked = None

    for number, (kind, frames) in enumerate(steps):
        if number == open_at:
            model = opened(audio)
        if kind == "away":
            missed_from = audio.now_line_ms if missed_from is None else missed_from
            clocked = None
            audio.interrupt()
            now += frames * FRAME_MS
        elif kind == "live":
            if missed_from is not None and clocked is None:
                audio.at(now)
                clocked = now
            play(audio, now, now + frames * FRAME_MS)
            now += frames * FRAME_MS
        else:
            answered()
    if missed_from is not None and clocked is None:
        audio.at(now)
        clocked = now
    answered()
    model = model or opened(audio)
    assert model.heard == list(range(now))


def test_batches_are_whole_messages_as_near_to_the_wanted_length_as_they_make_it():
    for batch_ms, piece_ms, appended_ms in (
        (60, 60, 60),
        (60, 40, 40),
        (60, 20, 60),
        (40, 60, 60),
        (40, 20, 40),
        (100, 40, 80),
        (100, 60, 120),
        (20, 200, 200),
    ):
        lengths: list[int] = []
        audio = CallerAudio(batch_ms=batch_ms)
        audio.open(lambda given, to=lengths: to.append(len(given) // BYTES_PER_MS), LineClock(), ())
        audio.at(0)
        for ms in range(0, 1200, piece_ms):
            audio.live(said(ms, ms + piece_ms))
        assert set(lengths) == {appended_ms}, (batch_ms, piece_ms)
