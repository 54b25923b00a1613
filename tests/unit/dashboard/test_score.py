"""The score: what a call's events become, and that any of them in any order can be drawn."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from desk_calls import Writer, call_id, whole_call
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.live.call_screen import SHORTEST_MS, bounded
from dashboard.score.layout import CROWDED, STRIP, TINY, Layout, Size, lay_out, page
from dashboard.score.parts import LONGEST_MS, Part, Parts
from dashboard.score.reading import parts_of
from dashboard.score.score import Score, score_of
from dashboard.score.svg import sheet, strip, summary, tiny
from protocol import events as e
from protocol.ids import Epoch, EventId, ItemId, Leg, ToolCallId, WorkerId

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOW = BEGAN + timedelta(seconds=50)


def whole() -> Score:
    return score_of(event for _, event in whole_call(1, BEGAN, 0).entries)


def of(parts: Parts, kind: str) -> list[Part]:
    return [part for part in parts.parts if part.kind == kind]


def spans(parts: Parts, kind: str) -> list[tuple[int, int]]:
    return [(part.from_ms, part.to_ms) for part in of(parts, kind)]


def test_speech_stands_where_it_was_heard() -> None:
    parts = parts_of(whole(), NOW)
    assert spans(parts, "caller") == [
        (9400, 11_700),
        (17_000, 19_400),
        (28_000, 29_500),
        (39_400, 41_300),
    ]
    assert spans(parts, "announcement") == [(400, 2300)]
    assert spans(parts, "assistant")[:2] == [(5200, 8800), (12_700, 16_900)]
    assert of(parts, "caller")[0].words == (
        "Caller, 0:09, 2.3 s: What is on my list for this week?"
    )


def test_what_was_cut_begins_at_the_heard_millisecond() -> None:
    parts = parts_of(whole(), NOW)
    assert spans(parts, "unheard") == [(16_900, 20_500)]
    assert "cut after 4.2 s" in of(parts, "assistant")[1].words


def test_tools_have_a_tail_as_long_as_they_took_and_failed_ones_are_told_apart() -> None:
    tools = of(parts_of(whole(), NOW), "tool")
    assert [(t.label, t.to_ms - t.from_ms, t.tone) for t in tools] == [
        ("get_tasks", 180, ""),
        ("change_task", 4000, "bad"),
        ("change_task", 240, ""),
    ]


def test_a_tool_that_has_not_returned_reaches_to_now() -> None:
    call = Writer(1, BEGAN, 0)
    call.ring()
    call.start()
    use = {"tool_call_id": ToolCallId("t"), "item_id": ItemId("i"), "name": "slow"}
    call.add(2000, e.ToolCalled, arguments="{}", **use)
    parts = parts_of(score_of(x for _, x in call.entries), BEGAN + timedelta(seconds=9))
    (tool,) = of(parts, "tool")
    assert (tool.from_ms, tool.to_ms, tool.tone) == (2000, 9000, "open")


def test_response_times_end_where_the_answer_began() -> None:
    answers = of(parts_of(whole(), NOW), "response")
    assert [(a.to_ms, a.to_ms - a.from_ms, a.label) for a in answers] == [
        (12_700, 760, "760 ms"),
        (24_200, 4500, "4.5 s"),
        (31_900, 2100, "2.1 s"),
        (42_000, 700, "700 ms"),
    ]


def test_keys_at_the_gate_are_dots() -> None:
    keys = of(parts_of(whole(), NOW), "key")
    assert [key.label for key in keys] == ["•", "•", "•", "•", "5"]
    assert [key.words for key in keys][::4] == ["Key masked, 0:02", "Key 5, 0:38"]


def test_losses_close_where_what_was_lost_is_back() -> None:
    agent, handover, session = of(parts_of(whole(), NOW), "gap")
    assert (agent.tone, agent.from_ms, agent.to_ms) == ("bad", 27_300, 30_300)
    assert "restored by agent-2 after 3.0 s" in agent.words
    assert (handover.tone, handover.from_ms, handover.to_ms) == ("calm", 36_000, 36_400)
    assert "taken by agent-3 after 0.4 s" in handover.words
    assert (session.tone, session.from_ms, session.to_ms) == ("open", 44_000, 50_000)
    assert "not restored" in session.words


def test_a_lost_line_is_a_moment_on_it_and_says_how_long_it_took() -> None:
    call = Writer(1, BEGAN, 0)
    call.ring()
    call.start()
    call.add(9000, e.StreamStopped, leg=call.leg, reason="lost", line_ms=9000)
    stream = {"stream_id": "MZ" + "0" * 32, "ingress": "ingress-2", "line_ms": 9000}
    call.add(12_500, e.StreamStarted, previous_leg=call.leg, **stream)
    call.add(13_500, e.ModeChanged, mode="keypad")
    parts = parts_of(score_of(x for _, x in call.entries), BEGAN + timedelta(seconds=14))
    (gap,) = of(parts, "gap")
    assert (gap.from_ms, gap.to_ms, gap.tone) == (9000, 9000, "bad")
    assert "restored by ingress-2 after 3.5 s" in gap.words
    assert of(parts, "rule")[-1].from_ms == 10_000, "line time goes on where the leg ended"
    assert parts.length_ms == 10_500


def test_modes_acts_and_pins_are_rules() -> None:
    rules = of(parts_of(whole(), NOW), "rule")
    assert [rule.label for rule in rules] == ["gate", "PIN accepted", "conversation", "whisper"]
    assert rules[-1].words == "mira: whisper, 0:37"


def test_an_ended_call_has_the_length_of_its_line_and_a_live_one_grows() -> None:
    call = whole_call(1, BEGAN, 0)
    score = score_of(event for _, event in call.entries)
    assert parts_of(score, NOW).length_ms == 50_000
    assert parts_of(score, NOW).live
    call.ends(46_000)
    score = score_of(event for _, event in call.entries)
    ended = parts_of(score, NOW)
    assert (ended.length_ms, ended.live) == (46_000, False)
    assert ended == parts_of(score, NOW + timedelta(days=9))


def test_a_call_that_never_had_a_line_is_an_empty_score() -> None:
    call = Writer(1, BEGAN, 0)
    call.ring()
    parts = parts_of(score_of(x for _, x in call.entries), NOW)
    assert (parts.parts, parts.length_ms, parts.live) == ((), 0, False)
    assert summary(parts) == "nothing said yet"
    ET.fromstring(strip(parts))


def test_events_that_come_twice_count_once() -> None:
    events = [event for _, event in whole_call(1, BEGAN, 0).entries]
    assert parts_of(score_of(events + events), NOW) == parts_of(score_of(events), NOW)


def test_the_last_minute_alone_has_what_the_whole_has_there() -> None:
    score = whole()
    recent = parts_of(score, NOW, last_ms=10_000)
    everything = parts_of(score, NOW)
    assert [p for p in everything.parts if p.to_ms >= 40_000] == [
        p for p in recent.parts if p.to_ms >= 40_000
    ]
    assert len(recent.parts) < len(everything.parts)


# -- any events, in any order

MOMENTS = st.integers(-(10**7), 10**8).map(lambda ms: BEGAN + timedelta(milliseconds=ms))
MS = st.one_of(st.integers(0, 100_000), st.integers(-(10**6), 10**15))
ITEMS = st.sampled_from(["a", "b", "local:hold"]).map(ItemId)
WORDS = st.sampled_from(["", "yes", 'a <b> & "c" of several words that go on and on', "日本語の文"])
NAMES = st.sampled_from(["w1", "w2"]).map(WorkerId)


def event_of(kind: type[e.Event], **values: st.SearchStrategy[object]) -> st.SearchStrategy:
    common = {
        "id": st.integers(0, 10**9).map(lambda n: EventId(str(n))),
        "call_id": st.just(call_id(1)),
        "at": MOMENTS,
        "service": st.just("s"),
        "worker": NAMES,
    }
    if issubclass(kind, e.AgentEvent):
        common["epoch"] = st.just(Epoch(1))
    return st.builds(kind, **common, **values)


EVENTS = st.one_of(
    event_of(
        e.StreamStarted,
        stream_id=st.just("MZ"),
        ingress=st.just("i"),
        previous_leg=st.just(Leg(0)),
        line_ms=MS,
    ),
    event_of(
        e.StreamStopped,
        leg=st.just(Leg(1)),
        reason=st.sampled_from(["stop", "lost"]),
        line_ms=MS,
    ),
    event_of(
        e.Assigned,
        leg=st.just(Leg(1)),
        previous_epoch=st.just(Epoch(0)),
        reason=st.sampled_from(["placed", "takeover", "handover"]),
    ),
    event_of(e.HandingOver, line_ms=MS, successor=NAMES),
    event_of(e.SessionLost, generation=st.just(1), reason=WORDS),
    event_of(e.ModeChanged, mode=st.sampled_from(["gate", "keypad", "conversation"])),
    event_of(e.TurnCommitted, item_id=ITEMS, from_ms=MS, to_ms=MS),
    event_of(e.TurnTranscribed, item_id=ITEMS, text=WORDS),
    event_of(
        e.Said,
        item_id=ITEMS,
        response_id=st.just("r"),
        text=WORDS,
        generated_ms=MS,
        done=st.booleans(),
    ),
    event_of(
        e.Heard,
        leg=st.just(Leg(1)),
        item_id=ITEMS,
        heard_ms=MS,
        sent_ms=MS,
        cut=st.booleans(),
        line_ms=MS,
    ),
    event_of(e.BargedIn, item_id=ITEMS, heard_ms=MS, line_ms=MS),
    event_of(e.KeyPressed, digit=st.sampled_from("0#•"), line_ms=MS, masked=st.booleans()),
    event_of(
        e.ToolCalled,
        tool_call_id=st.just(ToolCallId("t")),
        item_id=ITEMS,
        name=WORDS,
        arguments=st.just("{}"),
    ),
    event_of(
        e.ToolReturned,
        tool_call_id=st.just(ToolCallId("t")),
        called=st.integers(0, 9).map(lambda n: EventId(str(n))),
        outcome=st.sampled_from(["ok", "failed", "timeout"]),
        result=st.just("{}"),
        took_ms=MS,
    ),
    event_of(e.ResponseTimed, turn_item_id=ITEMS, item_id=ITEMS, response_ms=MS),
    event_of(e.OperatorActed, operator=WORDS, act=WORDS),
    event_of(e.LimitReached, limit=WORDS, detail=WORDS),
    event_of(e.CallEnded, reason=st.just("lost")),
)
LOGS = st.lists(EVENTS, max_size=25)
WINDOWS = st.tuples(st.integers(0, LONGEST_MS), st.integers(0, LONGEST_MS))


def check(layout: Layout, size: Size) -> None:
    """Everything is inside, and no text touches another."""
    for shape in layout.shapes:
        assert 0 <= shape.x <= shape.x + shape.w <= size.width + 0.02, shape
        assert 0 <= shape.y <= shape.y + shape.h <= size.height, shape
    for text in layout.texts:
        assert 0 <= text.x <= text.x + text.w <= size.width + 0.02, text
        assert 0 <= text.y <= text.y + text.h <= size.height, text
    for one, other in combinations(layout.texts, 2):
        apart_x = one.x + one.w <= other.x + 0.02 or other.x + other.w <= one.x + 0.02
        apart_y = one.y + one.h <= other.y or other.y + other.h <= one.y
        assert apart_x or apart_y, (one, other)


@settings(max_examples=50, deadline=None)
@given(LOGS, MOMENTS, WINDOWS, st.floats(200, 3000))
def test_any_events_in_any_order_can_be_drawn(
    events: list[e.AnyEvent], now: datetime, window: tuple[int, int], width: float
) -> None:
    parts = parts_of(score_of(events), now)
    assert 0 <= parts.length_ms <= LONGEST_MS
    for part in parts.parts:
        assert 0 <= part.from_ms <= part.to_ms <= LONGEST_MS, part
    seen = bounded(*window, parts.length_ms)
    for size in (page(width), STRIP, TINY):
        check(lay_out(parts, size, seen.from_ms, seen.to_ms), size)
    for drawn in (strip(parts), tiny(parts), sheet(parts, width, seen.from_ms, seen.to_ms)):
        svg = ET.fromstring(drawn)
        assert svg.get("aria-label")
        assert all(g.find("title") is not None for g in svg.iter("g") if "data-key" in g.attrib)


@given(st.integers(-10, 10**8), st.integers(-10, 10**8), st.integers(0, 10**8))
def test_a_window_lies_inside_the_call(from_ms: int, to_ms: int, length_ms: int) -> None:
    window = bounded(from_ms, to_ms, length_ms)
    assert 0 <= window.from_ms < window.to_ms <= max(length_ms, SHORTEST_MS)
    assert window.to_ms - window.from_ms >= SHORTEST_MS
    for _, _, first, last in window.steps:
        seen = bounded(first, last, length_ms)
        assert 0 <= seen.from_ms < seen.to_ms <= max(length_ms, SHORTEST_MS)


# -- sizes


@pytest.mark.parametrize("turns", [0, 1, 40, 2000])
def test_a_strip_is_as_high_and_at_most_as_long_whatever_was_said(turns: int) -> None:
    call = Writer(1, BEGAN, 0)
    call.ring()
    call.start()
    for n in range(turns):
        call.asks(n * 1000, f"i{n}", "word " * 50, 400)
    parts = parts_of(score_of(x for _, x in call.entries), BEGAN + timedelta(seconds=turns))
    for drawn, height, most in ((strip(parts), "36", 30_000), (tiny(parts), "20", 45_000)):
        svg = ET.fromstring(drawn)
        assert svg.get("height") == height
        assert svg.get("viewBox", "").endswith(f" {height}")
        assert len(drawn) < most


def test_a_crowded_page_joins_neighbours_and_says_how_many() -> None:
    call = Writer(1, BEGAN, 0)
    call.ring()
    call.start()
    for n in range(CROWDED * 2):
        call.asks(n * 100, f"i{n}", "yes", 90)
    call.ends(CROWDED * 200)
    parts = parts_of(score_of(x for _, x in call.entries), NOW)
    layout = lay_out(parts, page(1000), 0, parts.length_ms)
    assert len(layout.shapes) < 1000
    assert any("more)" in shape.part.words for shape in layout.shapes)
    near = lay_out(parts, page(1000), 0, 20_000)
    assert len(near.shapes) >= 200, "zoomed in, each stands alone"


def test_the_page_names_every_part_for_people_who_do_not_see_it() -> None:
    parts = parts_of(whole(), NOW)
    svg = ET.fromstring(sheet(parts, 1200, 0, parts.length_ms))
    named = [g for g in svg.iter("g") if g.get("data-key")]
    assert len(named) == len(parts.parts)
    for group in named:
        title = group.find("title")
        assert title is not None
        assert title.text == group.get("aria-label")
    assert "4 turns of the caller" in svg.get("aria-label", "")
    assert "1 cut off" in svg.get("aria-label", "")


def steered() -> Writer:
    """A call that an operator listened to, took over twice, and whispered in."""
    w = Writer(4, BEGAN, 0)
    w.ring()
    w.start()
    w.session(300)
    w.add(500, e.RecordingStarted, line_ms=450, announced=True)
    w.says(900, "a1", "Good morning.", 1500)
    w.add(3000, e.OperatorActed, operator="mira", act="take_over")
    w.add(3100, e.TakenOver, operator="mira", line_ms=3050)
    w.says(4000, "operator:1", "", 2000)
    w.add(7000, e.GivenBack, operator="mira", line_ms=6900, reason="silent")
    w.add(8000, e.OperatorActed, operator="noor", act="whisper")
    w.add(8100, e.Whispered, by="noor", text="be brief")
    w.add(9000, e.TakenOver, operator="noor", line_ms=8900)
    return w


def test_an_operator_who_spoke_has_a_span_and_speech_of_their_own() -> None:
    events = [event for _, event in steered().entries]
    parts = parts_of(score_of(events), BEGAN + timedelta(seconds=12))
    assert spans(parts, "taken") == [(3050, 6900), (8900, 12_000)]
    first, second = of(parts, "taken")
    assert first.words == (
        "mira took the call over, 0:03: fell silent; the assistant had it back after 3.9 s"
    )
    assert (second.label, second.tone) == ("noor", "open")
    assert [(p.key, p.words) for p in of(parts, "operator")] == [
        ("operator:1", "mira, 0:04, 2.0 s: mira speaks")
    ]
    assert [p.key for p in of(parts, "assistant")] == ["a1"], "it is not the assistant's"
    assert "2 times taken over" in summary(parts)


def test_a_whisper_is_one_rule_with_its_words_and_recording_begins_on_the_line() -> None:
    events = [event for _, event in steered().entries]
    rules = {p.label: p for p in of(parts_of(score_of(events), NOW), "rule")}
    assert rules["whisper"].words.startswith("noor whispered: be brief")
    assert rules["recording"].from_ms == 450
    assert rules["recording"].words.startswith("Recorded from here on, as announced")
    assert rules["take over"].words.startswith("mira: take_over")
    refused = [x for x in events if not isinstance(x, e.Whispered)]
    rules = {p.label: p for p in of(parts_of(score_of(refused), NOW), "rule")}
    assert rules["whisper"].words.startswith("noor: whisper"), "also of one that was refused"


def test_a_call_that_ends_while_it_is_taken_over_ends_its_span() -> None:
    w = steered()
    w.ends(15_000)
    parts = parts_of(score_of(event for _, event in w.entries), NOW)
    last = of(parts, "taken")[-1]
    assert (last.from_ms, last.to_ms, last.tone) == (8900, 15_000, "")
    assert "spoke to the end" in last.words


@pytest.mark.parametrize("width", [280, 600, 1200])
def test_what_operators_did_is_drawn_in_every_size(width: float) -> None:
    parts = parts_of(score_of(event for _, event in steered().entries), NOW)
    for drawn in (strip(parts), tiny(parts), sheet(parts, width, 0, 12_000)):
        names = {group.get("class") for group in ET.fromstring(drawn).iter() if group.get("class")}
        assert {"part part--operator", "part part--taken", "part part--taken is-open"} <= names
