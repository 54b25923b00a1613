"""A stage of a call: gate, keypad or conversation. The call runner hands it what comes from the
line.
"""

from typing import Protocol

from protocol import line


class Stage(Protocol):
    """Who listens to the caller now."""

    async def on_key(self, key: line.Dtmf) -> None: ...

    async def on_heard(self, heard: line.Heard) -> None: ...

    async def on_cleared(self, cleared: line.Cleared) -> None: ...
