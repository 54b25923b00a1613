"""The announcement that a call is recorded (shell): said before the assistant's first words, heard
to its end. The caller cannot interrupt it; what they press meanwhile is for the stage behind it.
"""

import asyncio
import contextlib

from ai_agent.call_voice import CallVoice
from ai_agent.held_call import HeldCall
from ai_agent.recording import ITEM
from ai_agent.speaker.sentence import Sentence
from ai_agent.speaker.speaker import Speaker
from ai_agent.stage import DONE
from protocol import commands, line
from protocol.commands import Reply
from protocol.events import Mode
from runtime.tasks import Tasks

HEARD_S = 60.0
"""How long the announcement may take; a line that never says what was heard is not waited for."""
ANNOUNCING = commands.Refused(
    "not_now", "the caller is being told that the call is recorded: ask again"
)


class AnnounceStage:
    """Until the announcement was heard."""

    def __init__(self, held: HeldCall, speaker: Speaker, words: Sentence) -> None:
        self._held = held
        self._words = words
        self._voice = CallVoice(held, speaker, self._quiet, kind=ITEM)
        self._heard = asyncio.Event()
        self._leaving = False  # an operator has ended it
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

    async def on_line_moved(self, ledger: tuple[line.Playhead, ...]) -> None:
        await self._voice.lost(ledger)

    async def on_key(self, key: line.Dtmf) -> None:
        self.keys.append(key)

    async def on_heard(self, heard: line.Heard) -> None:
        await self._voice.heard(heard)

    async def on_cleared(self, cleared: line.Cleared) -> None:
        pass

    async def _quiet(self) -> None:
        self._heard.set()

    # -- commands

    async def say(self, text: str) -> Reply:
        return ANNOUNCING

    async def hang_up(self) -> Reply:
        self._leaving = True
        self._voice.end("hangup")
        return DONE

    async def transfer(self) -> Reply:
        self._leaving = True
        self._voice.say(Sentence.fixed("transferring", self._held.brief.assistant.language))
        self._voice.end("transfer")
        return DONE

    async def change_mode(self, mode: Mode) -> Reply:
        return ANNOUNCING

    def refuses_operator(self) -> commands.Refused | None:
        return ANNOUNCING

    async def muted(self) -> None:
        pass  # no operator speaks before it was heard

    async def unmuted(self) -> None:
        pass
