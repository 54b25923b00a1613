"""Which spans a call's trace has: a fold of the events that one process writes (pure).

The ids of a trace and of its spans are made from the call and from what a span stands for, so
every process knows them, and services link their spans without telling each other. Spans hold no
personal data: no numbers, words, keys or arguments, only what ``_SHOWN`` names.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from protocol import events
from protocol.events import AnyEvent, name_of
from protocol.ids import CallId, Epoch, EventId
from runtime.held_spans import Attributes, Held, Moment, OpenSpan, Span, tool

CALL = "call"
MOST_OPEN = 5000
"""Streams and assignments kept open in one process; what comes beyond has no span."""
_SHOWN: Mapping[type[AnyEvent], tuple[str, ...]] = {
    events.Ringing: ("direction", "channel"),
    events.StatusChanged: ("status",),
    events.Redirecting: (),
    events.Resuming: ("previous_leg",),
    events.Transferred: (),
    events.MachineDetected: ("answered_by",),
    events.DialEnded: ("status",),
    events.OperatorActed: ("act",),
}
"""Events that are spans of their own, and the fields that these show."""
_OF_A_LEG = events.StreamClosing | events.StreamStopped


class Ids(Struct, frozen=True):
    """Of a span within a trace, as the numbers that W3C trace context writes in hex."""

    trace: int
    span: int

    @property
    def traceparent(self) -> str:
        """The header by which another process hangs its spans under this one."""
        return f"00-{self.trace:032x}-{self.span:016x}-01"


def ids(call: CallId, key: str) -> Ids:
    """The ids of the span ``key`` of a call."""
    trace = hashlib.sha256(f"trunkline.trace.{call}".encode()).digest()
    span = hashlib.sha256(f"trunkline.span.{call}.{key}".encode()).digest()
    return Ids(int.from_bytes(trace[:16]) or 1, int.from_bytes(span[:8]) or 1)


def tool_key(called: EventId) -> str:
    """The span of the tool call that the event ``called`` wrote ahead."""
    return tool(called)


def whole_call(ringing: events.Ringing, ended: events.CallEnded) -> Span:
    """The root of a call's trace."""
    return Span(
        call=ended.call_id,
        key=CALL,
        parent=None,
        name="call",
        began=ringing.at,
        ended=max(ringing.at, ended.at),
        attributes={
            "trunkline.direction": ringing.direction,
            "trunkline.channel": ringing.channel,
            "trunkline.reason": ended.reason,
        },
    )


class Spans:
    """The spans that are open in this process."""

    def __init__(self) -> None:
        self._streams: dict[tuple[CallId, int], OpenSpan] = {}
        self._held: dict[tuple[CallId, Epoch], Held] = {}

    def written(self, event: AnyEvent, sequence: int, now: datetime) -> list[Span]:
        """The log accepted ``event`` as ``sequence``; the spans that are finished by it."""
        match event:
            case events.StreamStarted():
                self._stream(event, sequence)
            case events.StreamClosing() | events.StreamStopped():
                return self._of_a_leg(event)
            case events.Assigned():
                if len(self._held) < MOST_OPEN:
                    epoch = Epoch(sequence)
                    self._held[event.call_id, epoch] = Held(event, epoch, CALL)
            case events.AgentEvent():
                held = self._held.get((event.call_id, event.epoch))
                return [] if held is None else held.written(event)
            case events.CallEnded() | events.Heard():
                pass
            case _:
                return [_event_span(event, now)]
        return []

    def left(self, call: CallId, epoch: Epoch, now: datetime) -> list[Span]:
        """This worker holds the call no longer under ``epoch``: whatever was open has ended."""
        held = self._held.pop((call, epoch), None)
        return [] if held is None else held.close(now)

    def _stream(self, event: events.StreamStarted, leg: int) -> None:
        if len(self._streams) >= MOST_OPEN:
            return
        shown: Attributes = {
            "trunkline.leg": leg,
            "trunkline.channel": event.channel,
            "trunkline.ingress": event.ingress,
        }
        self._streams[event.call_id, leg] = OpenSpan(
            event.call_id, f"stream.{leg}", CALL, "stream", event.at, shown
        )

    def _of_a_leg(self, event: _OF_A_LEG) -> list[Span]:
        stream = self._streams.get((event.call_id, event.leg))
        if stream is None:
            return []
        if isinstance(event, events.StreamClosing):
            shown: Attributes = {"trunkline.intent": event.intent}
            stream.moment(Moment(name_of(event), event.at, shown))
            return []
        del self._streams[event.call_id, event.leg]
        stream.attributes |= {
            "trunkline.reason": event.reason,
            "trunkline.frames": event.frames,
            "trunkline.dropped_frames": event.dropped_frames,
        }
        return [stream.close(event.at, failed=event.reason == "lost")]


def _event_span(event: AnyEvent, now: datetime) -> Span:
    """What somebody did to the call, until the log had it."""
    name = name_of(event)
    attributes: Attributes = {
        f"trunkline.{field}": getattr(event, field) for field in _SHOWN.get(type(event), ())
    }
    return Span(
        call=event.call_id,
        key=f"event.{event.id}",
        parent=CALL,
        name=name,
        began=event.at,
        ended=max(event.at, now),
        attributes=attributes,
    )
