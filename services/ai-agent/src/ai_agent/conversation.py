"""The conversation of one call (PURE): events of the model and of the line in, effects out.

Owns responses, barge-in, tool calls and how the talk ends; turns and speech keep the two parties'
words. Never awaits, reads a clock or logs; the call runner performs the effects in order. All
``now_ms`` are monotonic, all ``line_ms`` line time.
"""

from collections.abc import Sequence

from ai_agent.effects import CallTool, ClearPlayback, Close, Effect, GiveUp, Record, Tell
from ai_agent.line_clock import LineClock
from ai_agent.realtime import commands
from ai_agent.realtime import events as rt
from ai_agent.response_gate import ResponseGate
from ai_agent.speech import AssistantSpeech
from ai_agent.turns import CallerTurns
from ai_agent.usage import tokens_of
from protocol import line
from protocol.events import KeyPressed, OutputStopped, ResponseEnded, UsageReported
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
ANSWER_WITHIN_MS = 4_000
"""After a turn the model must begin to answer within this time, or it is asked to."""
STOPS = 2
"""Items stopped for their words, in a row, before the model is given up."""
INSTEAD = 'Say: "{words}" Say nothing else.'
FILLER = "Say in at most six words that it takes a moment longer. Nothing else."
GOODBYE = "Say goodbye to the caller in one short sentence."


class Conversation:
    """State of one call's conversation within one Realtime session."""

    def __init__(
        self, *, model: str, transcription_model: str, silence_ms: int, clears: int = 0
    ) -> None:
        self._model = model
        self._gate = ResponseGate()
        self._speech = AssistantSpeech()
        self._dead_responses: set[str] = set()
        self._callers: dict[ToolCallId, str] = {}  # tool call -> the response that made it
        self._clears = clears
        self._clear_line_ms: dict[int, int] = {}
        self._failures = 0
        self._stops = 0
        self._closing: line.Intent | None = None
        self._closed = False
        self._final = False
        self._unanswered_since_ms: int | None = None
        self.clock = LineClock()
        self._turns = CallerTurns(
            self.clock, transcription_model=transcription_model, silence_ms=silence_ms
        )

    # -- from the runner

    def ask(self, instructions: str) -> list[Effect]:
        """Let the model speak by itself: the greeting, a reminder, a warning."""
        return self._tell(self._gate.want(instructions))

    @property
    def caller_speaks(self) -> bool:
        return self._turns.speaking

    @property
    def engaged(self) -> bool:
        """Somebody speaks, or something is on its way: no silence to count."""
        return self._gate.busy() or self._speech.unheard() or self._turns.speaking

    def tell(self, text: str, line_ms: int) -> list[Effect]:
        """Tell the model something as if the caller had said it at ``line_ms``, and let it answer:
        what is being said stops.
        """
        self._stops = 0
        effects = self._hush(line_ms)
        told: list[Effect] = [Tell(commands.user_text(text))]
        return effects + told + self._tell(self._gate.want())

    def stop(self, item_id: ItemId, rule: str, instead: str) -> list[Effect]:
        """Words of an item are not to be heard (``rule`` names why): all speech stops at once and
        the model says ``instead``. Nothing, when the item was cut before.
        """
        response_id = self._speech.response_of(item_id)
        if response_id is None or response_id in self._dead_responses:
            return []
        effects: list[Effect] = [Record(OutputStopped, {"item_id": item_id, "rule": rule})]
        effects += self._hush()
        self._dead_responses.add(response_id)
        self._speech.stop(item_id)
        self._stops += 1
        if self._stops > STOPS:
            return [*effects, GiveUp("the output check stopped every answer")]
        words = INSTEAD.format(words=instead)
        return effects + self._tell(self._gate.want(words, tools=False))

    def _hush(self, line_ms: int | None = None) -> list[Effect]:
        """Nothing that is being said is for the caller's ear any more."""
        effects: list[Effect] = []
        if self._gate.active is not None:
            self._dead_responses.add(self._gate.active)
            effects.append(Tell(commands.cancel_response(self._gate.active)))
        return effects + self.clear(line_ms) if self._speech.unheard() else effects

    def close(self, words: str, intent: line.Intent) -> list[Effect]:
        """End the call: the model says ``words`` (an instruction), then the line is closed."""
        self._closing = intent
        self._final = True
        return self._tell(self._gate.want(words, tools=False))

    def note(self, text: str) -> list[Effect]:
        """Let the model know something without an answer."""
        return [Tell(commands.system_text(text))]

    def on_key(self, key: line.Dtmf) -> list[Effect]:
        return [Record(KeyPressed, {"digit": key.digit, "line_ms": key.line_ms})]

    def on_tool_slow(self) -> list[Effect]:
        """A tool takes long: a word of patience, unless the model speaks anyway."""
        if self._gate.active is not None or self._speech.unheard():
            return []
        return self._tell(self._gate.want(FILLER, tools=False))

    def on_tool_output(
        self, tool_call_id: ToolCallId, output: str, closing: line.Intent | None = None
    ) -> list[Effect]:
        """A tool call has its result (or its honest failure): tell the model, ask for its answer
        after the last. ``closing``: the line is to end so once the last words were heard.
        """
        told: list[Effect] = [Tell(commands.tool_output(tool_call_id, output))]
        asking = self._callers.pop(tool_call_id, "")
        if closing is None:
            return told + self._tell(self._gate.output_sent(tool_call_id))
        self._closing = closing
        if self._speech.sounded(asking):  # the goodbye came with the tool call
            return told + self._tell(self._gate.output_sent(tool_call_id, seen=True)) + self._end()
        self._gate.output_sent(tool_call_id, seen=True)
        words = GOODBYE if closing == "hangup" else None
        return told + self._tell(self._gate.want(words, tools=False))

    def on_tick(self, now_ms: int) -> list[Effect]:
        """Called a few times a second: a turn that nothing answers is silence on the line."""
        since = self._unanswered_since_ms
        if since is None or now_ms - since < ANSWER_WITHIN_MS or self._gate.busy():
            return []
        self._unanswered_since_ms = None
        return self._tell(self._gate.want())

    # -- from the line

    def on_heard(self, heard: line.Heard) -> list[Effect]:
        """The caller heard ``heard_ms`` of an item; the first of it answers the turn before."""
        return self._turns.answered(heard) if self._speech.heard(heard) else []

    def on_cleared(self, cleared: line.Cleared) -> list[Effect]:
        """Playback was emptied, and where."""
        line_ms = self._clear_line_ms.pop(cleared.n, cleared.line_ms)
        return self._speech.cleared(cleared, line_ms)

    # -- from the model

    def on_event(self, event: rt.AnyServerEvent, now_ms: int) -> list[Effect]:
        """One server event. Events of dropped responses have no effect on the caller."""
        match event:
            case rt.AudioDelta():
                return self._audio(event)
            case rt.TranscriptDelta():
                return self._speech.words(event, now_ms)
            case rt.SpeechStarted():
                return self._speech_started(event)
            case rt.SpeechStopped():
                self._turns.stopped(event)
            case rt.Committed():
                self._unanswered_since_ms = now_ms
                self._stops = 0
                return self._turns.committed(event)
            case rt.TranscriptionDelta() | rt.TranscriptionCompleted() | rt.TranscriptionFailed():
                return self._turns.transcription(event)
            case rt.ItemAdded():
                self._item_added(event)
            case rt.ResponseCreated():
                self._unanswered_since_ms = None
                self._gate.created(event.response.id)
            case rt.OutputItemAdded():
                if event.item.type == "message":
                    self._speech.begin(event.item.id, event.response_id)
            case rt.AudioDone():
                return self._speech.audio_done(ItemId(event.item_id))
            case rt.TranscriptDone():
                self._speech.begin(event.item_id, event.response_id).text = event.transcript
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
        self._failures = 0
        return self._speech.audio(event)

    def _speech_started(self, event: rt.SpeechStarted) -> list[Effect]:
        """Barge-in: possible as long as the phone still plays, not only while the model
        generates.
        """
        line_ms = self._turns.started(event)
        if self._gate.active is not None:
            # Server VAD cancels it; deltas that were under way are not for the caller's ear.
            self._dead_responses.add(self._gate.active)
        if self._closing == "hangup" and not (self._closed or self._final):
            self._closing = None  # "wait, one more thing"
        return self.clear(line_ms) if self._speech.unheard() else []

    def clear(self, line_ms: int | None = None) -> list[Effect]:
        """Drop what the caller has not heard, because of something at ``line_ms`` (None: at once,
        wherever the line is).
        """
        self._clears += 1
        if line_ms is not None:
            self._clear_line_ms[self._clears] = line_ms
        return [ClearPlayback(self._clears)]

    def _item_added(self, event: rt.ItemAdded) -> None:
        if event.item.type == "function_call_output":
            self._gate.output_accepted(ToolCallId(event.item.call_id))
        elif event.item.role == "assistant" and event.previous_item_id:
            self._speech.follows(event.item.id, event.previous_item_id)

    def _item_done(self, event: rt.OutputItemDone, now_ms: int) -> list[Effect]:
        if event.item.type != "function_call":
            return self._speech.item_done(event.item.id, now_ms)
        if event.response_id in self._dead_responses:
            return []
        return self._tool_call(event.item, event.response_id)

    def _tool_call(self, item: rt.Item, response_id: str) -> list[Effect]:
        # A cancelled response may carry half an argument list: only completed calls act.
        call = ToolCallId(item.call_id)
        if item.status != "completed" or not self._gate.tool_started(call):
            return []
        self._callers[call] = response_id
        return [CallTool(call, ItemId(item.id), item.name, item.arguments)]

    def _response_done(self, response: rt.Response, now_ms: int) -> list[Effect]:
        effects = self._speech.response_done(response.id, now_ms)
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
                    effects += self._tool_call(item, response.id)
        else:
            effects.append(_ended(response))
        wanted = response.status != "cancelled" and response.id not in self._dead_responses
        if wanted and not acted and not self._speech.sounded(response.id):
            error = response.status_details.error if response.status_details else None
            effects += self._again((error.code or error.type) if error else response.status)
        return effects + self._tell(self._gate.done(response.id)) + self._end()

    def _again(self, code: str) -> list[Effect]:
        """No sound came of a response: ask again, and give up in time rather than be silent."""
        self._failures += 1
        if code in PERMANENT or self._failures > RETRIES:
            return [GiveUp(f"responses fail: {code}")]
        return self._tell(self._gate.want())

    def _error(self, error: rt.ErrorBody) -> list[Effect]:
        if error.code == "conversation_already_has_active_response":
            self._gate.refused()
        elif error.code in PERMANENT:
            return [GiveUp(f"the model refuses: {error.code}")]
        elif error.event_id == commands.CREATE_EVENT_ID and self._gate.failed():
            return self._again(error.code or error.type)
        return []

    def _end(self) -> list[Effect]:
        """Close the line when that is decided and the last words are on their way."""
        if self._closing is None or self._closed or self._gate.busy():
            return []
        self._closed = True
        return [Close(self._closing)]

    @staticmethod
    def _tell(found: Sequence[commands.Command]) -> list[Effect]:
        return [Tell(command) for command in found]


def _ended(response: rt.Response) -> Record:
    details = response.status_details
    error = details.error if details else None
    reason = (error.code or error.type) if error else (details.reason if details else None)
    status = response.status if response.status in ("cancelled", "incomplete") else "failed"
    fields = {"response_id": response.id, "status": status, "reason": reason or ""}
    return Record(ResponseEnded, fields)
