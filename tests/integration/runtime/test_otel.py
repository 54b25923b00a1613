"""What OpenTelemetry makes of spans: the ids that were given, sampling by call, a bounded end."""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from otlp_collector import Collector, collecting

from protocol.ids import CallId
from runtime import spans
from runtime.held_spans import Moment, Span
from runtime.otel import STOP_S, OtlpExporter
from runtime.tracing import Answered

BEGAN = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
ENDED = BEGAN + timedelta(milliseconds=1500)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        yield collector


def call(n: int = 1) -> CallId:
    return CallId(f"CA{n:032x}")


def span(key: str, parent: str | None, of: CallId, *, failed: bool = False) -> Span:
    return Span(
        call=of,
        key=key,
        parent=parent,
        name=key,
        began=BEGAN,
        ended=ENDED,
        attributes={"trunkline.leg": 4},
        moments=(Moment("barged_in", BEGAN, {"trunkline.heard_ms": 7}),),
        failed=failed,
    )


def test_spans_have_the_ids_that_every_process_knows(collector: Collector) -> None:
    exporter = OtlpExporter("ai-agent")
    exporter.send(span("session", "call", call(), failed=True))
    exporter.send(span("call", None, call()))
    exporter.stop()
    session, root = collector.spans
    whole = spans.ids(call(), "call")
    assert (root.trace_id, root.span_id) == (f"{whole.trace:032x}", f"{whole.span:016x}")
    assert (root.parent_id, session.parent_id) == ("", root.span_id)
    assert session.trace_id == root.trace_id
    assert session.span_id == f"{spans.ids(call(), 'session').span:016x}"
    assert (session.failed, root.failed) == (True, False)
    assert session.attributes == {"trunkline.call_id": call(), "trunkline.leg": 4}
    assert session.moments == ("barged_in",)
    assert session.service == "ai-agent"
    assert session.began_ns == 1_795_348_800_250_000_000
    assert session.ended_ns - session.began_ns == 1_500_000_000


def test_an_answer_hangs_under_who_asked(collector: Collector) -> None:
    asked = spans.ids(call(), "tool.key")
    exporter = OtlpExporter("tool-runner")
    exporter.answered(
        Answered(
            trace=asked.trace,
            parent=asked.span,
            span=99,
            subject="tools.create_task",
            began=BEGAN,
            ended=ENDED,
            attributes={},
            failed=False,
        )
    )
    exporter.stop()
    (found,) = collector.spans
    assert (found.name, found.span_id) == ("tools.create_task", f"{99:016x}")
    assert found.trace_id == f"{asked.trace:032x}"
    assert found.parent_id == f"{asked.span:016x}"


def test_all_services_sample_the_same_calls_and_these_wholly(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    one, other = OtlpExporter("webhooks"), OtlpExporter("ai-agent")
    for n in range(200):
        one.send(span("call", None, call(n)))
        other.send(span("session", "call", call(n)))
    one.stop()
    other.stop()
    roots = {s.trace_id for s in collector.spans if s.service == "webhooks"}
    inner = {s.trace_id for s in collector.spans if s.service == "ai-agent"}
    assert roots == inner
    assert 50 < len(roots) < 150


def test_a_collector_that_does_not_answer_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
        exporter = OtlpExporter("webhooks")
        exporter.send(span("call", None, call()))
        began = time.monotonic()
        exporter.stop()
        assert STOP_S / 2 < time.monotonic() - began < 25
