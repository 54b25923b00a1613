"""Days, weeks, done and descriptions, over every time zone and its clock changes."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.ids import CallerId
from protocol.todos import ChangeTodo, Todo
from tool_runner.callers import rules as callers
from tool_runner.text import Invalid, tidy
from tool_runner.todos import rules

ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
BERLIN, BEIRUT, LORD_HOWE = map(ZoneInfo, ("Europe/Berlin", "Asia/Beirut", "Australia/Lord_Howe"))
CALLER = CallerId("c1")
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)

zones = st.sampled_from(ZONES).map(ZoneInfo)
# From 2018 on no zone skips a whole day or changes its clock at 00:01, as some once did.
instants = st.integers(0, 19 * 365 * 86_400).map(
    lambda seconds: datetime(2018, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
days = st.dates(date(2000, 1, 1), date(2100, 1, 1))
todos = st.builds(
    Todo, st.just(7), st.text("abc ", min_size=1).map(tidy).filter(bool), days, st.none() | instants
)
changes = st.builds(
    ChangeTodo,
    st.just(CALLER),
    st.just(7),
    st.none() | st.text(max_size=600),
    st.none() | days,
    st.none() | st.booleans(),
)


@given(instants, zones)
def test_today_is_the_date_on_the_callers_wall(now: datetime, zone: ZoneInfo) -> None:
    today = rules.today(now, zone)
    assert today == now.astimezone(zone).date()
    assert abs((today - now.date()).days) <= 1


def test_today_around_midnight_and_clock_changes() -> None:
    def berlin(*utc: int) -> date:
        return rules.today(datetime(*utc, tzinfo=UTC), BERLIN)

    assert berlin(2026, 1, 1, 22, 59, 59) == date(2026, 1, 1)
    assert berlin(2026, 1, 1, 23) == date(2026, 1, 2)
    assert berlin(2026, 3, 29, 21, 59, 59) == date(2026, 3, 29), "summer time began that day"
    assert berlin(2026, 3, 29, 22) == date(2026, 3, 30)


@given(days)
def test_periods(day: date) -> None:
    assert rules.days("today", day) == (day, day)
    assert rules.days("tomorrow", day) == (day + timedelta(1), day + timedelta(1))
    monday, sunday = rules.days("week", day)
    assert (monday.weekday(), sunday - monday) == (0, timedelta(6))
    assert monday <= day <= sunday


@given(instants, zones, st.integers(-9 * 86_400, 86_400))
@example(datetime(2026, 4, 4, 12, tzinfo=UTC), BEIRUT, -7 * 86_400)
@example(datetime(2026, 10, 11, 12, tzinfo=UTC), LORD_HOWE, -7 * 86_400)
def test_the_archive_begins_with_the_callers_day_a_week_ago(
    now: datetime, zone: ZoneInfo, seconds: int
) -> None:
    done = now + timedelta(seconds=seconds)
    in_days = done.astimezone(zone).date() >= rules.today(now, zone) - timedelta(7)
    assert (done >= rules.archive_since(now, zone)) == in_days


def test_a_day_whose_midnight_is_skipped_begins_at_one() -> None:
    # Lebanon's summer time of 2026 begins at midnight of 29 March.
    start = rules.start_of(date(2026, 3, 29), BEIRUT)
    assert start.astimezone(BEIRUT).isoformat() == "2026-03-29T01:00:00+03:00"
    assert (start - timedelta(microseconds=1)).astimezone(BEIRUT).date() == date(2026, 3, 28)


def test_only_days_before_today_are_past() -> None:
    rules.not_past(date(2026, 7, 1), date(2026, 7, 1))
    with pytest.raises(Invalid) as past:
        rules.not_past(date(2026, 6, 30), date(2026, 7, 1))
    assert past.value.field == "date"
    assert past.value.message == "the date 2026-06-30 is in the past; today is 2026-07-01"


@given(st.text(st.characters(), max_size=700))
@example("a\0b\ud800c\r\nd\u2028e")
def test_a_description_is_one_storable_line_or_invalid(text: str) -> None:
    if not 1 <= len(tidy(text)) <= rules.MAX_DESCRIPTION:
        with pytest.raises(Invalid) as invalid:
            rules.description(text)
        assert invalid.value.field == "description"
        return
    kept = rules.description(text)
    assert len(kept.splitlines()) == 1
    assert "\0" not in kept
    assert kept.encode()
    assert rules.description(kept) == kept


def test_a_description_of_500_characters_is_kept_and_one_more_is_too_long() -> None:
    assert rules.description("ü" * 500) == "ü" * 500
    with pytest.raises(Invalid, match="longer than 500"):
        rules.description("ü" * 501)


@given(todos, changes, instants)
def test_a_change_sets_what_it_names_and_never_moves_when_it_was_done(
    todo: Todo, asked: ChangeTodo, now: datetime
) -> None:
    try:
        after, change = rules.changed(todo, asked, now)
    except Invalid:
        assert asked.description is not None
        return
    assert after.deadline == (asked.deadline or todo.deadline)
    assert after.description == (
        todo.description if asked.description is None else tidy(asked.description)
    )
    match asked.completed, todo.completed_at:
        case False, _:
            assert after.completed_at is None
        case True, None:
            assert after.completed_at == now
            assert change == "completed"
        case _, before:
            assert after.completed_at == before, "done once, done then"
    assert (change is None) == (after == todo)
    assert rules.changed(after, asked, now + timedelta(1)) == (after, None), "again: no change"


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"])
def test_zones_by_their_iana_names(name: str) -> None:
    assert callers.zone(name) == ZoneInfo(name)


@pytest.mark.parametrize(
    "name", ["", "Mars", "../UTC", "/etc/localtime", "Europe", "a\0b", "x" * 65, "Europe/Berlin "]
)
def test_what_is_no_zone_is_invalid(name: str) -> None:
    with pytest.raises(Invalid) as invalid:
        callers.zone(name)
    assert invalid.value.field == "time_zone"


@given(st.text(st.characters(), max_size=200))
def test_a_number_is_bounded_text_or_invalid(text: str) -> None:
    if not 1 <= len(tidy(text)) <= callers.MAX_NUMBER:
        with pytest.raises(Invalid) as invalid:
            callers.number(text)
        assert invalid.value.field == "number"
        return
    kept = callers.number(text)
    assert "\0" not in kept
    assert callers.number(kept) == kept
