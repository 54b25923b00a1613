"""What browsers are sent: how much an update holds, however much happens, and how long it takes."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from desk_calls import Writer, call_id, fresh_call, whole_call

from dashboard.html import Html
from dashboard.live.board import Board
from dashboard.live.call_screen import CallScreen
from dashboard.live.filters import Filter, filter_of
from dashboard.live.screen import ROWS_A_TICK, SAY_AT_MOST, SHOW_ENDED, Screen
from dashboard.score.reading import parts_of
from dashboard.score.svg import STRIP_MS
from protocol import events as e
from protocol.ids import ItemId
from protocol.line import LiveTranscript
from runtime.clock import utc_now

STEP = 10_000
LIVE = 200
SOME = 60


class Desk:
    """A board with ``count`` calls that go on, and its screens."""

    def __init__(self, count: int) -> None:
        self.board = Board()
        html = Html(ZoneInfo("UTC"))
        self.screen = Screen(self.board, html)
        self.calls = CallScreen(html, self.screen)
        self.writers = [fresh_call(n, utc_now(), n * STEP) for n in range(1, count + 1)]
        for writer in self.writers:
            self.take(writer, 0)
        self.settle()

    def take(self, writer: Writer, before: int) -> None:
        for sequence, event in writer.entries[before:]:
            self.board.apply(sequence, event)

    def settle(self) -> None:
        """Nothing is due any more."""
        while self.update() or self.screen.due:
            pass

    def update(self, *, figures: bool = False) -> str:
        message = self.screen.board_changes(self.board.take_changes(), figures=figures)
        return message.data if message else ""

    def say(self, writer: Writer, words: str) -> None:
        before = len(writer.entries)
        writer.add(170_000, e.Said, item_id="new", response_id="r", text=words, **_SAID)
        self.take(writer, before)

    def end(self, writer: Writer) -> None:
        before = len(writer.entries)
        writer.add(180_000, e.CallEnded, reason="caller_hung_up")
        self.take(writer, before)


_SAID = {"generated_ms": 900, "done": True}


def rows(data: str) -> list[str]:
    """The calls whose rows are in an update, in order."""
    return re.findall(r'<li id="call-(\w+)" class="call ', data)


@pytest.fixture
def desk() -> Desk:
    return Desk(SOME)


@pytest.fixture
def busy() -> Desk:
    return Desk(LIVE)


def test_one_word_costs_one_row(desk: Desk) -> None:
    desk.say(desk.writers[7], "a word")
    data = desk.update()
    assert rows(data) == [call_id(8)]
    assert "a word" in data
    assert len(data) < 8000
    assert desk.update() == ""


def test_however_much_happens_an_update_holds_so_many_rows_and_none_is_forgotten(
    busy: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    for writer in busy.writers:
        busy.say(writer, "all at once")
    began, sent = time.process_time(), list[str]()
    while data := busy.update(figures=True):
        sent.append(data)
    took = time.process_time() - began
    counts = [len(rows(data)) for data in sent]
    assert counts == [ROWS_A_TICK] * (LIVE // ROWS_A_TICK)
    assert len({call for data in sent for call in rows(data)}) == LIVE
    assert max(map(len, sent)) < ROWS_A_TICK * 6000 + 12_000
    # Not asserted: the machine's speed is nobody's promise.
    with capsys.disabled():
        kilobytes, each = sum(map(len, sent)) / 1000, 1000 * took / LIVE
        print(f"\n  {LIVE} calls changed at once: {kilobytes:.0f} kB, {each:.2f} ms a row")


def test_the_whole_board_is_drawn_once_and_then_read(
    busy: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen(busy.board, Html(ZoneInfo("UTC")))
    times: list[float] = []
    for _ in range(3):
        began = time.process_time()
        (message,) = screen.board_now()
        times.append(1000 * (time.process_time() - began))
        assert len(rows(message.data)) == LIVE
        assert len(message.data) < LIVE * 6000 + 12_000
    with capsys.disabled():
        print(f"\n  board of {LIVE} calls: {', '.join(f'{ms:.0f} ms' for ms in times)}")


def test_a_browser_that_has_the_page_is_sent_what_is_different(desk: Desk) -> None:
    after = desk.screen.listing().sequence
    (message,) = desk.screen.board_now(after)
    assert rows(message.data) == []
    newest = desk.writers[-1]
    desk.say(newest, "said between the page and its stream")
    (message,) = desk.screen.board_now(after)
    assert rows(message.data) == [call_id(newest.n)]
    kept = re.search(r'data-rows="([^"]*)"', message.data)
    assert kept is not None
    assert set(kept[1].split()) == {call_id(writer.n) for writer in desk.writers}
    (whole,) = desk.screen.board_now(10**15)
    assert len(rows(whole.data)) == SOME, "a sequence that the log has not is no start"


def test_a_call_that_changes_for_ever_does_not_keep_others_waiting(busy: Desk) -> None:
    for writer in busy.writers:
        busy.say(writer, "first")
    waiting = {call_id(writer.n) for writer in busy.writers}
    for turn in range(LIVE // ROWS_A_TICK):
        busy.say(busy.writers[0], f"again {turn}")
        waiting -= set(rows(busy.update()))
    assert len(waiting) <= 1


def test_an_ended_call_moves_and_the_oldest_one_goes(desk: Desk) -> None:
    for writer in desk.writers[:SHOW_ENDED]:
        desk.end(writer)
    desk.settle()
    desk.end(desk.writers[SHOW_ENDED])
    data = desk.update()
    assert f'<li id="call-{call_id(1)}" data-gone>' in data
    assert rows(data) == [call_id(SHOW_ENDED + 1)]
    assert 'data-in="ended"' in data
    assert "caller hung up" in data


def test_an_announcement_names_a_few_calls_and_counts_the_rest(desk: Desk) -> None:
    for writer in desk.writers[:9]:
        desk.end(writer)
    said = re.search(r'id="announce".*?</p>', desk.update(), re.S)
    assert said is not None
    assert said[0].count("Call from") == SAY_AT_MOST
    assert "6 more calls changed" in said[0]


def test_totals_are_sent_when_they_look_different(desk: Desk) -> None:
    assert desk.update(figures=True) == ""
    writer = desk.writers[0]
    writer.used(1000, 5.0)
    desk.take(writer, len(writer.entries) - 1)
    assert 'id="totals"' not in desk.update()
    assert 'id="totals"' in desk.update(figures=True)
    desk.end(writer)
    assert 'id="totals"' in desk.update(), "calls now are fewer: that is said at once"


def rings(n: int) -> bool:
    return n % 17 == 3


def at_gate(n: int) -> bool:
    return n % 11 == 5 and not rings(n)


def talks(n: int) -> bool:
    return not rings(n) and not at_gate(n)


@pytest.mark.parametrize(
    ("chosen", "lets"),
    [
        (Filter(), lambda n: True),
        (Filter(state="ringing"), rings),
        (Filter(state="active"), lambda n: not rings(n)),
        (Filter(mode="gate"), at_gate),
        (
            Filter(assistant="clinic", mode="keypad"),
            lambda n: talks(n) and n % 13 == 6 and n % 3 == 1,
        ),
        (Filter(text="AGENT-2 clinic"), lambda n: talks(n) and n % 4 == 1 and n % 3 == 1),
        (Filter(text="no such words"), lambda n: False),
        (Filter(state="failed"), lambda n: False),
    ],
)
def test_a_filter_lets_through_what_it_says(
    desk: Desk, chosen: Filter, lets: Callable[[int], bool]
) -> None:
    listing = desk.screen.listing(chosen)
    wanted = {call_id(n) for n in range(1, SOME + 1) if lets(n)}
    assert set(rows("".join((*listing.going, *listing.ended)))) == wanted


def test_a_filter_is_read_from_an_address_and_bounded() -> None:
    assert filter_of({}) == Filter()
    assert not filter_of({"state": "nonsense", "mode": "x"})
    long = filter_of({"q": " a " + "b" * 500, "assistant": "c" * 500, "mode": "gate"})
    assert (len(long.text), len(long.assistant), long.mode) == (80, 80, "gate")


def test_a_word_in_a_long_call_costs_a_line() -> None:
    desk = Desk(0)
    call = whole_call(1, utc_now() - timedelta(seconds=50), 0)
    for n in range(400):
        call.asks(50_000 + n, f"q{n}", f"question {n}", 1)
    desk.take(call, 0)
    row = desk.board.get(call_id(1))
    assert row is not None
    (first,) = desk.calls.now(row)
    assert first.data.count('class="mark ') >= 400
    desk.calls.changes(row, phase=False)
    desk.say(call, "one more sentence")
    message = desk.calls.changes(row, phase=False)
    assert message is not None
    assert message.data.count('class="mark ') == 1
    assert "one more sentence" in message.data
    assert 'id="score-now"' in message.data
    assert len(message.data) < 8000


def test_partial_words_that_end_in_nothing_are_taken_away() -> None:
    desk = Desk(0)
    call = whole_call(1, utc_now() - timedelta(seconds=50), 0)
    desk.take(call, 0)
    row = desk.board.get(call_id(1))
    assert row is not None
    desk.board.hear(call_id(1), LiveTranscript(ItemId("p"), "caller", "What is"))
    message = desk.calls.changes(row, phase=False)
    assert message is not None
    assert "What is" in message.data
    desk.end(call)
    message = desk.calls.changes(row, phase=True)
    assert message is not None
    assert '<li id="mark-p" data-gone>' in message.data
    assert "ended, caller hung up" in re.sub(r"\s+", " ", message.data)


def test_a_row_in_which_nothing_happened_is_moved_on_instead_of_drawn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = utc_now() + timedelta(seconds=20)
    drawn = 0

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal drawn
        drawn += 1
        return parts_of(*given, **named)

    desk.screen.listing()
    monkeypatch.setattr("dashboard.live.screen.utc_now", lambda: later)
    monkeypatch.setattr("dashboard.live.screen.parts_of", counted)
    moved = desk.screen.listing().going
    assert drawn == 0
    fresh = Screen(desk.board, Html(ZoneInfo("UTC"))).listing().going
    assert drawn == len(fresh) == len(moved)
    lengths = r'data-elapsed-ms="\d+">[\d:]+<'
    full = 0
    for ours, anew in zip(moved, fresh, strict=True):
        assert re.findall(lengths, ours) == re.findall(lengths, anew), "its length is right"
        shift = re.search(r'data-age="(\d+)" transform="translate\(-([\d.]+) 0\)"', ours)
        to_ms = int(re.findall(r'data-to="(\d+)"', ours)[0])
        if to_ms == STRIP_MS:
            assert shift is None, "before its first minute is full a strip does not move"
            continue
        assert shift is not None
        full += 1
        assert to_ms + int(shift[1]) == pytest.approx(
            int(re.findall(r'data-to="(\d+)"', anew)[0]), abs=2
        )
        assert float(shift[2]) == pytest.approx(int(shift[1]) * 420 / STRIP_MS, abs=0.01)
    assert full > SOME / 4


def test_a_row_of_long_ago_is_drawn_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.screen.listing()
    later = utc_now() + timedelta(seconds=61)
    monkeypatch.setattr("dashboard.live.screen.utc_now", lambda: later)
    assert not [row for row in desk.screen.listing().going if "data-age" in row]
