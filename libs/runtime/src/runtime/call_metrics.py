"""What the events of calls say in figures, counted where they are written."""

from typing import get_args

from prometheus_client import Counter

from protocol.event_base import EndReason
from protocol.events import AnyEvent, Assigned, CallEnded, SessionOpened, UsageReported

_ended = Counter(
    "trunkline_calls_ended_total", "Calls whose end this process wrote, by reason", ["reason"]
)
_cost = Counter(
    "trunkline_cost_usd_total",
    "Dollars that responses and transcriptions cost, of models with a known price",
    ["source"],
)
_unpriced = Counter(
    "trunkline_cost_unknown_total", "Responses and transcriptions without a known price"
)
_restores = Counter(
    "trunkline_restores_total",
    "Calls that went on after a loss or a handover: by another worker (takeover, handover), in "
    "another session",
    ["how"],
)
# Known from the beginning, at 0: Prometheus does not see the first step of a series that begins
# with it.
for _reason in get_args(EndReason):
    _ended.labels(_reason)
for _source in ("response", "transcription"):
    _cost.labels(_source)
for _how in ("takeover", "handover", "session"):
    _restores.labels(_how)


def count(event: AnyEvent) -> None:
    """The log accepted ``event``, for the first time."""
    match event:
        case CallEnded():
            _ended.labels(event.reason).inc()
        case UsageReported():
            if event.cost_usd is None:
                _unpriced.inc()
            else:
                _cost.labels(event.source).inc(event.cost_usd)
        case Assigned(reason="takeover" | "handover"):
            _restores.labels(event.reason).inc()
        case SessionOpened() if event.generation > 1:
            _restores.labels("session").inc()
        case _:
            pass
