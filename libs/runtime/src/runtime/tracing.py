"""Traces of a process: off, and then without any cost, unless OTEL_EXPORTER_OTLP_ENDPOINT is set
and the extra ``runtime[otel]`` is installed. One trace a call, through all services.

Spans are made where events are written (``runtime.outbox``) and requests answered
(``runtime.micro``), never on the path of audio. What becomes a span is decided in
``runtime.spans``; OpenTelemetry is known to ``runtime.otel`` alone.
"""

import contextlib
import re
import secrets
from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from protocol import events, ids, tools
from protocol.errors import InvalidToken
from protocol.events import AnyEvent
from protocol.ids import CallId, Epoch
from runtime import clock, logging, spans
from runtime.held_spans import Attributes, Span
from runtime.settings import CommonSettings
from runtime.spans import Ids, Spans

_log = logging.get("tracing")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")


class Answered(Struct, frozen=True, kw_only=True):
    """The answer to a request, as a span; ``code`` is empty when it was no refusal."""

    trace: int
    parent: int
    span: int
    subject: str
    began: datetime
    ended: datetime
    attributes: Attributes
    failed: bool


class Exporter(Protocol):
    """Takes finished spans and sends them in the background."""

    def send(self, span: Span) -> None: ...
    def answered(self, span: Answered) -> None: ...
    def stop(self) -> None: ...


class _About(Struct):
    """What a request or its reply may say about the call it belongs to."""

    call: str = ""


class _Tracing:
    """The state of this process."""

    def __init__(self) -> None:
        self.exporter: Exporter | None = None
        self.spans = Spans()


_process = _Tracing()


def start(service: str, settings: CommonSettings) -> None:
    """Trace this process, if the settings ask for it. Without the extra it says so and goes on."""
    if not settings.otel_exporter_otlp_endpoint:
        return
    try:
        from runtime.otel import OtlpExporter
    except ImportError:
        _log.warning("no traces: the extra runtime[otel] is not installed")
        return
    use(OtlpExporter(service))


def use(exporter: Exporter | None) -> None:
    """Send spans there from now on; None: nowhere."""
    _process.exporter, _process.spans = exporter, Spans()


def stop() -> None:
    """Send what is left, within two seconds."""
    exporter = _process.exporter
    if exporter is not None:
        use(None)
        exporter.stop()


def on() -> bool:
    """Whether anybody wants spans: what only they need is not looked up otherwise."""
    return _process.exporter is not None


def written(event: AnyEvent, sequence: int) -> None:
    """The log accepted ``event``."""
    if _process.exporter is not None:
        with _harmless():
            _send(_process.spans.written(event, sequence, clock.utc_now()))


def left(call: CallId, epoch: Epoch) -> None:
    """This process holds the call no longer."""
    if _process.exporter is not None:
        with _harmless():
            _send(_process.spans.left(call, epoch, clock.utc_now()))


def over(ringing: events.Ringing, ended: events.CallEnded) -> None:
    """The call that this process wrote the end of, as a whole."""
    with _harmless():
        _send([spans.whole_call(ringing, ended)])


def traceparent(call: CallId, key: str) -> str | None:
    """The header that hangs another process's spans under the span ``key``; None while nothing is
    traced.
    """
    return spans.ids(call, key).traceparent if on() else None


def answered(
    subject: str,
    headers: Mapping[str, str],
    data: bytes,
    reply: bytes,
    began: datetime,
    code: str,
) -> None:
    """A request of some call was answered; ``code`` says with which error, if with one. Requests
    that belong to no call have no span.
    """
    exporter = _process.exporter
    parent = _parent(headers, data, reply)
    if exporter is None or parent is None:
        return
    attributes: Attributes = {"messaging.system": "nats", "messaging.destination.name": subject}
    if code:
        attributes["trunkline.code"] = code
    with _harmless():
        exporter.answered(
            Answered(
                trace=parent.trace,
                parent=parent.span,
                span=secrets.randbits(64) or 1,
                subject=subject,
                began=began,
                ended=clock.utc_now(),
                attributes=attributes,
                failed=bool(code),
            )
        )


@contextlib.contextmanager
def _harmless() -> Generator[None]:
    """Whatever is wrong with a span, the call goes on."""
    try:
        yield
    except Exception:
        _log.exception("span not made")


def _send(finished: list[Span]) -> None:
    exporter = _process.exporter
    if exporter is not None:
        for span in finished:
            exporter.send(span)


def _parent(headers: Mapping[str, str], data: bytes, reply: bytes) -> Ids | None:
    """Who asked: by the header, else the call that the request or its reply names."""
    told = _TRACEPARENT.fullmatch(headers.get(tools.TRACEPARENT, ""))
    if told is not None:
        return Ids(int(told["trace"], 16), int(told["span"], 16))
    for name in (headers.get(tools.CALL, ""), _about(data), _about(reply)):
        try:
            return spans.ids(ids.call_id(name), spans.CALL)
        except InvalidToken:
            continue
    return None


def _about(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_About).call
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
