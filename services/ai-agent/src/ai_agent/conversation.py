"""The conversation of one call (PURE): events of the model and of the line in, effects out.

Owns turns, responses, barge-in, tool calls and what is written to the log about them. Never
awaits, reads a clock or logs; the call runner performs the effects in order. All ``now_ms`` are
monotonic, all ``line_ms`` line time.
"""

from collections.abc import Sequence

from ai_agent.effects import (
    CallTool,
    ClearPlayback,
    Effect,
    GiveUp,
    Play,
    PlayDone,
    Record,
    Show,
    Tell,
)
from ai_agent.line_clock import LineClock
from ai_agent.realtime import commands
from ai_agent.realtime import events as rt
from ai_agent.response_gate import ResponseGate
from ai_agent.speech import SpokenItem
from ai_agent.turns import CallerTurns
from ai_agent.usage import tokens_of
from protocol import line
from protocol.events import (
    BargedIn,
    KeyPressed,
    ResponseEnded,
    Said,
    UsageReported,
)
from protocol.ids import ItemId, ToolCallId

PERMANENT = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "invalid_api_key",
        "account_deactivated",
        "billing_hard_limit_reached",
    }
)
"""Failures that no retry mends."""
RETRIES = 2
"""Responses asked for again, in a row, that gave no audio before the call is given up."""


class Conversation:
    """State of one call's conversation within one Realtime session."""

    def __init__(self, *, model: str, transcription_model: str, silence_ms: int) -> None:
        self._model = model
        self._gate = ResponseGate()
        self._spoken: dict[ItemId, SpokenItem] = {}
        self._dead_responses: set[str] = set()
        self._clears = 0
        self._clear_line_ms: dict[int, int] = {}
        self._failures = 0
        self.clock = LineClock()
        self._turns = CallerTurns(
            self.clock, transcription_model=transcription_model, silence_ms=silence_ms
        )

    # -- from the runner

    def greet(self, instructions: str) -> list[Effect]:
        """Let the model speak first."""
        return self._tell(self._gate.want(instructions))

    def on_key(self, key: line.Dtmf) -> list[Effect]:
        return [Record(KeyPressed, {"digit": key.digit, "line_ms": key.line_ms})]

    def on_tool_output(self, tool_call_id: ToolCallId, output: str) -> list[Effect]:
        """A tool call has its result (or its honest failure): tell the model, ask for its answer
        after the last.
        """
        told: list[Effect] = [Tell(commands.tool_output(tool_call_id, output))]
        return told + self._tell(self._gate.output_sent(tool_call_id))

    # -- from the line

    def on_heard(self, heard: line.Heard) -> list[Effect]:
        """The caller heard ``heard_ms`` of an item; the first of it answers the turn before."""
        spoken = self._spoken.get(heard.item_id)
        if spoken is None:
            return []
        spoken.heard_ms = max(spoken.heard_ms, heard.heard_ms)
        spoken.heard_all = spoken.heard_all or heard.done
        return self._turns.answered(heard)

    def on_cleared(self, cleared: line.Cleared) -> list[Effect]:
        """Playback was emptied: cut every unfinished item where the caller really stopped hearing
        it.
        """
        effects: list[Effect] = []
        line_ms = self._clear_line_ms.pop(cleared.n, cleared.line_ms)
        for stood in cleared.items:
            spoken = self._spoken.get(stood.item_id)
            if spoken is None or stood.done:
                continue
            # The model refuses a cut beyond the audio that it made.
            spoken.heard_ms = min(max(stood.heard_ms, spoken.heard_ms), spoken.received_ms)
            spoken.cut = True
            effects.append(Tell(commands.truncate(spoken.item_id, spoken.heard_ms)))
            fields = {"item_id": spoken.item_id, "heard_ms": spoken.heard_ms, "line_ms": line_ms}
            effects.append(Record(BargedIn, fields))
        return effects

    # -- from the model

    def on_event(self, event: rt.AnyServerEvent, now_ms: int) -> list[Effect]:
        """One server event. Events of dropped responses have no effect on the caller."""
        match event:
            case rt.AudioDelta():
                return self._audio(event)
            case rt.TranscriptDelta():
                return self._words(event.item_id, event.delta, now_ms)
            case rt.SpeechStarted():
                return self._speech_started(event)
            case rt.SpeechStopped():
                self._turns.stopped(event)
            case rt.Committed():
                return self._turns.committed(event)
            case rt.TranscriptionDelta() | rt.TranscriptionCompleted() | rt.TranscriptionFailed():
                return self._turns.transcription(event)
            case rt.ItemAdded():
                self._item_added(event)
            case rt.ResponseCreated():
                self._gate.created(event.response.id)
            case rt.OutputItemAdded():
                if event.item.type == "message":
                    self._item(ItemId(event.item.id), event.response_id)
            case rt.AudioDone():
                return self._audio_done(ItemId(event.item_id))
            case rt.TranscriptDone():
                spoken = self._item(ItemId(event.item_id), event.response_id)
                spoken.text = event.transcript
            case rt.OutputItemDone():
                return self._item_done(event, now_ms)
            case rt.ResponseDone():
                return self._response_done(event.response, now_ms)
            case rt.ErrorReported():
                return self._error(event.error)
            case rt.ContentPartAdded() | rt.SessionCreated() | rt.SessionUpdated():
                pass
        return []

    def _audio(self, event: rt.AudioDelta) -> list[Effect]:
        if event.response_id in self._dead_responses:
            return []
        spoken = self._item(ItemId(event.item_id), event.response_id)
        spoken.received_bytes += len(event.delta)
        self._failures = 0
        return [Play(spoken.item_id, event.delta)]

    def _words(self, item: str, delta: str, now_ms: int) -> list[Effect]:
        spoken = self._spoken.get(ItemId(item))
        if spoken is None or spoken.cut:
            return []
        spoken.text += delta
        effects: list[Effect] = [Show(spoken.item_id, "assistant", spoken.text)]
        if spoken.due(now_ms):
            effects.append(self._said(spoken, now_ms, done=False))
        return effects

    def _speech_started(self, event: rt.SpeechStarted) -> list[Effect]:
        """Barge-in: possible as long as the phone still plays, not only while the model
        generates.
        """
        line_ms = self._turns.started(event)
        if self._gate.active is not None:
            # Server VAD cancels it; deltas that were under way are not for the caller's ear.
            self._dead_responses.add(self._gate.active)
        if not any(spoken.unheard() for spoken in self._spoken.values()):
            return []
        self._clears += 1
        self._clear_line_ms[self._clears] = line_ms
        return [ClearPlayback(self._clears)]

    def _item_added(self, event: rt.ItemAdded) -> None:
        if event.item.type == "function_call_output":
            self._gate.output_accepted(ToolCallId(event.item.call_id))
        elif event.item.role == "assistant" and event.previous_item_id:
            spoken = self._spoken.get(ItemId(event.item.id))
            if spoken is not None:
                spoken.previous_item_id = ItemId(event.previous_item_id)

    def _audio_done(self, item_id: ItemId) -> list[Effect]:
        spoken = self._spoken.get(item_id)
        if spoken is None or spoken.audio_done or spoken.received_bytes == 0:
            return []
        spoken.audio_done = True
        return [PlayDone(item_id)]

    def _item_done(self, event: rt.OutputItemDone, now_ms: int) -> list[Effect]:
        item = event.item
        if item.type == "function_call":
            return self._tool_call(item) if event.response_id not in self._dead_responses else []
        spoken = self._spoken.get(ItemId(item.id))
        return [] if spoken is None else self._finish(spoken, now_ms)

    def _tool_call(self, item: rt.Item) -> list[Effect]:
        # A cancelled response may carry half an argument list: only completed calls act.
        call = ToolCallId(item.call_id)
        if item.status != "completed" or not self._gate.tool_started(call):
            return []
        return [CallTool(call, ItemId(item.id), item.name, item.arguments)]

    def _response_done(self, response: rt.Response, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        mine = [s for s in self._spoken.values() if s.response_id == response.id]
        for spoken in mine:
            effects += self._finish(spoken, now_ms)
        if response.usage is not None:
            fields = {
                "source": "response",
                "reference": response.id,
                "model": self._model,
                "tokens": tokens_of(response.usage),
            }
            effects.append(Record(UsageReported, fields))
        acted = False
        if response.status == "completed":
            for item in response.output:
                if item.type == "function_call":
                    acted = True
                    effects += self._tool_call(item)
        else:
            effects.append(self._ended(response))
        answered = acted or any(s.received_bytes for s in mine)
        if response.status != "cancelled" and not answered:
            error = response.status_details.error if response.status_details else None
            effects += self._again((error.code or error.type) if error else response.status)
        return effects + self._tell(self._gate.done(response.id))

    def _again(self, code: str) -> list[Effect]:
        """No sound came of a response: ask again, and give up in time rather than be silent."""
        self._failures += 1
        if code in PERMANENT or self._failures > RETRIES:
            return [GiveUp(f"responses fail: {code}")]
        return self._tell(self._gate.want())

    def _ended(self, response: rt.Response) -> Record:
        details = response.status_details
        error = details.error if details else None
        reason = (error.code or error.type) if error else (details.reason if details else None)
        status = response.status if response.status in ("cancelled", "incomplete") else "failed"
        fields = {"response_id": response.id, "status": status, "reason": reason or ""}
        return Record(ResponseEnded, fields)

    def _error(self, error: rt.ErrorBody) -> list[Effect]:
        if error.code == "conversation_already_has_active_response":
            self._gate.refused()
        elif error.code in PERMANENT:
            return [GiveUp(f"the model refuses: {error.code}")]
        elif error.event_id == commands.CREATE_EVENT_ID and self._gate.failed():
            return self._again(error.code or error.type)
        return []

    def _finish(self, spoken: SpokenItem, now_ms: int) -> list[Effect]:
        """No more audio or words of this item will come."""
        effects = self._audio_done(spoken.item_id)
        if not spoken.said_done:
            spoken.said_done = True
            effects.append(self._said(spoken, now_ms, done=True))
        return effects

    def _said(self, spoken: SpokenItem, now_ms: int, *, done: bool) -> Record:
        spoken.recorded_at_ms = now_ms
        fields = {
            "item_id": spoken.item_id,
            "response_id": spoken.response_id,
            "text": spoken.text,
            "generated_ms": spoken.received_ms,
            "done": done,
            "previous_item_id": spoken.previous_item_id,
        }
        return Record(Said, fields)

    def _item(self, item_id: ItemId, response_id: str) -> SpokenItem:
        spoken = self._spoken.get(item_id)
        if spoken is None:
            spoken = self._spoken[item_id] = SpokenItem(item_id, response_id)
        return spoken

    @staticmethod
    def _tell(found: Sequence[commands.Command]) -> list[Effect]:
        return [Tell(command) for command in found]
