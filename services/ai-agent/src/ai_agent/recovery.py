"""Getting over a loss (PURE): a session that begins where an earlier one ended, a line that lost
what was under way to the caller, a model that writes instead of speaking.

A part of conversation. All ``now_ms`` are monotonic.
"""

from collections.abc import Collection, Sequence

from ai_agent import retelling
from ai_agent.closing import Closing
from ai_agent.effects import Effect, GiveUp, Record, Reopen, Tell
from ai_agent.responses import Responses
from ai_agent.restore import Restored, Words
from ai_agent.resumption import Interruption, Resumption
from ai_agent.speech import AssistantSpeech
from protocol import line
from protocol.events import Resumed
from protocol.ids import ItemId

CLEARED_WITHIN_MS = 1_500
"""The line says where it stopped within this time, or it does not know either."""
LINE = Interruption("line", "The line to the caller broke.")
LOSS = "loss"
GOODBYE = "Say goodbye to the caller in one short sentence."


class Recovery:
    """Shares the parts of one conversation."""

    def __init__(
        self,
        responses: Responses,
        speech: AssistantSpeech,
        closing: Closing,
        resumption: Resumption,
    ) -> None:
        self._responses = responses
        self._speech = speech
        self._closing = closing
        self._resumption = resumption
        self._asked: dict[int, tuple[ItemId, ...]] = {}
        """What was under way at each clear by which the line was asked where it stopped."""
        self._asked_ms = 0
        self._broken: set[ItemId] = set()
        """Items whose response was stopped: their rest never comes, however much was heard."""
        self._spoken_over: set[ItemId] = set()
        """Items that the caller did not hear to the end before they spoke: not gone on with."""
        self._texts = 0
        self._in_words = False

    def begin(
        self, found: Restored, ledger: Sequence[line.Playhead], *, greeting: str, in_words: bool
    ) -> list[Effect]:
        """Tell a new session the call so far, and let it say what is owed. ``in_words``: it was
        told by its instructions.
        """
        self._in_words = in_words
        commands = retelling.unanswered(found.told) if in_words else retelling.items(found.told)
        effects: list[Effect] = [Tell(command) for command in commands]
        words = {t.item_id: t.text for t in found.told if isinstance(t, Words)}
        for stood in ledger:
            named = not in_words and bool(retelling.own_id(stood.item_id))
            told = named and stood.item_id in words
            self._speech.adopt(stood, words.get(stood.item_id, ""), told=told)
        for use in found.ask:
            self._responses.gate.tool_started(use.tool_call_id)
        if found.closing is not None:
            self._closing.decide(found.closing)
        match found.owed:
            case "greet":
                effects += self._responses.want(greeting)
            case "answer" if found.closing == "hangup":
                effects += self._responses.want(GOODBYE, tools=False)
            case "answer":
                effects += self._responses.want()
            case "go_on":
                said = [t for t in found.told if isinstance(t, Words) and t.party == "assistant"]
                if said:
                    fields = {"item_id": said[-1].item_id, "reason": LOSS}
                    effects.append(Record(Resumed, fields))
                effects += self._responses.want()
            case "hear" | "nothing":
                pass
        return effects + self._closing.end(busy=self._responses.gate.busy())

    # -- the line

    def line_lost(self, ledger: Sequence[line.Playhead], now_ms: int) -> list[Effect]:
        """What was under way to the caller is gone. ``ledger``: how far they heard it; empty when
        only the line can tell, if it can.
        """
        reopened = self._closing.line_lost()
        lost = self._speech.unheard_items()
        if not lost:
            return self._closing.end(busy=self._responses.gate.busy()) if reopened else []
        effects = self._break()
        if ledger:
            self._asked.clear()  # the line that was asked is no more
            return effects + self._lost(ledger, lost)
        effects += self._speech.clear()
        self._asked[self._speech.clears], self._asked_ms = lost, now_ms
        return effects

    def cleared(self, cleared: line.Cleared) -> list[Effect] | None:
        """The answer to that question; None when it is to another clear."""
        lost = self._asked.pop(cleared.n, None)
        return None if lost is None else self._lost(cleared.items, lost)

    def on_tick(self, now_ms: int) -> list[Effect]:
        """Called a few times a second."""
        if not self._asked or now_ms - self._asked_ms < CLEARED_WITHIN_MS:
            return []
        lost = tuple(item for items in self._asked.values() for item in items)
        self._asked.clear()
        return self._lost((), lost)

    def spoken_over(self) -> None:
        """The caller has the word: what they did not hear is cut, but not gone on with."""
        self._asked.clear()
        self._broken.clear()
        self._spoken_over.update(self._speech.unheard_items())

    def _break(self) -> list[Effect]:
        """Stop the response that is being heard: it has a hole now. One that has not sounded yet
        has none.
        """
        active = self._responses.gate.active
        if active is None or self._responses.dead(active) or not self._speech.sounded(active):
            return []
        self._broken.update(self._speech.under_way(active))
        return self._responses.cancel()

    def _lost(self, ledger: Sequence[line.Playhead], lost: Collection[ItemId]) -> list[Effect]:
        stood = {each.item_id: each for each in ledger}
        effects, items = self._speech.lose(stood, lost, broken=self._broken)
        self._broken.clear()
        rest = [item for item in items if item.item_id not in self._spoken_over]
        if rest:
            effects += self._resumption.go_on(LINE, rest[0].item_id, rest[0].heard_text())
        return effects + self._closing.end(busy=self._responses.gate.busy())

    # -- the model

    def wrote(self, response_id: str) -> list[Effect]:
        """A response is text, which no caller hears: take it back and ask for speech; the second
        time in a session that was told the call by its words.
        """
        if self._responses.dead(response_id):
            return []
        self._texts += 1
        effects = self._responses.drop(response_id) + self._speech.drop(response_id)
        if self._texts == 1:
            return effects + self._responses.want()
        if self._in_words:
            return [*effects, GiveUp("the model writes instead of speaking")]
        return [*effects, Reopen("the model writes instead of speaking", in_words=True)]
