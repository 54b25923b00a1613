"""Publishes what legs put without waiting: what all of them put in one turn of the loop, in one go.

app runs one.
"""

import asyncio
from collections.abc import Awaitable, Callable

Flush = Callable[[], Awaitable[None]]


class Pulse:
    """Of the process."""

    def __init__(self) -> None:
        self._due: list[Flush] = []
        self._some = asyncio.Event()

    def due(self, flush: Flush) -> None:
        """``flush`` is called soon, once."""
        self._due.append(flush)
        self._some.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            due, self._due = self._due, []
            for flush in due:
                await flush()
