"""The events of a call's log: one tagged union, past tense, additive for ever.

An event is published by its one writer on ``call.<id>.log.<name>`` where name is the tag. Order
is the stream sequence, never ``at``. New fields need defaults; nothing is retyped or removed
(libs/protocol/README.md).
"""

from protocol.agent_events import (
    Assigned,
    BargedIn,
    CallerAdmitted,
    GivenBack,
    HandingOver,
    KeyPressed,
    LimitReached,
    ModeChanged,
    OfferedTool,
    OutputStopped,
    PinAccepted,
    PinRejected,
    PinRequested,
    RecordingStarted,
    ResponseEnded,
    ResponseTimed,
    Resumed,
    Said,
    SessionLost,
    SessionOpened,
    SessionUpdated,
    TakenOver,
    Tokens,
    ToolCalled,
    ToolReturned,
    TurnCommitted,
    TurnTranscribed,
    UsageReported,
    Whispered,
)
from protocol.event_base import AgentEvent, Channel, EndReason, Event, Mode, ToolOutcome
from protocol.ids import IngressId, ItemId, Leg, StreamId
from protocol.line import Intent

# -- webhooks


class Ringing(Event, frozen=True, kw_only=True, tag="ringing"):
    """A new call. ``caller`` is the person and ``called`` our number, also where we placed the call
    (``direction`` outbound). ``caller`` may be ``anonymous`` or a SIP address. ``operator``: who
    opened a call from a browser.
    """

    caller: str
    called: str
    direction: str = "inbound"
    channel: Channel = "phone"
    operator: str = ""


class StatusChanged(Event, frozen=True, kw_only=True, tag="status_changed"):
    """A call status callback, in Twilio's word; callbacks may arrive late and out of order."""

    status: str
    sequence: int | None = None
    duration_s: int | None = None


class Redirecting(Event, frozen=True, kw_only=True, tag="redirecting"):
    """A REST update is about to replace the call's TwiML; a ``stop`` after it is not the end of
    the call.
    """

    reason: str


class Resuming(Event, frozen=True, kw_only=True, tag="resuming"):
    """A new stream is offered for a call whose leg was lost or handed off."""

    previous_leg: Leg
    reason: str


class Transferred(Event, frozen=True, kw_only=True, tag="transferred"):
    to: str


class MachineDetected(Event, frozen=True, kw_only=True, tag="machine_detected"):
    """Answering-machine detection of an outbound call, in Twilio's words."""

    answered_by: str
    took_ms: int = 0


class DialEnded(Event, frozen=True, kw_only=True, tag="dial_ended"):
    """How a transfer's ``<Dial>`` ended, in Twilio's word (DialCallStatus); or why nobody was
    dialled: ``not_allowed`` (OUTBOUND_PREFIXES) or ``too_many`` (OUTBOUND_PER_MINUTE).
    """

    status: str
    duration_s: int = 0


class CallEnded(Event, frozen=True, kw_only=True, tag="call_ended"):
    """Exactly one a call: the first writer wins (expected sequence 0)."""

    reason: EndReason
    status: str = ""


# -- stream-ingress


class StreamStarted(Event, frozen=True, kw_only=True, tag="stream_started"):
    """A media socket was opened; its sequence is the leg. ``line_ms`` is where the leg begins on
    the line.
    """

    stream_id: StreamId
    ingress: IngressId
    previous_leg: Leg
    line_ms: int = 0
    channel: Channel = "phone"


class StreamClosing(Event, frozen=True, kw_only=True, tag="stream_closing"):
    """Ingress is about to close the socket with this intent; acked before it closes."""

    leg: Leg
    intent: Intent
    line_ms: int


class StreamStopped(Event, frozen=True, kw_only=True, tag="stream_stopped"):
    """The socket is gone. ``reason``: stop (Twilio's message), closed (by us), lost, or what was
    refused.
    """

    leg: Leg
    reason: str
    line_ms: int
    frames: int = 0
    dropped_frames: int = 0


class Heard(Event, frozen=True, kw_only=True, tag="heard"):
    """How much of an item the caller heard in the end; once an item. ``cut``: some of it was
    never heard.
    """

    leg: Leg
    item_id: ItemId
    heard_ms: int
    sent_ms: int
    cut: bool
    line_ms: int


# -- dashboard


class OperatorActed(Event, frozen=True, kw_only=True, tag="operator_acted"):
    """Somebody at the desk did, or is about to do, something with this call: ``act`` is reveal,
    listen, whisper, say, hang_up, transfer, change_mode, take_over, give_back.
    """

    operator: str
    act: str
    detail: str = ""


WebhooksEvent = (
    Ringing
    | StatusChanged
    | Redirecting
    | Resuming
    | Transferred
    | MachineDetected
    | DialEnded
    | CallEnded
)
IngressEvent = StreamStarted | StreamClosing | StreamStopped | Heard | CallEnded
WorkerEvent = (
    Assigned
    | HandingOver
    | ModeChanged
    | PinRequested
    | PinAccepted
    | PinRejected
    | SessionOpened
    | SessionLost
    | TurnCommitted
    | TurnTranscribed
    | Said
    | BargedIn
    | KeyPressed
    | ToolCalled
    | ToolReturned
    | UsageReported
    | ResponseEnded
    | ResponseTimed
    | LimitReached
    | OutputStopped
    | CallerAdmitted
    | Resumed
    | SessionUpdated
    | RecordingStarted
    | TakenOver
    | GivenBack
    | Whispered
)
AnyEvent = WebhooksEvent | IngressEvent | WorkerEvent | OperatorActed


def name_of(event: Event | type[Event]) -> str:
    """The event's name: its tag, and the last token of its subject."""
    tag = event.__struct_config__.tag
    assert isinstance(tag, str), "every event class has a text tag"
    return tag


__all__ = [
    "AgentEvent",
    "AnyEvent",
    "Assigned",
    "BargedIn",
    "CallEnded",
    "CallerAdmitted",
    "Channel",
    "DialEnded",
    "EndReason",
    "Event",
    "GivenBack",
    "HandingOver",
    "Heard",
    "IngressEvent",
    "KeyPressed",
    "LimitReached",
    "MachineDetected",
    "Mode",
    "ModeChanged",
    "OfferedTool",
    "OperatorActed",
    "OutputStopped",
    "PinAccepted",
    "PinRejected",
    "PinRequested",
    "RecordingStarted",
    "Redirecting",
    "ResponseEnded",
    "ResponseTimed",
    "Resumed",
    "Resuming",
    "Ringing",
    "Said",
    "SessionLost",
    "SessionOpened",
    "SessionUpdated",
    "StatusChanged",
    "StreamClosing",
    "StreamStarted",
    "StreamStopped",
    "TakenOver",
    "Tokens",
    "ToolCalled",
    "ToolOutcome",
    "ToolReturned",
    "Transferred",
    "TurnCommitted",
    "TurnTranscribed",
    "UsageReported",
    "WebhooksEvent",
    "Whispered",
    "WorkerEvent",
    "name_of",
]
