"""Words of the assistant that the caller is not to hear (PURE): all speech stops and something
harmless is said instead.

A part of conversation; the output check asks for it.
"""

from ai_agent.effects import Effect, GiveUp, Record
from ai_agent.false_start import FalseStart
from ai_agent.responses import Responses
from ai_agent.speech import AssistantSpeech
from protocol.events import OutputStopped
from protocol.ids import ItemId

STOPS = 2
"""Items stopped for their words, in a row, before the model is given up."""
INSTEAD = 'Say: "{words}" Say nothing else.'


class Stopping:
    """Shares the parts of one conversation."""

    def __init__(
        self, responses: Responses, speech: AssistantSpeech, false_start: FalseStart
    ) -> None:
        self._responses = responses
        self._speech = speech
        self._false_start = false_start
        self._stops = 0

    def forget(self) -> None:
        """The caller did something: what follows is another answer."""
        self._stops = 0

    def stop(self, item_id: ItemId, rule: str, instead: str) -> list[Effect]:
        """Words of an item are not to be heard (``rule`` names why): all speech stops at once and
        the model says ``instead``. Nothing, when the item was cut before.
        """
        self._false_start.forget()  # what is not to be heard is not gone on with either
        response_id = self._speech.response_of(item_id)
        if response_id is None or self._responses.dead(response_id):
            return []
        effects: list[Effect] = [Record(OutputStopped, {"item_id": item_id, "rule": rule})]
        effects += self.hush()
        self._responses.kill(response_id)
        self._speech.stop(item_id)
        self._stops += 1
        if self._stops > STOPS:
            return [*effects, GiveUp("the output check stopped every answer")]
        words = INSTEAD.format(words=instead)
        return effects + self._responses.want(words, tools=False)

    def hush(self, line_ms: int | None = None) -> list[Effect]:
        """Nothing that is being said is for the caller's ear any more."""
        return self._responses.cancel() + self._speech.clear(line_ms)
