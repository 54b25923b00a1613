"""The tools that the profiles name, and how long a worker that starts waits for them.

Called by app. A worker without any tool would only make excuses; one that lacks some serves every
other profile, so it does not wait for them for ever.
"""

import asyncio

from ai_agent import builtin_tools
from ai_agent.toolbox import Toolbox
from runtime import logging
from runtime.assistants import Profiles
from runtime.service import Shutdown, waiting

_log = logging.get("tools")

SOME_S = 5.0
"""How long the rest is waited for once a tool came; services start side by side."""


class WantedTools:
    """What ``profiles`` name now, without the agent's own."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def names(self) -> set[str]:
        """Every tool that a profile names."""
        named = {tool for loaded in self._profiles.all() for tool in loaded.assistant.tools}
        return named - builtin_tools.NAMES

    async def wait(self, toolbox: Toolbox, *, wait_s: int, shutdown: Shutdown) -> None:
        """Wait until all are offered, or some and no further one for SOME_S (half of ``wait_s``
        seconds, if that is less): then one warning says which profile lacks which tool.

        Raises ServiceError after ``wait_s`` (0: never), AskedToStop.
        """
        loop = asyncio.get_running_loop()
        patience_s = min(SOME_S, wait_s / 2) if wait_s else SOME_S
        offered, came_at = set[str](), loop.time()

        async def attempt() -> str | None:
            nonlocal offered, came_at
            await toolbox.refresh()
            wanted = self.names()
            if found := (wanted & toolbox.names()) - offered:
                offered, came_at = offered | found, loop.time()
            missing = sorted(wanted - toolbox.names())
            if not missing or (offered and loop.time() - came_at >= patience_s):
                return None
            return (
                f"no service offers {', '.join(missing)}; start tool-runner or change the profile"
            )

        await waiting("the profiles' tools", attempt, wait_s=wait_s, shutdown=shutdown)
        self._warn(toolbox.names())

    def _warn(self, offered: set[str]) -> None:
        lacks = [
            f"{loaded.assistant.name}: {tool}"
            for loaded in self._profiles.all()
            for tool in loaded.assistant.tools
            if tool not in offered | builtin_tools.NAMES
        ]
        if lacks:
            _log.warning(
                "no service offers these tools of profiles: callers are told that it did not work;"
                " start the tool service or change the profile",
                tools=lacks,
            )
