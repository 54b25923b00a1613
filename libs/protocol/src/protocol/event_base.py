"""What every event of the log carries, and the words that events share."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from protocol.ids import CallId, Epoch, EventId

Mode = Literal["gate", "keypad", "conversation"]
Channel = Literal["phone", "browser"]
EndReason = Literal[
    "caller_hung_up",
    "assistant_hung_up",
    "transferred",
    "busy",
    "no_answer",
    "canceled",
    "failed",
    "completed",
    "lost",
    "refused",
]
ToolOutcome = Literal["ok", "failed", "timeout", "unavailable"]


class Event(Struct, frozen=True, kw_only=True, tag_field="event"):
    """What every event carries. ``at`` is UTC and for show; ``worker`` is the process that wrote
    it.
    """

    id: EventId
    call_id: CallId
    at: datetime
    service: str
    worker: str


class AgentEvent(Event, frozen=True, kw_only=True):
    """Written by the holder of ``epoch``; the server refuses a stale one (fencing, DESIGN section
    4).
    """

    epoch: Epoch
