"""ring and line_clock: what is kept of the caller, and at which time of the line."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.placement import Replay, RingedAudio, RingedKey
from stream_ingress.line_clock import LineClock
from stream_ingress.ring import KEPT_KEYS, Ring


def frame(number: int) -> bytes:
    return bytes([number % 251]) * 160


def filled(frames: int, begins_ms: int = 0) -> Ring:
    ring = Ring(begins_ms)
    for number in range(frames):
        ring.audio(begins_ms + number * 20, frame(number))
    return ring


def test_empty() -> None:
    ring = Ring(700)
    assert ring.from_ms == 700
    assert ring.between(0, 10_000) == Replay((), ())


def test_neighbours_are_joined_and_ends_cut() -> None:
    ring = filled(5, begins_ms=1000)
    whole = b"".join(frame(n) for n in range(5))
    assert ring.between(0, 9999) == Replay((RingedAudio(1000, whole),), ())
    assert ring.between(1010, 1090) == Replay((RingedAudio(1010, whole[80:720]),), ())
    assert ring.between(1020, 1040) == Replay((RingedAudio(1020, frame(1)),), ())
    assert ring.between(1030, 1030) == Replay((), ())
    assert ring.between(1100, 2000) == Replay((), ())


def test_a_gap_is_a_jump() -> None:
    ring = filled(2)
    ring.audio(500, frame(9))
    assert ring.between(0, 1000).audio == (
        RingedAudio(0, frame(0) + frame(1)),
        RingedAudio(500, frame(9)),
    )


def test_keys_of_the_span() -> None:
    ring = filled(5)
    for line_ms, digit in ((20, "1"), (40, "2"), (100, "#")):
        ring.key(line_ms, digit)
    assert ring.between(20, 100).keys == (RingedKey("1", 20), RingedKey("2", 40))


def test_30_seconds_are_kept() -> None:
    ring = filled(1500)
    assert ring.from_ms == 0
    ring.key(10, "1")
    for number in range(1500, 4007):
        ring.audio(number * 20, frame(number))
        held_ms = (number + 1) * 20 - ring.from_ms
        assert 30_000 <= held_ms < 30_400
        assert sum(len(a.audio) for a in ring.between(0, 999_999).audio) == held_ms * 8
    assert ring.between(0, 20) == Replay((), ())


def test_a_gap_longer_than_that_leaves_what_is_new() -> None:
    ring = filled(100)
    ring.key(500, "1")
    for number in range(20):
        ring.audio(90_000 + number * 20, frame(number))
    assert ring.from_ms == 90_000
    assert ring.between(0, 89_999) == Replay((), ())


def test_keys_alone_are_bounded() -> None:
    ring = Ring(0)
    for _ in range(KEPT_KEYS + 5):
        ring.key(0, "1")
    assert len(ring.between(0, 1).keys) == KEPT_KEYS


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    span=st.tuples(st.integers(0, 800), st.integers(0, 800)),
)
def test_any_span_is_that_part_of_what_was_said(sizes: list[int], span: tuple[int, int]) -> None:
    ring, said, at = Ring(0), b"", 0
    for number, ms in enumerate(sizes):
        chunk = bytes([number]) * (ms * 8)
        ring.audio(at, chunk)
        said += chunk
        at += ms
    first, last = min(span), max(span)
    found = ring.between(first, last).audio
    expected = said[first * 8 : last * 8]
    assert [(a.line_ms, a.audio) for a in found] == ([(first, expected)] if expected else [])


def test_the_clock_counts_bytes_and_follows_jumps() -> None:
    clock = LineClock(1000)
    assert [clock.place(t, 160) for t in (0, 21, 39, 60)] == [1000, 1020, 1040, 1060]
    assert clock.gaps == 0
    assert clock.place(100, 160) == 1100  # 20 ms are missing
    assert clock.gaps == 1
    assert clock.place(90, 160) == 1120  # it never goes back
    assert clock.next_ms == 1140


def test_a_slow_drift_of_timestamps_is_followed() -> None:
    clock = LineClock(0)
    places = [clock.place(number * 21, 160) for number in range(41)]
    assert clock.gaps == 2
    assert all(abs(place - number * 21) < 20 for number, place in enumerate(places))


def test_when_the_time_is_told() -> None:
    clock = LineClock(0)
    told = []
    for number in range(120):
        if clock.due(clock.place(number * 20, 160)):
            told.append(number * 20)
    assert told == [0, 1000, 2000]
    assert clock.due(clock.place(120 * 20 + 500, 160))  # after a gap
    assert not clock.due(clock.place(121 * 20 + 500, 160))
    clock.unsay()
    assert clock.due(clock.place(122 * 20 + 500, 160))


def test_the_newest_frames_come_first() -> None:
    ring = Ring(0)
    assert ring.newest(60) == []
    for number in range(24):
        ring.audio(number * 20, frame(number))
    assert [piece[0] for piece in ring.newest(60)] == [23, 22, 21]
    assert [piece[0] for piece in ring.newest(320)] == list(range(23, 7, -1))
    assert all(len(piece) == 160 for piece in ring.newest(480))
    assert len(ring.newest(9_999)) == 24
    assert ring.newest(0) == []
