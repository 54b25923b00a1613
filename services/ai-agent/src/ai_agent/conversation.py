"""The conversation of one call (PURE): events of the model and of the line in, effects out.

Owns barge-in, tool calls and what the model is asked to say; its parts keep the rest. Never awaits,
reads a clock or logs; the call runner performs the effects in order. All ``now_ms`` are monotonic,
all ``line_ms`` line time.
"""

from collections.abc import Sequence

from ai_agent.closing import Closing
from ai_agent.effects import CallTool, Effect, Tell
from ai_agent.false_start import FalseStart
from ai_agent.line_clock import LineClock
from ai_agent.muting import Muting
from ai_agent.realtime import commands
from ai_agent.realtime import events as rt
from ai_agent.recovery import GOODBYE, Recovery
from ai_agent.responses import Responses, told
from ai_agent.restore import Restored
from ai_agent.resumption import Interruption, Resumption
from ai_agent.speech import AssistantSpeech
from ai_agent.stopping import Stopping
from ai_agent.turns import CallerTurns
from protocol import line
from protocol.ids import ItemId, ToolCallId

ANSWER_WITHIN_MS = 4_000
"""After a turn the model must begin to answer within this time, or it is asked to."""
FILLER = "Say in at most six words that it takes a moment longer. Nothing else."


class Conversation:
    """State of one call's conversation within one Realtime session."""

    def __init__(
        self, *, model: str, transcription_model: str, silence_ms: int, clears: int = 0
    ) -> None:
        self._responses = Responses(model)
        self._gate = self._responses.gate
        self._speech = AssistantSpeech(clears)
        self._callers: dict[ToolCallId, str] = {}  # tool call -> the response that made it
        self._closing = Closing()
        self._false_start = FalseStart()
        self._resumption = Resumption(
            self._false_start, self._responses, self._speech, self._closing
        )
        self._recovery = Recovery(self._responses, self._speech, self._closing, self._resumption)
        self.muting = Muting(self._responses, self._speech, self._closing, self._false_start)
        self._stopping = Stopping(self._responses, self._speech, self._false_start)
        self._unanswered_since_ms: int | None = None
        self.clock = LineClock()
        self._turns = CallerTurns(
            self.clock, transcription_model=transcription_model, silence_ms=silence_ms
        )

    # -- from the runner

    def ask(self, instructions: str) -> list[Effect]:
        """Let the model speak by itself: the greeting, a reminder, a warning."""
        return self._responses.want(instructions)

    @property
    def caller_speaks(self) -> bool:
        return self._turns.speaking

    @property
    def engaged(self) -> bool:
        """Somebody speaks, or something is on its way: no silence to count."""
        sounds = self._gate.busy() or self._speech.unheard() or self._turns.speaking
        return sounds or self.muting.on

    @property
    def free(self) -> bool:
        """The model could be asked to say something now, and would talk over nobody."""
        taken = self._gate.busy() or self._turns.speaking or self.muting.on
        return not (taken or self._closing.decided or self._unanswered_since_ms is not None)

    @property
    def quiet(self) -> bool:
        """Nothing is owed or undecided either: the talk could go on in another session."""
        undecided = self._closing.decided or bool(self._false_start.cut)
        if self.muting.on:
            return not (undecided or self._turns.speaking)
        return not self.engaged and not undecided and self._unanswered_since_ms is None

    @property
    def waits(self) -> bool:
        """The model is to answer, and does not yet or not to the end."""
        unanswered = self._unanswered_since_ms is not None and not self.muting.on
        return self._gate.waits() or unanswered

    def begin(
        self,
        found: Restored,
        ledger: Sequence[line.Playhead],
        now_ms: int,
        *,
        greeting: str,
        in_words: bool = False,
    ) -> list[Effect]:
        """Go on where an earlier session ended, or begin; see ``Recovery.begin``."""
        if found.owed == "hear":
            self._unanswered_since_ms = now_ms
        return self._recovery.begin(found, ledger, greeting=greeting, in_words=in_words)

    def end(self, now_ms: int) -> list[Effect]:
        """The session is over: what is to be written of it."""
        return self._speech.end(now_ms)

    def on_line_lost(self, ledger: Sequence[line.Playhead], now_ms: int) -> list[Effect]:
        """What was under way to the caller is gone: find out where, and go on from there."""
        self._false_start.forget()
        return self._recovery.line_lost(ledger, now_ms)

    def tell(self, text: str, line_ms: int) -> list[Effect]:
        """Tell the model something as if the caller had said it at ``line_ms``, and let it answer:
        what is being said stops.
        """
        self._stopping.forget()
        self._false_start.forget()
        self._recovery.spoken_over()
        effects = self._stopping.hush(line_ms)
        effects.append(Tell(commands.user_text(text)))
        return effects + self._responses.want()

    def stop(self, item_id: ItemId, rule: str, instead: str) -> list[Effect]:
        """Words of an item are not to be heard (``rule`` names why): all speech stops at once and
        the model says ``instead``. Nothing, when the item was cut before.
        """
        return self._stopping.stop(item_id, rule, instead)

    def unmute(self, note: str) -> list[Effect]:
        """It is the assistant's turn again; ``note`` tells it why."""
        self._unanswered_since_ms = None
        self._turns.taken()
        return self.muting.end(note, caller_speaks=self._turns.speaking)

    def dictate(self, words: str, metadata: dict[str, str]) -> list[Effect]:
        """Let the model say what ``words`` (an instruction) holds; ask for it when ``free``."""
        return self._responses.want(words, tools=False, metadata=metadata)

    def resume(self, why: Interruption, item_id: ItemId, heard: str) -> list[Effect]:
        """Let the model go on with what it said in ``item_id``: the caller did not hear the rest,
        because of ``why``. ``heard``: the text as heard.
        """
        return self._resumption.go_on(why, item_id, heard)

    def close(self, words: str, intent: line.Intent) -> list[Effect]:
        """End the call: the model says ``words`` (an instruction), then the line is closed."""
        if self.muting.on:
            return self.muting.close(intent)
        self._false_start.forget()
        self._closing.decide(intent, final=True)
        return self._responses.want(words, tools=False)

    def note(self, text: str) -> list[Effect]:
        """Let the model know something without an answer."""
        return [Tell(commands.system_text(text))]

    def on_tool_slow(self) -> list[Effect]:
        """A tool takes long: a word of patience, unless the model speaks anyway."""
        if self._gate.active is not None or self._speech.unheard():
            return []
        return self._responses.want(FILLER, tools=False)

    def on_tool_output(
        self, tool_call_id: ToolCallId, output: str, closing: line.Intent | None = None
    ) -> list[Effect]:
        """A tool call has its result (or its honest failure): tell the model, ask for its answer
        after the last. ``closing``: the line is to end so once the last words were heard.
        """
        effects: list[Effect] = [Tell(commands.tool_output(tool_call_id, output))]
        asking = self._callers.pop(tool_call_id, "")
        if closing is None or self.muting.on:
            return effects + told(self._gate.output_sent(tool_call_id))
        self._false_start.forget()
        self._closing.decide(closing)
        if self._speech.sounded(asking):  # the goodbye came with the tool call
            return effects + told(self._gate.output_sent(tool_call_id, seen=True)) + self._end()
        self._gate.output_sent(tool_call_id, seen=True)
        words = GOODBYE if closing == "hangup" else None
        return effects + self._responses.want(words, tools=False)

    def on_tick(self, now_ms: int) -> list[Effect]:
        """Called a few times a second: a turn that nothing answers is silence on the line."""
        effects = self._after_noise(now_ms) + self._recovery.on_tick(now_ms)
        since = self._unanswered_since_ms
        waits = self.muting.on or self._gate.busy()
        if since is None or now_ms - since < ANSWER_WITHIN_MS or waits:
            return effects
        self._unanswered_since_ms = None
        return effects + self._responses.want()

    # -- from the line

    def on_heard(self, heard: line.Heard) -> list[Effect]:
        """The caller heard ``heard_ms`` of an item; the first of it answers the turn before."""
        return self._turns.answered(heard) if self._speech.heard(heard) else []

    def on_cleared(self, cleared: line.Cleared) -> list[Effect]:
        """Playback was emptied, and where."""
        lost = self._recovery.cleared(cleared)
        return self._speech.cleared(cleared) if lost is None else lost

    # -- from the model

    def on_event(self, event: rt.AnyServerEvent, now_ms: int) -> list[Effect]:
        """One server event. Events of dropped responses have no effect on the caller."""
        return self._react(event, now_ms) + self._after_noise(now_ms)

    def _react(self, event: rt.AnyServerEvent, now_ms: int) -> list[Effect]:
        if self._responses.dropped(getattr(event, "response_id", None)):
            return []
        match event:
            case rt.AudioDelta():
                return self._audio(event)
            case rt.TranscriptDelta():
                return self._speech.words(event, now_ms)
            case rt.SpeechStarted():
                return self._speech_started(event)
            case rt.SpeechStopped():
                self._turns.stopped(event)
                self._false_start.stopped(ItemId(event.item_id), now_ms)
            case rt.Committed():
                self._unanswered_since_ms = now_ms
                self._stopping.forget()
                self._false_start.committed(ItemId(event.item_id))
                return self._turns.committed(event)
            case rt.TranscriptionDelta() | rt.TranscriptionCompleted() | rt.TranscriptionFailed():
                self._false_start.heard(event)
                return self._turns.transcription(event)
            case rt.ItemAdded():
                self._item_added(event)
            case rt.ResponseCreated():
                if not self.muting.on:
                    self._unanswered_since_ms = None
                self._gate.created(event.response.id)
                over = self._false_start.again and self._turns.speaking
                if over or self.muting.on:
                    return self._resumption.drop(event.response.id)  # it would talk over the caller
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
                return self._responses.refused(event.error)
            case rt.ContentPartAdded():
                return self._recovery.wrote(event.response_id) if event.part.type == "text" else []
            case rt.SessionCreated() | rt.SessionUpdated():
                pass
        return []

    def _audio(self, event: rt.AudioDelta) -> list[Effect]:
        if self._responses.dead(event.response_id):
            return []
        self._responses.sounded()
        self._false_start.forget()
        return self._speech.audio(event)

    def _speech_started(self, event: rt.SpeechStarted) -> list[Effect]:
        """Barge-in: possible as long as the phone still plays, not only while the model
        generates.
        """
        line_ms = self._turns.started(event)
        self._responses.interrupted()
        self._recovery.spoken_over()
        lifted = self._closing.caller_spoke()
        if not self._closing.decided:
            cut = self._speech.unheard_items()
            self._false_start.began(ItemId(event.item_id), cut, lifted)
        return self._speech.clear(line_ms)

    def _after_noise(self, now_ms: int) -> list[Effect]:
        return self._resumption.due(now_ms, self._unanswered_since_ms)

    def _item_added(self, event: rt.ItemAdded) -> None:
        if event.item.type == "function_call_output":
            self._gate.output_accepted(ToolCallId(event.item.call_id))
        elif event.item.role == "assistant" and event.previous_item_id:
            self._speech.follows(event.item.id, event.previous_item_id)

    def _item_done(self, event: rt.OutputItemDone, now_ms: int) -> list[Effect]:
        if event.item.type != "function_call":
            return self._speech.item_done(event.item.id, now_ms)
        if self._responses.dead(event.response_id):
            return []
        return self._tool_call(event.item, event.response_id)

    def _tool_call(self, item: rt.Item, response_id: str) -> list[Effect]:
        # A cancelled response may carry half an argument list: only completed calls act.
        call = ToolCallId(item.call_id)
        if item.status != "completed" or not self._gate.tool_started(call):
            return []
        self._callers[call] = response_id
        self._false_start.forget()
        return [CallTool(call, ItemId(item.id), item.name, item.arguments)]

    def _response_done(self, response: rt.Response, now_ms: int) -> list[Effect]:
        effects = self._speech.response_done(response.id, now_ms)
        effects += self._responses.ended(response)
        acted = False
        if response.status == "completed" and not self._responses.dropped(response.id):
            for item in response.output:
                if item.type == "function_call":
                    acted = True
                    effects += self._tool_call(item, response.id)
        if not acted and not self._speech.sounded(response.id):
            effects += self._responses.silent(response)
        return effects + told(self._gate.done(response.id)) + self._end()

    def _end(self) -> list[Effect]:
        """Close the line when that is decided and the last words are on their way."""
        return self._closing.end(busy=self._gate.busy())
