"""feed: when a worker that says it hears nothing may be believed."""

from hypothesis import given
from hypothesis import strategies as st

from stream_ingress.feed import STEADY_MS, Feed

LOOK_MS = 250


def test_two_seconds_of_frames_are_needed() -> None:
    feed = Feed()
    assert not feed.steady(10_000)
    for look in range(8):
        feed.look(12 * look, 0, LOOK_MS * look)
        assert not feed.steady(LOOK_MS * look)
    feed.look(100, 0, STEADY_MS)
    assert feed.steady(STEADY_MS)


def test_a_pause_a_drop_and_a_new_holder_begin_anew() -> None:
    for frames, dropped in ((100, 0), (101, 1)):  # no new frame; one that was not published
        feed = Feed()
        feed.look(90, 0, 0)
        feed.look(100, 0, 1900)
        feed.look(frames, dropped, 2500)
        assert not feed.steady(4499)
        feed.look(200, dropped, 4500)
        assert feed.steady(4500)
        feed.restart()
        assert not feed.steady(9000)
        feed.look(300, dropped, 9000)
        assert not feed.steady(9000 + STEADY_MS - 1)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40))
def test_steady_means_every_look_of_the_last_two_seconds_saw_audio(looks) -> None:
    feed, frames, dropped, now_ms = Feed(), 0, 0, 0
    broken_at = 0
    feed.look(frames, dropped, now_ms)
    for new, drops in looks:
        now_ms += LOOK_MS
        frames, dropped = frames + new, dropped + drops
        feed.look(frames, dropped, now_ms)
        if not new or drops:
            broken_at = now_ms
        assert feed.steady(now_ms) is (now_ms - broken_at >= STEADY_MS)
