"""Bounds of a number's calls, UTC days, and amounts of money."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_runner.admission import rules as admission
from tool_runner.spend import rules as spend
from tool_runner.text import Invalid

instants = st.datetimes(timezones=st.integers(-12, 14).map(lambda h: timezone(timedelta(hours=h))))


@given(instants.filter(lambda moment: 2 < moment.year < 9990))
def test_a_day_is_utcs_whatever_zone_the_instant_is_in(now: datetime) -> None:
    start = admission.day_start(now)
    assert start <= now < start + timedelta(days=1)
    assert (start.utcoffset(), start.time().isoformat()) == (timedelta(0), "00:00:00")
    assert spend.day(now) == start.date()


def test_days_change_at_midnight_utc() -> None:
    last = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert admission.day_start(last) == datetime(2026, 12, 31, tzinfo=UTC)
    assert spend.day(last) == date(2026, 12, 31)
    assert spend.day(last + timedelta(microseconds=1)) == date(2027, 1, 1)
    berlin = timezone(timedelta(hours=1))
    assert spend.day(datetime(2027, 1, 1, 0, 30, tzinfo=berlin)) == date(2026, 12, 31)


@pytest.mark.parametrize(
    ("open", "today", "at_once", "a_day", "reason"),
    [
        (0, 0, 1, 1, None),
        (1, 1, 1, 1, "at_once"),
        (0, 1, 1, 1, "a_day"),
        (2, 9, 3, 10, None),
        (3, 9, 3, 10, "at_once"),
        (2, 10, 3, 10, "a_day"),
        (99, 99, 0, 0, None),
        (99, 99, -1, -1, None),
        (99, 99, 0, 99, "a_day"),
    ],
)
def test_bounds(open: int, today: int, at_once: int, a_day: int, reason: str | None) -> None:
    found = admission.refusal(open=open, today=today, at_once=at_once, a_day=a_day)
    assert found == reason


def test_amounts_are_exact_to_nine_places() -> None:
    assert spend.amount(0.1) + spend.amount(0.2) == Decimal("0.3")
    assert spend.amount(3.2e-06) == Decimal("0.0000032")
    assert spend.amount(0.0) == 0
    assert spend.amount(spend.MOST_USD) == spend.MOST_USD


@pytest.mark.parametrize("usd", [-0.01, float("nan"), float("inf"), 1e300, spend.MOST_USD + 1])
def test_impossible_amounts_are_refused(usd: float) -> None:
    with pytest.raises(Invalid, match="usd must be from 0"):
        spend.amount(usd)
