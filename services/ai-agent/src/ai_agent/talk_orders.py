"""What operators want of one talk (shell): notes, sentences, the end, silence while one of them
speaks. Made by the talk; the dialogue, which outlives it, hands the wishes on.
"""

from collections.abc import Awaitable, Callable

from ai_agent import asides
from ai_agent.conversation import Conversation
from ai_agent.dictation import Dictation
from ai_agent.effects import Effect
from ai_agent.held_call import HeldCall
from ai_agent.realtime import events as rt
from ai_agent.session_updates import SessionUpdates
from ai_agent.stage import DONE, ENDING
from protocol import commands
from protocol.commands import Reply
from protocol.line import Intent
from runtime import logging

_log = logging.get("talk")

Perform = Callable[[list[Effect]], Awaitable[None]]
NO_SESSION = commands.Refused("no_session", "no session with the model is open in this call now")
TRANSFERRING = "Say in one short sentence that you are putting the caller through to a person now."


class TalkOrders:
    """``perform`` does what ``conversation`` makes of them. ``updates``: of the open session, None
    without one.
    """

    def __init__(
        self, held: HeldCall, conversation: Conversation, dictation: Dictation, perform: Perform
    ) -> None:
        self._held = held
        self._conversation = conversation
        self._dictation = dictation
        self._perform = perform
        self.updates: SessionUpdates | None = None

    @property
    def open(self) -> bool:
        """A sentence is still to be said."""
        return self._dictation.open

    def on_event(self, event: rt.AnyServerEvent) -> None:
        """The model's events, after the conversation had them."""
        self._dictation.on_event(event)

    def end(self) -> None:
        """The session is over."""
        if self.updates is not None:
            self.updates.end()
        self.updates = None
        self._dictation.session_over()

    @property
    def final(self) -> bool:
        """The call is being ended, whatever is said."""
        return self._conversation.muting.final

    async def update(self, wanted: commands.UpdateSession) -> Reply:
        """Give the open session other instructions or tools. Raises StaleWriter."""
        return NO_SESSION if self.updates is None else await self.updates.run(wanted)

    async def note(self, text: str) -> None:
        """Tell the model what an operator whispered, which is in the log."""
        await self._perform(self._conversation.note(asides.whispered(text)))

    async def say(self, text: str) -> Reply:
        """Have the model say ``text`` as soon as that talks over nobody."""
        if self.final:
            return ENDING
        self._dictation.add(text)
        await self.dictate()
        return DONE

    async def dictate(self) -> None:
        """The next sentence, if there is one and its time has come."""
        if self._conversation.free and (wanted := self._dictation.next()) is not None:
            await self._perform(self._conversation.dictate(wanted.instructions, wanted.metadata))

    def said(self, response_id: str, text: str) -> None:
        """An item is complete: look whether the model kept to the words it was given."""
        if self._dictation.deviates(response_id, text):
            _log.warning("sentence said in other words", call_id=self._held.id)

    async def hang_up(self) -> None:
        """End the call once what is being said was heard."""
        await self._perform(self._conversation.muting.close("hangup"))

    async def transfer(self) -> Reply:
        """Have the model announce it, unless an operator has done so; then close the line."""
        if self.final:
            return ENDING
        intent: Intent = "transfer"
        await self._perform(self._conversation.close(TRANSFERRING, intent))
        return DONE

    async def mute(self) -> None:
        """An operator speaks from now on. Sentences that wait are not said any more."""
        self._dictation.clear()
        await self._perform(self._conversation.muting.begin(self._held.audio.now_line_ms))
        if self.updates is not None:
            self.updates.refresh()

    async def unmute(self) -> None:
        """It is the assistant's turn again."""
        if self.updates is not None:
            self.updates.refresh()
        await self._perform(self._conversation.unmute(asides.SPOKEN))
