"""What a PIN is, and how lock-outs grow."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.settings import Secret
from tool_runner.pins import rules

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@given(st.text("0123456789", min_size=4, max_size=8))
def test_four_to_eight_digits_are_a_pin_that_does_not_show(digits: str) -> None:
    pin = rules.pin(digits)
    assert pin == Secret(digits)
    assert digits not in f"{pin} {pin!r}"


@pytest.mark.parametrize(
    "typed",
    ["", "*", "****", "123", "123456789", "12 34", "1234\n", "-1234", "12a4", "١٢٣٤", "²²²²"],
)
def test_everything_else_is_none(typed: str) -> None:
    assert rules.pin(typed) is None


@given(st.text())
def test_a_pin_is_made_of_ascii_digits_alone(typed: str) -> None:
    assert (rules.pin(typed) is not None) == (
        4 <= len(typed) <= 8 and typed.isascii() and typed.isdigit()
    )


def test_the_fifth_failure_locks_and_each_further_one_locks_longer() -> None:
    assert [rules.lock_s(failures) for failures in range(11)] == [
        *(0, 0, 0, 0, 0),
        *(60, 300, 900, 3600, 3600, 3600),
    ]


@given(st.integers(0, 10**9))
def test_lock_outs_never_shrink_with_failures_and_have_an_end(failures: int) -> None:
    assert rules.lock_s(failures) <= rules.lock_s(failures + 1) <= 3600


def test_what_is_left_of_a_lock_out_is_rounded_up() -> None:
    def left(**ahead: float) -> int:
        return rules.left_s(NOW + timedelta(**ahead), NOW)

    assert (left(seconds=60), left(seconds=59.2), left(microseconds=1)) == (60, 60, 1)
    assert (left(seconds=0), left(seconds=-1), rules.left_s(None, NOW)) == (0, 0, 0)


def test_three_tries_a_call() -> None:
    assert [rules.tries_left(used) for used in range(6)] == [3, 2, 1, 0, 0, 0]
