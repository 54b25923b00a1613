"""The board: a whole call, replay equals live, bounds, partial words."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.live.board import Board, summaries, summary
from dashboard.live.totals import totals
from dashboard.live.view import arguments, timeline, view
from protocol import events as e
from protocol.call import fold
from protocol.ids import CallId, Epoch, EventId, IngressId, ItemId, Leg, StreamId, ToolCallId
from protocol.line import LiveTranscript

BEGIN = datetime(2026, 11, 22, 12, tzinfo=UTC)


def call_id(n: int) -> CallId:
    return CallId(f"CA{n:032x}")


def whole_call(n: int, base: int) -> list[tuple[int, e.AnyEvent]]:
    """A call as the services write it: greeting, barge-in, a tool, a key, goodbye."""
    leg, epoch = Leg(base + 2), Epoch(base + 3)
    entries: list[tuple[int, e.AnyEvent]] = []

    def add(kind: type[e.Event], **values: object) -> EventId:
        sequence = base + len(entries) + 1
        event_id = EventId(f"{n}-{sequence}")
        if issubclass(kind, e.AgentEvent):
            values["epoch"] = epoch
        at = BEGIN + timedelta(seconds=sequence)
        entries.append(
            (
                sequence,
                kind(id=event_id, call_id=call_id(n), at=at, service="s", worker="w-1", **values),
            )
        )
        return event_id

    add(e.Ringing, caller="+15551233456", called="+15557001122")
    add(
        e.StreamStarted,
        stream_id=StreamId("MZ" + "0" * 32),
        ingress=IngressId("i-1"),
        previous_leg=Leg(0),
    )
    add(e.Assigned, leg=leg, previous_epoch=Epoch(0))
    add(e.ModeChanged, mode="conversation")
    greeting, question = ItemId("item_a"), ItemId("item_b")
    say = {"response_id": "r1", "item_id": greeting}
    add(e.Said, text="Hello and", generated_ms=500, done=False, **say)
    add(e.Said, text="Hello and welcome to the desk", generated_ms=2000, done=True, **say)
    add(e.BargedIn, item_id=greeting, heard_ms=1000, line_ms=1500)
    add(e.Heard, leg=leg, item_id=greeting, heard_ms=1000, sent_ms=2000, cut=True, line_ms=1500)
    add(e.TurnCommitted, item_id=question, from_ms=1500, to_ms=2500, previous_item_id=greeting)
    add(e.TurnTranscribed, item_id=question, text="What is due today?")
    called = add(
        e.ToolCalled,
        tool_call_id=ToolCallId("t1"),
        item_id=ItemId("item_c"),
        name="get_tasks",
        arguments='{"period":"today"}',
    )
    add(
        e.ToolReturned,
        tool_call_id=ToolCallId("t1"),
        called=called,
        outcome="ok",
        result='{"todos":[]}',
        took_ms=31,
    )
    add(e.ResponseTimed, turn_item_id=question, item_id=ItemId("item_d"), response_ms=700)
    add(e.KeyPressed, digit="5", line_ms=3000)
    add(
        e.UsageReported,
        source="response",
        reference="r1",
        model="m",
        tokens=e.Tokens(),
        cost_usd=0.01,
    )
    add(e.CallEnded, reason="caller_hung_up")
    return entries


def test_a_whole_call_is_shown_as_it_went() -> None:
    board = Board()
    for sequence, event in whole_call(1, 0):
        assert board.apply(sequence, event)
    row = board.get(call_id(1))
    assert row is not None
    shown = view(row, BEGIN + timedelta(hours=1))
    assert (shown.tone, shown.status, shown.reason) == ("ended", "ended", "caller hung up")
    assert (shown.caller, shown.called) == ("+15****3456", "+15****1122")
    assert (shown.mode, shown.worker, shown.keys) == ("conversation", "w-1", ("5",))
    assert (shown.response_ms, shown.cost_usd, shown.elapsed_ms) == (700, 0.01, 15_000)
    assert not shown.ticking
    assert [(m.kind, m.text) for m in timeline(row)] == [
        ("assistant", "Hello and…"),
        ("caller", "What is due today?"),
        ("tool", "get_tasks(period: today)"),
    ]
    marks = timeline(row)
    assert marks[0].cut == "cut after 1.0 s"
    assert marks[0].unheard == "welcome to the desk"
    assert (marks[2].outcome, marks[2].took_ms) == ("ok", 31)
    assert shown.last is not None
    assert shown.last.text == "What is due today?"


def test_a_repeated_event_changes_nothing() -> None:
    board = Board()
    entries = whole_call(1, 0)
    for sequence, event in entries:
        board.apply(sequence, event)
    before = summaries(board.rows())
    board.take_changes()
    assert not any(board.apply(sequence, event) for sequence, event in entries)
    assert not board.take_changes()
    assert summaries(board.rows()) == before


@settings(max_examples=15)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=64), st.data())
def test_a_replay_equals_the_live_board(order: list[int], data: st.DataObject) -> None:
    """Calls interleaved in any way, with partial words in between: folding the log again, or one
    call alone, gives what the board holds."""
    sources: dict[int, Iterator[tuple[int, e.AnyEvent]]] = {
        n: iter(whole_call(n, 1000 * n)) for n in range(4)
    }
    log: list[tuple[int, e.AnyEvent]] = []
    live = Board()
    for n in order:
        entry = next(sources[n], None)
        if entry is None:
            continue
        log.append(entry)
        live.apply(*entry)
        if data.draw(st.booleans()):
            item = data.draw(st.sampled_from(["item_a", "item_b", "item_x"]))
            live.hear(call_id(n), LiveTranscript(ItemId(item), "caller", "partial"))
    again = Board()
    for entry in log:
        again.apply(*entry)
    assert summaries(again.rows()) == summaries(live.rows())
    for row in live.rows():
        own = [entry for entry in log if entry[1].call_id == row.call_id]
        assert summary(fold(row.call_id, own)) == summary(row.state)


def test_calls_that_go_on_stand_above_ended_ones_each_newest_first() -> None:
    board = Board()
    for n in range(6):
        entries = whole_call(n, 100 * n)
        for sequence, event in entries if n % 2 else entries[:-1]:
            board.apply(sequence, event)
    assert [row.call_id for row in board.rows()] == [call_id(n) for n in (4, 2, 0, 5, 3, 1)]


@settings(max_examples=15)
@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.booleans(), max_size=24))
def test_the_board_is_bounded(keep_ended: int, keep_open: int, ends: list[bool]) -> None:
    board = Board(keep_ended=keep_ended, keep_open=keep_open)
    for n, ended in enumerate(ends):
        entries = whole_call(n, 100 * n)
        for sequence, event in entries if ended else entries[:-1]:
            board.apply(sequence, event)
    ended_calls = [n for n, ended in enumerate(ends) if ended]
    kept = {row.call_id for row in board.rows() if row.ended}
    assert kept == {call_id(n) for n in ended_calls[-keep_ended:]}
    # A call counts against the open ones until its end, so at most one more was there before it.
    assert len([row for row in board.rows() if not row.ended]) <= keep_open


def test_late_events_do_not_bring_a_dropped_call_back() -> None:
    board = Board(keep_ended=1)
    for n in (1, 2):
        for sequence, event in whole_call(n, 100 * n):
            board.apply(sequence, event)
    assert board.get(call_id(1)) is None
    late = e.StatusChanged(
        id=EventId("late"),
        call_id=call_id(1),
        at=BEGIN,
        service="s",
        worker="w",
        status="completed",
    )
    assert not board.apply(900, late)
    assert board.get(call_id(1)) is None
    assert board.last_sequence == 900


def test_partial_words_are_shown_until_the_final_ones_come() -> None:
    board = Board()
    entries = whole_call(1, 0)
    question = ItemId("item_b")
    words = LiveTranscript(question, "caller", "What is")
    assert not board.hear(call_id(1), words), "a call that is not known has no words"
    for sequence, event in entries[:8]:
        board.apply(sequence, event)
    assert board.hear(call_id(1), words)
    assert not board.hear(call_id(1), words), "the same words change nothing"
    assert board.take_changes().calls == {call_id(1)}
    row = board.get(call_id(1))
    assert row is not None
    last = timeline(row)[-1]
    assert (last.kind, last.text, last.live) == ("caller", "What is", True)
    for sequence, event in entries[8:10]:
        board.apply(sequence, event)
    last = timeline(row)[-1]
    assert (last.text, last.live) == ("What is due today?", False)
    assert not board.hear(call_id(1), words), "late partial words do not replace final ones"
    assert row.partial == {}
    for sequence, event in entries[10:]:
        board.apply(sequence, event)
    assert not board.hear(call_id(1), LiveTranscript(ItemId("new"), "caller", "x"))


def test_partial_words_are_bounded() -> None:
    board = Board()
    for sequence, event in whole_call(1, 0)[:3]:
        board.apply(sequence, event)
    for n in range(100):
        board.hear(call_id(1), LiveTranscript(ItemId(f"i{n}"), "assistant", "x"))
    row = board.get(call_id(1))
    assert row is not None
    assert list(row.partial)[-1] == "i99"
    assert len(row.partial) == 16


def test_changes_name_calls_and_say_when_the_order_may_differ() -> None:
    board = Board()
    entries = whole_call(1, 0)
    board.apply(*entries[0])
    assert board.take_changes().listing
    board.apply(*entries[1])
    changes = board.take_changes()
    assert (changes.listing, changes.phases) == (True, (call_id(1),))
    board.apply(*entries[2])
    changes = board.take_changes()
    assert (changes.calls, changes.listing, changes.phases) == ({call_id(1)}, False, ())
    assert not board.take_changes()


def test_totals_count_what_goes_on_and_the_day() -> None:
    board = Board()
    for n in range(3):
        entries = whole_call(n, 100 * n)
        for sequence, event in entries if n else entries[:1]:
            board.apply(sequence, event)
    figures = totals(board, BEGIN + timedelta(minutes=20))
    assert (figures.active, figures.ringing, figures.ended, figures.failed) == (0, 1, 2, 0)
    assert (figures.calls, figures.p50_ms, figures.p95_ms) == (3, 700, 700)
    assert round(figures.cost_usd, 6) == 0.02


def test_the_days_figures_count_calls_that_the_board_dropped() -> None:
    board = Board(keep_ended=1)
    for n in range(5):
        for sequence, event in whole_call(n, 100 * n):
            board.apply(sequence, event)
    assert len(board) == 1
    assert totals(board, BEGIN + timedelta(minutes=20)).calls == 5


def test_last_words_are_those_of_the_timeline() -> None:
    """The row looks for them from the end; the timeline goes through the whole call."""
    board = Board()
    for n, (sequence, event) in enumerate(whole_call(1, 0)):
        board.apply(sequence, event)
        if n % 2:
            board.hear(call_id(1), LiveTranscript(ItemId(f"i{n % 3}"), "caller", f"word {n}"))
        row = board.get(call_id(1))
        assert row is not None
        said = [m for m in timeline(row) if m.kind != "tool" and not m.dim]
        last = view(row, BEGIN).last
        assert (last and last.text) == (said[-1].text if said else None)


def test_announcements_and_silence_are_remarks_of_the_desk() -> None:
    board = Board()
    entries = whole_call(1, 0)[:3]
    at = {"call_id": call_id(1), "at": BEGIN, "service": "s", "worker": "w"}
    hold = ItemId("local:hold")
    entries.append(
        (
            90,
            e.Heard(
                id=EventId("h"),
                leg=Leg(2),
                item_id=hold,
                heard_ms=900,
                sent_ms=900,
                cut=False,
                line_ms=9,
                **at,
            ),
        )
    )
    turn = {"epoch": Epoch(3), "item_id": ItemId("q"), **at}
    entries.append((91, e.TurnTranscribed(id=EventId("q"), text="", **turn)))
    for sequence, event in entries:
        board.apply(sequence, event)
    row = board.get(call_id(1))
    assert row is not None
    shown = view(row, BEGIN)
    assert [(m.text, m.dim, m.live) for m in timeline(row)] == [
        ("announcement: hold", True, False),
        ("not understood", True, False),
    ]
    assert shown.last is None


def test_arguments_read_as_names_and_values() -> None:
    assert arguments('{"date":"2026-11-25","id":3}') == "date: 2026-11-25, id: 3"
    assert arguments("{}") == ""
    assert arguments("") == ""
    assert arguments("not json") == "not json"
    assert arguments("[1]") == "[1]"
