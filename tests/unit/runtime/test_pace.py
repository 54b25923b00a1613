"""pace: never more than was allowed, never a wait in calm times."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.pace import Pace

EVERY_S = 0.004
BURST = 8


@given(gaps=st.lists(st.floats(0, 0.05), max_size=300))
def test_no_more_than_the_burst_and_one_every_so_often(gaps):
    pace, now = Pace(EVERY_S, BURST), 100.0
    passed: list[float] = []
    for gap in gaps:
        now = max(now, passed[-1] if passed else 0) + gap
        passed.append(now + pace.wait_s(now))
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = BURST + 1 + (passed[last] - passed[first]) / EVERY_S
            assert last - first <= allowed + 1e-6


@given(gaps=st.lists(st.floats(EVERY_S, 1), max_size=100))
def test_what_comes_seldom_never_waits(gaps):
    pace, now = Pace(EVERY_S, BURST), 5.0
    for gap in gaps:
        now += gap
        assert pace.wait_s(now) < 1e-9


def test_a_burst_after_a_calm_passes_at_once_and_then_it_is_paced():
    pace = Pace(EVERY_S, BURST)
    waits = [pace.wait_s(10.0) for _ in range(BURST + 3)]
    assert waits[: BURST + 1] == [0.0] * (BURST + 1)
    assert waits[BURST + 1] > 0
    assert waits[BURST + 2] > waits[BURST + 1]
