"""The events that ai-agent writes: the holder of a call's epoch, fenced by it."""

from typing import Literal

from msgspec import Struct

from protocol.event_base import AgentEvent, Event, Mode, ToolOutcome
from protocol.ids import Epoch, EventId, ItemId, Leg, ToolCallId, WorkerId


class Assigned(Event, frozen=True, kw_only=True, tag="assigned"):
    """A worker took the call; its sequence is the epoch. Taken by expecting the previous one (the
    lock).
    """

    leg: Leg
    previous_epoch: Epoch
    reason: Literal["placed", "takeover", "handover"] = "placed"


class HandingOver(AgentEvent, frozen=True, kw_only=True, tag="handing_over"):
    """The holder fell silent at ``line_ms``; a successor may take the call and replays from
    there.
    """

    line_ms: int
    successor: WorkerId


class ModeChanged(AgentEvent, frozen=True, kw_only=True, tag="mode_changed"):
    mode: Mode
    reason: str = ""


class PinRequested(AgentEvent, frozen=True, kw_only=True, tag="pin_requested"):
    attempt: int


class PinAccepted(AgentEvent, frozen=True, kw_only=True, tag="pin_accepted"):
    line_ms: int


class PinRejected(AgentEvent, frozen=True, kw_only=True, tag="pin_rejected"):
    attempt: int
    tries_left: int


class OfferedTool(Struct, frozen=True):
    """A tool as it was offered to the model; ``parameters`` is JSON Schema as JSON text."""

    name: str
    description: str
    parameters: str


class SessionOpened(AgentEvent, frozen=True, kw_only=True, tag="session_opened"):
    """A Realtime session is configured. Holds the resolved profile: a restore uses this, not a
    newer file.
    """

    generation: int
    session_id: str
    model: str
    profile: str
    profile_sha256: str
    instructions: str
    voice: str
    language: str
    tools: tuple[OfferedTool, ...]


class SessionUpdated(AgentEvent, frozen=True, kw_only=True, tag="session_updated"):
    """The open session was given other instructions and tools, because ``by`` asked; they replace
    those of ``session_opened``.
    """

    by: str
    profile_sha256: str
    instructions: str
    tools: tuple[OfferedTool, ...]


class SessionLost(AgentEvent, frozen=True, kw_only=True, tag="session_lost"):
    generation: int
    reason: str


class TurnCommitted(AgentEvent, frozen=True, kw_only=True, tag="turn_committed"):
    """The caller finished speaking; [from_ms, to_ms) is where on the line the model heard the
    turn.
    """

    item_id: ItemId
    from_ms: int
    to_ms: int
    previous_item_id: ItemId | None = None


class TurnTranscribed(AgentEvent, frozen=True, kw_only=True, tag="turn_transcribed"):
    """The caller's words. ``text`` is empty when nothing was understood or transcription failed."""

    item_id: ItemId
    text: str
    failed: bool = False


class Said(AgentEvent, frozen=True, kw_only=True, tag="said"):
    """The assistant's words so far: with the first, 250 and 750 ms later, then at most once a
    second, and once with ``done`` when generation ended.
    """

    item_id: ItemId
    response_id: str
    text: str
    generated_ms: int
    done: bool
    previous_item_id: ItemId | None = None


class BargedIn(AgentEvent, frozen=True, kw_only=True, tag="barged_in"):
    """The caller spoke over unheard audio; of ``item_id`` they had heard ``heard_ms``."""

    item_id: ItemId
    heard_ms: int
    line_ms: int


class Resumed(AgentEvent, frozen=True, kw_only=True, tag="resumed"):
    """The assistant goes on with ``item_id``, which was cut for no good reason: ``noise`` (the
    turn that cut it held no words).
    """

    item_id: ItemId
    reason: str


class RecordingStarted(AgentEvent, frozen=True, kw_only=True, tag="recording_started"):
    """From ``line_ms`` on the call is kept in the stream RECORDINGS; ``announced``: the caller was
    told.
    """

    line_ms: int
    announced: bool = False


class TakenOver(AgentEvent, frozen=True, kw_only=True, tag="taken_over"):
    """An operator speaks in the assistant's place; the model is muted."""

    operator: str
    line_ms: int


class GivenBack(AgentEvent, frozen=True, kw_only=True, tag="given_back"):
    """The assistant goes on. ``reason``: given_back by ``operator``, or silent (no audio of theirs
    came any more).
    """

    operator: str
    line_ms: int
    reason: Literal["given_back", "silent"] = "given_back"


class Whispered(AgentEvent, frozen=True, kw_only=True, tag="whispered"):
    """``by`` told the assistant something that the caller does not hear. Written before the model
    is told; a session that is opened again is told it too.
    """

    by: str
    text: str


class KeyPressed(AgentEvent, frozen=True, kw_only=True, tag="key_pressed"):
    """A key; at the gate ``digit`` is ``•`` (masked)."""

    digit: str
    line_ms: int
    masked: bool = False


class ToolCalled(AgentEvent, frozen=True, kw_only=True, tag="tool_called"):
    """Written ahead: the tool is asked only after this is acked, under this event's id as
    idempotency key.
    """

    tool_call_id: ToolCallId
    item_id: ItemId
    name: str
    arguments: str


class ToolReturned(AgentEvent, frozen=True, kw_only=True, tag="tool_returned"):
    """The JSON text that the model was given for a tool call."""

    tool_call_id: ToolCallId
    called: EventId
    outcome: ToolOutcome
    result: str
    took_ms: int


class Tokens(Struct, frozen=True):
    """Tokens by modality; cached ones are a subset of the input ones."""

    text_in: int = 0
    audio_in: int = 0
    cached_text_in: int = 0
    cached_audio_in: int = 0
    text_out: int = 0
    audio_out: int = 0


class UsageReported(AgentEvent, frozen=True, kw_only=True, tag="usage_reported"):
    """What a response or a transcription consumed. Unfenced: money spent counts, whoever spent
    it.
    """

    source: Literal["response", "transcription"]
    reference: str
    model: str
    tokens: Tokens
    seconds: float = 0.0
    cost_usd: float | None = None


class ResponseEnded(AgentEvent, frozen=True, kw_only=True, tag="response_ended"):
    """A response that did not complete: cancelled, incomplete or failed, and why."""

    response_id: str
    status: Literal["cancelled", "incomplete", "failed"]
    reason: str


class ResponseTimed(AgentEvent, frozen=True, kw_only=True, tag="response_timed"):
    """ms of line time from the end of the caller's speech to the first audio heard in answer."""

    turn_item_id: ItemId
    item_id: ItemId
    response_ms: int


class LimitReached(AgentEvent, frozen=True, kw_only=True, tag="limit_reached"):
    """A bound of the profile was met: call_s, call_usd, day_usd, silence."""

    limit: str
    detail: str = ""


class OutputStopped(AgentEvent, frozen=True, kw_only=True, tag="output_stopped"):
    """The output check cut an item; ``rule`` names what hit, never the words."""

    item_id: ItemId
    rule: str


class CallerAdmitted(AgentEvent, frozen=True, kw_only=True, tag="caller_admitted"):
    """Who calls, as far as known. ``standing``: known (has a record), guest (none), refused
    (why).
    """

    standing: Literal["known", "guest", "refused"]
    reason: str = ""
