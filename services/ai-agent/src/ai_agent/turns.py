"""The caller's turns within one Realtime session (pure): where on the line, which words, how fast
answered.
"""

from ai_agent.effects import Effect, Record, Show
from ai_agent.line_clock import LineClock
from ai_agent.realtime import events as rt
from ai_agent.usage import tokens_of
from protocol import line
from protocol.events import ResponseTimed, TurnCommitted, TurnTranscribed, UsageReported
from protocol.ids import ItemId


class Turn:
    """The turn that is under way or waits for its answer. Times in line ms."""

    def __init__(self, item_id: ItemId, from_ms: int) -> None:
        self.item_id = item_id
        self.from_ms = from_ms
        self.to_ms = from_ms
        self.timed = False


class CallerTurns:
    """Fed by the model's VAD and transcription events. ``silence_ms``: what the VAD waits for
    after speech.
    """

    def __init__(self, clock: LineClock, *, transcription_model: str, silence_ms: int) -> None:
        self._clock = clock
        self._model = transcription_model
        self._silence_ms = silence_ms
        self._turn: Turn | None = None
        self._words: dict[ItemId, str] = {}
        self.speaking = False
        """The caller is speaking right now."""

    def started(self, event: rt.SpeechStarted) -> int:
        """The caller began to speak; where on the line."""
        self.speaking = True
        line_ms = self._clock.line_ms(event.audio_start_ms)
        self._turn = Turn(ItemId(event.item_id), line_ms)
        return line_ms

    def taken(self) -> None:
        """Somebody else answered the last turn: it has no response time."""
        if self._turn is not None and not self.speaking:
            self._turn.timed = True

    def stopped(self, event: rt.SpeechStopped) -> None:
        self.speaking = False
        if self._turn is not None and self._turn.item_id == event.item_id:
            self._turn.to_ms = self._clock.line_ms(event.audio_end_ms)

    def committed(self, event: rt.Committed) -> list[Effect]:
        """The turn is an item of the conversation now."""
        turn = self._turn
        if turn is None or turn.item_id != event.item_id:
            turn = self._turn = Turn(
                ItemId(event.item_id), self._clock.line_ms(self._clock.session_ms)
            )
        fields = {
            "item_id": turn.item_id,
            "from_ms": turn.from_ms,
            "to_ms": max(turn.from_ms, turn.to_ms),
            "previous_item_id": event.previous_item_id,
        }
        return [Record(TurnCommitted, fields)]

    def transcription(
        self, event: rt.TranscriptionDelta | rt.TranscriptionCompleted | rt.TranscriptionFailed
    ) -> list[Effect]:
        """Words of a turn: they may come at any time, before or after its answer."""
        item_id = ItemId(event.item_id)
        if isinstance(event, rt.TranscriptionDelta):
            words = self._words[item_id] = self._words.get(item_id, "") + event.delta
            return [Show(item_id, "caller", words)]
        self._words.pop(item_id, None)
        if isinstance(event, rt.TranscriptionFailed):
            return [Record(TurnTranscribed, {"item_id": item_id, "text": "", "failed": True})]
        text = event.transcript.strip()
        effects: list[Effect] = [Record(TurnTranscribed, {"item_id": item_id, "text": text})]
        if event.usage is not None:
            fields = {
                "source": "transcription",
                "reference": item_id,
                "model": self._model,
                "tokens": tokens_of(event.usage),
                "seconds": event.usage.seconds,
            }
            effects.append(Record(UsageReported, fields))
        return effects

    def answered(self, heard: line.Heard) -> list[Effect]:
        """Assistant audio was heard: the first that began after the turn gives its response time,
        once.
        """
        turn = self._turn
        began_ms = heard.line_ms - heard.heard_ms
        if turn is None or turn.timed or heard.heard_ms <= 0 or began_ms < turn.to_ms:
            return []
        turn.timed = True
        fields = {
            "turn_item_id": turn.item_id,
            "item_id": heard.item_id,
            "response_ms": began_ms - turn.to_ms + self._silence_ms,
        }
        return [Record(ResponseTimed, fields)]
