"""The announcement that a call is recorded (shell): said before the assistant's first words, heard
to its end. The caller cannot interrupt it; what they press meanwhile is for the stage behind it.
"""

import asyncio
import contextlib

from ai_agent.call_voice import CallVoice
from ai_agent.early_stage import EarlyStage
from ai_agent.held_call import HeldCall
from ai_agent.recording import ITEM
from ai_agent.speaker.sentence import Sentence
from ai_agent.speaker.speaker import Speaker
from protocol import commands, line
from runtime.tasks import Tasks

HEARD_S = 60.0
"""How long the announcement may take; a line that never says what was heard is not waited for."""
ANNOUNCING = commands.Refused(
    "not_now", "the caller is being told that the call is recorded: ask again"
)


class AnnounceStage(EarlyStage):
    """Until the announcement was heard."""

    def __init__(self, held: HeldCall, speaker: Speaker, words: Sentence) -> None:
        super().__init__(held, CallVoice(held, speaker, self._quiet, kind=ITEM), ANNOUNCING)
        self._words = words
        self._heard = asyncio.Event()
        self.keys: list[line.Dtmf] = []
        """What was pressed meanwhile."""

    async def run(self) -> None:
        """Say it, and return when it was heard."""
        async with Tasks("announcement") as tasks:
            otherwise = Sentence.fixed("recorded", self._held.brief.assistant.language)
            self._voice.say(self._words, otherwise)
            tasks.spawn(self._voice.run(), "voice")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARD_S):
                    await self._heard.wait()
            if self._leaving:
                await asyncio.Event().wait()  # its voice closes the line; the call's end ends it

    def quiet(self) -> bool:
        return self._voice.idle

    async def on_key(self, key: line.Dtmf) -> None:
        self.keys.append(key)

    async def _quiet(self) -> None:
        self._heard.set()
