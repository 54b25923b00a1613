"""The spans of a call, folded from the events that a process writes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from protocol import events
from protocol.events import AnyEvent
from protocol.ids import CallId, Epoch, EventId, ItemId, Leg, ToolCallId, WorkerId
from runtime import spans
from runtime.held_spans import MOST_MOMENTS, Span
from runtime.spans import Spans, ids, whole_call

CALL = CallId("CA" + "1" * 32)
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEG, EPOCH = Leg(4), Epoch(7)
PERSONAL = ("+15550100009", "my secret words", "47110815")


def at(ms: int) -> datetime:
    return START + timedelta(milliseconds=ms)


def made(kind: type[AnyEvent], ms: int, event_id: str = "", **fields: Any) -> Any:
    if issubclass(kind, events.AgentEvent):
        fields.setdefault("epoch", EPOCH)
    return kind(
        id=EventId(event_id or f"e{kind.__name__}{ms}"),
        call_id=CALL,
        at=at(ms),
        service="s",
        worker="w-1",
        **fields,
    )


class Process:
    """The fold of one process, and all that it gave."""

    def __init__(self) -> None:
        self.spans = Spans()
        self.found: list[Span] = []
        self._sequence = 100

    def write(self, kind: type[AnyEvent], ms: int, event_id: str = "", **fields: Any) -> None:
        self._sequence += 1
        self.accepted(made(kind, ms, event_id, **fields), self._sequence)

    def accepted(self, event: AnyEvent, sequence: int) -> None:
        self.found += self.spans.written(event, sequence, event.at + timedelta(milliseconds=5))

    def left(self, ms: int) -> None:
        self.found += self.spans.left(CALL, EPOCH, at(ms))

    def one(self, name: str) -> Span:
        (span,) = [span for span in self.found if span.name == name]
        return span

    def names(self) -> list[str]:
        return [span.name for span in self.found]


def worker() -> Process:
    """A worker that has taken the call and opened a session."""
    process = Process()
    process.accepted(made(events.Assigned, 100, leg=LEG, previous_epoch=Epoch(0)), EPOCH)
    session_opened(process, 300, 1)
    return process


def session_opened(process: Process, ms: int, generation: int) -> None:
    process.write(
        events.SessionOpened,
        ms,
        generation=generation,
        session_id="sess_1",
        model="gpt-realtime",
        profile="front-desk",
        profile_sha256="0" * 64,
        instructions=PERSONAL[1],
        voice="marin",
        language="en",
        tools=(),
    )


def said(process: Process, ms: int, response: str, *, done: bool = False) -> None:
    process.write(
        events.Said,
        ms,
        item_id=ItemId("i1"),
        response_id=response,
        text=PERSONAL[1],
        generated_ms=100,
        done=done,
    )


def used(process: Process, ms: int, response: str, cost: float | None = 0.01) -> None:
    process.write(
        events.UsageReported,
        ms,
        source="response",
        reference=response,
        model="gpt-realtime",
        tokens=events.Tokens(text_in=10, audio_in=30, text_out=5, audio_out=15),
        cost_usd=cost,
    )


def test_ids_are_of_the_call_and_known_to_everybody() -> None:
    one, other = ids(CALL, "call"), ids(CALL, "stream.4")
    assert one.trace == other.trace
    assert one.span != other.span
    assert ids(CallId("CA" + "2" * 32), "call").trace != one.trace
    assert one.traceparent == f"00-{one.trace:032x}-{one.span:016x}-01"
    # Fixed for ever: processes of two versions work on one call while a release is rolled out.
    assert one.traceparent == "00-83d11369d06aea697842898a78d976b6-35bd6cd8d8f11bed-01"


def test_a_call_lasts_from_its_ringing_to_its_end() -> None:
    ringing = made(events.Ringing, 0, caller=PERSONAL[0], called="+15550100002")
    span = whole_call(ringing, made(events.CallEnded, 9000, reason="caller_hung_up"))
    assert (span.key, span.parent, span.began, span.ended) == ("call", None, at(0), at(9000))
    assert span.attributes["trunkline.reason"] == "caller_hung_up"
    assert PERSONAL[0] not in repr(span)


def test_what_webhooks_wrote_is_a_span_of_its_own() -> None:
    process = Process()
    process.write(events.Ringing, 0, caller=PERSONAL[0], called="+15550100002")
    process.write(events.Transferred, 50, to=PERSONAL[0])
    ringing = process.one("ringing")
    assert (ringing.parent, ringing.began, ringing.ended) == ("call", at(0), at(5))
    assert ringing.attributes == {"trunkline.direction": "inbound", "trunkline.channel": "phone"}
    assert process.one("transferred").attributes == {}
    process.write(events.CallEnded, 90, reason="completed")
    assert len(process.found) == 2


def test_a_stream_lasts_as_long_as_its_socket() -> None:
    process = Process()
    started = made(
        events.StreamStarted, 10, stream_id="MZ1", ingress="ingress-1", previous_leg=Leg(0)
    )
    process.accepted(started, LEG)
    process.write(events.StreamClosing, 800, leg=LEG, intent="handoff", line_ms=790)
    assert process.found == []
    process.write(events.StreamStopped, 900, leg=LEG, reason="closed", line_ms=890, frames=44)
    stream = process.one("stream")
    assert (stream.key, stream.parent) == ("stream.4", "call")
    assert (stream.began, stream.ended, stream.failed) == (at(10), at(900), False)
    assert stream.attributes["trunkline.frames"] == 44
    (moment,) = stream.moments
    assert (moment.name, moment.attributes) == ("stream_closing", {"trunkline.intent": "handoff"})
    process.write(events.StreamStopped, 950, leg=LEG, reason="closed", line_ms=890)
    assert process.names() == ["stream"]


def test_a_lost_stream_has_failed() -> None:
    process = Process()
    started = made(events.StreamStarted, 10, stream_id="MZ1", ingress="i", previous_leg=Leg(0))
    process.accepted(started, LEG)
    process.write(events.StreamStopped, 900, leg=LEG, reason="lost", line_ms=890)
    assert process.one("stream").failed


def test_an_assignment_holds_its_sessions_and_these_their_responses() -> None:
    process = worker()
    said(process, 500, "resp_1")
    said(process, 700, "resp_1", done=True)
    used(process, 710, "resp_1")
    process.write(
        events.ResponseTimed,
        1500,
        turn_item_id=ItemId("t"),
        item_id=ItemId("i1"),
        response_ms=600,
    )
    process.left(2000)
    assert process.names() == ["response", "response_time", "session", "assignment"]
    response, timed = process.one("response"), process.one("response_time")
    session, assignment = process.one("session"), process.one("assignment")
    assert (assignment.parent, session.parent) == ("call", assignment.key)
    assert (response.parent, timed.parent) == (session.key, session.key)
    assert (response.began, response.ended) == (at(300), at(710))
    assert (timed.began, timed.ended) == (at(900), at(1500))
    assert (session.began, session.ended) == (at(300), at(2000))
    assert (assignment.began, assignment.ended) == (at(100), at(2000))
    assert response.attributes == {
        "gen_ai.request.model": "gpt-realtime",
        "gen_ai.usage.input_tokens": 40,
        "gen_ai.usage.output_tokens": 20,
        "trunkline.cost_usd": 0.01,
        "trunkline.status": "completed",
    }
    assert not any(span.failed for span in process.found)


def test_a_response_begins_with_what_it_answers() -> None:
    process = worker()
    process.write(events.TurnCommitted, 4000, item_id=ItemId("t"), from_ms=1, to_ms=2)
    said(process, 4600, "resp_1")
    used(process, 4900, "resp_1", cost=None)
    process.left(5000)
    response = process.one("response")
    assert response.began == at(4000)
    assert "trunkline.cost_usd" not in response.attributes


@pytest.mark.parametrize(
    ("status", "failed"), [("cancelled", False), ("incomplete", False), ("failed", True)]
)
def test_a_response_that_did_not_complete_says_so(status: str, failed: bool) -> None:
    process = worker()
    said(process, 500, "resp_1")
    used(process, 700, "resp_1")
    process.write(
        events.ResponseEnded, 700, response_id="resp_1", status=status, reason=PERSONAL[1]
    )
    response = process.one("response")
    assert (response.attributes["trunkline.status"], response.failed) == (status, failed)
    assert response.ended == at(700)
    said(process, 800, "resp_1", done=True)
    process.left(900)
    assert process.names().count("response") == 1


def test_a_sentence_of_the_speaker_is_no_response() -> None:
    process = worker()
    said(process, 500, "", done=True)
    process.left(900)
    assert process.names() == ["session", "assignment"]


def test_a_response_without_usage_ends_when_it_did_not_complete() -> None:
    process = worker()
    process.write(events.ResponseEnded, 700, response_id="resp_9", status="failed", reason="x")
    assert process.one("response").failed


def test_a_tool_is_a_span_whose_key_is_known_before_it_is_asked() -> None:
    process = worker()
    tool = {"tool_call_id": ToolCallId("call_1"), "item_id": ItemId("i")}
    process.write(events.ToolCalled, 600, "key1", name="create_task", arguments=PERSONAL[1], **tool)
    process.write(
        events.ToolReturned,
        900,
        tool_call_id=ToolCallId("call_1"),
        called=EventId("key1"),
        outcome="ok",
        result=PERSONAL[1],
        took_ms=250,
    )
    span = process.one("execute_tool create_task")
    assert span.key == spans.tool_key(EventId("key1"))
    assert (span.began, span.ended, span.failed) == (at(600), at(900), False)
    assert span.attributes["trunkline.outcome"] == "ok"
    said(process, 1200, "resp_2")
    used(process, 1300, "resp_2")
    process.left(1500)
    assert process.one("response").began == at(900), "it answers the tool's result"
    assert span.parent == process.one("session").key


def test_a_tool_of_the_worker_before_ends_here() -> None:
    process = worker()
    process.write(
        events.ToolReturned,
        900,
        tool_call_id=ToolCallId("call_1"),
        called=EventId("theirs"),
        outcome="timeout",
        result="{}",
        took_ms=250,
    )
    span = process.one("execute_tool")
    assert (span.key, span.began, span.failed) == ("tool.theirs", at(650), True)


def test_a_name_that_the_model_made_up_is_not_shown() -> None:
    process = worker()
    process.write(
        events.ToolCalled,
        600,
        tool_call_id=ToolCallId("c"),
        item_id=ItemId("i"),
        name=PERSONAL[1],
        arguments="{}",
    )
    process.left(900)
    span = process.one("execute_tool unknown")
    assert span.failed, "it never returned"


def test_a_renewed_session_has_not_failed_and_a_lost_one_has() -> None:
    process = worker()
    process.write(events.SessionLost, 1000, generation=1, reason="renewed")
    session_opened(process, 1001, 2)
    process.write(events.SessionLost, 2000, generation=2, reason="the model closed")
    first, second = [span for span in process.found if span.name == "session"]
    assert (first.failed, second.failed) == (False, True)
    assert first.key != second.key


def test_the_keypad_ends_the_session() -> None:
    process = worker()
    process.write(events.ModeChanged, 1000, mode="keypad", reason="x")
    session = process.one("session")
    assert session.ended == at(1000)
    assert [moment.name for moment in session.moments] == ["mode_changed"]


def test_moments_are_shown_within_bounds() -> None:
    process = worker()
    for n in range(MOST_MOMENTS + 50):
        process.write(events.BargedIn, 400 + n, item_id=ItemId("i"), heard_ms=n, line_ms=n)
    process.left(9000)
    moments = process.one("session").moments
    assert len(moments) == MOST_MOMENTS
    assert moments[3].attributes == {"trunkline.heard_ms": 3}


def test_what_another_process_holds_has_no_spans_here() -> None:
    process = Process()
    said(process, 500, "resp_1")
    process.write(events.StreamStopped, 900, leg=LEG, reason="stop", line_ms=890)
    process.write(
        events.Heard, 950, leg=LEG, item_id=ItemId("i"), heard_ms=1, sent_ms=1, cut=False, line_ms=1
    )
    process.left(1000)
    assert process.found == []


def test_what_is_never_closed_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MOST_OPEN", 2)
    process = Process()
    for n in range(4):
        event = made(events.Assigned, n, leg=LEG, previous_epoch=Epoch(0))
        process.accepted(msgspec.structs.replace(event, call_id=CallId(f"CA{n}")), n + 1)
        event = made(events.StreamStarted, n, stream_id="M", ingress="i", previous_leg=Leg(0))
        process.accepted(event, n + 1)
    assert [bool(process.spans.left(CallId(f"CA{n}"), Epoch(n + 1), at(9))) for n in range(4)] == [
        True, True, False, False,
    ]  # fmt: skip
    for n in range(4):
        process.write(events.StreamStopped, 900, leg=Leg(n + 1), reason="stop", line_ms=8)
    assert process.names() == ["stream", "stream"]


FILLED: dict[str, Any] = {
    "handing_over": {"line_ms": 1, "successor": WorkerId("w-2")},
    "pin_requested": {"attempt": 1},
    "pin_accepted": {"line_ms": 1},
    "pin_rejected": {"attempt": 1, "tries_left": 2},
    "caller_admitted": {"standing": "guest", "reason": PERSONAL[1]},
    "limit_reached": {"limit": "call_s", "detail": PERSONAL[1]},
    "output_stopped": {"item_id": ItemId("i"), "rule": "forbidden[0]"},
    "resumed": {"item_id": ItemId("i"), "reason": "noise"},
    "key_pressed": {"digit": PERSONAL[2], "line_ms": 1},
    "turn_transcribed": {"item_id": ItemId("i"), "text": PERSONAL[1]},
    "session_updated": {
        "by": PERSONAL[1],
        "profile_sha256": "0",
        "instructions": PERSONAL[1],
        "tools": (),
    },
    "operator_acted": {"operator": PERSONAL[1], "act": "hang_up", "detail": PERSONAL[1]},
    "machine_detected": {"answered_by": "machine_start"},
    "dial_ended": {"status": "busy"},
    "redirecting": {"reason": PERSONAL[1]},
    "resuming": {"previous_leg": LEG, "reason": PERSONAL[1]},
    "status_changed": {"status": "completed"},
}


def test_nothing_personal_is_in_any_span() -> None:
    kinds = {events.name_of(kind): kind for kind in AnyEvent.__args__}
    process = worker()
    for ms, (name, fields) in enumerate(FILLED.items(), start=400):
        process.write(kinds[name], ms, **fields)
    said(process, 500, "resp_1")
    process.left(1000)
    assert len(process.found) >= 7
    told = repr(process.found)
    assert [words for words in PERSONAL if words in told] == []
