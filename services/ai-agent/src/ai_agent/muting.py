"""A conversation that is not the assistant's turn any more (PURE): an operator speaks in its place,
or the call is about to end. What the caller says is still heard and written down.

A part of conversation, which goes by ``on``: while muted the gate asks for no response, and one
that the model makes by itself is taken back.
"""

from ai_agent.closing import Closing
from ai_agent.effects import Effect, Tell
from ai_agent.false_start import FalseStart
from ai_agent.realtime import commands
from ai_agent.responses import Responses, told
from ai_agent.speech import AssistantSpeech
from protocol.line import Intent


class Muting:
    """Shares the parts of one conversation."""

    def __init__(
        self,
        responses: Responses,
        speech: AssistantSpeech,
        closing: Closing,
        false_start: FalseStart,
    ) -> None:
        self._responses = responses
        self._speech = speech
        self._closing = closing
        self._false_start = false_start

    @property
    def on(self) -> bool:
        """The model is not to speak."""
        return self._responses.gate.muted

    @property
    def final(self) -> bool:
        """The call is being ended, whatever is said."""
        return self._closing.final

    def begin(self, line_ms: int | None) -> list[Effect]:
        """Somebody else speaks from ``line_ms`` on: what is being said stops, and is cut where the
        caller stopped hearing it.
        """
        self._false_start.forget()
        self._closing.lift()
        self._responses.gate.mute()
        return self._responses.cancel() + self._speech.clear(line_ms)

    def end(self, note: str, *, caller_speaks: bool) -> list[Effect]:
        """It is the assistant's turn again: the model is told so by ``note`` and goes on, after
        the caller's words if they are speaking.
        """
        effects: list[Effect] = [Tell(commands.system_text(note))]
        if caller_speaks:
            return effects + told(self._responses.gate.unmute())
        self._responses.gate.muted = False
        return effects + self._responses.want()

    def close(self, intent: Intent) -> list[Effect]:
        """End the call once what is being said was heard; nothing else is said."""
        self._false_start.forget()
        self._closing.decide(intent, final=True)
        self._responses.gate.mute()
        return self._closing.end(busy=self._responses.gate.busy())
