"""The time of a conversation: what is said and done when the caller is silent, the call gets long,
or a turn is not answered (PURE; the talk ticks it).
"""

from ai_agent.conversation import Conversation
from ai_agent.effects import Effect, Record
from ai_agent.quiet import CallLength, EndForLength, EndForSilence, Quiet, Remind, WarnLength
from runtime.assistant import Assistant

STILL_THERE = 'Say: "Are you still there?" Say nothing else.'
SILENT_GOODBYE = "Say in one short sentence that you heard nothing and end the call now. Goodbye."
WARNING = "Say in one short sentence that this call will end in about {seconds} seconds."
TIME_UP = "Say in one short sentence that the call has to end now, and say goodbye."


class Pacing:
    """Both timers of one talk. ``elapsed_ms``: how long the call has lasted at ``now_ms``."""

    def __init__(
        self, assistant: Assistant, conversation: Conversation, now_ms: int, elapsed_ms: int
    ) -> None:
        self._conversation = conversation
        self._quiet = Quiet(assistant.silence, now_ms)
        self._length = CallLength(assistant.limits, now_ms, elapsed_ms)

    def stirred(self, now_ms: int) -> None:
        """The caller did something."""
        self._quiet.stirred(now_ms)

    def on_tick(self, now_ms: int) -> list[Effect]:
        """What is due; called a few times a second."""
        conversation = self._conversation
        if conversation.caller_speaks:
            self._quiet.stirred(now_ms)
        self._quiet.held(conversation.engaged, now_ms)
        effects = conversation.on_tick(now_ms)
        for due in (*self._quiet.on_tick(now_ms), *self._length.on_tick(now_ms)):
            match due:
                case Remind():
                    effects += conversation.ask(STILL_THERE)
                case EndForSilence():
                    effects += conversation.close(SILENT_GOODBYE, "hangup")
                case WarnLength():
                    effects += conversation.ask(WARNING.format(seconds=due.seconds))
                case EndForLength():
                    effects += conversation.close(TIME_UP, "hangup")
                case Record():
                    effects.append(due)
        return effects
