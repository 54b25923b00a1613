"""OpenTelemetry behind ``runtime.tracing``: spans by OTLP over HTTP, from a thread of the SDK's own
in batches; what does not fit its queue is dropped. Needs the extra ``runtime[otel]``.

Where to and how is read by the SDK from its own variables (OTEL_EXPORTER_OTLP_ENDPOINT and
_HEADERS, OTEL_TRACES_SAMPLER, OTEL_BSP_SCHEDULE_DELAY, OTEL_RESOURCE_ATTRIBUTES, ...).
"""

import threading
from datetime import datetime

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from runtime.held_spans import Attributes, Span
from runtime.spans import ids
from runtime.tracing import Answered

STOP_S = 2.0
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class _GivenIds(IdGenerator):
    """Gives the ids of the span that is being made, instead of random ones."""

    def __init__(self) -> None:
        self.trace = self.span = 1

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


class OtlpExporter:
    """Sends the spans of ``service``. Whether a call is sampled is decided by its trace id, so
    that all services decide alike.
    """

    def __init__(self, service: str) -> None:
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("trunkline")

    def send(self, span: Span) -> None:
        """A span of a call's events."""
        its = ids(span.call, span.key)
        parent = ids(span.call, span.parent).span if span.parent is not None else None
        shown = {"trunkline.call_id": span.call, **span.attributes}
        made = self._begin(
            its.trace, its.span, parent, span.name, SpanKind.INTERNAL, span.began, shown
        )
        if made is not None:
            for moment in span.moments:
                made.add_event(moment.name, moment.attributes, _ns(moment.at))
            self._end(made, span.ended, failed=span.failed)

    def answered(self, span: Answered) -> None:
        """The answer to a request."""
        made = self._begin(
            span.trace,
            span.span,
            span.parent,
            span.subject,
            SpanKind.SERVER,
            span.began,
            span.attributes,
        )
        if made is not None:
            self._end(made, span.ended, failed=span.failed)

    def stop(self) -> None:
        """Send what is left. A collector that does not answer holds up nothing beyond STOP_S."""
        last = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        last.start()
        last.join(STOP_S)

    def _begin(
        self,
        trace_id: int,
        span_id: int,
        parent: int | None,
        name: str,
        kind: SpanKind,
        began: datetime,
        attributes: Attributes,
    ) -> trace.Span | None:
        root = self._provider.sampler.should_sample(None, trace_id, "call")
        if not root.decision.is_sampled():
            return None
        self._ids.trace, self._ids.span = trace_id, span_id
        context = Context()
        if parent is not None:
            above = SpanContext(trace_id, parent, is_remote=True, trace_flags=_SAMPLED)
            context = trace.set_span_in_context(NonRecordingSpan(above), context)
        return self._tracer.start_span(name, context, kind, attributes, start_time=_ns(began))

    def _end(self, made: trace.Span, at: datetime, *, failed: bool) -> None:
        if failed:
            made.set_status(StatusCode.ERROR)
        made.end(_ns(at))


def _ns(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000
