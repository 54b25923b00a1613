"""The pure fold of a call's events. Every reader uses it: the board, a worker that takes over,
replay, billing.

``fold`` of a whole log and ``apply`` event by event give equal states. Events seen before (by id)
change nothing.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct, field, structs

from protocol import events as e
from protocol.ids import CallId, Epoch, EventId, ItemId, Leg, ToolCallId, WorkerId
from protocol.steered import Steered
from protocol.utterance import Utterance, heard_again

Phase = Literal["unknown", "ringing", "active", "ended"]
Taken = Literal["placed", "takeover", "handover"]

_RANK = {"queued": 0, "initiated": 1, "ringing": 2, "in-progress": 3}
_TERMINAL = 4
"""Rank of every other Twilio status; callbacks come out of order, a lower rank is never taken."""


class KeyPress(Struct, frozen=True):
    """A key; ``•`` at the gate. ``sequence`` is its place in the log, here and below."""

    digit: str
    line_ms: int
    sequence: int = 0


class ToolUse(Struct):
    """One tool call. ``key`` is its idempotency key; ``result`` is empty and ``returned_sequence``
    0 until it returned.
    """

    key: EventId
    tool_call_id: ToolCallId
    item_id: ItemId
    name: str
    arguments: str
    called_at: datetime
    outcome: e.ToolOutcome | None = None
    result: str = ""
    took_ms: int = 0
    sequence: int = 0
    returned_sequence: int = 0


class Line(Struct, frozen=True):
    """One leg of the call."""

    leg: Leg
    stream_id: str
    ingress: str
    line_ms: int
    closing: str = ""
    stopped: str = ""


class CallState(Struct):
    """What a call's events add up to. ``epoch`` 0: no worker holds it; ``leg`` 0: no stream was
    opened.

    ``taken`` is how the epoch was taken, ``handed_over_ms`` where on the line the holder before
    fell silent, if it did. ``mode_sequence`` and ``session_sequence`` are the places of the newest
    mode_changed and session_opened. ``ended_responses`` are those of which nothing more will come.
    ``superseded``: turns that a later session heard once more. ``operator`` speaks in the
    assistant's place; empty: none does.
    """

    call_id: CallId
    phase: Phase = "unknown"
    caller: str = ""
    called: str = ""
    channel: e.Channel = "phone"
    direction: str = "inbound"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: e.EndReason | None = None
    twilio_status: str = ""
    twilio_status_sequence: int = -1
    leg: Leg = Leg(0)
    legs: list[Line] = field(default_factory=list[Line])
    line_ms: int = 0
    epoch: Epoch = Epoch(0)
    worker: WorkerId | None = None
    taken: Taken = "placed"
    handed_over_ms: int | None = None
    standing: str = ""
    mode: e.Mode | None = None
    mode_sequence: int = 0
    pin_accepted_line_ms: int | None = None
    pin_attempts: int = 0
    session: e.SessionOpened | None = None
    session_open: bool = False
    session_sequence: int = 0
    superseded: set[ItemId] = field(default_factory=set[ItemId])
    ended_responses: set[str] = field(default_factory=set[str])
    utterances: list[Utterance] = field(default_factory=list[Utterance])
    tools: list[ToolUse] = field(default_factory=list[ToolUse])
    keys: list[KeyPress] = field(default_factory=list[KeyPress])
    response_ms: list[int] = field(default_factory=list[int])
    recorded_from_ms: int | None = None
    operator: str = ""
    steered: Steered = field(default_factory=Steered)
    cost_usd: float = 0.0
    last_sequence: int = 0
    seen: set[EventId] = field(default_factory=set[EventId])

    def utterance(self, item_id: ItemId) -> Utterance | None:
        """The utterance of an item, or None."""
        return next((u for u in reversed(self.utterances) if u.item_id == item_id), None)

    def apply(self, sequence: int, event: e.AnyEvent) -> bool:
        """Take in one event at its place in the log. False when it was seen before and changed
        nothing.
        """
        if event.id in self.seen:
            return False
        self.seen.add(event.id)
        self.last_sequence = max(self.last_sequence, sequence)
        if self.started_at is None:
            self.started_at = event.at
        match event:
            case e.Ringing() | e.StatusChanged() | e.Transferred() | e.CallEnded():
                self._status(event)
            case e.StreamStarted() | e.StreamClosing() | e.StreamStopped() | e.Heard():
                self._line(sequence, event)
            case e.Assigned() | e.HandingOver():
                self._holder(sequence, event)
            case e.TurnCommitted() | e.TurnTranscribed() | e.Said() | e.BargedIn():
                self._speech(sequence, event)
            case e.ToolCalled() | e.ToolReturned():
                self._tool(sequence, event)
            case e.ModeChanged():
                self.mode, self.mode_sequence = event.mode, sequence
            case e.SessionOpened():
                self.session, self.session_open = event, True
                self.session_sequence = sequence
            case e.SessionUpdated():
                self._updated(event)
            case e.SessionLost():
                self.session_open = False
            case e.PinRequested() | e.PinRejected():
                self.pin_attempts = max(self.pin_attempts, event.attempt)
            case e.PinAccepted():
                self.pin_accepted_line_ms = event.line_ms
            case e.KeyPressed():
                self.keys.append(KeyPress(event.digit, event.line_ms, sequence))
            case e.UsageReported():
                self.cost_usd += event.cost_usd or 0.0
                if event.source == "response":
                    self.ended_responses.add(event.reference)
            case e.ResponseEnded():
                self.ended_responses.add(event.response_id)
            case e.CallerAdmitted():
                self.standing = event.standing
            case e.RecordingStarted():
                self.recorded_from_ms = event.line_ms
            case e.TakenOver() | e.GivenBack() | e.Whispered():
                self.steered.apply(sequence, event)
                self.operator = self.steered.operator
            case e.ResponseTimed():
                self.response_ms.append(event.response_ms)
            case e.Redirecting() | e.Resuming():
                pass  # matter to their readers by their place in the log, not to the state
            case e.OperatorActed() | e.LimitReached() | e.OutputStopped():
                pass
            case e.MachineDetected() | e.DialEnded() | e.Resumed():
                pass
        return True

    def _holder(self, sequence: int, event: e.Assigned | e.HandingOver) -> None:
        if isinstance(event, e.HandingOver):
            self.handed_over_ms = event.line_ms
            return
        self.epoch, self.worker = Epoch(sequence), WorkerId(event.worker)
        self.taken = event.reason
        if event.reason != "handover":
            self.handed_over_ms = None
        self.phase = "ended" if self.phase == "ended" else "active"

    def _updated(self, event: e.SessionUpdated) -> None:
        if self.session is not None:
            self.session = structs.replace(
                self.session,
                profile_sha256=event.profile_sha256,
                instructions=event.instructions,
                tools=event.tools,
            )

    def _status(self, event: e.Ringing | e.StatusChanged | e.Transferred | e.CallEnded) -> None:
        match event:
            case e.Ringing():
                self.caller, self.called = event.caller, event.called
                self.channel, self.direction = event.channel, event.direction
                if self.phase == "unknown":
                    self.phase = "ringing"
            case e.StatusChanged():
                known = _RANK.get(self.twilio_status, _TERMINAL) if self.twilio_status else -1
                if _RANK.get(event.status, _TERMINAL) > known:
                    self.twilio_status = event.status
            case e.CallEnded():
                self.phase, self.end_reason, self.ended_at = "ended", event.reason, event.at
                self.session_open = False
            case e.Transferred():
                pass

    def _line(
        self, sequence: int, event: e.StreamStarted | e.StreamClosing | e.StreamStopped | e.Heard
    ) -> None:
        match event:
            case e.StreamStarted():
                self.leg = Leg(sequence)
                self.legs.append(Line(self.leg, event.stream_id, event.ingress, event.line_ms))
                self.channel = event.channel
                self.phase = "ended" if self.phase == "ended" else "active"
            case e.StreamClosing():
                self._change_leg(event.leg, closing=event.intent)
            case e.StreamStopped():
                self._change_leg(event.leg, stopped=event.reason)
            case e.Heard():
                spoken = self.utterance(event.item_id)
                if spoken is None:
                    # Ingress and agent write independently: what was heard may stand before what
                    # was said.
                    spoken = Utterance(event.item_id, "assistant", at=event.at)
                    self.utterances.append(spoken)
                spoken.heard_ms, spoken.cut = event.heard_ms, event.cut
        self.line_ms = max(self.line_ms, event.line_ms)

    def _change_leg(self, leg: Leg, *, closing: str = "", stopped: str = "") -> None:
        for i, line in enumerate(self.legs):
            if line.leg == leg:
                self.legs[i] = Line(
                    leg,
                    line.stream_id,
                    line.ingress,
                    line.line_ms,
                    closing or line.closing,
                    stopped or line.stopped,
                )

    def _speech(
        self, sequence: int, event: e.TurnCommitted | e.TurnTranscribed | e.Said | e.BargedIn
    ) -> None:
        if event.item_id in self.superseded:
            return
        party = "caller" if isinstance(event, e.TurnCommitted | e.TurnTranscribed) else "assistant"
        spoken = self.utterance(event.item_id)
        if spoken is None or spoken.sequence == 0:  # 0: so far only heard of by ingress
            if spoken is None:
                spoken = Utterance(event.item_id, party, at=event.at)
            else:
                self.utterances.remove(spoken)
            spoken.sequence, spoken.session_sequence = sequence, self.session_sequence
            again = None
            if isinstance(event, e.TurnCommitted):
                again = heard_again(self.utterances, spoken, event.from_ms, event.to_ms)
            if again is None:
                self._place(spoken, getattr(event, "previous_item_id", None))
            else:
                self.superseded |= again
        match event:
            case e.TurnCommitted():
                spoken.from_ms, spoken.to_ms = event.from_ms, event.to_ms
                self.line_ms = max(self.line_ms, event.to_ms)
            case e.TurnTranscribed():
                spoken.text, spoken.done = event.text, True
                spoken.wordless = not event.failed and not any(c.isalnum() for c in event.text)
            case e.Said():
                spoken.text, spoken.done = event.text, event.done
                spoken.generated_ms = event.generated_ms
                spoken.response_id = event.response_id
            case e.BargedIn():
                spoken.heard_ms, spoken.cut, spoken.barged = event.heard_ms, True, True

    def _place(self, spoken: Utterance, previous: ItemId | None) -> None:
        """Order by OpenAI's previous_item_id where it is known, else by arrival."""
        if previous is not None:
            for i in range(len(self.utterances) - 1, -1, -1):
                if self.utterances[i].item_id == previous:
                    self.utterances.insert(i + 1, spoken)
                    return
        self.utterances.append(spoken)

    def _tool(self, sequence: int, event: e.ToolCalled | e.ToolReturned) -> None:
        match event:
            case e.ToolCalled():
                self.tools.append(
                    ToolUse(
                        event.id,
                        event.tool_call_id,
                        event.item_id,
                        event.name,
                        event.arguments,
                        event.at,
                        sequence=sequence,
                    )
                )
            case e.ToolReturned():
                for use in self.tools:
                    if use.key == event.called:
                        use.outcome, use.result = event.outcome, event.result
                        use.took_ms = event.took_ms
                        use.returned_sequence = sequence


def fold(call_id: CallId, entries: Iterable[tuple[int, e.AnyEvent]]) -> CallState:
    """The state that ``entries`` (sequence, event), in order of the log, add up to."""
    state = CallState(call_id)
    for sequence, event in entries:
        state.apply(sequence, event)
    return state
