"""Going on with a sentence whose rest the caller did not hear (PURE): after noise, or whatever else
cut it off for no good reason.

A part of conversation: decides when, and what the model is told. All ``now_ms`` are monotonic.
"""

from msgspec import Struct

from ai_agent.closing import Closing
from ai_agent.effects import Effect, Record, Tell
from ai_agent.false_start import COMMIT_WITHIN_MS, FalseStart
from ai_agent.realtime import commands
from ai_agent.responses import Responses
from ai_agent.speech import AssistantSpeech
from protocol.events import Resumed
from protocol.ids import ItemId


class Interruption(Struct, frozen=True):
    """Why the caller did not hear the rest: ``reason`` for the log, ``told`` for the model."""

    reason: str
    told: str


NOISE = Interruption(
    "noise", "What interrupted you was only noise on the line; the caller said nothing."
)
REST = (
    'You were cut off. {told} Of your last sentences the caller heard about this much: "{heard}" '
    "Go on from there with the rest. Do not start over, do not greet, do not mention this."
)


class Resumption:
    """Shares the parts of one conversation."""

    def __init__(
        self,
        false_start: FalseStart,
        responses: Responses,
        speech: AssistantSpeech,
        closing: Closing,
    ) -> None:
        self._false_start = false_start
        self._responses = responses
        self._speech = speech
        self._closing = closing

    def go_on(self, why: Interruption, item_id: ItemId, heard: str) -> list[Effect]:
        """Let the model go on with what it said in ``item_id``. ``heard``: the text as heard, an
        estimate.
        """
        text = REST.format(told=why.told, heard=heard)
        effects: list[Effect] = [Tell(commands.system_text(text))]
        effects.append(Record(Resumed, {"item_id": item_id, "reason": why.reason}))
        return effects + self._responses.want()

    def drop(self, response_id: str) -> list[Effect]:
        """Take back an answer that has not sounded."""
        if self._responses.dead(response_id):
            return []
        return self._responses.drop(response_id) + self._speech.drop(response_id)

    def due(self, now_ms: int, unanswered_since_ms: int | None) -> list[Effect]:
        """When it was noise that cut the assistant, and nothing answered it aloud: take its answer
        back, then go on. ``unanswered_since_ms``: when a turn was made that nothing answers yet.
        """
        start, gate = self._false_start, self._responses.gate
        if not start.over(now_ms):
            return []
        cut = self._speech.cut_of(start.cut)
        if self._closing.decided or cut == []:
            start.forget()
            return []
        since = unanswered_since_ms
        coming = gate.coming() or (since is not None and now_ms - since < COMMIT_WITHIN_MS)
        if cut is None or coming:
            return []  # an answer that is on its way is taken back once it is there
        if gate.active is not None:
            return self.drop(gate.active)
        if start.lifted is not None:
            self._closing.decide(start.lifted)
        start.resumed()
        noises: list[Effect] = [Tell(commands.delete_item(item)) for item in start.noises]
        return noises + self.go_on(NOISE, cut[0].item_id, cut[0].heard_text())
