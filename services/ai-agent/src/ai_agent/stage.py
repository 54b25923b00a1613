"""A stage of a call: gate, keypad or conversation. The call runner hands it what comes from the
line, and what operators want of it.
"""

from typing import Protocol

from protocol import line
from protocol.commands import Done, Refused, Reply
from protocol.event_base import Mode
from protocol.line import Playhead

DONE = Done()
ENDING = Refused("not_now", "this call is about to end")
AT_THE_GATE = Refused("not_now", "the caller is at the gate and has not shown yet who they are")


class Stage(Protocol):
    """Who listens to the caller now."""

    async def on_key(self, key: line.Dtmf) -> None: ...

    async def on_heard(self, heard: line.Heard) -> None: ...

    async def on_cleared(self, cleared: line.Cleared) -> None: ...

    def quiet(self) -> bool:
        """Nothing would be cut off if another worker took the call now: nobody speaks, nothing is
        unheard, nothing is owed, no key entry and no tool is under way.
        """
        ...

    async def on_line_moved(self, ledger: tuple[Playhead, ...]) -> None:
        """Audio under way was lost with the line or with NATS. ``ledger`` says how far the caller
        heard what was unfinished; () when that is unknown: ask by a clear and trust its answer.
        """
        ...

    # -- commands

    async def say(self, text: str) -> Reply:
        """Say these words after what is being said."""
        ...

    async def hang_up(self) -> Reply:
        """End the call once what is being said was heard."""
        ...

    async def transfer(self) -> Reply:
        """Put the caller through to the profile's human, who is there."""
        ...

    async def change_mode(self, mode: Mode) -> Reply:
        """Let another stage go on."""
        ...

    def refuses_operator(self) -> Refused | None:
        """Why nobody may speak in the assistant's place now."""
        ...

    async def muted(self) -> None:
        """An operator speaks from now on (the held call's ``floor`` says so): be silent, and let
        what the caller does come to nothing but the log.
        """
        ...

    async def unmuted(self) -> None:
        """It is the assistant's turn again: go on."""
        ...
