"""What the stages have in common in which nobody talks yet: the gate, the announcement of a
recording.
"""

from ai_agent.call_voice import CallVoice
from ai_agent.held_call import HeldCall
from ai_agent.speaker.sentence import Sentence
from ai_agent.stage import DONE
from protocol import line
from protocol.commands import Refused, Reply
from protocol.event_base import Mode


class EarlyStage:
    """The caller hears one fixed sentence at a time. ``refusal`` answers what must wait;
    ``_leaving``: an operator ends the call, so the stage does nothing more.
    """

    def __init__(self, held: HeldCall, voice: CallVoice, refusal: Refused) -> None:
        self._held = held
        self._voice = voice
        self._refusal = refusal
        self._leaving = False

    async def on_line_moved(self, ledger: tuple[line.Playhead, ...]) -> None:
        await self._voice.lost(ledger)

    async def on_heard(self, heard: line.Heard) -> None:
        await self._voice.heard(heard)

    async def on_cleared(self, cleared: line.Cleared) -> None:
        pass

    # -- commands

    async def say(self, text: str) -> Reply:
        return self._refusal

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
        return self._refusal

    def refuses_operator(self) -> Refused | None:
        return self._refusal

    async def muted(self) -> None:
        pass  # no operator speaks here

    async def unmuted(self) -> None:
        pass
