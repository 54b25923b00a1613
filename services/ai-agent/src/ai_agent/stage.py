"""A stage of a call: gate, keypad or conversation. The call runner hands it what comes from the
line.
"""

from typing import Protocol

from protocol import line
from protocol.line import Playhead


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
