"""The history's pure parts: the search field, raw events, the rows of a call, CSV."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.history import export, figures, finder, forget, raw, search
from dashboard.history.finder import Found, Place
from dashboard.history.forgotten import hash_of
from dashboard.history.record import record
from dashboard.history.search import question
from protocol import codec
from protocol import events as e
from protocol.ids import CallId, Epoch, EventId, ItemId
from runtime.scan import Stored

TODAY = date(2026, 11, 22)
BERLIN = ZoneInfo("Europe/Berlin")
CALL = CallId("CA" + "0" * 31 + "1")
AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def asked(text: str, **more: str) -> search.Question:
    return question(text, today=TODAY, zone=BERLIN, **more)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+4930123456", "+4930123456"),
        ("+49 30 123 456", "+4930123456"),
        ("+49 (30) 123-456", "+4930123456"),
        ("3456", "3456"),
        ("030/123456", "030123456"),
        ("the 42 apples", ""),
        ("2026-11-20", ""),
        ('"3456"', ""),
    ],
)
def test_a_number_in_the_field(text: str, number: str) -> None:
    assert asked(text).number == number


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("today", "2026-11-22", "2026-11-22"),
        ("Yesterday", "2026-11-21", "2026-11-21"),
        ("2026-11-20", "2026-11-20", "2026-11-20"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2026-12", "2026-12-01", "2026-12-31"),
        ("2026-11-01..2026-11-20", "2026-11-01", "2026-11-20"),
        ("2026-11-01..", "2026-11-01", None),
        ("..2026-11-01", None, "2026-11-01"),
        ("7d", "2026-11-16", "2026-11-22"),
    ],
)
def test_days_are_those_of_the_desks_zone(text: str, first: str | None, last: str | None) -> None:
    found = asked(text)
    since = first and datetime.fromisoformat(first).replace(tzinfo=BERLIN)
    until = last and datetime.fromisoformat(last).replace(tzinfo=BERLIN) + timedelta(days=1)
    assert (found.since, found.until) == (since, until)
    assert found.words == ""


@pytest.mark.parametrize("text", ["2026-13-40", "2026-13", "0001-01-01", "9999-12-31", ".."])
def test_no_day_breaks_the_search(text: str) -> None:
    found = asked(text)
    assert (found.since, found.until) == (None, None)


def test_everything_in_one_field() -> None:
    found = asked('dentist "next week" add_todo +4930123456 2026-11-20', outcome="failed")
    assert found.words == 'dentist "next week"'
    assert (found.tool, found.number, found.outcome) == ("add_todo", "+4930123456", "failed")
    assert found.understood == (
        "whole number",
        "20 Nov 2026",
        "tool add_todo",
        'said dentist "next week"',
    )


def test_a_tool_by_prefix_and_a_call_by_its_id() -> None:
    assert asked("tool:Weather").tool == "Weather"
    assert asked(CALL).call_id == CALL


def test_unknown_facets_are_not_looked_for() -> None:
    found = asked("", outcome="nonsense", length="nonsense")
    assert (found.outcome, found.length) == ("", None)


@given(st.text(max_size=60))
def test_any_text_is_a_question_and_a_statement(text: str) -> None:
    found = asked(text)
    assert "\0" not in found.words
    statement, values = finder.listing(found, None, most=5)
    assert f"${len(values)}" in statement
    assert f"${len(values) + 1}" not in statement
    assert (
        text == ""
        or len(text) < 3
        or text not in statement
        or text in finder.listing(asked(""), None, most=5)[0]
    )


@pytest.mark.parametrize(
    ("text", "viewer"),
    [("+4930123456", True), ("3456", True), ("+4930", False), ("23456", False), ("pizza", True)],
)
def test_a_viewer_cannot_find_out_a_number_digit_by_digit(text: str, *, viewer: bool) -> None:
    assert search.allowed(asked(text), any_part=False) is viewer
    assert search.allowed(asked(text), any_part=True)


def test_a_place_goes_through_an_address_and_back() -> None:
    place = Place(datetime(2026, 11, 20, 9, 0, 0, 123456, tzinfo=UTC), CALL)
    assert Place.read(str(place)) == place
    assert Place.read("999999999999999999-" + CALL) is None
    assert Place.read("no") is None


def message(data: bytes, subject: str = f"call.{CALL}.log.ringing") -> Stored:
    return Stored(7, subject, data, {})


def test_a_raw_event_keeps_the_bytes_of_the_log() -> None:
    data = b'{"event":"of_the_future","id":"x1","at":"2026-11-20T09:00:00Z","new":1}'
    event = raw.read(message(data, f"call.{CALL}.log.of_the_future"))
    assert (event.event_id, event.call_id, event.sequence) == ("x1", CALL, 7)
    assert (event.name, event.data.encode(), event.at) == ("of_the_future", data, AT)
    assert raw.entries(CALL, [(7, event.data)]) == ([], 1)


@pytest.mark.parametrize(
    ("data", "subject"),
    [
        (b"\xff", f"call.{CALL}.log.ringing"),
        (b"{}", f"call.{CALL}.log.ringing"),
        (b'{"id":"x","at":"2026-11-20T09:00:00"}', f"call.{CALL}.log.ringing"),
        (b'{"id":"x","at":"0001-01-01T00:00:00Z"}', f"call.{CALL}.log.ringing"),
        (b'{"id":"","at":"2026-11-20T09:00:00Z"}', f"call.{CALL}.log.ringing"),
        (b'{"id":"x","at":"2026-11-20T09:00:00Z"}\0', f"call.{CALL}.log.ringing"),
        (b'{"id":"x","at":"2026-11-20T09:00:00Z"}', "call.somebody.log.ringing"),
        (b'{"id":"x","at":"2026-11-20T09:00:00Z"}', "call.log"),
        (b"[" * 100_000, f"call.{CALL}.log.ringing"),
    ],
)
def test_poison_is_told_from_events(data: bytes, subject: str) -> None:
    with pytest.raises(raw.Poison):
        raw.read(message(data, subject))


def events_of_a_call() -> list[tuple[int, e.AnyEvent]]:
    common = {"call_id": CALL, "service": "s", "worker": "w"}

    def at(n: int) -> dict[str, Any]:
        return {"id": EventId(f"e{n}"), "at": AT + timedelta(seconds=n), **common}

    return [
        (1, e.Ringing(**at(0), caller="+4930123456", called="+15557001122")),
        (2, e.TurnCommitted(**at(1), epoch=Epoch(1), item_id=ItemId("a"), from_ms=0, to_ms=900)),
        (3, e.TurnTranscribed(**at(2), epoch=Epoch(1), item_id=ItemId("a"), text="No\0 pizza")),
        (
            4,
            e.ResponseTimed(
                **at(3),
                epoch=Epoch(1),
                turn_item_id=ItemId("a"),
                item_id=ItemId("b"),
                response_ms=-5,
            ),
        ),
        (5, e.CallEnded(**at(90), reason="caller_hung_up")),
    ]


def test_a_call_as_rows() -> None:
    one = record(CALL, events_of_a_call())
    assert (one.started_at, one.length_ms, one.outcome) == (AT, 90_000, "caller_hung_up")
    assert (one.caller, one.digits) == ("+4930123456", "4930123456")
    assert (one.words, one.last_words) == ("No pizza", "No pizza")
    assert one.response_ms == (0,)
    assert one.score.startswith("<svg")


def test_a_call_that_goes_on_has_no_end_and_no_score() -> None:
    one = record(CALL, events_of_a_call()[:3])
    assert (one.ended_at, one.outcome, one.length_ms, one.score) == (None, "", 0, "")


def test_the_rows_are_the_same_from_stored_text() -> None:
    entries = events_of_a_call()
    stored = [(n, codec.encode(event).decode()) for n, event in entries]
    assert record(CALL, raw.entries(CALL, stored)[0]) == record(CALL, entries)


def test_an_event_of_another_call_under_this_ones_address_is_left_out() -> None:
    text = codec.encode(events_of_a_call()[0][1]).decode()
    assert raw.entries(CallId("CA" + "f" * 32), [(1, text)]) == ([], 1)


def found(**more: Any) -> Found:
    values: dict[str, Any] = {
        **{"call_id": CALL, "started_at": AT, "ended_at": AT, "outcome": "completed"},
        **{"caller": "+4930123456", "called": "+15557001122", "direction": "inbound"},
        **{"channel": "phone", "assistant": "desk", "length_ms": 1500, "cost_usd": 0.1},
        **{"response_ms": [700, 900, 800], "tools": ["a_b"], "last_words": '=cmd|"x"!A1'},
    }
    return Found(**(values | more))


def test_csv_masks_numbers_and_guards_against_formulas() -> None:
    text = (export.header() + export.lines([found()], reveal=False)).decode("utf-8-sig")
    head, row = csv.reader(io.StringIO(text))
    cells = dict(zip(head, row, strict=True))
    assert cells["caller"] == "'+49****3456"
    assert cells["last_words"] == '\'=cmd|"x"!A1'
    assert (cells["length_s"], cells["response_ms"]) == ("1.5", "800")
    assert b"+4930123456" in export.lines([found()], reveal=True)


@given(st.text(max_size=20))
def test_no_cell_begins_as_a_formula(text: str) -> None:
    cell = export.guarded(text)
    assert cell.lstrip(" ")[:1] not in tuple("=+-@\t\r\n|%")
    assert cell.removeprefix("'") == text.removeprefix("'")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+49 30 123456", "+4930123456"),
        (" +4930123456 ", "+4930123456"),
        ("sip:ann@example.com", "sip:ann@example.com"),
    ],
)
def test_numbers_that_can_be_forgotten(text: str, number: str) -> None:
    assert forget.number_of(text) == number


@pytest.mark.parametrize("text", ["", "anonymous", "030123456", "3456", "+", "sip:", "+49\0301234"])
def test_what_is_not_one_persons_number_is_not_forgotten(text: str) -> None:
    with pytest.raises(forget.NoNumber):
        forget.number_of(text)


def test_a_report_has_no_number() -> None:
    report = forget.Report(2, 1, 0, (("todos", 3), ("tool results", 0)))
    assert report.lines() == [
        "2 calls forgotten.",
        "1 running call ended first.",
        "Removed. Todos: 3.",
    ]


def test_a_hash_needs_the_key() -> None:
    assert len(hash_of(b"k" * 32, CALL)) == 32
    assert hash_of(b"k" * 32, CALL) != hash_of(b"l" * 32, CALL)


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        (None, None, (date(2026, 11, 9), TODAY)),
        (date(2026, 11, 20), date(2026, 11, 21), (date(2026, 11, 20), date(2026, 11, 21))),
        (date(2026, 11, 21), date(2026, 11, 20), (date(2026, 11, 20), date(2026, 11, 21))),
        (date(2000, 1, 1), TODAY, (date(2026, 8, 23), TODAY)),
    ],
)
def test_days_of_the_figures(
    first: date | None, last: date | None, shown: tuple[date, date]
) -> None:
    assert figures.days(first, last, TODAY) == shown
