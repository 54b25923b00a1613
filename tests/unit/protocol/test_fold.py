"""The fold of a call's events: a realistic call, and what must hold for any log of any call."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import events as e
from protocol.call import CallState, KeyPress, Line, fold
from protocol.ids import (
    CallId,
    Epoch,
    EventId,
    IngressId,
    ItemId,
    Leg,
    StreamId,
    ToolCallId,
    WorkerId,
)

CALL = CallId("CA" + "0af1" * 8)
START = datetime(2026, 11, 23, 9, 15, tzinfo=UTC)
GREETING, QUESTION, ANSWER = ItemId("item_greet"), ItemId("item_ask"), ItemId("item_answer")


class Log:
    """Events of one call in the order of the log, with sequences that other calls left gaps in."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, e.AnyEvent]] = []

    def add(self, kind: Any, *, worker: str = "w1", **fields: Any) -> int:
        number = len(self.entries) + 1
        fields.setdefault("at", START + timedelta(seconds=number))
        event = kind(id=EventId(f"e{number}"), call_id=CALL, service="any", worker=worker, **fields)
        self.entries.append((number * 3, event))
        return number * 3


def whole_call() -> Log:
    log = Log()
    log.add(e.Ringing, caller="+447700900123", called="+442079460018")
    leg = Leg(
        log.add(
            e.StreamStarted,
            stream_id=StreamId("MZ" + "0" * 32),
            ingress=IngressId("i1"),
            previous_leg=Leg(0),
        )
    )
    ours: dict[str, Any] = {"epoch": Epoch(log.add(e.Assigned, leg=leg, previous_epoch=Epoch(0)))}
    log.add(e.ModeChanged, mode="gate", **ours)
    log.add(e.PinRequested, attempt=1, **ours)
    log.add(e.KeyPressed, digit="•", line_ms=900, masked=True, **ours)
    log.add(e.PinRejected, attempt=1, tries_left=2, **ours)
    log.add(e.PinAccepted, line_ms=4000, **ours)
    log.add(e.ModeChanged, mode="conversation", **ours)
    log.add(
        e.SessionOpened,
        generation=1,
        session_id="s",
        model="m",
        profile="planner",
        profile_sha256="0",
        instructions="Be brief.",
        voice="v",
        language="en",
        tools=(),
        **ours,
    )
    log.add(
        e.Said,
        item_id=GREETING,
        response_id="r1",
        text="Good morning, what",
        generated_ms=1000,
        done=False,
        **ours,
    )
    log.add(
        e.Said,
        item_id=GREETING,
        response_id="r1",
        text="Good morning, what can I do?",
        generated_ms=2800,
        done=True,
        **ours,
    )
    log.add(e.BargedIn, item_id=GREETING, heard_ms=1400, line_ms=6000, **ours)
    log.add(e.ResponseEnded, response_id="r1", status="cancelled", reason="turn", **ours)
    log.add(e.Heard, leg=leg, item_id=GREETING, heard_ms=1400, sent_ms=2800, cut=True, line_ms=6010)
    log.add(e.TurnCommitted, item_id=QUESTION, from_ms=5800, to_ms=7600, **ours)
    called = log.add(
        e.ToolCalled,
        tool_call_id=ToolCallId("call_1"),
        item_id=ItemId("item_f"),
        name="get_tasks",
        arguments='{"period":"today"}',
        **ours,
    )
    log.add(
        e.ToolReturned,
        tool_call_id=ToolCallId("call_1"),
        called=EventId(f"e{called // 3}"),
        outcome="ok",
        result='{"todos":[]}',
        took_ms=12,
        **ours,
    )
    log.add(
        e.Said,
        item_id=ANSWER,
        response_id="r2",
        text="Nothing today.",
        generated_ms=1100,
        done=True,
        previous_item_id=QUESTION,
        **ours,
    )
    log.add(e.TurnTranscribed, item_id=QUESTION, text="What is due today?", **ours)
    log.add(e.ResponseTimed, turn_item_id=QUESTION, item_id=ANSWER, response_ms=640, **ours)
    log.add(
        e.UsageReported,
        source="response",
        reference="r2",
        model="m",
        tokens=e.Tokens(audio_in=90),
        cost_usd=0.25,
        **ours,
    )
    log.add(
        e.UsageReported,
        source="transcription",
        reference="t",
        model="m",
        tokens=e.Tokens(),
        **ours,
    )
    log.add(e.Heard, leg=leg, item_id=ANSWER, heard_ms=1100, sent_ms=1100, cut=False, line_ms=9800)
    log.add(e.StreamClosing, leg=leg, intent="hangup", line_ms=9900)
    log.add(e.StreamStopped, leg=leg, reason="closed", line_ms=9950, frames=497)
    log.add(e.CallEnded, reason="assistant_hung_up")
    log.add(e.StatusChanged, status="completed", sequence=3, duration_s=11)
    return log


def test_a_whole_call() -> None:
    log = whole_call()
    state = fold(CALL, log.entries)
    assert (state.phase, state.end_reason) == ("ended", "assistant_hung_up")
    assert (state.caller, state.called) == ("+447700900123", "+442079460018")
    assert state.started_at == START + timedelta(seconds=1)
    assert state.ended_at == START + timedelta(seconds=27)
    assert state.leg == 6
    assert state.legs == [Line(Leg(6), "MZ" + "0" * 32, "i1", 0, "hangup", "closed")]
    assert (state.epoch, state.worker, state.line_ms) == (9, "w1", 9950)
    assert (state.mode, state.pin_attempts, state.pin_accepted_line_ms) == (
        "conversation",
        1,
        4000,
    )
    assert state.keys == [KeyPress("•", 900, 18)]
    assert state.session is not None
    assert state.session.instructions == "Be brief."
    assert not state.session_open
    assert [(u.item_id, u.party, u.heard_text()) for u in state.utterances] == [
        (GREETING, "assistant", "Good morning,…"),
        (QUESTION, "caller", "What is due today?"),
        (ANSWER, "assistant", "Nothing today."),
    ]
    (use,) = state.tools
    assert (use.key, use.outcome, use.result, use.took_ms) == ("e17", "ok", '{"todos":[]}', 12)
    assert (state.response_ms, state.cost_usd) == ([640], 0.25)
    assert state.last_sequence == len(log.entries) * 3
    assert state.twilio_status == "completed"


def test_a_call_that_lost_its_worker_and_its_line() -> None:
    log = Log()
    log.add(e.Ringing, caller="+1", called="+2", channel="browser")
    first = Leg(
        log.add(
            e.StreamStarted,
            stream_id=StreamId("MZ1"),
            ingress=IngressId("i1"),
            previous_leg=Leg(0),
            channel="browser",
        )
    )
    one = Epoch(log.add(e.Assigned, leg=first, previous_epoch=Epoch(0)))
    log.add(e.SessionLost, generation=1, reason="gone", epoch=one)
    two = Epoch(log.add(e.Assigned, worker="w2", leg=first, previous_epoch=one))
    log.add(e.StreamStopped, leg=first, reason="lost", line_ms=3000)
    log.add(e.Resuming, previous_leg=first, reason="lost")
    second = Leg(
        log.add(
            e.StreamStarted,
            stream_id=StreamId("MZ2"),
            ingress=IngressId("i2"),
            previous_leg=first,
            line_ms=3000,
            channel="browser",
        )
    )
    state = fold(CALL, log.entries)
    assert (state.phase, state.channel) == ("active", "browser")
    assert (state.epoch, state.worker, state.leg) == (two, "w2", second)
    assert [(leg.stopped, leg.closing) for leg in state.legs] == [("lost", ""), ("", "")]
    assert state.ended_at is None


def test_what_was_heard_may_stand_before_what_was_said() -> None:
    log = Log()
    log.add(e.Heard, leg=Leg(1), item_id=ANSWER, heard_ms=900, sent_ms=900, cut=False, line_ms=2000)
    log.add(
        e.Said,
        item_id=ANSWER,
        response_id="r",
        text="Yes.",
        generated_ms=900,
        done=True,
        epoch=Epoch(1),
    )
    (spoken,) = fold(CALL, log.entries).utterances
    assert (spoken.party, spoken.text, spoken.heard_ms, spoken.cut) == (
        "assistant",
        "Yes.",
        900,
        False,
    )


def test_utterances_stand_in_the_models_order() -> None:
    """A turn's transcript may be known after the answer to it was begun."""
    log = Log()
    for item, previous in (("a", None), ("c", "b"), ("b", "a")):
        log.add(
            e.TurnCommitted,
            item_id=ItemId(item),
            from_ms=0,
            to_ms=1,
            previous_item_id=previous,
            epoch=Epoch(1),
        )
    assert [u.item_id for u in fold(CALL, log.entries).utterances] == ["a", "b", "c"]


def test_an_answer_finds_its_place_though_it_was_heard_of_first() -> None:
    log = Log()
    ours: dict[str, Any] = {"epoch": Epoch(1)}
    log.add(e.Heard, leg=Leg(1), item_id=ANSWER, heard_ms=9, sent_ms=9, cut=False, line_ms=2000)
    turn = {"from_ms": 0, "to_ms": 900, **ours}
    log.add(e.TurnCommitted, item_id=QUESTION, **turn)
    spoken = {"response_id": "r", "text": "Yes.", "generated_ms": 9, "done": True, **ours}
    log.add(e.Said, item_id=GREETING, previous_item_id=QUESTION, **spoken)
    log.add(e.Said, item_id=ANSWER, previous_item_id=QUESTION, **spoken)
    found = fold(CALL, log.entries).utterances
    assert [(u.item_id, u.sequence) for u in found] == [(QUESTION, 6), (ANSWER, 12), (GREETING, 9)]
    assert found[1].heard_ms == 9


def opened(log: Log, generation: int) -> None:
    log.add(
        e.SessionOpened,
        generation=generation,
        session_id="s",
        model="m",
        profile="planner",
        profile_sha256="0",
        instructions="Be brief.",
        voice="v",
        language="en",
        tools=(),
        epoch=Epoch(1),
    )


def heard_turn(log: Log, item: str, from_ms: int, to_ms: int) -> None:
    log.add(e.TurnCommitted, item_id=ItemId(item), from_ms=from_ms, to_ms=to_ms, epoch=Epoch(1))


@pytest.mark.parametrize(
    ("again", "left"),
    [
        ([("new", 1020, 2100)], ["new", "other"]),
        ([("new", 900, 3400)], ["new"]),
        ([("new", 1000, 1400)], ["new", "old", "other"]),
        ([("new", 1000, 1400), ("rest", 1450, 2000)], ["new", "rest", "other"]),
        ([("new", 3600, 4000)], ["old", "other", "new"]),
    ],
    ids=["bounds differ", "two became one", "a first part", "one became two", "something new"],
)
def test_a_turn_that_a_later_session_hears_again_is_one_turn(
    again: list[tuple[str, int, int]], left: list[str]
) -> None:
    log = Log()
    opened(log, 1)
    heard_turn(log, "old", 1000, 2000)
    heard_turn(log, "other", 2500, 3500)
    opened(log, 2)
    for item, from_ms, to_ms in again:
        heard_turn(log, item, from_ms, to_ms)
    log.add(e.TurnTranscribed, item_id=ItemId("old"), text="Too late, perhaps.", epoch=Epoch(1))
    assert [u.item_id for u in fold(CALL, log.entries).utterances] == left


def test_turns_of_one_session_never_replace_each_other() -> None:
    """Padding before speech may make a turn begin within the one before."""
    log = Log()
    opened(log, 1)
    heard_turn(log, "short", 1000, 1400)
    heard_turn(log, "next", 1100, 3000)
    assert [u.item_id for u in fold(CALL, log.entries).utterances] == ["short", "next"]


def test_how_the_call_was_taken_and_where_the_line_fell_silent() -> None:
    log = Log()
    one = Epoch(log.add(e.Assigned, leg=Leg(1), previous_epoch=Epoch(0)))
    log.add(e.HandingOver, line_ms=7000, successor=WorkerId("w2"), epoch=one)
    two = Epoch(log.add(e.Assigned, leg=Leg(1), previous_epoch=one, reason="handover"))
    state = fold(CALL, log.entries)
    assert (state.taken, state.handed_over_ms) == ("handover", 7000)
    log.add(e.Assigned, leg=Leg(1), previous_epoch=two, reason="takeover")
    state = fold(CALL, log.entries)
    assert (state.taken, state.handed_over_ms) == ("takeover", None)


def test_which_responses_are_over() -> None:
    log = Log()
    ours: dict[str, Any] = {"epoch": Epoch(1), "model": "m", "tokens": e.Tokens()}
    log.add(e.UsageReported, source="response", reference="r1", **ours)
    log.add(e.UsageReported, source="transcription", reference="i1", **ours)
    log.add(e.ResponseEnded, response_id="r2", status="failed", reason="", epoch=Epoch(1))
    assert fold(CALL, log.entries).ended_responses == {"r1", "r2"}


@pytest.mark.parametrize(
    ("callbacks", "shown"),
    [
        ([("initiated", 0), ("in-progress", 2), ("ringing", 1)], "in-progress"),
        ([("completed", 3), ("in-progress", 2)], "completed"),
        ([("completed", None), ("in-progress", None)], "completed"),
        ([("ringing", None), ("in-progress", None)], "in-progress"),
        ([("in-progress", 2), ("completed", None)], "completed"),
    ],
)
def test_late_status_callbacks_do_not_take_the_call_back(
    callbacks: list[tuple[str, int | None]], shown: str
) -> None:
    log = Log()
    for status, sequence in callbacks:
        log.add(e.StatusChanged, status=status, sequence=sequence)
    assert fold(CALL, log.entries).twilio_status == shown


def test_an_ended_call_stays_ended() -> None:
    log = Log()
    log.add(e.CallEnded, reason="lost")
    log.add(e.Assigned, leg=Leg(1), previous_epoch=Epoch(0))
    log.add(e.Ringing, caller="+1", called="+2")
    assert fold(CALL, log.entries).phase == "ended"


# -- any log


def _value(field: msgspec.structs.FieldInfo, kind: type, pick: Random) -> Any:
    """A small value of the field's type, such that events of a log refer to each other."""
    name, text = field.name, str(field.type)
    if name in ("item_id", "previous_item_id", "turn_item_id"):
        return ItemId(pick.choice(["i1", "i2", "local:hold"]))
    if name == "called" and kind is e.ToolReturned:
        return EventId(f"id{pick.randrange(6)}")
    if name == "tools":
        return ()
    if name == "tokens":
        return e.Tokens()
    if "Literal" in text:
        return pick.choice(field.type.__args__)
    if "bool" in text:
        return pick.random() < 0.5
    if "float" in text:
        return pick.choice([0.0, 0.5, 2.25])
    if "int" in text or name in ("leg", "epoch", "previous_leg", "previous_epoch"):
        return pick.randrange(9000)
    return pick.choice(["", "a", "Good morning.", "12", "…"])


def _variants(kind: type, count: int, pick: Random) -> list[e.AnyEvent]:
    return [
        kind(
            id=EventId(""),
            call_id=CALL,
            at=START + timedelta(milliseconds=pick.randrange(9000)),
            **{
                field.name: _value(field, kind, pick)
                for field in msgspec.structs.fields(kind)
                if field.name not in ("id", "call_id", "at")
            },
        )
        for _ in range(count)
    ]


# Drawn from a pool, because drawing every field of every event takes hypothesis seconds.
POOL = [event for kind in e.AnyEvent.__args__ for event in _variants(kind, 8, Random(7))]
logs = st.lists(st.sampled_from(POOL), max_size=25).map(
    lambda found: [
        (i + 1, msgspec.structs.replace(event, id=EventId(f"id{i}")))
        for i, event in enumerate(found)
    ]
)


@st.composite
def redelivered(draw: st.DrawFn) -> tuple[list[tuple[int, e.AnyEvent]], list[int]]:
    """A log, and an order of delivery: each entry first in its place, and in between repeats of
    some stretch of what came before, as a reader that reconnects gets them."""
    log = draw(logs)
    order: list[int] = []
    for i, behind in enumerate(
        draw(st.lists(st.integers(0, 30), min_size=len(log), max_size=len(log)))
    ):
        order += [i, *range(max(0, i - behind), i + 1)] if behind > 5 else [i]
    return log, order


@given(redelivered())
def test_redelivered_entries_change_nothing(
    case: tuple[list[tuple[int, e.AnyEvent]], list[int]],
) -> None:
    log, order = case
    state, seen = CallState(CALL), set[int]()
    for i in order:
        assert state.apply(*log[i]) is (i not in seen)
        seen.add(i)
    assert state == fold(CALL, log)


@given(logs, st.data())
def test_a_repeat_under_another_sequence_changes_nothing(
    log: list[tuple[int, e.AnyEvent]], data: st.DataObject
) -> None:
    """The stream forgets ids after its duplicate window; the fold does not."""
    clean = fold(CALL, log)
    repeats = data.draw(st.lists(st.sampled_from(log), max_size=5)) if log else []
    again = [(1000 + i, event) for i, (_, event) in enumerate(repeats)]
    assert fold(CALL, [*log, *again]) == clean


@given(logs, st.data())
def test_a_prefix_and_then_the_rest_give_the_whole(
    log: list[tuple[int, e.AnyEvent]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(log)))
    state = fold(CALL, log[:cut])
    # The state of the prefix may be kept as JSON in between.
    state = msgspec.json.decode(msgspec.json.encode(state), type=CallState)
    for sequence, event in log[cut:]:
        state.apply(sequence, event)
    assert state == fold(CALL, log)


@given(logs)
def test_what_holds_for_any_log(log: list[tuple[int, e.AnyEvent]]) -> None:
    state = fold(CALL, log)
    kinds = [type(event) for _, event in log]
    assert state.last_sequence == len(log)
    assert (state.phase == "ended") is (e.CallEnded in kinds)
    assert len({u.item_id for u in state.utterances}) == len(state.utterances)
    assert len(state.tools) == kinds.count(e.ToolCalled)
    assert len(state.legs) == kinds.count(e.StreamStarted)
    assert state.epoch == max((s for s, event in log if type(event) is e.Assigned), default=0)
    assert state.leg == max((s for s, event in log if type(event) is e.StreamStarted), default=0)
    for spoken in state.utterances:
        assert isinstance(spoken.heard_text(), str)
