"""Tracing apart from OpenTelemetry: what is sent when, whose child a request is, when it is off."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from protocol import events, tools
from protocol.ids import CallId, Epoch, EventId, Leg
from runtime import spans, tracing
from runtime.held_spans import Span
from runtime.settings import CommonSettings
from runtime.tracing import Answered

CALL = CallId("CA" + "1" * 32)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROOT = spans.ids(CALL, spans.CALL)


class Sent:
    """An exporter that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.answers: list[Answered] = []
        self.stopped = False

    def send(self, span: Span) -> None:
        self.spans.append(span)

    def answered(self, span: Answered) -> None:
        self.answers.append(span)

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def sent() -> Iterator[Sent]:
    exporter = Sent()
    tracing.use(exporter)
    yield exporter
    tracing.use(None)


def answer(headers: dict[str, str], data: bytes = b"{}", reply: bytes = b"{}") -> None:
    tracing.answered("calls.place", headers, data, reply, NOW, "")


def test_events_become_spans_when_they_are_written_and_when_the_call_is_left(sent: Sent) -> None:
    common = {"call_id": CALL, "at": NOW, "service": "s", "worker": "w"}
    ringing = events.Ringing(id=EventId("r"), caller="+1", called="+2", **common)
    tracing.written(ringing, 1)
    taken = events.Assigned(id=EventId("a"), leg=Leg(1), previous_epoch=Epoch(0), **common)
    tracing.written(taken, 2)
    assert [span.name for span in sent.spans] == ["ringing"]
    tracing.left(CALL, Epoch(2))
    tracing.over(ringing, events.CallEnded(id=EventId("e"), reason="completed", **common))
    assert [span.name for span in sent.spans] == ["ringing", "assignment", "call"]
    tracing.stop()
    assert sent.stopped
    assert not tracing.on()
    tracing.written(ringing, 1)
    assert len(sent.spans) == 3


def test_a_request_belongs_to_who_sent_the_header(sent: Sent) -> None:
    headers = {tools.TRACEPARENT: tracing.traceparent(CALL, "tool.key") or "", tools.CALL: CALL}
    answer(headers)
    (span,) = sent.answers
    asked = spans.ids(CALL, "tool.key")
    assert (span.trace, span.parent) == (asked.trace, asked.span)
    assert span.span not in (0, asked.span)


@pytest.mark.parametrize(
    ("headers", "data", "reply"),
    [
        ({tools.CALL: CALL}, b"{}", b"{}"),
        ({tools.TRACEPARENT: "00-nonsense", tools.CALL: CALL}, b"{}", b"{}"),
        ({}, b'{"call":"%s","to":"+1"}' % CALL.encode(), b"{}"),
        ({}, b'{"key":"k"}', b'{"type":"placed","call":"%s"}' % CALL.encode()),
    ],
)
def test_without_the_header_a_request_belongs_to_the_call_that_it_names(
    sent: Sent, headers: dict[str, str], data: bytes, reply: bytes
) -> None:
    answer(headers, data, reply)
    (span,) = sent.answers
    assert (span.trace, span.parent) == (ROOT.trace, ROOT.span)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"call":7}', b'{"call":"a b.c"}'])
def test_a_request_of_no_call_has_no_span(sent: Sent, data: bytes) -> None:
    answer({}, data, data)
    assert sent.answers == []


def test_a_refusal_is_a_failure_and_says_its_code(sent: Sent) -> None:
    tracing.answered("tools.x", {tools.CALL: CALL}, b"{}", b"", NOW, "503")
    (span,) = sent.answers
    assert span.failed
    assert span.attributes["trunkline.code"] == "503"


def test_a_span_that_cannot_be_made_harms_nobody(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(sent, "send", fails)
    monkeypatch.setattr(sent, "answered", fails)
    common = {"call_id": CALL, "at": NOW, "service": "s", "worker": "w"}
    tracing.written(events.Ringing(id=EventId("r"), caller="+1", called="+2", **common), 1)
    answer({tools.CALL: CALL})


def test_nothing_is_traced_unless_it_is_asked_for() -> None:
    tracing.start("webhooks", CommonSettings())
    assert not tracing.on()
    assert tracing.traceparent(CALL, "call") is None
    answer({tools.CALL: CALL})


WITHOUT = """
import sys
{before}
import ai_agent.app, webhooks.app, stream_ingress.app, tool_runner.app, dashboard.app
from runtime import logging, tracing
from runtime.settings import CommonSettings
logging.configure("x", fmt="json", level="info")
tracing.start("x", CommonSettings(otel_exporter_otlp_endpoint="{endpoint}"))
loaded = [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]
print(tracing.on(), [name for name in loaded if sys.modules[name] is not None][:3])
"""


def run(before: str, endpoint: str) -> tuple[str, str]:
    code = WITHOUT.format(before=before, endpoint=endpoint)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def test_without_the_setting_no_service_imports_opentelemetry() -> None:
    out, err = run("", "")
    assert out.startswith("False [")
    assert "opentelemetry" not in out
    assert err == ""


def test_without_the_extra_a_service_says_so_and_goes_on() -> None:
    out, err = run("sys.modules['opentelemetry'] = None", "http://127.0.0.1:9")
    assert out.startswith("False [")
    assert "opentelemetry" not in out
    assert "no traces: the extra runtime[otel] is not installed" in err
    assert '"level": "warning"' in err


def test_with_both_it_is_on() -> None:
    out, err = run("", "http://127.0.0.1:9")
    assert out.startswith("True ['opentelemetry")
    assert err == ""
