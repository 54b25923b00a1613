"""One pacing task for every line of a simulated Twilio: twenty calls cost one timer.

Started with the first line, ended with the last. Never knows what a line does with its tick.
"""

import asyncio
from typing import Protocol

STEP_S = 0.01


class Ticking(Protocol):
    """Something that wants to be called often and looks at its own clock."""

    def tick(self) -> None:
        """Do what is due; must not block and may be called late."""
        ...


class Pump:
    """Ticks every added line each 10 ms against the monotonic clock."""

    def __init__(self) -> None:
        self._lines: dict[Ticking, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, line: Ticking) -> None:
        """Tick this line from now on."""
        self._lines[line] = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="twilio-pump")

    async def remove(self, line: Ticking) -> None:
        """Stop ticking it; with the last line the task ends before this returns.

        Raises what a tick raised, if one did.
        """
        self._lines.pop(line, None)
        if not self._lines and self._task is not None:
            task, self._task = self._task, None
            await task

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        due = now()
        while self._lines and self._task is asyncio.current_task():
            for line in tuple(self._lines):
                line.tick()
            due = max(due + STEP_S, now())  # late: the lines catch up by their own clocks
            await asyncio.sleep(due - now())
